//! CreatePartitions: raises the number of partitions of topics (KIP-195).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Topics that shall have more partitions.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 37, response = CreatePartitionsResponse, versions = "0-3", flexible = "2+")]
pub struct CreatePartitionsRequest {
    /// The topics to grow.
    #[field(versions = "0+")]
    pub topics: Vec<CreatePartitionsTopic>,
    /// How long the broker may take, in milliseconds.
    #[field(versions = "0+")]
    pub timeout_ms: i32,
    /// Only checks; nothing is created.
    #[field(versions = "0+")]
    pub validate_only: bool,
}

/// A topic and its new number of partitions.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatePartitionsTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The number of partitions to have afterwards.
    #[field(versions = "0+")]
    pub count: i32,
    /// Replicas of each new partition; none lets the broker place them.
    #[field(versions = "0+", nullable = "0+")]
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

/// The brokers that shall hold one new partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatePartitionsAssignment {
    /// The replicas' brokers, the preferred leader first.
    #[field(versions = "0+")]
    pub broker_ids: Vec<i32>,
}

/// What became of each topic.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "2+")]
pub struct CreatePartitionsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub results: Vec<CreatePartitionsTopicResult>,
}

/// The outcome of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatePartitionsTopicResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub error_message: Option<String>,
}
