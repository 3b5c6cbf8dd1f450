//! What a partition remembers of its idempotent producers (KIP-98): in go the producer id, epoch
//! and sequence numbers of a batch, out comes whether to append it, to answer it as a duplicate,
//! or to refuse it.

use std::collections::{HashMap, VecDeque};

/// The idempotence state of every producer that wrote to one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
}

/// The producer's claim in a batch header, and the offsets that the batch has or would get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Append,
    /// It was appended before, at this offset and with this timestamp.
    Duplicate(Remembered),
    /// The sequence number leaves a gap, or goes back further than is remembered.
    OutOfOrder,
    /// A newer epoch of this producer has written already.
    Fenced,
}

/// A batch that was appended before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) base_offset: i64,
    pub(crate) append_time: i64,
    first_sequence: i32,
    last_sequence: i32,
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: i16,
    last_offset: i64,
    recent: VecDeque<Remembered>,
}

impl Producers {
    /// Whether anything is remembered of a producer.
    pub(crate) fn knows(&self, producer_id: i64) -> bool {
        self.by_id.contains_key(&producer_id)
    }

    /// Each producer with its epoch and its last sequence number, -1 if it has written none in that
    /// epoch; by rising id.
    pub(crate) fn each(&self) -> impl Iterator<Item = (i64, i16, i32)> {
        let mut ids: Vec<_> = self.by_id.iter().collect();
        ids.sort_unstable_by_key(|(id, _)| **id);
        ids.into_iter().map(|(id, producer)| {
            let last = producer.recent.back().map_or(-1, |last| last.last_sequence);
            (*id, producer.epoch, last)
        })
    }

    /// Judges a batch before it is appended.
    ///
    /// A producer that this partition does not know may start at any sequence, since its state
    /// may have been lost with deleted records.
    pub(crate) fn judge(&self, claim: &Claim) -> Verdict {
        let Some(known) = self.by_id.get(&claim.producer_id) else {
            return Verdict::Append;
        };
        if claim.epoch < known.epoch {
            return Verdict::Fenced;
        }
        if claim.epoch > known.epoch {
            return if claim.first_sequence == 0 { Verdict::Append } else { Verdict::OutOfOrder };
        }
        if let Some(seen) = known.recent.iter().find(|seen| seen.matches(claim)) {
            return Verdict::Duplicate(*seen);
        }
        match known.recent.back() {
            Some(last) if claim.first_sequence != successor(last.last_sequence) => {
                Verdict::OutOfOrder
            }
            None if claim.first_sequence != 0 => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Remembers an appended batch.
    pub(crate) fn record(&mut self, claim: &Claim, base: i64, last: i64, append_time: i64) {
        self.make_room_for(claim.producer_id);
        let producer = self.entry(claim.producer_id, claim.epoch);
        producer.last_offset = last;
        if producer.recent.len() == REMEMBERED_BATCHES {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Remembered {
            base_offset: base,
            append_time,
            first_sequence: claim.first_sequence,
            last_sequence: claim.last_sequence,
        });
    }

    /// Remembers a transaction marker, which may bring a newer epoch.
    pub(crate) fn record_marker(&mut self, producer_id: i64, epoch: i16, offset: i64) {
        self.make_room_for(producer_id);
        self.entry(producer_id, epoch).last_offset = offset;
    }

    /// Forgets all; the caller replays what is left in the log.
    pub(crate) fn clear(&mut self) {
        self.by_id.clear();
    }

    fn entry(&mut self, producer_id: i64, epoch: i16) -> &mut Producer {
        let producer = self.by_id.entry(producer_id).or_insert_with(|| Producer {
            epoch,
            last_offset: -1,
            recent: VecDeque::with_capacity(1),
        });
        if epoch > producer.epoch {
            producer.epoch = epoch;
            producer.recent.clear();
        }
        producer
    }

    /// Drops the producer that has been silent longest when the table is full, so that a process
    /// that serves for weeks stays bounded. Kafka expires them by time instead.
    fn make_room_for(&mut self, producer_id: i64) {
        if self.by_id.len() < MAX_PRODUCERS || self.by_id.contains_key(&producer_id) {
            return;
        }
        let oldest = self.by_id.iter().min_by_key(|(id, producer)| (producer.last_offset, **id));
        if let Some((&id, _)) = oldest {
            self.by_id.remove(&id);
        }
    }
}

impl Remembered {
    fn matches(&self, claim: &Claim) -> bool {
        self.first_sequence == claim.first_sequence && self.last_sequence == claim.last_sequence
    }
}

/// The sequence number after `sequence`; they wrap to zero, never to negative numbers.
pub(crate) fn successor(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

/// The sequence number `delta` records after `first`.
pub(crate) fn advance(first: i32, delta: i32) -> i32 {
    let sum = i64::from(first) + i64::from(delta);
    i32::try_from(sum).unwrap_or_else(|_| (sum - i64::from(i32::MAX) - 1) as i32)
}

/// As many as a producer may have in flight.
const REMEMBERED_BATCHES: usize = 5;
const MAX_PRODUCERS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(epoch: i16, first: i32, count: i32) -> Claim {
        Claim {
            producer_id: 9,
            epoch,
            first_sequence: first,
            last_sequence: advance(first, count - 1),
        }
    }

    fn append(producers: &mut Producers, claim: Claim, base: i64) {
        assert_eq!(producers.judge(&claim), Verdict::Append);
        producers.record(&claim, base, base, -1);
    }

    #[test]
    fn the_last_five_batches_are_known_as_duplicates_and_the_sixth_is_out_of_order() {
        let mut producers = Producers::default();
        for n in 0..6 {
            append(&mut producers, claim(0, n * 10, 10), i64::from(n) * 10);
        }
        for n in 1..6 {
            let Verdict::Duplicate(seen) = producers.judge(&claim(0, n * 10, 10)) else {
                panic!("batch {n} was forgotten");
            };
            assert_eq!(seen.base_offset, i64::from(n) * 10);
        }
        assert_eq!(producers.judge(&claim(0, 0, 10)), Verdict::OutOfOrder);
    }

    #[test]
    fn a_gap_is_out_of_order() {
        let mut producers = Producers::default();
        append(&mut producers, claim(0, 0, 10), 0);
        assert_eq!(producers.judge(&claim(0, 11, 1)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&claim(0, 5, 5)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&claim(0, 10, 1)), Verdict::Append);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut producers = Producers::default();
        append(&mut producers, claim(3, 0, 10), 0);
        assert_eq!(producers.judge(&claim(4, 10, 1)), Verdict::OutOfOrder);
        append(&mut producers, claim(4, 0, 1), 10);
        assert_eq!(producers.judge(&claim(3, 10, 1)), Verdict::Fenced);
    }

    #[test]
    fn sequences_wrap_from_the_largest_number_to_zero() {
        let mut producers = Producers::default();
        let wrapping = claim(0, i32::MAX - 1, 4);
        assert_eq!(wrapping.last_sequence, 1);
        append(&mut producers, wrapping, 0);
        assert_eq!(producers.judge(&claim(0, 2, 1)), Verdict::Append);
        let mut exact = Producers::default();
        append(&mut exact, claim(0, i32::MAX, 1), 0);
        assert_eq!(exact.judge(&claim(0, 0, 1)), Verdict::Append);
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert_eq!(Producers::default().judge(&claim(2, 77, 1)), Verdict::Append);
    }

    #[test]
    fn the_table_drops_the_longest_silent_producer_when_full() {
        let mut producers = Producers::default();
        for id in 0..=MAX_PRODUCERS as i64 {
            let claim = Claim { producer_id: id, ..claim(0, 0, 1) };
            producers.record(&claim, id, id, -1);
        }
        assert_eq!(producers.by_id.len(), MAX_PRODUCERS);
        assert!(!producers.by_id.contains_key(&0));
    }
}
