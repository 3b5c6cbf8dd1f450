//! Ranges in, Arrow rows out: the reader asks the client for batches, decodes them as they come, and decides about
//! records that are gone.
//!
//! Memory is bounded by the client's prefetch and one Arrow batch under construction. Rows of one partition come in
//! the order of their offsets, each offset at most once, also after a loss that was forgiven.

use std::collections::{HashMap, VecDeque};
use std::future::ready;
use std::sync::Arc;

use arrow_array::RecordBatch;
use klamm_client::consumer::{FetchedBatch, ReadOptions};
use klamm_client::{Client, ErrorKind as ClientErrorKind};

use super::feed::{Feed, Means, Warm};
use super::lookup::{Lookup, check_order};
use super::stream::Batches;
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::loss::{DataLoss, OutOfRange, after_out_of_range};
use crate::offsets::range::OffsetRange;
use crate::offsets::{PartitionOffsets, TopicPartition};
use crate::options::SourceOptions;
use crate::rows::RowDecoder;

/// In which order the rows of several partitions come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadOrder {
    /// As they arrive; within a partition by offset. All partitions are read at once.
    #[default]
    AsTheyCome,
    /// Partition by partition, in the order of the ranges.
    ByPartition,
}

/// Reads ranges to their ends.
pub(super) struct RowReader {
    client: Client,
    lookup: Lookup,
    options: Arc<SourceOptions>,
    /// Ranges whose limits may still be symbols; looked up before anything is read.
    unbound: Vec<OffsetRange>,
    order: ReadOrder,
    /// What is read after the present ranges.
    waiting: VecDeque<Vec<OffsetRange>>,
    /// The present ranges, and how far each partition of them was handed out.
    ranges: Vec<OffsetRange>,
    positions: HashMap<TopicPartition, i64>,
    feed: Option<Feed>,
    warm: Warm,
    /// How often reading was begun anew after something had failed.
    attempt: u32,
    decoders: HashMap<TopicPartition, RowDecoder>,
    /// The partition whose decoder holds rows.
    current: Option<TopicPartition>,
    /// Losses that were forgiven in a row without a record in between.
    setbacks: u32,
}

impl RowReader {
    pub(super) fn new(
        client: Client,
        options: Arc<SourceOptions>,
        ranges: Vec<OffsetRange>,
        order: ReadOrder,
        warm: Warm,
    ) -> Self {
        Self {
            lookup: Lookup::new(client.clone(), Arc::clone(&options)),
            client,
            options,
            unbound: ranges,
            order,
            waiting: VecDeque::new(),
            ranges: Vec::new(),
            positions: HashMap::new(),
            feed: None,
            warm,
            attempt: 0,
            decoders: HashMap::new(),
            current: None,
            setbacks: 0,
        }
    }

    async fn step(&mut self) -> Result<Option<RecordBatch>> {
        self.bind().await?;
        loop {
            let gathered = self.current.is_some();
            let Some(feed) = self.next_feed()? else { return Ok(None) };
            let fetched = tokio::select! {
                biased;
                fetched = feed.next() => fetched,
                // Nothing is here yet: what was gathered goes on meanwhile.
                () = ready(()), if gathered => return self.flush(),
            };
            let rows = match fetched {
                Some(Ok(batch)) => self.take(&batch)?,
                Some(Err(error)) => {
                    let rows = self.flush()?;
                    self.give_up();
                    self.recover(error).await?;
                    rows
                }
                None => {
                    if let Some(feed) = self.feed.take() {
                        feed.finish();
                    }
                    self.ranges.clear();
                    self.flush()?
                }
            };
            if rows.is_some() {
                return Ok(rows);
            }
        }
    }

    /// Replaces symbolic limits by those of now, and sorts the ranges into what is read at once.
    async fn bind(&mut self) -> Result<()> {
        let ranges = &self.unbound;
        if ranges.is_empty() {
            return Ok(());
        }
        let symbolic = ranges.iter().any(|range| range.from < 0 || range.until < 0);
        let mut bound = ranges.clone();
        if symbolic {
            let limits = |of: fn(&OffsetRange) -> i64| -> PartitionOffsets {
                let known = ranges.iter().filter(|range| of(range) < 0);
                known.map(|range| (range.topic_partition.clone(), of(range))).collect()
            };
            let from = self.lookup.bound(&limits(|range| range.from)).await?;
            let until = self.lookup.bound(&limits(|range| range.until)).await?;
            for range in &mut bound {
                let tp = &range.topic_partition;
                if range.from < 0 {
                    range.from = from.get(tp).copied().unwrap_or(range.from);
                }
                if range.until < 0 {
                    range.until = until.get(tp).copied().unwrap_or(range.until);
                }
            }
            bound.iter().try_for_each(check_bound)?;
        }
        self.unbound.clear();
        bound.retain(|range| range.size() > 0);
        match self.order {
            ReadOrder::AsTheyCome => self.waiting.push_back(bound),
            ReadOrder::ByPartition => {
                for range in bound {
                    let same = |group: &&mut Vec<OffsetRange>| {
                        group.iter().any(|r| r.topic_partition == range.topic_partition)
                    };
                    match self.waiting.iter_mut().find(same) {
                        Some(group) => group.push(range),
                        None => self.waiting.push_back(vec![range]),
                    }
                }
            }
        }
        Ok(())
    }

    /// What gives the present ranges, or the next ones; `None` when all are read.
    fn next_feed(&mut self) -> Result<Option<&mut Feed>> {
        if self.feed.is_none() {
            let Some(ranges) = self.waiting.pop_front() else { return Ok(None) };
            self.ranges = ranges;
            self.positions.clear();
            self.feed = Some(self.read(&self.ranges)?);
        }
        Ok(self.feed.as_mut())
    }

    fn read(&self, ranges: &[OffsetRange]) -> Result<Feed> {
        let mut read = ReadOptions::from_config(self.client.config());
        read.isolation = self.lookup.isolation();
        read.max_bytes = PREFETCH;
        read.poll_timeout = self.options.poll_timeout();
        let (client, settings, attempt) = (&self.client, self.options.client(), self.attempt);
        let warm = &self.warm;
        Feed::open(Means { client, settings, read, attempt, warm }, ranges)
    }

    /// Something failed: what was used for it is used no more.
    fn give_up(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        if let Some(feed) = self.feed.take() {
            feed.fail();
        }
    }

    /// Decodes a batch. Gives rows when enough are gathered, or when another partition's turn has come.
    fn take(&mut self, fetched: &FetchedBatch) -> Result<Option<RecordBatch>> {
        self.setbacks = 0;
        let tp = TopicPartition::new(Arc::clone(&fetched.topic), fetched.partition);
        let other = self.current.as_ref().is_some_and(|current| *current != tp);
        let rows = if other { self.flush()? } else { None };
        let include_headers = self.options.include_headers();
        let decoder = self
            .decoders
            .entry(tp.clone())
            .or_insert_with(|| RowDecoder::new(&fetched.topic, fetched.partition, include_headers));
        decoder.push(&fetched.batch, fetched.range.clone())?;
        let full = decoder.rows() >= TARGET_ROWS || decoder.bytes() >= TARGET_BYTES;
        let some = decoder.rows() > 0;
        self.positions.insert(tp.clone(), fetched.range.end);
        self.current = some.then_some(tp);
        if full && rows.is_none() { self.flush() } else { Ok(rows) }
    }

    /// The rows gathered so far, if there are any.
    fn flush(&mut self) -> Result<Option<RecordBatch>> {
        let Some(current) = self.current.take() else { return Ok(None) };
        let Some(decoder) = self.decoders.get_mut(&current) else { return Ok(None) };
        decoder.finish().map(Some)
    }

    /// Goes on after an error of the client, or fails with it.
    async fn recover(&mut self, error: klamm_client::Error) -> Result<()> {
        let number = |name| error.context(name).and_then(|text| text.parse::<i64>().ok());
        let place = || {
            let partition = i32::try_from(number("partition")?).ok()?;
            let tp = TopicPartition::new(error.context("topic")?, partition);
            Some(OffsetRange::new(tp, number("offset")?, number("stop")?))
        };
        if error.kind() == ClientErrorKind::Usage {
            return self.forget_vanished(error);
        }
        let loses = match error.kind() {
            ClientErrorKind::DataLoss => true,
            ClientErrorKind::TimedOut => false,
            _ => return Err(error.into()),
        };
        let Some(rest) = place() else { return Err(error.into()) };
        let (log_start, log_end) = match (number("log_start"), number("log_end")) {
            (Some(start), Some(end)) => (start, end),
            _ => self.lookup.both_ends(&rest.topic_partition).await?,
        };
        // An end beyond the log's is a loss too, though nobody says so: the records never come.
        if !loses && rest.until <= log_end {
            return Err(no_progress(&rest, &self.options).with_source(error));
        }
        if self.options.fail_on_data_loss() {
            return Err(self.unreadable(rest).with_source(error));
        }
        self.setbacks += 1;
        if self.setbacks > MAX_SETBACKS {
            return Err(error.into());
        }
        let skipped = match after_out_of_range(rest.from, rest.until, log_start, log_end) {
            OutOfRange::Finish { skipped } | OutOfRange::ContinueAt { skipped, .. } => skipped,
            OutOfRange::Retry => 0,
        };
        tracing::warn!(%error, skipped, "data may have been lost: going on with what is left of {rest}");
        self.resume(&rest.topic_partition, rest.from.max(log_start), log_end);
        Ok(())
    }

    /// A topic or partition that was there when the ranges were planned is no more.
    fn forget_vanished(&mut self, error: klamm_client::Error) -> Result<()> {
        let partition = error.context("partition").and_then(|text| text.parse().ok());
        let (Some(topic), Some(partition)) = (error.context("topic"), partition) else {
            return Err(error.into());
        };
        let tp = TopicPartition::new(topic, partition);
        let mut ranges = self.ranges.iter().filter(|range| range.topic_partition == tp);
        let Some(range) = ranges.next().cloned() else { return Err(error.into()) };
        if self.options.fail_on_data_loss() {
            let done = self.positions.get(&tp).copied().unwrap_or(range.from);
            let until = ranges.next_back().map_or(range.until, |last| last.until);
            return Err(self.unreadable(OffsetRange::new(tp, done, until)).with_source(error));
        }
        tracing::warn!(%error, "data may have been lost: going on without {tp}");
        self.resume(&tp, 0, 0);
        Ok(())
    }

    fn unreadable(&self, range: OffsetRange) -> Error {
        let group_id = self.warm.group.to_string();
        DataLoss::UnreadableRange { range, group_id }.into_error()
    }

    /// Reads the present ranges anew from where they were handed out, and of one partition only what lies from `from`
    /// up to `until`. Its ranges before that are gone, those after it will not come.
    fn resume(&mut self, broken: &TopicPartition, from: i64, until: i64) {
        let mut rest = Vec::new();
        for range in &self.ranges {
            let tp = &range.topic_partition;
            let done = self.positions.get(tp).copied().unwrap_or(range.from);
            let mut left = OffsetRange::new(tp.clone(), range.from.max(done), range.until);
            if tp == broken {
                left.from = left.from.max(from);
                left.until = left.until.min(until);
            }
            if left.size() > 0 {
                rest.push(left);
            }
        }
        self.feed = None;
        self.ranges.clear();
        if !rest.is_empty() {
            self.waiting.push_front(rest);
        }
    }
}

impl Batches for RowReader {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.step().await.transpose()
    }
}

/// A range that was bound: no symbol is left, and it does not end before it starts.
fn check_bound(range: &OffsetRange) -> Result<()> {
    let tp = &range.topic_partition;
    if range.from < 0 || range.until < 0 {
        let offset = range.from.min(range.until);
        return Err(Error::new(
            ErrorKind::InvalidOffsets,
            format!(
                "The offset {offset} of {tp} is neither an offset nor -1 for latest nor -2 for earliest"
            ),
        ));
    }
    let one = |offset| PartitionOffsets::from([(tp.clone(), offset)]);
    check_order(&one(range.from), &one(range.until))
}

fn no_progress(rest: &OffsetRange, options: &SourceOptions) -> Error {
    let message = format!(
        "Cannot fetch record for offset {} in {} milliseconds. Check that the leader of {} is up, or raise \
         kafkaConsumer.pollTimeoutMs",
        rest.from,
        options.poll_timeout().as_millis(),
        rest.topic_partition
    );
    Error::new(ErrorKind::Client, message).with_retriable(true)
}

/// How many bytes the client fetches ahead.
const PREFETCH: usize = 16 << 20;
/// An Arrow batch is handed on when it has this many rows, or keeps this many bytes alive.
const TARGET_ROWS: usize = 32 << 10;
const TARGET_BYTES: usize = 4 << 20;
/// How many losses in a row are forgiven before something else must be wrong.
const MAX_SETBACKS: u32 = 16;
