//! What a member does that leads its group: the join answer's members go in, the assignment of each
//! comes out, and later whether the topics have changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::assign::{
    Assignment, Assignor, CONSUMER_PROTOCOL_VERSIONS, Member, Subscription, Topics,
};
use crate::error::EncodeError;
use crate::messages::join_group::JoinGroupResponseMember;
use crate::messages::sync_group::SyncGroupRequestAssignment;

/// The members of a generation, as its leader sees them.
#[derive(Debug)]
pub(super) struct Leading {
    assignor: Assignor,
    members: Vec<Member>,
    /// What all of them subscribe to.
    topics: BTreeSet<String>,
    /// The coordinator kept the assignment that it has (KIP-814).
    skip: bool,
    /// The numbers of partitions that the assignment was made for.
    counts: Option<BTreeMap<Arc<str>, usize>>,
}

impl Leading {
    /// A subscription that cannot be read is one to nothing: it is another client's, and must not
    /// keep the others from reading.
    pub(super) fn new(
        assignor: Assignor,
        members: Vec<JoinGroupResponseMember>,
        skip: bool,
    ) -> Self {
        let member = |told: JoinGroupResponseMember| Member {
            id: told.member_id,
            instance_id: told.group_instance_id,
            subscription: Subscription::decode(told.metadata).unwrap_or_default(),
        };
        let members: Vec<Member> = members.into_iter().map(member).collect();
        let topics = members.iter().flat_map(|member| member.subscription.topics.iter().cloned());
        let topics = topics.collect();
        Self { assignor, members, topics, skip, counts: None }
    }

    /// What all members subscribe to.
    pub(super) fn topics(&self) -> Vec<String> {
        self.topics.iter().cloned().collect()
    }

    /// Everybody's share, and nothing where the coordinator keeps what it has.
    pub(super) fn assign(
        &mut self,
        topics: &Topics,
    ) -> Result<Vec<SyncGroupRequestAssignment>, EncodeError> {
        self.counts = Some(self.counted(topics));
        if self.skip {
            return Ok(Vec::new());
        }
        let shares = self.assignor.assign(&self.members, topics).into_iter();
        let assignments = shares.map(|(member_id, partitions)| {
            let assignment = Assignment { partitions, user_data: None };
            let assignment: Bytes = assignment.encode(CONSUMER_PROTOCOL_VERSIONS.max)?;
            Ok(SyncGroupRequestAssignment { member_id, assignment })
        });
        assignments.collect()
    }

    /// Whether an assignment was made, and would be made for other partitions now.
    pub(super) fn is_outdated(&self, topics: &Topics) -> bool {
        self.counts.as_ref().is_some_and(|counts| *counts != self.counted(topics))
    }

    fn counted(&self, topics: &Topics) -> BTreeMap<Arc<str>, usize> {
        let ours = topics.iter().filter(|(name, _)| self.topics.contains(&***name));
        ours.map(|(name, layout)| (Arc::clone(name), layout.partitions)).collect()
    }
}
