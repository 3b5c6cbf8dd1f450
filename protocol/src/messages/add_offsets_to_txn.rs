//! AddOffsetsToTxn: the coordinator learns that a transaction will commit a group's positions
//! (KIP-98).
//!
//! It adds the group's partition of `__consumer_offsets` to the transaction; TxnOffsetCommit
//! follows. Transactions of version 2 need it no more. Version 4 may answer `TRANSACTION_ABORTABLE`
//! (KIP-890).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// A group whose positions the transaction will hold.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 25, response = AddOffsetsToTxnResponse, versions = "0-4", flexible = "3+")]
pub struct AddOffsetsToTxnRequest {
    /// The transactional id.
    #[field(versions = "0+")]
    pub transactional_id: String,
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// The producer's epoch.
    #[field(versions = "0+")]
    pub producer_epoch: i16,
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
}

/// Whether the group was added.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-4", flexible = "3+")]
pub struct AddOffsetsToTxnResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
