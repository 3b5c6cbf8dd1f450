//! Transactions as a partition log sees them (KIP-98): in go transactional batches and markers,
//! out come the last stable offset and the aborted transactions that a read_committed fetch has
//! to be told of.

use std::collections::BTreeMap;

/// Open and aborted transactions of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    /// First offset of the open transaction by producer id.
    open: BTreeMap<i64, i64>,
    /// In the order of their markers.
    aborted: Vec<Aborted>,
}

/// An aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whose records must be skipped.
    pub producer_id: i64,
    /// The first offset of the transaction in this partition.
    pub first_offset: i64,
    /// The offset of its abort marker.
    pub last_offset: i64,
}

impl Transactions {
    /// Notes a transactional batch of data.
    pub(crate) fn write(&mut self, producer_id: i64, base_offset: i64) {
        self.open.entry(producer_id).or_insert(base_offset);
    }

    /// Notes a marker. A marker without an open transaction changes nothing.
    pub(crate) fn end(&mut self, producer_id: i64, marker_offset: i64, commit: bool) {
        if let Some(first_offset) = self.open.remove(&producer_id)
            && !commit
        {
            self.aborted.push(Aborted { producer_id, first_offset, last_offset: marker_offset });
        }
    }

    /// Whether a producer has an open transaction here.
    pub(crate) fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// The first offset of a producer's open transaction.
    pub(crate) fn start_of(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// The first offset of the oldest open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.values().copied().min()
    }

    /// The aborted transactions that overlap `from..to`, in the order of their markers.
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> impl Iterator<Item = Aborted> + '_ {
        let first = self.aborted.partition_point(|txn| txn.last_offset < from);
        self.aborted.iter().skip(first).filter(move |txn| txn.first_offset < to).copied()
    }

    /// Forgets aborted transactions that lie before the log's start wholly.
    pub(crate) fn advance_start(&mut self, start: i64) {
        self.aborted.retain(|txn| txn.last_offset >= start);
    }

    /// Forgets all; the caller replays what is left in the log.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.aborted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_transaction_holds_the_stable_offset_back_until_its_marker() {
        let mut transactions = Transactions::default();
        transactions.write(1, 10);
        transactions.write(2, 20);
        transactions.write(1, 30);
        assert_eq!(transactions.first_open(), Some(10));
        transactions.end(1, 31, true);
        assert_eq!(transactions.first_open(), Some(20));
        transactions.end(2, 32, false);
        assert_eq!(transactions.first_open(), None);
    }

    #[test]
    fn only_aborted_transactions_that_overlap_the_range_are_listed() {
        let mut transactions = Transactions::default();
        for (producer, first, last) in [(1, 0, 5), (2, 6, 9), (3, 20, 25)] {
            transactions.write(producer, first);
            transactions.end(producer, last, false);
        }
        let producers: Vec<_> =
            transactions.aborted_between(5, 20).map(|txn| txn.producer_id).collect();
        assert_eq!(producers, [1, 2]);
    }

    #[test]
    fn a_marker_without_a_transaction_is_harmless() {
        let mut transactions = Transactions::default();
        transactions.end(4, 3, false);
        assert_eq!(transactions.aborted_between(0, 10).count(), 0);
    }
}
