//! Which worker reads which partition: a pure choice, so that the same partition goes to the same worker in each batch
//! and finds its reader there. Workers are plain names that the caller has; nothing is sent to them from here.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::offsets::TopicPartition;
use crate::offsets::order::string_hash;

/// How partitions are spread over workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocationStrategy {
    /// Evenly, each partition always on the same worker.
    #[default]
    PreferConsistent,
    /// On the host of the partition's leader, where workers run beside brokers.
    PreferBrokers,
    /// On these hosts; a partition that is not named goes where it would go consistently.
    PreferFixed(BTreeMap<TopicPartition, String>),
}

/// A worker. Prints as `executor_host_id`, as Spark's task locations do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Executor {
    /// The host that it runs on.
    pub host: String,
    /// Its name, unique on its host.
    pub id: String,
}

impl Executor {
    /// The worker `id` on `host`.
    pub fn new(host: impl Into<String>, id: impl Into<String>) -> Self {
        Self { host: host.into(), id: id.into() }
    }
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "executor_{}_{}", self.host, self.id)
    }
}

/// The worker for a partition, of those on `host` where there are any; `None` without workers.
///
/// The order of `executors` does not matter: they are sorted by host and then id, both as text and falling.
pub fn choose<'a>(
    partition: &TopicPartition,
    host: Option<&str>,
    executors: &'a [Executor],
) -> Option<&'a Executor> {
    let mut there: Vec<_> =
        executors.iter().filter(|one| host.is_none_or(|host| one.host == host)).collect();
    if there.is_empty() {
        there = executors.iter().collect();
    }
    there.sort_by(|a, b| (&b.host, &b.id).cmp(&(&a.host, &a.id)));
    let count = i32::try_from(there.len()).ok().filter(|count| *count > 0)?;
    let index = partition_hash(partition).rem_euclid(count);
    there.get(usize::try_from(index).ok()?).copied()
}

/// The hash code of a partition in Kafka's Java client.
fn partition_hash(tp: &TopicPartition) -> i32 {
    let first = PRIME.wrapping_add(tp.partition);
    first.wrapping_mul(PRIME).wrapping_add(string_hash(&tp.topic))
}

const PRIME: i32 = 31;

#[cfg(test)]
mod tests {
    use super::*;

    fn workers() -> Vec<Executor> {
        [("a", "3"), ("b", "1"), ("a", "4"), ("b", "2")]
            .into_iter()
            .map(|(host, id)| Executor::new(host, id))
            .collect()
    }

    fn sorted_names(host: Option<&str>, count: i32) -> Vec<String> {
        let workers = workers();
        let mut named = BTreeMap::new();
        for partition in 0..count {
            let tp = TopicPartition::new("t", partition);
            let index = partition_hash(&tp).rem_euclid(count);
            named.insert(index, choose(&tp, host, &workers).unwrap().to_string());
        }
        named.into_values().collect()
    }

    #[test]
    fn b260_workers_are_sorted_falling_as_text_and_picked_by_the_partitions_hash() {
        let all = ["executor_b_2", "executor_b_1", "executor_a_4", "executor_a_3"];
        assert_eq!(sorted_names(None, 4), all);
        assert_eq!(sorted_names(Some("a"), 2), ["executor_a_4", "executor_a_3"]);
        assert_eq!(sorted_names(Some("elsewhere"), 4), all);
        let as_text = [Executor::new("h", "9"), Executor::new("h", "10")];
        let tp = TopicPartition::new("t", 0);
        let first = if partition_hash(&tp).rem_euclid(2) == 0 { "9" } else { "10" };
        assert_eq!(choose(&tp, None, &as_text).unwrap().id, first);
        assert_eq!(choose(&tp, None, &[]), None);
    }

    #[test]
    fn b260_the_hash_is_kafkas() {
        // (31 + partition) * 31 + "t".hashCode(), and one that wraps around.
        assert_eq!(partition_hash(&TopicPartition::new("t", 0)), 31 * 31 + 116);
        assert_eq!(partition_hash(&TopicPartition::new("t", 7)), 38 * 31 + 116);
        let long = TopicPartition::new("a-topic-with-a-long-name", i32::MAX);
        assert!((0..7).contains(&partition_hash(&long).rem_euclid(7)));
    }
}
