//! ExpireDelegationToken: changes the moment at which a token expires, or ends it at once (KIP-48).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Secret;

/// The token to end.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 40, response = ExpireDelegationTokenResponse, versions = "0-2", flexible = "2+")]
pub struct ExpireDelegationTokenRequest {
    /// The token's secret.
    #[field(versions = "0+")]
    pub hmac: Secret,
    /// In how many milliseconds from now; negative ends it at once.
    #[field(versions = "0+")]
    pub expiry_time_period_ms: i64,
}

/// When the token expires now.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "2+")]
pub struct ExpireDelegationTokenResponse {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// When it expires, in milliseconds since 1970.
    #[field(versions = "0+")]
    pub expiry_timestamp_ms: i64,
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
}
