//! Produce: record batches go in, base offsets come out.
//!
//! Batches of magic 2 start with version 3 (KIP-98), zstd with 7 (KIP-110); version 8 explains
//! refused records (KIP-467), 10 names the new leader (KIP-951), 12 lets the broker add partitions
//! to the transaction (KIP-890), 13 speaks of topics by id (KIP-516).

use bytes::Bytes;
use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Record batches to append. With `acks = 0` no response follows.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 0, response = ProduceResponse, versions = "0-13", flexible = "9+")]
pub struct ProduceRequest {
    /// The transactional id, or none for a producer without transactions.
    #[field(versions = "3+", nullable = "3+", default = null)]
    pub transactional_id: Option<String>,
    /// 0 asks for no answer, 1 for the leader's, -1 for all in-sync replicas'.
    #[field(versions = "0+")]
    pub acks: i16,
    /// How long the leader may wait for its replicas, in milliseconds.
    #[field(versions = "0+")]
    pub timeout_ms: i32,
    /// What to append, by topic.
    #[field(versions = "0+")]
    pub topic_data: Vec<TopicProduceData>,
}

/// The batches of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicProduceData {
    /// The topic's name; since version 13 `topic_id` stands for it.
    #[field(versions = "0-12", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    /// What to append, by partition.
    #[field(versions = "0+")]
    pub partition_data: Vec<PartitionProduceData>,
}

/// The batches of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct PartitionProduceData {
    /// The partition's number.
    #[field(versions = "0+")]
    pub index: i32,
    /// One record batch; brokers refuse several (message sets before version 3).
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub records: Option<Bytes>,
}

/// What became of each partition's batches.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-13", flexible = "9+")]
pub struct ProduceResponse {
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub responses: Vec<TopicProduceResponse>,
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// Addresses of the leaders that `current_leader` names (KIP-951).
    #[field(versions = "10+", tagged = 0)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicProduceResponse {
    /// The topic's name; since version 13 `topic_id` stands for it.
    #[field(versions = "0-12", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partition_responses: Vec<PartitionProduceResponse>,
}

/// The outcome of one partition: a base offset or an error.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct PartitionProduceResponse {
    /// The partition's number.
    #[field(versions = "0+")]
    pub index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The offset of the batch's first record, -1 with an error.
    #[field(versions = "0+")]
    pub base_offset: i64,
    /// When the broker appended it, in milliseconds; -1 if the topic keeps the producer's times.
    #[field(versions = "2+", default = -1, ignorable)]
    pub log_append_time_ms: i64,
    /// The partition's first offset that still exists, -1 where unknown.
    #[field(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// The records for which the batch was refused (KIP-467).
    #[field(versions = "8+", ignorable)]
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// The broker's words about the error, if it has any.
    #[field(versions = "8+", nullable = "8+", default = null, ignorable)]
    pub error_message: Option<String>,
    /// The leader to turn to after a leadership error (KIP-951).
    #[field(versions = "10+", tagged = 0)]
    pub current_leader: LeaderIdAndEpoch,
}

/// A record for which its whole batch was refused (KIP-467).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct BatchIndexAndErrorMessage {
    /// The record's place in its batch, from 0.
    #[field(versions = "8+")]
    pub batch_index: i32,
    /// Why the record was refused.
    #[field(versions = "8+", nullable = "8+", default = null)]
    pub batch_index_error_message: Option<String>,
}

/// Who leads the partition now, told with `NOT_LEADER_OR_FOLLOWER` (KIP-951).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// The leading broker, -1 if there is none or it is unknown.
    #[field(versions = "10+", default = -1)]
    pub leader_id: i32,
    /// The leader's epoch, -1 where unknown (KIP-320).
    #[field(versions = "10+", default = -1)]
    pub leader_epoch: i32,
}

/// Where a leader named in this response listens (KIP-951).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct NodeEndpoint {
    /// The broker's id.
    #[field(versions = "10+")]
    pub node_id: i32,
    /// The host name or address to connect to.
    #[field(versions = "10+")]
    pub host: String,
    /// The port to connect to.
    #[field(versions = "10+")]
    pub port: i32,
    /// The broker's rack, if it has one.
    #[field(versions = "10+", nullable = "10+", default = null)]
    pub rack: Option<String>,
}
