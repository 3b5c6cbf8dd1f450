//! The produce machine, case by case. The random world is in [`world`].

mod split;
mod transactional;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::messages::produce::{LeaderIdAndEpoch, NodeEndpoint, TopicProduceResponse};
use crate::records::{BatchBuilder, BatchOptions, RawBatch, RecordParts};

/// A machine with one partition led by broker 1, ready to send.
struct Bench {
    queue: ProduceQueue,
    lane: LaneId,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with(ProduceOptions::default())
    }

    fn with(options: ProduceOptions) -> Self {
        let mut queue = ProduceQueue::new(options);
        let lane = queue.lane(&Arc::from("t"), 0);
        queue.set_leader(lane, Some(1), TOPIC_ID);
        queue.set_identity(ProducerIdentity { id: 7, epoch: 0 });
        Self { queue, lane, now: some_time() }
    }

    /// A machine whose partition has acknowledged one batch of one record, so that it may pipeline.
    fn established() -> Self {
        let mut bench = Self::new();
        bench.push(1);
        let call = bench.send();
        bench.answer(&call, ErrorCode::NONE);
        assert!(matches!(bench.ended()[..], [(_, Outcome::Written { .. })]));
        bench
    }

    fn push(&mut self, records: usize) -> BatchId {
        self.queue.push(self.lane, self.now, batch(records))
    }

    fn try_send(&mut self) -> Option<ProduceCall> {
        self.queue.next_request(self.now, 1, 13)
    }

    fn send(&mut self) -> ProduceCall {
        self.try_send().expect("a request")
    }

    fn answer(&mut self, call: &ProduceCall, code: ErrorCode) {
        self.queue.handle_response(self.now, call.id, response(code));
    }

    fn ended(&mut self) -> Vec<(BatchId, Outcome)> {
        let mut ended = Vec::new();
        while let Some(event) = self.queue.poll_event() {
            if let ProduceEvent::Ended { batch, outcome } = event {
                ended.push((batch, outcome));
            }
        }
        ended
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.queue.handle_timeout(self.now);
    }
}

/// Machines only ever compare times, so it does not matter which.
#[allow(clippy::disallowed_methods, reason = "there is no other way to make an Instant")]
fn some_time() -> Instant {
    Instant::now()
}

fn batch(records: usize) -> SealedBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        builder.try_push(&RecordParts::new(0, None, Some(b"v"))).expect("room");
    }
    builder.seal()
}

fn response(code: ErrorCode) -> ProduceResponse {
    let base_offset = if code.is_ok() { 40 } else { -1 };
    let partition =
        PartitionProduceResponse { error_code: code, base_offset, ..Default::default() };
    ProduceResponse {
        responses: vec![TopicProduceResponse {
            name: "t".to_owned(),
            topic_id: TOPIC_ID,
            partition_responses: vec![partition],
        }],
        ..Default::default()
    }
}

/// Epoch and base sequence of the first batch in a request.
fn numbers(call: &ProduceCall) -> (i16, i32) {
    let bytes = call.request.topic_data[0].partition_data[0].records.clone().expect("records");
    let raw = RawBatch::read(bytes).expect("a batch");
    raw.check().expect("a right checksum");
    (raw.header().producer_epoch, raw.header().base_sequence)
}

#[test]
fn sequences_follow_the_record_counts_and_five_batches_may_be_in_flight() {
    let mut bench = Bench::established();
    for _ in 0..6 {
        bench.push(10);
    }
    let sent: Vec<_> = (0..5).map(|_| numbers(&bench.send())).collect();
    assert_eq!(sent, [(0, 1), (0, 11), (0, 21), (0, 31), (0, 41)]);
    assert!(bench.try_send().is_none(), "a sixth in flight");
}

#[test]
fn the_first_batch_of_a_partition_travels_alone() {
    let mut bench = Bench::new();
    bench.push(1);
    bench.push(1);
    let call = bench.send();
    assert!(
        bench.try_send().is_none(),
        "a broker without state would accept the second batch first"
    );
    bench.answer(&call, ErrorCode::NONE);
    assert_eq!(numbers(&bench.send()), (0, 1));
}

#[test]
fn a_retry_keeps_its_sequence_and_goes_before_what_follows() {
    let mut bench = Bench::established();
    let ids: Vec<_> = (0..3).map(|_| bench.push(10)).collect();
    let calls: Vec<_> = (0..3).map(|_| bench.send()).collect();
    bench.answer(&calls[0], ErrorCode::NOT_LEADER_OR_FOLLOWER);
    bench.answer(&calls[1], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.answer(&calls[2], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert!(bench.try_send().is_none(), "before the backoff");
    bench.wait(BACKOFF);
    for (id, sequence) in ids.iter().zip([1, 11, 21]) {
        let call = bench.send();
        assert_eq!(numbers(&call), (0, sequence));
        assert!(bench.try_send().is_none(), "retries go one by one");
        bench.answer(&call, ErrorCode::NONE);
        assert!(matches!(bench.ended()[..], [(ended, Outcome::Written { .. })] if ended == *id));
    }
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_sequence() {
    let mut bench = Bench::established();
    bench.push(10);
    let call = bench.send();
    bench.queue.handle_failure(bench.now, call.id, true);
    bench.wait(BACKOFF);
    let again = bench.send();
    assert_eq!(numbers(&again), numbers(&call));
    bench.answer(&again, ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    let written = Outcome::Written { base_offset: None, append_time: None };
    assert!(matches!(&bench.ended()[..], [(_, outcome)] if *outcome == written));
}

#[test]
fn a_stale_answer_of_a_request_that_failed_is_ignored() {
    let mut bench = Bench::established();
    bench.push(10);
    let call = bench.send();
    bench.queue.handle_failure(bench.now, call.id, true);
    bench.answer(&call, ErrorCode::NONE);
    assert!(bench.ended().is_empty());
    assert!(!bench.queue.is_idle());
}

#[test]
fn what_was_never_sent_ends_as_not_written_and_what_was_in_flight_as_unknown() {
    let mut bench = Bench::established();
    let sent = bench.push(1);
    let _ = bench.send();
    bench.queue.set_leader(bench.lane, None, TOPIC_ID);
    let unsent = bench.push(1);
    bench.wait(Duration::from_secs(120));
    let ended = bench.ended();
    assert_eq!(ended[0], (sent, Outcome::Unknown(Reason::Expired(None))));
    assert_eq!(ended[1], (unsent, Outcome::NotWritten(Reason::Expired(None))));
}

#[test]
fn a_late_answer_to_an_expired_batch_keeps_the_sequences_going() {
    let mut bench = Bench::established();
    bench.push(10);
    let call = bench.send();
    bench.wait(Duration::from_secs(120));
    assert_eq!(bench.ended().len(), 1);
    bench.answer(&call, ErrorCode::NONE);
    assert!(bench.ended().is_empty(), "one outcome per batch");
    bench.push(1);
    assert_eq!(numbers(&bench.send()), (0, 11));
}

#[test]
fn a_refused_batch_leaves_no_gap_behind() {
    let mut bench = Bench::established();
    let refused = bench.push(10);
    let next = bench.push(5);
    let (first, second) = (bench.send(), bench.send());
    bench.answer(&first, ErrorCode::INVALID_RECORD);
    assert!(matches!(
        &bench.ended()[..],
        [(id, Outcome::Refused { code: ErrorCode::INVALID_RECORD, .. })] if *id == refused
    ));
    assert!(bench.try_send().is_none(), "not while a batch behind the gap is in flight");
    bench.answer(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let again = bench.send();
    assert_eq!(numbers(&again), (1, 0), "the next epoch begins at 0");
    bench.answer(&again, ErrorCode::NONE);
    assert!(matches!(&bench.ended()[..], [(id, Outcome::Written { .. })] if *id == next));
}

#[test]
fn a_batch_in_doubt_is_not_numbered_anew() {
    let mut bench = Bench::established();
    let (first, second) = (bench.push(10), bench.push(10));
    let calls = [bench.send(), bench.send()];
    bench.queue.handle_failure(bench.now, calls[0].id, true);
    bench.queue.handle_failure(bench.now, calls[1].id, true);
    bench.wait(BACKOFF);
    let again = bench.send();
    bench.answer(&again, ErrorCode::UNKNOWN_PRODUCER_ID);
    let lost = Outcome::Unknown(Reason::SequenceLost);
    assert_eq!(bench.ended(), [(first, lost.clone()), (second, lost)]);
    bench.wait(BACKOFF);
    bench.push(1);
    assert_eq!(numbers(&bench.send()), (1, 0));
}

#[test]
fn a_lone_batch_whose_log_lost_its_predecessor_is_written_under_a_new_epoch() {
    let mut bench = Bench::established();
    bench.push(10);
    let call = bench.send();
    bench.queue.handle_failure(bench.now, call.id, true);
    bench.wait(BACKOFF);
    let again = bench.send();
    bench.answer(&again, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.wait(BACKOFF);
    assert_eq!(numbers(&bench.send()), (1, 0));
    assert!(bench.ended().is_empty());
}

#[test]
fn a_new_leader_gets_nothing_while_the_old_one_owes_an_answer() {
    let mut bench = Bench::established();
    bench.push(1);
    bench.push(1);
    let call = bench.send();
    bench.queue.set_leader(bench.lane, Some(2), TOPIC_ID);
    assert!(bench.queue.next_request(bench.now, 2, 13).is_none());
    assert!(bench.try_send().is_none(), "the old leader gets nothing more");
    bench.queue.handle_failure(bench.now, call.id, true);
    bench.wait(BACKOFF);
    let moved = bench.queue.next_request(bench.now, 2, 13).expect("the retry at the new leader");
    assert_eq!(numbers(&moved), numbers(&call));
}

#[test]
fn a_topic_that_metadata_loses_for_a_moment_keeps_its_sequences() {
    let mut bench = Bench::established();
    bench.push(3);
    bench.queue.set_leader(bench.lane, None, Uuid::ZERO);
    assert!(bench.try_send().is_none());
    assert_eq!(bench.queue.lane(&Arc::from("t"), 0), bench.lane);
    bench.queue.set_leader(bench.lane, Some(1), TOPIC_ID);
    assert_eq!(numbers(&bench.send()), (0, 1));
}

#[test]
fn sequences_wrap_to_zero() {
    let mut bench = Bench::established();
    bench.queue.lanes[0].skip_to_sequence(i32::MAX - 1);
    bench.push(3);
    bench.push(1);
    assert_eq!(numbers(&bench.send()), (0, i32::MAX - 1));
    assert_eq!(numbers(&bench.send()), (0, 1));
}

#[test]
fn a_used_up_epoch_asks_for_a_new_producer_id() {
    let mut bench = Bench::new();
    let mut queue = ProduceQueue::new(ProduceOptions::default());
    let lane = queue.lane(&Arc::from("t"), 0);
    queue.set_leader(lane, Some(1), TOPIC_ID);
    queue.set_identity(ProducerIdentity { id: 7, epoch: i16::MAX });
    (bench.queue, bench.lane) = (queue, lane);
    bench.push(1);
    bench.push(2);
    let call = bench.send();
    bench.answer(&call, ErrorCode::INVALID_RECORD);
    bench.ended();
    assert!(bench.try_send().is_none());
    bench.queue.set_identity(ProducerIdentity { id: 8, epoch: 0 });
    assert_eq!(numbers(&bench.send()), (0, 0));
}

#[test]
fn nothing_is_sent_before_there_is_a_producer_id() {
    let mut queue = ProduceQueue::new(ProduceOptions::default());
    let lane = queue.lane(&Arc::from("t"), 0);
    queue.set_leader(lane, Some(1), TOPIC_ID);
    let now = some_time();
    queue.push(lane, now, batch(1));
    assert!(queue.next_request(now, 1, 13).is_none());
    assert!(queue.next_request(now, 1, 13).is_none());
    assert_eq!(queue.poll_event(), Some(ProduceEvent::NeedsIdentity));
    assert_eq!(queue.poll_event(), None, "asked once");
}

#[test]
fn several_partitions_share_a_request_up_to_its_size() {
    let size = batch(100).size();
    let options = ProduceOptions { max_request_size: 2 * (size + 64), ..ProduceOptions::default() };
    let mut bench = Bench::with(options);
    for partition in 0..3 {
        let lane = bench.queue.lane(&Arc::from("t"), partition);
        bench.queue.set_leader(lane, Some(1), TOPIC_ID);
        bench.queue.push(lane, bench.now, batch(100));
    }
    let asked: Vec<Vec<i32>> = (0..2)
        .map(|_| {
            bench.send().request.topic_data[0].partition_data.iter().map(|p| p.index).collect()
        })
        .collect();
    assert_eq!(asked, [vec![0, 1], vec![2]]);
}

#[test]
fn without_sequences_one_batch_is_in_flight_per_partition() {
    let options = ProduceOptions { idempotent: false, acks: 1, ..ProduceOptions::default() };
    let mut bench = Bench::with(options);
    bench.push(1);
    bench.push(1);
    assert_eq!(numbers(&bench.send()), (-1, -1));
    assert!(bench.try_send().is_none());
}

#[test]
fn retries_end_where_the_options_say() {
    let options = ProduceOptions { retries: 0, ..ProduceOptions::default() };
    let mut bench = Bench::with(options);
    bench.push(1);
    let call = bench.send();
    bench.answer(&call, ErrorCode::NOT_ENOUGH_REPLICAS);
    let code = Some(ErrorCode::NOT_ENOUGH_REPLICAS);
    assert!(matches!(&bench.ended()[..],
        [(_, Outcome::NotWritten(Reason::RetriesExhausted(last)))] if *last == code));
}

#[test]
fn with_acks_0_sent_is_all_that_is_known() {
    let options = ProduceOptions { acks: 0, idempotent: false, ..ProduceOptions::default() };
    let mut bench = Bench::with(options);
    bench.push(1);
    let call = bench.send();
    bench.queue.handle_sent(bench.now, call.id);
    let written = Outcome::Written { base_offset: None, append_time: None };
    assert!(matches!(&bench.ended()[..], [(_, outcome)] if *outcome == written));
}

#[test]
fn an_answer_that_leaves_a_batch_out_leaves_it_in_doubt() {
    let mut bench = Bench::established();
    bench.push(1);
    let call = bench.send();
    bench.queue.handle_response(bench.now, call.id, ProduceResponse::default());
    bench.wait(BACKOFF);
    assert_eq!(numbers(&bench.send()), numbers(&call));
}

#[test]
fn a_moved_leader_is_told_with_its_address() {
    let mut bench = Bench::established();
    bench.push(1);
    let call = bench.send();
    let mut moved = response(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    moved.responses[0].partition_responses[0].current_leader =
        LeaderIdAndEpoch { leader_id: 2, leader_epoch: 9 };
    moved.node_endpoints =
        vec![NodeEndpoint { node_id: 2, host: "two".to_owned(), port: 1, rack: None }];
    bench.queue.handle_response(bench.now, call.id, moved);
    let leader = NewLeader { node: 2, epoch: 9, address: Some(("two".to_owned(), 1)) };
    let event = ProduceEvent::StaleLeader { lane: bench.lane, leader: Some(leader) };
    assert_eq!(bench.queue.poll_event(), Some(event));
}

#[test]
fn abandoning_tells_sent_from_unsent() {
    let mut bench = Bench::new();
    let (sent, unsent) = (bench.push(1), bench.push(1));
    let call = bench.send();
    bench.queue.abandon();
    assert_eq!(
        bench.ended(),
        [(sent, Outcome::Unknown(Reason::Closed)), (unsent, Outcome::NotWritten(Reason::Closed))]
    );
    bench.answer(&call, ErrorCode::NONE);
    assert!(bench.ended().is_empty() && bench.queue.is_idle());
}

#[test]
fn a_throttled_broker_is_left_alone() {
    let mut bench = Bench::established();
    bench.push(1);
    let call = bench.send();
    let throttled = ProduceResponse { throttle_time_ms: 500, ..response(ErrorCode::NONE) };
    bench.queue.handle_response(bench.now, call.id, throttled);
    bench.push(1);
    assert!(bench.try_send().is_none());
    bench.wait(Duration::from_millis(500));
    assert!(bench.try_send().is_some());
}

const TOPIC_ID: Uuid = Uuid([5; 16]);
const BACKOFF: Duration = Duration::from_millis(100);
