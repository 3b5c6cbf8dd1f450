//! How the machine of transactions and its driver call things: options, calls, answers, events and
//! errors, plain values that the files beside share.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::VersionRange;
use crate::code::ErrorCode;
use crate::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use crate::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
};
use crate::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use crate::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::messages::txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use crate::session::backoff::Backoff;
use crate::session::produce::ProducerIdentity;

/// How a transactional id is used.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionOptions {
    /// The name under which brokers know this producer over its restarts (`transactional.id`).
    pub id: String,
    /// After how long without an end the coordinator aborts a transaction
    /// (`transaction.timeout.ms`); Kafka's default is 60 s.
    pub timeout: Duration,
    /// How long a command may take before its caller is told (`max.block.ms`); Kafka's default is
    /// 60 s. A commit's time begins when its last batch has been acknowledged.
    pub patience: Duration,
    /// The pauses before a request is repeated.
    pub backoff: Backoff,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it becomes visible.
    Committed,
    /// None of it ever does.
    Aborted,
}

/// The reader's place in its group, so that a member that was put out cannot commit (KIP-447).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The group's name.
    pub group: Arc<str>,
    /// The generation, or the member epoch of the newer protocol (KIP-848); -1 to be checked for
    /// none.
    pub generation: i32,
    /// The member's id, empty to be checked for none.
    pub member: String,
    /// The static member's name, if it is one (KIP-345).
    pub instance: Option<String>,
}

impl GroupMember {
    /// Nobody in particular: the group's offsets are stored unchecked.
    pub fn of_group(group: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), generation: -1, member: String::new(), instance: None }
    }

    /// Whether brokers have anything to check.
    pub(super) fn is_checked(&self) -> bool {
        self.generation >= 0 || !self.member.is_empty() || self.instance.is_some()
    }
}

/// A position to be stored with a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the record before it, where known (KIP-320).
    pub leader_epoch: Option<i32>,
    /// Words of the committer's own.
    pub metadata: Option<String>,
}

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coordinator {
    /// The coordinator of the transactional id.
    Transaction,
    /// The coordinator of this group.
    Group(Arc<str>),
}

/// A request, as [`poll_transmit`](super::Transactions::poll_transmit) named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

/// A request to send.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionCall {
    /// Names it in the answer.
    pub id: CallId,
    /// Whom it is for.
    pub to: Coordinator,
    /// The versions in which it means what it is to mean: the version of a request also says which
    /// protocol of transactions its sender speaks.
    pub versions: VersionRange,
    /// The request.
    pub request: TransactionRequest,
}

/// What may be asked of a coordinator.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "named after the requests")]
pub enum TransactionRequest {
    InitProducerId(InitProducerIdRequest),
    AddPartitions(AddPartitionsToTxnRequest),
    AddOffsets(AddOffsetsToTxnRequest),
    CommitOffsets(TxnOffsetCommitRequest),
    End(EndTxnRequest),
}

/// What a coordinator answers.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "named after the responses")]
pub enum TransactionResponse {
    InitProducerId(InitProducerIdResponse),
    AddPartitions(AddPartitionsToTxnResponse),
    AddOffsets(AddOffsetsToTxnResponse),
    CommitOffsets(TxnOffsetCommitResponse),
    End(EndTxnResponse),
}

/// What the driver has to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TransactionEvent {
    /// Batches are to be numbered under this from now on, from 0.
    Identity(ProducerIdentity),
    /// [`init`](super::Transactions::init) is over. With the end of an earlier transaction whose
    /// caller was told that nobody knows it, if it became known.
    Initialised(Result<Option<End>, TransactionError>),
    /// [`begin`](super::Transactions::begin) is over.
    Begun(Result<Begun, TransactionError>),
    /// Batches of this partition may be sent.
    PartitionAdded {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
    },
    /// [`send_offsets`](super::Transactions::send_offsets) is over.
    OffsetsSent(Result<(), TransactionError>),
    /// The transaction can only be aborted from here on, or nothing can be done at all: end the
    /// batches that were not sent.
    Broken(TransactionError),
    /// [`commit`](super::Transactions::commit) or [`abort`](super::Transactions::abort) is over.
    Ended(Result<End, TransactionError>),
    /// The broker that was asked is not the coordinator, or cannot be reached: look it up again.
    StaleCoordinator(Coordinator),
}

/// What a new transaction is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Whether leaders add partitions to the transaction at the first Produce (transactions of
    /// version 2, KIP-890).
    pub implicit: bool,
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionError {
    /// A newer producer has this transactional id, or the coordinator aborted a transaction that
    /// took too long. Final: nothing more can be done by this one.
    Fenced(ErrorCode),
    /// A broker refused for good. Final.
    Refused(ErrorCode),
    /// The brokers cannot raise a producer's epoch (before Kafka 2.5), which a transaction that went
    /// wrong makes necessary. Final.
    TooOld,
    /// The transaction can only be aborted. Nothing of it will become visible.
    AbortRequired(Cause),
    /// The end was asked for and no answer came: whether the transaction is committed is for the
    /// coordinator to say, and [`init`](super::Transactions::init) finds out.
    OutcomeUnknown,
    /// The time ran out. An abort goes on with the next command.
    TimedOut,
    /// The command does not fit the state.
    WrongState,
}

/// Why a transaction can only be aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A coordinator answered with this code.
    Broker(ErrorCode),
    /// A batch was not, or not certainly, written; with the broker's code if there was one.
    Batch(Option<ErrorCode>),
    /// Offsets could not be stored in time, or the commit not be sent.
    TimedOut,
    /// The coordinator lacks the version of a request that is needed.
    Unsupported,
}

impl TransactionError {
    /// Whether nothing more can be done by this producer.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Fenced(_) | Self::Refused(_) | Self::TooOld)
    }

    /// The broker's code, where there was one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Fenced(code)
            | Self::Refused(code)
            | Self::AbortRequired(Cause::Broker(code) | Cause::Batch(Some(code))) => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced(_) => f.write_str("the producer was fenced"),
            Self::Refused(_) => f.write_str("the transaction's coordinator refused for good"),
            Self::TooOld => f.write_str("the brokers cannot raise a producer's epoch"),
            Self::AbortRequired(cause) => write!(f, "the transaction can only be aborted: {cause}"),
            Self::OutcomeUnknown => f.write_str("nobody knows yet how the transaction ended"),
            Self::TimedOut => f.write_str("the transaction's coordinator did not answer in time"),
            Self::WrongState => f.write_str("the call does not fit the transaction's state"),
        }
    }
}

impl Error for TransactionError {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(code) => write!(f, "a coordinator answered {}", code.name()),
            Self::Batch(Some(code)) => write!(f, "a batch was not written, {}", code.name()),
            Self::Batch(None) => f.write_str("a batch was not, or not certainly, written"),
            Self::TimedOut => f.write_str("a coordinator did not answer in time"),
            Self::Unsupported => f.write_str("a coordinator lacks a version that is needed"),
        }
    }
}
