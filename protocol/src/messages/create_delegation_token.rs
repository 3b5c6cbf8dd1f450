//! CreateDelegationToken: a token with which others log in on its owner's behalf (KIP-48).
//!
//! Version 3 can create tokens for another owner (KIP-373).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Secret;

/// The token to create.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 38, response = CreateDelegationTokenResponse, versions = "0-3", flexible = "2+")]
pub struct CreateDelegationTokenRequest {
    /// The kind of principal that owns it, none for the asking one (KIP-373).
    #[field(versions = "3+", nullable = "3+")]
    pub owner_principal_type: Option<String>,
    /// The owner's name, none for the asking principal (KIP-373).
    #[field(versions = "3+", nullable = "3+")]
    pub owner_principal_name: Option<String>,
    /// Who may renew it beside its owner.
    #[field(versions = "0+")]
    pub renewers: Vec<CreatableRenewers>,
    /// After how many milliseconds it can be renewed no more; -1 for the broker's setting.
    #[field(versions = "0+")]
    pub max_lifetime_ms: i64,
}

/// A principal that may renew the token.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatableRenewers {
    /// The kind of principal, such as `User`.
    #[field(versions = "0+")]
    pub principal_type: String,
    /// The principal's name.
    #[field(versions = "0+")]
    pub principal_name: String,
}

/// The token created.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "2+")]
pub struct CreateDelegationTokenResponse {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The kind of principal that owns it, such as `User`.
    #[field(versions = "0+")]
    pub principal_type: String,
    /// The owner's name.
    #[field(versions = "0+")]
    pub principal_name: String,
    /// The kind of principal that asked for it (KIP-373).
    #[field(versions = "3+")]
    pub token_requester_principal_type: String,
    /// The name of the principal that asked for it (KIP-373).
    #[field(versions = "3+")]
    pub token_requester_principal_name: String,
    /// When it was created, in milliseconds since 1970.
    #[field(versions = "0+")]
    pub issue_timestamp_ms: i64,
    /// When it expires unless renewed, in milliseconds since 1970.
    #[field(versions = "0+")]
    pub expiry_timestamp_ms: i64,
    /// Until when it can be renewed, in milliseconds since 1970.
    #[field(versions = "0+")]
    pub max_timestamp_ms: i64,
    /// The token's id, to log in with as a user's name.
    #[field(versions = "0+")]
    pub token_id: String,
    /// The token's secret, to log in with, in base64, as a password.
    #[field(versions = "0+")]
    pub hmac: Secret,
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
}
