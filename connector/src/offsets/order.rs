//! The order in which Spark prints the keys of an offset's JSON, which decides whether two offsets are equal to
//! it: Spark compares them as text.
//!
//! Spark puts the sorted partitions into hash tables (Scala 2.13's mutable map) and prints what an iteration
//! yields. So the order is that of a table whose size we have to follow: 16 slots at first, doubled when a put
//! finds that one more key would reach three quarters. The check runs before it is known whether the key is new.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use super::{PartitionOffsets, TopicPartition};

/// A partition and its offset.
type Entry<'a> = (&'a TopicPartition, i64);

/// The topics in print order, each with its partitions in print order.
pub(crate) fn printed(offsets: &PartitionOffsets) -> Vec<(&str, Vec<Entry<'_>>)> {
    let mut sorted: Vec<Entry<'_>> = offsets.iter().map(|(k, v)| (k, *v)).collect();
    // Java compares strings by UTF-16 unit, Rust by byte; they differ only beyond what brokers allow in a name.
    sorted.sort_by(|(a, _), (b, _)| {
        let by_name = a.topic.encode_utf16().cmp(b.topic.encode_utf16());
        by_name.then(a.partition.cmp(&b.partition))
    });
    let mut names = Table::default();
    let mut topics: BTreeMap<&str, Topic<'_>> = BTreeMap::new();
    for (tp, offset) in sorted {
        // Inner before outer, and the outer put again for each partition: both decide when a table grows.
        let topic = topics.entry(&*tp.topic).or_default();
        topic.table.put(tp.partition, tp.partition);
        topic.entries.insert(tp.partition, (tp, offset));
        names.put(&*tp.topic, string_hash(&tp.topic));
    }
    let ordered = names.into_order().into_iter();
    ordered.filter_map(|name| Some((name, topics.remove(name)?.into_order()))).collect()
}

/// The partitions of one topic: what is printed, and the table that says in which order.
#[derive(Default)]
struct Topic<'a> {
    table: Table<i32>,
    entries: BTreeMap<i32, Entry<'a>>,
}

impl<'a> Topic<'a> {
    fn into_order(self) -> Vec<Entry<'a>> {
        let ids = self.table.into_order().into_iter();
        ids.filter_map(|id| self.entries.get(&id).copied()).collect()
    }
}

/// The size of a hash table and its keys: all that is needed to know the order of an iteration.
struct Table<K> {
    slots: u32,
    keys: Vec<(i32, K)>,
    seen: HashSet<K>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { slots: FIRST_SLOTS, keys: Vec::new(), seen: HashSet::new() }
    }
}

impl<K: Copy + Eq + Hash> Table<K> {
    /// Puts `key`, whose Java hash code is `hash`.
    fn put(&mut self, key: K, hash: i32) {
        let threshold = self.slots as usize / 4 * 3;
        if self.keys.len() + 1 >= threshold {
            self.slots = self.slots.saturating_mul(2);
        }
        if self.seen.insert(key) {
            self.keys.push((improved(hash), key));
        }
    }

    /// The keys as an iteration over the table yields them: by slot, by hash within a slot, then as put.
    fn into_order(mut self) -> Vec<K> {
        let mask = self.slots.wrapping_sub(1);
        self.keys.sort_by_key(|(hash, _)| (hash.cast_unsigned() & mask, *hash));
        self.keys.into_iter().map(|(_, key)| key).collect()
    }
}

/// Java's hash code of a string: the polynomial in 31 over UTF-16 units.
pub(crate) fn string_hash(text: &str) -> i32 {
    text.encode_utf16()
        .fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Scala spreads the high bits into the low ones before it picks a slot.
fn improved(hash: i32) -> i32 {
    hash ^ (hash.cast_unsigned() >> 16).cast_signed()
}

const FIRST_SLOTS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::testing::offsets;

    fn ids(ids: &[i32]) -> Vec<i32> {
        let map: PartitionOffsets = ids.iter().map(|&p| (TopicPartition::new("t", p), 0)).collect();
        printed(&map)[0].1.iter().map(|(tp, _)| tp.partition).collect()
    }

    fn topics(names: &[&str]) -> Vec<String> {
        let map: PartitionOffsets = names.iter().map(|&t| (TopicPartition::new(t, 0), 0)).collect();
        printed(&map).into_iter().map(|(topic, _)| topic.to_owned()).collect()
    }

    #[test]
    fn b014_ids_come_in_hash_table_order() {
        assert_eq!(ids(&[0, 1, 16, 17]), [0, 16, 1, 17]);
        assert_eq!(ids(&[7, 33, 100]), [33, 100, 7]);
    }

    #[test]
    fn b014_contiguous_ids_ascend() {
        assert_eq!(ids(&(0..30).collect::<Vec<_>>()), (0..30).collect::<Vec<_>>());
        assert_eq!(ids(&(0..2000).collect::<Vec<_>>()), (0..2000).collect::<Vec<_>>());
    }

    #[test]
    fn b014_topics_come_in_hash_table_order() {
        assert_eq!(
            topics(&["zeta", "alpha", "mid", "orders", "payments"]),
            ["zeta", "alpha", "payments", "mid", "orders"]
        );
        assert_eq!(topics(&["a", "b", "c", "d", "e"]), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_second_partition_of_the_eleventh_topic_already_grows_the_table() {
        // Eleven single-character topics do not grow a table of 16; one more put does, and 16 more slots
        // separate hashes that shared one.
        let names: Vec<String> = ('a'..='k').map(String::from).collect();
        let mut map: PartitionOffsets =
            names.iter().map(|t| (TopicPartition::new(t.as_str(), 0), 0)).collect();
        let before: Vec<String> = printed(&map).iter().map(|(t, _)| (*t).to_owned()).collect();
        assert_eq!(before, names);
        map.insert(TopicPartition::new("k", 1), 0);
        assert_eq!(printed(&map).iter().map(|(_, p)| p.len()).sum::<usize>(), 12);
    }

    #[test]
    fn every_partition_is_printed_once() {
        let map = offsets(&[("b", 3, 1), ("a", 0, 2), ("b", 0, 3)]);
        let total: usize = printed(&map).iter().map(|(_, p)| p.len()).sum();
        assert_eq!(total, 3);
    }
}
