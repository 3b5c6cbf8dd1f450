//! Ranges that are read on demand, as often as wanted: Spark's Kafka RDD. In: ranges of offsets; out: counts, records
//! or Arrow rows. Plain data until something is asked.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use arrow_array::RecordBatch;
use klamm_client::Client;
use klamm_client::consumer::FetchedBatch;

use super::location::{Executor, LocationStrategy, choose};
use super::options::DirectOptions;
use super::reading::{Readers, Reading};
use super::record::{self, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::TopicPartition;
use crate::offsets::range::OffsetRange;
use crate::options::PoolOptions;
use crate::rows::RowDecoder;
use crate::sink::{RowStream, next_rows};
use crate::source::pool::{PoolCounters, ReaderPool};
use crate::source::stream::{self, Batches};
use crate::tokens::connect;

/// Ranges of offsets with the means to read them. Every call reads anew, and gives the same records as long as the
/// topics have them.
#[derive(Clone, Debug)]
pub struct RangeRead {
    readers: Readers,
    ranges: Arc<[OffsetRange]>,
    hosts: Arc<BTreeMap<TopicPartition, String>>,
}

impl RangeRead {
    /// Connects, and reads nothing yet.
    ///
    /// # Errors
    /// As [`RangeRead::new`]; `InvalidOption` for an option of the client; `Client` when nobody answers.
    pub async fn connect(
        options: DirectOptions,
        ranges: Vec<OffsetRange>,
        location: LocationStrategy,
    ) -> Result<Self> {
        check_location(&location)?;
        let client = connect(options.client(), options.tokens()).await?;
        Self::new(client, options, ranges, location)
    }

    /// Ranges on a client that is connected already. Where the options say how to start and whose offsets to commit,
    /// that has no effect here: ranges say where they start, and nothing is committed.
    ///
    /// # Errors
    /// `InvalidOption` for [`LocationStrategy::PreferBrokers`]: who leads what is known to streams only.
    /// `InvalidOffsets` for a range that ends before it starts, or starts below 0.
    pub fn new(
        client: Client,
        options: DirectOptions,
        ranges: Vec<OffsetRange>,
        location: LocationStrategy,
    ) -> Result<Self> {
        let hosts = check_location(&location)?;
        let pool = reader_pool(&options);
        let readers = Readers { client, options: Arc::new(options), pool, attempt: 0 };
        Self::at(readers, ranges, hosts)
    }

    /// Ranges whose hosts are known.
    pub(super) fn at(
        readers: Readers,
        ranges: Vec<OffsetRange>,
        hosts: BTreeMap<TopicPartition, String>,
    ) -> Result<Self> {
        ranges.iter().try_for_each(check_range)?;
        Ok(Self { readers, ranges: ranges.into(), hosts: Arc::new(hosts) })
    }

    /// The same ranges for another attempt, after one that failed: it takes no reader that was kept, closes those that
    /// are idle, and leaves none behind.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut again = self.clone();
        again.readers.attempt = again.readers.attempt.saturating_add(1);
        again
    }

    /// How the kept readers are used; `None` where none are kept.
    pub fn readers(&self) -> Option<PoolCounters> {
        self.readers.pool.as_ref().map(ReaderPool::counters)
    }

    /// The ranges, in the order given.
    pub fn ranges(&self) -> &[OffsetRange] {
        &self.ranges
    }

    /// Which of these workers should read which range, in the order of the ranges; nothing without workers.
    pub fn locations<'a>(&self, executors: &'a [Executor]) -> Vec<Option<&'a Executor>> {
        let host = |tp: &TopicPartition| self.hosts.get(tp).map(String::as_str);
        let place = |range: &OffsetRange| {
            choose(&range.topic_partition, host(&range.topic_partition), executors)
        };
        self.ranges.iter().map(place).collect()
    }

    /// One of the ranges alone, for the worker that it belongs to.
    pub fn range(&self, index: usize) -> Option<Self> {
        let ranges = Arc::from([self.ranges.get(index)?.clone()]);
        Some(Self { ranges, ..self.clone() })
    }

    /// How many records there are. Nothing is read for it, unless offsets may be without a record.
    ///
    /// # Errors
    /// As [`RangeRead::collect`], where it reads.
    pub async fn count(&self) -> Result<u64> {
        if !self.readers.options.allow_gaps() {
            return Ok(self.size());
        }
        let mut count = 0;
        let mut rows = self.rows(false);
        while let Some(batch) = next_rows(&mut rows).await {
            count += batch?.num_rows() as u64;
        }
        Ok(count)
    }

    /// Whether there is no record. Nothing is read for it, unless offsets may be without a record.
    ///
    /// # Errors
    /// As [`RangeRead::collect`], where it reads.
    pub async fn is_empty(&self) -> Result<bool> {
        if self.size() == 0 || !self.readers.options.allow_gaps() {
            return Ok(self.size() == 0);
        }
        Ok(self.take(1).await?.is_empty())
    }

    /// The first records, range after range, at most `count`. Reads no more ranges than it takes.
    ///
    /// # Errors
    /// As [`RangeRead::collect`].
    pub async fn take(&self, count: usize) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for range in self.ranges.iter() {
            if records.len() >= count {
                break;
            }
            let mut range = range.clone();
            if !self.readers.options.allow_gaps() {
                let missing = i64::try_from(count - records.len()).unwrap_or(i64::MAX);
                range.until = range.until.min(range.from.saturating_add(missing));
            }
            let mut reading = self.reading(&[range]);
            // A range that was cut to size is read to its end, so that its reader can be kept.
            let cut = !self.readers.options.allow_gaps();
            while (cut || records.len() < count)
                && let Some(batch) = reading.next().await
            {
                record::append(&batch?, count, &mut records)?;
            }
        }
        Ok(records)
    }

    /// All records, range after range. Memory: all of them.
    ///
    /// # Errors
    /// `DataLoss` when offsets of a range have no record and `spark.streaming.kafka.allowNonConsecutiveOffsets` is
    /// not set, or are no more in the log; `Client` when records do not come in `spark.streaming.kafka.consumer.poll.ms`.
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn collect(&self) -> Result<Vec<Record>> {
        let mut all: Vec<Vec<Record>> = vec![Vec::new(); self.ranges.len()];
        for round in self.rounds() {
            let ranges: Vec<_> = round.iter().map(|(_, range)| (*range).clone()).collect();
            let mut reading = self.reading(&ranges);
            while let Some(batch) = reading.next().await {
                let batch = batch?;
                let is_of = |range: &OffsetRange| {
                    let tp = &range.topic_partition;
                    *tp.topic == *batch.topic && tp.partition == batch.partition
                };
                let index = round.iter().find(|(_, range)| is_of(range)).map(|(index, _)| *index);
                if let Some(records) = index.and_then(|index| all.get_mut(index)) {
                    record::append(&batch, usize::MAX, records)?;
                }
            }
        }
        Ok(all.into_iter().flatten().collect())
    }

    /// All records as Arrow rows with the columns of [`crate::schema`]; within a partition by offset. Nothing is
    /// contacted before the stream is polled.
    ///
    /// The stream gives the errors of [`RangeRead::collect`], and ends with the first.
    pub fn rows(&self, include_headers: bool) -> RowStream {
        let rounds = self.rounds();
        let rounds = rounds.iter().rev().map(|round| {
            let ranges: Vec<_> = round.iter().map(|(_, range)| (*range).clone()).collect();
            self.reading(&ranges)
        });
        let (waiting, decoders, current) = (rounds.collect(), BTreeMap::new(), None);
        stream::rows(Decoding { waiting, decoders, current, include_headers })
    }

    fn reading(&self, ranges: &[OffsetRange]) -> Reading {
        Reading::new(&self.readers, ranges)
    }

    fn size(&self) -> u64 {
        self.ranges.iter().map(|range| u64::try_from(range.size()).unwrap_or_default()).sum()
    }

    /// The ranges with their places, such that those of a round are of distinct partitions: in a stream's batch that
    /// is a single one.
    fn rounds(&self) -> Vec<Vec<(usize, &OffsetRange)>> {
        let mut rounds: Vec<Vec<(usize, &OffsetRange)>> = Vec::new();
        let mut seen: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
        for (index, range) in self.ranges.iter().enumerate() {
            let turn = seen.entry(&range.topic_partition).or_default();
            if rounds.len() == *turn {
                rounds.push(Vec::new());
            }
            if let Some(round) = rounds.get_mut(*turn) {
                round.push((index, range));
            }
            *turn += 1;
        }
        rounds
    }
}

/// Readings on their way to Arrow, the next one last.
struct Decoding {
    waiting: Vec<Reading>,
    decoders: BTreeMap<TopicPartition, RowDecoder>,
    /// The partition whose decoder holds rows.
    current: Option<TopicPartition>,
    include_headers: bool,
}

impl Decoding {
    /// Gathers batches of one partition while they are there; goes on with what it has when it would have to wait.
    async fn step(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(reading) = self.waiting.last_mut() {
            let gathered = self.current.is_some();
            let fetched = tokio::select! {
                biased;
                fetched = reading.next() => fetched.transpose()?,
                () = ready(()), if gathered => return self.flush(),
            };
            let rows = match fetched {
                Some(fetched) => self.take(&fetched)?,
                None => {
                    self.waiting.pop();
                    self.flush()?
                }
            };
            if rows.is_some() {
                return Ok(rows);
            }
        }
        Ok(None)
    }

    fn take(&mut self, fetched: &FetchedBatch) -> Result<Option<RecordBatch>> {
        let tp = TopicPartition::new(Arc::clone(&fetched.topic), fetched.partition);
        let other = self.current.as_ref().is_some_and(|current| *current != tp);
        let rows = if other { self.flush()? } else { None };
        let new = || RowDecoder::new(&fetched.topic, fetched.partition, self.include_headers);
        let decoder = self.decoders.entry(tp.clone()).or_insert_with(new);
        decoder.push(&fetched.batch, fetched.range.clone())?;
        let full = decoder.rows() >= TARGET_ROWS || decoder.bytes() >= TARGET_BYTES;
        self.current = (decoder.rows() > 0).then_some(tp);
        if full && rows.is_none() { self.flush() } else { Ok(rows) }
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>> {
        let Some(current) = self.current.take() else { return Ok(None) };
        let Some(decoder) = self.decoders.get_mut(&current) else { return Ok(None) };
        decoder.finish().map(Some)
    }
}

impl Batches for Decoding {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.step().await.transpose()
    }
}

/// The pool that the options ask for.
pub(super) fn reader_pool(options: &DirectOptions) -> Option<ReaderPool> {
    let cache = options.cache();
    let limits = PoolOptions { capacity: cache.max_capacity, ..PoolOptions::default() };
    cache.enabled.then(|| ReaderPool::new(&limits))
}

/// The hosts that a strategy names by itself.
fn check_location(location: &LocationStrategy) -> Result<BTreeMap<TopicPartition, String>> {
    match location {
        LocationStrategy::PreferConsistent => Ok(BTreeMap::new()),
        LocationStrategy::PreferFixed(hosts) => Ok(hosts.clone()),
        LocationStrategy::PreferBrokers => Err(Error::option(
            "PreferBrokers is for streams, which ask for the leaders before each batch. Use PreferFixed with hosts \
             that you look up",
        )),
    }
}

/// Refuses a range that can't be.
pub(super) fn check_range(range: &OffsetRange) -> Result<()> {
    let OffsetRange { topic_partition: tp, from, until } = range;
    if from > until {
        return Err(Error::new(
            ErrorKind::InvalidOffsets,
            format!(
                "Beginning offset {from} is after the ending offset {until} for topic {} partition {}. You either \
                 provided an invalid fromOffset, or the Kafka topic has been damaged",
                tp.topic, tp.partition
            ),
        ));
    }
    if *from < 0 {
        return Err(Error::new(
            ErrorKind::InvalidOffsets,
            format!("The range of {tp} starts at {from}: offsets are 0 or more"),
        ));
    }
    Ok(())
}

/// An Arrow batch is handed on when it has this many rows, or keeps this many bytes alive.
const TARGET_ROWS: usize = 32 << 10;
const TARGET_BYTES: usize = 4 << 20;
