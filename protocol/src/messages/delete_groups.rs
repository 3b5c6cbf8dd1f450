//! DeleteGroups: removes groups that have no members, and their positions (KIP-229).
//!
//! Goes to the groups' coordinator. Version 3 tells why a group could not be deleted.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The groups to delete.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 42, response = DeleteGroupsResponse, versions = "0-3", flexible = "2+")]
pub struct DeleteGroupsRequest {
    /// The groups' names.
    #[field(versions = "0+")]
    pub groups_names: Vec<String>,
}

/// What became of each group.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "2+")]
pub struct DeleteGroupsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by group.
    #[field(versions = "0+")]
    pub results: Vec<DeletableGroupResult>,
}

/// The outcome of one group.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DeletableGroupResult {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "3+", nullable = "3+", default = null, ignorable)]
    pub error_message: Option<String>,
}
