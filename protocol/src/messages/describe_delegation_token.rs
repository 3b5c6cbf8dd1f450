//! DescribeDelegationToken: the tokens that the caller may see, with their secrets (KIP-48).
//!
//! Version 3 tells who asked for a token (KIP-373).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Secret;

/// Whose tokens to describe.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 41, response = DescribeDelegationTokenResponse, versions = "0-3", flexible = "2+")]
pub struct DescribeDelegationTokenRequest {
    /// The owners, none for all.
    #[field(versions = "0+", nullable = "0+")]
    pub owners: Option<Vec<DescribeDelegationTokenOwner>>,
}

/// An owner of tokens.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeDelegationTokenOwner {
    /// The kind of principal, such as `User`.
    #[field(versions = "0+")]
    pub principal_type: String,
    /// The principal's name.
    #[field(versions = "0+")]
    pub principal_name: String,
}

/// The tokens.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "2+")]
pub struct DescribeDelegationTokenResponse {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The tokens.
    #[field(versions = "0+")]
    pub tokens: Vec<DescribedDelegationToken>,
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
}

/// A token.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribedDelegationToken {
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
    pub issue_timestamp: i64,
    /// When it expires unless renewed, in milliseconds since 1970.
    #[field(versions = "0+")]
    pub expiry_timestamp: i64,
    /// Until when it can be renewed, in milliseconds since 1970.
    #[field(versions = "0+")]
    pub max_timestamp: i64,
    /// The token's id.
    #[field(versions = "0+")]
    pub token_id: String,
    /// The token's secret.
    #[field(versions = "0+")]
    pub hmac: Secret,
    /// Who may renew it beside its owner.
    #[field(versions = "0+")]
    pub renewers: Vec<DescribedDelegationTokenRenewer>,
}

/// A principal that may renew a token.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribedDelegationTokenRenewer {
    /// The kind of principal, such as `User`.
    #[field(versions = "0+")]
    pub principal_type: String,
    /// The principal's name.
    #[field(versions = "0+")]
    pub principal_name: String,
}
