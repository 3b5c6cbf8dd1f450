//! DescribeLogDirs: a broker's log directories and how large its replicas are (KIP-113).
//!
//! Goes to the broker that is meant. Version 3 adds an error for all of it, 4 the disk's size and
//! free space (KIP-827), 5 whether the directory takes no new partitions (KIP-1066).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Which replicas to describe.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 35, response = DescribeLogDirsResponse, versions = "0-5", flexible = "2+")]
pub struct DescribeLogDirsRequest {
    /// The partitions, by topic; none for all.
    #[field(versions = "0+", nullable = "0+")]
    pub topics: Option<Vec<DescribableLogDirTopic>>,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribableLogDirTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partitions: Vec<i32>,
}

/// The broker's log directories.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-5", flexible = "2+")]
pub struct DescribeLogDirsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong with all of it, or `ErrorCode::NONE`.
    #[field(versions = "3+", ignorable)]
    pub error_code: ErrorCode,
    /// The log directories.
    #[field(versions = "0+")]
    pub results: Vec<DescribeLogDirsResult>,
}

/// One log directory, or why it can't be told.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeLogDirsResult {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The directory's absolute path.
    #[field(versions = "0+")]
    pub log_dir: String,
    /// The replicas in it, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<DescribeLogDirsTopic>,
    /// The size of the disk in bytes, -1 where unknown (KIP-827).
    #[field(versions = "4+", default = -1, ignorable)]
    pub total_bytes: i64,
    /// The free bytes of the disk, -1 where unknown (KIP-827).
    #[field(versions = "4+", default = -1, ignorable)]
    pub usable_bytes: i64,
    /// Whether no new partitions are placed here (KIP-1066).
    #[field(versions = "5+", ignorable)]
    pub is_cordoned: bool,
}

/// Replicas of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeLogDirsTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The replicas, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<DescribeLogDirsPartition>,
}

/// One replica.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeLogDirsPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The bytes of its segments.
    #[field(versions = "0+")]
    pub partition_size: i64,
    /// How far it is behind: its high watermark less its end, or for a future replica the present
    /// one's end less its own.
    #[field(versions = "0+")]
    pub offset_lag: i64,
    /// Whether it is a copy that will replace the replica in another directory.
    #[field(versions = "0+")]
    pub is_future_key: bool,
}
