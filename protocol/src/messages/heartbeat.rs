//! Heartbeat: a member of the classic protocol says that it lives, and learns of rebalances.
//!
//! Version 3 adds static members (KIP-345).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// A sign of life.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 12, response = HeartbeatResponse, versions = "0-4", flexible = "4+")]
pub struct HeartbeatRequest {
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
}

/// Whether the member is still in the generation.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-4", flexible = "4+")]
pub struct HeartbeatResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// `REBALANCE_IN_PROGRESS` asks the member to join again; `ErrorCode::NONE` is well.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
