//! The exact-range reader of the world: fetch machines, one per broker, wired as the client wires
//! them. In: how far the logs go; out: fetch requests, and to the ledger every record in the order
//! it is handed up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use klamm_protocol::header::decode_response;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::records::{Batches, Inflater};
use klamm_protocol::session::fetch::{
    Cursor, CursorId, FetchCall, FetchEvent, FetchOptions, FetchSource, Fetched, Progress,
};
use klamm_protocol::wire::Uuid;

use super::checks::{Ledger, Rule, Violation};
use super::knowledge::Knowledge;
use super::network::{Answer, CallId, Network};
use super::plants::Plant;
use super::pool::{Pool, Reach};
use super::records::{TOPIC, numbers_of};
use super::trace::Trace;

/// The reader and its connections.
pub(super) struct Reader {
    rng: Rng,
    plant: Plant,
    options: FetchOptions,
    pool: Pool,
    sources: BTreeMap<i32, Source>,
    parts: Vec<Part>,
    homeless: Vec<Homeless>,
    /// Received and not handed up, oldest first.
    buffer: VecDeque<Item>,
    next_meal: Instant,
    inflater: Inflater,
}

/// One broker's machine.
#[derive(Debug)]
struct Source {
    machine: FetchSource,
    call: Option<(CallId, i16)>,
}

/// One partition: its ranges follow each other without a gap.
#[derive(Clone, Debug)]
struct Part {
    start: i64,
    stop: i64,
}

/// A cursor without a leader, and the refresh it waits for.
#[derive(Debug)]
struct Homeless {
    cursor: Cursor,
    round: Option<u64>,
}

#[derive(Debug)]
struct Item {
    partition: usize,
    record: (i64, u64),
    stop: i64,
}

impl Reader {
    pub(super) fn new(now: Instant, mut rng: Rng, partitions: usize, plant: Plant) -> Self {
        let mut options = FetchOptions::default();
        options.max_wait = Duration::from_millis(rng.u64(50..400));
        options.partition_max_bytes = rng.usize(200..6_000);
        options.retry_backoff = Duration::from_millis(30);
        Self {
            rng,
            plant,
            options,
            pool: Pool::default(),
            sources: BTreeMap::new(),
            parts: vec![Part { start: 0, stop: 0 }; partitions],
            homeless: Vec::new(),
            buffer: VecDeque::new(),
            next_meal: now,
            inflater: Inflater::new(),
        }
    }

    /// Whether everything up to the end of the logs was handed up.
    pub(super) fn is_done(&self, ledger: &Ledger) -> bool {
        let ends = |(index, part): (usize, &Part)| {
            part.start == part.stop && part.stop == ledger.end_of(index)
        };
        self.buffer.is_empty() && self.parts.iter().enumerate().all(ends)
    }

    /// Does what can be done now. Whether anything was done.
    pub(super) fn step(
        &mut self,
        now: Instant,
        (net, knowledge): (&mut Network, &mut Knowledge),
        ledger: &mut Ledger,
        trace: &mut Trace,
    ) -> Result<bool, Violation> {
        let answers = self.pool.answers(net);
        let mut moved = !answers.is_empty();
        for answer in answers {
            self.take(now, answer, knowledge, trace)?;
        }
        moved |= self.begin_ranges(ledger);
        moved |= self.place(knowledge);
        moved |= self.fetch(now, net, knowledge, trace)?;
        moved |= self.hand_up(now, ledger)?;
        Ok(moved)
    }

    /// When something is due, later than now.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let idle = |source: &&Source| source.call.is_none() && !source.machine.is_empty();
        let sources = self.sources.values().filter(idle);
        let sources = sources.filter_map(|source| source.machine.poll_timeout());
        let meal = Some(self.next_meal).filter(|_| !self.buffer.is_empty());
        let due = sources.chain(meal).filter(|at| *at > now);
        due.chain(self.pool.poll_timeout(now)).min()
    }

    /// Where a range was read to its stop and the log goes on, another begins.
    fn begin_ranges(&mut self, ledger: &Ledger) -> bool {
        let mut moved = false;
        for (index, part) in self.parts.iter_mut().enumerate() {
            let end = ledger.end_of(index);
            if part.start < part.stop || end <= part.stop {
                continue;
            }
            part.stop = if self.rng.bool() { end } else { self.rng.i64(part.start + 1..=end) };
            let cursor = Cursor {
                topic: Arc::from(TOPIC),
                topic_id: Uuid::ZERO,
                partition: index as i32,
                next: part.start,
                stop: part.stop,
                leader_epoch: -1,
                last_epoch: -1,
            };
            self.homeless.push(Homeless { cursor, round: None });
            moved = true;
        }
        moved
    }

    /// Gives cursors to their leaders.
    fn place(&mut self, knowledge: &mut Knowledge) -> bool {
        let mut moved = false;
        for Homeless { mut cursor, round } in std::mem::take(&mut self.homeless) {
            let view = Arc::clone(knowledge.view());
            let leader = view.leader(TOPIC, cursor.partition);
            let ripe = round.is_none_or(|round| knowledge.is_newer(round));
            let (Some(leader), true) = (leader, ripe) else {
                knowledge.doubt();
                self.homeless.push(Homeless { cursor, round });
                continue;
            };
            moved = true;
            cursor.topic_id = view.topics.get(TOPIC).map_or(Uuid::ZERO, |topic| topic.id);
            cursor.leader_epoch = leader.epoch;
            let options = &self.options;
            let source = self.sources.entry(leader.broker).or_insert_with(|| Source {
                machine: FetchSource::new(options.clone()),
                call: None,
            });
            let id = CursorId(cursor.partition as u64);
            let _ = source.machine.add(id, cursor);
        }
        moved
    }

    fn fetch(
        &mut self,
        now: Instant,
        net: &mut Network,
        knowledge: &mut Knowledge,
        trace: &mut Trace,
    ) -> Result<bool, Violation> {
        let room = ROOM.saturating_sub(self.buffer.len() * 100);
        let mut moved = false;
        let nodes: Vec<i32> = self.sources.keys().copied().collect();
        for node in nodes {
            let Some(source) = self.sources.get_mut(&node) else { continue };
            if source.call.is_some() || source.machine.is_empty() || room < ROOM / 2 {
                continue;
            }
            match self.pool.reach(now, net, node) {
                Reach::Wait => {}
                Reach::Failed => {
                    moved = true;
                    self.evict(node, knowledge);
                }
                Reach::Ready(wire) => {
                    let version = net.version::<FetchRequest>(wire)?;
                    if let Some(call) = source.machine.next_request(now, version, room) {
                        moved = true;
                        trace.say(now, || format!("reader -> {node}: {}", told(&call)));
                        let id = net.request(now, wire, (&call.request, call.version))?;
                        source.call = id.map(|id| (id, call.version));
                        self.check(&call)?;
                        if id.is_none() {
                            self.fail(now, node, knowledge);
                        }
                    } else if source.machine.poll_timeout().is_some_and(|due| due <= now) {
                        return Err(Violation::new(Rule::NoBusyLoop, "a fetch that is not due"));
                    }
                }
            }
        }
        Ok(moved)
    }

    /// A request asks only for what is in the ranges.
    fn check(&self, call: &FetchCall) -> Result<(), Violation> {
        for asked in call.request.topics.iter().flat_map(|topic| &topic.partitions) {
            let part = self.parts.get(asked.partition as usize);
            let range = part.map(|part| part.start..part.stop).unwrap_or_default();
            if !range.contains(&asked.fetch_offset) && self.plant == Plant::None {
                let (at, partition) = (asked.fetch_offset, asked.partition);
                let detail = format!("offset {at} of {partition} was asked for, of {range:?}");
                return Err(Violation::new(Rule::StaysInRange, detail));
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        now: Instant,
        answer: Answer,
        knowledge: &mut Knowledge,
        trace: &mut Trace,
    ) -> Result<(), Violation> {
        let asked = |source: &Source| source.call.is_some_and(|(call, _)| call == answer.call);
        let found = self.sources.iter_mut().find(|(_, source)| asked(source));
        let Some((&node, source)) = found else { return Ok(()) };
        let version = source.call.take().map_or(0, |(_, version)| version);
        let Ok(frame) = answer.outcome else {
            trace.say(now, || format!("reader lost its fetch from {node}"));
            self.fail(now, node, knowledge);
            return Ok(());
        };
        let response = decode_response::<FetchRequest>(frame, version)
            .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
        trace.say(now, || format!("reader <- {node}: {}", response.error_code.name()));
        source.machine.handle_response(now, response);
        while let Some(event) =
            self.sources.get_mut(&node).and_then(|source| source.machine.poll_event())
        {
            self.handle(node, event, knowledge, trace)?;
        }
        Ok(())
    }

    fn handle(
        &mut self,
        node: i32,
        event: FetchEvent,
        knowledge: &mut Knowledge,
        trace: &mut Trace,
    ) -> Result<(), Violation> {
        match event {
            FetchEvent::Fetched(fetched) => self.receive(node, fetched, trace)?,
            FetchEvent::Backoff { .. } | FetchEvent::Stalled { .. } => {}
            FetchEvent::LeaderMoved { cursor, leader, .. } => {
                trace.add(|| format!("reader: {} moved, {leader:?}", cursor.partition));
                let news = knowledge.learn(cursor.partition, leader);
                self.set_out(cursor, (!news).then(|| knowledge.round()));
            }
            FetchEvent::OffsetOutOfRange { cursor, .. }
            | FetchEvent::UnknownTopic { cursor, .. } => {
                knowledge.doubt();
                self.set_out(cursor, Some(knowledge.round()));
            }
            // Nobody truncates a log or damages one here.
            other => {
                return Err(Violation::new(Rule::ReadsTheLog, format!("the reader got {other:?}")));
            }
        }
        Ok(())
    }

    /// Puts records into the buffer, and says how far they reach.
    fn receive(&mut self, node: i32, fetched: Fetched, trace: &mut Trace) -> Result<(), Violation> {
        let Some(source) = self.sources.get_mut(&node) else { return Ok(()) };
        let Some(cursor) = source.machine.cursor(fetched.id) else { return Ok(()) };
        let (partition, stop) = (cursor.partition as usize, cursor.stop);
        let (mut next, mut epoch) = (cursor.next, -1);
        let clip = if self.plant == Plant::IgnoreStop { i64::MAX } else { stop };
        for raw in Batches::new(fetched.records) {
            let raw = raw.map_err(|error| Violation::new(Rule::FramesWhole, error))?;
            if raw.header().base_offset >= clip {
                next = stop;
                break;
            }
            for record in numbers_of(&raw, &mut self.inflater)? {
                if record.0 >= next && record.0 < clip {
                    self.buffer.push_back(Item { partition, record, stop });
                }
            }
            (next, epoch) = (raw.header().last_offset() + 1, raw.header().partition_leader_epoch);
        }
        trace.add(|| format!("reader: {partition} up to {next} of {stop}"));
        let progress = source.machine.advance(fetched.id, next, epoch);
        let Some(part) = self.parts.get_mut(partition) else { return Ok(()) };
        if progress == Progress::Ended {
            part.start = stop;
        } else if next >= stop || progress == Progress::Gone {
            let detail = format!("{partition} at {next} of {stop}: {progress:?}");
            return Err(Violation::new(Rule::StaysInRange, detail));
        }
        Ok(())
    }

    /// The caller takes some records.
    fn hand_up(&mut self, now: Instant, ledger: &mut Ledger) -> Result<bool, Violation> {
        if self.buffer.is_empty() || self.next_meal > now {
            return Ok(false);
        }
        for _ in 0..=self.rng.usize(..20) {
            let Some(Item { partition, record, stop }) = self.buffer.pop_front() else { break };
            ledger.read(partition, record, stop)?;
        }
        self.next_meal = now + Duration::from_millis(self.rng.u64(1..30));
        Ok(true)
    }

    fn fail(&mut self, now: Instant, node: i32, knowledge: &mut Knowledge) {
        if let Some(source) = self.sources.get_mut(&node) {
            source.machine.handle_failure(now);
        }
        self.evict(node, knowledge);
    }

    /// Takes all cursors from a broker that cannot be reached.
    fn evict(&mut self, node: i32, knowledge: &mut Knowledge) {
        knowledge.doubt();
        let Some(source) = self.sources.get_mut(&node) else { return };
        let ids = (0..self.parts.len()).map(|index| CursorId(index as u64));
        let cursors: Vec<Cursor> = ids.filter_map(|id| source.machine.remove(id)).collect();
        for cursor in cursors {
            self.set_out(cursor, Some(knowledge.round()));
        }
    }

    fn set_out(&mut self, mut cursor: Cursor, round: Option<u64>) {
        match self.plant {
            Plant::CursorBeforeRecords => {
                self.buffer.retain(|item| item.partition as i32 != cursor.partition);
            }
            Plant::RereadRange => {
                let part = self.parts.get(cursor.partition as usize);
                cursor.next = part.map_or(0, |part| part.start);
            }
            _ => {}
        }
        self.homeless.push(Homeless { cursor, round });
    }
}

fn told(call: &FetchCall) -> String {
    let session = (call.request.session_id, call.request.session_epoch);
    let topics = call.request.topics.iter().flat_map(|topic| &topic.partitions);
    let asked: Vec<_> = topics.map(|one| (one.partition, one.fetch_offset)).collect();
    format!("session {session:?} asks {asked:?}")
}

const ROOM: usize = 40_000;
