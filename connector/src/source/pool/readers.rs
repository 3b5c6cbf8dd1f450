//! Readers that go on: with the connections and fetch sessions that they have, in new ranges. In: who reads, and what;
//! out: a reader, warm if there is one.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use klamm_client::Client;
use klamm_client::consumer::{FetchedBatch, OffsetRange as Wanted, RangeReader, ReadOptions};

use super::keyed::{Fit, Lease, Limits, Pool, PoolCounters};
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::TopicPartition;
use crate::options::PoolOptions;

/// Whose reader it is, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReaderKey {
    /// The group in whose name is read.
    pub group: Arc<str>,
    /// The one partition that it reads, or `None` for all that a query reads.
    pub partition: Option<TopicPartition>,
}

/// Readers by group and partition. Cheap to clone; clones share.
#[derive(Clone)]
pub struct ReaderPool {
    pool: Pool<ReaderKey, Kept>,
    settings: Arc<Mutex<HashMap<ReaderKey, Settings>>>,
    revision: Arc<AtomicU64>,
}

/// The options of the client that a key was first used with.
type Settings = Arc<[(String, String)]>;

/// A reader, and the credentials it was made with.
struct Kept {
    reader: RangeReader,
    revision: u64,
}

/// A reader while somebody reads with it. Dropped before its end it is closed.
#[derive(Debug)]
pub struct ReaderLease(Lease<ReaderKey, Kept>);

impl ReaderPool {
    /// An empty pool with the capacity and the timeouts of `spark.kafka.consumer.cache.*`.
    pub fn new(options: &PoolOptions) -> Self {
        let pool = Pool::new(Limits {
            capacity: options.capacity,
            idle_per_key: IDLE_PER_KEY,
            timeout: options.timeout,
            look_every: options.look_every,
        });
        Self { pool, settings: Arc::default(), revision: Arc::default() }
    }

    /// A reader for this key, without ranges. Of several idle ones it is the one used last.
    ///
    /// `attempt` counts from 0: a read that is tried again gets a new reader, and the idle ones of its key are closed,
    /// since one of them may be why it failed.
    ///
    /// # Errors
    /// `InvalidOption` when the key was used with other `settings` before, or once the pool is closed.
    pub fn lease(
        &self,
        key: &ReaderKey,
        attempt: u32,
        (client, settings): (&Client, &[(String, String)]),
        options: &ReadOptions,
    ) -> Result<ReaderLease> {
        self.check_settings(key, settings)?;
        if attempt > 0 {
            self.pool.invalidate(key);
        }
        let revision = self.revision.load(Ordering::Relaxed);
        let fit = |kept: &Kept| if kept.revision == revision { Fit::Take } else { Fit::Close };
        let make = || Kept { reader: client.read_ranges(Vec::new(), options.clone()), revision };
        self.pool.lease(key, fit, make).map(ReaderLease)
    }

    /// Says that credentials were renewed: readers from before are closed instead of used again.
    pub fn renew(&self) {
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the idle readers of a key, and those in use when they come back.
    pub fn invalidate(&self, key: &ReaderKey) {
        self.pool.invalidate(key);
    }

    /// Closes all idle readers; none is leased any more.
    pub fn close(&self) {
        self.pool.close();
    }

    /// How the pool is used.
    pub fn counters(&self) -> PoolCounters {
        self.pool.counters()
    }

    /// The same key with other options would read something else.
    fn check_settings(&self, key: &ReaderKey, given: &[(String, String)]) -> Result<()> {
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let old = known.entry(key.clone()).or_insert_with(|| given.into());
        if **old == *given {
            return Ok(());
        }
        // Names only: a value may be a secret.
        let differ = |one: &&(String, String)| !old.contains(one) || !given.contains(one);
        let names = old.iter().chain(given).filter(differ).map(|(name, _)| name.as_str());
        let names: std::collections::BTreeSet<_> = names.collect();
        let names: Vec<_> = names.into_iter().collect();
        Err(Error::new(
            ErrorKind::InvalidOption,
            format!(
                "Kafka parameters for same cache key should be equal. Group {} was used with other values of: {}",
                key.group,
                names.join(", ")
            ),
        ))
    }
}

impl ReaderLease {
    /// Adds ranges to read.
    ///
    /// # Errors
    /// `InvalidOffsets` for a range without an offset in it.
    pub fn add(&mut self, ranges: Vec<Wanted>) -> Result<()> {
        if let Some(empty) = ranges.iter().find(|range| range.start >= range.stop) {
            return Err(Error::new(
                ErrorKind::InvalidOffsets,
                format!(
                    "offset must always be less than untilOffset [offset: {}, untilOffset: {}]",
                    empty.start, empty.stop
                ),
            ));
        }
        if let Some(kept) = self.0.value() {
            kept.reader.add(ranges);
        }
        Ok(())
    }

    /// The next batch; `None` when all ranges were read, and then it should be given back. Cancel safe.
    pub async fn next(&mut self) -> Option<klamm_client::Result<FetchedBatch>> {
        self.0.value()?.reader.next().await
    }

    /// Gives the reader back, whose ranges were all read.
    pub fn give_back(self) {
        self.0.give_back();
    }
}

impl fmt::Debug for ReaderPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReaderPool").field(&self.counters()).finish()
    }
}

/// As many as Spark keeps; more at once are possible, and closed when they come back.
const IDLE_PER_KEY: usize = 3;
