//! The leader epochs of one partition log (KIP-101, KIP-320): in go the epoch and offset of each
//! append and each truncation, out comes where an epoch ended. Followers and consumers ask that
//! question to find the last offset that they share with the leader.

/// Where each leader epoch of a log begins, oldest first.
///
/// An epoch that ended without a record leaves no entry, as in Kafka's own checkpoint file.
#[derive(Clone, Debug, Default)]
pub(crate) struct EpochHistory {
    starts: Vec<EpochStart>,
}

/// The end of a leader epoch, as `OffsetForLeaderEpoch` and a fetch's `DivergingEpoch` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch of the log that is not above the one asked for, or -1.
    pub epoch: i32,
    /// The offset after the last record of that epoch, or -1.
    pub end_offset: i64,
}

#[derive(Clone, Copy, Debug)]
struct EpochStart {
    epoch: i32,
    offset: i64,
}

impl EpochHistory {
    /// Notes that `epoch` begins at `offset`; an epoch that is known already stays where it is.
    pub(crate) fn assign(&mut self, epoch: i32, offset: i64) {
        if self.latest().is_none_or(|latest| epoch > latest) {
            self.truncate_to(offset);
            self.starts.push(EpochStart { epoch, offset });
        }
    }

    /// The newest epoch.
    pub(crate) fn latest(&self) -> Option<i32> {
        self.starts.last().map(|start| start.epoch)
    }

    /// The epoch that wrote the record at `offset`.
    pub(crate) fn epoch_at(&self, offset: i64) -> Option<i32> {
        let after = self.starts.partition_point(|start| start.offset <= offset);
        self.starts.get(after.checked_sub(1)?).map(|start| start.epoch)
    }

    /// Where `epoch` ended, in a log whose next offset is `log_end`.
    ///
    /// An epoch newer than any here is unknown (-1, -1); one older than any ends where the oldest
    /// begins.
    pub(crate) fn end_of(&self, epoch: i32, log_end: i64) -> EpochEnd {
        if epoch < 0 {
            return EpochEnd::UNKNOWN;
        }
        let newer = self.starts.partition_point(|start| start.epoch <= epoch);
        let at_or_below = newer.checked_sub(1).and_then(|at| self.starts.get(at));
        match (at_or_below, self.starts.get(newer)) {
            (Some(known), None) if known.epoch == epoch => EpochEnd { epoch, end_offset: log_end },
            (_, None) => EpochEnd::UNKNOWN,
            (Some(known), Some(next)) => EpochEnd { epoch: known.epoch, end_offset: next.offset },
            (None, Some(next)) => EpochEnd { epoch, end_offset: next.offset },
        }
    }

    /// Forgets what begins at `end` or later, after the log was cut there.
    pub(crate) fn truncate_to(&mut self, end: i64) {
        self.starts.retain(|start| start.offset < end);
    }

    /// Forgets epochs that ended before the log's new start, moving the oldest one left up to it.
    pub(crate) fn advance_start(&mut self, start: i64) {
        let after = self.starts.partition_point(|entry| entry.offset <= start);
        if let Some(current) = after.checked_sub(1) {
            self.starts.drain(..current);
            if let Some(first) = self.starts.first_mut() {
                first.offset = start;
            }
        }
    }
}

impl EpochEnd {
    /// What is answered for an epoch that the log has not seen.
    pub const UNKNOWN: Self = Self { epoch: -1, end_offset: -1 };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> EpochHistory {
        let mut history = EpochHistory::default();
        history.assign(2, 0);
        history.assign(2, 5);
        history.assign(4, 10);
        history.assign(7, 30);
        history
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_begins() {
        assert_eq!(history().end_of(2, 40), EpochEnd { epoch: 2, end_offset: 10 });
        assert_eq!(history().end_of(4, 40), EpochEnd { epoch: 4, end_offset: 30 });
    }

    #[test]
    fn the_newest_epoch_ends_at_the_end_of_the_log() {
        assert_eq!(history().end_of(7, 40), EpochEnd { epoch: 7, end_offset: 40 });
    }

    #[test]
    fn an_epoch_without_records_is_answered_with_the_one_below() {
        assert_eq!(history().end_of(5, 40), EpochEnd { epoch: 4, end_offset: 30 });
    }

    #[test]
    fn epochs_outside_the_history_are_answered_as_kafka_does() {
        assert_eq!(history().end_of(9, 40), EpochEnd::UNKNOWN);
        assert_eq!(history().end_of(-1, 40), EpochEnd::UNKNOWN);
        assert_eq!(history().end_of(1, 40), EpochEnd { epoch: 1, end_offset: 0 });
    }

    #[test]
    fn truncation_forgets_epochs_that_began_later() {
        let mut history = history();
        history.truncate_to(30);
        assert_eq!(history.latest(), Some(4));
        assert_eq!(history.end_of(4, 30), EpochEnd { epoch: 4, end_offset: 30 });
    }

    #[test]
    fn a_new_log_start_keeps_the_epoch_that_covers_it() {
        let mut history = history();
        history.advance_start(20);
        assert_eq!(history.epoch_at(20), Some(4));
        assert_eq!(history.end_of(2, 40), EpochEnd { epoch: 2, end_offset: 20 });
    }
}
