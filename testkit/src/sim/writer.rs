//! The idempotent producer of the world: the produce machine, wired to connections as the client
//! wires it. In: batches of numbered records; out: produce requests, and to the ledger what became
//! of every batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klamm_protocol::header::decode_response;
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::records::{BatchOptions, Deflater, Inflater, SealedBatch};
use klamm_protocol::session::metadata::View;
use klamm_protocol::session::produce::{
    BatchId, LaneId, ProduceCall, ProduceEvent, ProduceOptions, ProduceQueue,
};
use klamm_protocol::wire::Uuid;

use super::checks::{Ledger, Rule, Violation};
use super::knowledge::Knowledge;
use super::network::{Answer, CallId, Network, REQUEST_TIMEOUT, WireId};
use super::plants::{Plant, Saboteur, all_written};
use super::pool::{Pool, Reach};
use super::records::{TOPIC, batch_of};
use super::trace::Trace;

/// The producer and its connections.
pub(super) struct Writer {
    queue: ProduceQueue,
    pool: Pool,
    lanes: Vec<LaneId>,
    view: Arc<View>,
    calls: BTreeMap<CallId, ProduceCall>,
    /// What has no outcome yet.
    batches: BTreeMap<BatchId, (usize, Vec<u64>)>,
    saboteur: Saboteur,
}

impl Writer {
    pub(super) fn new(partitions: usize, delivery_timeout: Duration, plant: Plant) -> Self {
        let mut options = ProduceOptions::default();
        options.delivery_timeout = delivery_timeout;
        options.request_timeout = REQUEST_TIMEOUT;
        options.retry_backoff = Duration::from_millis(30);
        options.max_request_size = 8_000;
        let mut queue = ProduceQueue::new(options);
        let topic = Arc::from(TOPIC);
        let lanes = (0..partitions as i32).map(|index| queue.lane(&topic, index)).collect();
        Self {
            queue,
            pool: Pool::default(),
            lanes,
            view: Arc::default(),
            calls: BTreeMap::new(),
            batches: BTreeMap::new(),
            saboteur: Saboteur::new(plant),
        }
    }

    /// Queues a batch.
    pub(super) fn push(
        &mut self,
        now: Instant,
        partition: usize,
        numbers: Vec<u64>,
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        let Some(lane) = self.lanes.get(partition) else { return Ok(()) };
        ledger.given(&numbers);
        let batch = self.queue.push(*lane, now, batch_of(&numbers)?);
        self.batches.insert(batch, (partition, numbers));
        Ok(())
    }

    /// Whether every batch has its outcome.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_idle() && self.batches.is_empty()
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
        if let Some(identity) = knowledge.take_identity() {
            self.queue.set_identity(identity);
            moved = true;
        }
        if !Arc::ptr_eq(knowledge.view(), &self.view) {
            self.view = Arc::clone(knowledge.view());
            self.set_leaders();
        }
        self.queue.handle_timeout(now);
        if let Some(due) = self.queue.poll_timeout().filter(|due| *due <= now) {
            let late = now.saturating_duration_since(due);
            return Err(Violation::new(Rule::NoBusyLoop, format!("the producer, {late:?} ago")));
        }
        moved |= self.send(now, net, knowledge, trace)?;
        while let Some(event) = self.queue.poll_event() {
            moved = true;
            self.handle(event, knowledge, ledger, trace)?;
        }
        if self.queue.active().any(|(_, leader)| leader.is_none()) {
            knowledge.doubt();
        }
        Ok(moved)
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.queue.poll_timeout().into_iter().chain(self.pool.poll_timeout(now)).min()
    }

    fn set_leaders(&mut self) {
        let id = self.view.topics.get(TOPIC).map_or(Uuid::ZERO, |topic| topic.id);
        for (partition, lane) in self.lanes.iter().enumerate() {
            let leader = self.view.leader(TOPIC, partition as i32).map(|leader| leader.broker);
            self.queue.set_leader(*lane, leader, id);
        }
    }

    fn send(
        &mut self,
        now: Instant,
        net: &mut Network,
        knowledge: &mut Knowledge,
        trace: &mut Trace,
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
                        self.call(now, net, (node, wire), call, trace)?;
                    }
                }
            }
        }
        Ok(moved)
    }

    fn call(
        &mut self,
        now: Instant,
        net: &mut Network,
        (node, wire): (i32, WireId),
        mut call: ProduceCall,
        trace: &mut Trace,
    ) -> Result<(), Violation> {
        self.saboteur.alter(&mut call.request)?;
        trace.say(now, || format!("writer -> {node}: {:?}, {}", call.id, told(&call.request)));
        match net.request(now, wire, (&call.request, call.version))? {
            Some(id) => {
                self.calls.insert(id, call);
            }
            None => self.queue.handle_failure(now, call.id, false),
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
        let Some(call) = self.calls.remove(&answer.call) else { return Ok(()) };
        match answer.outcome {
            Ok(frame) => {
                let response = decode_response::<ProduceRequest>(frame, call.version)
                    .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
                trace.say(now, || format!("writer <- {:?}: {:?}", call.id, codes(&response)));
                self.queue.handle_response(now, call.id, response);
            }
            Err(lost) => {
                trace.say(now, || format!("writer lost {:?}, sent: {}", call.id, lost.sent));
                knowledge.doubt();
                self.lose(now, &call, lost.sent)?;
            }
        }
        Ok(())
    }

    fn lose(&mut self, now: Instant, call: &ProduceCall, sent: bool) -> Result<(), Violation> {
        if sent {
            self.saboteur.lose(&call.request)?;
        }
        match self.saboteur.plant {
            Plant::DropAfterLoss if sent => {
                self.queue.handle_response(now, call.id, all_written(&call.request));
            }
            Plant::TakeSentForUnsent => self.queue.handle_failure(now, call.id, false),
            _ => self.queue.handle_failure(now, call.id, sent),
        }
        Ok(())
    }

    fn handle(
        &mut self,
        event: ProduceEvent,
        knowledge: &mut Knowledge,
        ledger: &mut Ledger,
        trace: &mut Trace,
    ) -> Result<(), Violation> {
        match event {
            ProduceEvent::Ended { batch, outcome } => {
                trace.add(|| format!("writer: {:?} {outcome:?}", self.batches.get(&batch)));
                let Some((partition, numbers)) = self.batches.remove(&batch) else {
                    let detail = format!("{batch:?} ended again: {outcome:?}");
                    return Err(Violation::new(Rule::OneOutcome, detail));
                };
                ledger.ended(partition, &numbers, &outcome)?;
            }
            ProduceEvent::StaleLeader { lane, leader } => {
                if let Some(partition) = self.lanes.iter().position(|known| *known == lane) {
                    knowledge.learn(partition as i32, leader);
                }
            }
            ProduceEvent::NeedsIdentity => knowledge.want_identity(),
            ProduceEvent::TooLarge { lane, batch, sealed } => self.split(lane, batch, &sealed),
            other => return Err(Violation::new(Rule::OneOutcome, format!("{other:?}"))),
        }
        Ok(())
    }
}

impl Writer {
    /// Has the halves of a batch that is too large sent in its place.
    fn split(&mut self, lane: LaneId, batch: BatchId, whole: &SealedBatch) {
        let (mut inflater, mut deflater) = (Inflater::new(), Deflater::new());
        let halves = whole.split(BatchOptions::default(), &mut inflater, &mut deflater);
        let halves = halves.map(Vec::from).unwrap_or_default();
        let first = halves.first().map_or(0, |half| half.record_count() as usize);
        let ids = self.queue.split(lane, batch, halves);
        let ([one, other], Some((partition, mut numbers))) =
            (&ids[..], self.batches.get(&batch).cloned())
        else {
            return;
        };
        self.batches.remove(&batch);
        let rest = numbers.split_off(first.min(numbers.len()));
        self.batches.insert(*one, (partition, numbers));
        self.batches.insert(*other, (partition, rest));
    }
}

fn told(request: &ProduceRequest) -> String {
    use klamm_protocol::records::RawBatch;
    let data = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let told = data.filter_map(|data| {
        let raw = RawBatch::read(data.records.clone()?).ok()?;
        let header = raw.header();
        let (epoch, first, count) = (header.producer_epoch, header.base_sequence, header.count);
        Some(format!("{}: epoch {epoch} sequence {first} count {count}", data.index))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn codes(response: &klamm_protocol::messages::produce::ProduceResponse) -> Vec<(i32, i64, i16)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|one| (one.index, one.base_offset, one.error_code.0)).collect()
}
