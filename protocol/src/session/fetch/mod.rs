//! Fetching from one broker: cursors with exact `[next, stop)` ranges go in, fetch requests and
//! what their answers mean come out. Sessions are incremental (KIP-227), truncation is noticed by
//! epoch (KIP-320), moved leaders are named (KIP-951), topics go by id from version 13 on
//! (KIP-516).
//!
//! | a cursor is | until |
//! |---|---|
//! | `Ready` | [`FetchSource::next_request`] puts it into a request |
//! | `AwaitsAnswer` | the response or the failure of that request |
//! | `AwaitsAdvance` | the owner of the records calls [`FetchSource::advance`] |
//! | `AwaitsTime` | the backoff after a retriable error, or after records that lead no further, has passed |
//!
//! An event that ends a cursor's stay here (moved, out of range, truncated, unknown, fatal) hands
//! the cursor back, so that the caller may add it elsewhere. A position moves by `advance` only:
//! nothing counts as read because it was received.

mod answer;
mod cursor;
mod incremental;
mod track;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::messages::fetch::{FetchRequest, FetchResponse};
use crate::session::new_leader::NewLeader;
use crate::wire::Uuid;

use answer::Verdict;
use cursor::Key;
use incremental::{Asked, Session};
use track::{State, Tracked};

pub use answer::{FetchEvent, Fetched};
pub use cursor::{Cursor, CursorId, Progress};

/// The fetch machine of one broker.
///
/// Commands: [`add`](Self::add), [`remove`](Self::remove), [`advance`](Self::advance). Out:
/// [`next_request`](Self::next_request), [`poll_event`](Self::poll_event),
/// [`poll_timeout`](Self::poll_timeout). In: [`handle_response`](Self::handle_response),
/// [`handle_failure`](Self::handle_failure). One request is outstanding at a time; after any input,
/// drain the events.
#[derive(Debug)]
pub struct FetchSource {
    options: FetchOptions,
    cursors: BTreeMap<CursorId, Tracked>,
    session: Session,
    in_flight: Option<InFlight>,
    events: VecDeque<FetchEvent>,
    not_before: Option<Instant>,
    /// When the last answer came.
    answered: Option<Instant>,
    failures: u32,
}

/// What every request of a source carries.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FetchOptions {
    /// How long the broker may wait for data. Default 500 ms.
    pub max_wait: Duration,
    /// How many bytes are worth an answer before that. Default 1.
    pub min_bytes: i32,
    /// The most bytes per response; the first batch may exceed it. Default 50 MiB.
    pub max_bytes: usize,
    /// The most bytes per partition and response; the first batch may exceed it. Default 1 MiB.
    pub partition_max_bytes: usize,
    /// Whether records of open and aborted transactions are hidden. Default false.
    pub read_committed: bool,
    /// The caller's rack, empty for none (KIP-392).
    pub rack_id: String,
    /// How long a partition rests after a retriable error, and the source after a failed request.
    /// Default 100 ms.
    pub retry_backoff: Duration,
}

/// A request to send, encoded in exactly this version.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchCall {
    /// The version; at most 12 while a topic's id is unknown.
    pub version: i16,
    /// The request.
    pub request: FetchRequest,
}

impl FetchSource {
    /// A source without cursors.
    pub fn new(options: FetchOptions) -> Self {
        Self {
            options,
            cursors: BTreeMap::new(),
            session: Session::default(),
            in_flight: None,
            events: VecDeque::new(),
            not_before: None,
            answered: None,
            failures: 0,
        }
    }

    /// Adds a cursor; the id is the caller's choice. Returns false, and changes nothing, if the id
    /// or the partition is here already: a fetch session holds one position per partition.
    #[must_use]
    pub fn add(&mut self, id: CursorId, cursor: Cursor) -> bool {
        let key = Key::of(&cursor);
        if self.cursors.contains_key(&id) || self.cursors.values().any(|t| t.key == key) {
            return false;
        }
        self.cursors.insert(id, Tracked::new(key, cursor));
        true
    }

    /// Takes a cursor out, as far as it has advanced. An answer to it that is under way will be
    /// dropped.
    pub fn remove(&mut self, id: CursorId) -> Option<Cursor> {
        self.cursors.remove(&id).map(|tracked| tracked.cursor)
    }

    /// Says that everything below `next` of the last [`FetchEvent::Fetched`] was taken over, and
    /// that `epoch` was the leader epoch of its last batch (-1 if unknown). `next` may be the old
    /// position, when no whole batch had arrived; an offset below it counts as the old position, and
    /// the partition then rests, since the broker would send the same again. A cursor that reaches
    /// its stop leaves the source.
    pub fn advance(&mut self, id: CursorId, next: i64, epoch: i32) -> Progress {
        let Some(tracked) = self.cursors.get_mut(&id) else {
            return Progress::Gone;
        };
        if !matches!(tracked.state, State::AwaitsAdvance) {
            return Progress::Gone;
        }
        let before = tracked.cursor.next;
        if tracked.advance(next, epoch) == Progress::Ended {
            self.cursors.remove(&id);
            return Progress::Ended;
        }
        if tracked.cursor.next == before
            && let Some(answered) = self.answered
        {
            tracked.state = State::AwaitsTime(answered + self.options.retry_backoff);
        }
        Progress::Continues
    }

    /// Takes all cursors out. An answer under way is then thrown away.
    pub fn remove_all(&mut self) -> Vec<(CursorId, Cursor)> {
        let all = std::mem::take(&mut self.cursors).into_iter();
        all.map(|(id, tracked)| (id, tracked.cursor)).collect()
    }

    /// The cursor's position and range, as far as it has advanced.
    pub fn cursor(&self, id: CursorId) -> Option<&Cursor> {
        self.cursors.get(&id).map(|tracked| &tracked.cursor)
    }

    /// How many cursors are here.
    pub fn len(&self) -> usize {
        self.cursors.len()
    }

    /// Whether no cursor is here.
    pub fn is_empty(&self) -> bool {
        self.cursors.is_empty()
    }

    /// Whether a request is outstanding.
    pub fn awaits_response(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The next request, if one is due: none is outstanding, some cursor is ready, and there is
    /// room for its answer.
    ///
    /// `version` is the highest that both sides speak; `room` is how many bytes the caller can
    /// take.
    pub fn next_request(&mut self, now: Instant, version: i16, room: usize) -> Option<FetchCall> {
        if self.in_flight.is_some() || room == 0 || self.not_before.is_some_and(|t| t > now) {
            return None;
        }
        self.not_before = None;
        let wanted = self.take_ready(now);
        let ids = version >= FIRST_WITH_IDS && wanted.iter().all(|(key, _)| key.has_id());
        let version = version.min(if ids { LAST_VERSION } else { FIRST_WITH_IDS - 1 });
        if wanted.is_empty() {
            return None;
        }
        let mut request = FetchRequest {
            max_wait_ms: self.options.max_wait.as_millis().try_into().unwrap_or(i32::MAX),
            min_bytes: self.options.min_bytes,
            max_bytes: clamp_bytes(self.options.max_bytes.min(room)),
            isolation_level: i8::from(self.options.read_committed),
            rack_id: self.options.rack_id.clone(),
            ..FetchRequest::default()
        };
        let limit = clamp_bytes(self.options.partition_max_bytes);
        let asked = self.mark_asked(wanted, version, limit);
        let full = self.session.fill(&mut request, &asked, ids);
        self.in_flight = Some(InFlight { asked, ids, full, sent: now });
        Some(FetchCall { version, request })
    }

    /// Takes in the answer to the outstanding request. Without one, nothing happens.
    pub fn handle_response(&mut self, now: Instant, response: FetchResponse) {
        let Some(mut flight) = self.in_flight.take() else {
            return;
        };
        self.throttle(now, response.throttle_time_ms);
        if !response.error_code.is_ok() {
            self.session.reset(response.error_code);
            self.give_back(now, flight);
            return;
        }
        self.session.accept(response.session_id);
        self.answered = Some(now);
        let (mut bytes, mut useful) = (0, 0);
        for topic in response.responses {
            let same = flight.topics_like(&topic.topic, topic.topic_id);
            for data in topic.partitions {
                let size = data.records.as_ref().map_or(0, |records| records.len());
                bytes += size;
                let Some((key, asked)) = flight.take(&same, data.partition_index) else {
                    self.session.distrust();
                    continue;
                };
                useful += size;
                let hint = answer::new_leader(&data.current_leader, &response.node_endpoints);
                let verdict = answer::judge(data);
                self.settle(now, &key, asked.id, verdict, hint);
            }
        }
        if flight.full && !flight.asked.is_empty() {
            self.session.distrust();
        }
        let quiet = bytes == 0 && response.throttle_time_ms <= 0;
        self.settle_omitted(&flight, quiet);
        // A broker that has nothing for us and did not wait must not be asked in a tight loop.
        let waited = now.saturating_duration_since(flight.sent);
        if useful == 0 && waited < self.options.max_wait / 2 {
            self.pause(now + self.options.retry_backoff);
        }
        self.failures = 0;
    }

    /// The outstanding request failed: no answer will come. The session starts anew, every cursor
    /// keeps its position.
    pub fn handle_failure(&mut self, now: Instant) {
        self.session.distrust();
        if let Some(flight) = self.in_flight.take() {
            self.give_back(now, flight);
        }
    }

    /// What the last inputs mean, oldest first.
    pub fn poll_event(&mut self) -> Option<FetchEvent> {
        self.events.pop_front()
    }

    /// When [`next_request`](Self::next_request) may have something that it does not have now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.in_flight.is_some() {
            return None;
        }
        let rests = self.cursors.values().filter_map(|tracked| tracked.rests_until());
        let ready = self.cursors.values().any(|tracked| matches!(tracked.state, State::Ready));
        let soonest = if ready { self.not_before } else { rests.min() };
        soonest.map(|at| self.not_before.map_or(at, |floor| floor.max(at)))
    }

    /// The keys of all cursors that may be fetched now, sorted so that topics stay together.
    fn take_ready(&mut self, now: Instant) -> Vec<(Key, CursorId)> {
        let ready = self.cursors.iter_mut().filter_map(|(id, tracked)| {
            tracked.wake(now);
            matches!(tracked.state, State::Ready).then(|| (tracked.key.clone(), *id))
        });
        let mut wanted: Vec<_> = ready.collect();
        wanted.sort();
        wanted
    }

    fn mark_asked(
        &mut self,
        wanted: Vec<(Key, CursorId)>,
        version: i16,
        partition_max_bytes: i32,
    ) -> BTreeMap<Key, Asked> {
        let mut asked = BTreeMap::new();
        for (key, id) in wanted {
            if let Some(tracked) = self.cursors.get_mut(&id) {
                tracked.state = State::AwaitsAnswer;
                let cursor = &tracked.cursor;
                let last_epoch =
                    if version >= FIRST_WITH_DIVERGENCE { cursor.last_epoch } else { -1 };
                let (offset, leader_epoch) = (cursor.next, cursor.leader_epoch);
                let what = Asked { id, offset, leader_epoch, last_epoch, partition_max_bytes };
                asked.insert(key, what);
            }
        }
        asked
    }

    /// Applies one partition's answer, unless its cursor was removed, or removed and added again,
    /// since the request.
    fn settle(
        &mut self,
        now: Instant,
        key: &Key,
        id: CursorId,
        verdict: Verdict,
        hint: Option<NewLeader>,
    ) {
        let Some(tracked) = self.cursors.get_mut(&id) else { return };
        if !matches!(tracked.state, State::AwaitsAnswer) || tracked.key != *key {
            return;
        }
        let departs = match verdict {
            Verdict::Records(mut fetched) => {
                tracked.learn(&fetched, self.options.read_committed);
                fetched.id = id;
                tracked.state = State::AwaitsAdvance;
                self.events.push_back(FetchEvent::Fetched(fetched));
                return;
            }
            Verdict::Nothing(fetched) => {
                tracked.learn(&fetched, self.options.read_committed);
                tracked.no_news();
                return;
            }
            Verdict::Rest(code) => {
                let until = now + self.options.retry_backoff;
                tracked.state = State::AwaitsTime(until);
                self.events.push_back(FetchEvent::Backoff { id, code, until });
                return;
            }
            Verdict::Depart(departs) => departs,
        };
        if let Some(tracked) = self.cursors.remove(&id) {
            self.events.push_back(departs.event(id, tracked.cursor, hint));
        }
    }

    /// Cursors that an incremental answer did not mention have no news. `quiet`: the answer held no
    /// record at all, so no size limit can have cut any partition short, and "nothing" means
    /// nothing.
    fn settle_omitted(&mut self, flight: &InFlight, quiet: bool) {
        for asked in flight.asked.values() {
            match self.cursors.get_mut(&asked.id) {
                Some(tracked) if flight.full => tracked.give_back(),
                Some(tracked) => tracked.no_news(),
                None => {}
            }
        }
        for (id, tracked) in &mut self.cursors {
            if let Some(end) = tracked.stalled(quiet) {
                let next = tracked.cursor.next;
                self.events.push_back(FetchEvent::Stalled { id: *id, next, end });
            }
        }
    }

    /// Cursors go back to where they were; the source rests when failures repeat.
    fn give_back(&mut self, now: Instant, flight: InFlight) {
        for asked in flight.asked.values() {
            if let Some(tracked) = self.cursors.get_mut(&asked.id) {
                tracked.give_back();
            }
        }
        if self.failures > 0 {
            self.pause(now + self.options.retry_backoff);
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// KIP-219: the client keeps quiet for as long as the broker says, within reason.
    fn throttle(&mut self, now: Instant, throttle_ms: i32) {
        let wait = Duration::from_millis(u64::try_from(throttle_ms).unwrap_or(0));
        if !wait.is_zero() {
            self.pause(now + wait.min(LONGEST_THROTTLE));
        }
    }

    fn pause(&mut self, until: Instant) {
        self.not_before = Some(self.not_before.map_or(until, |at| at.max(until)));
    }
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            read_committed: false,
            rack_id: String::new(),
            retry_backoff: Duration::from_millis(100),
        }
    }
}

/// The outstanding request: what it asked, by partition.
#[derive(Debug)]
struct InFlight {
    asked: BTreeMap<Key, Asked>,
    ids: bool,
    full: bool,
    sent: Instant,
}

impl InFlight {
    /// The topics asked for that an answer may mean: it names them by id or by name, never by both.
    fn topics_like(&self, name: &str, id: Uuid) -> Vec<(Arc<str>, Uuid)> {
        let mut topics: Vec<(Arc<str>, Uuid)> = Vec::with_capacity(1);
        for key in self.asked.keys() {
            let same = if self.ids { key.id == id } else { *key.topic == *name };
            if same && topics.last().is_none_or(|(_, last)| *last != key.id) {
                topics.push((Arc::clone(&key.topic), key.id));
            }
        }
        topics
    }

    /// Takes out what was asked of this partition; `None` if nothing was, or if it was answered
    /// already.
    fn take(&mut self, topics: &[(Arc<str>, Uuid)], partition: i32) -> Option<(Key, Asked)> {
        topics.iter().find_map(|(topic, id)| {
            self.asked.remove_entry(&Key { topic: Arc::clone(topic), id: *id, partition })
        })
    }
}

fn clamp_bytes(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

const FIRST_WITH_IDS: i16 = 13;
const FIRST_WITH_DIVERGENCE: i16 = 12;
const LAST_VERSION: i16 = 17;
const LONGEST_THROTTLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
