//! SaslAuthenticate: carries what client and broker say to each other in the mechanism's own
//! language (KIP-152).
//!
//! Version 1 tells how long the login is valid (KIP-368). What is carried can hold passwords, so it
//! is a [`Secret`].

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Secret;

/// What the client says.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 36, response = SaslAuthenticateResponse, versions = "0-2", flexible = "2+")]
pub struct SaslAuthenticateRequest {
    /// The mechanism's bytes.
    #[field(versions = "0+")]
    pub auth_bytes: Secret,
}

/// What the broker says, or why it refuses.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "2+")]
pub struct SaslAuthenticateResponse {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The mechanism's bytes.
    #[field(versions = "0+")]
    pub auth_bytes: Secret,
    /// After how many milliseconds the client must log in again, 0 for never (KIP-368).
    #[field(versions = "1+", ignorable)]
    pub session_lifetime_ms: i64,
}
