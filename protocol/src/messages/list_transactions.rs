//! ListTransactions: the transactions of one coordinator (KIP-664).
//!
//! Version 1 can ask for those that last long (KIP-994), 2 for ids that match a pattern (KIP-1152).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Which transactions to list.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 66, response = ListTransactionsResponse, versions = "0-2", flexible = "0+")]
pub struct ListTransactionsRequest {
    /// The states to list, empty for all.
    #[field(versions = "0+")]
    pub state_filters: Vec<String>,
    /// The producers' ids to list, empty for all.
    #[field(versions = "0+")]
    pub producer_id_filters: Vec<i64>,
    /// Lists only those that have been open for more milliseconds than this; -1 for all (KIP-994).
    #[field(versions = "1+", default = -1)]
    pub duration_filter: i64,
    /// A regular expression in RE2's syntax for the transactional ids, none for all (KIP-1152).
    #[field(versions = "2+", nullable = "2+", default = null)]
    pub transactional_id_pattern: Option<String>,
}

/// The coordinator's transactions.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "0+")]
pub struct ListTransactionsResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The states asked for that the broker does not know.
    #[field(versions = "0+")]
    pub unknown_state_filters: Vec<String>,
    /// The transactions.
    #[field(versions = "0+")]
    pub transaction_states: Vec<TransactionState>,
}

/// One transaction.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct TransactionState {
    /// The transactional id.
    #[field(versions = "0+")]
    pub transactional_id: String,
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// Such as `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit` or
    /// `CompleteAbort`.
    #[field(versions = "0+")]
    pub transaction_state: String,
}
