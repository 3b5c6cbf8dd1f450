//! DescribeProducers: the producers whose state a partition still holds, for finding transactions
//! that hang (KIP-664). Goes to the partitions' leaders.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The partitions asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 61, response = DescribeProducersResponse, versions = "0", flexible = "0+")]
pub struct DescribeProducersRequest {
    /// The partitions, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<TopicRequest>,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicRequest {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partition_indexes: Vec<i32>,
}

/// The producers.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct DescribeProducersResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The producers, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<TopicResponse>,
}

/// The producers of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicResponse {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The producers, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<PartitionResponse>,
}

/// The producers of one partition, or why they can't be told.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct PartitionResponse {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub error_message: Option<String>,
    /// The producers.
    #[field(versions = "0+")]
    pub active_producers: Vec<ProducerState>,
}

/// What a partition knows of a producer.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ProducerState {
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// The epoch of its last write.
    #[field(versions = "0+")]
    pub producer_epoch: i32,
    /// The sequence number of its last record, -1 if there is none.
    #[field(versions = "0+", default = -1)]
    pub last_sequence: i32,
    /// The timestamp of its last write, in milliseconds; -1 where unknown.
    #[field(versions = "0+", default = -1)]
    pub last_timestamp: i64,
    /// The epoch of the coordinator that wrote its last marker, -1 if there was none.
    #[field(versions = "0+")]
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction, -1 if it has none.
    #[field(versions = "0+", default = -1)]
    pub current_txn_start_offset: i64,
}
