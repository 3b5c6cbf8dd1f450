//! ListGroups: the groups that a broker coordinates.
//!
//! Version 4 filters by state (KIP-518), 5 by type (KIP-848).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Asks a broker which groups it coordinates.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 16, response = ListGroupsResponse, versions = "0-5", flexible = "3+")]
pub struct ListGroupsRequest {
    /// Only groups in these states, empty for any (KIP-518).
    #[field(versions = "4+")]
    pub states_filter: Vec<String>,
    /// Only groups of these types, empty for any (KIP-848).
    #[field(versions = "5+")]
    pub types_filter: Vec<String>,
}

/// The broker's groups that pass the filters.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-5", flexible = "3+")]
pub struct ListGroupsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The groups that pass.
    #[field(versions = "0+")]
    pub groups: Vec<ListedGroup>,
}

/// One group in short.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ListedGroup {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// What kind of group it is: `consumer` for consumers.
    #[field(versions = "0+")]
    pub protocol_type: String,
    /// Such as `Stable`, `Empty` or `Dead` (KIP-518).
    #[field(versions = "4+", ignorable)]
    pub group_state: String,
    /// Such as `classic` or `consumer` (KIP-848).
    #[field(versions = "5+", ignorable)]
    pub group_type: String,
}
