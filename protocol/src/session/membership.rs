//! What the two machines of a group's member have in common, the classic one ([`super::group`]) and
//! that of KIP-848 ([`super::group_next`]): what they tell, and by which name the member commits.

use std::sync::Arc;

use crate::assign::TopicPartition;
use crate::code::ErrorCode;
use crate::wire::Uuid;

/// News of a membership.
///
/// Between them, [`Assigned`](Self::Assigned) gives partitions, [`Lost`](Self::Lost) takes them at
/// once, and [`Revoke`](Self::Revoke) takes them when the owner says that it has let go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// These partitions may be read from now on, in addition to those before.
    Assigned(Vec<TopicPartition>),
    /// These partitions have to be given up. They stay this member's until `revoked` is called with
    /// the name of the revocation, so that positions in them can still be committed.
    Revoke {
        /// The name of the revocation.
        id: RevocationId,
        /// What is taken away.
        partitions: Vec<TopicPartition>,
    },
    /// These partitions are this member's no more; another may read them already. A revocation that
    /// was under way has come to nothing.
    Lost(Vec<TopicPartition>),
    /// This member decides for the whole group (classic protocol): the layouts of these topics are
    /// wanted.
    Lead {
        /// What all members subscribe to, sorted.
        topics: Vec<String>,
    },
    /// The names of these topics are wanted (KIP-848).
    Unnamed(Vec<Uuid>),
    /// The broker asked is not, or no longer, the coordinator.
    CoordinatorLost,
    /// The membership has ended, and asking again would not help.
    Failed {
        /// Why.
        code: ErrorCode,
        /// The broker's own words.
        message: Option<String>,
    },
    /// The membership has ended as it was asked to; it can begin anew.
    Left,
}

/// Names one revocation of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId(pub u64);

impl RevocationId {
    /// The one after this.
    pub(super) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// In whose name a position is committed. The coordinator refuses one that is out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The member's id.
    pub member_id: Arc<str>,
    /// The generation, or the member's epoch with KIP-848.
    pub epoch: i32,
    /// The static member's name, if it is one (KIP-345).
    pub instance_id: Option<String>,
}
