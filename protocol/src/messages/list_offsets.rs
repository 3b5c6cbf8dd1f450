//! ListOffsets: earliest, latest or by-time offsets of partitions.
//!
//! Version 0 answers a list of segment starts; since 1 it is one offset with its timestamp
//! (KIP-79). 2 knows isolation (KIP-98), 4 leader epochs (KIP-320), 7 the largest timestamp
//! (KIP-734), 8 the local log's start (KIP-405), 9 the latest tiered offset (KIP-1005), 10 a
//! deadline for remote look-ups (KIP-1075), 11 the earliest offset that awaits upload (KIP-1023).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Asks leaders for offsets of their partitions.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 2, response = ListOffsetsResponse, versions = "0-11", flexible = "6+")]
pub struct ListOffsetsRequest {
    /// -1 for a consumer; a follower's broker id sees beyond the high watermark.
    #[field(versions = "0+")]
    pub replica_id: i32,
    /// With 1 the latest offset is the last stable one (KIP-98).
    #[field(versions = "2+")]
    pub isolation_level: i8,
    /// What to look up, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<ListOffsetsTopic>,
    /// How long a look-up in remote storage may take, in milliseconds (KIP-1075).
    #[field(versions = "10+", ignorable)]
    pub timeout_ms: i32,
}

/// The partitions of one topic to look up.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ListOffsetsTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// What to look up, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<ListOffsetsPartition>,
}

/// One partition and what to look up in it.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ListOffsetsPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The leader epoch that the caller knows, to fence old views; -1 for don't check (KIP-320).
    #[field(versions = "4+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// Milliseconds to find the first record not older than, or -1 latest, -2 earliest, -3 largest
    /// timestamp, -4 earliest local, -5 latest tiered, -6 earliest awaiting upload.
    #[field(versions = "0+")]
    pub timestamp: i64,
    /// How many offsets to list at most; version 0 only.
    #[field(versions = "0", default = 1)]
    pub max_num_offsets: i32,
}

/// The offsets found.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-11", flexible = "6+")]
pub struct ListOffsetsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    /// The offsets, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<ListOffsetsTopicResponse>,
}

/// The offsets of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ListOffsetsTopicResponse {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The offsets, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

/// The offset found in one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ListOffsetsPartitionResponse {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// Starts of segments, newest first; version 0 only.
    #[field(versions = "0")]
    pub old_style_offsets: Vec<i64>,
    /// The found record's timestamp, -1 if none was found or none was looked for.
    #[field(versions = "1+", default = -1)]
    pub timestamp: i64,
    /// The offset found, -1 if there is none.
    #[field(versions = "1+", default = -1)]
    pub offset: i64,
    /// The leader epoch of the record found, -1 where unknown (KIP-320).
    #[field(versions = "4+", default = -1)]
    pub leader_epoch: i32,
}
