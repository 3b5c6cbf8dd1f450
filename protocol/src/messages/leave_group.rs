//! LeaveGroup: members leave a group of the classic protocol.
//!
//! Since version 3 many at once, static ones too (KIP-345); version 5 tells why (KIP-800).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Who leaves: `member_id` up to version 2, `members` since 3.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 13, response = LeaveGroupResponse, versions = "0-5", flexible = "4+")]
pub struct LeaveGroupRequest {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// The member that leaves; up to version 2.
    #[field(versions = "0-2")]
    pub member_id: String,
    /// The members that leave; since version 3 (KIP-345).
    #[field(versions = "3+")]
    pub members: Vec<MemberIdentity>,
}

/// A member that leaves.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct MemberIdentity {
    /// The member's id, empty if `group_instance_id` says who.
    #[field(versions = "3+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "3+", nullable = "3+", default = null)]
    pub group_instance_id: Option<String>,
    /// Why it leaves, for the broker's log (KIP-800).
    #[field(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub reason: Option<String>,
}

/// What became of the wish to leave.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-5", flexible = "4+")]
pub struct LeaveGroupResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The outcomes, by member; since version 3 (KIP-345).
    #[field(versions = "3+")]
    pub members: Vec<MemberResponse>,
}

/// The outcome for one member.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct MemberResponse {
    /// The member's id.
    #[field(versions = "3+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "3+", nullable = "3+")]
    pub group_instance_id: Option<String>,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "3+")]
    pub error_code: ErrorCode,
}
