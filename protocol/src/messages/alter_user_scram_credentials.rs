//! AlterUserScramCredentials: sets and deletes users' SCRAM credentials (KIP-554).
//!
//! The client hashes the password, which never travels itself; what does travel suffices to log in,
//! so it is a [`Secret`].

use bytes::Bytes;
use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Secret;

/// Credentials to delete and to set; a user and mechanism may come once.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 51, response = AlterUserScramCredentialsResponse, versions = "0", flexible = "0+")]
pub struct AlterUserScramCredentialsRequest {
    /// The credentials to delete.
    #[field(versions = "0+")]
    pub deletions: Vec<ScramCredentialDeletion>,
    /// The credentials to set.
    #[field(versions = "0+")]
    pub upsertions: Vec<ScramCredentialUpsertion>,
}

/// A credential to delete.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ScramCredentialDeletion {
    /// The user's name.
    #[field(versions = "0+")]
    pub name: String,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    #[field(versions = "0+")]
    pub mechanism: i8,
}

/// A credential to set.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ScramCredentialUpsertion {
    /// The user's name.
    #[field(versions = "0+")]
    pub name: String,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    #[field(versions = "0+")]
    pub mechanism: i8,
    /// How often the password was hashed; at least 4096, at most 16384.
    #[field(versions = "0+")]
    pub iterations: i32,
    /// Random bytes that were hashed with the password.
    #[field(versions = "0+")]
    pub salt: Bytes,
    /// The hashed password (RFC 5802, `SaltedPassword`).
    #[field(versions = "0+")]
    pub salted_password: Secret,
}

/// What became of each user's credentials.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct AlterUserScramCredentialsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by user.
    #[field(versions = "0+")]
    pub results: Vec<AlterUserScramCredentialsResult>,
}

/// The outcome of one user.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterUserScramCredentialsResult {
    /// The user's name.
    #[field(versions = "0+")]
    pub user: String,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
}
