//! DeleteTopics: topics are marked for deletion, by name or since version 6 by id (KIP-516).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Topics to delete: `topics` since version 6, `topic_names` before.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 20, response = DeleteTopicsResponse, versions = "0-6", flexible = "4+")]
pub struct DeleteTopicsRequest {
    /// The topics, by name or id; since version 6.
    #[field(versions = "6+")]
    pub topics: Vec<DeleteTopicState>,
    /// The topics' names; up to version 5.
    #[field(versions = "0-5", ignorable)]
    pub topic_names: Vec<String>,
    /// How long the broker may take, in milliseconds.
    #[field(versions = "0+")]
    pub timeout_ms: i32,
}

/// A topic to delete, by name or by id, never both.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DeleteTopicState {
    /// The topic's name, none if `topic_id` says which.
    #[field(versions = "6+", nullable = "6+", default = null)]
    pub name: Option<String>,
    /// The topic's id, `Uuid::ZERO` if `name` says which.
    #[field(versions = "6+")]
    pub topic_id: Uuid,
}

/// What became of each topic.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-6", flexible = "4+")]
pub struct DeleteTopicsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub responses: Vec<DeletableTopicResult>,
}

/// The outcome of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DeletableTopicResult {
    /// The topic's name, none if the caller may not know it.
    #[field(versions = "0+", nullable = "6+")]
    pub name: Option<String>,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "6+", ignorable)]
    pub topic_id: Uuid,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub error_message: Option<String>,
}
