//! What to read from one partition, and by which names: plain values that the files beside share.

use std::sync::Arc;

use crate::wire::Uuid;

/// What to read from one partition: every record with `next <= offset < stop`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's id, [`Uuid::ZERO`] where the metadata has none.
    pub topic_id: Uuid,
    /// The partition's number.
    pub partition: i32,
    /// The offset of the next record wanted.
    pub next: i64,
    /// The first offset no longer wanted.
    pub stop: i64,
    /// The leader epoch that the metadata told, -1 for unknown; an older or newer broker then
    /// refuses (KIP-320).
    pub leader_epoch: i32,
    /// The leader epoch of the batch before `next`, -1 for unknown; the broker then says if its log
    /// diverges.
    pub last_epoch: i32,
}

/// A caller's name for a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CursorId(pub u64);

/// What [`advance`](super::FetchSource::advance) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// More is to be fetched.
    Continues,
    /// The stop is reached and the cursor has left the source.
    Ended,
    /// The cursor is not here, or handed nothing up.
    Gone,
}

/// A partition as a session knows it: a recreated topic has another id, and so another key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) topic: Arc<str>,
    pub(super) id: Uuid,
    pub(super) partition: i32,
}

impl Key {
    pub(super) fn of(cursor: &Cursor) -> Self {
        let (topic, id) = (Arc::clone(&cursor.topic), cursor.topic_id);
        Self { topic, id, partition: cursor.partition }
    }

    pub(super) fn has_id(&self) -> bool {
        self.id != Uuid::ZERO
    }
}
