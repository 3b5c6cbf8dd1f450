//! The fetch machine against a broker's half of KIP-227, by hand and by random operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::code::ErrorCode;
use crate::messages::fetch::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};

type Place = (String, Uuid, i32);

/// A broker's side of one fetch session: it knows what an incremental request leaves out.
#[derive(Default)]
struct Broker {
    session: Option<(i32, i32, BTreeMap<Place, i64>)>,
    next_id: i32,
    no_sessions: bool,
}

impl Broker {
    /// What the request asks for as a whole, or the session's error.
    fn read(&mut self, call: &FetchCall) -> Result<BTreeMap<Place, i64>, ErrorCode> {
        let request = &call.request;
        let ids = call.version >= FIRST_WITH_IDS;
        let place = |name: &str, id: Uuid, partition: i32| {
            if ids {
                (String::new(), id, partition)
            } else {
                (name.to_owned(), Uuid::ZERO, partition)
            }
        };
        let named = request.topics.iter().flat_map(|topic| {
            let offsets = topic.partitions.iter().map(|p| (p.partition, p.fetch_offset));
            offsets.map(|(p, offset)| (place(&topic.topic, topic.topic_id, p), offset))
        });
        if request.session_epoch <= 0 {
            assert!(request.forgotten_topics_data.is_empty(), "a full request forgets nothing");
            let all: BTreeMap<_, _> = named.collect();
            self.session = None;
            if request.session_epoch == 0 && !self.no_sessions {
                self.next_id += 1;
                self.session = Some((self.next_id, 1, all.clone()));
            }
            return Ok(all);
        }
        let Some((id, epoch, known)) = &mut self.session else {
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        };
        if *id != request.session_id {
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        if *epoch != request.session_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        *epoch += 1;
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                let gone = known.remove(&place(&topic.topic, topic.topic_id, *partition));
                assert!(gone.is_some(), "forgets what the session never had");
            }
        }
        known.extend(named);
        Ok(known.clone())
    }

    fn session_id(&self) -> i32 {
        self.session.as_ref().map_or(0, |(id, _, _)| *id)
    }
}

fn topic(number: u8) -> Arc<str> {
    Arc::from(format!("topic-{number}"))
}

fn id_of(number: u8) -> Uuid {
    Uuid([number + 1; 16])
}

fn cursor(number: u8, partition: i32, next: i64, stop: i64) -> Cursor {
    Cursor {
        topic: topic(number),
        topic_id: id_of(number),
        partition,
        next,
        stop,
        leader_epoch: 3,
        last_epoch: -1,
    }
}

fn answer(topics: Vec<(u8, PartitionData)>, session_id: i32) -> FetchResponse {
    let responses = topics.into_iter().map(|(number, data)| FetchableTopicResponse {
        topic: String::new(),
        topic_id: id_of(number),
        partitions: vec![data],
    });
    FetchResponse { session_id, responses: responses.collect(), ..FetchResponse::default() }
}

fn data(partition: i32, records: &'static [u8]) -> PartitionData {
    PartitionData {
        partition_index: partition,
        high_watermark: 100,
        last_stable_offset: 90,
        log_start_offset: 0,
        records: Some(Bytes::from_static(records)),
        ..PartitionData::default()
    }
}

fn failed(partition: i32, code: ErrorCode) -> PartitionData {
    PartitionData { error_code: code, ..data(partition, b"") }
}

/// Machines only ever compare times, so it does not matter which.
#[allow(clippy::disallowed_methods, reason = "there is no other way to make an Instant")]
fn some_time() -> Instant {
    Instant::now()
}

/// A source with one cursor on partition 0 of topic 0 whose first request is out.
fn asked(stop: i64) -> (FetchSource, Instant) {
    let now = some_time();
    let mut source = FetchSource::new(FetchOptions::default());
    assert!(source.add(CursorId(1), cursor(0, 0, 10, stop)));
    let call = source.next_request(now, 17, 1 << 20).expect("a request");
    assert_eq!((call.version, call.request.session_epoch), (17, 0));
    (source, now)
}

fn only_event(source: &mut FetchSource) -> FetchEvent {
    let event = source.poll_event().expect("an event");
    assert_eq!(source.poll_event(), None);
    event
}

#[test]
fn a_position_moves_only_when_the_records_were_taken_over() {
    let (mut source, now) = asked(50);
    source.handle_response(now, answer(vec![(0, data(0, b"records"))], 7));
    assert!(matches!(only_event(&mut source), FetchEvent::Fetched(f) if f.id == CursorId(1)));
    assert_eq!(source.cursor(CursorId(1)).map(|cursor| cursor.next), Some(10));
    assert!(source.next_request(now, 17, 1 << 20).is_none(), "fetched again before advance");
    assert_eq!(source.advance(CursorId(1), 20, 3), Progress::Continues);
    let call = source.next_request(now, 17, 1 << 20).expect("a request");
    assert_eq!(call.request.session_epoch, 1);
    assert_eq!(call.request.topics[0].partitions[0].fetch_offset, 20);
    assert_eq!(call.request.topics[0].partitions[0].last_fetched_epoch, 3);
}

#[test]
fn a_cursor_ends_at_its_stop_whatever_the_last_offsets_held() {
    let (mut source, now) = asked(50);
    source.handle_response(now, answer(vec![(0, data(0, b"control markers only"))], 7));
    let _ = only_event(&mut source);
    assert_eq!(source.advance(CursorId(1), 64, 3), Progress::Ended);
    assert!(source.is_empty());
    assert!(source.next_request(now, 17, 1 << 20).is_none());
}

#[test]
fn an_offset_never_goes_back() {
    let (mut source, now) = asked(50);
    source.handle_response(now, answer(vec![(0, data(0, b"half a batch"))], 7));
    let _ = only_event(&mut source);
    assert_eq!(source.advance(CursorId(1), 3, 9), Progress::Continues);
    assert_eq!(source.cursor(CursorId(1)).map(|c| (c.next, c.last_epoch)), Some((10, -1)));
}

#[test]
fn records_that_lead_no_further_are_not_asked_for_again_at_once() {
    let (mut source, now) = asked(50);
    source.handle_response(now, answer(vec![(0, data(0, b"from before offset 10"))], 7));
    let _ = only_event(&mut source);
    assert_eq!(source.advance(CursorId(1), 10, 3), Progress::Continues);
    assert!(source.next_request(now, 17, 1 << 20).is_none());
    let at = source.poll_timeout().expect("the end of the rest");
    assert!(source.next_request(at, 17, 1 << 20).is_some());
}

#[test]
fn an_answer_about_others_alone_is_followed_by_a_rest() {
    let (mut source, now) = asked(50);
    source.handle_response(now, answer(vec![(0, data(7, b"of another partition"))], 7));
    assert!(source.next_request(now, 17, 1 << 20).is_none());
    let at = source.poll_timeout().expect("the end of the rest");
    let call = source.next_request(at, 17, 1 << 20).expect("a request");
    assert_eq!(call.request.session_epoch, 0, "both sides disagree");
}

#[test]
fn without_room_or_before_the_answer_nothing_is_requested() {
    let (mut source, now) = asked(50);
    assert!(source.add(CursorId(2), cursor(1, 0, 0, 9)));
    assert!(source.next_request(now, 17, 1 << 20).is_none(), "one request at a time");
    source.handle_response(now, answer(vec![(0, data(0, b"x"))], 7));
    assert!(source.next_request(now, 17, 0).is_none(), "no room");
    let call = source.next_request(now, 17, 4096).expect("a request");
    assert_eq!(call.request.max_bytes, 4096);
}

#[test]
fn an_answer_to_a_cursor_that_left_is_dropped() {
    let (mut source, now) = asked(50);
    let taken = source.remove(CursorId(1)).expect("the cursor");
    assert!(source.add(CursorId(1), Cursor { next: 30, ..taken }));
    source.handle_response(now, answer(vec![(0, data(0, b"of offset 10"))], 7));
    assert_eq!(source.poll_event(), None);
    assert_eq!(source.cursor(CursorId(1)).map(|c| c.next), Some(30));
    assert!(source.next_request(now, 17, 1 << 20).is_some());
}

#[test]
fn one_partition_has_one_cursor() {
    let (mut source, _) = asked(50);
    assert!(!source.add(CursorId(2), cursor(0, 0, 70, 80)));
    assert!(!source.add(CursorId(1), cursor(0, 1, 70, 80)));
    assert_eq!(source.len(), 1);
}

#[test]
fn a_moved_leader_hands_the_cursor_back_with_the_hint() {
    let (mut source, now) = asked(50);
    let current_leader = LeaderIdAndEpoch { leader_id: 2, leader_epoch: 4 };
    let moved = PartitionData { current_leader, ..failed(0, ErrorCode::NOT_LEADER_OR_FOLLOWER) };
    let mut response = answer(vec![(0, moved)], 7);
    let (host, port) = ("two".to_owned(), 9092);
    response.node_endpoints = vec![NodeEndpoint { node_id: 2, host, port, rack: None }];
    source.handle_response(now, response);
    let FetchEvent::LeaderMoved { cursor, leader: Some(leader), .. } = only_event(&mut source)
    else {
        panic!("no hint");
    };
    assert_eq!((leader.node, leader.epoch, leader.address), (2, 4, Some(("two".to_owned(), 9092))));
    assert_eq!(cursor.next, 10);
    assert!(source.is_empty());
}

#[test]
fn errors_are_told_apart() {
    let outcome = |code| {
        let (mut source, now) = asked(50);
        source.handle_response(now, answer(vec![(0, failed(0, code))], 7));
        (only_event(&mut source), source.len())
    };
    assert!(matches!(
        outcome(ErrorCode::OFFSET_OUT_OF_RANGE),
        (FetchEvent::OffsetOutOfRange { log_start: 0, high_watermark: 100, .. }, 0)
    ));
    assert!(matches!(outcome(ErrorCode::FENCED_LEADER_EPOCH), (FetchEvent::LeaderMoved { .. }, 0)));
    assert!(matches!(outcome(ErrorCode::UNKNOWN_TOPIC_ID), (FetchEvent::UnknownTopic { .. }, 0)));
    assert!(matches!(outcome(ErrorCode::UNKNOWN_LEADER_EPOCH), (FetchEvent::Backoff { .. }, 1)));
    assert!(matches!(outcome(ErrorCode::UNKNOWN_SERVER_ERROR), (FetchEvent::Backoff { .. }, 1)));
    assert!(matches!(outcome(ErrorCode::CORRUPT_MESSAGE), (FetchEvent::Fatal { .. }, 0)));
    assert!(matches!(
        outcome(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        (FetchEvent::Fatal { .. }, 0)
    ));
}

#[test]
fn a_diverging_log_is_reported_before_any_of_its_records() {
    let (mut source, now) = asked(50);
    let diverging_epoch = EpochEndOffset { epoch: 2, end_offset: 8 };
    let diverged = PartitionData { diverging_epoch, ..data(0, b"other records") };
    source.handle_response(now, answer(vec![(0, diverged)], 7));
    let event = only_event(&mut source);
    assert!(matches!(event, FetchEvent::Truncated { epoch: 2, end_offset: 8, .. }));
}

#[test]
fn a_partition_that_must_wait_is_forgotten_and_comes_back() {
    let (mut source, now) = asked(50);
    assert!(source.add(CursorId(2), cursor(0, 1, 0, 9)));
    let now = now + LONG;
    source.handle_response(now, answer(vec![(0, failed(0, ErrorCode::UNKNOWN_LEADER_EPOCH))], 7));
    let call = source.next_request(now, 17, 1 << 20).expect("the other partition");
    assert_eq!(call.request.forgotten_topics_data[0].partitions, [0]);
    assert_eq!(call.request.topics[0].partitions.len(), 1);
    source.handle_response(now, answer(vec![(0, data(1, b"x"))], 7));
    let at = source.poll_timeout().expect("the end of the backoff");
    let call = source.next_request(at, 17, 1 << 20).expect("the first partition again");
    assert_eq!(call.request.topics[0].partitions[0].partition, 0);
}

#[test]
fn a_lost_session_and_a_failed_request_start_with_a_full_request() {
    for code in [ErrorCode::FETCH_SESSION_ID_NOT_FOUND, ErrorCode::INVALID_FETCH_SESSION_EPOCH] {
        let (mut source, now) = asked(50);
        source.handle_response(now, answer(vec![], 7));
        let _ = source.next_request(now + LONG, 17, 1 << 20).expect("an incremental request");
        let lost = FetchResponse { error_code: code, ..FetchResponse::default() };
        source.handle_response(now + LONG, lost);
        let call = source.next_request(now + LONG, 17, 1 << 20).expect("a full request");
        assert_eq!(call.request.session_epoch, 0);
        assert_eq!(call.request.topics.len(), 1);
    }
    let (mut source, now) = asked(50);
    source.handle_failure(now);
    assert_eq!(source.next_request(now, 17, 1).map(|call| call.request.session_epoch), Some(0));
}

#[test]
fn repeated_failures_rest_between_attempts() {
    let (mut source, now) = asked(50);
    source.handle_failure(now);
    assert!(source.next_request(now, 17, 1 << 20).is_some());
    source.handle_failure(now);
    assert!(source.next_request(now, 17, 1 << 20).is_none());
    let at = source.poll_timeout().expect("the end of the rest");
    assert!(source.next_request(at, 17, 1 << 20).is_some());
}

#[test]
fn a_throttled_source_keeps_quiet() {
    let (mut source, now) = asked(50);
    let throttled = FetchResponse { throttle_time_ms: 300, ..answer(vec![(0, data(0, b""))], 7) };
    source.handle_response(now, throttled);
    assert!(source.next_request(now + Duration::from_millis(299), 17, 1).is_none());
    assert!(source.next_request(now + Duration::from_millis(300), 17, 1).is_some());
}

#[test]
fn a_hole_up_to_the_end_is_reported_after_two_quiet_answers() {
    let (mut source, now) = asked(100);
    source.handle_response(now + LONG, answer(vec![(0, data(0, b""))], 7));
    assert_eq!(source.poll_event(), None, "one quiet answer proves nothing");
    assert!(source.next_request(now + LONG, 17, 1 << 20).is_some());
    source.handle_response(now + LONG * 2, answer(vec![], 7));
    let event = only_event(&mut source);
    assert_eq!(event, FetchEvent::Stalled { id: CursorId(1), next: 10, end: 100 });
    assert_eq!(source.len(), 1, "the caller decides");
}

#[test]
fn an_end_that_is_not_in_the_log_yet_is_no_hole() {
    let (mut source, now) = asked(101);
    for round in 1..6 {
        source.handle_response(now + LONG * round, answer(vec![(0, data(0, b""))], 7));
        assert_eq!(source.poll_event(), None);
        assert!(source.next_request(now + LONG * round, 17, 1 << 20).is_some());
    }
}

#[test]
fn names_stand_for_topics_while_an_id_is_unknown() {
    let now = some_time();
    let mut source = FetchSource::new(FetchOptions::default());
    assert!(source.add(CursorId(1), Cursor { topic_id: Uuid::ZERO, ..cursor(0, 0, 0, 9) }));
    let call = source.next_request(now, 17, 1 << 20).expect("a request");
    assert_eq!(call.version, 12);
    let mut response = answer(vec![(0, data(0, b"x"))], 7);
    response.responses[0].topic = "topic-0".to_owned();
    response.responses[0].topic_id = Uuid::ZERO;
    source.handle_response(now, response);
    assert!(matches!(only_event(&mut source), FetchEvent::Fetched(_)));
}

#[test]
fn the_last_epoch_is_told_only_where_the_version_has_it() {
    let now = some_time();
    let mut source = FetchSource::new(FetchOptions::default());
    assert!(source.add(CursorId(1), Cursor { last_epoch: 2, ..cursor(0, 0, 0, 9) }));
    let call = source.next_request(now, 11, 1 << 20).expect("a request");
    assert_eq!(call.request.topics[0].partitions[0].last_fetched_epoch, -1);
}

#[derive(Clone, Debug)]
enum Op {
    Add(u8, i32),
    Remove(usize),
    Ask { version: i16 },
    Answer { quiet: bool },
    LoseAnswer,
    Fail,
    EvictSession,
    Advance { step: i64 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0..3u8, 0..4i32).prop_map(|(topic, partition)| Op::Add(topic, partition)),
        1 => (0..12usize).prop_map(Op::Remove),
        6 => prop_oneof![Just(17i16), Just(17), Just(12), Just(7)].prop_map(|version| Op::Ask { version }),
        6 => any::<bool>().prop_map(|quiet| Op::Answer { quiet }),
        1 => Just(Op::LoseAnswer),
        1 => Just(Op::Fail),
        1 => Just(Op::EvictSession),
        5 => (0..5i64).prop_map(|step| Op::Advance { step }),
    ];
    prop::collection::vec(op, 1..120)
}

/// The source, the broker, and what a naive client would ask for.
struct World {
    source: FetchSource,
    broker: Broker,
    now: Instant,
    ready: BTreeMap<CursorId, Cursor>,
    handed: Vec<CursorId>,
    asked: Option<(FetchCall, BTreeMap<CursorId, Cursor>)>,
    names: u64,
}

impl World {
    fn apply(&mut self, op: Op) {
        self.now += LONG;
        match op {
            Op::Add(number, partition) => self.add(number, partition),
            Op::Remove(nth) => self.remove(nth),
            Op::Ask { version } => self.ask(version),
            Op::Answer { quiet } => self.answer(quiet),
            Op::LoseAnswer => self.lose(true),
            Op::Fail => self.lose(false),
            Op::EvictSession => self.broker.session = None,
            Op::Advance { step } => self.advance(step),
        }
    }

    fn add(&mut self, number: u8, partition: i32) {
        self.names += 1;
        let (id, cursor) = (CursorId(self.names), cursor(number, partition, 0, 40));
        if self.source.add(id, cursor.clone()) {
            self.ready.insert(id, cursor);
        }
    }

    fn remove(&mut self, nth: usize) {
        if let Some((id, cursor)) = self.ready.iter().nth(nth).map(|(id, c)| (*id, c.clone())) {
            assert_eq!(self.source.remove(id), Some(cursor));
            self.ready.remove(&id);
        }
    }

    fn ask(&mut self, version: i16) {
        let call = self.source.next_request(self.now, version, 1 << 20);
        let free: BTreeMap<_, _> = self
            .ready
            .iter()
            .filter(|(id, _)| !self.handed.contains(id))
            .map(|(id, c)| (*id, c.clone()))
            .collect();
        match call {
            Some(call) => {
                assert!(self.asked.is_none());
                self.asked = Some((call, free));
            }
            None => assert!(self.asked.is_some() || free.is_empty(), "a ready cursor was left out"),
        }
    }

    fn answer(&mut self, quiet: bool) {
        let Some((call, wanted)) = self.asked.take() else { return };
        let ids = call.version >= FIRST_WITH_IDS;
        match self.broker.read(&call) {
            Err(code) => {
                let error_code = code;
                self.source
                    .handle_response(self.now, FetchResponse { error_code, ..Default::default() });
            }
            Ok(whole) => {
                let naive: BTreeMap<Place, i64> =
                    wanted.values().map(|c| (place(c, ids), c.next)).collect();
                assert_eq!(whole, naive, "the session means something else than the client");
                let full = call.request.session_epoch <= 0;
                let mut response =
                    FetchResponse { session_id: self.broker.session_id(), ..Default::default() };
                for cursor in wanted.values().filter(|_| full || !quiet) {
                    let records = if quiet { None } else { Some(Bytes::from_static(b"x")) };
                    let one = PartitionData {
                        records,
                        high_watermark: 10,
                        ..data(cursor.partition, b"")
                    };
                    let (name, topic_id, _) = place(cursor, ids);
                    response.responses.push(FetchableTopicResponse {
                        topic: name,
                        topic_id,
                        partitions: vec![one],
                    });
                }
                self.source.handle_response(self.now, response);
            }
        }
        while let Some(event) = self.source.poll_event() {
            let FetchEvent::Fetched(fetched) = event else { panic!("unexpected {event:?}") };
            assert!(wanted.contains_key(&fetched.id) && self.ready.contains_key(&fetched.id));
            self.handed.push(fetched.id);
        }
    }

    fn lose(&mut self, after_reading: bool) {
        if let Some((call, _)) = self.asked.take() {
            if after_reading {
                let _ = self.broker.read(&call);
            }
            self.source.handle_failure(self.now);
        }
    }

    fn advance(&mut self, step: i64) {
        let Some(id) = self.handed.pop() else { return };
        let Some(cursor) = self.ready.get_mut(&id) else {
            assert_eq!(self.source.advance(id, 1, 1), Progress::Gone);
            return;
        };
        let next = cursor.next + step;
        let ended = self.source.advance(id, next, 1) == Progress::Ended;
        assert_eq!(ended, next >= cursor.stop);
        (cursor.next, cursor.last_epoch) = (next, if step > 0 { 1 } else { cursor.last_epoch });
        if ended {
            self.ready.remove(&id);
        }
    }
}

fn place(cursor: &Cursor, ids: bool) -> Place {
    let name = if ids { String::new() } else { cursor.topic.to_string() };
    (name, if ids { cursor.topic_id } else { Uuid::ZERO }, cursor.partition)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is added, removed, lost or evicted: the broker's view of the session is exactly
    /// what the client wants.
    #[test]
    fn the_session_always_means_what_the_cursors_want(ops in ops(), no_sessions in prop::bool::weighted(0.2)) {
        let mut world = World {
            source: FetchSource::new(FetchOptions::default()),
            broker: Broker { no_sessions, ..Broker::default() },
            now: some_time(),
            ready: BTreeMap::new(),
            handed: Vec::new(),
            asked: None,
            names: 0,
        };
        for op in ops {
            world.apply(op);
        }
    }
}

/// Longer than the broker may wait and than any backoff.
const LONG: Duration = Duration::from_secs(1);
