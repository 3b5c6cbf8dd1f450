//! ListPartitionReassignments: the replicas that are being moved to other brokers (KIP-455).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The partitions to look at.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 46, response = ListPartitionReassignmentsResponse, versions = "0", flexible = "0+")]
pub struct ListPartitionReassignmentsRequest {
    /// How long the controller may take, in milliseconds.
    #[field(versions = "0+", default = 60_000)]
    pub timeout_ms: i32,
    /// The partitions, by topic; none for all.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub topics: Option<Vec<ListPartitionReassignmentsTopics>>,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ListPartitionReassignmentsTopics {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partition_indexes: Vec<i32>,
}

/// The moves that are under way.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct ListPartitionReassignmentsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The moves, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<OngoingTopicReassignment>,
}

/// The moves of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OngoingTopicReassignment {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The moves, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<OngoingPartitionReassignment>,
}

/// The move of one partition's replicas.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OngoingPartitionReassignment {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// All brokers that hold the partition now, those to be added and removed included.
    #[field(versions = "0+")]
    pub replicas: Vec<i32>,
    /// The brokers that are being added.
    #[field(versions = "0+")]
    pub adding_replicas: Vec<i32>,
    /// The brokers that will be removed.
    #[field(versions = "0+")]
    pub removing_replicas: Vec<i32>,
}
