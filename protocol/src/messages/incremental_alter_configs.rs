//! IncrementalAlterConfigs: changes single settings and leaves the others alone (KIP-339).
//!
//! Goes to the broker whose settings they are, anything else to any broker.

use std::fmt;

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Settings to change.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 44, response = IncrementalAlterConfigsResponse, versions = "0-1", flexible = "1+")]
pub struct IncrementalAlterConfigsRequest {
    /// The changes, by resource.
    #[field(versions = "0+")]
    pub resources: Vec<AlterConfigsResource>,
    /// Only checks; nothing is changed.
    #[field(versions = "0+")]
    pub validate_only: bool,
}

/// The changes of one resource.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterConfigsResource {
    /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
    #[field(versions = "0+")]
    pub resource_type: i8,
    /// The topic's or group's name, or the broker's id in digits; empty for all brokers' default.
    #[field(versions = "0+")]
    pub resource_name: String,
    /// The changes.
    #[field(versions = "0+")]
    pub configs: Vec<AlterableConfig>,
}

/// The change of one setting.
#[derive(Message, Clone, PartialEq)]
pub struct AlterableConfig {
    /// The setting's name.
    #[field(versions = "0+")]
    pub name: String,
    /// 0 sets the value, 1 falls back to the default, 2 appends to a list, 3 takes from a list.
    #[field(versions = "0+")]
    pub config_operation: i8,
    /// The value to set, append or take; none to delete.
    #[field(versions = "0+", nullable = "0+")]
    pub value: Option<String>,
}

/// Without the value, which may be a password.
impl fmt::Debug for AlterableConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlterableConfig")
            .field("name", &self.name)
            .field("config_operation", &self.config_operation)
            .finish_non_exhaustive()
    }
}

/// What became of each resource's changes.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-1", flexible = "1+")]
pub struct IncrementalAlterConfigsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by resource.
    #[field(versions = "0+")]
    pub responses: Vec<AlterConfigsResourceResponse>,
}

/// The outcome of one resource.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterConfigsResourceResponse {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The kind of resource, as in the request.
    #[field(versions = "0+")]
    pub resource_type: i8,
    /// The resource's name, as in the request.
    #[field(versions = "0+")]
    pub resource_name: String,
}
