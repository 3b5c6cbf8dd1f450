//! AlterPartitionReassignments: moves replicas to other brokers, or stops moving them (KIP-455).
//!
//! Answers before the replicas have moved; ListPartitionReassignments tells how far they are.
//! Version 1 can forbid that their number changes (KIP-860).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Where replicas shall be.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(
    key = 45,
    response = AlterPartitionReassignmentsResponse,
    versions = "0-1",
    flexible = "0+"
)]
pub struct AlterPartitionReassignmentsRequest {
    /// How long the controller may take, in milliseconds.
    #[field(versions = "0+", default = 60_000)]
    pub timeout_ms: i32,
    /// Whether the number of replicas may change (KIP-860).
    #[field(versions = "1+", default = true)]
    pub allow_replication_factor_change: bool,
    /// The replicas, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<ReassignableTopic>,
}

/// The replicas of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ReassignableTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The replicas, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<ReassignablePartition>,
}

/// The replicas that one partition shall have.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ReassignablePartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The replicas' brokers, the preferred leader first; none stops a move that is under way.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub replicas: Option<Vec<i32>>,
}

/// Whether the moves have begun.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-1", flexible = "0+")]
pub struct AlterPartitionReassignmentsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// Whether the number of replicas was allowed to change (KIP-860).
    #[field(versions = "1+", default = true, ignorable)]
    pub allow_replication_factor_change: bool,
    /// What went wrong with all of it, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub responses: Vec<ReassignableTopicResponse>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ReassignableTopicResponse {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<ReassignablePartitionResponse>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ReassignablePartitionResponse {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
}
