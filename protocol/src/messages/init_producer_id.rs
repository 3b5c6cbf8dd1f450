//! InitProducerId: hands out a producer id and epoch, and fences older holders of a transactional
//! id (KIP-98).
//!
//! Version 3 lets a producer raise its own epoch (KIP-360), 6 prepares two-phase commit (KIP-939).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Asks for a producer id, or for the next epoch of one already held.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 22, response = InitProducerIdResponse, versions = "0-6", flexible = "2+")]
pub struct InitProducerIdRequest {
    /// The transactional id, or none for a producer without transactions.
    #[field(versions = "0+", nullable = "0+")]
    pub transactional_id: Option<String>,
    /// After how many idle milliseconds the coordinator aborts a transaction.
    #[field(versions = "0+")]
    pub transaction_timeout_ms: i32,
    /// The id held so far, -1 for none (KIP-360).
    #[field(versions = "3+", default = -1)]
    pub producer_id: i64,
    /// The epoch held so far, -1 for none (KIP-360).
    #[field(versions = "3+", default = -1)]
    pub producer_epoch: i16,
    /// Whether transactions wait for an outside decision and never time out (KIP-939).
    #[field(versions = "6+")]
    pub enable_2pc: bool,
    /// Whether a prepared transaction is kept rather than aborted (KIP-939).
    #[field(versions = "6+")]
    pub keep_prepared_txn: bool,
}

/// The id and epoch to stamp on batches.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-6", flexible = "2+")]
pub struct InitProducerIdResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The producer id, -1 with an error.
    #[field(versions = "0+", default = -1)]
    pub producer_id: i64,
    /// The epoch of that id.
    #[field(versions = "0+")]
    pub producer_epoch: i16,
    /// The id of the kept transaction, -1 for none (KIP-939).
    #[field(versions = "6+", default = -1)]
    pub ongoing_txn_producer_id: i64,
    /// The epoch of the kept transaction, -1 for none (KIP-939).
    #[field(versions = "6+", default = -1)]
    pub ongoing_txn_producer_epoch: i16,
}
