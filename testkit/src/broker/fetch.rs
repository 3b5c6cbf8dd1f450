//! Fetch: record batches come out of partition logs, at once or after a long poll.
//!
//! A fetch that finds fewer than `min_bytes` is parked with a deadline. Appends to its partitions
//! and changes of the cluster wake it; at the deadline it is answered with what there is.

mod answer;
mod read;
mod session;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::{FetchRequest, NodeEndpoint};

use super::outbox::{ConnId, Context, Origin, Outbox};
use super::topology::Topology;
use answer::{FetchAnswer, TopicAnswer};
use read::{Asker, How, Readable, locate, topic_of};
use session::{Plan, Sessions, TopicKey, Want};

/// Sessions and parked fetches of all nodes.
#[derive(Debug)]
pub(crate) struct Fetches {
    sessions: Sessions,
    parked: BTreeMap<u64, Parked>,
    next: u64,
}

/// A fetch with everything needed to answer it.
#[derive(Debug)]
struct Parked {
    origin: Origin,
    deadline: Instant,
    min_bytes: usize,
    max_bytes: usize,
    committed: bool,
    /// The client's rack, empty if it told none.
    rack: String,
    plan: Plan,
    watched: HashSet<(String, i32)>,
}

impl Fetches {
    /// Keeps at most `sessions` fetch sessions for each node.
    pub(crate) fn new(sessions: usize) -> Self {
        Self { sessions: Sessions::new(sessions), parked: BTreeMap::new(), next: 0 }
    }

    /// Answers a fetch, or parks it.
    pub(crate) fn handle(
        &mut self,
        topology: &Topology,
        outbox: &mut Outbox,
        context: &Context<'_>,
        request: &FetchRequest,
    ) {
        let origin = context.origin;
        let plan = match self.sessions.plan(origin.node, origin.version, request) {
            Ok(plan) => plan,
            Err(code) => return refuse(outbox, &origin, code),
        };
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let fetch = Parked {
            origin,
            deadline: context.now + wait,
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
            max_bytes: usize::try_from(request.max_bytes)
                .unwrap_or(0)
                .min(topology.config().max_fetch_bytes),
            committed: request.isolation_level == READ_COMMITTED,
            rack: request.rack_id.clone(),
            watched: watched(topology, &plan.wants),
            plan,
        };
        if wait.is_zero() || fetch.plan.wants.is_empty() || fetch.is_ripe(topology) {
            self.answer(topology, outbox, fetch);
        } else {
            self.parked.insert(self.next, fetch);
            self.next += 1;
        }
    }

    /// Answers parked fetches that an append to these partitions has made ripe.
    pub(crate) fn wake(
        &mut self,
        topology: &Topology,
        outbox: &mut Outbox,
        written: &[(String, i32)],
    ) {
        self.answer_where(topology, outbox, |fetch| {
            written.iter().any(|partition| fetch.watched.contains(partition))
                && fetch.is_ripe(topology)
        });
    }

    /// Answers parked fetches that a change of the cluster has made ripe.
    pub(crate) fn wake_all(&mut self, topology: &Topology, outbox: &mut Outbox) {
        self.answer_where(topology, outbox, |fetch| fetch.is_ripe(topology));
    }

    /// Answers parked fetches whose time is up.
    pub(crate) fn handle_timeout(
        &mut self,
        topology: &Topology,
        outbox: &mut Outbox,
        now: Instant,
    ) {
        self.answer_where(topology, outbox, |fetch| fetch.deadline <= now);
    }

    /// When the next parked fetch has to be answered.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.parked.values().map(|fetch| fetch.deadline).min()
    }

    /// Forgets what a closed connection waits for.
    pub(crate) fn forget_connection(&mut self, conn: ConnId) {
        self.parked.retain(|_, fetch| fetch.origin.conn != conn);
    }

    /// Forgets the sessions of a node, as its restart does.
    pub(crate) fn forget_sessions(&mut self, node: i32) {
        self.sessions.forget_node(node);
    }

    fn answer_where(
        &mut self,
        topology: &Topology,
        outbox: &mut Outbox,
        ripe: impl Fn(&Parked) -> bool,
    ) {
        let ids: Vec<u64> =
            self.parked.iter().filter(|(_, fetch)| ripe(fetch)).map(|(&id, _)| id).collect();
        for id in ids {
            if let Some(fetch) = self.parked.remove(&id) {
                self.answer(topology, outbox, fetch);
            }
        }
    }

    fn answer(&mut self, topology: &Topology, outbox: &mut Outbox, fetch: Parked) {
        let mut answer = FetchAnswer {
            session_id: fetch.plan.session.map_or(0, |session| session.id),
            ..FetchAnswer::default()
        };
        let how = How { committed: fetch.committed, cut: topology.config().cut_batches };
        let mut leaders = BTreeSet::new();
        let mut room = fetch.max_bytes;
        let mut empty = true;
        for want in &fetch.plan.wants {
            let located = locate(topology, fetch.asker(), want);
            let partition = read::read(&located, want, room, empty, how);
            room = room.saturating_sub(partition.records.bytes);
            empty &= partition.records.bytes == 0;
            if partition.current_leader.leader_id >= 0 {
                leaders.insert(partition.current_leader.leader_id);
            }
            let session = fetch.plan.session;
            let news = session.is_none_or(|id| self.sessions.tell(id, want, &partition));
            if news || !fetch.plan.incremental {
                topic_slot(&mut answer.responses, &want.topic).partitions.push(partition);
            }
        }
        answer.node_endpoints = endpoints(topology, &leaders);
        outbox.send(&fetch.origin, &answer);
    }
}

impl Parked {
    fn asker(&self) -> Asker<'_> {
        let Origin { node, version, .. } = self.origin;
        Asker { node, version, committed: self.committed, rack: &self.rack }
    }

    /// True if the client need not wait any longer: enough bytes, or something to tell it.
    fn is_ripe(&self, topology: &Topology) -> bool {
        let mut bytes = 0;
        for want in &self.plan.wants {
            match locate(topology, self.asker(), want) {
                Readable::From(partition, limit) => {
                    let enough = self.min_bytes.saturating_sub(bytes).min(want.max_bytes).max(1);
                    let log = &partition.log;
                    bytes += log.readable_bytes(want.fetch_offset, limit, enough);
                }
                Readable::Diverged(..) | Readable::Elsewhere(..) | Readable::Refused(..) => {
                    return true;
                }
            }
            if bytes >= self.min_bytes {
                return true;
            }
        }
        false
    }
}

/// Refuses a whole fetch.
pub(crate) fn refuse(outbox: &mut Outbox, origin: &Origin, error_code: ErrorCode) {
    outbox.send(origin, &FetchAnswer { error_code, ..FetchAnswer::default() });
}

/// Refuses every partition that a fetch names.
pub(crate) fn refuse_partitions(
    outbox: &mut Outbox,
    origin: &Origin,
    request: &FetchRequest,
    error_code: ErrorCode,
) {
    let topics = request.topics.iter().map(|topic| TopicAnswer {
        topic: topic.topic.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| answer::PartitionAnswer {
                partition_index: partition.partition,
                error_code,
                ..answer::PartitionAnswer::default()
            })
            .collect(),
    });
    outbox.send(origin, &FetchAnswer { responses: topics.collect(), ..FetchAnswer::default() });
}

fn watched(topology: &Topology, wants: &[Want]) -> HashSet<(String, i32)> {
    let names = wants.iter().filter_map(|want| {
        let topic = topic_of(topology, &want.topic).ok()?;
        Some((topic.name.clone(), want.partition))
    });
    names.collect()
}

/// The entry of a topic, new if the one before it is of another topic.
fn topic_slot<'a>(topics: &'a mut Vec<TopicAnswer>, key: &TopicKey) -> &'a mut TopicAnswer {
    let same = topics.last().is_some_and(|last| match key {
        TopicKey::Name(name) => last.topic == *name,
        TopicKey::Id(id) => last.topic_id == *id,
    });
    if !same {
        let mut topic = TopicAnswer::default();
        match key {
            TopicKey::Name(name) => name.clone_into(&mut topic.topic),
            TopicKey::Id(id) => topic.topic_id = *id,
        }
        topics.push(topic);
    }
    let last = topics.len() - 1;
    &mut topics[last]
}

fn endpoints(topology: &Topology, leaders: &BTreeSet<i32>) -> Vec<NodeEndpoint> {
    let brokers = leaders.iter().filter_map(|&node| topology.broker(node));
    brokers
        .map(|broker| NodeEndpoint {
            node_id: broker.node,
            host: broker.host.clone(),
            port: i32::from(broker.port),
            rack: broker.rack.clone(),
        })
        .collect()
}

const READ_COMMITTED: i8 = 1;
