//! Where a read's batches come from: what is left of batches fetched before, then a reader, warm where there is one. In:
//! ranges; out: their batches, in order within a partition, and at the end all goes back to the pools.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use klamm_client::Client;
use klamm_client::consumer::{FetchedBatch, OffsetRange as Wanted, ReadOptions};

use super::pool::{FetchedKey, Pools, ReaderKey, ReaderLease};
use crate::error::Result;
use crate::offsets::TopicPartition;
use crate::offsets::range::OffsetRange;

/// The pools, and in whose name they are used.
#[derive(Clone, Debug)]
pub(super) struct Warm {
    pub(super) group: Arc<str>,
    pub(super) pools: Pools,
}

/// What a feed is made with.
pub(super) struct Means<'a> {
    pub(super) client: &'a Client,
    /// The options of the client.
    pub(super) settings: &'a [(String, String)],
    pub(super) read: ReadOptions,
    /// 0 for a first attempt; after a failure nothing warm is trusted.
    pub(super) attempt: u32,
    pub(super) warm: &'a Warm,
}

/// A read under way. Dropped before its end, its reader is closed.
pub(super) struct Feed {
    warm: Warm,
    left: VecDeque<FetchedBatch>,
    reader: ReaderLease,
    /// Where the read ends in each partition.
    stops: BTreeMap<TopicPartition, i64>,
}

impl Feed {
    /// Takes up these ranges; those of one partition by rising offset. Nothing is contacted yet.
    ///
    /// # Errors
    /// `InvalidOption` when the pool is closed, or was used under the same name with other options.
    pub(super) fn open(means: Means<'_>, ranges: &[OffsetRange]) -> Result<Self> {
        let mut stops = BTreeMap::new();
        for range in ranges {
            let stop = stops.entry(range.topic_partition.clone()).or_insert(range.until);
            *stop = range.until.max(*stop);
        }
        let Means { client, settings, read, attempt, warm } = means;
        let key = ReaderKey { group: Arc::clone(&warm.group), partition: None };
        let mut reader = warm.pools.readers.lease(&key, attempt, (client, settings), &read)?;
        let mut left = VecDeque::new();
        let rest = ranges.iter().filter_map(|range| warm.left_of(range, attempt, &mut left));
        reader.add(rest.collect())?;
        Ok(Self { warm: warm.clone(), left, reader, stops })
    }

    /// The next batch; `None` at the end. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<klamm_client::Result<FetchedBatch>> {
        if let Some(left) = self.left.pop_front() {
            return Some(Ok(left));
        }
        let next = self.reader.next().await;
        if let Some(Ok(fetched)) = &next {
            let warm = &self.warm;
            let key = warm.key(TopicPartition::new(Arc::clone(&fetched.topic), fetched.partition));
            // What lies behind the end of an earlier range is read with the next one.
            if self.stops.get(&key.partition) == Some(&fetched.range.end) {
                warm.pools.fetched.keep(&key, fetched);
            }
        }
        next
    }

    /// Ends a read that came to its end.
    pub(super) fn finish(self) {
        self.reader.give_back();
    }

    /// Ends a read that failed: nothing of it is used again.
    pub(super) fn fail(self) {
        for partition in self.stops.keys() {
            self.warm.pools.fetched.invalidate(&self.warm.key(partition.clone()));
        }
    }
}

impl Warm {
    fn key(&self, partition: TopicPartition) -> FetchedKey {
        FetchedKey { group: Arc::clone(&self.group), partition }
    }

    /// Moves what is kept of a range to `left`, and gives what has to be fetched.
    fn left_of(
        &self,
        range: &OffsetRange,
        attempt: u32,
        left: &mut VecDeque<FetchedBatch>,
    ) -> Option<Wanted> {
        let mut wanted = wanted(range);
        let key = self.key(range.topic_partition.clone());
        let kept = if attempt == 0 { self.pools.fetched.acquire(&key, range.from) } else { None };
        if let Some(mut lease) = kept
            && let Some(part) = lease.part(range.until)
        {
            wanted.start = part.range.end;
            lease.release(part.range.end);
            left.push_back(part);
        }
        (wanted.start < wanted.stop).then_some(wanted)
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
