//! Fetched batches that hold more than a range asked for. In: what was left of them; out: the batch that goes on where
//! the next range starts, so that it is not fetched and inflated again. Matters where ranges are small beside batches.

use std::sync::Arc;

use klamm_client::consumer::FetchedBatch;

use super::keyed::{Fit, Lease, Limits, Pool, PoolCounters};
use crate::offsets::TopicPartition;
use crate::options::PoolOptions;

/// Who fetched it, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchedKey {
    /// The group in whose name was read.
    pub group: Arc<str>,
    /// The partition.
    pub partition: TopicPartition,
}

/// What is left of batches, by partition. Cheap to clone; clones share.
///
/// The capacity is that of the readers: each batch is in memory as a whole, so they may not be many.
#[derive(Clone, Debug)]
pub struct FetchedPool(Pool<FetchedKey, FetchedBatch>);

/// What is left of a batch while somebody uses it.
#[derive(Debug)]
pub(in crate::source) struct FetchedLease(Lease<FetchedKey, FetchedBatch>);

impl FetchedPool {
    /// An empty pool with the timeouts of `spark.kafka.consumer.fetchedData.cache.*`.
    pub fn new(options: &PoolOptions) -> Self {
        Self(Pool::new(Limits {
            capacity: options.capacity,
            idle_per_key: usize::MAX,
            timeout: Some(options.fetched_timeout),
            look_every: options.fetched_look_every,
        }))
    }

    /// What is kept of this partition and goes on at `start`, if nobody else uses it.
    pub(in crate::source) fn acquire(&self, key: &FetchedKey, start: i64) -> Option<FetchedLease> {
        let fit = |kept: &FetchedBatch| {
            if kept.range.start == start { Fit::Take } else { Fit::Leave }
        };
        self.0.lease_idle(key, fit).map(FetchedLease)
    }

    /// Keeps what is left of a batch beyond the range that was handed out; nothing where nothing is left.
    pub(in crate::source) fn keep(&self, key: &FetchedKey, fetched: &FetchedBatch) {
        let Some(rest) = rest(fetched, fetched.range.end) else { return };
        // A closed pool keeps nothing.
        if let Ok(lease) = self.0.lease(key, |_| Fit::Leave, || rest) {
            lease.give_back();
        }
    }

    /// Forgets what is kept of a partition.
    pub fn invalidate(&self, key: &FetchedKey) {
        self.0.invalidate(key);
    }

    /// Closes the pool: nothing is kept any more.
    pub fn close(&self) {
        self.0.close();
    }

    /// How the pool is used.
    pub fn counters(&self) -> PoolCounters {
        self.0.counters()
    }
}

impl FetchedLease {
    /// The part before `until`, to be handed out.
    pub(in crate::source) fn part(&mut self, until: i64) -> Option<FetchedBatch> {
        let kept = self.0.value()?;
        let mut part = kept.clone();
        part.range.end = part.range.end.min(until);
        Some(part)
    }

    /// Gives it back for who goes on at `next`.
    pub(in crate::source) fn release(mut self, next: i64) {
        match self.0.value() {
            Some(kept) if next < kept.range.end => {
                kept.range.start = next;
                self.0.give_back();
            }
            _ => self.0.retire(),
        }
    }
}

/// The part of a batch from `next` on.
fn rest(fetched: &FetchedBatch, next: i64) -> Option<FetchedBatch> {
    let end = fetched.batch.header().last_offset().saturating_add(1);
    (next < end).then(|| FetchedBatch { range: next..end, ..fetched.clone() })
}

#[cfg(test)]
mod tests;
