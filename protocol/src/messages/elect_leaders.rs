//! ElectLeaders: makes the controller elect leaders (KIP-183).
//!
//! Version 1 can elect leaders that are not in sync, and lose records by it (KIP-460).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The partitions whose leaders are to be elected.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 43, response = ElectLeadersResponse, versions = "0-2", flexible = "2+")]
pub struct ElectLeadersRequest {
    /// 0 elects the preferred leader, 1 any replica if no one in sync is alive (KIP-460).
    #[field(versions = "1+")]
    pub election_type: i8,
    /// The partitions, by topic; none for all.
    #[field(versions = "0+", nullable = "0+")]
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    /// How long the controller may take, in milliseconds.
    #[field(versions = "0+", default = 60_000)]
    pub timeout_ms: i32,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicPartitions {
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partitions: Vec<i32>,
}

/// What became of each election.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "2+")]
pub struct ElectLeadersResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong with all of it, or `ErrorCode::NONE`.
    #[field(versions = "1+")]
    pub error_code: ErrorCode,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ReplicaElectionResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic: String,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partition_result: Vec<PartitionResult>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct PartitionResult {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_id: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
}
