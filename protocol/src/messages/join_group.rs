//! JoinGroup: a member enters a group of the classic protocol and learns its generation.
//!
//! Version 4 makes the broker choose the member id first (KIP-394), 5 adds static members
//! (KIP-345), 7 the protocol type (KIP-559), 8 a reason (KIP-800), 9 lets the leader skip its
//! assignment (KIP-814).

use bytes::Bytes;
use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// A member's wish to take part in the next generation.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 11, response = JoinGroupResponse, versions = "0-9", flexible = "6+")]
pub struct JoinGroupRequest {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// After how many milliseconds without a heartbeat the member is taken for dead.
    #[field(versions = "0+")]
    pub session_timeout_ms: i32,
    /// How long members may take to join again, in milliseconds; -1 for the session's timeout.
    #[field(versions = "1+", default = -1, ignorable)]
    pub rebalance_timeout_ms: i32,
    /// The id that the coordinator gave, empty the first time.
    #[field(versions = "0+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "5+", nullable = "5+", default = null)]
    pub group_instance_id: Option<String>,
    /// What kind of group it is: `consumer` for consumers.
    #[field(versions = "0+")]
    pub protocol_type: String,
    /// The ways of assigning that the member supports, its favourite first.
    #[field(versions = "0+")]
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// Why the member joins again, for the broker's log (KIP-800).
    #[field(versions = "8+", nullable = "8+", default = null, ignorable)]
    pub reason: Option<String>,
}

/// A way of assigning that the member can live with.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct JoinGroupRequestProtocol {
    /// The assignor's name, such as `range`.
    #[field(versions = "0+")]
    pub name: String,
    /// What the assignor needs to know, in its own encoding.
    #[field(versions = "0+")]
    pub metadata: Bytes,
}

/// The generation that began, and its members if the receiver leads it.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-9", flexible = "6+")]
pub struct JoinGroupResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The generation that began, -1 with an error.
    #[field(versions = "0+", default = -1)]
    pub generation_id: i32,
    /// The group's kind (KIP-559).
    #[field(versions = "7+", nullable = "7+", default = null, ignorable)]
    pub protocol_type: Option<String>,
    /// The assignor that all members support.
    #[field(versions = "0+", nullable = "7+")]
    pub protocol_name: Option<String>,
    /// The id of the member that has to assign.
    #[field(versions = "0+")]
    pub leader: String,
    /// Whether the leader keeps the assignment as it is (KIP-814).
    #[field(versions = "9+")]
    pub skip_assignment: bool,
    /// The receiving member's id.
    #[field(versions = "0+")]
    pub member_id: String,
    /// All members, if the receiver leads; else empty.
    #[field(versions = "0+")]
    pub members: Vec<JoinGroupResponseMember>,
}

/// A member as the leader needs to know it.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct JoinGroupResponseMember {
    /// The member's id.
    #[field(versions = "0+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub group_instance_id: Option<String>,
    /// What the member told about the chosen protocol.
    #[field(versions = "0+")]
    pub metadata: Bytes,
}
