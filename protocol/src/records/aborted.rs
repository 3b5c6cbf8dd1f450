//! Which batches a reader of committed records must pass over (KIP-98, `read_committed`).
//!
//! In: the aborted transactions that a fetch response lists for a partition, then its batches in
//! order. Out: whether a batch's records count. Pure bookkeeping; it neither opens a batch nor
//! knows of messages.

use super::control::ControlType;
use super::header::BatchHeader;
use std::collections::HashSet;

/// Tells records of aborted transactions from the others, for one partition of one fetch response.
///
/// A broker lists every aborted transaction that overlaps the bytes it sends, by producer and first
/// offset. Such a producer's transactional batches don't count from that offset on until its next
/// abort marker.
#[derive(Clone, Debug, Default)]
pub struct AbortedFilter {
    /// Transactions not reached yet, the next one last: `(first offset, producer id)`.
    ahead: Vec<(i64, i64)>,
    /// Producers whose aborted transaction is being passed.
    inside: HashSet<i64>,
}

impl AbortedFilter {
    /// A filter for the listed `(producer id, first offset)`, in any order.
    pub fn new(aborted: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut ahead: Vec<_> =
            aborted.into_iter().map(|(producer, first)| (first, producer)).collect();
        // Java's brokers sort the list by the end of the transactions, others not at all.
        ahead.sort_unstable_by(|a, b| b.cmp(a));
        Self { ahead, inside: HashSet::new() }
    }

    /// Whether the next batch's records are to be handed out. Every batch has to be shown, in the
    /// order of the log; `control` is the control type of a control batch and `None` for any other.
    /// Control batches are never handed out.
    pub fn admits(&mut self, header: &BatchHeader, control: Option<ControlType>) -> bool {
        let last = header.last_offset();
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first <= last) {
            self.inside.insert(producer);
        }
        if header.is_control() {
            if control == Some(ControlType::Abort) {
                self.inside.remove(&header.producer_id);
            }
            return false;
        }
        !(header.is_transactional() && self.inside.contains(&header.producer_id))
    }
}

#[cfg(test)]
#[path = "tests/aborted.rs"]
mod tests;
