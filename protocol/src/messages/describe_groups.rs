//! DescribeGroups: state and members of groups of the classic protocol.
//!
//! Version 3 tells the caller's rights (KIP-430), 4 static members (KIP-345), 6 answers an unknown
//! group with an error (KIP-1043).

use bytes::Bytes;
use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Asks the coordinator for its groups' members.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 15, response = DescribeGroupsResponse, versions = "0-6", flexible = "5+")]
pub struct DescribeGroupsRequest {
    /// The groups' names.
    #[field(versions = "0+")]
    pub groups: Vec<String>,
    /// Asks for the caller's rights on each group (KIP-430).
    #[field(versions = "3+")]
    pub include_authorized_operations: bool,
}

/// The groups asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-6", flexible = "5+")]
pub struct DescribeGroupsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// The groups asked for.
    #[field(versions = "0+")]
    pub groups: Vec<DescribedGroup>,
}

/// One group, or why it can't be told.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "6+", nullable = "6+", default = null)]
    pub error_message: Option<String>,
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// Such as `Stable`, `Empty` or `Dead`.
    #[field(versions = "0+")]
    pub group_state: String,
    /// What kind of group it is: `consumer` for consumers.
    #[field(versions = "0+")]
    pub protocol_type: String,
    /// The assignor's name, empty unless the group is stable.
    #[field(versions = "0+")]
    pub protocol_data: String,
    /// The group's members.
    #[field(versions = "0+")]
    pub members: Vec<DescribedGroupMember>,
    /// Bit set of what the caller may do with the group, `i32::MIN` if not asked for (KIP-430).
    #[field(versions = "3+", default = i32::MIN)]
    pub authorized_operations: i32,
}

/// A member with what it asked for and got.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribedGroupMember {
    /// The member's id.
    #[field(versions = "0+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "4+", nullable = "4+", default = null, ignorable)]
    pub group_instance_id: Option<String>,
    /// The client id of the member's last join.
    #[field(versions = "0+")]
    pub client_id: String,
    /// The address that the member joined from.
    #[field(versions = "0+")]
    pub client_host: String,
    /// What the member told the assignor, in its encoding.
    #[field(versions = "0+")]
    pub member_metadata: Bytes,
    /// What the member shall read, in the assignor's encoding.
    #[field(versions = "0+")]
    pub member_assignment: Bytes,
}
