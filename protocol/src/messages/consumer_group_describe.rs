//! ConsumerGroupDescribe: groups of the newer protocol with their members (KIP-848).
//!
//! Goes to the groups' coordinator; classic groups answer to DescribeGroups. Version 1 tells which
//! members still speak the classic protocol (KIP-1099).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// The groups asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 69, response = ConsumerGroupDescribeResponse, versions = "0-1", flexible = "0+")]
pub struct ConsumerGroupDescribeRequest {
    /// The groups' names.
    #[field(versions = "0+")]
    pub group_ids: Vec<String>,
    /// Asks for the caller's rights on each group.
    #[field(versions = "0+")]
    pub include_authorized_operations: bool,
}

/// The groups as their coordinator knows them.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-1", flexible = "0+")]
pub struct ConsumerGroupDescribeResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
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
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub error_message: Option<String>,
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// Such as `Stable`, `Assigning`, `Reconciling`, `Empty` or `Dead`.
    #[field(versions = "0+")]
    pub group_state: String,
    /// Rises with every change of members, subscriptions or topics.
    #[field(versions = "0+")]
    pub group_epoch: i32,
    /// The group epoch for which the assignment was computed.
    #[field(versions = "0+")]
    pub assignment_epoch: i32,
    /// The assignor that computes it.
    #[field(versions = "0+")]
    pub assignor_name: String,
    /// The group's members.
    #[field(versions = "0+")]
    pub members: Vec<Member>,
    /// Bit set of what the caller may do with the group, `i32::MIN` if not asked for.
    #[field(versions = "0+", default = i32::MIN)]
    pub authorized_operations: i32,
}

/// A member with what it reads and what it shall read.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Member {
    /// The member's id.
    #[field(versions = "0+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub instance_id: Option<String>,
    /// The member's rack, if it told one.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub rack_id: Option<String>,
    /// The epoch up to which the member has followed.
    #[field(versions = "0+")]
    pub member_epoch: i32,
    /// The client id of the member's last heartbeat.
    #[field(versions = "0+")]
    pub client_id: String,
    /// The address that the member speaks from.
    #[field(versions = "0+")]
    pub client_host: String,
    /// The topics subscribed to by name.
    #[field(versions = "0+")]
    pub subscribed_topic_names: Vec<String>,
    /// The regular expression subscribed to, if there is one.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub subscribed_topic_regex: Option<String>,
    /// What the member owns now.
    #[field(versions = "0+")]
    pub assignment: Assignment,
    /// What the member shall own in the end.
    #[field(versions = "0+")]
    pub target_assignment: Assignment,
    /// 0 speaks the classic protocol, 1 the newer one; -1 where unknown (KIP-1099).
    #[field(versions = "1+", default = -1, ignorable)]
    pub member_type: i8,
}

/// Partitions of a member.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The partitions, by topic.
    #[field(versions = "0+")]
    pub topic_partitions: Vec<TopicPartitions>,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicPartitions {
    /// The topic's id.
    #[field(versions = "0+")]
    pub topic_id: Uuid,
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic_name: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partitions: Vec<i32>,
}
