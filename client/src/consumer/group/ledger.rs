//! How far each partition was handed out, processed and committed. In: what is handed out and
//! acknowledged, in any order; out: the positions that may be committed. A position never passes a
//! record that was handed out and not acknowledged, and an acknowledgement counts only in the
//! tenure in which its records were handed out: what comes after a partition was taken away, or was
//! set to another position, changes nothing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::partition::TopicPartition;

/// The books of one consumer.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    places: BTreeMap<TopicPartition, Place>,
}

/// One stay at a partition, from one position set to the next. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Tenure(pub(super) u64);

/// A position with the leader epoch of the record before it, -1 where unknown (KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) offset: i64,
    pub(super) epoch: i32,
}

/// A position that may be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) partition: TopicPartition,
    pub(super) tenure: Tenure,
    pub(super) spot: Spot,
}

#[derive(Debug)]
struct Place {
    tenure: Tenure,
    /// What was handed out and is not wholly processed, or waits for something before it.
    open: VecDeque<Delivery>,
    handed: Spot,
    processed: Spot,
    /// Something was processed, or the position was set on purpose.
    moved: bool,
    committed: Option<i64>,
}

#[derive(Debug)]
struct Delivery {
    range: Range<i64>,
    epoch: i32,
    /// Everything below is processed.
    done: i64,
}

impl Ledger {
    /// A stay begins at `spot`. `committed` is what the group has stored; `moved` says that the
    /// position was set on purpose, and may be committed as it is.
    pub(super) fn begin(
        &mut self,
        partition: &TopicPartition,
        tenure: Tenure,
        spot: Spot,
        committed: Option<i64>,
        moved: bool,
    ) {
        let open = VecDeque::new();
        let place = Place { tenure, open, handed: spot, processed: spot, moved, committed };
        self.places.insert(partition.clone(), place);
    }

    /// The stay at a partition ends.
    pub(super) fn end(&mut self, partition: &TopicPartition) {
        self.places.remove(partition);
    }

    /// Records are handed out.
    pub(super) fn handed_out(&mut self, partition: &TopicPartition, range: Range<i64>, epoch: i32) {
        let done = range.start;
        self.push(partition, Delivery { range, epoch, done });
    }

    /// Offsets without records to hand out are passed.
    pub(super) fn passed(&mut self, partition: &TopicPartition, next: i64, epoch: i32) {
        if let Some(from) = self.places.get(partition).map(|place| place.handed.offset) {
            self.push(partition, Delivery { range: from..next, epoch, done: next });
        }
    }

    /// What was handed out in `range` is processed. `false` if the stay has ended, or nothing of
    /// the kind was handed out in it.
    pub(super) fn ack(
        &mut self,
        partition: &TopicPartition,
        tenure: Tenure,
        range: &Range<i64>,
    ) -> bool {
        let Some(place) = self.places.get_mut(partition).filter(|place| place.tenure == tenure)
        else {
            return false;
        };
        if range.end <= place.processed.offset {
            return true;
        }
        // Deliveries are sorted, and few: what is open is what the caller works on.
        let found = place.open.iter_mut().find(|one| one.range.contains(&range.start));
        let fits = |one: &&mut Delivery| range.start <= one.done && range.end <= one.range.end;
        let Some(delivery) = found.filter(fits) else { return false };
        delivery.done = delivery.done.max(range.end);
        place.settle();
        true
    }

    /// Everything that was handed out below `offset` is processed. `false` if so much was never
    /// handed out.
    pub(super) fn ack_below(&mut self, partition: &TopicPartition, offset: i64) -> bool {
        let Some(place) = self.places.get_mut(partition) else { return false };
        if offset > place.handed.offset {
            return false;
        }
        for delivery in &mut place.open {
            delivery.done = delivery.done.max(offset.min(delivery.range.end));
        }
        place.settle();
        true
    }

    /// The next offset to be handed out.
    pub(super) fn position(&self, partition: &TopicPartition) -> Option<Spot> {
        self.places.get(partition).map(|place| place.handed)
    }

    /// The offset up to which everything is processed.
    pub(super) fn processed(&self, partition: &TopicPartition) -> Option<Spot> {
        self.places.get(partition).map(|place| place.processed)
    }

    /// Positions that have moved since they were committed last.
    pub(super) fn due(&self) -> Vec<Due> {
        let due = self
            .places
            .iter()
            .filter(|(_, place)| place.moved && place.committed != Some(place.processed.offset));
        due.map(|(partition, place)| Due {
            partition: partition.clone(),
            tenure: place.tenure,
            spot: place.processed,
        })
        .collect()
    }

    /// Whether the stay in which a position became due still lasts.
    pub(super) fn lasts(&self, due: &Due) -> bool {
        self.places.get(&due.partition).is_some_and(|place| place.tenure == due.tenure)
    }

    /// In which stay a partition is.
    pub(super) fn tenure(&self, partition: &TopicPartition) -> Option<Tenure> {
        self.places.get(partition).map(|place| place.tenure)
    }

    /// A position is stored.
    pub(super) fn committed(&mut self, due: &Due) {
        if let Some(place) = self.places.get_mut(&due.partition).filter(|p| p.tenure == due.tenure)
        {
            place.committed = Some(due.spot.offset);
        }
    }

    fn push(&mut self, partition: &TopicPartition, delivery: Delivery) {
        if let Some(place) = self.places.get_mut(partition) {
            place.handed = Spot { offset: delivery.range.end, epoch: delivery.epoch };
            place.open.push_back(delivery);
            place.settle();
        }
    }
}

impl Place {
    /// Moves on over what is processed without a gap.
    fn settle(&mut self) {
        while let Some(first) = self.open.front() {
            if first.done > self.processed.offset {
                self.processed = Spot { offset: first.done, epoch: first.epoch };
                self.moved = true;
            }
            if first.done < first.range.end {
                return;
            }
            self.open.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn t() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    fn begun(offset: i64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.begin(&t(), Tenure(1), Spot { offset, epoch: -1 }, Some(offset), false);
        ledger
    }

    fn due(ledger: &Ledger) -> Option<i64> {
        ledger.due().first().map(|due| due.spot.offset)
    }

    #[test]
    fn a_position_never_passes_what_is_not_acknowledged() {
        let mut ledger = begun(0);
        ledger.handed_out(&t(), 0..10, 3);
        ledger.handed_out(&t(), 10..20, 3);
        ledger.passed(&t(), 25, 4);
        assert_eq!(due(&ledger), None);
        assert!(ledger.ack(&t(), Tenure(1), &(10..20)));
        assert_eq!(due(&ledger), None);
        assert!(ledger.ack(&t(), Tenure(1), &(0..5)));
        assert_eq!(due(&ledger), Some(5));
        assert!(ledger.ack(&t(), Tenure(1), &(5..10)));
        assert_eq!(ledger.due()[0].spot, Spot { offset: 25, epoch: 4 });
        let stored = ledger.due().remove(0);
        ledger.committed(&stored);
        assert_eq!(due(&ledger), None);
    }

    #[test]
    fn an_acknowledgement_of_an_earlier_stay_changes_nothing() {
        let mut ledger = begun(0);
        ledger.handed_out(&t(), 0..10, 3);
        ledger.begin(&t(), Tenure(2), Spot { offset: 0, epoch: -1 }, None, false);
        ledger.handed_out(&t(), 0..10, 3);
        assert!(!ledger.ack(&t(), Tenure(1), &(0..10)));
        assert_eq!(due(&ledger), None);
        ledger.end(&t());
        assert!(!ledger.ack(&t(), Tenure(2), &(0..10)));
        assert!(ledger.due().is_empty());
    }

    #[test]
    fn what_was_never_handed_out_cannot_be_acknowledged() {
        let mut ledger = begun(5);
        ledger.handed_out(&t(), 5..10, 3);
        assert!(!ledger.ack(&t(), Tenure(1), &(5..11)));
        assert!(!ledger.ack_below(&t(), 11));
        assert!(ledger.ack_below(&t(), 8) && due(&ledger) == Some(8));
    }

    #[test]
    fn a_position_set_on_purpose_may_be_committed_and_a_found_one_may_not() {
        let mut ledger = Ledger::default();
        ledger.begin(&t(), Tenure(1), Spot { offset: 7, epoch: -1 }, None, false);
        assert_eq!(due(&ledger), None);
        ledger.begin(&t(), Tenure(2), Spot { offset: 7, epoch: -1 }, None, true);
        assert_eq!(due(&ledger), Some(7));
    }

    #[derive(Clone, Debug)]
    enum Step {
        HandOut(i64),
        Pass(i64),
        Ack(usize, i64),
        Begin(i64),
        End,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..9_i64).prop_map(Step::HandOut),
            1 => (1..9_i64).prop_map(Step::Pass),
            5 => (any::<usize>(), 1..12_i64).prop_map(|(which, to)| Step::Ack(which, to)),
            1 => (0..50_i64).prop_map(Step::Begin),
            1 => Just(Step::End),
        ]
    }

    proptest! {
        /// The model keeps every offset by itself.
        #[test]
        fn what_is_due_is_the_first_offset_that_is_not_processed(
            steps in proptest::collection::vec(step(), 1..80),
        ) {
            let mut ledger = begun(0);
            let (mut tenure, mut live, mut start, mut next) = (1, true, 0, 0);
            let mut waits = std::collections::BTreeSet::new();
            let mut given: Vec<(u64, Range<i64>)> = Vec::new();
            for step in steps {
                match step {
                    Step::HandOut(count) if live => {
                        ledger.handed_out(&t(), next..next + count, 0);
                        waits.extend(next..next + count);
                        given.push((tenure, next..next + count));
                        next += count;
                    }
                    Step::Pass(count) if live => {
                        ledger.passed(&t(), next + count, 0);
                        next += count;
                    }
                    Step::Ack(which, to) if !given.is_empty() => {
                        let (of, range) = given[which % given.len()].clone();
                        let part = range.start..(range.start + to).min(range.end);
                        let counts = live && of == tenure;
                        prop_assert_eq!(ledger.ack(&t(), Tenure(of), &part), counts);
                        if counts {
                            waits.retain(|offset| !part.contains(offset));
                        }
                    }
                    Step::Begin(at) => {
                        tenure += 1;
                        (live, start, next) = (true, at, at);
                        ledger.begin(&t(), Tenure(tenure), Spot { offset: at, epoch: 0 }, Some(at), false);
                        waits.clear();
                    }
                    Step::End => {
                        ledger.end(&t());
                        live = false;
                    }
                    _ => {}
                }
                let model = waits.first().copied().unwrap_or(next);
                let expected = (live && model > start).then_some(model);
                prop_assert_eq!(due(&ledger), expected);
            }
        }
    }
}
