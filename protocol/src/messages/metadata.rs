//! Metadata: brokers, topics, partitions and their leaders, as one broker sees them.
//!
//! Version 5 tells offline replicas (KIP-112), 7 leader epochs (KIP-320), 8 the caller's rights
//! (KIP-430), 10 topic ids (KIP-516), 12 lets a topic be asked for by id alone, 13 has a top-level
//! error (KIP-1102).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Asks for all topics, some, or (an empty list) only for the brokers.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 3, response = MetadataResponse, versions = "0-13", flexible = "9+")]
pub struct MetadataRequest {
    /// The topics asked for; none means all, empty means none, but in version 0 empty means all.
    #[field(versions = "0+", nullable = "1+")]
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Whether the broker may create what is missing, if its settings allow it.
    #[field(versions = "4+", default = true)]
    pub allow_auto_topic_creation: bool,
    /// Asks for the caller's rights on the cluster (KIP-430).
    #[field(versions = "8-10")]
    pub include_cluster_authorized_operations: bool,
    /// Asks for the caller's rights on each topic (KIP-430).
    #[field(versions = "8+")]
    pub include_topic_authorized_operations: bool,
}

/// A topic asked for, by name or by id.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct MetadataRequestTopic {
    /// The topic's id; `Uuid::ZERO` asks by name (KIP-516).
    #[field(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    /// The topic's name; none asks by id.
    #[field(versions = "0+", nullable = "10+")]
    pub name: Option<String>,
}

/// The cluster as the answering broker sees it.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-13", flexible = "9+")]
pub struct MetadataResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    /// The living brokers.
    #[field(versions = "0+")]
    pub brokers: Vec<MetadataResponseBroker>,
    /// The cluster's id, if it has one.
    #[field(versions = "2+", nullable = "2+", default = null, ignorable)]
    pub cluster_id: Option<String>,
    /// The controller's broker id, -1 where unknown.
    #[field(versions = "1+", default = -1, ignorable)]
    pub controller_id: i32,
    /// The topics asked for.
    #[field(versions = "0+")]
    pub topics: Vec<MetadataResponseTopic>,
    /// Bit set of what the caller may do with the cluster, `i32::MIN` if not asked for (KIP-430).
    #[field(versions = "8-10", default = i32::MIN)]
    pub cluster_authorized_operations: i32,
    /// `REBOOTSTRAP_REQUIRED` where the client had better start anew (KIP-1102), else
    /// `ErrorCode::NONE`.
    #[field(versions = "13+", ignorable)]
    pub error_code: ErrorCode,
}

/// A broker and where it listens for the caller's listener.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct MetadataResponseBroker {
    /// The broker's id.
    #[field(versions = "0+")]
    pub node_id: i32,
    /// The host name or address to connect to.
    #[field(versions = "0+")]
    pub host: String,
    /// The port to connect to.
    #[field(versions = "0+")]
    pub port: i32,
    /// The broker's rack, if it has one.
    #[field(versions = "1+", nullable = "1+", default = null, ignorable)]
    pub rack: Option<String>,
}

/// A topic with its partitions, or why it has none.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct MetadataResponseTopic {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The topic's name; none only if an unknown id was asked for.
    #[field(versions = "0+", nullable = "12+")]
    pub name: Option<String>,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    /// Whether Kafka itself keeps its books in this topic.
    #[field(versions = "1+", ignorable)]
    pub is_internal: bool,
    /// The topic's partitions.
    #[field(versions = "0+")]
    pub partitions: Vec<MetadataResponsePartition>,
    /// Bit set of what the caller may do with the topic, `i32::MIN` if not asked for (KIP-430).
    #[field(versions = "8+", default = i32::MIN)]
    pub topic_authorized_operations: i32,
}

/// A partition with its leader and replicas.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct MetadataResponsePartition {
    /// Such as `LEADER_NOT_AVAILABLE`, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The leading broker, -1 if there is none or it is unknown.
    #[field(versions = "0+")]
    pub leader_id: i32,
    /// The leader's epoch, -1 where unknown (KIP-320).
    #[field(versions = "7+", default = -1, ignorable)]
    pub leader_epoch: i32,
    /// All replicas, the preferred leader first.
    #[field(versions = "0+")]
    pub replica_nodes: Vec<i32>,
    /// The replicas that keep up with the leader.
    #[field(versions = "0+")]
    pub isr_nodes: Vec<i32>,
    /// The replicas that can't be reached (KIP-112).
    #[field(versions = "5+", ignorable)]
    pub offline_replicas: Vec<i32>,
}
