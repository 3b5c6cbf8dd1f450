//! The partitions of a consumer: what each waits for. Plain books; who decides is the consumer.

use std::collections::{BTreeMap, BTreeSet};

use klamm_protocol::session::fetch::CursorId;
use tokio::time::Instant;

use crate::admin::OffsetSpec;
use crate::partition::TopicPartition;

use super::ledger::{Spot, Tenure};

/// All partitions that a consumer reads.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_name: BTreeMap<TopicPartition, Slot>,
    by_cursor: BTreeMap<CursorId, TopicPartition>,
    last: u64,
}

/// One partition.
#[derive(Debug)]
pub(super) struct Slot {
    /// The stay, which ends with every position that is set.
    pub(super) tenure: Tenure,
    pub(super) state: State,
    pub(super) paused: bool,
    /// It is being given up; nothing more is handed out.
    pub(super) revoked: bool,
}

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// For the stored position to be asked for, from then on.
    AwaitsStored(Option<Instant>),
    /// For an offset to be looked up, from then on.
    AwaitsLookup { spec: OffsetSpec, on_purpose: bool, stored: Option<i64>, at: Option<Instant> },
    /// For an answer about its position.
    AwaitsAnswer,
    /// For records.
    Fetches(CursorId),
    /// To be resumed, with this position.
    AwaitsResume(Spot),
    /// For a position to be set, since it cannot go on from where it is.
    AwaitsSeek,
}

impl Slots {
    /// A number that was never given before.
    fn fresh(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn fresh_tenure(&mut self) -> Tenure {
        Tenure(self.fresh())
    }

    /// Takes a partition up.
    pub(super) fn insert(&mut self, partition: TopicPartition, state: State) {
        let tenure = self.fresh_tenure();
        self.by_name.insert(partition, Slot { tenure, state, paused: false, revoked: false });
    }

    /// Gives a partition up.
    pub(super) fn remove(&mut self, partition: &TopicPartition) -> Option<Slot> {
        let slot = self.by_name.remove(partition)?;
        self.unhook(&slot);
        Some(slot)
    }

    pub(super) fn get(&self, partition: &TopicPartition) -> Option<&Slot> {
        self.by_name.get(partition)
    }

    pub(super) fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Slot> {
        self.by_name.get_mut(partition)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &TopicPartition> {
        self.by_name.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &Slot)> {
        self.by_name.iter()
    }

    /// The partition that a cursor belongs to, if it still does.
    pub(super) fn of_cursor(&self, id: CursorId) -> Option<&TopicPartition> {
        self.by_cursor.get(&id)
    }

    /// Has a partition wait for something else. Returns the cursor that it had, to be removed.
    pub(super) fn set(&mut self, partition: &TopicPartition, state: State) -> Option<CursorId> {
        let slot = self.by_name.get_mut(partition)?;
        let before = std::mem::replace(&mut slot.state, state);
        match before {
            State::Fetches(id) => {
                self.by_cursor.remove(&id);
                Some(id)
            }
            _ => None,
        }
    }

    /// Has a partition fetch by a cursor of a new name.
    pub(super) fn fetch(&mut self, partition: &TopicPartition) -> Option<CursorId> {
        let id = CursorId(self.fresh());
        let slot = self.by_name.get_mut(partition)?;
        let before = std::mem::replace(&mut slot.state, State::Fetches(id));
        if let State::Fetches(old) = before {
            self.by_cursor.remove(&old);
        }
        self.by_cursor.insert(id, partition.clone());
        Some(id)
    }

    /// The partitions that wait for their stored position to be asked for.
    pub(super) fn due_stored(&self, now: Instant) -> Vec<(TopicPartition, Tenure)> {
        self.select(|slot| match slot.state {
            State::AwaitsStored(at) => at.is_none_or(|at| at <= now),
            _ => false,
        })
    }

    /// The partitions that wait for a lookup.
    pub(super) fn due_lookups(&self, now: Instant) -> Vec<(TopicPartition, Tenure)> {
        self.select(|slot| match slot.state {
            State::AwaitsLookup { at, .. } => at.is_none_or(|at| at <= now),
            _ => false,
        })
    }

    /// When something becomes due.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let at = |slot: &Slot| match slot.state {
            State::AwaitsStored(at) | State::AwaitsLookup { at, .. } => at,
            _ => None,
        };
        self.by_name.values().filter_map(at).min()
    }

    /// The topics that are read.
    pub(super) fn topics(&self) -> BTreeSet<&str> {
        self.by_name.keys().map(|partition| &*partition.topic).collect()
    }

    fn select(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<(TopicPartition, Tenure)> {
        let found = self.by_name.iter().filter(|(_, slot)| !slot.revoked && wanted(slot));
        found.map(|(partition, slot)| (partition.clone(), slot.tenure)).collect()
    }

    fn unhook(&mut self, slot: &Slot) {
        if let State::Fetches(id) = slot.state {
            self.by_cursor.remove(&id);
        }
    }
}
