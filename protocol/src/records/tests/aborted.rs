//! The filter against a model that reads the whole log and knows how every transaction ended.

use super::*;
use crate::records::{BatchBuilder, BatchOptions, ProducerStamp, RawBatch, RecordParts};
use proptest::prelude::*;

/// One batch of a log, of one record.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// Data outside of transactions.
    Plain { producer: i64 },
    /// Data of the producer's open transaction.
    Data { producer: i64 },
    /// The end of the producer's transaction.
    End { producer: i64, commit: bool },
}

/// A log in which every marker ends an open transaction, one batch an offset.
fn log() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0_i64..3, 0_u8..8);
    prop::collection::vec(entry, 0..40).prop_map(|moves| {
        let mut open = HashSet::new();
        moves
            .into_iter()
            .map(|(producer, kind)| match kind {
                0 => Entry::Plain { producer },
                1 | 2 if open.remove(&producer) => Entry::End { producer, commit: kind == 1 },
                _ => {
                    open.insert(producer);
                    Entry::Data { producer }
                }
            })
            .collect()
    })
}

/// The aborted transactions of the log: `(producer, first offset, offset of the marker)`.
fn aborted(log: &[Entry]) -> Vec<(i64, i64, i64)> {
    let mut found = Vec::new();
    for (end, entry) in log.iter().enumerate() {
        let Entry::End { producer, commit: false } = *entry else { continue };
        let before = &log[..end];
        let begin = before
            .iter()
            .rposition(|e| matches!(e, Entry::End { producer: p, .. } if *p == producer));
        let begin = begin.map_or(0, |at| at + 1);
        let first = (begin..end)
            .find(|at| matches!(log[*at], Entry::Data { producer: p } if p == producer));
        found.push((producer, first.unwrap() as i64, end as i64));
    }
    found
}

/// Whether the record at `offset` counts, by looking at the whole log.
fn counts(log: &[Entry], aborted: &[(i64, i64, i64)], offset: usize) -> bool {
    match log[offset] {
        Entry::Plain { .. } => true,
        Entry::End { .. } => false,
        Entry::Data { producer } => !aborted
            .iter()
            .any(|(p, first, end)| *p == producer && (*first..*end).contains(&(offset as i64))),
    }
}

/// The header that the batch of `entry` has in a log, and its control type.
fn header_of(entry: Entry, offset: usize) -> (BatchHeader, Option<ControlType>) {
    let (producer_id, transactional, control) = match entry {
        Entry::Plain { producer } => (producer, false, None),
        Entry::Data { producer } => (producer, true, None),
        Entry::End { producer, commit } => {
            (producer, true, Some(if commit { ControlType::Commit } else { ControlType::Abort }))
        }
    };
    let builder = BatchBuilder::new(BatchOptions::default());
    let mut builder = if control.is_some() { builder.control() } else { builder };
    builder.try_push(&RecordParts::new(0, None, None)).unwrap();
    let mut sealed = builder.seal();
    sealed.stamp(ProducerStamp { producer_id, epoch: 0, base_sequence: 0, transactional });
    let raw = RawBatch::read(sealed.to_bytes()).unwrap().appended(offset as i64, 0, None);
    (*raw.header(), control)
}

proptest! {
    #[test]
    fn any_start_and_any_order_of_the_list_yield_what_the_whole_log_says(
        log in log(),
        shuffle in prop::collection::vec(any::<u32>(), 40),
    ) {
        let transactions = aborted(&log);
        let headers: Vec<_> = log.iter().enumerate().map(|(at, entry)| header_of(*entry, at)).collect();
        for start in 0..log.len() {
            // A broker lists what overlaps the part that it sends, also what began before it.
            let mut listed: Vec<_> = transactions.iter().filter(|(_, _, end)| *end >= start as i64).collect();
            listed.sort_by_key(|(producer, first, _)| shuffle[(*producer + *first) as usize % shuffle.len()]);
            let mut filter = AbortedFilter::new(listed.iter().map(|(producer, first, _)| (*producer, *first)));
            for (at, (header, control)) in headers.iter().enumerate().skip(start) {
                let counts = counts(&log, &transactions, at);
                prop_assert_eq!(filter.admits(header, *control), counts, "{} from {}", at, start);
            }
        }
    }
}

#[test]
fn without_a_list_everything_but_markers_is_admitted() {
    let mut filter = AbortedFilter::default();
    let admitted = |filter: &mut AbortedFilter, entry| {
        let (header, control) = header_of(entry, 3);
        filter.admits(&header, control)
    };
    assert!(admitted(&mut filter, Entry::Plain { producer: 1 }));
    assert!(admitted(&mut filter, Entry::Data { producer: 1 }));
    assert!(!admitted(&mut filter, Entry::End { producer: 1, commit: true }));
}
