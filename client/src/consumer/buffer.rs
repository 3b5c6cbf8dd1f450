//! What arrived and was not handed out yet. In: the record sets of fetch responses; out, in the
//! order of arrival: raw batches that lie in a range and count, and errors at the place where they
//! happened.

use std::collections::VecDeque;
use std::ops::Range;

use klamm_protocol::error::DecodeError;
use klamm_protocol::records::{AbortedFilter, Batches, ControlType, Inflater, RawBatch};
use klamm_protocol::session::fetch::{CursorId, Fetched};

use crate::error::Error;

/// The queue between fetching and handing out, counted in bytes.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    items: VecDeque<(CursorId, Item)>,
    bytes: usize,
}

/// Something to hand out.
#[derive(Debug)]
pub(super) enum Item {
    /// A batch that isn't opened yet, and the offsets of it that are wanted.
    Batch(RawBatch, Range<i64>),
    /// Offsets that hold nothing to hand out were passed: markers, aborted records, gaps.
    Passed {
        /// The offset after them.
        next: i64,
        /// The leader epoch of the last batch among them, -1 where unknown.
        epoch: i32,
    },
    /// The end of a partition, or a failure that is nobody's in particular.
    Failed(Error),
}

/// How far a record set reached.
#[derive(Debug)]
pub(super) struct Taken {
    /// The offset after its last whole batch; the stop, if a batch beyond it was seen.
    pub(super) next: i64,
    /// The leader epoch of that batch.
    pub(super) epoch: i32,
    /// A batch that cannot be read, after all those that can.
    pub(super) broken: Option<DecodeError>,
}

impl Buffer {
    /// The bytes of batches that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest item, with the partition it belongs to.
    pub(super) fn pop(&mut self) -> Option<(CursorId, Item)> {
        let (id, item) = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some((id, item))
    }

    pub(super) fn push_error(&mut self, id: CursorId, error: Error) {
        self.items.push_back((id, Item::Failed(error)));
    }

    /// Throws away what waits of this cursor.
    pub(super) fn discard(&mut self, id: CursorId) {
        self.items.retain(|(of, _)| *of != id);
        self.bytes = self.items.iter().map(|(_, item)| item.bytes()).sum();
    }

    /// Queues the batches of a partition that lie in `range` and count: no markers, no aborted
    /// transactions, nothing empty.
    ///
    /// Only headers are looked at, except for markers. What the headers say is checked when a batch
    /// is opened; until then it decides nothing but where to fetch next.
    pub(super) fn take(
        &mut self,
        id: CursorId,
        fetched: Fetched,
        range: Range<i64>,
        marks: &mut Inflater,
    ) -> Taken {
        let aborted = fetched.aborted.iter().map(|one| (one.producer_id, one.first_offset));
        let mut filter = AbortedFilter::new(aborted);
        let mut taken = Taken { next: range.start, epoch: -1, broken: None };
        let mut told = range.start;
        for raw in Batches::new(fetched.records) {
            let control =
                raw.and_then(|raw| control_type(&raw, marks).map(|control| (raw, control)));
            let (raw, control) = match control {
                Ok(read) => read,
                Err(error) => {
                    taken.broken = Some(error);
                    break;
                }
            };
            let (first, last) = (raw.header().base_offset, raw.header().last_offset());
            if first >= range.stop() {
                taken.next = range.stop();
                break;
            }
            let counts = filter.admits(raw.header(), control) && raw.header().count > 0;
            if last < taken.next {
                continue;
            }
            // The last offset of all may be claimed, and has none behind it.
            let next = last.saturating_add(1);
            let wanted = first.max(taken.next)..next.min(range.stop());
            (taken.next, taken.epoch) = (next, raw.header().partition_leader_epoch);
            if counts {
                self.bytes += raw.bytes().len();
                told = taken.next;
                self.items.push_back((id, Item::Batch(raw, wanted)));
            }
        }
        if taken.next > told {
            let (next, epoch) = (taken.next, taken.epoch);
            self.items.push_back((id, Item::Passed { next, epoch }));
        }
        taken
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Batch(raw, _) => raw.bytes().len(),
            Self::Failed(_) | Self::Passed { .. } => 0,
        }
    }
}

/// `Range::end`, by the name that offset ranges have everywhere else.
trait Stop {
    fn stop(&self) -> i64;
}

impl Stop for Range<i64> {
    fn stop(&self) -> i64 {
        self.end
    }
}

/// What a control batch says; markers are a hundred bytes, so opening them here costs nothing.
fn control_type(
    raw: &RawBatch,
    inflater: &mut Inflater,
) -> Result<Option<ControlType>, DecodeError> {
    if !raw.header().is_control() {
        return Ok(None);
    }
    raw.open(inflater, MARKER_BYTES)?.control()
}

/// Far more than any transaction marker.
const MARKER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use klamm_protocol::messages::fetch::AbortedTransaction;
    use klamm_protocol::records::{BatchBuilder, BatchOptions, ProducerStamp, RecordParts};

    use super::*;

    fn batch(base: i64, records: usize, stamp: Option<i64>) -> Bytes {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for _ in 0..records {
            builder.try_push(&RecordParts::new(0, None, Some(b"value"))).unwrap();
        }
        log_bytes(builder, base, stamp)
    }

    fn abort(base: i64, producer: i64) -> Bytes {
        let mut builder = BatchBuilder::new(BatchOptions::default()).control();
        builder
            .try_push(&RecordParts::new(0, Some(&[0, 0, 0, 0]), Some(&[0, 0, 0, 0, 0, 0])))
            .unwrap();
        log_bytes(builder, base, Some(producer))
    }

    fn log_bytes(builder: BatchBuilder, base: i64, producer: Option<i64>) -> Bytes {
        let mut sealed = builder.seal();
        if let Some(producer_id) = producer {
            sealed.stamp(ProducerStamp {
                producer_id,
                epoch: 0,
                base_sequence: 0,
                transactional: true,
            });
        }
        RawBatch::read(sealed.to_bytes()).unwrap().appended(base, 4, None).bytes().clone()
    }

    fn fetched(batches: &[Bytes], aborted: &[(i64, i64)]) -> Fetched {
        let mut records = BytesMut::new();
        batches.iter().for_each(|batch| records.extend_from_slice(batch));
        let aborted = aborted.iter().map(|(producer_id, first_offset)| AbortedTransaction {
            producer_id: *producer_id,
            first_offset: *first_offset,
        });
        Fetched {
            id: CursorId(0),
            records: records.freeze(),
            high_watermark: 0,
            last_stable_offset: 0,
            log_start: 0,
            aborted: aborted.collect(),
        }
    }

    fn take(
        batches: &[Bytes],
        aborted: &[(i64, i64)],
        range: Range<i64>,
    ) -> (Taken, Vec<(i64, i64)>) {
        let mut buffer = Buffer::default();
        let fetched = fetched(batches, aborted);
        let taken = buffer.take(CursorId(0), fetched, range.clone(), &mut Inflater::new());
        let (mut wanted, mut told) = (Vec::new(), range.start);
        while let Some((_, item)) = buffer.pop() {
            told = match item {
                Item::Batch(_, range) => {
                    wanted.push((range.start, range.end));
                    range.end
                }
                Item::Passed { next, .. } => next,
                Item::Failed(error) => panic!("{error}"),
            };
        }
        assert_eq!((buffer.bytes(), told), (0, taken.next));
        (taken, wanted)
    }

    #[test]
    fn batches_are_clipped_to_the_range_at_both_ends() {
        let log =
            [batch(0, 10, None), batch(10, 10, None), batch(20, 10, None), batch(30, 10, None)];
        let (taken, wanted) = take(&log, &[], 5..25);
        assert_eq!(wanted, [(5, 10), (10, 20), (20, 25)]);
        assert_eq!(taken.next, 25);
    }

    #[test]
    fn a_batch_beyond_the_stop_ends_the_range_across_a_gap() {
        let (taken, wanted) = take(&[batch(0, 5, None), batch(90, 5, None)], &[], 0..50);
        assert_eq!((taken.next, wanted), (50, vec![(0, 5)]));
    }

    #[test]
    fn aborted_records_and_markers_move_the_position_and_are_not_handed_out() {
        let log = [batch(0, 3, Some(8)), batch(3, 3, Some(9)), abort(6, 8), batch(7, 2, None)];
        let (taken, wanted) = take(&log, &[(8, 0)], 0..9);
        assert_eq!((taken.next, taken.epoch, wanted), (9, 4, vec![(3, 6), (7, 9)]));
        let (taken, wanted) = take(&[abort(0, 8)], &[], 0..1);
        assert_eq!((taken.next, wanted), (1, vec![]));
    }

    #[test]
    fn what_was_read_before_is_not_handed_out_again() {
        let (taken, wanted) = take(&[batch(0, 10, None)], &[], 10..20);
        assert_eq!((taken.next, wanted), (10, vec![]));
    }

    #[test]
    fn a_batch_that_claims_the_last_offset_of_all_ends_the_range() {
        let mut furthest = BytesMut::from(&batch(0, 1, None)[..]);
        furthest[..8].copy_from_slice(&(i64::MAX - i64::from(i32::MAX)).to_be_bytes());
        furthest[23..27].copy_from_slice(&i32::MAX.to_be_bytes());
        let (taken, wanted) = take(&[furthest.freeze()], &[], 0..i64::MAX);
        assert_eq!(taken.next, i64::MAX);
        assert_eq!(wanted, [(i64::MAX - i64::from(i32::MAX), i64::MAX)]);
    }

    #[test]
    fn a_cut_off_batch_changes_nothing() {
        let whole = batch(0, 10, None);
        let (taken, wanted) = take(&[whole.slice(..whole.len() - 1)], &[], 0..10);
        assert!(taken.broken.is_none() && wanted.is_empty() && taken.next == 0);
    }

    #[test]
    fn a_broken_batch_comes_after_those_before_it() {
        let mut broken = BytesMut::from(&batch(10, 10, None)[..]);
        broken[16] = 77;
        let (taken, wanted) = take(&[batch(0, 10, None), broken.freeze()], &[], 0..30);
        assert_eq!((taken.next, wanted), (10, vec![(0, 10)]));
        assert!(taken.broken.is_some());
    }
}
