//! Records on their way into batches. In: records, from any number of callers, under one lock; out:
//! batches that are full, have waited long enough, or are asked for. Counts what they hold in
//! memory, so that callers wait instead of it growing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klamm_protocol::partition::{Odds, StickyPartition, partition_for_key};
use klamm_protocol::records::{BatchBuilder, BatchOptions, HeaderParts, PushError, RecordParts};
use klamm_protocol::session::metadata;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

use super::names::Names;
use super::ticket::{BatchFate, Parts, Settled, Ticket};

/// What callers and the driver share.
#[derive(Debug)]
pub(super) struct Accumulator {
    state: Mutex<State>,
    options: AccumulatorOptions,
    /// Memory has become free, or the producer failed.
    room: Notify,
    /// A batch was settled.
    settled: Notify,
}

/// How records are gathered.
#[derive(Clone, Debug)]
pub(super) struct AccumulatorOptions {
    pub(super) batch: BatchOptions,
    pub(super) linger: Duration,
    pub(super) memory: usize,
    pub(super) ignore_keys: bool,
}

#[derive(Debug, Default)]
struct State {
    topics: Names<Topic>,
    slots: Vec<Slot>,
    /// Batches that take no more records, oldest first.
    full: VecDeque<Open>,
    /// Open batches in the order they were opened; entries of batches that left are skipped.
    lingering: VecDeque<(Instant, usize, u64)>,
    /// Builders that keep their memory for another batch.
    spare: Vec<BatchBuilder>,
    used: usize,
    /// Callers wait for memory: nothing lingers.
    starving: bool,
    /// Batches up to this number do not linger.
    flush_below: u64,
    next_number: u64,
    /// Batches without outcome: by number, in how many parts.
    outstanding: BTreeMap<u64, usize>,
    /// The first batch since the last flush that was not written.
    failed: Option<Error>,
    /// No record is taken any more, for this reason.
    closed: Option<Error>,
    /// No record is taken until the next transaction begins, for this reason.
    refused: Option<Error>,
}

#[derive(Debug, Default)]
struct Topic {
    /// The partitions that are known, by rising number, with their slots: as many as a broker
    /// listed, whatever their numbers are.
    slots: Vec<(i32, usize)>,
    /// One more than the largest number.
    count: i32,
    /// What to draw from where a record has no key: the partitions that have a leader, or, as a
    /// record may as well wait at one as at another, all.
    odds: Odds,
    /// The partitions that have a leader.
    led: Arc<[i32]>,
    sticky: StickyPartition,
}

/// A partition's place.
#[derive(Debug)]
struct Slot {
    topic: Arc<str>,
    partition: i32,
    open: Option<Open>,
}

/// A batch that has not been handed to the driver.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) slot: usize,
    pub(super) builder: BatchBuilder,
    pub(super) created: Instant,
    pub(super) hold: Hold,
}

/// What a batch holds until it is settled: its tickets' fate, its memory, its place among the
/// outstanding.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) fate: Arc<BatchFate>,
    number: u64,
    cost: usize,
}

/// What came of trying to append.
#[derive(Debug)]
pub(super) enum Appended {
    /// It is in a batch.
    Done(Ticket, News),
    /// The topic, or this partition of it, is not known here.
    UnknownPlace,
    /// There is no memory left.
    NoRoom,
}

/// What an appended record means for the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing: its batch was known to be open.
    Nothing,
    /// A batch was opened, whose time will come.
    Opened,
    /// A batch is full.
    Full,
}

impl Accumulator {
    pub(super) fn new(options: AccumulatorOptions) -> Self {
        let (room, settled) = (Notify::new(), Notify::new());
        Self { state: Mutex::default(), options, room, settled }
    }

    /// Copies a record into its partition's open batch.
    ///
    /// Errors: the producer is closed or failed; the record is too large for any batch.
    pub(super) fn try_append<'a, H>(
        &self,
        topic: &str,
        partition: Option<i32>,
        record: &RecordParts<'a, H>,
    ) -> Result<Appended>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let mut state = self.lock();
        if let Some(error) = state.closed.as_ref().or(state.refused.as_ref()) {
            return Err(error.clone());
        }
        let sticks = partition.is_none() && (record.key.is_none() || self.options.ignore_keys);
        let key = record.key.filter(|_| partition.is_none() && !sticks);
        let State { topics, slots, .. } = &mut *state;
        let place = topics.get_mut(topic);
        let batch_size = self.options.batch.max_bytes;
        let Some(slot) = place.and_then(|place| place.slot(partition, key, slots, batch_size))
        else {
            return Ok(Appended::UnknownPlace);
        };
        if state.used >= self.options.memory {
            state.starving = true;
            return Ok(Appended::NoRoom);
        }
        let before = state.used;
        let appended = state.append(slot, record, &self.options);
        if sticks {
            let grown = state.used.saturating_sub(before);
            state.count_sticky(topic, slot, grown, batch_size);
        }
        let limit = |size, limit| {
            Error::new(ErrorKind::TooLarge, "a record is too large")
                .with("topic", topic)
                .with("bytes", size)
                .with("limit", limit)
                .with_hint("raise max.request.size, and max.message.bytes of the topic")
        };
        match appended {
            Ok((ticket, news)) => Ok(Appended::Done(ticket, news)),
            Err(PushError::TooLarge { size, limit: most }) => Err(limit(size, most)),
            Err(PushError::Full) => {
                Err(Error::new(ErrorKind::Internal, "an empty batch took no record"))
            }
        }
    }

    /// Makes a topic's partitions known; existing ones keep their batches. Records without a key go
    /// to those with a leader.
    pub(super) fn know(&self, known: &metadata::Topic) {
        let largest = known.partitions.last().map_or(-1, |last| last.index);
        let led = known.partitions.iter().filter(|partition| partition.leader.is_some());
        let mut state = self.lock();
        let State { topics, slots, .. } = &mut *state;
        topics.add(&known.name);
        let Some(topic) = topics.get_mut(&known.name) else { return };
        for partition in known.partitions.iter().map(|partition| partition.index) {
            if let Err(at) = topic.slots.binary_search_by_key(&partition, |(known, _)| *known) {
                topic.slots.insert(at, (partition, slots.len()));
                slots.push(Slot { topic: Arc::clone(&known.name), partition, open: None });
            }
        }
        topic.count = topic.count.max(largest.saturating_add(1));
        let led: Vec<i32> = led.map(|partition| partition.index).collect();
        if topic.sticky.current().is_some_and(|current| !led.contains(&current)) {
            topic.sticky.leave();
        }
        let all = topic.slots.iter().map(|(partition, _)| *partition);
        topic.odds = if led.is_empty() { Odds::even(all) } else { Odds::even(led.iter().copied()) };
        topic.led = led.into();
    }

    /// How many partitions a topic has and which of them have a leader, if it is known.
    pub(super) fn partitions_of(&self, topic: &str) -> Option<(i32, Arc<[i32]>)> {
        let mut state = self.lock();
        let topic = state.topics.get_mut(topic)?;
        Some((topic.count, Arc::clone(&topic.led)))
    }

    /// The topics that records were appended to.
    pub(super) fn topics(&self) -> Vec<Arc<str>> {
        self.lock().topics.names().cloned().collect()
    }

    /// Topic and partition of a slot.
    pub(super) fn place_of(&self, slot: usize) -> Option<(Arc<str>, i32)> {
        self.lock().slots.get(slot).map(|slot| (Arc::clone(&slot.topic), slot.partition))
    }

    /// Takes batches that are full, and those whose time has come while their partition has nothing
    /// waiting (`idle`): as long as it has, they may grow. Returns when the next one is due: now, if
    /// there are more than should be taken at once.
    pub(super) fn collect(
        &self,
        now: Instant,
        idle: impl Fn(usize) -> bool,
        out: &mut Vec<Open>,
    ) -> Option<Instant> {
        let mut state = self.lock();
        let (hurry, below) = (state.starving, state.flush_below);
        let State { slots, full, lingering, .. } = &mut *state;
        let mut room = TAKEN_AT_ONCE;
        while let Some(open) = full.pop_front() {
            room = room.saturating_sub(open.builder.size());
            out.push(open);
            if room == 0 {
                return Some(now);
            }
        }
        let mut next = None;
        lingering.retain(|(created, slot, number)| {
            let Some(open) = slots.get_mut(*slot).map(|slot| &mut slot.open) else { return false };
            if open.as_ref().is_none_or(|open| open.hold.number != *number) {
                return false;
            }
            let due = *created + self.options.linger;
            if !hurry && *number >= below && due > now {
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
                return true;
            }
            if !idle(*slot) {
                return true;
            }
            out.extend(open.take());
            false
        });
        next
    }

    /// Whether the driver holds everything there is.
    pub(super) fn is_drained(&self) -> bool {
        let state = self.lock();
        state.full.is_empty() && state.slots.iter().all(|slot| slot.open.is_none())
    }

    /// Takes a builder back that may have kept its memory.
    pub(super) fn recycle(&self, builder: BatchBuilder) {
        let mut state = self.lock();
        if state.spare.len() < SPARE_BUILDERS {
            state.spare.push(builder);
        }
    }

    /// Tells the outcome of a batch and frees what it held.
    pub(super) fn settle(&self, hold: Hold, outcome: Settled) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(hold.cost);
        if let Some(parts) = state.outstanding.get_mut(&hold.number) {
            *parts -= 1;
            if *parts == 0 {
                state.outstanding.remove(&hold.number);
            }
        }
        state.starving = false;
        if let (None, Some(error)) = (&state.failed, outcome.error()) {
            state.failed = Some(error.clone());
        }
        drop(state);
        hold.fate.settle(outcome);
        self.room.notify_waiters();
        self.settled.notify_waiters();
    }

    /// Shares out what a batch holds to parts of so many records each. It counts as settled when all
    /// of them are.
    pub(super) fn split(&self, hold: Hold, counts: &[u32]) -> Vec<Hold> {
        let fates: Vec<Arc<BatchFate>> = counts.iter().map(|_| Arc::default()).collect();
        let parts = Parts::new(&fates, counts);
        if let Some(outstanding) = self.lock().outstanding.get_mut(&hold.number) {
            *outstanding += counts.len().saturating_sub(1);
        }
        hold.fate.settle(Settled::Split(Arc::new(parts)));
        let share = hold.cost / counts.len().max(1);
        let rest = hold.cost - share * counts.len();
        let costs = std::iter::once(share + rest).chain(std::iter::repeat(share));
        let number = hold.number;
        fates.into_iter().zip(costs).map(|(fate, cost)| Hold { fate, number, cost }).collect()
    }

    /// Takes no record until the next transaction begins, for this reason; the first one stays.
    pub(super) fn refuse(&self, reason: Error) {
        self.lock().refused.get_or_insert(reason);
        self.room.notify_waiters();
    }

    /// Takes records of a new transaction. What became of the last one's is told.
    pub(super) fn admit(&self) {
        let mut state = self.lock();
        (state.refused, state.failed) = (None, None);
    }

    /// Takes no record any more, for this reason; the first one stays.
    pub(super) fn close(&self, reason: Error) {
        self.lock().closed.get_or_insert(reason);
        self.room.notify_waiters();
    }

    /// Whether it takes no record any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Waits until memory may be free. To be made before the attempt that it follows.
    pub(super) fn room(&self) -> impl Future<Output = ()> {
        self.room.notified()
    }

    /// Ends the lingering of all that was appended so far; returns its mark for
    /// [`Accumulator::settled_below`].
    pub(super) fn flush(&self) -> u64 {
        let mut state = self.lock();
        state.flush_below = state.next_number;
        state.next_number
    }

    /// Waits until every batch before the mark is settled, and takes the first error since the last
    /// call.
    pub(super) async fn settled_below(&self, mark: u64) -> Result<()> {
        loop {
            let settled = self.settled.notified();
            {
                let mut state = self.lock();
                if state.outstanding.first_key_value().is_none_or(|(oldest, _)| *oldest >= mark) {
                    return state.failed.take().map_or(Ok(()), Err);
                }
            }
            settled.await;
        }
    }

    /// Bytes held by records without outcome.
    pub(super) fn used(&self) -> usize {
        self.lock().used
    }

    /// The state is consistent between any two statements that can panic, so a poisoned lock is
    /// still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts what a record without a key added to its partition (KIP-794).
    fn count_sticky(&mut self, topic: &str, slot: usize, bytes: usize, batch_size: usize) {
        let open = self.slots.get(slot).and_then(|slot| slot.open.as_ref());
        let is_full = open.is_none_or(|open| open.builder.size() + bytes > batch_size);
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.sticky.appended(bytes, batch_size, is_full);
        }
    }

    fn append<'a, H>(
        &mut self,
        index: usize,
        record: &RecordParts<'a, H>,
        options: &AccumulatorOptions,
    ) -> Result<(Ticket, News), PushError>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let slot = self.slots.get_mut(index).ok_or(PushError::Full)?;
        let mut news = News::Opened;
        if let Some(open) = &mut slot.open {
            match open.push(record, &mut self.used) {
                Err(PushError::Full) => self.full.extend(slot.open.take()),
                pushed => return pushed.map(|ticket| (ticket, News::Nothing)),
            }
            news = News::Full;
        }
        let builder = self.spare.pop().unwrap_or_else(|| BatchBuilder::new(options.batch));
        let number = self.next_number;
        let hold = Hold { fate: Arc::default(), number, cost: 0 };
        let mut open = Open { slot: index, builder, created: Instant::now(), hold };
        let ticket = open.push(record, &mut self.used)?;
        self.next_number += 1;
        self.outstanding.insert(number, 1);
        // The queue of lingering batches is bounded by the partitions that have one: stale entries
        // go when it doubles.
        if self.lingering.len() > 2 * self.slots.len() + SPARE_BUILDERS {
            let slots = &self.slots;
            self.lingering.retain(|(_, slot, number)| {
                let open = slots.get(*slot).and_then(|slot| slot.open.as_ref());
                open.is_some_and(|open| open.hold.number == *number)
            });
        }
        self.lingering.push_back((open.created, index, number));
        if let Some(slot) = self.slots.get_mut(index) {
            slot.open = Some(open);
        }
        Ok((ticket, news))
    }
}

impl Open {
    /// Appends a record, and charges what the batch has grown by.
    fn push<'a, H>(
        &mut self,
        record: &RecordParts<'a, H>,
        used: &mut usize,
    ) -> Result<Ticket, PushError>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let pushed = self.builder.try_push(record)?;
        let cost = self.builder.size();
        *used += cost - self.hold.cost;
        self.hold.cost = cost;
        Ok(Ticket::new(Arc::clone(&self.hold.fate), pushed.offset_delta.unsigned_abs()))
    }
}

impl Topic {
    /// The slot of a record: where it says, where its key says, or where records without a key go
    /// just now.
    fn slot(
        &mut self,
        partition: Option<i32>,
        key: Option<&[u8]>,
        slots: &[Slot],
        batch_size: usize,
    ) -> Option<usize> {
        let partition = match (partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, self.count)?,
            (None, None) => self.stick(slots, batch_size)?,
        };
        self.slot_of(partition)
    }

    /// The slot of a partition. Numbers are dense but for a broker that hides some.
    fn slot_of(&self, partition: i32) -> Option<usize> {
        let direct = self.slots.get(usize::try_from(partition).ok()?);
        if let Some((_, slot)) = direct.filter(|(number, _)| *number == partition) {
            return Some(*slot);
        }
        let found = self.slots.binary_search_by_key(&partition, |(number, _)| *number).ok()?;
        self.slots.get(found).map(|(_, slot)| *slot)
    }

    /// Where records without a key go just now. A batch that was sent off meanwhile was full as far
    /// as this goes.
    fn stick(&mut self, slots: &[Slot], batch_size: usize) -> Option<i32> {
        if let Some(current) = self.sticky.current() {
            let slot = self.slot_of(current).and_then(|slot| slots.get(slot));
            if slot.is_none_or(|slot| slot.open.is_none()) {
                self.sticky.appended(0, batch_size, true);
            }
        }
        self.sticky.choose(&self.odds, || fastrand::u64(..))
    }
}

/// How many bytes are taken at once, so that the first are on their way while the next are
/// compressed.
const TAKEN_AT_ONCE: usize = 1 << 20;
/// Builders kept for reuse.
const SPARE_BUILDERS: usize = 16;

#[cfg(test)]
mod tests {
    use klamm_protocol::code::ErrorCode;
    use klamm_protocol::wire::Uuid;

    use super::*;

    fn known(indices: &[i32]) -> metadata::Topic {
        let partition = |index: &i32| metadata::Partition {
            index: *index,
            leader: Some(1),
            leader_epoch: None,
            error: ErrorCode::NONE,
            replicas: Vec::new(),
            in_sync: Vec::new(),
            offline: Vec::new(),
        };
        metadata::Topic {
            name: Arc::from("t"),
            id: Uuid::ZERO,
            internal: false,
            error: ErrorCode::NONE,
            partitions: indices.iter().map(partition).collect(),
        }
    }

    fn taken(accumulator: &Accumulator, partition: i32) -> bool {
        let record = RecordParts::new(0, None, Some(b"value"));
        let appended = accumulator.try_append("t", Some(partition), &record).unwrap();
        matches!(appended, Appended::Done(..))
    }

    #[test]
    fn partitions_cost_what_was_listed_whatever_their_numbers_are() {
        let accumulator = Accumulator::new(AccumulatorOptions {
            batch: BatchOptions::default(),
            linger: Duration::ZERO,
            memory: 1 << 20,
            ignore_keys: false,
        });
        accumulator.know(&known(&[0, i32::MAX]));
        assert!(taken(&accumulator, 0) && taken(&accumulator, i32::MAX));
        assert!(!taken(&accumulator, 1) && !taken(&accumulator, -1));
        accumulator.know(&known(&[0, 1, 2, i32::MAX]));
        assert!(taken(&accumulator, 1) && taken(&accumulator, 2));
        let mut open = Vec::new();
        accumulator.collect(Instant::now(), |_| true, &mut open);
        let mut places: Vec<_> =
            open.iter().filter_map(|one| accumulator.place_of(one.slot)).collect();
        places.sort();
        let partitions: Vec<_> = places.into_iter().map(|(_, partition)| partition).collect();
        assert_eq!(partitions, [0, 1, 2, i32::MAX]);
    }
}
