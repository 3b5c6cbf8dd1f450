//! AddPartitionsToTxn: the coordinator learns to which partitions a transaction writes (KIP-98).
//!
//! Clients speak versions up to 3, and none at all once the cluster runs transactions of version 2:
//! then the partitions' leaders add them at the first Produce. Since version 4 brokers ask for
//! several transactions at once, or only whether partitions are in them; 5 may answer
//! `TRANSACTION_ABORTABLE` (KIP-890).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Partitions to add: those of one transaction up to version 3, of several since 4.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 24, response = AddPartitionsToTxnResponse, versions = "0-5", flexible = "3+")]
pub struct AddPartitionsToTxnRequest {
    /// The partitions to add, by transaction; since version 4 (KIP-890).
    #[field(versions = "4+")]
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    /// The transactional id; up to version 3.
    #[field(versions = "0-3")]
    pub v3_and_below_transactional_id: String,
    /// The producer's id; up to version 3.
    #[field(versions = "0-3")]
    pub v3_and_below_producer_id: i64,
    /// The producer's epoch; up to version 3.
    #[field(versions = "0-3")]
    pub v3_and_below_producer_epoch: i16,
    /// The partitions to add, by topic; up to version 3.
    #[field(versions = "0-3")]
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

/// The partitions to add to one transaction (KIP-890).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AddPartitionsToTxnTransaction {
    /// The transactional id.
    #[field(versions = "4+")]
    pub transactional_id: String,
    /// The producer's id.
    #[field(versions = "4+")]
    pub producer_id: i64,
    /// The producer's epoch.
    #[field(versions = "4+")]
    pub producer_epoch: i16,
    /// Only asks whether the partitions are in the transaction; none is added.
    #[field(versions = "4+")]
    pub verify_only: bool,
    /// The partitions to add, by topic.
    #[field(versions = "4+")]
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

/// The partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AddPartitionsToTxnTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partitions: Vec<i32>,
}

/// What became of each partition.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-5", flexible = "3+")]
pub struct AddPartitionsToTxnResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong with all of it, or `ErrorCode::NONE`; since version 4.
    #[field(versions = "4+", ignorable)]
    pub error_code: ErrorCode,
    /// The outcomes, by transaction; since version 4 (KIP-890).
    #[field(versions = "4+")]
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    /// The outcomes, by topic; up to version 3.
    #[field(versions = "0-3")]
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

/// The outcomes of one transaction (KIP-890).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AddPartitionsToTxnResult {
    /// The transactional id.
    #[field(versions = "4+")]
    pub transactional_id: String,
    /// The outcomes, by topic.
    #[field(versions = "4+")]
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AddPartitionsToTxnTopicResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The outcomes, by partition. None is added unless all are: the others then say
    /// `OPERATION_NOT_ATTEMPTED`.
    #[field(versions = "0+")]
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AddPartitionsToTxnPartitionResult {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub partition_error_code: ErrorCode,
}
