//! DescribeTransactions: transactions with their partitions, as their coordinator knows them
//! (KIP-664).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The transactions asked for.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 65, response = DescribeTransactionsResponse, versions = "0", flexible = "0+")]
pub struct DescribeTransactionsRequest {
    /// The transactional ids.
    #[field(versions = "0+")]
    pub transactional_ids: Vec<String>,
}

/// The transactions.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "0+")]
pub struct DescribeTransactionsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The transactions asked for.
    #[field(versions = "0+")]
    pub transaction_states: Vec<TransactionState>,
}

/// One transaction, or why it can't be told.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TransactionState {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The transactional id.
    #[field(versions = "0+")]
    pub transactional_id: String,
    /// Such as `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit` or
    /// `CompleteAbort`.
    #[field(versions = "0+")]
    pub transaction_state: String,
    /// After how many milliseconds the coordinator aborts it.
    #[field(versions = "0+")]
    pub transaction_timeout_ms: i32,
    /// When it began, in milliseconds since 1970; -1 if none is open.
    #[field(versions = "0+")]
    pub transaction_start_time_ms: i64,
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// The producer's epoch.
    #[field(versions = "0+")]
    pub producer_epoch: i16,
    /// The partitions that it has written to, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<TopicData>,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TopicData {
    /// The topic's name.
    #[field(versions = "0+")]
    pub topic: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partitions: Vec<i32>,
}
