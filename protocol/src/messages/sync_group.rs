//! SyncGroup: the leader hands in assignments, every member takes its own out.
//!
//! Version 3 adds static members (KIP-345), 5 checks protocol type and name (KIP-559).

use bytes::Bytes;
use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The leader's assignments; other members send none.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 14, response = SyncGroupResponse, versions = "0-5", flexible = "4+")]
pub struct SyncGroupRequest {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// The generation that the member belongs to.
    #[field(versions = "0+")]
    pub generation_id: i32,
    /// The member's id.
    #[field(versions = "0+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "3+", nullable = "3+", default = null)]
    pub group_instance_id: Option<String>,
    /// The group's kind, to be checked (KIP-559).
    #[field(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_type: Option<String>,
    /// The assignor's name, to be checked (KIP-559).
    #[field(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_name: Option<String>,
    /// What each member shall read; empty unless the sender leads.
    #[field(versions = "0+")]
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

/// What one member shall read.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct SyncGroupRequestAssignment {
    /// The member's id.
    #[field(versions = "0+")]
    pub member_id: String,
    /// The partitions, in the assignor's encoding.
    #[field(versions = "0+")]
    pub assignment: Bytes,
}

/// What the receiving member shall read.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-5", flexible = "4+")]
pub struct SyncGroupResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The group's kind (KIP-559).
    #[field(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_type: Option<String>,
    /// The assignor's name (KIP-559).
    #[field(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_name: Option<String>,
    /// The partitions, in the assignor's encoding.
    #[field(versions = "0+")]
    pub assignment: Bytes,
}
