//! GetTelemetrySubscriptions: which of its metrics a client shall push to the broker (KIP-714).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Asks which metrics are wanted.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 71, response = GetTelemetrySubscriptionsResponse, versions = "0", flexible = "0+")]
pub struct GetTelemetrySubscriptionsRequest {
    /// The client's own id, `Uuid::ZERO` to be given one.
    #[field(versions = "0+")]
    pub client_instance_id: Uuid,
}

/// The metrics wanted, and how to push them.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct GetTelemetrySubscriptionsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The id given, `Uuid::ZERO` if the client had one.
    #[field(versions = "0+")]
    pub client_instance_id: Uuid,
    /// Which set of wishes this is, to be told with each push.
    #[field(versions = "0+")]
    pub subscription_id: i32,
    /// Compressions that the broker accepts, its favourite first, numbered as in record batches.
    #[field(versions = "0+")]
    pub accepted_compression_types: Vec<i8>,
    /// How many milliseconds to wait between pushes.
    #[field(versions = "0+")]
    pub push_interval_ms: i32,
    /// The largest push that the broker accepts, in bytes after compression.
    #[field(versions = "0+")]
    pub telemetry_max_bytes: i32,
    /// Whether counters tell what was added since the last push rather than their sum.
    #[field(versions = "0+")]
    pub delta_temporality: bool,
    /// Prefixes of the metrics' names; empty for no metric, one empty prefix for all.
    #[field(versions = "0+")]
    pub requested_metrics: Vec<String>,
}
