//! PushTelemetry: a client's metrics for the broker to pass on (KIP-714).

use bytes::Bytes;
use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// The metrics that the broker has asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 72, response = PushTelemetryResponse, versions = "0", flexible = "0+")]
pub struct PushTelemetryRequest {
    /// The client's id.
    #[field(versions = "0+")]
    pub client_instance_id: Uuid,
    /// The set of wishes that this answers.
    #[field(versions = "0+")]
    pub subscription_id: i32,
    /// Whether the client ends, and this is its last push.
    #[field(versions = "0+")]
    pub terminating: bool,
    /// How `metrics` is compressed, numbered as in record batches.
    #[field(versions = "0+")]
    pub compression_type: i8,
    /// OpenTelemetry's `MetricsData` of version 1 as protobuf.
    #[field(versions = "0+")]
    pub metrics: Bytes,
}

/// Whether the broker took them.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct PushTelemetryResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
