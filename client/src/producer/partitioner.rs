//! A choice of partitions of one's own: a record and its topic's partitions go in, a partition comes
//! out.

use std::fmt;
use std::sync::Arc;

/// Chooses the partition of records that name none.
///
/// ```
/// use klamm_client::producer::{Partitioner, ProducerOptions};
///
/// /// Everything without a value goes to partition 0.
/// struct Tombstones;
///
/// impl Partitioner for Tombstones {
///     fn partition(
///         &self,
///         _topic: &str,
///         _key: Option<&[u8]>,
///         value: Option<&[u8]>,
///         _partitions: i32,
///         _available: &[i32],
///     ) -> Option<i32> {
///         value.is_none().then_some(0)
///     }
/// }
///
/// let mut options = ProducerOptions::default();
/// options.partitioner = Some(Tombstones.into());
/// ```
pub trait Partitioner: Send + Sync {
    /// The partition of a record, from 0 to `partitions` - 1; `None` leaves the choice to the
    /// producer, which chooses as Java's clients do. `available` are the partitions that have a
    /// leader just now; records of others wait. Called by [`Producer::append`](super::Producer::append)
    /// for each record, without a lock; a panic is the caller's.
    fn partition(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        partitions: i32,
        available: &[i32],
    ) -> Option<i32>;
}

/// A [`Partitioner`] in its options. Two are equal if they are the same one.
#[derive(Clone)]
pub struct CustomPartitioner(Arc<dyn Partitioner>);

impl CustomPartitioner {
    pub(super) fn inner(&self) -> &dyn Partitioner {
        &*self.0
    }
}

impl<P: Partitioner + 'static> From<P> for CustomPartitioner {
    fn from(partitioner: P) -> Self {
        Self(Arc::new(partitioner))
    }
}

impl PartialEq for CustomPartitioner {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CustomPartitioner {}

impl fmt::Debug for CustomPartitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomPartitioner").finish_non_exhaustive()
    }
}
