//! AlterConfigs: replaces all settings of a resource (KIP-133). What is not named falls back to its
//! default, so IncrementalAlterConfigs, which brokers know since 2.3, is what to use.

use std::fmt;

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Settings to replace.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 33, response = AlterConfigsResponse, versions = "0-2", flexible = "2+")]
pub struct AlterConfigsRequest {
    /// The settings, by resource.
    #[field(versions = "0+")]
    pub resources: Vec<AlterConfigsResource>,
    /// Only checks; nothing is changed.
    #[field(versions = "0+")]
    pub validate_only: bool,
}

/// All the settings that one resource shall have.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterConfigsResource {
    /// 2 topic, 4 broker.
    #[field(versions = "0+")]
    pub resource_type: i8,
    /// The topic's name, or the broker's id in digits; empty for all brokers' default.
    #[field(versions = "0+")]
    pub resource_name: String,
    /// The settings; all others are dropped.
    #[field(versions = "0+")]
    pub configs: Vec<AlterableConfig>,
}

/// One setting.
#[derive(Message, Clone, PartialEq)]
pub struct AlterableConfig {
    /// The setting's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The setting's value, none for its default.
    #[field(versions = "0+", nullable = "0+")]
    pub value: Option<String>,
}

/// Without the value, which may be a password.
impl fmt::Debug for AlterableConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlterableConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What became of each resource's settings.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "2+")]
pub struct AlterConfigsResponse {
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
