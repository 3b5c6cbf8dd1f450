//! ConsumerGroupHeartbeat: a member joins, stays in and leaves a group whose coordinator assigns
//! (KIP-848). What it sends is what has changed; what it gets is what it shall own next.
//!
//! In version 1 the member makes its own id (KIP-1082), and may subscribe by a regular expression
//! that the broker evaluates.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// What has changed at the member since its last heartbeat.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 68, response = ConsumerGroupHeartbeatResponse, versions = "0-1", flexible = "0+")]
pub struct ConsumerGroupHeartbeatRequest {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// The member's id, kept for its whole life; since version 1 never empty.
    #[field(versions = "0+")]
    pub member_id: String,
    /// The epoch that the coordinator gave; 0 joins, -1 leaves, -2 leaves for a while as a static
    /// member.
    #[field(versions = "0+")]
    pub member_epoch: i32,
    /// The static member's name, none if it is none or unchanged (KIP-345).
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub instance_id: Option<String>,
    /// The member's rack, none if it has none or it is unchanged.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub rack_id: Option<String>,
    /// How long the member may take to give partitions up, in milliseconds; -1 if unchanged.
    #[field(versions = "0+", default = -1)]
    pub rebalance_timeout_ms: i32,
    /// The topics subscribed to, none if unchanged.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub subscribed_topic_names: Option<Vec<String>>,
    /// A regular expression in RE2's syntax for topics to subscribe to, none if unchanged; an empty
    /// one ends it.
    #[field(versions = "1+", nullable = "1+", default = null)]
    pub subscribed_topic_regex: Option<String>,
    /// The coordinator's assignor that the member wants, none if it does not care or it is
    /// unchanged.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub server_assignor: Option<String>,
    /// The partitions that the member owns, none if unchanged.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicPartitions {
    /// The topic's id.
    #[field(versions = "0+")]
    pub topic_id: Uuid,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partitions: Vec<i32>,
}

/// The member's epoch, and what it shall own if that has changed.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-1", flexible = "0+")]
pub struct ConsumerGroupHeartbeatResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub error_message: Option<String>,
    /// The member's id; in version 0 the coordinator may have made it.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub member_id: Option<String>,
    /// The epoch to send with the next heartbeat.
    #[field(versions = "0+")]
    pub member_epoch: i32,
    /// How many milliseconds to wait before the next heartbeat.
    #[field(versions = "0+")]
    pub heartbeat_interval_ms: i32,
    /// What the member shall own, none if unchanged.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub assignment: Option<Assignment>,
}

/// What a member shall own.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Assignment {
    /// All its partitions, by topic; they are free to be read at once.
    #[field(versions = "0+")]
    pub topic_partitions: Vec<TopicPartitions>,
}
