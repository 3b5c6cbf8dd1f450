//! DeleteRecords: deletes the records below an offset (KIP-107). Goes to the partitions' leaders.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Where the partitions shall begin.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 21, response = DeleteRecordsResponse, versions = "0-2", flexible = "2+")]
pub struct DeleteRecordsRequest {
    /// The offsets, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<DeleteRecordsTopic>,
    /// How long the leader may wait for its replicas, in milliseconds.
    #[field(versions = "0+")]
    pub timeout_ms: i32,
}

/// The offsets in one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DeleteRecordsTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The offsets, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<DeleteRecordsPartition>,
}

/// The offset in one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DeleteRecordsPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The first offset to keep; -1 keeps nothing below the high watermark.
    #[field(versions = "0+")]
    pub offset: i64,
}

/// Where the partitions begin now.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "2+")]
pub struct DeleteRecordsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<DeleteRecordsTopicResult>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DeleteRecordsTopicResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DeleteRecordsPartitionResult {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The lowest offset that any replica still holds, -1 with an error.
    #[field(versions = "0+")]
    pub low_watermark: i64,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
