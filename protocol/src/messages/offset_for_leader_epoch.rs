//! OffsetForLeaderEpoch: where a leader's reign over a partition ended, so that a consumer notices
//! when records that it has read were cut off (KIP-320).
//!
//! Version 1 names the epoch found (KIP-279), 2 fences old and unknown leaders, 3 tells who asks.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Epochs whose ends are asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 23, response = OffsetForLeaderEpochResponse, versions = "0-4", flexible = "4+")]
pub struct OffsetForLeaderEpochRequest {
    /// The asking broker's id, -1 for consumers; -2 sees offsets beyond the high watermark.
    #[field(versions = "3+", default = -2, ignorable)]
    pub replica_id: i32,
    /// The epochs, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<OffsetForLeaderTopic>,
}

/// The epochs of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetForLeaderTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic: String,
    /// The epochs, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<OffsetForLeaderPartition>,
}

/// The epoch in one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetForLeaderPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition: i32,
    /// The leader epoch that the asker knows, -1 to be checked for none (KIP-320).
    #[field(versions = "2+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// The epoch whose end is asked for.
    #[field(versions = "0+")]
    pub leader_epoch: i32,
}

/// Where the epochs ended.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-4", flexible = "4+")]
pub struct OffsetForLeaderEpochResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    /// The ends, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<OffsetForLeaderTopicResult>,
}

/// The ends of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetForLeaderTopicResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic: String,
    /// The ends, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<EpochEndOffset>,
}

/// The end of one partition's epoch.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition: i32,
    /// The largest epoch not above the one asked for, -1 if there is none (KIP-279).
    #[field(versions = "1+", default = -1, ignorable)]
    pub leader_epoch: i32,
    /// The offset after that epoch's last record, -1 if there is none.
    #[field(versions = "0+", default = -1)]
    pub end_offset: i64,
}
