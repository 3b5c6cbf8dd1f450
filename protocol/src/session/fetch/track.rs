//! One partition's place in a fetch source: answers go in, what the source may do with the cursor
//! comes out.

use std::time::Instant;

use super::answer::Fetched;
use super::cursor::{Cursor, Key, Progress};

/// A cursor and what the source knows of it.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) key: Key,
    pub(super) cursor: Cursor,
    pub(super) state: State,
    /// The end of what may be read, as last told: high watermark or last stable offset.
    end: i64,
    /// Whether the last answer held no record for this cursor.
    silent: bool,
    /// How many quiet answers in a row left readable offsets without a record.
    quiet: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Ready,
    AwaitsAnswer,
    AwaitsAdvance,
    AwaitsTime(Instant),
}

impl Tracked {
    pub(super) fn new(key: Key, cursor: Cursor) -> Self {
        Self { key, cursor, state: State::Ready, end: -1, silent: false, quiet: 0 }
    }

    pub(super) fn advance(&mut self, next: i64, epoch: i32) -> Progress {
        self.state = State::Ready;
        self.quiet = 0;
        if next > self.cursor.next {
            self.cursor.next = next;
            self.cursor.last_epoch = epoch;
        }
        if self.cursor.next >= self.cursor.stop { Progress::Ended } else { Progress::Continues }
    }

    pub(super) fn learn(&mut self, fetched: &Fetched, committed: bool) {
        self.end = if committed { fetched.last_stable_offset } else { fetched.high_watermark };
    }

    /// The request failed: the cursor stands where it stood.
    pub(super) fn give_back(&mut self) {
        if matches!(self.state, State::AwaitsAnswer) {
            self.state = State::Ready;
        }
    }

    /// The awaited answer holds no record for this cursor.
    pub(super) fn no_news(&mut self) {
        if matches!(self.state, State::AwaitsAnswer) {
            self.state = State::Ready;
            self.silent = true;
        }
    }

    /// Looks at the last answer, which is `quiet` if it held no record for anybody. From the second
    /// quiet one in a row that leaves offsets below the stop and below the log's end without a
    /// record: where the readable part ends. One alone may be a tiered log's remote read that took
    /// too long.
    pub(super) fn stalled(&mut self, quiet: bool) -> Option<i64> {
        let silent = std::mem::take(&mut self.silent);
        if !silent || !quiet {
            return None;
        }
        self.quiet = if self.end >= self.cursor.stop { self.quiet + 1 } else { 0 };
        if self.quiet < QUIET_ANSWERS {
            return None;
        }
        self.quiet = 0;
        Some(self.end)
    }

    pub(super) fn wake(&mut self, now: Instant) {
        if self.rests_until().is_some_and(|until| until <= now) {
            self.state = State::Ready;
        }
    }

    pub(super) fn rests_until(&self) -> Option<Instant> {
        match self.state {
            State::AwaitsTime(until) => Some(until),
            _ => None,
        }
    }
}

const QUIET_ANSWERS: u32 = 2;
