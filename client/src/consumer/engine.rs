//! Fetching, whatever it is for. In: cursors by id, and where to stop each; out: a queue of what
//! arrived, and news of cursors that ended or cannot go on. Who owns this decides what such news
//! mean: the range reader ends a partition with an error, the group's consumer may set it back.
//!
//! A cursor is *homeless* until its leader is known, then fetched there, or from a replica that the
//! leader names as nearer (KIP-392); whatever passes by itself makes it homeless again. All state is
//! here and every poll goes as far as it can, so who polls may stop at any point.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use klamm_protocol::error::DecodeError;
use klamm_protocol::records::{Batch, Inflater, RawBatch};
use klamm_protocol::session::fetch::{
    Cursor, CursorId, FetchEvent, FetchOptions, Fetched, Progress,
};
use klamm_protocol::session::metadata::{Broker, LeaderHint, Topic};
use klamm_protocol::session::new_leader::NewLeader;
use klamm_protocol::wire::Uuid;
use tokio::time::Instant;

use crate::client::Client;
use crate::config::Isolation;
use crate::error::{Error, ErrorKind, Result};

use super::buffer::{Buffer, Item};
use super::facts::{self, EpochEnd, Fact};
use super::leader::{Job, Leader};
use super::options::ReadOptions;

/// All fetching of one reader or consumer.
pub(super) struct Engine {
    client: Client,
    options: ReadOptions,
    leaders: Vec<Leader>,
    homeless: Vec<Homeless>,
    /// Cursors that fetch from another replica than the leader, and until when.
    following: BTreeMap<CursorId, Instant>,
    /// The next look at the view has to be a new one.
    stale: bool,
    placing: BTreeSet<Arc<str>>,
    /// How often cursors were sent on to other brokers since any of them came further.
    sent_on: usize,
    /// Homeless cursors wait until then: they are being sent round in circles.
    resting_until: Option<Instant>,
    questions: Vec<Job<Fact>>,
    /// Cursors that a question is about, and that are nowhere else meanwhile.
    asked: BTreeSet<CursorId>,
    buffer: Buffer,
    inflater: Inflater,
    news: VecDeque<(CursorId, News)>,
    /// A cursor came further since that was asked last.
    progressed: bool,
}

/// A cursor that looks for its leader, at once or later.
struct Homeless {
    id: CursorId,
    cursor: Cursor,
    not_before: Option<Instant>,
}

/// What became of a cursor; it is here no more.
pub(super) enum News {
    /// Its stop is reached, or nothing is left before it.
    Ended,
    /// It cannot go on as it is.
    Halted(Cursor, Halt),
}

/// Why a cursor cannot go on.
pub(super) enum Halt {
    /// Its position is not in the log, which goes from `start` to `end`.
    OutOfRange { start: i64, end: i64 },
    /// What it has read from `end_offset` on exists no more; -1 where nobody knows.
    Truncated { end_offset: i64 },
    /// Its topic was deleted and another one made under its name.
    Replaced,
    /// Its topic has only so many partitions.
    NoPartition { partitions: usize },
    /// A batch at its position cannot be read.
    Corrupt(DecodeError),
    /// Something that the error says; it names topic and partition.
    Failed(Error),
}

impl Engine {
    pub(super) fn new(client: Client, options: ReadOptions) -> Self {
        Self {
            client,
            options,
            leaders: Vec::new(),
            homeless: Vec::new(),
            following: BTreeMap::new(),
            stale: false,
            placing: BTreeSet::new(),
            sent_on: 0,
            resting_until: None,
            questions: Vec::new(),
            asked: BTreeSet::new(),
            buffer: Buffer::default(),
            inflater: Inflater::new(),
            news: VecDeque::new(),
            progressed: false,
        }
    }

    /// Takes a cursor in, to be fetched at once or from then on. An id names one cursor only, ever.
    pub(super) fn add(&mut self, id: CursorId, cursor: Cursor, not_before: Option<Instant>) {
        self.homeless.push(Homeless { id, cursor, not_before });
    }

    /// Fetches no more for this cursor; what waits of it stays.
    pub(super) fn remove(&mut self, id: CursorId) {
        for leader in &mut self.leaders {
            leader.machine.remove(id);
        }
        self.homeless.retain(|homeless| homeless.id != id);
        self.following.remove(&id);
        self.asked.remove(&id);
        self.news.retain(|(of, _)| *of != id);
    }

    /// Throws away what waits of this cursor.
    pub(super) fn discard(&mut self, id: CursorId) {
        self.buffer.discard(id);
    }

    /// The cursor as far as it was fetched, if it is with a leader or looks for one.
    pub(super) fn cursor(&self, id: CursorId) -> Option<&Cursor> {
        let fetched = self.leaders.iter().find_map(|leader| leader.machine.cursor(id));
        let homeless = || self.homeless.iter().find(|homeless| homeless.id == id);
        fetched.or_else(|| homeless().map(|homeless| &homeless.cursor))
    }

    /// Puts an error behind what waits.
    pub(super) fn push_error(&mut self, id: CursorId, error: Error) {
        self.buffer.push_error(id, error);
    }

    /// The oldest thing that waits.
    pub(super) fn pop(&mut self) -> Option<(CursorId, Item)> {
        self.buffer.pop()
    }

    /// The bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.bytes()
    }

    /// The oldest news of cursors that are here no more.
    pub(super) fn poll_news(&mut self) -> Option<(CursorId, News)> {
        self.news.pop_front()
    }

    /// Whether any cursor came further since this was asked last. Records that lead nowhere are no
    /// progress, however many come.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progressed)
    }

    /// Checks and inflates a batch.
    pub(super) fn open(&mut self, raw: &RawBatch) -> Result<Batch, DecodeError> {
        raw.open(&mut self.inflater, self.options.max_inflated)
    }

    /// When something is due here although nothing arrives.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let leaders = self.leaders.iter().filter_map(Leader::wakes_at);
        let homeless = self.homeless.iter().filter_map(|homeless| homeless.not_before);
        leaders.chain(homeless).chain(self.resting_until).min()
    }

    /// Goes as far as possible without waiting.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        loop {
            self.end_following();
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

    /// Asks for the topics of homeless cursors, each once at a time.
    fn look_for_leaders(&mut self) -> bool {
        let now = Instant::now();
        self.resting_until = self.resting_until.filter(|until| *until > now);
        if self.resting_until.is_some() {
            return false;
        }
        let due = self.homeless.iter().filter(|one| one.not_before.is_none_or(|at| at <= now));
        let names: BTreeSet<_> = due
            .map(|homeless| Arc::clone(&homeless.cursor.topic))
            .filter(|name| !self.placing.contains(name))
            .collect();
        if names.is_empty() {
            return false;
        }
        let fresh = std::mem::take(&mut self.stale);
        for name in names {
            self.questions.push(facts::topic(&self.client, Arc::clone(&name), fresh));
            self.placing.insert(name);
        }
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

    /// Acts on what a leader's answer means.
    fn handle(&mut self, leader: usize, event: FetchEvent) {
        match event {
            FetchEvent::Fetched(fetched) => self.take(leader, fetched),
            FetchEvent::Backoff { id, code, .. } => {
                tracing::debug!(cursor = id.0, %code, "a partition rests");
            }
            FetchEvent::Stalled { id, .. } => self.ask_local_start(leader, id),
            FetchEvent::Nearer { id, cursor, replica } => self.follow(id, cursor, replica, leader),
            // What a follower says of its log is not yet what the leader says.
            FetchEvent::OffsetOutOfRange { id, cursor, .. }
            | FetchEvent::LeaderMoved { id, cursor, .. }
            | FetchEvent::UnknownTopic { id, cursor, .. }
                if self.following.remove(&id).is_some() =>
            {
                self.add(id, cursor, None);
            }
            FetchEvent::OffsetOutOfRange { id, cursor, .. } => {
                let isolation = self.options.isolation;
                self.asked.insert(id);
                self.questions.push(facts::ends(&self.client, id, cursor, isolation));
            }
            FetchEvent::LeaderMoved { id, cursor, leader: to } => {
                self.stale |= !self.learn_leader(&cursor, to);
                self.add(id, cursor, None);
                self.send_on(leader);
            }
            FetchEvent::UnknownTopic { id, cursor, .. } => {
                self.stale = true;
                self.add(id, cursor, None);
            }
            FetchEvent::Truncated { id, cursor, end_offset, .. } => {
                self.halt(id, cursor, Halt::Truncated { end_offset });
            }
            FetchEvent::Fatal { id, cursor, code } => {
                let error = Error::broker(code).at(&cursor.topic, cursor.partition);
                self.halt(id, cursor, Halt::Failed(error));
            }
            other => tracing::error!(?other, "an event that the engine does not know"),
        }
    }

    /// Queues what arrived, and tells the machine how far that reaches.
    fn take(&mut self, leader: usize, fetched: Fetched) {
        let id = fetched.id;
        let Some(machine) = self.leaders.get_mut(leader).map(|leader| &mut leader.machine) else {
            return;
        };
        let Some(wanted) = machine.cursor(id).map(|cursor| cursor.next..cursor.stop) else {
            return;
        };
        let from = wanted.start;
        let taken = self.buffer.take(id, fetched, wanted, &mut self.inflater);
        if taken.next > from {
            self.progressed = true;
            self.sent_on = 0;
        }
        let progress = machine.advance(id, taken.next, taken.epoch);
        if let Some(error) = taken.broken {
            if let Some(cursor) = machine.remove(id) {
                self.halt(id, cursor, Halt::Corrupt(error));
            }
        } else if progress == Progress::Ended {
            self.news.push_back((id, News::Ended));
        }
    }

    fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Topic { name, found } => {
                self.placing.remove(&name);
                let all = std::mem::take(&mut self.homeless);
                let now = Instant::now();
                let (here, others) = all.into_iter().partition(|one| {
                    one.cursor.topic == name && one.not_before.is_none_or(|at| at <= now)
                });
                self.homeless = others;
                for Homeless { id, cursor, .. } in here {
                    match &found {
                        Ok(topic) => self.place(id, cursor, topic),
                        Err(error) => {
                            let error = error.clone().with("partition", cursor.partition);
                            self.halt(id, cursor, Halt::Failed(error));
                        }
                    }
                }
            }
            // Its owner has removed it meanwhile.
            Fact::Ends { id, .. } | Fact::Checked { id, .. } if !self.asked.remove(&id) => {}
            Fact::Ends { id, cursor, ends: Ok((start, end)) } => {
                if (start..=end).contains(&cursor.next) {
                    // The broker that refused was behind: a leader just elected, or no leader any
                    // more.
                    self.stale = true;
                    self.add(id, cursor, None);
                    return;
                }
                self.halt(id, cursor, Halt::OutOfRange { start, end });
            }
            Fact::Ends { id, cursor, ends: Err(error) } => {
                self.halt(id, cursor, Halt::Failed(error));
            }
            Fact::LocalStart { id, next, start } => {
                if start.is_some_and(|start| start <= next) {
                    self.end_hole(id, next);
                }
            }
            Fact::Checked { id, cursor, node, epoch, end } => {
                self.checked(id, cursor, (node, epoch), end);
            }
        }
    }

    /// Gives a cursor to its leader, or keeps it homeless while there is none.
    fn place(&mut self, id: CursorId, mut cursor: Cursor, topic: &Topic) {
        if cursor.topic_id != Uuid::ZERO && topic.id != Uuid::ZERO && cursor.topic_id != topic.id {
            return self.halt(id, cursor, Halt::Replaced);
        }
        let Some(partition) = topic.partition(cursor.partition) else {
            let partitions = topic.partitions.len();
            return self.halt(id, cursor, Halt::NoPartition { partitions });
        };
        let Some(node) = partition.leader else {
            self.stale = true;
            return self.add(id, cursor, None);
        };
        cursor.topic_id = topic.id;
        let epoch = partition.leader_epoch.unwrap_or(-1);
        if cursor.last_epoch >= 0 && epoch != cursor.leader_epoch {
            self.asked.insert(id);
            self.questions.push(facts::check(&self.client, id, cursor, node, epoch));
            return;
        }
        cursor.leader_epoch = epoch;
        self.give(node, id, cursor);
    }

    /// A new leader has told where the epoch ended that was read last.
    fn checked(
        &mut self,
        id: CursorId,
        mut cursor: Cursor,
        (node, epoch): (i32, i32),
        end: Result<Option<EpochEnd>>,
    ) {
        match end {
            Ok(Some(end)) if end.offset < cursor.next || end.epoch < cursor.last_epoch => {
                self.halt(id, cursor, Halt::Truncated { end_offset: end.offset });
            }
            Ok(_) => {
                cursor.leader_epoch = epoch;
                self.give(node, id, cursor);
            }
            Err(error) if passes(&error) => {
                self.stale = true;
                let rest = Instant::now() + *self.client.config().retry_backoff();
                self.add(id, cursor, Some(rest));
            }
            Err(error) => self.halt(id, cursor, Halt::Failed(error)),
        }
    }

    fn give(&mut self, node: i32, id: CursorId, cursor: Cursor) {
        if !self.leader(node).machine.add(id, cursor) {
            tracing::error!(cursor = id.0, node, "a partition was placed twice");
        }
    }

    /// Goes on at a replica that the leader calls nearer, for as long as a view of the cluster is
    /// believed.
    fn follow(&mut self, id: CursorId, cursor: Cursor, replica: i32, from: usize) {
        let until = Instant::now() + *self.client.config().metadata_max_age();
        self.following.insert(id, until);
        if let Some(leader) = self.leaders.get_mut(from) {
            leader.rest();
        }
        self.give(replica, id, cursor);
    }

    /// Asks the leader again for the nearest replica, where its last word is old.
    fn end_following(&mut self) {
        let now = Instant::now();
        let old = self.following.iter().filter(|(_, until)| **until <= now);
        for id in old.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.following.remove(&id);
            let cursor = self.leaders.iter_mut().find_map(|leader| leader.machine.remove(id));
            if let Some(cursor) = cursor {
                self.add(id, cursor, None);
            }
        }
    }

    /// A cursor left this leader for another. Where nothing else is read from it, its connection is
    /// closed. Once every cursor may have been sent on without getting further, the next look for
    /// leaders waits.
    fn send_on(&mut self, from: usize) {
        if let Some(leader) = self.leaders.get_mut(from) {
            leader.rest();
        }
        self.sent_on = self.sent_on.saturating_add(1);
        let placed: usize = self.leaders.iter().map(|leader| leader.machine.len()).sum();
        if self.sent_on > placed + self.homeless.len() {
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
        if !passes(error) {
            return self.give_up_leader(index, error);
        }
        tracing::debug!(%error, "a fetch failed");
        self.stale = true;
        for (id, cursor) in self.evict(index) {
            self.following.remove(&id);
            self.add(id, cursor, None);
        }
    }

    fn give_up_leader(&mut self, index: usize, error: &Error) {
        for (id, cursor) in self.evict(index) {
            let error = error.clone().at(&cursor.topic, cursor.partition);
            self.halt(id, cursor, Halt::Failed(error));
        }
    }

    /// Takes all cursors from a leader.
    fn evict(&mut self, index: usize) -> Vec<(CursorId, Cursor)> {
        self.leaders.get_mut(index).map(|leader| leader.machine.remove_all()).unwrap_or_default()
    }

    fn ask_local_start(&mut self, leader: usize, id: CursorId) {
        let Some(leader) = self.leaders.get(leader) else { return };
        let Some(cursor) = leader.machine.cursor(id) else { return };
        let question = facts::local_start(&self.client, id, cursor, leader.node);
        self.questions.push(question);
    }

    /// Nothing is left between a position and the stop: the cleaner removed it all.
    fn end_hole(&mut self, id: CursorId, next: i64) {
        for leader in &mut self.leaders {
            if leader.machine.cursor(id).is_some_and(|cursor| cursor.next == next) {
                leader.machine.remove(id);
                self.news.push_back((id, News::Ended));
                return;
            }
        }
    }

    fn halt(&mut self, id: CursorId, cursor: Cursor, why: Halt) {
        self.following.remove(&id);
        self.news.push_back((id, News::Halted(cursor, why)));
    }
}

/// Whether a failed fetch may simply be made again: it changes nothing.
fn passes(error: &Error) -> bool {
    error.is_retriable() || error.kind() == ErrorKind::OutcomeUnknown
}

fn fetch_options(options: &ReadOptions, client: &Client) -> FetchOptions {
    let mut fetch = FetchOptions::default();
    fetch.max_wait = options.max_wait;
    fetch.min_bytes = options.min_bytes;
    fetch.max_bytes = options.fetch_max_bytes;
    fetch.partition_max_bytes = options.partition_max_bytes;
    fetch.read_committed = options.isolation == Isolation::ReadCommitted;
    fetch.rack_id.clone_from(client.config().client_rack());
    fetch.retry_backoff = *client.config().retry_backoff();
    fetch
}
