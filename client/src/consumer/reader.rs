//! The range reader. In: ranges; out: their batches, each opened as the caller takes it. The engine
//! fetches; what ends a range, or keeps it from going on, is decided here: a range that cannot be
//! read exactly ends with an error at the right place in the queue.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use klamm_protocol::session::fetch::{Cursor, CursorId};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

use super::buffer::Item;
use super::engine::{Engine, Halt, News};
use super::options::{FetchedBatch, OffsetRange, ReadOptions};
use super::parts::{self, Part, lost};

/// Reads exact ranges; made by [`Client::read_ranges`].
///
/// Memory: at most [`ReadOptions::max_bytes`] of fetched batches wait, plus one response under way
/// and the batch being opened.
#[must_use = "nothing is read before next() is awaited"]
pub struct RangeReader {
    engine: Engine,
    options: ReadOptions,
    parts: Vec<Part>,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl RangeReader {
    pub(super) fn new(client: Client, ranges: Vec<OffsetRange>, options: ReadOptions) -> Self {
        let (parts, wrong) = parts::sort(ranges);
        let mut engine = Engine::new(client, options.clone());
        for error in wrong {
            engine.push_error(NO_PART, error);
        }
        for (index, part) in parts.iter().enumerate() {
            if let Some(cursor) = part.cursor() {
                engine.add(id_of(index), cursor, None);
            }
        }
        Self { engine, options, parts, waiting_since: None, timer: None }
    }

    /// Adds ranges: also to a reader that has read all it had, which goes on with the connections
    /// and fetch sessions that it has (KIP-227). Ranges of a partition that is still being read come
    /// after those that it has. Errors are as for ranges given at first.
    pub fn add(&mut self, ranges: Vec<OffsetRange>) {
        let (parts, wrong) = parts::sort(ranges);
        for error in wrong {
            self.engine.push_error(NO_PART, error);
        }
        for part in parts {
            self.add_part(part);
        }
    }

    fn add_part(&mut self, part: Part) {
        let same = |known: &Part| known.topic == part.topic && known.partition == part.partition;
        let known = self.parts.iter().position(|known| !known.broken && same(known));
        let index = known.unwrap_or(self.parts.len());
        match self.parts.get_mut(index) {
            Some(known) if !known.ended => return known.ranges.extend(part.ranges),
            Some(known) => {
                known.ranges = part.ranges;
                known.ended = false;
            }
            None => self.parts.push(part),
        }
        if let Some(cursor) = self.parts.get(index).and_then(Part::cursor) {
            self.engine.add(id_of(index), cursor, None);
        }
    }

    /// The next batch, `None` when every range has been read to its stop.
    ///
    /// Batches of one partition come in the order of its log; partitions are mixed as they arrive.
    /// A range ends when its stop is reached, also where its last offsets are transaction markers,
    /// aborted records, or compacted away.
    ///
    /// Errors end the partition they name, after everything before them was handed out; the others
    /// go on with the next call: [`ErrorKind::DataLoss`] with `offset`, `stop`, `log_start` and
    /// `log_end` as context where the position is not in the log, or the log was truncated or the
    /// topic replaced; [`ErrorKind::Corrupt`] with `offset` where a batch is damaged;
    /// [`ErrorKind::Usage`] for ranges that make no sense and topics or partitions that do not
    /// exist; the broker's code. Only [`ErrorKind::TimedOut`] after [`ReadOptions::poll_timeout`]
    /// without progress ends nothing: another call waits anew.
    ///
    /// Cancel safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Option<Result<FetchedBatch>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<FetchedBatch>>> {
        loop {
            self.drive(cx);
            while let Some((id, item)) = self.engine.pop() {
                if let Some(out) = self.hand_out(id, item) {
                    self.waiting_since = None;
                    return Poll::Ready(Some(out));
                }
            }
            if self.parts.iter().all(|part| part.ended) {
                return Poll::Ready(None);
            }
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let patience = since + self.options.poll_timeout;
            if Instant::now() >= patience {
                self.waiting_since = None;
                return Poll::Ready(Some(Err(self.no_progress())));
            }
            let wake = self.engine.wakes_at().map_or(patience, |due| due.min(patience));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(wake)));
            timer.as_mut().reset(wake);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Lets the engine go as far as possible, and acts on what it tells.
    fn drive(&mut self, cx: &mut Context<'_>) {
        loop {
            self.engine.drive(cx);
            if self.engine.take_progress() {
                self.waiting_since = None;
            }
            let Some((id, news)) = self.engine.poll_news() else { return };
            match news {
                News::Ended => self.next_range(part_of(id)),
                News::Halted(cursor, why) => self.give_up(part_of(id), &cursor, why),
            }
        }
    }

    /// Opens a batch that the caller takes.
    fn hand_out(&mut self, id: CursorId, item: Item) -> Option<Result<FetchedBatch>> {
        let (raw, range) = match item {
            Item::Failed(error) => return Some(Err(error)),
            Item::Passed { .. } => return None,
            Item::Batch(raw, range) => (raw, range),
        };
        let part = self.parts.get_mut(part_of(id)).filter(|part| !part.broken)?;
        let (topic, partition) = (Arc::clone(&part.topic), part.partition);
        match self.engine.open(&raw) {
            Ok(batch) => Some(Ok(FetchedBatch { topic, partition, batch, range })),
            Err(error) => {
                part.broken = true;
                part.ended = true;
                let error = part.corrupt(error, raw.header().base_offset);
                self.engine.remove(id);
                Some(Err(error))
            }
        }
    }

    /// Goes on with a partition's next range, or ends it.
    fn next_range(&mut self, index: usize) {
        let Some(part) = self.parts.get_mut(index) else { return };
        part.ranges.pop_front();
        match part.cursor() {
            Some(cursor) => self.engine.add(id_of(index), cursor, None),
            None => part.ended = true,
        }
    }

    /// Ends a partition with an error, after what is queued of it: an exact range is read exactly,
    /// or not at all.
    fn give_up(&mut self, index: usize, cursor: &Cursor, why: Halt) {
        let Some(part) = self.parts.get_mut(index) else { return };
        part.ended = true;
        let error = match why {
            Halt::OutOfRange { start, end } => lost("the offset is not in the log", cursor)
                .with("log_start", start)
                .with("log_end", end)
                .with_hint(OUT_OF_RANGE),
            Halt::Truncated { end_offset } => {
                lost("the log was truncated below what was read of it", cursor)
                    .with("log_end", end_offset)
                    .with_hint("records read from there on exist no more; read again from log_end")
            }
            Halt::Replaced => lost("the topic was deleted and made anew while it was read", cursor)
                .with_hint("its offsets mean other records now; start over"),
            Halt::NoPartition { partitions } => {
                Error::new(ErrorKind::Usage, "there is no such partition")
                    .at(&cursor.topic, cursor.partition)
                    .with("partitions", partitions)
            }
            Halt::Corrupt(error) => part.corrupt(error, cursor.next),
            Halt::Failed(error) => error.with("offset", cursor.next),
        };
        self.engine.push_error(id_of(index), error);
    }

    fn no_progress(&self) -> Error {
        let error = Error::new(ErrorKind::TimedOut, "no records came")
            .with("after_ms", self.options.poll_timeout.as_millis())
            .with_hint("check that the range ends within the log and that its leader is up, or wait longer");
        let mut ids = (0..self.parts.len()).map(id_of);
        match ids.find_map(|id| self.engine.cursor(id)) {
            Some(cursor) => {
                let error = error.at(&cursor.topic, cursor.partition);
                error.with("offset", cursor.next).with("stop", cursor.stop)
            }
            None => error,
        }
    }
}

impl fmt::Debug for RangeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.parts.iter().filter(|part| !part.ended).count();
        f.debug_struct("RangeReader")
            .field("open", &open)
            .field("buffered", &self.engine.bytes())
            .finish_non_exhaustive()
    }
}

fn part_of(id: CursorId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

fn id_of(part: usize) -> CursorId {
    CursorId(part as u64)
}

const OUT_OF_RANGE: &str = "records that were to be read were deleted, or never written; read from log_start on if that loss is acceptable";

/// The part of errors that belong to no partition.
const NO_PART: CursorId = CursorId(u64::MAX);
