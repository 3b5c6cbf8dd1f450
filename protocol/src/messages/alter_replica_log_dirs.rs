//! AlterReplicaLogDirs: moves a broker's replicas to other log directories (KIP-113).
//!
//! Goes to the broker that is meant, and answers before the replicas have moved.

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Where replicas shall lie.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 34, response = AlterReplicaLogDirsResponse, versions = "0-2", flexible = "2+")]
pub struct AlterReplicaLogDirsRequest {
    /// The replicas, by directory.
    #[field(versions = "0+")]
    pub dirs: Vec<AlterReplicaLogDir>,
}

/// The replicas that shall lie in one directory.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterReplicaLogDir {
    /// The directory's absolute path.
    #[field(versions = "0+")]
    pub path: String,
    /// The replicas, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<AlterReplicaLogDirTopic>,
}

/// Replicas of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterReplicaLogDirTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partitions: Vec<i32>,
}

/// Whether the moves have begun.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "2+")]
pub struct AlterReplicaLogDirsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub results: Vec<AlterReplicaLogDirTopicResult>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterReplicaLogDirTopicResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic_name: String,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<AlterReplicaLogDirPartitionResult>,
}

/// The outcome of one replica.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AlterReplicaLogDirPartitionResult {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
