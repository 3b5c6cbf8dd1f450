//! What a reader is asked, and what it gives: ranges, options, batches.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use klamm_protocol::error::DecodeError;
use klamm_protocol::records::{Batch, RecordRef};

use crate::config::{Config, Isolation};

/// The records of one partition with `start <= offset < stop`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetRange {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// The first offset wanted.
    pub start: i64,
    /// The first offset no longer wanted. Where it lies beyond the log's end, the reader waits for
    /// more records.
    pub stop: i64,
}

/// How ranges are read. Change the fields of [`ReadOptions::default`], or of
/// [`ReadOptions::from_config`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Whether records of open and aborted transactions are seen. Default: they are.
    pub isolation: Isolation,
    /// The most bytes fetched ahead of the caller, as they came over the wire, over all brokers.
    /// Default 16 MiB. A single larger batch is fetched anyway, alone.
    pub max_bytes: usize,
    /// The most bytes of one response (`fetch.max.bytes`). Default 50 MiB; `max_bytes` bounds it
    /// too.
    pub fetch_max_bytes: usize,
    /// The most bytes of one partition in a response (`max.partition.fetch.bytes`). Default 1 MiB.
    pub partition_max_bytes: usize,
    /// How many bytes a broker gathers before it answers (`fetch.min.bytes`). Default 1.
    pub min_bytes: i32,
    /// How long it waits for them (`fetch.max.wait.ms`). Default 500 ms.
    pub max_wait: Duration,
    /// The most bytes that one compressed batch may inflate to. Default 128 MiB.
    pub max_inflated: usize,
    /// How long [`RangeReader::next`](super::RangeReader::next) may wait without any progress.
    /// Default 120 s.
    pub poll_timeout: Duration,
}

/// A batch of records, opened.
#[derive(Clone, Debug)]
pub struct FetchedBatch {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// The batch: checked and inflated. It may hold records outside of `range`, since batches are
    /// fetched whole.
    pub batch: Batch,
    /// The offsets to hand out: the part of the range that lies in this batch.
    pub range: Range<i64>,
}

impl FetchedBatch {
    /// The records that lie in the range, in order.
    pub fn records(&self) -> impl Iterator<Item = Result<RecordRef<'_>, DecodeError>> {
        let range = self.range.clone();
        self.batch.records().filter(move |record| match record {
            Ok(record) => range.contains(&record.offset()),
            Err(_) => true,
        })
    }
}

impl ReadOptions {
    /// The options that a client's configuration names.
    pub fn from_config(config: &Config) -> Self {
        Self {
            isolation: *config.isolation(),
            fetch_max_bytes: *config.fetch_max_bytes() as usize,
            partition_max_bytes: *config.partition_fetch_bytes() as usize,
            min_bytes: i32::try_from(*config.fetch_min_bytes()).unwrap_or(i32::MAX),
            max_wait: *config.fetch_max_wait(),
            ..Self::default()
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            isolation: Isolation::ReadUncommitted,
            max_bytes: 16 << 20,
            fetch_max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            min_bytes: 1,
            max_wait: Duration::from_millis(500),
            max_inflated: 128 << 20,
            poll_timeout: Duration::from_secs(120),
        }
    }
}
