//! The transactional producer of the world: the machines of transactions and of producing, wired to
//! connections as the client wires them. In: time; out: one transaction after the other, and to the
//! judge what was told of each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use klamm_protocol::header::decode_response;
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::records::{BatchOptions, Deflater, Inflater};
use klamm_protocol::session::backoff::Backoff;
use klamm_protocol::session::metadata::View;
use klamm_protocol::session::produce::{
    LaneId, Outcome, ProduceCall, ProduceEvent, ProduceOptions, ProduceQueue, Reason,
};
use klamm_protocol::session::transaction::{
    End, TransactionCall, TransactionError, TransactionEvent, TransactionOptions,
    TransactionRequest, Transactions,
};
use klamm_protocol::wire::Uuid;

use super::checks::{Rule, Violation};
use super::coordinator::{Desk, News};
use super::knowledge::Knowledge;
use super::network::{CallId, Network, REQUEST_TIMEOUT};
use super::plants::Plant;
use super::pool::{Pool, Reach};
use super::records::{TOPIC, batch_of};
use super::trace::Trace;
use super::verdicts::Verdicts;

/// The producer and its connections.
pub(super) struct Committer {
    machine: Transactions,
    queue: ProduceQueue,
    desk: Desk,
    pool: Pool,
    lanes: Vec<LaneId>,
    view: Arc<View>,
    calls: BTreeMap<CallId, ProduceCall>,
    rng: Rng,
    plant: Plant,
    phase: Phase,
    next_number: u64,
    /// The transactional id's holders so far: a producer that was fenced is followed by another.
    holders: usize,
    delivery_timeout: Duration,
    inflater: Inflater,
    /// Answers that a planted bug makes up.
    forged: VecDeque<TransactionCall>,
}

/// What the producer's user does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Init,
    Begin,
    /// Records are to be written.
    Write,
    /// The end is to be asked for.
    End(Instant),
    /// The machine owes an answer.
    Waits,
}

impl Committer {
    pub(super) fn new(
        now: Instant,
        mut rng: Rng,
        (partitions, brokers): (usize, i32),
        plant: Plant,
    ) -> Self {
        let delivery_timeout = Duration::from_millis(rng.u64(1_500..8_000));
        let (machine, queue) = holder(delivery_timeout);
        let mut committer = Self {
            machine,
            queue,
            desk: Desk::new(now, rng.fork(), brokers, plant),
            pool: Pool::default(),
            lanes: Vec::new(),
            view: Arc::default(),
            calls: BTreeMap::new(),
            rng,
            plant,
            phase: Phase::Init,
            next_number: 0,
            holders: 1,
            delivery_timeout,
            inflater: Inflater::new(),
            forged: VecDeque::new(),
        };
        committer.make_lanes(partitions);
        committer
    }

    fn make_lanes(&mut self, partitions: usize) {
        let topic = Arc::from(TOPIC);
        self.lanes = (0..partitions as i32).map(|one| self.queue.lane(&topic, one)).collect();
        self.view = Arc::default();
    }

    /// Does what can be done now. Whether anything was done.
    pub(super) fn step(
        &mut self,
        now: Instant,
        (net, knowledge): (&mut Network, &mut Knowledge),
        verdicts: &mut Verdicts,
        trace: &mut Trace,
    ) -> Result<bool, Violation> {
        let mut moved = self.take_answers(now, net, knowledge)?;
        if !Arc::ptr_eq(knowledge.view(), &self.view) {
            self.view = Arc::clone(knowledge.view());
            self.set_leaders();
        }
        self.queue.handle_timeout(now);
        self.machine.handle_timeout(now);
        moved |= self.hear(now, net, trace)?;
        moved |= self.act(now, verdicts)?;
        self.end_batches(now);
        if let Some(call) = self.machine.poll_transmit(now) {
            moved = true;
            trace.say(now, || format!("asks {:?}: {:?}", call.to, call.request));
            match self.forge(&call) {
                true => self.forged.push_back(call),
                false => self.desk.send(call),
            }
        }
        moved |= self.desk.step(now, net, &self.view)?;
        moved |= self.produce(now, net, knowledge)?;
        moved |= self.drain_batches(knowledge);
        moved |= self.drain_events(now, verdicts, trace)?;
        let due = self.queue.poll_timeout().into_iter().chain(self.machine.poll_timeout()).min();
        if due.is_some_and(|due| due <= now) && !moved {
            return Err(Violation::new(Rule::NoBusyLoop, "the transactional producer"));
        }
        Ok(moved)
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let machines = [self.queue.poll_timeout(), self.machine.poll_timeout()];
        let others = [self.pool.poll_timeout(now), self.desk.poll_timeout(now)];
        let phase = match self.phase {
            Phase::End(at) => Some(at),
            _ => None,
        };
        machines.into_iter().chain(others).chain([phase]).flatten().min()
    }

    /// What the user of a producer does: one transaction after the other.
    fn act(&mut self, now: Instant, verdicts: &mut Verdicts) -> Result<bool, Violation> {
        match self.phase {
            Phase::Init => {
                self.machine.init(now);
                self.phase = Phase::Waits;
            }
            Phase::Begin => {
                self.machine.begin(now);
                self.phase = Phase::Waits;
            }
            Phase::Write => {
                for _ in 0..self.rng.usize(0..4) {
                    self.write(now, verdicts)?;
                }
                self.phase = Phase::End(now + Duration::from_millis(self.rng.u64(0..300)));
            }
            Phase::End(at) if at <= now => {
                self.phase = Phase::Waits;
                if self.rng.u8(..4) > 0 {
                    verdicts.wanted(End::Committed);
                    self.machine.commit();
                } else {
                    verdicts.wanted(End::Aborted);
                    self.machine.abort();
                    self.queue.end_transaction();
                }
            }
            Phase::End(_) | Phase::Waits => return Ok(false),
        }
        Ok(true)
    }

    fn write(&mut self, now: Instant, verdicts: &mut Verdicts) -> Result<(), Violation> {
        let partition = self.rng.usize(..self.lanes.len().max(1));
        let Some(lane) = self.lanes.get(partition) else { return Ok(()) };
        let numbers: Vec<u64> = (self.next_number..self.next_number + self.rng.u64(1..4)).collect();
        self.next_number += numbers.len() as u64;
        verdicts.given(&numbers);
        self.queue.push(*lane, now, batch_of(&numbers)?);
        Ok(())
    }

    /// The end is asked for once every batch has its outcome, unless a bug is planted.
    fn end_batches(&mut self, now: Instant) {
        let early = self.plant == Plant::CommitBeforeAcks;
        if self.machine.awaits_batches().is_some() && (self.queue.is_idle() || early) {
            self.machine.handle_drained(now, self.queue.has_gap());
        }
    }

    /// A planted bug may keep a request from being sent and make up its answer.
    fn forge(&self, call: &TransactionCall) -> bool {
        let again = match &call.request {
            TransactionRequest::InitProducerId(request) => request.producer_id >= 0,
            _ => false,
        };
        self.plant == Plant::NoInitAfterUnknown && again
    }

    fn take_answers(
        &mut self,
        now: Instant,
        net: &mut Network,
        knowledge: &mut Knowledge,
    ) -> Result<bool, Violation> {
        let answers = self.pool.answers(net);
        let moved = !answers.is_empty();
        for answer in answers {
            let Some(call) = self.calls.remove(&answer.call) else { continue };
            match answer.outcome {
                Ok(frame) => {
                    let response = decode_response::<ProduceRequest>(frame, call.version)
                        .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
                    self.queue.handle_response(now, call.id, response);
                }
                Err(lost) => {
                    knowledge.doubt();
                    self.queue.handle_failure(now, call.id, lost.sent);
                }
            }
        }
        Ok(moved)
    }

    /// What coordinators said.
    fn hear(
        &mut self,
        now: Instant,
        net: &mut Network,
        trace: &mut Trace,
    ) -> Result<bool, Violation> {
        let mut moved = false;
        while let Some(call) = self.forged.pop_front() {
            let TransactionRequest::InitProducerId(request) = &call.request else { continue };
            let answer = super::coordinator::same_id(request);
            self.machine.handle_response(now, call.id, answer);
            moved = true;
        }
        for news in self.desk.hear(now, net)? {
            moved = true;
            trace.say(now, || format!("hears {news:?}"));
            match news {
                News::Answered { id, level, response } => {
                    self.machine.set_level(level);
                    self.machine.handle_response(now, id, response);
                }
                News::Lost { id, sent } => self.machine.handle_failure(now, id, sent),
            }
        }
        Ok(moved)
    }

    fn set_leaders(&mut self) {
        let id = self.view.topics.get(TOPIC).map_or(Uuid::ZERO, |topic| topic.id);
        for (partition, lane) in self.lanes.iter().enumerate() {
            let leader = self.view.leader(TOPIC, partition as i32).map(|leader| leader.broker);
            self.queue.set_leader(*lane, leader, id);
        }
    }

    fn produce(
        &mut self,
        now: Instant,
        net: &mut Network,
        knowledge: &mut Knowledge,
    ) -> Result<bool, Violation> {
        let mut nodes: Vec<i32> = self.queue.active().filter_map(|(_, leader)| leader).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut moved = false;
        for node in nodes {
            match self.pool.reach(now, net, node) {
                Reach::Wait => {}
                Reach::Failed => {
                    knowledge.doubt();
                    moved = true;
                }
                Reach::Ready(wire) => {
                    let version = net.version::<ProduceRequest>(wire)?;
                    while let Some(call) = self.queue.next_request(now, node, version) {
                        moved = true;
                        match net.request(now, wire, (&call.request, call.version))? {
                            Some(id) => drop(self.calls.insert(id, call)),
                            None => self.queue.handle_failure(now, call.id, false),
                        }
                    }
                }
            }
        }
        if self.queue.active().any(|(_, leader)| leader.is_none()) {
            knowledge.doubt();
        }
        Ok(moved)
    }

    fn drain_batches(&mut self, knowledge: &mut Knowledge) -> bool {
        let mut moved = false;
        while let Some(event) = self.queue.poll_event() {
            moved = true;
            match event {
                ProduceEvent::Ended { outcome, .. } => self.lose_batch(&outcome),
                ProduceEvent::StaleLeader { lane, leader } => {
                    if let Some(partition) = self.lanes.iter().position(|known| *known == lane) {
                        knowledge.learn(partition as i32, leader);
                    }
                }
                ProduceEvent::NeedsPartition { lane } => {
                    if let Some((topic, partition)) = self.queue.name_of(lane) {
                        self.machine.add_partition(topic, partition);
                    }
                }
                ProduceEvent::TooLarge { lane, batch, sealed } => {
                    let mut deflater = Deflater::new();
                    let halves =
                        sealed.split(BatchOptions::default(), &mut self.inflater, &mut deflater);
                    self.queue.split(lane, batch, halves.map(Vec::from).unwrap_or_default());
                }
                _ => {}
            }
        }
        moved
    }

    fn lose_batch(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Written { .. } | Outcome::NotWritten(Reason::Aborted) => {}
            Outcome::Refused { code, .. } => self.machine.handle_batch_lost(Some(*code)),
            _ => self.machine.handle_batch_lost(None),
        }
    }

    fn drain_events(
        &mut self,
        now: Instant,
        verdicts: &mut Verdicts,
        trace: &mut Trace,
    ) -> Result<bool, Violation> {
        let mut moved = false;
        while let Some(event) = self.machine.poll_event() {
            moved = true;
            trace.say(now, || format!("{event:?}"));
            match event {
                TransactionEvent::Identity(identity) => self.queue.set_identity(identity),
                TransactionEvent::Initialised(outcome) => {
                    if let Ok(Some(end)) = outcome {
                        verdicts.resolved(end)?;
                    }
                    self.phase = if outcome.is_ok() { Phase::Begin } else { Phase::Init };
                }
                TransactionEvent::Begun(Ok(begun)) => {
                    verdicts.begun();
                    self.queue.begin_transaction(begun.implicit);
                    self.phase = Phase::Write;
                }
                TransactionEvent::Begun(Err(_)) => self.phase = Phase::Begin,
                TransactionEvent::PartitionAdded { topic, partition } => {
                    let lane = self.queue.lane(&topic, partition);
                    self.queue.join(lane);
                }
                TransactionEvent::Broken(error) => {
                    self.queue.end_transaction();
                    if error.is_final() {
                        self.succeed();
                    }
                }
                TransactionEvent::Ended(outcome) => self.ended(outcome, verdicts)?,
                TransactionEvent::StaleCoordinator(_) => self.desk.forget(),
                _ => {}
            }
        }
        Ok(moved)
    }

    fn ended(
        &mut self,
        outcome: Result<End, TransactionError>,
        verdicts: &mut Verdicts,
    ) -> Result<(), Violation> {
        verdicts.ended(outcome)?;
        self.queue.end_transaction();
        self.phase = match outcome {
            Err(TransactionError::AbortRequired(_)) => {
                self.machine.abort();
                Phase::Waits
            }
            Err(TransactionError::OutcomeUnknown) => Phase::Init,
            _ => Phase::Begin,
        };
        Ok(())
    }

    /// Another producer takes the id over: the last one is of no more use.
    fn succeed(&mut self) {
        // What the machine still tells belongs to the one that goes.
        let (machine, queue) = holder(self.delivery_timeout);
        let partitions = self.lanes.len();
        let mut last = std::mem::replace(&mut self.machine, machine);
        self.queue = queue;
        self.calls.clear();
        self.desk.forget_call();
        self.make_lanes(partitions);
        self.holders += 1;
        self.phase = Phase::Init;
        while last.poll_event().is_some() {}
    }
}

fn holder(delivery_timeout: Duration) -> (Transactions, ProduceQueue) {
    let machine = Transactions::new(TransactionOptions {
        id: ID.to_owned(),
        timeout: Duration::from_secs(6),
        patience: Duration::from_secs(3),
        backoff: Backoff::new(Duration::from_millis(30), Duration::from_millis(300)),
    });
    let mut options = ProduceOptions::default();
    options.transactional_id = Some(ID.to_owned());
    options.delivery_timeout = delivery_timeout;
    options.request_timeout = REQUEST_TIMEOUT;
    options.retry_backoff = Duration::from_millis(30);
    (machine, ProduceQueue::new(options))
}

/// The only transactional id.
pub(super) const ID: &str = "sim-id";
