//! RenewDelegationToken: puts off the moment at which a token expires (KIP-48).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Secret;

/// The token to renew.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 39, response = RenewDelegationTokenResponse, versions = "0-2", flexible = "2+")]
pub struct RenewDelegationTokenRequest {
    /// The token's secret.
    #[field(versions = "0+")]
    pub hmac: Secret,
    /// For how many milliseconds from now; -1 for the broker's setting.
    #[field(versions = "0+")]
    pub renew_period_ms: i64,
}

/// When the token expires now.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "2+")]
pub struct RenewDelegationTokenResponse {
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
