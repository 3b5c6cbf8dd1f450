//! What goes wrong, and when. In: the seed and the time; out: leader moves, dead brokers, cut
//! connections, refused, delayed and lost answers, until all is mended.

use std::time::{Duration, Instant};

use fastrand::Rng;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;

use crate::control::{Fault, Intercept, RuleId};

use super::network::Network;
use super::records::TOPIC;
use super::trace::Trace;

/// Breaks things until the truce.
#[derive(Debug)]
pub(super) struct Faults {
    rng: Rng,
    brokers: i32,
    partitions: i32,
    /// The longest pause between two faults.
    pace: Duration,
    next: Instant,
    truce: Instant,
    /// When dead brokers come back.
    dead: Vec<(Instant, i32)>,
    rules: Vec<RuleId>,
    /// What can be refused, and how.
    apis: &'static [(ApiKey, &'static [ErrorCode])],
    /// The transactional id whose coordinator moves.
    moving: Option<&'static str>,
    over: bool,
}

impl Faults {
    pub(super) fn new(
        now: Instant,
        mut rng: Rng,
        (brokers, partitions): (i32, usize),
        lasting: Duration,
    ) -> Self {
        let pace = Duration::from_millis(rng.u64(60..1_500));
        Self {
            rng,
            brokers,
            partitions: partitions as i32,
            pace,
            next: now + pace,
            truce: now + lasting,
            dead: Vec::new(),
            rules: Vec::new(),
            apis: APIS,
            moving: None,
            over: false,
        }
    }

    /// Has transactions in trouble, too: their requests are refused, and their coordinator moves.
    pub(super) fn with_transactions(mut self) -> Self {
        (self.apis, self.moving) = (TRANSACTIONS, Some(super::committer::ID));
        self
    }

    /// Whether nothing goes wrong any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// When the next thing happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let revivals = self.dead.iter().map(|(at, _)| *at);
        let next = (!self.over).then(|| self.next.min(self.truce));
        revivals.chain(next).min()
    }

    /// Breaks and mends what is due.
    pub(super) fn step(&mut self, now: Instant, net: &mut Network, trace: &mut Trace) {
        for (_, node) in self.dead.extract_if(.., |(at, _)| *at <= now) {
            net.cluster.revive(node);
            trace.say(now, || format!("broker {node} lives"));
        }
        if self.over {
            return;
        }
        if now >= self.truce {
            self.mend(net);
            trace.say(now, || "truce".to_owned());
        } else if now >= self.next {
            let told = self.break_something(now, net);
            trace.say(now, || told);
            self.next = now + Duration::from_millis(1) + self.pace.mul_f64(self.rng.f64());
        }
        net.collect();
    }

    fn mend(&mut self, net: &mut Network) {
        self.over = true;
        net.calm();
        for rule in self.rules.drain(..) {
            net.cluster.control().remove(rule);
        }
        for (_, node) in self.dead.drain(..) {
            net.cluster.revive(node);
        }
    }

    fn break_something(&mut self, now: Instant, net: &mut Network) -> String {
        match self.rng.u8(..10) {
            0..2 => {
                let (partition, node) =
                    (self.rng.i32(0..self.partitions), self.rng.i32(1..=self.brokers));
                let moved = net.cluster.move_leader(TOPIC, partition, node);
                format!("leader of {partition} moves to {node}: {moved}")
            }
            2 => {
                let node = self.rng.i32(1..=self.brokers);
                if net.cluster.kill(node) {
                    let pause = Duration::from_millis(self.rng.u64(20..2_500));
                    self.dead.push((now + pause, node));
                }
                format!("broker {node} dies")
            }
            3..6 => {
                let mut rng = self.rng.fork();
                format!("cut {:?}", net.cut_one(now, &mut rng))
            }
            6 if self.moving.is_some() => {
                let node = self.rng.i32(1..=self.brokers);
                let moved = net.cluster.move_coordinator(self.moving.unwrap_or(""), node);
                format!("the coordinator moves to {node}: {moved}")
            }
            6 => {
                let node = self.rng.i32(1..=self.brokers);
                net.cluster.forget_fetch_sessions(node);
                format!("broker {node} forgets its fetch sessions")
            }
            _ => {
                let rule = self.rule();
                let told = format!("{rule:?}");
                self.rules.push(net.cluster.intercept(rule));
                told
            }
        }
    }

    fn rule(&mut self) -> Intercept {
        let (key, codes) = self.rng.choice(self.apis).copied().unwrap_or(APIS[0]);
        let fault = match self.rng.u8(..8) {
            0..3 => Fault::Fail(self.rng.choice(codes).copied().unwrap_or(codes[0])),
            3 => Fault::Delay(Duration::from_millis(self.rng.u64(1..2_500))),
            4 => Fault::DropResponse,
            5 => Fault::Swallow,
            6 => Fault::Cut,
            _ => Fault::CutAfter(self.rng.usize(..200)),
        };
        Intercept::on(key).skip(self.rng.u32(..3)).times(self.rng.u32(1..4)).with(fault)
    }
}

/// What can be refused, and how. The first two are what the world is about.
const APIS: &[(ApiKey, &[ErrorCode])] = &[
    (ApiKey::Produce, PRODUCE),
    (ApiKey::Produce, PRODUCE),
    (ApiKey::Fetch, FETCH),
    (ApiKey::Metadata, METADATA),
    (ApiKey::InitProducerId, &[ErrorCode::COORDINATOR_LOAD_IN_PROGRESS]),
    (ApiKey::ApiVersions, &[ErrorCode::UNSUPPORTED_VERSION]),
];

/// The same for transactions.
const TRANSACTIONS: &[(ApiKey, &[ErrorCode])] = &[
    (ApiKey::Produce, PRODUCE),
    (ApiKey::EndTxn, COORDINATOR),
    (ApiKey::EndTxn, COORDINATOR),
    (ApiKey::AddPartitionsToTxn, COORDINATOR),
    (ApiKey::InitProducerId, COORDINATOR),
    (ApiKey::FindCoordinator, &[ErrorCode::COORDINATOR_NOT_AVAILABLE]),
    (ApiKey::Metadata, METADATA),
];

/// Refusals of a coordinator that has done nothing.
const COORDINATOR: &[ErrorCode] = &[
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::NOT_COORDINATOR,
    ErrorCode::CONCURRENT_TRANSACTIONS,
];

/// Refusals that a broker gives without having written, in doubt or for good.
const PRODUCE: &[ErrorCode] = &[
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::UNKNOWN_SERVER_ERROR,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::UNKNOWN_PRODUCER_ID,
];

const FETCH: &[ErrorCode] = &[
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::FENCED_LEADER_EPOCH,
    ErrorCode::UNKNOWN_LEADER_EPOCH,
    ErrorCode::OFFSET_OUT_OF_RANGE,
    ErrorCode::OFFSET_NOT_AVAILABLE,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode::INVALID_FETCH_SESSION_EPOCH,
];

const METADATA: &[ErrorCode] =
    &[ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::LEADER_NOT_AVAILABLE];
