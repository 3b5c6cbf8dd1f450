//! DescribeConfigs: settings of topics, brokers and other resources (KIP-133).
//!
//! Version 1 tells sources and synonyms (KIP-226), 3 types and documentation (KIP-569).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Resources whose settings are asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 32, response = DescribeConfigsResponse, versions = "0-4", flexible = "4+")]
pub struct DescribeConfigsRequest {
    /// The resources asked for.
    #[field(versions = "0+")]
    pub resources: Vec<DescribeConfigsResource>,
    /// Asks for every place that has a say (KIP-226).
    #[field(versions = "1+")]
    pub include_synonyms: bool,
    /// Asks for the settings' descriptions (KIP-569).
    #[field(versions = "3+")]
    pub include_documentation: bool,
}

/// A resource, and which of its settings.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeConfigsResource {
    /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
    #[field(versions = "0+")]
    pub resource_type: i8,
    /// The topic's name, or the broker's id in digits.
    #[field(versions = "0+")]
    pub resource_name: String,
    /// The settings' names, none for all.
    #[field(versions = "0+", nullable = "0+")]
    pub configuration_keys: Option<Vec<String>>,
}

/// The settings asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-4", flexible = "4+")]
pub struct DescribeConfigsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The settings, by resource.
    #[field(versions = "0+")]
    pub results: Vec<DescribeConfigsResult>,
}

/// The settings of one resource.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeConfigsResult {
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
    /// The resource's settings.
    #[field(versions = "0+")]
    pub configs: Vec<DescribeConfigsResourceResult>,
}

/// One setting as it stands.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeConfigsResourceResult {
    /// The setting's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The value in force, none if unset or secret.
    #[field(versions = "0+", nullable = "0+")]
    pub value: Option<String>,
    /// Whether it can't be changed.
    #[field(versions = "0+")]
    pub read_only: bool,
    /// Whether nobody set it; version 0 only, since then see `config_source`.
    #[field(versions = "0")]
    pub is_default: bool,
    /// 1 topic, 2 broker dynamic, 3 brokers' dynamic default, 4 broker static, 5 default, 6 logger,
    /// 7 client metrics, 8 group; -1 where unknown.
    #[field(versions = "1+", default = -1, ignorable)]
    pub config_source: i8,
    /// Whether it is a secret; then its value is withheld.
    #[field(versions = "0+")]
    pub is_sensitive: bool,
    /// Every place that has a say, the strongest first (KIP-226).
    #[field(versions = "1+", ignorable)]
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// 1 bool, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password; 0 where
    /// unknown (KIP-569).
    #[field(versions = "3+", ignorable)]
    pub config_type: i8,
    /// The setting's description, if asked for (KIP-569).
    #[field(versions = "3+", nullable = "0+", ignorable)]
    pub documentation: Option<String>,
}

/// A place where the setting could also be made, the strongest first (KIP-226).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeConfigsSynonym {
    /// The setting's name in that place.
    #[field(versions = "1+")]
    pub name: String,
    /// The value there, none if unset or secret.
    #[field(versions = "1+", nullable = "0+")]
    pub value: Option<String>,
    /// Which place it is, numbered as in `config_source`.
    #[field(versions = "1+")]
    pub source: i8,
}
