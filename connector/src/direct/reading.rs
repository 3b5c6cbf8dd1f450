//! Reads ranges of distinct partitions, and sees to it that no record is missing from them unless that is allowed. In:
//! ranges; out: their batches, mixed between partitions, in order within each.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use klamm_client::consumer::{FetchedBatch, OffsetRange as Wanted, RangeReader, ReadOptions};
use klamm_client::{Client, ErrorKind as ClientErrorKind};

use super::options::{DirectOptions, GAPS};
use super::record::malformed;
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::TopicPartition;
use crate::offsets::range::OffsetRange;
use crate::source::pool::{ReaderKey, ReaderLease, ReaderPool};

/// Where readers come from.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    pub(super) client: Client,
    pub(super) options: Arc<DirectOptions>,
    /// Readers of earlier reads; `None` to have a new one each time.
    pub(super) pool: Option<ReaderPool>,
    /// How often this read was tried before. A read that is tried again neither uses nor leaves a kept reader.
    pub(super) attempt: u32,
}

/// A read under way. Dropped before its end, its reader is closed.
pub(super) struct Reading {
    reader: Reader,
    readers: Readers,
    options: Arc<DirectOptions>,
    /// What is still expected of each partition.
    left: HashMap<TopicPartition, Range<i64>>,
}

enum Reader {
    Waiting(Vec<Wanted>),
    Own(RangeReader),
    Leased(ReaderLease),
    Ended,
}

impl Reading {
    /// A read of these ranges, which are of distinct partitions. Nothing is contacted yet, and no reader taken.
    pub(super) fn new(readers: &Readers, ranges: &[OffsetRange]) -> Self {
        let ranges = || ranges.iter().filter(|range| range.size() > 0);
        let left = ranges().map(|one| (one.topic_partition.clone(), one.from..one.until)).collect();
        let reader = Reader::Waiting(ranges().map(wanted).collect());
        Self { reader, readers: readers.clone(), options: Arc::clone(&readers.options), left }
    }

    /// The next batch, `None` once all ranges are read. Cancel safe. After an error it has ended.
    pub(super) async fn next(&mut self) -> Option<Result<FetchedBatch>> {
        if let Reader::Waiting(wanted) = &mut self.reader {
            let wanted = std::mem::take(wanted);
            match self.readers.open(&self.left, wanted) {
                Ok(reader) => self.reader = reader,
                Err(error) => return Some(Err(error)),
            }
        }
        let next = match &mut self.reader {
            Reader::Own(reader) => reader.next().await,
            Reader::Leased(lease) => lease.next().await,
            Reader::Waiting(_) | Reader::Ended => None,
        };
        let next = match next {
            Some(Ok(batch)) => Some(self.check(&batch).map(|()| batch)),
            Some(Err(error)) => Some(Err(self.failed(error))),
            None => self.finish().err().map(Err),
        };
        if matches!(next, Some(Err(_))) {
            self.reader = Reader::Ended;
            self.left.clear();
        }
        next
    }

    /// Everything was read: the reader is for the next who asks.
    fn finish(&mut self) -> Result<()> {
        self.check_ends()?;
        if let Reader::Leased(lease) = std::mem::replace(&mut self.reader, Reader::Ended)
            && self.readers.attempt == 0
        {
            lease.give_back();
        }
        Ok(())
    }

    /// Whether the batch goes on where the one before ended.
    fn check(&mut self, fetched: &FetchedBatch) -> Result<()> {
        let tp = TopicPartition::new(Arc::clone(&fetched.topic), fetched.partition);
        let Some(left) = self.left.get_mut(&tp) else { return Ok(()) };
        let expected = std::mem::replace(&mut left.start, fetched.range.end);
        if self.options.allow_gaps() {
            return Ok(());
        }
        let header = fetched.batch.header();
        let last = i64::from(header.last_offset_delta);
        let whole = i64::from(header.count) == last + 1 && header.base_offset <= expected;
        if whole && fetched.range.start == expected {
            return Ok(());
        }
        let mut next = expected;
        for record in fetched.records() {
            let offset = record.map_err(|error| malformed(fetched, error))?.offset();
            if offset != next {
                return Err(self.wrong_record(&tp, next, offset));
            }
            next += 1;
        }
        if let Some(left) = self.left.get_mut(&tp) {
            left.start = next;
        }
        Ok(())
    }

    /// Whether every range was read to its end.
    fn check_ends(&self) -> Result<()> {
        if self.options.allow_gaps() {
            return Ok(());
        }
        match self.left.iter().find(|(_, left)| left.start < left.end) {
            Some((tp, left)) => Err(self.no_record(tp, left.start)),
            None => Ok(()),
        }
    }

    fn failed(&self, error: klamm_client::Error) -> Error {
        if error.kind() != ClientErrorKind::TimedOut {
            return error.into();
        }
        let text = |name| error.context(name).unwrap_or("?");
        let message = format!(
            "Failed to get records for {} {} {} {} after polling for {}",
            self.options.executor_group(),
            text("topic"),
            text("partition"),
            text("offset"),
            self.options.poll_timeout().as_millis()
        );
        Error::new(ErrorKind::Client, message).with_retriable(true).with_source(error)
    }

    fn wrong_record(&self, tp: &TopicPartition, wanted: i64, got: i64) -> Error {
        let group = self.options.executor_group();
        Error::new(
            ErrorKind::DataLoss,
            format!(
                "Got wrong record for {group} {} {} even after seeking to offset {wanted} got offset {got} instead. \
                 If this is a compacted topic, consider enabling {GAPS}",
                tp.topic, tp.partition
            ),
        )
    }

    fn no_record(&self, tp: &TopicPartition, offset: i64) -> Error {
        let group = self.options.executor_group();
        Error::new(
            ErrorKind::DataLoss,
            format!(
                "Failed to get records for {group} {} {} {offset}: there is none from there to the end of the range. \
                 If this is a compacted topic, or one with transactions, consider enabling {GAPS}",
                tp.topic, tp.partition
            ),
        )
    }
}

impl Readers {
    /// A reader for these ranges: one that was kept for the same partition, or for all of them together.
    fn open(
        &self,
        left: &HashMap<TopicPartition, Range<i64>>,
        wanted: Vec<Wanted>,
    ) -> Result<Reader> {
        let mut read = ReadOptions::from_config(self.client.config());
        read.poll_timeout = self.options.poll_timeout();
        if wanted.is_empty() {
            return Ok(Reader::Ended);
        }
        let Some(pool) = &self.pool else {
            return Ok(Reader::Own(self.client.read_ranges(wanted, read)));
        };
        let one = left.keys().next().filter(|_| left.len() == 1);
        let group = self.options.executor_group().into();
        let key = ReaderKey { group, partition: one.cloned() };
        let made_with = (&self.client, self.options.client());
        let mut lease = pool.lease(&key, self.attempt, made_with, &read)?;
        lease.add(wanted)?;
        Ok(Reader::Leased(lease))
    }
}

fn wanted(range: &OffsetRange) -> Wanted {
    Wanted {
        topic: Arc::clone(&range.topic_partition.topic),
        partition: range.topic_partition.partition,
        start: range.from,
        stop: range.until,
    }
}
