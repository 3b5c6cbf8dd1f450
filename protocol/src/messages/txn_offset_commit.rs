//! TxnOffsetCommit: stores a group's positions, valid once the transaction is committed (KIP-98).
//!
//! Goes to the group's coordinator. Version 2 adds leader epochs (KIP-320), 3 the consumer's place
//! in its group so that a zombie is fenced (KIP-447), 4 may answer `TRANSACTION_ABORTABLE`, 5
//! stands for transactions of version 2 and makes AddOffsetsToTxn needless (KIP-890), 6 speaks of
//! topics by id (KIP-1319).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Positions to store with a transaction.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 28, response = TxnOffsetCommitResponse, versions = "0-6", flexible = "3+")]
pub struct TxnOffsetCommitRequest {
    /// The transactional id.
    #[field(versions = "0+")]
    pub transactional_id: String,
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// The producer's epoch.
    #[field(versions = "0+")]
    pub producer_epoch: i16,
    /// The generation, or the member epoch of the newer protocol; -1 to be checked for neither.
    #[field(versions = "3+", default = -1)]
    pub generation_id_or_member_epoch: i32,
    /// The member's id, empty to be checked for none.
    #[field(versions = "3+")]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "3+", nullable = "3+", default = null)]
    pub group_instance_id: Option<String>,
    /// The positions, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

/// The positions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TxnOffsetCommitRequestTopic {
    /// The topic's name; since version 6 `topic_id` stands for it.
    #[field(versions = "0-5", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-1319).
    #[field(versions = "6+", ignorable)]
    pub topic_id: Uuid,
    /// The positions, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

/// The position in one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TxnOffsetCommitRequestPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The next offset that the group would read.
    #[field(versions = "0+")]
    pub committed_offset: i64,
    /// The leader epoch of the record before it, -1 where unknown (KIP-320).
    #[field(versions = "2+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// Words of the committer's own to keep beside the position.
    #[field(versions = "0+", nullable = "0+")]
    pub committed_metadata: Option<String>,
}

/// What became of each position.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-6", flexible = "3+")]
pub struct TxnOffsetCommitResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<TxnOffsetCommitResponseTopic>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TxnOffsetCommitResponseTopic {
    /// The topic's name; since version 6 `topic_id` stands for it.
    #[field(versions = "0-5", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-1319).
    #[field(versions = "6+", ignorable)]
    pub topic_id: Uuid,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TxnOffsetCommitResponsePartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
