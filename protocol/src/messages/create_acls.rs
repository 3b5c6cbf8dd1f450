//! CreateAcls: adds access rules (KIP-140).
//!
//! Version 1 knows patterns of names (KIP-290), 3 users as resources (KIP-373).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Rules to add.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 30, response = CreateAclsResponse, versions = "0-3", flexible = "2+")]
pub struct CreateAclsRequest {
    /// The rules.
    #[field(versions = "0+")]
    pub creations: Vec<AclCreation>,
}

/// A rule to add.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AclCreation {
    /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
    #[field(versions = "0+")]
    pub resource_type: i8,
    /// The resource's name, `*` for all; or the prefix of several names.
    #[field(versions = "0+")]
    pub resource_name: String,
    /// How the name is meant: 3 literally, 4 as a prefix (KIP-290).
    #[field(versions = "1+", default = 3)]
    pub resource_pattern_type: i8,
    /// Whom it is about, such as `User:alice`; `User:*` for everyone.
    #[field(versions = "0+")]
    pub principal: String,
    /// From where, `*` for anywhere.
    #[field(versions = "0+")]
    pub host: String,
    /// 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10
    /// describe configs, 11 alter configs, 12 idempotent write, 13 create tokens, 14 describe
    /// tokens, 15 two-phase commit.
    #[field(versions = "0+")]
    pub operation: i8,
    /// 2 denies, 3 allows.
    #[field(versions = "0+")]
    pub permission_type: i8,
}

/// What became of each rule.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "2+")]
pub struct CreateAclsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, in the order of the request.
    #[field(versions = "0+")]
    pub results: Vec<AclCreationResult>,
}

/// The outcome of one rule.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AclCreationResult {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
}
