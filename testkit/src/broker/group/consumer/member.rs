//! One member of a group whose coordinator assigns (KIP-848): in go what it shall read and what it
//! says that it reads, out comes the next step on the way from one to the other.
//!
//! ```text
//!             nothing to give up, all is free            nothing to give up, some is held
//!   Stable <────────────────────────────────── next ──────────────────────────> Unreleased
//!                                               │ ^                               │
//!                         something to give up  v │ given up                      │ again
//!                                           Unrevoked                             └──> next
//! ```
//!
//! It first gives up, in its old epoch, then takes over, in the new one: no partition has two
//! readers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use klamm_protocol::messages::consumer_group_heartbeat::TopicPartitions;
use klamm_protocol::wire::Uuid;

use super::assign::{Assignor, Partitions};
use crate::broker::pattern::Pattern;

/// What the coordinator knows of a member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) regex: Option<Pattern>,
    pub(crate) assignor: Option<Assignor>,
    pub(crate) rebalance_timeout: Duration,
    /// -2 for a static member that will come back.
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) step: Step,
    pub(crate) assigned: Partitions,
    /// What it still has to give up.
    pub(crate) revoking: Partitions,
    /// When its session ends.
    pub(crate) expires: Instant,
    /// When it must have given up what it has to.
    pub(crate) revoke_by: Option<Instant>,
}

/// Where a member stands; named by what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// For nothing.
    Stable,
    /// To have given up its own partitions.
    Unrevoked,
    /// For others to give up theirs.
    Unreleased,
}

/// What a member shall read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) epoch: i32,
    pub(crate) partitions: &'a Partitions,
}

impl Member {
    /// One that has joined just now and reads nothing.
    pub(crate) fn new(client_id: &str, expires: Instant) -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: client_id.to_owned(),
            topics: BTreeSet::new(),
            regex: None,
            assignor: None,
            rebalance_timeout: Duration::ZERO,
            epoch: 0,
            previous_epoch: 0,
            step: Step::Stable,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
            expires,
            revoke_by: None,
        }
    }

    /// Whether it reads what it shall.
    pub(crate) fn is_reconciled(&self, target_epoch: i32) -> bool {
        self.step == Step::Stable && self.epoch == target_epoch
    }

    /// Whether it reads a partition, or has not given it up yet.
    pub(crate) fn holds(&self, topic: Uuid, partition: i32) -> bool {
        let in_set = |partitions: &Partitions| {
            partitions.get(&topic).is_some_and(|held| held.contains(&partition))
        };
        in_set(&self.assigned) || in_set(&self.revoking)
    }

    /// Whether a topic is one of those that it wants.
    pub(crate) fn wants(&self, topic: &str) -> bool {
        self.topics.contains(topic) || self.regex.as_ref().is_some_and(|regex| regex.matches(topic))
    }

    /// Takes the next step, if there is one. `owned` is what the member says that it reads, if it
    /// says so; `is_held` tells which partitions others hold.
    pub(crate) fn reconcile(
        &mut self,
        now: Instant,
        target: Target<'_>,
        owned: Option<&[TopicPartitions]>,
        is_held: impl Fn(Uuid, i32) -> bool,
    ) {
        match self.step {
            Step::Stable if self.epoch == target.epoch => {}
            Step::Unrevoked if still_owns(owned, &self.revoking) => {}
            Step::Unrevoked => self.advance(now, self.epoch + 1, target, owned, is_held),
            Step::Stable | Step::Unreleased => {
                self.advance(now, self.epoch, target, owned, is_held);
            }
        }
    }

    fn advance(
        &mut self,
        now: Instant,
        epoch: i32,
        target: Target<'_>,
        owned: Option<&[TopicPartitions]>,
        is_held: impl Fn(Uuid, i32) -> bool,
    ) {
        let (mut kept, revoking) = split(&self.assigned, target.partitions);
        let (_, coming) = split(target.partitions, &self.assigned);
        let mut waits = false;
        let mut free = Partitions::new();
        for (&topic, partitions) in &coming {
            for &partition in partitions {
                if is_held(topic, partition) {
                    waits = true;
                } else {
                    free.entry(topic).or_default().insert(partition);
                }
            }
        }
        if !revoking.is_empty() && still_owns(owned, &revoking) {
            self.set_epoch(epoch);
            (self.step, self.assigned, self.revoking) = (Step::Unrevoked, kept, revoking);
            self.revoke_by = Some(now + self.rebalance_timeout);
            return;
        }
        for (topic, partitions) in free {
            kept.entry(topic).or_default().extend(partitions);
        }
        self.set_epoch(target.epoch);
        self.step = if waits { Step::Unreleased } else { Step::Stable };
        (self.assigned, self.revoking, self.revoke_by) = (kept, Partitions::new(), None);
    }

    fn set_epoch(&mut self, epoch: i32) {
        if epoch != self.epoch {
            (self.previous_epoch, self.epoch) = (self.epoch, epoch);
        }
    }
}

/// Whether everything that a member says it owns is in `assigned`; false if it says nothing.
pub(crate) fn is_subset(owned: Option<&[TopicPartitions]>, assigned: &Partitions) -> bool {
    owned.is_some_and(|owned| {
        owned.iter().all(|topic| {
            let known = assigned.get(&topic.topic_id);
            topic.partitions.iter().all(|one| known.is_some_and(|known| known.contains(one)))
        })
    })
}

/// The partitions of `all` that are in `other`, and those that are not.
fn split(all: &Partitions, other: &Partitions) -> (Partitions, Partitions) {
    let (mut inside, mut outside) = (Partitions::new(), Partitions::new());
    for (&topic, partitions) in all {
        let others = other.get(&topic);
        for &partition in partitions {
            let is_inside = others.is_some_and(|others| others.contains(&partition));
            let set = if is_inside { &mut inside } else { &mut outside };
            set.entry(topic).or_default().insert(partition);
        }
    }
    (inside, outside)
}

/// Whether a member may still read some of these; it may if it does not say what it reads.
fn still_owns(owned: Option<&[TopicPartitions]>, revoking: &Partitions) -> bool {
    owned.is_none_or(|owned| {
        owned.iter().any(|topic| {
            let revoking = revoking.get(&topic.topic_id);
            topic.partitions.iter().any(|one| revoking.is_some_and(|set| set.contains(one)))
        })
    })
}
