//! SaslHandshake: picks the mechanism with which to log in (KIP-43).
//!
//! Since version 1 tokens travel in SaslAuthenticate (KIP-152), in version 0 as bare bytes with
//! their length. Never flexible: clients up to 2.4 would not cope with a newer version.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The mechanism that the client wants.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 17, response = SaslHandshakeResponse, versions = "0-1", flexible = "none")]
pub struct SaslHandshakeRequest {
    /// Such as `PLAIN`, `SCRAM-SHA-256` or `OAUTHBEARER`.
    #[field(versions = "0+")]
    pub mechanism: String,
}

/// Whether the broker has that mechanism.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-1", flexible = "none")]
pub struct SaslHandshakeResponse {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// All mechanisms that the broker has.
    #[field(versions = "0+")]
    pub mechanisms: Vec<String>,
}
