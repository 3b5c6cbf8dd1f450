//! Which partition a record goes to when its sender does not say.
//!
//! In: a record's key, or none, and the partitions there are. Out: a partition. Keys are hashed as
//! Java's clients hash them, so that both put the same key into the same partition. Records without
//! a key stick to one partition for a batch's worth of bytes ([`StickyPartition`], KIP-480), and the
//! next one is drawn, the shorter its queue the likelier ([`Odds`], KIP-794). Random numbers are
//! passed in.

mod odds;
mod pace;
mod sticky;

pub use self::odds::{Odds, Queue};
pub use self::pace::Pace;
pub use self::sticky::StickyPartition;

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
}
