//! The stream: decides, batch after batch, which offsets come next. In: a strategy, options, what became of earlier
//! batches; out: batches that carry their ranges. Reading and storing is the caller's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::Client;
use klamm_client::admin::OffsetSpec;
use tokio::time::{Instant, sleep_until};

use super::commit::{CommitReceipt, Committer, Unsent};
use super::location::{Executor, LocationStrategy};
use super::lookup;
use super::options::{DirectOptions, OffsetReset};
use super::range_read::{RangeRead, check_range, reader_pool};
use super::rate::{Backpressure, BatchDone, Limits, RateEstimator};
use super::reading::Readers;
use super::state::{StoredBatch, StreamState};
use super::strategy::ConsumerStrategy;
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::range::{OffsetRange, between};
use crate::offsets::{PartitionOffsets, TopicPartition, list};
use crate::source::pool::ReaderPool;
use crate::tokens::connect;

/// A stream of batches over some partitions.
///
/// Where a partition starts: at the position of [`DirectStream::with_state`], else where the strategy says, else at
/// what the group has committed, else as `auto.offset.reset` says. A partition that appears later starts by the same
/// rule when it is first seen.
#[must_use = "a stream reads nothing by itself"]
pub struct DirectStream {
    client: Client,
    options: Arc<DirectOptions>,
    strategy: Box<dyn ConsumerStrategy>,
    location: LocationStrategy,
    interval: Duration,
    /// Where the strategy says to start; nothing where a state was given.
    starts: PartitionOffsets,
    positions: PartitionOffsets,
    restored: VecDeque<StoredBatch>,
    open: BTreeMap<i64, Vec<OffsetRange>>,
    commits: Committer,
    backpressure: Option<Backpressure>,
    pool: Option<ReaderPool>,
    due: Option<Instant>,
    last_time: i64,
}

/// What is known of a batch: for logs, and for who watches the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// When it was made, in milliseconds since 1970; no two batches of a stream have the same.
    pub time: i64,
    /// How many offsets its ranges span.
    pub records: u64,
    /// Its ranges that are not empty, the largest first, one a line.
    pub description: String,
    /// How long it waited for the batch before.
    pub scheduling_delay: Duration,
    /// How long it took; `None` until it is completed.
    pub processing_delay: Option<Duration>,
}

/// One batch: one range for each partition of the stream, empty ones included.
#[derive(Clone, Debug)]
#[must_use = "a batch that is not completed counts as unfinished"]
pub struct DirectBatch {
    info: BatchInfo,
    read: RangeRead,
    begun: Instant,
}

impl DirectBatch {
    /// The ranges, by partition. What is derived from the records has none: take them before.
    pub fn ranges(&self) -> &[OffsetRange] {
        self.read.ranges()
    }

    /// What to read the ranges with.
    pub fn read(&self) -> &RangeRead {
        &self.read
    }

    /// What is known of the batch.
    pub fn info(&self) -> &BatchInfo {
        &self.info
    }

    /// Which of these workers should read which range, in the order of the ranges.
    pub fn locations<'a>(&self, executors: &'a [Executor]) -> Vec<Option<&'a Executor>> {
        self.read.locations(executors)
    }
}

impl DirectStream {
    /// Connects. Batches of [`DirectStream::next`] begin every `interval`, which the rates count with, too.
    ///
    /// # Errors
    /// As [`DirectStream::new`]; `InvalidOption` for an option of the client, before anything is contacted; `Client`
    /// when nobody answers.
    pub async fn connect(
        options: DirectOptions,
        strategy: impl ConsumerStrategy + 'static,
        location: LocationStrategy,
        interval: Duration,
    ) -> Result<Self> {
        let client = connect(options.client(), options.tokens()).await?;
        Self::new(client, options, strategy, location, interval)
    }

    /// A stream on a client that is connected already.
    ///
    /// # Errors
    /// `InvalidOption` for an interval of less than a millisecond, or a start below 0.
    pub fn new(
        client: Client,
        options: DirectOptions,
        strategy: impl ConsumerStrategy + 'static,
        location: LocationStrategy,
        interval: Duration,
    ) -> Result<Self> {
        if interval < Duration::from_millis(1) {
            return Err(Error::option("the interval of a stream must be at least a millisecond"));
        }
        let starts = strategy.starts();
        if let Some((tp, start)) = starts.iter().find(|(_, start)| **start < 0) {
            return Err(Error::option(format!(
                "The starting offset of {tp} is {start}: offsets are 0 or more. For an end of the log leave it out and \
                 set auto.offset.reset"
            )));
        }
        Ok(Self {
            backpressure: options.backpressure().map(|given| Backpressure::new(given, interval)),
            commits: Committer::new(options.group_id()),
            pool: reader_pool(&options),
            client,
            options: Arc::new(options),
            strategy: Box::new(strategy),
            location,
            interval,
            starts,
            positions: PartitionOffsets::new(),
            restored: VecDeque::new(),
            open: BTreeMap::new(),
            due: None,
            last_time: 0,
        })
    }

    /// Goes on from a state: first come its unfinished batches with the same times and ranges, then new ones from its
    /// positions. What the strategy says of starts does not count then, unless the state is empty.
    pub fn with_state(mut self, state: StreamState) -> Self {
        if !state.positions.is_empty() || !state.unfinished.is_empty() {
            self.starts.clear();
        }
        self.positions = state.positions;
        // What was given out is not given out once more, whatever the caller has kept of the positions.
        for range in state.unfinished.iter().flat_map(|batch| &batch.ranges) {
            let at = self.positions.entry(range.topic_partition.clone()).or_default();
            *at = range.until.max(*at);
        }
        let last = state.unfinished.iter().map(|batch| batch.time).max();
        self.last_time = self.last_time.max(last.unwrap_or_default());
        self.restored = state.unfinished.into();
        self
    }

    /// Has another estimator say how fast batches are processed. Has no effect unless
    /// `spark.streaming.backpressure.enabled` is set.
    pub fn with_estimator(mut self, estimator: impl RateEstimator + 'static) -> Self {
        if let Some(backpressure) = &mut self.backpressure {
            backpressure.set_estimator(Box::new(estimator));
        }
        self
    }

    /// Waits until the next batch is due, and makes it. One that is late begins at once, and the times of those after
    /// it stay as they were.
    ///
    /// # Errors
    /// As [`DirectStream::compute`]; another call tries again.
    ///
    /// Cancel safe: a dropped call gives out no batch and moves no position.
    pub async fn next(&mut self) -> Result<DirectBatch> {
        let due = *self.due.get_or_insert_with(Instant::now);
        sleep_until(due).await;
        let mut batch = self.compute().await?;
        batch.info.scheduling_delay = batch.begun.saturating_duration_since(due);
        self.due = Some(due + self.interval);
        Ok(batch)
    }

    /// Makes a batch now: commits what is queued, asks what there is, and cuts it as the rates say.
    ///
    /// # Errors
    /// `DataLoss` when a partition that was read is no more among those of the strategy. `InvalidOffsets` when a
    /// partition ends before its position, or has no position and `auto.offset.reset` is none. `InvalidOption` when
    /// thousands of batches were not completed. `Client` when nobody answers.
    ///
    /// Cancel safe: a dropped call gives out no batch and moves no position.
    pub async fn compute(&mut self) -> Result<DirectBatch> {
        self.commits.drain(&self.client).await;
        if self.open.len() >= MOST_OPEN {
            return Err(Error::option(format!(
                "{MOST_OPEN} batches are unfinished: hand each back to complete() when it was processed"
            )));
        }
        if let Some(StoredBatch { time, ranges }) = self.restored.front().cloned() {
            // A reader that was kept may be what has failed.
            let batch = self.batch(time, ranges, None).await?;
            self.restored.pop_front();
            return Ok(batch);
        }
        let partitions = self.strategy.partitions(&self.client).await?;
        self.check_still_there(&partitions)?;
        let from = self.joined(partitions).await?;
        let latest = lookup::latest(&self.client, &from).await?;
        let rate = self.backpressure.as_ref().map(Backpressure::rate);
        let ends = Limits::new(&self.options, rate, self.interval).ends(&from, &latest);
        let ranges = between(&from, &ends)?;
        ranges.iter().try_for_each(check_range)?;
        let time = since_1970().max(self.last_time + 1);
        let batch = self.batch(time, ranges, self.pool.clone()).await?;
        self.positions = ends;
        Ok(batch)
    }

    /// Takes a batch back that was processed, and learns from the time since it was given out.
    pub fn complete(&mut self, batch: DirectBatch) -> BatchInfo {
        let delay = batch.begun.elapsed();
        self.complete_after(batch, delay)
    }

    /// As [`DirectStream::complete`], for a batch that was processed elsewhere in this time.
    pub fn complete_after(&mut self, batch: DirectBatch, processing_delay: Duration) -> BatchInfo {
        let mut info = batch.info;
        info.processing_delay = Some(processing_delay);
        self.open.remove(&info.time);
        if let Some(backpressure) = &mut self.backpressure {
            backpressure.learn(&BatchDone {
                time: since_1970(),
                records: info.records,
                processing_delay,
                scheduling_delay: info.scheduling_delay,
            });
        }
        info
    }

    /// Queues the ends of ranges, to be committed to the stream's group when the next batch is made.
    pub fn commit_async(&self, ranges: &[OffsetRange]) -> CommitReceipt {
        self.commits.commit_async(ranges)
    }

    /// What queues positions, for other tasks.
    pub fn committer(&self) -> Committer {
        self.commits.clone()
    }

    /// What must survive a restart.
    pub fn state(&self) -> StreamState {
        let given_out = self.open.iter().map(|(time, ranges)| (*time, ranges.clone()));
        let mut unfinished: BTreeMap<i64, Vec<OffsetRange>> = given_out.collect();
        unfinished.extend(self.restored.iter().map(|one| (one.time, one.ranges.clone())));
        let stored = |(time, ranges)| StoredBatch { time, ranges };
        StreamState {
            positions: self.positions.clone(),
            unfinished: unfinished.into_iter().map(stored).collect(),
        }
    }

    /// Commits what is queued, and ends the stream. Gives what could not be committed: nothing, if all went well.
    ///
    /// Dropped early, what was queued may or may not be committed; its receipts say that the stream has ended.
    pub async fn close(self) -> Unsent {
        self.commits.drain(&self.client).await;
        self.commits.close()
    }

    /// A partition may come, but not go: what it had is lost.
    fn check_still_there(&self, partitions: &BTreeSet<TopicPartition>) -> Result<()> {
        let gone: Vec<_> = self.positions.keys().filter(|tp| !partitions.contains(tp)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::DataLoss,
            format!(
                "Previously tracked partitions [{}] are no more among those that the strategy finds: their topics were \
                 deleted, or may no longer be seen",
                list(gone)
            ),
        ))
    }

    /// The positions of all partitions, those that are new included.
    async fn joined(&self, partitions: BTreeSet<TopicPartition>) -> Result<PartitionOffsets> {
        let mut positions = self.positions.clone();
        let is_new = |tp: &TopicPartition| !positions.contains_key(tp);
        let mut new: Vec<_> = partitions.into_iter().filter(is_new).collect();
        let given = new.iter().filter_map(|tp| Some((tp.clone(), *self.starts.get(tp)?)));
        positions.extend(given.collect::<Vec<_>>());
        new.retain(|tp| !positions.contains_key(tp));
        if let Some(group) = self.options.group_id().filter(|_| !new.is_empty()) {
            positions.extend(lookup::committed(&self.client, group, &new).await?);
            new.retain(|tp| !positions.contains_key(tp));
        }
        let spec = match self.options.reset() {
            OffsetReset::Latest => OffsetSpec::Latest,
            OffsetReset::Earliest => OffsetSpec::Earliest,
            OffsetReset::None if new.is_empty() => return Ok(positions),
            OffsetReset::None => return Err(no_position(&new)),
        };
        positions.extend(lookup::listed(&self.client, &new, spec).await?);
        Ok(positions)
    }

    async fn batch(
        &mut self,
        time: i64,
        ranges: Vec<OffsetRange>,
        pool: Option<ReaderPool>,
    ) -> Result<DirectBatch> {
        let hosts = match &self.location {
            LocationStrategy::PreferConsistent => BTreeMap::new(),
            LocationStrategy::PreferFixed(hosts) => hosts.clone(),
            LocationStrategy::PreferBrokers => {
                let partitions = ranges.iter().map(|range| &range.topic_partition);
                lookup::leader_hosts(&self.client, partitions).await?
            }
        };
        let (client, options) = (self.client.clone(), Arc::clone(&self.options));
        let readers = Readers { client, options, pool, attempt: 0 };
        let read = RangeRead::at(readers, ranges.clone(), hosts)?;
        let info = BatchInfo {
            time,
            records: ranges.iter().map(|one| u64::try_from(one.size()).unwrap_or_default()).sum(),
            description: describe(&ranges),
            scheduling_delay: Duration::ZERO,
            processing_delay: None,
        };
        self.last_time = self.last_time.max(time);
        self.open.insert(time, ranges);
        Ok(DirectBatch { info, read, begun: Instant::now() })
    }
}

impl Drop for DirectStream {
    fn drop(&mut self) {
        let unsent = self.commits.close();
        if !unsent.is_empty() {
            tracing::warn!("a stream ended with uncommitted positions of {}", list(unsent.keys()));
        }
    }
}

/// The ranges that are not empty, as Spark's page shows them.
fn describe(ranges: &[OffsetRange]) -> String {
    let mut ranges: Vec<_> = ranges.iter().filter(|range| range.size() > 0).collect();
    ranges.sort_by_key(|range| std::cmp::Reverse(range.size()));
    let line = |range: &&OffsetRange| {
        let OffsetRange { topic_partition: tp, from, until } = range;
        format!("topic: {}\tpartition: {}\toffsets: {from} to {until}", tp.topic, tp.partition)
    };
    ranges.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn no_position(partitions: &[TopicPartition]) -> Error {
    Error::new(
        ErrorKind::InvalidOffsets,
        format!(
            "Undefined offset with no reset policy for partitions: [{}]. Give the strategy starting offsets, or set \
             auto.offset.reset to earliest or latest",
            list(partitions)
        ),
    )
}

fn since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// As many batches as a state may hold, before somebody must have forgotten to complete them.
const MOST_OPEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b250_the_description_has_the_ranges_that_are_not_empty_by_size() {
        let range = |id, from, until| OffsetRange::new(TopicPartition::new("t", id), from, until);
        let ranges = [range(0, 5, 7), range(1, 3, 3), range(2, 0, 14)];
        assert_eq!(
            describe(&ranges),
            "topic: t\tpartition: 2\toffsets: 0 to 14\ntopic: t\tpartition: 0\toffsets: 5 to 7"
        );
    }
}
