//! EndTxn: commits or aborts a transaction (KIP-98).
//!
//! Version 4 may answer `TRANSACTION_ABORTABLE`; 5 marks a transaction of version 2 and answers
//! with the epoch of the next one, so that late writes of this one are fenced (KIP-890).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// The transaction to end.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 26, response = EndTxnResponse, versions = "0-5", flexible = "3+")]
pub struct EndTxnRequest {
    /// The transactional id.
    #[field(versions = "0+")]
    pub transactional_id: String,
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// The producer's epoch.
    #[field(versions = "0+")]
    pub producer_epoch: i16,
    /// Whether to commit; otherwise it is aborted.
    #[field(versions = "0+")]
    pub committed: bool,
}

/// Whether the end is decided; the markers may be written later.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-5", flexible = "3+")]
pub struct EndTxnResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The id to go on with: a new one once the epochs are used up (KIP-890); -1 with an error.
    #[field(versions = "5+", default = -1, ignorable)]
    pub producer_id: i64,
    /// The epoch to go on with (KIP-890), -1 with an error.
    #[field(versions = "5+", default = -1, ignorable)]
    pub producer_epoch: i16,
}
