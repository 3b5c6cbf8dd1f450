//! FindCoordinator: which broker coordinates a group or a transactional id.
//!
//! Version 1 adds transactions (KIP-98), 4 asks for many keys at once (KIP-699), 6 knows share
//! groups (KIP-932).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Asks who coordinates: one `key` up to version 3, `coordinator_keys` since 4.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 10, response = FindCoordinatorResponse, versions = "0-6", flexible = "3+")]
pub struct FindCoordinatorRequest {
    /// The group or transactional id; up to version 3.
    #[field(versions = "0-3")]
    pub key: String,
    /// 0 for groups, 1 for transactional ids, 2 for share groups.
    #[field(versions = "1+")]
    pub key_type: i8,
    /// The groups or transactional ids; since version 4 (KIP-699).
    #[field(versions = "4+")]
    pub coordinator_keys: Vec<String>,
}

/// The coordinator up to version 3; since 4 one entry for each key.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-6", flexible = "3+")]
pub struct FindCoordinatorResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0-3")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "1-3", nullable = "1-3", ignorable)]
    pub error_message: Option<String>,
    /// The coordinator's broker id.
    #[field(versions = "0-3")]
    pub node_id: i32,
    /// The host name or address to connect to.
    #[field(versions = "0-3")]
    pub host: String,
    /// The port to connect to.
    #[field(versions = "0-3")]
    pub port: i32,
    /// The coordinators, by key; since version 4 (KIP-699).
    #[field(versions = "4+")]
    pub coordinators: Vec<Coordinator>,
}

/// The coordinator of one key.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Coordinator {
    /// The group or transactional id that was asked about.
    #[field(versions = "4+")]
    pub key: String,
    /// The coordinator's broker id, -1 with an error.
    #[field(versions = "4+")]
    pub node_id: i32,
    /// The host name or address to connect to.
    #[field(versions = "4+")]
    pub host: String,
    /// The port to connect to.
    #[field(versions = "4+")]
    pub port: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "4+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "4+", nullable = "4+", ignorable)]
    pub error_message: Option<String>,
}
