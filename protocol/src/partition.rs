//! Which partition a record goes to when its sender does not say.
//!
//! In: a record's key, or none, and the partitions there are. Out: a partition. Keys are hashed as
//! Java's clients hash them, so that both put the same key into the same partition; records without
//! a key stick to one partition until its batch is full (KIP-480). Random numbers are passed in.

/// The partition of a record with this key, of `partitions` in all, as Java's default partitioner
/// computes it. `None` if there are no partitions.
pub fn partition_for_key(key: &[u8], partitions: i32) -> Option<i32> {
    // Java clears the sign bit instead of taking the absolute value.
    let hash = murmur2(key) & i32::MAX;
    (partitions > 0).then(|| hash % partitions)
}

/// Murmur2 with 32 bits and the seed that Kafka's Java client uses.
pub fn murmur2(bytes: &[u8]) -> i32 {
    let (words, tail) = bytes.as_chunks();
    let mut hash = SEED ^ bytes.len() as u32;
    for word in words {
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed(u32::from_le_bytes(*word));
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    (hash ^ hash >> 15) as i32
}

/// The partition that a topic's records without a key go to at the moment.
///
/// One partition at a time makes full batches, where a new choice for every record would make many
/// small ones. Whoever closes a batch calls [`StickyPartition::batch_closed`], and the next record
/// goes elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StickyPartition {
    current: Option<i32>,
    /// Where the last batch went: the next one goes elsewhere if it can.
    last: Option<i32>,
}

impl StickyPartition {
    /// None chosen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The partition for the next record, one of `available`: those with a leader, in any order
    /// that does not change. It stays the same until the batch is closed or the partition is not
    /// available any more; then `random` decides. `None` if none is available.
    pub fn choose(&mut self, available: &[i32], random: u64) -> Option<i32> {
        if let Some(current) = self.current.filter(|current| available.contains(current)) {
            return Some(current);
        }
        self.current = self.another(available, random);
        self.current
    }

    /// Says that the batch for the present partition is closed.
    pub fn batch_closed(&mut self) {
        self.last = self.current.take().or(self.last);
    }

    /// Any of `available` but the last one, unless it is the only one.
    fn another(&self, available: &[i32], random: u64) -> Option<i32> {
        let last = self.last.and_then(|last| available.iter().position(|p| *p == last));
        let others = match last {
            Some(_) if available.len() > 1 => available.len() as u64 - 1,
            _ => available.len() as u64,
        };
        let picked = random.checked_rem(others)? as usize;
        let skips = last.is_some_and(|last| available.len() > 1 && picked >= last);
        available.get(picked + usize::from(skips)).copied()
    }
}

fn mixed(word: u32) -> u32 {
    let word = word.wrapping_mul(MULTIPLIER);
    (word ^ word >> 24).wrapping_mul(MULTIPLIER)
}

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_javas_client() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_key_always_has_the_same_partition_within_the_topic() {
        assert_eq!(partition_for_key(b"foobar", 10), Some((-790_332_482 & i32::MAX) % 10));
        assert_eq!(partition_for_key(b"", 1), Some(0));
        assert_eq!(partition_for_key(b"k", 0), None);
        assert_eq!(partition_for_key(b"k", -3), None);
    }

    #[test]
    fn records_stick_to_a_partition_until_its_batch_is_closed() {
        let mut sticky = StickyPartition::new();
        let first = sticky.choose(&[0, 1, 2], 7).unwrap();
        assert!((0..100).all(|random| sticky.choose(&[0, 1, 2], random) == Some(first)));
        for random in 0..9 {
            let mut sticky = sticky.clone();
            sticky.batch_closed();
            sticky.batch_closed();
            assert_ne!(sticky.choose(&[0, 1, 2], random), Some(first));
        }
    }

    #[test]
    fn every_other_partition_comes_next_for_some_random_number() {
        let mut sticky = StickyPartition::new();
        assert_eq!(sticky.choose(&[4, 5, 6, 7], 2), Some(6));
        sticky.batch_closed();
        let next = |random| sticky.clone().choose(&[4, 5, 6, 7], random).unwrap();
        assert_eq!([next(0), next(1), next(2)], [4, 5, 7]);
    }

    #[test]
    fn a_partition_that_is_gone_is_left_and_an_only_one_is_kept() {
        let mut sticky = StickyPartition::new();
        assert_eq!(sticky.choose(&[3], 99), Some(3));
        assert_eq!(sticky.choose(&[1], 5), Some(1));
        sticky.batch_closed();
        assert_eq!(sticky.choose(&[1], 5), Some(1));
        assert_eq!(sticky.choose(&[], 5), None);
    }
}
