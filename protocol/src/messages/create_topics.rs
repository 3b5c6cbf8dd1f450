//! CreateTopics: new topics with their partitions, replicas and settings.
//!
//! Version 1 can validate only, 4 lets the broker choose counts (KIP-464), 5 answers what was made
//! (KIP-525), 7 its id (KIP-516).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Topics to create; goes to the controller or, in KRaft, to any broker.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 19, response = CreateTopicsResponse, versions = "0-7", flexible = "5+")]
pub struct CreateTopicsRequest {
    /// The topics to create.
    #[field(versions = "0+")]
    pub topics: Vec<CreatableTopic>,
    /// How long the controller may take, in milliseconds.
    #[field(versions = "0+", default = 60_000)]
    pub timeout_ms: i32,
    /// Only checks; nothing is created.
    #[field(versions = "1+")]
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatableTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The number of partitions; -1 for the broker's default (KIP-464) or with `assignments`.
    #[field(versions = "0+")]
    pub num_partitions: i32,
    /// The number of replicas; -1 for the broker's default (KIP-464) or with `assignments`.
    #[field(versions = "0+")]
    pub replication_factor: i16,
    /// Replicas by partition; empty lets the broker place them.
    #[field(versions = "0+")]
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// Settings that differ from the broker's.
    #[field(versions = "0+")]
    pub configs: Vec<CreatableTopicConfig>,
}

/// The brokers that shall hold one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatableReplicaAssignment {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The replicas' brokers, the preferred leader first.
    #[field(versions = "0+")]
    pub broker_ids: Vec<i32>,
}

/// A setting for the new topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatableTopicConfig {
    /// The setting's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The setting's value, none for its default.
    #[field(versions = "0+", nullable = "0+")]
    pub value: Option<String>,
}

/// What became of each topic.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-7", flexible = "5+")]
pub struct CreateTopicsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<CreatableTopicResult>,
}

/// The outcome of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatableTopicResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "7+", ignorable)]
    pub topic_id: Uuid,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "1+", nullable = "0+", ignorable)]
    pub error_message: Option<String>,
    /// Why `configs` is missing, such as a lacking right (KIP-525).
    #[field(versions = "5+", tagged = 0, ignorable)]
    pub topic_config_error_code: ErrorCode,
    /// The number of partitions, -1 where unknown.
    #[field(versions = "5+", default = -1, ignorable)]
    pub num_partitions: i32,
    /// The number of replicas, -1 where unknown.
    #[field(versions = "5+", default = -1, ignorable)]
    pub replication_factor: i16,
    /// The topic's settings, none if the caller may not see them (KIP-525).
    #[field(versions = "5+", nullable = "5+", ignorable)]
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

/// A setting that the new topic has (KIP-525).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct CreatableTopicConfigs {
    /// The setting's name.
    #[field(versions = "5+")]
    pub name: String,
    /// The setting's value, none if it is secret.
    #[field(versions = "5+", nullable = "5+")]
    pub value: Option<String>,
    /// Whether it can't be changed.
    #[field(versions = "5+")]
    pub read_only: bool,
    /// Where the value comes from, as in DescribeConfigs; -1 where unknown.
    #[field(versions = "5+", default = -1, ignorable)]
    pub config_source: i8,
    /// Whether it is a secret; then its value is withheld.
    #[field(versions = "5+")]
    pub is_sensitive: bool,
}
