//! What becomes of a batch: an error code goes in, whether to try again and whether the batch may
//! have been written comes out.

use std::fmt;

use crate::code::ErrorCode;

/// How the life of a batch ended. Three of the four are certain.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is in the log.
    Written {
        /// The offset of its first record. Unknown for a duplicate that the broker no longer
        /// remembers, and with `acks=0`.
        base_offset: Option<i64>,
        /// The broker's time of appending in milliseconds, if the topic keeps that instead of the
        /// producer's.
        append_time: Option<i64>,
    },
    /// It is not in the log and never will be: it was not sent, or every attempt was refused for a
    /// passing reason.
    NotWritten(Reason),
    /// The broker refused it for good; it is not in the log.
    Refused {
        /// Why. Of a batch that is too large this is told only where it cannot be split.
        code: ErrorCode,
        /// The broker's words, if it had any.
        message: Option<String>,
    },
    /// It may be in the log, now or later: an attempt was sent and its fate never became known.
    Unknown(Reason),
}

/// Why a batch was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The delivery timeout passed; with the last error code, if there was one.
    Expired(Option<ErrorCode>),
    /// The retries that the options allow were used up.
    RetriesExhausted(Option<ErrorCode>),
    /// The broker answered with an error that does not tell whether it had appended the batch.
    Broker(ErrorCode),
    /// The partition lost the producer's state while the outcome of this batch was open.
    SequenceLost,
    /// The producer was closed first.
    Closed,
    /// The transaction that it belongs to was aborted, or can only be aborted.
    Aborted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, what: &str, code: &Option<ErrorCode>| match code {
            Some(code) => write!(f, "{what}, last error {}", code.name()),
            None => f.write_str(what),
        };
        match self {
            Self::Expired(code) => with(f, "the delivery timeout passed", code),
            Self::RetriesExhausted(code) => with(f, "all retries failed", code),
            Self::Broker(code) => write!(f, "the broker answered {}", code.name()),
            Self::SequenceLost => f.write_str("the partition lost the producer's sequence state"),
            Self::Closed => f.write_str("the producer was closed"),
            Self::Aborted => f.write_str("its transaction is aborted"),
        }
    }
}

/// What a partition's answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Written,
    /// Try again; nothing was appended.
    Retry,
    /// Try again; it may have been appended.
    RetryInDoubt,
    /// The sequence number was not the expected one.
    OutOfOrder,
    /// The broker does not remember this producer, or knows a newer epoch of it.
    StateLost,
    /// The batch is larger than the topic allows.
    TooLarge,
    Refused,
    /// Give up, not knowing.
    InDoubt,
}

/// Sorts an answer by its code. What is not known to be certain counts as doubt: a leader that
/// steps down while it waits for its replicas answers `NOT_LEADER_OR_FOLLOWER` for a batch that its
/// successor may have.
pub(super) fn sort(code: ErrorCode) -> Answer {
    match code {
        ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Answer::Written,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => Answer::OutOfOrder,
        ErrorCode::UNKNOWN_PRODUCER_ID | ErrorCode::INVALID_PRODUCER_EPOCH => Answer::StateLost,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => Answer::TooLarge,
        // The transaction before is still being ended (KIP-890).
        ErrorCode::NOT_ENOUGH_REPLICAS | ErrorCode::CONCURRENT_TRANSACTIONS => Answer::Retry,
        ErrorCode::UNKNOWN_SERVER_ERROR => Answer::InDoubt,
        code if code.is_retriable() => Answer::RetryInDoubt,
        _ => Answer::Refused,
    }
}
