//! Who reads which partition: the assignors of a consumer group's classic protocol, in which one of
//! the members, the leader, decides for all.
//!
//! In: the group's members with their subscriptions, and the topics' partitions. Out: a list of
//! partitions for each member. No clock and no randomness: the same group gives the same answer,
//! and it is the one that Java's client gives, so that it does not matter whose leader leads.
//! [`Subscription`] and [`Assignment`] are what members hand to the leader and get back from it.
//!
//! Rack awareness is KIP-881, cooperative rebalancing KIP-429, generations in subscriptions
//! KIP-792.
//!
//! Three differences from Java, all in the sticky assignors and where it gives out what cannot be
//! read: claims of partitions that do not exist (any more) are ignored; a partition never goes back
//! to a former owner that has ceased to subscribe to it; and members that subscribe to nothing get
//! nothing, even if others do and all of those to the same.

mod cooperative;
mod group;
mod java;
mod racks;
mod range;
mod round_robin;
mod sticky;
mod subscription;
mod table;
mod user_data;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use self::group::Group;
use crate::error::EncodeError;

pub use self::subscription::{Assignment, CONSUMER_PROTOCOL_VERSIONS, PROTOCOL_TYPE, Subscription};
pub use self::user_data::{CooperativeUserData, StickyUserData};

/// A way to share partitions out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Assignor {
    /// Topic by topic, each member gets a run of neighbouring partitions: equal numbers of several
    /// topics go to the same member. Heeds racks.
    Range,
    /// All partitions of all topics in turn.
    RoundRobin,
    /// As even as can be, while members keep what they had. Heeds racks.
    Sticky,
    /// As [`Assignor::Sticky`], but what changes hands is first only taken away, and given out in
    /// the generation that follows: members go on reading what they keep.
    CooperativeSticky,
}

impl Assignor {
    /// Every assignor.
    pub const ALL: [Self; 4] =
        [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    /// What a client offers unless told otherwise, the preferred one first.
    pub const DEFAULT: [Self; 2] = [Self::Range, Self::CooperativeSticky];

    /// The name under which members offer it when they join.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members may keep reading while the group is rebalanced.
    pub const fn is_cooperative(self) -> bool {
        matches!(self, Self::CooperativeSticky)
    }

    /// What a member sends to the leader in its subscription, besides the fields that all
    /// assignors have: `generation` is that of the last assignment, -1 before the first one, and
    /// `assigned` what it held.
    ///
    /// # Errors
    ///
    /// If a topic's name is longer than Kafka allows.
    pub fn user_data(
        self,
        generation: i32,
        assigned: Option<&[TopicPartition]>,
    ) -> Result<Option<Bytes>, EncodeError> {
        match (self, assigned) {
            (Self::CooperativeSticky, _) => Ok(Some(CooperativeUserData { generation }.encode())),
            (Self::Sticky, Some(assigned)) => {
                let partitions = assigned.to_vec();
                StickyUserData { partitions, generation: Some(generation) }.encode().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Shares the partitions of `topics` out among `members`, who are given in the order of the
    /// join response. Topics that nobody subscribes to are left out, and members that get nothing
    /// are in the answer with an empty list. Of two members with the same id the last one counts.
    pub fn assign(
        self,
        members: &[Member],
        topics: &Topics,
    ) -> BTreeMap<String, Vec<TopicPartition>> {
        let group = Group::new(members, topics);
        let shares = match self {
            Self::Range => range::assign(&group),
            Self::RoundRobin => round_robin::assign(&group),
            Self::Sticky => sticky::assign(&group, sticky::eager_claim).shares,
            Self::CooperativeSticky => cooperative::assign(&group),
        };
        group.named(&shares)
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Assignor {
    type Err = UnknownAssignor;

    /// Takes the names, and the class names by which Java's `partition.assignment.strategy` calls
    /// them.
    fn from_str(text: &str) -> Result<Self, UnknownAssignor> {
        let name = text.trim();
        match name.strip_prefix(JAVA_PACKAGE).unwrap_or(name) {
            "range" | "RangeAssignor" => Ok(Self::Range),
            "roundrobin" | "RoundRobinAssignor" => Ok(Self::RoundRobin),
            "sticky" | "StickyAssignor" => Ok(Self::Sticky),
            "cooperative-sticky" | "CooperativeStickyAssignor" => Ok(Self::CooperativeSticky),
            _ => Err(UnknownAssignor),
        }
    }
}

/// There is no assignor of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAssignor;

impl fmt::Display for UnknownAssignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("known assignors are range, roundrobin, sticky and cooperative-sticky")
    }
}

impl std::error::Error for UnknownAssignor {}

/// Whether a member that offers these may keep reading while it joins: only if all of them are
/// cooperative, since the group may choose any. `false` for none.
pub fn is_cooperative(offered: &[Assignor]) -> bool {
    !offered.is_empty() && offered.iter().all(|assignor| assignor.is_cooperative())
}

/// A partition of a topic. Ordered by topic, then number. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition of this number.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A member as the leader learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: String,
    /// The name of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// What it wants and holds.
    pub subscription: Subscription,
}

impl Member {
    /// A member that is not static.
    pub fn new(id: impl Into<String>, subscription: Subscription) -> Self {
        Self { id: id.into(), instance_id: None, subscription }
    }
}

/// The topics there are, by name.
pub type Topics = BTreeMap<Arc<str>, TopicLayout>;

/// A topic's partitions, numbered from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicLayout {
    /// How many there are.
    pub partitions: usize,
    /// For each partition the racks of its replicas, as far as they are known; may be shorter than
    /// the partitions. Java knows the replicas' racks always, and so should who wants its answers.
    pub racks: Vec<Vec<Arc<str>>>,
}

impl TopicLayout {
    /// So many partitions on replicas without racks.
    pub fn new(partitions: usize) -> Self {
        Self { partitions, racks: Vec::new() }
    }

    /// One partition for each list of racks.
    pub fn with_racks(racks: Vec<Vec<Arc<str>>>) -> Self {
        Self { partitions: racks.len(), racks }
    }
}

const JAVA_PACKAGE: &str = "org.apache.kafka.clients.consumer.";

#[cfg(test)]
mod tests;
