//! What is kept from one read to the next: readers with their connections and fetch sessions, and fetched batches that
//! hold more than was asked for. In: keys; out: what fits, or something new.
//!
//! A reader of Spark's is a consumer of one partition; here one reads all partitions of a query, over one connection a
//! leader, so a query's key has no partition. The pools hold no threads: what is too old is found by one task that
//! lives as long as its pool.

mod fetched;
mod keyed;
mod readers;

pub use fetched::{FetchedKey, FetchedPool};
pub use keyed::{Fit, Lease, Pool, PoolCounters};
pub use readers::{ReaderKey, ReaderLease, ReaderPool};

use crate::options::PoolOptions;

/// Both pools of a source. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Readers.
    pub readers: ReaderPool,
    /// Fetched batches.
    pub fetched: FetchedPool,
}

impl Pools {
    /// Empty pools with these limits.
    pub fn new(options: &PoolOptions) -> Self {
        Self { readers: ReaderPool::new(options), fetched: FetchedPool::new(options) }
    }
}
