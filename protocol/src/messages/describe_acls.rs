//! DescribeAcls: the access rules that match a filter (KIP-140).
//!
//! Version 1 knows patterns of names (KIP-290), 3 users as resources (KIP-373). Kinds, operations
//! and permissions are numbered as in CreateAcls.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Which rules to list.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 29, response = DescribeAclsResponse, versions = "0-3", flexible = "2+")]
pub struct DescribeAclsRequest {
    /// The kind of resource, 1 for any.
    #[field(versions = "0+")]
    pub resource_type_filter: i8,
    /// The resource's name, none for any.
    #[field(versions = "0+", nullable = "0+")]
    pub resource_name_filter: Option<String>,
    /// The kind of pattern: 1 any, 2 all that match the name, 3 literal, 4 prefixed (KIP-290).
    #[field(versions = "1+", default = 3)]
    pub pattern_type_filter: i8,
    /// The principal, none for any.
    #[field(versions = "0+", nullable = "0+")]
    pub principal_filter: Option<String>,
    /// The host, none for any.
    #[field(versions = "0+", nullable = "0+")]
    pub host_filter: Option<String>,
    /// The operation, 1 for any.
    #[field(versions = "0+")]
    pub operation: i8,
    /// The permission, 1 for any.
    #[field(versions = "0+")]
    pub permission_type: i8,
}

/// The rules that match.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "2+")]
pub struct DescribeAclsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The rules, by resource.
    #[field(versions = "0+")]
    pub resources: Vec<DescribeAclsResource>,
}

/// The rules of one resource.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeAclsResource {
    /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
    #[field(versions = "0+")]
    pub resource_type: i8,
    /// The resource's name, or the prefix of several names.
    #[field(versions = "0+")]
    pub resource_name: String,
    /// How the name is meant: 3 literally, 4 as a prefix (KIP-290).
    #[field(versions = "1+", default = 3)]
    pub pattern_type: i8,
    /// The rules.
    #[field(versions = "0+")]
    pub acls: Vec<AclDescription>,
}

/// One access rule.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AclDescription {
    /// Whom it is about, such as `User:alice`.
    #[field(versions = "0+")]
    pub principal: String,
    /// From where, `*` for anywhere.
    #[field(versions = "0+")]
    pub host: String,
    /// What it is about, numbered as in CreateAcls.
    #[field(versions = "0+")]
    pub operation: i8,
    /// 2 denies, 3 allows.
    #[field(versions = "0+")]
    pub permission_type: i8,
}
