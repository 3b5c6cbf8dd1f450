//! UpdateFeatures: sets the levels of the cluster's features, such as `metadata.version` (KIP-584).
//!
//! Version 1 can try without doing, and says how a downgrade is meant (KIP-778); 2 answers with one
//! outcome for all features.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The levels to set.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 57, response = UpdateFeaturesResponse, versions = "0-2", flexible = "0+")]
pub struct UpdateFeaturesRequest {
    /// How long the controller may take, in milliseconds.
    #[field(versions = "0+", default = 60_000)]
    pub timeout_ms: i32,
    /// The levels, by feature.
    #[field(versions = "0+")]
    pub feature_updates: Vec<FeatureUpdateKey>,
    /// Only checks; nothing is changed.
    #[field(versions = "1+")]
    pub validate_only: bool,
}

/// The level of one feature.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct FeatureUpdateKey {
    /// The feature's name.
    #[field(versions = "0+")]
    pub feature: String,
    /// The level to set; 0 drops the feature.
    #[field(versions = "0+")]
    pub max_version_level: i16,
    /// Whether the level may fall; version 0 only, since then `upgrade_type` says it.
    #[field(versions = "0")]
    pub allow_downgrade: bool,
    /// 1 only raises the level, 2 may lower it if nothing is lost, 3 may lower it even so
    /// (KIP-778).
    #[field(versions = "1+", default = 1)]
    pub upgrade_type: i8,
}

/// Whether the levels were set.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "0+")]
pub struct UpdateFeaturesResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong with all of it, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The outcomes, by feature; up to version 1.
    #[field(versions = "0-1", ignorable)]
    pub results: Vec<UpdatableFeatureResult>,
}

/// The outcome of one feature.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct UpdatableFeatureResult {
    /// The feature's name.
    #[field(versions = "0+")]
    pub feature: String,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
}
