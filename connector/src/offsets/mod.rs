//! Offsets as values: which partitions, where in each, and every decision about them that needs no cluster.
//!
//! In come offsets that somebody else looked up; out go ranges to read, limits, and the losses that were found.
//! Nothing here waits, reads a clock or touches the network, so each rule of Spark's has its test beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub mod json;
pub mod limit;
pub mod loss;
pub mod order;
pub mod range;

/// One partition of one topic. Orders by topic, then partition; prints as `topic-partition`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0. User-given JSON may hold a negative one, which no topic has.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// An offset for each of some partitions: the next record to read, or one of [`LATEST`] and [`EARLIEST`].
pub type PartitionOffsets = BTreeMap<TopicPartition, i64>;

/// Partitions as a list for messages: `t-0, t-1`, cut after the first twenty.
pub(crate) fn list<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let mut partitions = partitions.into_iter();
    let shown: Vec<String> = partitions.by_ref().take(LISTED).map(ToString::to_string).collect();
    match partitions.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Stands for the end of a partition, bound when it is read.
pub const LATEST: i64 = -1;
/// Stands for the first record that a partition still has, bound when it is read.
pub const EARLIEST: i64 = -2;
/// A topic may have thousands of partitions; a message that names them all helps nobody.
const LISTED: usize = 20;

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Offsets from `(topic, partition, offset)`.
    pub(crate) fn offsets(entries: &[(&str, i32, i64)]) -> PartitionOffsets {
        entries.iter().map(|&(t, p, o)| (TopicPartition::new(t, p), o)).collect()
    }
}
