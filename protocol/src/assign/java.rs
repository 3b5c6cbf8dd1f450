//! The two things of Java's library that decide who gets which partition: how strings compare, and
//! in which order a hash table yields its keys. In: keys with their Java hash codes; out: an order.
//!
//! Java's assignors walk `HashMap`s, and where two members have the same claim, the one that comes
//! first wins. Its order is a function of the keys, the order of their arrival and nothing else, so
//! it can be followed exactly. Not followed is what a table of 64 slots or more does to nine keys in
//! one of them (it makes a tree): names would have to be chosen for that.

use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Java's hash code of a string: the polynomial in 31 over UTF-16 units.
pub(super) fn string_hash(text: &str) -> i32 {
    text.encode_utf16()
        .fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The hash code of Java's `TopicPartition`, made of its topic's.
pub(super) fn partition_hash(topic: i32, partition: i32) -> i32 {
    31_i32.wrapping_add(partition).wrapping_mul(31).wrapping_add(topic)
}

/// How Java compares strings: by UTF-16 unit, which differs from bytes beyond the basic plane.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// The keys of a Java `HashMap` that began empty with its usual 16 slots.
#[derive(Clone, Debug)]
pub(super) struct HashOrder<K> {
    slots: Vec<Vec<(u32, K)>>,
    keys: BTreeSet<K>,
}

impl<K> Default for HashOrder<K> {
    fn default() -> Self {
        Self { slots: empty(FIRST_SLOTS), keys: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> HashOrder<K> {
    /// Puts a key; one that is there stays where it is.
    pub(super) fn insert(&mut self, key: K, hash: i32) {
        if !self.keys.insert(key) {
            return;
        }
        let hash = spread(hash);
        let slots = self.slots.len();
        let Some(chain) = self.slots.get_mut(slot(hash, slots)) else { return };
        chain.push((hash, key));
        if chain.len() > LONGEST_CHAIN && slots < SLOTS_FOR_TREES {
            self.grow();
        }
        if self.keys.len() > self.slots.len() / 4 * 3 {
            self.grow();
        }
    }

    /// Takes a key out. The table never shrinks.
    pub(super) fn remove(&mut self, key: K, hash: i32) {
        if self.keys.remove(&key) {
            let slot = slot(spread(hash), self.slots.len());
            if let Some(chain) = self.slots.get_mut(slot) {
                chain.retain(|(_, other)| *other != key);
            }
        }
    }

    /// The keys in the table's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = K> {
        self.slots.iter().flatten().map(|(_, key)| *key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Twice as many slots; keys that stay together stay in order.
    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        for (hash, key) in std::mem::replace(&mut self.slots, empty(slots)).into_iter().flatten() {
            if let Some(chain) = self.slots.get_mut(slot(hash, slots)) {
                chain.push((hash, key));
            }
        }
    }
}

fn empty<K>(slots: usize) -> Vec<Vec<K>> {
    std::iter::repeat_with(Vec::new).take(slots).collect()
}

/// Folds the high bits in, since only low ones pick the slot.
fn spread(hash: i32) -> u32 {
    let hash = hash.cast_unsigned();
    hash ^ hash >> 16
}

fn slot(hash: u32, slots: usize) -> usize {
    hash as usize & slots.wrapping_sub(1)
}

const FIRST_SLOTS: usize = 16;

/// A longer chain grows a table that is still too small for trees.
const LONGEST_CHAIN: usize = 8;
const SLOTS_FOR_TREES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn order<'a>(keys: &[&'a str]) -> Vec<&'a str> {
        let mut table = HashOrder::default();
        for key in keys {
            table.insert(*key, string_hash(key));
        }
        table.iter().collect()
    }

    #[test]
    fn hash_codes_are_javas() {
        assert_eq!(string_hash("klamm"), 102_130_880);
        assert_eq!(string_hash("consumer-group-1"), 147_483_020);
        assert_eq!(partition_hash(string_hash("t"), 3), 1170);
    }

    #[test]
    fn keys_of_one_slot_come_as_put_and_a_key_put_again_stays() {
        assert_eq!(order(&["BB", "Aa", "BB"]), ["BB", "Aa"]);
        assert_eq!(order(&["Aa", "BB"]), ["Aa", "BB"]);
        assert_eq!(order(&["b", "a"]), ["a", "b"]);
    }

    #[test]
    fn the_thirteenth_key_doubles_the_table() {
        // 'q' is 113, the slot of 'a' (97) until there are 32.
        let mut keys = vec!["q", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        assert_eq!(order(&keys)[..3], ["q", "a", "b"]);
        keys.push("l");
        assert_eq!(order(&keys)[..2], ["a", "b"]);
    }

    #[test]
    fn nine_keys_of_one_slot_double_a_small_table() {
        let mut table = HashOrder::default();
        for key in 0..8 {
            table.insert(key, key * 16);
        }
        assert_eq!(table.slots.len(), 16);
        table.insert(8, 128);
        assert_eq!(table.slots.len(), 32);
        assert_eq!(table.iter().collect::<Vec<_>>(), [0, 2, 4, 6, 8, 1, 3, 5, 7]);
        table.remove(0, 0);
        assert_eq!(table.iter().next(), Some(2));
    }

    #[test]
    fn strings_compare_by_utf16_unit() {
        assert_eq!(compare("a", "b"), Ordering::Less);
        assert_eq!(compare("\u{1f680}", "\u{fb00}"), Ordering::Less);
        assert!("\u{1f680}" > "\u{fb00}");
    }
}
