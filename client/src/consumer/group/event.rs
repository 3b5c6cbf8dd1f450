//! What a consumer hands out: records with the receipt by which they are acknowledged, and news of
//! the group.

use std::ops::Range;

use klamm_protocol::error::DecodeError;
use klamm_protocol::records::RecordRef;

use crate::consumer::options::FetchedBatch;
use crate::error::Result;
use crate::partition::TopicPartition;

use super::ledger::Tenure;

/// What happened since the last event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Records of one partition, to be processed and then acknowledged.
    Records(Records),
    /// These partitions are read from now on, in addition to those before.
    Assigned(Vec<TopicPartition>),
    /// These partitions are about to be given to others. The group waits until the consumer is
    /// asked for its next event, at most for `max.poll.interval.ms`: finish and acknowledge what is
    /// under way, commit if the consumer does not by itself, and go on. Acknowledgements that come
    /// later change nothing.
    Revoked(Vec<TopicPartition>),
    /// These partitions are gone, and others may read them already: positions in them can no longer
    /// be committed.
    Lost(Vec<TopicPartition>),
    /// What became of a commit in the background. Those that the consumer makes by itself are told
    /// only if they fail.
    Committed(Result<()>),
}

/// Records of one partition, in the order of its log.
#[derive(Debug)]
pub struct Records {
    pub(super) batch: FetchedBatch,
    pub(super) receipt: Receipt,
}

/// By this the records of one [`Records`] are acknowledged, from any thread and in any order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub(super) partition: TopicPartition,
    pub(super) tenure: Tenure,
    pub(super) range: Range<i64>,
}

impl Records {
    /// Their partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.receipt.partition
    }

    /// Their offsets; on a compacted topic not every one has a record.
    pub fn range(&self) -> Range<i64> {
        self.receipt.range.clone()
    }

    /// The records, in order.
    ///
    /// # Errors
    ///
    /// A record's own lengths do not agree; the batch's checksum did.
    pub fn records(&self) -> impl Iterator<Item = Result<RecordRef<'_>, DecodeError>> {
        self.batch.records()
    }

    /// The batch that holds them, and perhaps others outside of [`Records::range`].
    pub fn batch(&self) -> &FetchedBatch {
        &self.batch
    }

    /// By which they are acknowledged.
    pub fn receipt(&self) -> Receipt {
        self.receipt.clone()
    }
}

impl Receipt {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The offsets.
    pub fn range(&self) -> Range<i64> {
        self.range.clone()
    }

    /// For the records below `offset` alone.
    #[must_use]
    pub fn below(&self, offset: i64) -> Self {
        let end = offset.clamp(self.range.start, self.range.end);
        Self { range: self.range.start..end, ..self.clone() }
    }
}
