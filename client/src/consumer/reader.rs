//! The reader that joins everything: places cursors at their leaders, keeps each leader fetching
//! while there is room, and opens batches as the caller takes them.
//!
//! A partition is *homeless* until its leader is known, then fetched there until its range ends;
//! whatever goes wrong makes it homeless again, or ends it with an error at the right place in the
//! queue. All state is in the reader and every poll goes as far as it can, so a future of
//! [`RangeReader::next`] can be dropped at any point.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use klamm_protocol::records::Inflater;
use klamm_protocol::session::fetch::{
    Cursor, CursorId, FetchEvent, FetchOptions, Fetched, Progress,
};
use klamm_protocol::session::metadata::{Broker, LeaderHint, Topic};
use klamm_protocol::session::new_leader::NewLeader;
use klamm_protocol::wire::Uuid;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::client::Client;
use crate::config::Isolation;
use crate::error::{Error, ErrorKind, Result};

use super::buffer::{Buffer, Item};
use super::facts::{self, Fact};
use super::leader::{Job, Leader};
use super::options::{FetchedBatch, OffsetRange, ReadOptions};
use super::parts::{self, Part, lost};

/// Reads exact ranges; made by [`Client::read_ranges`].
///
/// Memory: at most [`ReadOptions::max_bytes`] of fetched batches wait, plus one response under way
/// and the batch being opened.
#[must_use = "nothing is read before next() is awaited"]
pub struct RangeReader {
    client: Client,
    options: ReadOptions,
    parts: Vec<Part>,
    leaders: Vec<Leader>,
    homeless: Vec<(usize, Cursor)>,
    /// The next look at the view has to be a new one.
    stale: bool,
    placing: bool,
    /// How often partitions were sent on to other brokers since any of them came further.
    sent_on: usize,
    /// Homeless partitions wait until then: they are being sent round in circles.
    resting_until: Option<Instant>,
    questions: Vec<Job<Fact>>,
    buffer: Buffer,
    inflater: Inflater,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl RangeReader {
    pub(super) fn new(client: Client, ranges: Vec<OffsetRange>, options: ReadOptions) -> Self {
        let mut reader = Self {
            client,
            options,
            parts: Vec::new(),
            leaders: Vec::new(),
            homeless: Vec::new(),
            stale: false,
            placing: false,
            sent_on: 0,
            resting_until: None,
            questions: Vec::new(),
            buffer: Buffer::default(),
            inflater: Inflater::new(),
            waiting_since: None,
            timer: None,
        };
        reader.sort_in(ranges);
        reader
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
            while let Some((part, item)) = self.buffer.pop() {
                if let Some(out) = self.hand_out(part, item) {
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
            let due = self.leaders.iter().filter_map(Leader::wakes_at);
            let due = due.chain(self.resting_until).min();
            let wake = due.map_or(patience, |due| due.min(patience));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(wake)));
            timer.as_mut().reset(wake);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Goes as far as possible without waiting.
    fn drive(&mut self, cx: &mut Context<'_>) {
        loop {
            let mut moved = self.poll_questions(cx);
            moved |= self.poll_leaders(cx);
            moved |= self.look_for_leaders();
            moved |= self.begin_fetches();
            if !moved {
                return;
            }
        }
    }

    fn poll_questions(&mut self, cx: &mut Context<'_>) -> bool {
        let mut facts = Vec::new();
        self.questions.retain_mut(|question| match question.as_mut().poll(cx) {
            Poll::Ready(fact) => {
                facts.push(fact);
                false
            }
            Poll::Pending => true,
        });
        let moved = !facts.is_empty();
        facts.into_iter().for_each(|fact| self.learn(fact));
        moved
    }

    fn poll_leaders(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        for index in 0..self.leaders.len() {
            let Some(leader) = self.leaders.get_mut(index) else { continue };
            match leader.poll(cx) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => self.leader_failed(index, &error),
            }
            moved = true;
            while let Some(event) =
                self.leaders.get_mut(index).and_then(|leader| leader.machine.poll_event())
            {
                self.handle(index, event);
            }
        }
        moved
    }

    /// Asks for the topics of homeless partitions, one question at a time.
    fn look_for_leaders(&mut self) -> bool {
        if self.placing || self.homeless.is_empty() {
            return false;
        }
        self.resting_until = self.resting_until.filter(|until| *until > Instant::now());
        if self.resting_until.is_some() {
            return false;
        }
        let mut names: Vec<_> =
            self.homeless.iter().map(|(_, cursor)| Arc::clone(&cursor.topic)).collect();
        names.sort();
        names.dedup();
        let fresh = std::mem::take(&mut self.stale);
        self.questions.push(facts::topics(&self.client, names, fresh));
        self.placing = true;
        true
    }

    /// Lets every idle leader fetch that has room. A leader gets an equal share, so that a fast one
    /// cannot starve the others, and waits until half of it is free, so that fetches stay large.
    fn begin_fetches(&mut self) -> bool {
        let busy = self.leaders.iter().filter(|leader| !leader.machine.is_empty()).count().max(1);
        let share = (self.options.max_bytes / busy).max(1);
        let mut moved = false;
        for index in 0..self.leaders.len() {
            let reserved: usize = self.leaders.iter().map(Leader::reserved).sum();
            let free = self.options.max_bytes.saturating_sub(self.buffer.bytes() + reserved);
            let room = free.min(share);
            if room < share.div_ceil(2) {
                continue;
            }
            let Some(leader) = self.leaders.get_mut(index) else { continue };
            match leader.begin(room) {
                Ok(begun) => moved |= begun,
                Err(error) => self.give_up_leader(index, &error),
            }
        }
        moved
    }

    /// Opens a batch that the caller takes.
    fn hand_out(&mut self, index: usize, item: Item) -> Option<Result<FetchedBatch>> {
        let (raw, range) = match item {
            Item::Failed(error) => return Some(Err(error)),
            Item::Batch(raw, range) => (raw, range),
        };
        let part = self.parts.get_mut(index).filter(|part| !part.broken)?;
        let (topic, partition) = (Arc::clone(&part.topic), part.partition);
        match raw.open(&mut self.inflater, self.options.max_inflated) {
            Ok(batch) => Some(Ok(FetchedBatch { topic, partition, batch, range })),
            Err(error) => {
                part.broken = true;
                let error = part.corrupt(error, raw.header().base_offset);
                self.end(index);
                Some(Err(error))
            }
        }
    }

    /// Acts on what a leader's answer means.
    fn handle(&mut self, leader: usize, event: FetchEvent) {
        match event {
            FetchEvent::Fetched(fetched) => self.take(leader, fetched),
            FetchEvent::Backoff { id, code, .. } => {
                tracing::debug!(part = id.0, %code, "a partition rests")
            }
            FetchEvent::Stalled { id, .. } => self.ask_local_start(leader, id),
            FetchEvent::OffsetOutOfRange { id, cursor, .. } => {
                let isolation = self.options.isolation;
                self.questions.push(facts::ends(&self.client, part_of(id), cursor, isolation));
            }
            FetchEvent::LeaderMoved { id, cursor, leader: to } => {
                self.stale |= !self.learn_leader(&cursor, to);
                self.homeless.push((part_of(id), cursor));
                self.send_on(leader);
            }
            FetchEvent::UnknownTopic { id, cursor, .. } => {
                self.stale = true;
                self.homeless.push((part_of(id), cursor));
            }
            FetchEvent::Truncated { id, cursor, end_offset, .. } => {
                let error = lost("the log was truncated below what was read of it", &cursor)
                    .with("log_end", end_offset)
                    .with_hint("records read from there on exist no more; read again from log_end");
                self.fail(part_of(id), error);
            }
            FetchEvent::Fatal { id, cursor, code } => {
                let error = Error::broker(code).at(&cursor.topic, cursor.partition);
                self.fail(part_of(id), error.with("offset", cursor.next));
            }
            other => tracing::error!(?other, "an event that the reader does not know"),
        }
    }

    /// Queues what arrived, and tells the machine how far that reaches.
    fn take(&mut self, leader: usize, fetched: Fetched) {
        let (id, index) = (fetched.id, part_of(fetched.id));
        let Some(machine) = self.leaders.get_mut(leader).map(|leader| &mut leader.machine) else {
            return;
        };
        let Some(wanted) = machine.cursor(id).map(|cursor| cursor.next..cursor.stop) else {
            return;
        };
        let from = wanted.start;
        let taken = self.buffer.take(index, fetched, wanted, &mut self.inflater);
        if taken.next > from {
            // Records that lead nowhere are no progress, however many come.
            self.waiting_since = None;
            self.sent_on = 0;
        }
        let progress = machine.advance(id, taken.next, taken.epoch);
        if let Some(error) = taken.broken {
            let Some(part) = self.parts.get(index) else { return };
            let error = part.corrupt(error, taken.next);
            self.fail(index, error);
        } else if progress == Progress::Ended {
            self.next_range(index);
        }
    }

    /// Goes on with a partition's next range, or ends it.
    fn next_range(&mut self, index: usize) {
        let Some(part) = self.parts.get_mut(index) else { return };
        part.ranges.pop_front();
        match part.cursor() {
            Some(cursor) => self.homeless.push((index, cursor)),
            None => part.ended = true,
        }
    }

    fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Topics(found) => {
                self.placing = false;
                let found: BTreeMap<_, _> = found.into_iter().collect();
                for (part, cursor) in std::mem::take(&mut self.homeless) {
                    match found.get(&cursor.topic) {
                        Some(Ok(topic)) => self.place(part, cursor, topic),
                        Some(Err(error)) => {
                            self.fail(part, error.clone().with("partition", cursor.partition))
                        }
                        None => self.homeless.push((part, cursor)),
                    }
                }
            }
            Fact::Ends { part, cursor, ends: Ok((start, end)) } => {
                if (start..=end).contains(&cursor.next) {
                    // The broker that refused was behind: a leader just elected, or no leader any
                    // more.
                    self.stale = true;
                    self.homeless.push((part, cursor));
                    return;
                }
                let error = lost("the offset is not in the log", &cursor);
                self.fail(
                    part,
                    error.with("log_start", start).with("log_end", end).with_hint(OUT_OF_RANGE),
                );
            }
            Fact::Ends { part, cursor, ends: Err(error) } => {
                self.fail(part, error.with("offset", cursor.next));
            }
            Fact::LocalStart { part, next, start } => {
                if start.is_some_and(|start| start <= next) {
                    self.end_hole(part, next);
                }
            }
        }
    }

    /// Gives a cursor to its leader, or keeps it homeless while there is none.
    fn place(&mut self, part: usize, mut cursor: Cursor, topic: &Topic) {
        if self.parts.get(part).is_none_or(|part| part.ended) {
            return;
        }
        if cursor.topic_id != Uuid::ZERO && topic.id != Uuid::ZERO && cursor.topic_id != topic.id {
            let error = lost("the topic was deleted and made anew while it was read", &cursor);
            self.fail(part, error.with_hint("its offsets mean other records now; start over"));
            return;
        }
        let Some(partition) = topic.partition(cursor.partition) else {
            let error = Error::new(ErrorKind::Usage, "there is no such partition");
            self.fail(
                part,
                error
                    .at(&cursor.topic, cursor.partition)
                    .with("partitions", topic.partitions.len()),
            );
            return;
        };
        let Some(node) = partition.leader else {
            self.stale = true;
            self.homeless.push((part, cursor));
            return;
        };
        cursor.topic_id = topic.id;
        cursor.leader_epoch = partition.leader_epoch.unwrap_or(-1);
        let id = CursorId(part as u64);
        let leader = self.leader(node);
        if !leader.machine.add(id, cursor) {
            tracing::error!(part, node, "a partition was placed twice");
        }
    }

    /// A partition left this leader for another. Where nothing else is read from it, its connection
    /// is closed. Once every partition may have been sent on without getting further, the next look
    /// for leaders waits.
    fn send_on(&mut self, from: usize) {
        if let Some(leader) = self.leaders.get_mut(from) {
            leader.rest();
        }
        self.sent_on = self.sent_on.saturating_add(1);
        if self.sent_on > self.parts.len() {
            self.resting_until = Some(Instant::now() + *self.client.config().retry_backoff());
        }
    }

    fn leader(&mut self, node: i32) -> &mut Leader {
        let known = self.leaders.iter().position(|leader| leader.node == node);
        let index = known.unwrap_or_else(|| {
            self.leaders.retain(|leader| !leader.is_resting());
            let options = fetch_options(&self.options, &self.client);
            self.leaders.push(Leader::new(self.client.clone(), node, options));
            self.leaders.len() - 1
        });
        &mut self.leaders[index]
    }

    /// Takes in who leads now (KIP-951); whether that was news.
    fn learn_leader(&self, cursor: &Cursor, leader: Option<NewLeader>) -> bool {
        let Some(NewLeader { node, epoch, address }) = leader else { return false };
        let endpoint = address.and_then(|(host, port)| {
            let port = u16::try_from(port).ok()?;
            Some(Broker { id: node, host, port, rack: None })
        });
        self.client.cluster().learn_leader(LeaderHint {
            topic: Arc::clone(&cursor.topic),
            partition: cursor.partition,
            leader: node,
            leader_epoch: epoch,
            endpoint,
        })
    }

    /// A connection could not be made, or was lost: its partitions look for their leaders in a new
    /// view.
    fn leader_failed(&mut self, index: usize, error: &Error) {
        let passes = error.is_retriable() || error.kind() == ErrorKind::OutcomeUnknown;
        if !passes {
            return self.give_up_leader(index, error);
        }
        tracing::debug!(%error, "a fetch failed");
        self.stale = true;
        let cursors = self.evict(index);
        self.homeless.extend(cursors);
    }

    fn give_up_leader(&mut self, index: usize, error: &Error) {
        for (part, cursor) in self.evict(index) {
            let error = error.clone().at(&cursor.topic, cursor.partition);
            self.fail(part, error.with("offset", cursor.next));
        }
    }

    /// Takes all cursors from a leader.
    fn evict(&mut self, index: usize) -> Vec<(usize, Cursor)> {
        let Some(leader) = self.leaders.get_mut(index) else { return Vec::new() };
        let machine = &mut leader.machine;
        let parts = 0..self.parts.len();
        parts.filter_map(|part| Some((part, machine.remove(CursorId(part as u64))?))).collect()
    }

    fn ask_local_start(&mut self, leader: usize, id: CursorId) {
        let Some(leader) = self.leaders.get(leader) else { return };
        let Some(cursor) = leader.machine.cursor(id) else { return };
        let question = facts::local_start(&self.client, part_of(id), cursor, leader.node);
        self.questions.push(question);
    }

    /// Nothing is left between a position and the stop: the cleaner removed it all.
    fn end_hole(&mut self, part: usize, next: i64) {
        let id = CursorId(part as u64);
        for leader in &mut self.leaders {
            if leader.machine.cursor(id).is_some_and(|cursor| cursor.next == next) {
                leader.machine.remove(id);
                return self.next_range(part);
            }
        }
    }

    /// Ends a partition with an error, after what is queued of it.
    fn fail(&mut self, part: usize, error: Error) {
        self.buffer.push_error(part, error);
        self.end(part);
    }

    fn end(&mut self, index: usize) {
        let id = CursorId(index as u64);
        for leader in &mut self.leaders {
            leader.machine.remove(id);
        }
        self.homeless.retain(|(part, _)| *part != index);
        if let Some(part) = self.parts.get_mut(index) {
            part.ended = true;
        }
    }

    fn no_progress(&self) -> Error {
        let error = Error::new(ErrorKind::TimedOut, "no records came")
            .with("after_ms", self.options.poll_timeout.as_millis())
            .with_hint("check that the range ends within the log and that its leader is up, or wait longer");
        let homeless = self.homeless.iter().map(|(_, cursor)| cursor);
        let ids = (0..self.parts.len()).map(|part| CursorId(part as u64));
        let fetched =
            ids.flat_map(|id| self.leaders.iter().filter_map(move |l| l.machine.cursor(id)));
        match fetched.chain(homeless).next() {
            Some(cursor) => {
                let error = error.at(&cursor.topic, cursor.partition);
                error.with("offset", cursor.next).with("stop", cursor.stop)
            }
            None => error,
        }
    }

    /// Makes a part of every partition; ranges that make no sense become errors.
    fn sort_in(&mut self, ranges: Vec<OffsetRange>) {
        let (parts, wrong) = parts::sort(ranges);
        for error in wrong {
            self.buffer.push_error(NO_PART, error);
        }
        let cursors = parts.iter().enumerate();
        self.homeless = cursors.filter_map(|(index, part)| Some((index, part.cursor()?))).collect();
        self.parts = parts;
    }
}

impl fmt::Debug for RangeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.parts.iter().filter(|part| !part.ended).count();
        f.debug_struct("RangeReader")
            .field("open", &open)
            .field("buffered", &self.buffer.bytes())
            .finish_non_exhaustive()
    }
}

fn part_of(id: CursorId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

fn fetch_options(options: &ReadOptions, client: &Client) -> FetchOptions {
    let mut fetch = FetchOptions::default();
    fetch.max_wait = options.max_wait;
    fetch.min_bytes = options.min_bytes;
    fetch.max_bytes = options.fetch_max_bytes;
    fetch.partition_max_bytes = options.partition_max_bytes;
    fetch.read_committed = options.isolation == Isolation::ReadCommitted;
    fetch.retry_backoff = *client.config().retry_backoff();
    fetch
}

const OUT_OF_RANGE: &str = "records that were to be read were deleted, or never written; read from log_start on if that loss is acceptable";

/// The part of errors that belong to no partition.
const NO_PART: usize = usize::MAX;
