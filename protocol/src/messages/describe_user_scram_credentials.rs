//! DescribeUserScramCredentials: which SCRAM mechanisms users can log in with (KIP-554). Neither
//! salts nor passwords are told.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The users asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(
    key = 50,
    response = DescribeUserScramCredentialsResponse,
    versions = "0",
    flexible = "0+"
)]
pub struct DescribeUserScramCredentialsRequest {
    /// The users; none or empty for all.
    #[field(versions = "0+", nullable = "0+")]
    pub users: Option<Vec<UserName>>,
}

/// A user.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct UserName {
    /// The user's name.
    #[field(versions = "0+")]
    pub name: String,
}

/// The users' mechanisms.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct DescribeUserScramCredentialsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong with all of it, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The mechanisms, by user.
    #[field(versions = "0+")]
    pub results: Vec<DescribeUserScramCredentialsResult>,
}

/// One user, or why it can't be told.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeUserScramCredentialsResult {
    /// The user's name.
    #[field(versions = "0+")]
    pub user: String,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The mechanisms, one credential each.
    #[field(versions = "0+")]
    pub credential_infos: Vec<CredentialInfo>,
}

/// What may be known of a credential.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CredentialInfo {
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    #[field(versions = "0+")]
    pub mechanism: i8,
    /// How often the password was hashed.
    #[field(versions = "0+")]
    pub iterations: i32,
}
