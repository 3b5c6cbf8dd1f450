//! ApiVersions: a client asks which APIs a broker speaks and in which versions (KIP-35).
//!
//! Version 3 is flexible and names the client's software (KIP-511); features travel as tagged
//! fields since then (KIP-584). A broker that does not know the asked version answers in version 0,
//! so the response header of this API never carries tagged fields.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Asks for the broker's API versions; the first request on a connection.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 18, response = ApiVersionsResponse, versions = "0-4", flexible = "3+")]
pub struct ApiVersionsRequest {
    /// The client library's name, letters, digits, dots and dashes (KIP-511).
    #[field(versions = "3+", ignorable)]
    pub client_software_name: String,
    /// The client library's version, of the same letters (KIP-511).
    #[field(versions = "3+", ignorable)]
    pub client_software_version: String,
}

/// What the broker speaks, and the cluster's features.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-4", flexible = "3+")]
pub struct ApiVersionsResponse {
    /// `UNSUPPORTED_VERSION` if the request's version is unknown; `api_keys` still helps then.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The APIs that the broker answers, each with its versions.
    #[field(versions = "0+")]
    pub api_keys: Vec<ApiVersion>,
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// Features that this broker could run (KIP-584).
    #[field(versions = "3+", tagged = 0, ignorable)]
    pub supported_features: Vec<SupportedFeatureKey>,
    /// Grows with every change of the finalized features, -1 where unknown.
    #[field(versions = "3+", tagged = 1, default = -1, ignorable)]
    pub finalized_features_epoch: i64,
    /// Features that the whole cluster runs; valid only with an epoch of at least 0.
    #[field(versions = "3+", tagged = 2, ignorable)]
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// Whether a KRaft controller could take over from ZooKeeper (KIP-866).
    #[field(versions = "3+", tagged = 3, ignorable)]
    pub zk_migration_ready: bool,
}

/// The versions of one API that the broker speaks.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ApiVersion {
    /// The API's number.
    #[field(versions = "0+")]
    pub api_key: i16,
    /// The lowest version the broker speaks.
    #[field(versions = "0+")]
    pub min_version: i16,
    /// The highest version the broker speaks.
    #[field(versions = "0+")]
    pub max_version: i16,
}

/// A feature that this broker could run, with its levels.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct SupportedFeatureKey {
    /// The feature's name.
    #[field(versions = "3+")]
    pub name: String,
    /// The lowest level.
    #[field(versions = "3+")]
    pub min_version: i16,
    /// The highest level.
    #[field(versions = "3+")]
    pub max_version: i16,
}

/// A feature that the cluster has agreed on, with its levels.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct FinalizedFeatureKey {
    /// The feature's name.
    #[field(versions = "3+")]
    pub name: String,
    /// The highest level in force.
    #[field(versions = "3+")]
    pub max_version_level: i16,
    /// The lowest level in force.
    #[field(versions = "3+")]
    pub min_version_level: i16,
}
