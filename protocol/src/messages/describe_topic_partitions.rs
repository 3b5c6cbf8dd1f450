//! DescribeTopicPartitions: like Metadata, page by page, with eligible leader replicas (KIP-966).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Asks for one page of topics and partitions.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 75, response = DescribeTopicPartitionsResponse, versions = "0", flexible = "0+")]
pub struct DescribeTopicPartitionsRequest {
    /// The topics asked for, empty for all.
    #[field(versions = "0+")]
    pub topics: Vec<TopicRequest>,
    /// The most partitions on the page.
    #[field(versions = "0+", default = 2000)]
    pub response_partition_limit: i32,
    /// Where the page begins, none for the start.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub cursor: Option<Cursor>,
}

/// A topic asked for.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicRequest {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
}

/// Where a page ends and the next begins.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Cursor {
    /// The topic to go on with.
    #[field(versions = "0+")]
    pub topic_name: String,
    /// The partition to go on with.
    #[field(versions = "0+")]
    pub partition_index: i32,
}

/// One page of topics and partitions.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct DescribeTopicPartitionsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+", ignorable)]
    pub throttle_time_ms: i32,
    /// The topics of this page.
    #[field(versions = "0+")]
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// Where the next page begins, none at the end.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub next_cursor: Option<Cursor>,
}

/// A topic with its partitions of this page.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponseTopic {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The topic's name, none if the caller may not know it.
    #[field(versions = "0+", nullable = "0+")]
    pub name: Option<String>,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "0+", ignorable)]
    pub topic_id: Uuid,
    /// Whether Kafka itself keeps its books in this topic.
    #[field(versions = "0+", ignorable)]
    pub is_internal: bool,
    /// The topic's partitions on this page.
    #[field(versions = "0+")]
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// Bit set of what the caller may do with the topic, `i32::MIN` if not asked for (KIP-430).
    #[field(versions = "0+", default = i32::MIN)]
    pub topic_authorized_operations: i32,
}

/// A partition with its leader and replicas.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The leading broker, -1 if there is none or it is unknown.
    #[field(versions = "0+")]
    pub leader_id: i32,
    /// The leader's epoch, -1 where unknown (KIP-320).
    #[field(versions = "0+", default = -1, ignorable)]
    pub leader_epoch: i32,
    /// All replicas, the preferred leader first.
    #[field(versions = "0+")]
    pub replica_nodes: Vec<i32>,
    /// The replicas that keep up with the leader.
    #[field(versions = "0+")]
    pub isr_nodes: Vec<i32>,
    /// Replicas outside the in-sync set that may still lead safely (KIP-966).
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// The eligible leader replicas before an unclean end (KIP-966).
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub last_known_elr: Option<Vec<i32>>,
    /// The replicas that can't be reached (KIP-112).
    #[field(versions = "0+", ignorable)]
    pub offline_replicas: Vec<i32>,
}
