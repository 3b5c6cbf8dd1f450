//! Fetch sessions (KIP-227): in go the partitions that a request names, adds or forgets; out come
//! the partitions that the session fetches, and for each answer which of them have news.

use std::collections::{BTreeMap, HashMap};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::wire::Uuid;

use super::answer::PartitionAnswer;

/// A topic as a request names it: by id since version 13 (KIP-516).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Name(String),
    Id(Uuid),
}

/// A partition to fetch from, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) fetch_offset: i64,
    pub(crate) last_fetched_epoch: i32,
    pub(crate) max_bytes: usize,
}

/// What a request asks for, once its session is known.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) wants: Vec<Want>,
    /// The session that the answer belongs to; `None` for a fetch without one.
    pub(crate) session: Option<SessionId>,
    /// Leave out partitions without news.
    pub(crate) incremental: bool,
}

/// Names a session of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId {
    pub(crate) node: i32,
    pub(crate) id: i32,
}

/// All sessions of all nodes.
#[derive(Debug)]
pub(crate) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    most: usize,
    next_id: i32,
    clock: u64,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    last_used: u64,
    /// In the order of turns: a partition that gave records goes to the end, so that none starves.
    turns: BTreeMap<u64, Cached>,
    index: HashMap<(TopicKey, i32), u64>,
    next_turn: u64,
}

#[derive(Debug)]
struct Cached {
    want: Want,
    told_watermark: i64,
    told_start: i64,
}

impl Sessions {
    /// Keeps at most `most` sessions for each node.
    pub(crate) fn new(most: usize) -> Self {
        Self { sessions: BTreeMap::new(), most, next_id: 1, clock: 0 }
    }

    /// What `request` fetches, after bringing its session up to date.
    ///
    /// # Errors
    /// The session is unknown, its epoch is not the next one, or it speaks of topics in the other
    /// way (names or ids).
    pub(crate) fn plan(
        &mut self,
        node: i32,
        version: i16,
        request: &FetchRequest,
    ) -> Result<Plan, ErrorCode> {
        let id = SessionId { node, id: request.session_id };
        let full = || wants_of(version, request).collect::<Vec<_>>();
        match request.session_epoch {
            FINAL => {
                self.sessions.remove(&id);
                Ok(Plan { wants: full(), session: None, incremental: false })
            }
            INITIAL => {
                self.sessions.remove(&id);
                let wants = full();
                let session = self.open(node, version >= BY_ID, &wants);
                Ok(Plan { wants, session, incremental: false })
            }
            epoch => self.advance(id, epoch, version, request),
        }
    }

    /// Notes what an answer tells of a partition. False if there is no news, and the answer of an
    /// incremental fetch shall leave it out.
    pub(crate) fn tell(&mut self, id: SessionId, want: &Want, answer: &PartitionAnswer) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else {
            return true;
        };
        session.tell(want, answer)
    }

    /// Forgets the sessions of a node, as its restart does.
    pub(crate) fn forget_node(&mut self, node: i32) {
        self.sessions.retain(|id, _| id.node != node);
    }

    fn open(&mut self, node: i32, by_id: bool, wants: &[Want]) -> Option<SessionId> {
        if wants.is_empty() || wants.len() > MOST_PARTITIONS || self.most == 0 {
            return None;
        }
        let of_node = self.sessions.iter().filter(|(id, _)| id.node == node);
        if of_node.clone().count() >= self.most
            && let Some((&oldest, _)) = of_node.min_by_key(|(_, session)| session.last_used)
        {
            self.sessions.remove(&oldest);
        }
        let id = SessionId { node, id: self.next_id };
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        let mut session = Session::new(by_id, self.tick());
        wants.iter().for_each(|want| session.set(want.clone()));
        self.sessions.insert(id, session);
        Some(id)
    }

    fn advance(
        &mut self,
        id: SessionId,
        epoch: i32,
        version: i16,
        request: &FetchRequest,
    ) -> Result<Plan, ErrorCode> {
        let now = self.tick();
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if epoch != session.epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.by_id != (version >= BY_ID) {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        session.epoch = epoch.checked_add(1).unwrap_or(1);
        session.last_used = now;
        wants_of(version, request).for_each(|want| session.set(want));
        for topic in &request.forgotten_topics_data {
            let key = topic_key(version, &topic.topic, topic.topic_id);
            for &partition in &topic.partitions {
                session.forget(&key, partition);
            }
        }
        if session.turns.len() > MOST_PARTITIONS {
            self.sessions.remove(&id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        let wants = session.turns.values().map(|cached| cached.want.clone()).collect();
        Ok(Plan { wants, session: Some(id), incremental: true })
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl Session {
    fn new(by_id: bool, last_used: u64) -> Self {
        Self {
            epoch: 1,
            by_id,
            last_used,
            turns: BTreeMap::new(),
            index: HashMap::new(),
            next_turn: 0,
        }
    }

    /// Adds a partition, or brings its position up to date.
    fn set(&mut self, want: Want) {
        let key = (want.topic.clone(), want.partition);
        let known = self.index.get(&key).and_then(|turn| self.turns.get_mut(turn));
        if let Some(cached) = known {
            cached.want = want;
            return;
        }
        self.index.insert(key, self.next_turn);
        self.turns.insert(self.next_turn, Cached { want, told_watermark: -1, told_start: -1 });
        self.next_turn += 1;
    }

    fn forget(&mut self, topic: &TopicKey, partition: i32) {
        if let Some(turn) = self.index.remove(&(topic.clone(), partition)) {
            self.turns.remove(&turn);
        }
    }

    fn tell(&mut self, want: &Want, answer: &PartitionAnswer) -> bool {
        let key = (want.topic.clone(), want.partition);
        let Some(turn) = self.index.get_mut(&key) else {
            return true;
        };
        let Some(mut cached) = self.turns.remove(turn) else {
            return true;
        };
        let records = answer.records.bytes > 0;
        let failed = !answer.error_code.is_ok();
        let news = records
            || failed
            || answer.diverging_epoch.end_offset >= 0
            || answer.preferred_read_replica >= 0
            || cached.told_watermark != answer.high_watermark
            || cached.told_start != answer.log_start_offset;
        // After an error the next good answer is news, even if nothing else has changed.
        cached.told_watermark = if failed { -1 } else { answer.high_watermark };
        cached.told_start = answer.log_start_offset;
        if records {
            *turn = self.next_turn;
            self.next_turn += 1;
        }
        self.turns.insert(*turn, cached);
        news
    }
}

/// How a request of this version names a topic.
pub(crate) fn topic_key(version: i16, name: &str, id: Uuid) -> TopicKey {
    if version >= BY_ID { TopicKey::Id(id) } else { TopicKey::Name(name.to_owned()) }
}

fn wants_of(version: i16, request: &FetchRequest) -> impl Iterator<Item = Want> + '_ {
    request.topics.iter().flat_map(move |topic| {
        topic.partitions.iter().map(move |partition| Want {
            topic: topic_key(version, &topic.topic, topic.topic_id),
            partition: partition.partition,
            current_leader_epoch: partition.current_leader_epoch,
            fetch_offset: partition.fetch_offset,
            last_fetched_epoch: partition.last_fetched_epoch,
            max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        })
    })
}

/// The session epoch of a fetch that wants no session, and ends the one it names.
const FINAL: i32 = -1;
/// The session epoch of a fetch that begins a session.
const INITIAL: i32 = 0;
/// From this version on topics are named by id (KIP-516).
pub(crate) const BY_ID: i16 = 13;
/// A client that fetches more partitions than this does so without a session.
const MOST_PARTITIONS: usize = 10_000;
