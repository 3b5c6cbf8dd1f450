//! The requests of a classic member and their answers, as one type each; what depends on the
//! version is settled here.

use crate::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use crate::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use crate::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// A request to the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupCall {
    /// Answered when all members have joined, up to the rebalance timeout later.
    Join(JoinGroupRequest),
    /// Answered when the leader has assigned.
    Sync(SyncGroupRequest),
    /// Answered at once.
    Heartbeat(HeartbeatRequest),
    /// Answered at once.
    Leave(Leave),
}

/// Who leaves, before the version is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Leave {
    pub(super) group_id: String,
    pub(super) member: MemberIdentity,
}

impl Leave {
    /// The request in the shape of a version: one member up to 2, a list since 3 (KIP-345).
    pub fn request(&self, version: i16) -> LeaveGroupRequest {
        let group_id = self.group_id.clone();
        if version < FIRST_WITH_MANY {
            let member_id = self.member.member_id.clone();
            return LeaveGroupRequest { group_id, member_id, ..LeaveGroupRequest::default() };
        }
        let members = vec![self.member.clone()];
        LeaveGroupRequest { group_id, members, ..LeaveGroupRequest::default() }
    }
}

/// The answer to the outstanding [`GroupCall`].
#[derive(Clone, Debug, PartialEq)]
pub enum GroupAnswer {
    /// To [`GroupCall::Join`].
    Join(JoinGroupResponse),
    /// To [`GroupCall::Sync`].
    Sync(SyncGroupResponse),
    /// To [`GroupCall::Heartbeat`].
    Heartbeat(HeartbeatResponse),
    /// To [`GroupCall::Leave`].
    Leave(LeaveGroupResponse),
}

impl GroupAnswer {
    /// Milliseconds for which the broker asks to be left alone (KIP-219).
    pub(super) fn throttle_ms(&self) -> i32 {
        match self {
            Self::Join(answer) => answer.throttle_time_ms,
            Self::Sync(answer) => answer.throttle_time_ms,
            Self::Heartbeat(answer) => answer.throttle_time_ms,
            Self::Leave(answer) => answer.throttle_time_ms,
        }
    }
}

const FIRST_WITH_MANY: i16 = 3;
