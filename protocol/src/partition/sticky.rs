//! Staying with one partition for a while (KIP-480, KIP-794). In: what was appended; out: whether the
//! next record without a key goes to the same partition, or to one that is drawn.

use super::Odds;

/// The partition that a topic's records without a key go to at the moment.
///
/// One partition at a time makes full batches, where a new choice for every record would make many
/// small ones. It is left after as many bytes as a batch holds, however often a batch was closed
/// meanwhile: if every closed batch counted, slow brokers, whose batches grow large while they
/// wait, would get the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StickyPartition {
    current: Option<i32>,
    /// Bytes that went to `current` since it was chosen.
    bytes: usize,
}

impl StickyPartition {
    /// None chosen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The partition for the next record. If none is chosen, one is drawn with a number of
    /// `random`. `None` if there is none to draw from.
    pub fn choose(&mut self, odds: &Odds, random: impl FnOnce() -> u64) -> Option<i32> {
        if self.current.is_none() {
            self.current = odds.draw(random());
            self.bytes = 0;
        }
        self.current
    }

    /// The partition chosen at present.
    pub fn current(&self) -> Option<i32> {
        self.current
    }

    /// Says how many bytes a record added to the present partition; zero tells a change of
    /// `is_full`. `batch_size` is that of `batch.size`, in bytes.
    ///
    /// After as many bytes another partition is drawn for the next record, unless the open batch
    /// can still take some (`is_full` says whether not): then it waits until it can't, so as not to
    /// leave a fraction of a batch behind, but never longer than for twice the bytes.
    pub fn appended(&mut self, bytes: usize, batch_size: usize, is_full: bool) {
        self.bytes = self.bytes.saturating_add(bytes);
        let limit = if is_full { batch_size } else { batch_size.saturating_mul(2) };
        if self.bytes >= limit {
            self.leave();
        }
    }

    /// Has another partition drawn for the next record, as when the present one has lost its
    /// leader.
    pub fn leave(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odds() -> Odds {
        Odds::even([4, 5, 6, 7])
    }

    #[test]
    fn records_stick_to_a_partition_for_a_batchs_worth_of_bytes() {
        let mut sticky = StickyPartition::new();
        for _ in 0..10 {
            assert_eq!(sticky.choose(&odds(), || 1), Some(5));
            assert_eq!(sticky.choose(&odds(), || 2), Some(5));
            sticky.appended(10, 100, true);
        }
        assert_eq!(sticky.current(), None);
        assert_eq!(sticky.choose(&odds(), || 2), Some(6));
    }

    #[test]
    fn a_batch_that_is_not_full_is_filled_before_its_partition_is_left() {
        let mut sticky = StickyPartition::new();
        sticky.choose(&odds(), || 0);
        sticky.appended(120, 100, false);
        assert_eq!(sticky.current(), Some(4));
        sticky.appended(0, 100, true);
        assert_eq!(sticky.current(), None);
    }

    #[test]
    fn a_partition_is_left_after_two_batches_in_any_case() {
        let mut sticky = StickyPartition::new();
        sticky.choose(&odds(), || 0);
        sticky.appended(199, 100, false);
        assert_eq!(sticky.current(), Some(4));
        sticky.appended(1, 100, false);
        assert_eq!(sticky.current(), None);
    }

    #[test]
    fn nothing_is_chosen_of_nothing_and_a_lost_partition_is_left() {
        let mut sticky = StickyPartition::new();
        assert_eq!(sticky.choose(&Odds::default(), || 9), None);
        sticky.choose(&odds(), || 3);
        sticky.appended(50, 100, true);
        sticky.leave();
        sticky.choose(&odds(), || 0);
        sticky.appended(50, 100, true);
        assert_eq!(sticky.current(), Some(4), "bytes count from the choice on");
    }
}
