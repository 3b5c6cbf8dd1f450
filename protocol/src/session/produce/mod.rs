//! The idempotent producer's core: sealed batches per partition go in, produce requests per broker
//! and one outcome per batch come out (KIP-98, KIP-360, leader hints by KIP-951, topic ids by
//! KIP-516).
//!
//! | a batch | until |
//! |---|---|
//! | waits | [`ProduceQueue::next_request`] takes it, or its delivery timeout passes |
//! | is in flight | the response, or the failure of the request |
//! | waits again, same sequence | nothing is before it and the backoff has passed |
//! | ended | [`ProduceEvent::Ended`] tells how: written, not written, refused, or unknown |
//!
//! Each partition numbers its batches by an epoch of its own, which is what brokers check for
//! producers without transactions. So a gap in one partition is mended there and disturbs no other.
//! Metadata that loses sight of a topic changes nothing here: the queue and its sequences wait for
//! a leader.
//!
//! With a transactional id all partitions share one epoch, and nothing is sent for a partition that
//! is not in the transaction: see [`ProduceQueue::begin_transaction`].

mod ids;
mod lane;
mod outcome;
mod split;
mod transactional;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::code::ErrorCode;
use crate::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData,
};
use crate::records::SealedBatch;
use crate::session::new_leader::NewLeader;
use crate::wire::Uuid;

use lane::{Ended, Lane, Reply, Rules};

pub use ids::{BatchId, LaneId, ProducerIdentity, RequestId};
pub use outcome::{Outcome, Reason};

/// The produce machine of one producer, over all brokers.
///
/// Commands: [`lane`](Self::lane), [`set_leader`](Self::set_leader),
/// [`set_identity`](Self::set_identity), [`push`](Self::push), [`abandon`](Self::abandon). In:
/// [`handle_response`](Self::handle_response), [`handle_failure`](Self::handle_failure),
/// [`handle_timeout`](Self::handle_timeout). Out: [`next_request`](Self::next_request),
/// [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout). Requests to one broker
/// must be written in the order in which they came out.
#[derive(Debug)]
pub struct ProduceQueue {
    options: ProduceOptions,
    identity: Option<ProducerIdentity>,
    asked_for_identity: bool,
    lanes: Vec<Lane>,
    by_name: BTreeMap<(Arc<str>, i32), LaneId>,
    /// The lanes whose queue isn't empty.
    active: BTreeSet<usize>,
    /// Where the next request begins to collect, so that no partition starves.
    turn: usize,
    requests: BTreeMap<RequestId, Flight>,
    brokers: BTreeMap<i32, Broker>,
    events: VecDeque<ProduceEvent>,
    next_batch: u64,
    next_request: u64,
    /// Whether leaders add partitions to the transaction by themselves (KIP-890).
    implicit: bool,
    /// No transaction is open, or it can only be aborted.
    broken: bool,
}

/// How batches are sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProduceOptions {
    /// How many acknowledgements a request waits for: -1 all in-sync replicas (default), 1 the
    /// leader, 0 none.
    pub acks: i16,
    /// Whether batches carry sequences, so that retries cannot write twice. Default true; needs
    /// `acks` -1. Without it each partition has one batch in flight, so that retries keep the
    /// order, and a retry may write twice.
    pub idempotent: bool,
    /// The most requests in flight per broker, and batches per partition. Default 5, which is also
    /// what a broker remembers of a producer: more would not be recognised as duplicates, so larger
    /// numbers count as 5 for idempotent batches.
    pub max_in_flight: usize,
    /// The most bytes of batches per request; a single larger batch goes alone. Default 1 MiB.
    pub max_request_size: usize,
    /// How long the leader may wait for its replicas. Default 30 s.
    pub request_timeout: Duration,
    /// How long after its creation a batch may stay without outcome. Default 120 s.
    pub delivery_timeout: Duration,
    /// How long a partition rests after a retriable error. Default 100 ms.
    pub retry_backoff: Duration,
    /// How many retries a batch has. Default `u32::MAX`: the delivery timeout decides.
    pub retries: u32,
    /// The name under which batches are sent in transactions, which needs `idempotent`. Default
    /// none.
    pub transactional_id: Option<String>,
}

/// A request to send, encoded in exactly this version.
#[derive(Clone, Debug, PartialEq)]
pub struct ProduceCall {
    /// Names it in [`ProduceQueue::handle_response`] and [`ProduceQueue::handle_failure`].
    pub id: RequestId,
    /// The version; at most 12 while a topic's id is unknown.
    pub version: i16,
    /// The request. With `acks` 0 no response follows: call [`ProduceQueue::handle_sent`] once it
    /// is written.
    pub request: ProduceRequest,
}

/// What the driver has to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ProduceEvent {
    /// A batch's life has ended; there is exactly one such event per batch.
    Ended {
        /// Which batch.
        batch: BatchId,
        /// How.
        outcome: Outcome,
    },
    /// A broker's answer shows that the view of this partition's leader is stale.
    StaleLeader {
        /// Which partition.
        lane: LaneId,
        /// Who leads it, if the broker said so.
        leader: Option<NewLeader>,
    },
    /// A producer id is needed, the first one or a fresh one: call [`ProduceQueue::set_identity`]
    /// when there is one.
    NeedsIdentity,
    /// A broker finds a batch of several records too large: call [`ProduceQueue::split`]. Nothing of
    /// its partition is sent before.
    TooLarge {
        /// Which partition.
        lane: LaneId,
        /// Which batch.
        batch: BatchId,
        /// Its records.
        sealed: SealedBatch,
    },
    /// A partition with a batch is not in the transaction: call [`ProduceQueue::join`] when it is.
    NeedsPartition {
        /// Which partition.
        lane: LaneId,
    },
}

impl ProduceQueue {
    /// An empty machine.
    pub fn new(options: ProduceOptions) -> Self {
        Self {
            implicit: false,
            broken: options.transactional_id.is_some(),
            options,
            identity: None,
            asked_for_identity: false,
            lanes: Vec::new(),
            by_name: BTreeMap::new(),
            active: BTreeSet::new(),
            turn: 0,
            requests: BTreeMap::new(),
            brokers: BTreeMap::new(),
            events: VecDeque::new(),
            next_batch: 0,
            next_request: 0,
        }
    }

    /// The place of a partition, made if it is new. It stays for the life of the machine, with its
    /// sequences.
    pub fn lane(&mut self, topic: &Arc<str>, partition: i32) -> LaneId {
        let name = (Arc::clone(topic), partition);
        if let Some(id) = self.by_name.get(&name) {
            return *id;
        }
        let id = LaneId(self.lanes.len());
        self.lanes.push(Lane::new(Arc::clone(topic), partition));
        self.by_name.insert(name, id);
        id
    }

    /// Topic and partition of a lane.
    pub fn name_of(&self, lane: LaneId) -> Option<(&Arc<str>, i32)> {
        self.lanes.get(lane.0).map(|lane| (&lane.topic, lane.partition))
    }

    /// Who leads the partition now, `None` while nobody does. Batches in flight stay where they are
    /// until they are answered; those that wait go to the new leader after that. The id is
    /// [`Uuid::ZERO`] where the metadata has none.
    pub fn set_leader(&mut self, lane: LaneId, leader: Option<i32>, topic_id: Uuid) {
        if let Some(lane) = self.lanes.get_mut(lane.0) {
            lane.leader = leader;
            lane.topic_id = topic_id;
        }
    }

    /// The id to number batches under. Partitions that have one keep it, but for transactions: there
    /// all partitions number anew.
    pub fn set_identity(&mut self, identity: ProducerIdentity) {
        self.identity = Some(identity);
        self.asked_for_identity = false;
        self.restart_all();
        self.settle_all();
    }

    /// Queues a batch. `created` is when its first record came, from which the delivery timeout
    /// counts. An unknown lane ends it at once as not written, and so does a transaction that takes
    /// no records.
    pub fn push(&mut self, lane: LaneId, created: Instant, batch: SealedBatch) -> BatchId {
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        match self.lanes.get_mut(lane.0) {
            Some(queue) => {
                queue.push(id, batch, created + self.options.delivery_timeout);
                let unsettled = queue.is_unsettled();
                self.active.insert(lane.0);
                if unsettled {
                    self.settle_all();
                }
                self.admit(lane);
            }
            None => self.end(vec![(id, Outcome::NotWritten(Reason::Closed))]),
        }
        id
    }

    /// How many batches of a partition are not in flight. A driver that leaves batches open while
    /// this isn't 0 sends fewer and larger ones.
    pub fn waiting(&self, lane: LaneId) -> usize {
        self.lanes.get(lane.0).map_or(0, Lane::waiting)
    }

    /// Whether every batch has ended and each of their ends was polled: who commits on this must not
    /// overlook one.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty()
            && !self.events.iter().any(|event| matches!(event, ProduceEvent::Ended { .. }))
    }

    /// The lanes that hold batches, with the leader they have.
    pub fn active(&self) -> impl Iterator<Item = (LaneId, Option<i32>)> {
        let lane = |index: &usize| Some((LaneId(*index), self.lanes.get(*index)?.leader));
        self.active.iter().filter_map(lane)
    }

    /// The next request to this broker, if one is due. `version` is the highest that both sides
    /// speak.
    pub fn next_request(&mut self, now: Instant, node: i32, version: i16) -> Option<ProduceCall> {
        let broker = self.brokers.entry(node).or_default();
        if broker.in_flight >= self.options.max_in_flight || broker.rests(now) {
            return None;
        }
        if self.options.idempotent && self.identity.is_none() {
            self.ask_for_identity();
            return None;
        }
        let version = self.version_for(version)?;
        let id = RequestId(self.next_request);
        let batches = self.collect(now, id, node);
        if batches.is_empty() {
            return None;
        }
        self.next_request += 1;
        self.brokers.entry(node).or_default().in_flight += 1;
        let mut lanes = batches.iter().filter_map(|sent| self.lanes.get(sent.lane.0));
        let ids = lanes.all(|lane| lane.topic_id != Uuid::ZERO);
        let version = version.min(if ids { LAST_VERSION } else { LAST_WITH_NAMES });
        let request = self.request(&batches);
        let ids = version > LAST_WITH_NAMES;
        let batches = batches.into_iter().map(|sent| (sent.lane, sent.batch)).collect();
        self.requests.insert(id, Flight { node, ids, batches });
        Some(ProduceCall { id, version, request })
    }

    /// Takes in the answer to a request. A batch that the answer leaves out is in doubt and is
    /// tried again.
    pub fn handle_response(&mut self, now: Instant, request: RequestId, response: ProduceResponse) {
        let Some(mut flight) = self.land(request) else { return };
        let throttle = u64::try_from(response.throttle_time_ms).unwrap_or(0);
        if throttle > 0 {
            let until = now + Duration::from_millis(throttle).min(LONGEST_THROTTLE);
            self.brokers.entry(flight.node).or_default().rests_until = Some(until);
        }
        let mut ended = Ended::new();
        for topic in response.responses {
            for partition in topic.partition_responses {
                let name = (topic.name.as_str(), topic.topic_id, partition.index);
                let Some((lane, batch)) = self.take(&mut flight, name) else { continue };
                let leader = &partition.current_leader;
                let address =
                    response.node_endpoints.iter().find(|e| e.node_id == leader.leader_id);
                let address = address.map(|endpoint| (endpoint.host.as_str(), endpoint.port));
                let hint = NewLeader::named(leader.leader_id, leader.leader_epoch, address);
                self.answer(now, lane, reply(batch, request, partition), hint, &mut ended);
            }
        }
        self.lose(now, request, flight.batches, true, &mut ended);
        self.end(ended);
    }

    /// The request failed and no answer will come. `sent`: the broker may have received it; false
    /// only if certainly not.
    pub fn handle_failure(&mut self, now: Instant, request: RequestId, sent: bool) {
        let Some(flight) = self.land(request) else { return };
        let mut ended = Ended::new();
        self.lose(now, request, flight.batches, sent, &mut ended);
        self.end(ended);
    }

    /// With `acks` 0: the request is written, which is all that will ever be known.
    pub fn handle_sent(&mut self, now: Instant, request: RequestId) {
        let Some(flight) = self.land(request) else { return };
        let mut ended = Ended::new();
        for (lane, batch) in flight.batches {
            let silent = PartitionProduceResponse { base_offset: -1, ..Default::default() };
            self.answer(now, lane, reply(batch, request, silent), None, &mut ended);
        }
        self.end(ended);
    }

    /// Ends batches whose delivery timeout has passed: not written if that is certain, otherwise
    /// unknown.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut ended = Ended::new();
        for index in &self.active {
            if let Some(lane) = self.lanes.get_mut(*index) {
                lane.expire(now, &mut ended);
                lane.wake(now);
            }
        }
        for broker in self.brokers.values_mut() {
            broker.rests_until = broker.rests_until.filter(|until| *until > now);
        }
        self.end(ended);
    }

    /// Ends every batch now: not written where that is certain, otherwise unknown.
    pub fn abandon(&mut self) {
        let mut ended = Ended::new();
        for index in &self.active {
            if let Some(lane) = self.lanes.get_mut(*index) {
                lane.abandon(&mut ended);
            }
        }
        self.end(ended);
    }

    /// What the last inputs mean, oldest first.
    pub fn poll_event(&mut self) -> Option<ProduceEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) and then [`next_request`](Self::next_request)
    /// are due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let lanes = self.active.iter().filter_map(|index| self.lanes.get(*index)?.next_change());
        lanes.chain(self.brokers.values().filter_map(|broker| broker.rests_until)).min()
    }

    /// Takes batches for one request, one per partition, beginning where the last request ended.
    fn collect(&mut self, now: Instant, id: RequestId, node: i32) -> Vec<Sent> {
        let rules = self.rules();
        let (mut batches, mut size) = (Vec::new(), 0);
        let turn = self.turn;
        let order: Vec<usize> =
            self.active.range(turn..).chain(self.active.range(..turn)).copied().collect();
        for index in order {
            let Some(lane) = self.lanes.get_mut(index) else { continue };
            let Some(more) = lane.sendable(now, node, &rules) else { continue };
            let cost = more + lane.topic.len() + PARTITION_OVERHEAD;
            if !batches.is_empty() && size + cost > self.options.max_request_size {
                self.turn = index;
                break;
            }
            let identity = self.identity.filter(|_| self.options.idempotent);
            if let Some((batch, bytes)) = lane.send(id, node, identity, rules.transactional) {
                size += cost;
                batches.push(Sent { lane: LaneId(index), batch, bytes });
            }
        }
        batches
    }

    fn request(&self, batches: &[Sent]) -> ProduceRequest {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for sent in batches {
            let Some(lane) = self.lanes.get(sent.lane.0) else { continue };
            let data =
                PartitionProduceData { index: lane.partition, records: Some(sent.bytes.clone()) };
            // A topic must appear once only: brokers take its name as a key.
            match topics.iter_mut().find(|t| *t.name == *lane.topic && t.topic_id == lane.topic_id)
            {
                Some(topic) => topic.partition_data.push(data),
                None => topics.push(TopicProduceData {
                    name: lane.topic.to_string(),
                    topic_id: lane.topic_id,
                    partition_data: vec![data],
                }),
            }
        }
        let timeout_ms = self.options.request_timeout.as_millis().try_into().unwrap_or(i32::MAX);
        ProduceRequest {
            transactional_id: self.options.transactional_id.clone(),
            acks: self.options.acks,
            timeout_ms,
            topic_data: topics,
        }
    }

    /// Takes the batch out of the flight that an answer speaks of.
    fn take(
        &self,
        flight: &mut Flight,
        (name, id, partition): (&str, Uuid, i32),
    ) -> Option<(LaneId, BatchId)> {
        let ids = flight.ids;
        let meant = flight.batches.iter().position(|(lane, _)| {
            self.lanes.get(lane.0).is_some_and(|lane| {
                let same = if ids { lane.topic_id == id } else { *lane.topic == *name };
                same && lane.partition == partition
            })
        });
        meant.map(|index| flight.batches.swap_remove(index))
    }

    fn answer(
        &mut self,
        now: Instant,
        lane: LaneId,
        reply: Reply,
        leader: Option<NewLeader>,
        ended: &mut Ended,
    ) {
        let rules = self.rules();
        if reply.code.is_stale_metadata() {
            self.events.push_back(ProduceEvent::StaleLeader { lane, leader });
        }
        let Some(queue) = self.lanes.get_mut(lane.0) else { return };
        queue.answer(now, &reply, &rules, ended);
        if let Some(sealed) = queue.oversized(reply.batch).cloned() {
            self.events.push_back(ProduceEvent::TooLarge { lane, batch: reply.batch, sealed });
        }
    }

    fn lose(
        &mut self,
        now: Instant,
        request: RequestId,
        batches: Vec<(LaneId, BatchId)>,
        sent: bool,
        ended: &mut Ended,
    ) {
        let rules = self.rules();
        for (lane, batch) in batches {
            if let Some(lane) = self.lanes.get_mut(lane.0) {
                lane.lose(now, (batch, request), sent, &rules, ended);
            }
        }
    }

    /// Removes a request from those in flight.
    fn land(&mut self, request: RequestId) -> Option<Flight> {
        let flight = self.requests.remove(&request)?;
        let broker = self.brokers.entry(flight.node).or_default();
        broker.in_flight = broker.in_flight.saturating_sub(1);
        Some(flight)
    }

    /// Tells the outcomes, then lets every lane with a gap start anew if it can.
    fn end(&mut self, ended: Ended) {
        let events =
            ended.into_iter().map(|(batch, outcome)| ProduceEvent::Ended { batch, outcome });
        self.events.extend(events);
        self.settle_all();
    }

    fn settle_all(&mut self) {
        let (mut ended, mut starved) = (Ended::new(), false);
        let (lanes, identity) = (&mut self.lanes, self.identity);
        let alone = self.options.transactional_id.is_none();
        self.active.retain(|index| {
            lanes.get_mut(*index).is_some_and(|lane| {
                starved |= alone && !lane.settle(identity, &mut ended);
                !lane.is_empty()
            })
        });
        let events =
            ended.into_iter().map(|(batch, outcome)| ProduceEvent::Ended { batch, outcome });
        self.events.extend(events);
        if starved {
            self.ask_for_identity();
        }
    }

    fn ask_for_identity(&mut self) {
        // A transactional one comes unasked.
        let asks = self.options.transactional_id.is_none();
        if asks && !std::mem::replace(&mut self.asked_for_identity, true) {
            self.events.push_back(ProduceEvent::NeedsIdentity);
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            idempotent: self.options.idempotent,
            max_in_flight: self.options.max_in_flight.min(REMEMBERED_BATCHES),
            retries: self.options.retries,
            retry_backoff: self.options.retry_backoff,
            transactional: self.options.transactional_id.is_some(),
            broken: self.broken && self.options.transactional_id.is_some(),
        }
    }
}

impl Default for ProduceOptions {
    fn default() -> Self {
        Self {
            acks: -1,
            idempotent: true,
            max_in_flight: 5,
            max_request_size: 1 << 20,
            request_timeout: Duration::from_secs(30),
            delivery_timeout: Duration::from_secs(120),
            retry_backoff: Duration::from_millis(100),
            retries: u32::MAX,
            transactional_id: None,
        }
    }
}

/// A request in flight: whom it went to, whether it speaks of topics by id, and the batches in it.
#[derive(Debug)]
struct Flight {
    node: i32,
    ids: bool,
    batches: Vec<(LaneId, BatchId)>,
}

#[derive(Debug)]
struct Sent {
    lane: LaneId,
    batch: BatchId,
    bytes: Bytes,
}

#[derive(Debug, Default)]
struct Broker {
    in_flight: usize,
    rests_until: Option<Instant>,
}

impl Broker {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }
}

fn reply(batch: BatchId, request: RequestId, answer: PartitionProduceResponse) -> Reply {
    let code = answer.error_code;
    Reply {
        batch,
        request,
        answer: outcome::sort(code),
        code,
        message: answer.error_message.or_else(|| first_record_error(answer.record_errors)),
        base_offset: if code == ErrorCode::NONE { answer.base_offset } else { -1 },
        append_time: answer.log_append_time_ms,
    }
}

/// KIP-467: what is wrong with the first refused record.
fn first_record_error(errors: Vec<BatchIndexAndErrorMessage>) -> Option<String> {
    let first = errors.into_iter().next()?;
    let why = first.batch_index_error_message.unwrap_or_default();
    Some(format!("record {} of the batch: {why}", first.batch_index))
}

/// Up to this version of Produce a partition has to be in the transaction before.
const LAST_EXPLICIT: i16 = 11;
const LAST_WITH_NAMES: i16 = 12;
const LAST_VERSION: i16 = 13;
const REMEMBERED_BATCHES: usize = 5;
const LONGEST_THROTTLE: Duration = Duration::from_secs(60);
/// Length prefixes and numbers around a partition's batch and its topic's name.
const PARTITION_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests;
