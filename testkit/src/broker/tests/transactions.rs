//! Transactions: from the first claim to the markers, in the older protocol and in version 2.

use std::time::Duration;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use klamm_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use klamm_protocol::messages::describe_transactions::DescribeTransactionsRequest;
use klamm_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use klamm_protocol::messages::fetch::{FetchRequest, PartitionData};
use klamm_protocol::messages::find_coordinator::FindCoordinatorRequest;
use klamm_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_protocol::messages::list_transactions::ListTransactionsRequest;
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_protocol::records::ProducerStamp;

use super::harness::{Bench, fetch_request, only, produce_request, stamped, values};
use crate::broker::{ClusterConfig, ConnId};

/// Which protocol a producer speaks: the versions of its requests.
#[derive(Clone, Copy)]
struct Speech {
    produce: i16,
    end: i16,
    commit: i16,
}

/// As of Kafka 3.9, partitions added beforehand.
const OLDER: Speech = Speech { produce: 11, end: 4, commit: 4 };
/// KIP-890.
const NEWER: Speech = Speech { produce: 12, end: 5, commit: 5 };

/// A transactional producer over a connection of its own.
struct Producer {
    conn: ConnId,
    speech: Speech,
    id: i64,
    epoch: i16,
    sequence: i32,
}

impl Producer {
    /// One that has its epoch.
    fn new(bench: &mut Bench, speech: Speech) -> Self {
        let conn = bench.cluster.connect(1);
        let mut producer = Self { conn, speech, id: -1, epoch: -1, sequence: 0 };
        assert_eq!(producer.init(bench).error_code, ErrorCode::NONE);
        producer
    }

    fn init(&mut self, bench: &mut Bench) -> InitProducerIdResponse {
        let request = InitProducerIdRequest {
            transactional_id: Some("tx".to_owned()),
            transaction_timeout_ms: 1000,
            producer_id: self.id,
            producer_epoch: self.epoch,
            ..InitProducerIdRequest::default()
        };
        let response = bench.call_over(self.conn, &request, 5);
        if response.error_code.is_ok() {
            self.take((response.producer_id, response.producer_epoch));
        }
        response
    }

    fn take(&mut self, identity: (i64, i16)) {
        if identity != (self.id, self.epoch) {
            self.sequence = 0;
        }
        (self.id, self.epoch) = identity;
    }

    fn add(&self, bench: &mut Bench, topic: &str, version: i16) -> ErrorCode {
        let topic = AddPartitionsToTxnTopic { name: topic.to_owned(), partitions: vec![0] };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: "tx".to_owned(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
            ..AddPartitionsToTxnRequest::default()
        };
        let mut response = bench.call_over(self.conn, &request, version);
        let mut topic = response.results_by_topic_v3_and_below.remove(0);
        topic.results_by_partition.remove(0).partition_error_code
    }

    fn batch(&self, value: &str) -> ProduceRequest {
        let stamp = ProducerStamp {
            producer_id: self.id,
            epoch: self.epoch,
            base_sequence: self.sequence,
            transactional: true,
        };
        ProduceRequest {
            transactional_id: Some("tx".to_owned()),
            ..produce_request("t", 0, -1, stamped(&[value], Some(stamp)))
        }
    }

    fn send(&mut self, bench: &mut Bench, value: &str) -> ErrorCode {
        let request = self.batch(value);
        let response = bench.call_over(self.conn, &request, self.speech.produce);
        let code = response.responses[0].partition_responses[0].error_code;
        self.sequence += i32::from(code.is_ok());
        code
    }

    /// Adds the partition if its protocol asks for it, and writes.
    fn write(&mut self, bench: &mut Bench, value: &str) {
        if self.speech.produce < 12 {
            assert_eq!(self.add(bench, "t", 3), ErrorCode::NONE);
        }
        assert_eq!(self.send(bench, value), ErrorCode::NONE);
    }

    fn end(&mut self, bench: &mut Bench, committed: bool) -> ErrorCode {
        let response = self.end_as(bench, committed, self.speech.end);
        if response.error_code.is_ok() && self.speech.end >= 5 {
            self.take((response.producer_id, response.producer_epoch));
        }
        response.error_code
    }

    fn end_as(&self, bench: &mut Bench, committed: bool, version: i16) -> EndTxnResponse {
        let request = EndTxnRequest {
            transactional_id: "tx".to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        bench.call_over(self.conn, &request, version)
    }

    fn add_offsets(&self, bench: &mut Bench) -> ErrorCode {
        let request = AddOffsetsToTxnRequest {
            transactional_id: "tx".to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: "g".to_owned(),
        };
        bench.call_over(self.conn, &request, 4).error_code
    }

    fn commit(&self, bench: &mut Bench, offset: i64) -> ErrorCode {
        self.commit_as(bench, offset, ("", -1))
    }

    fn commit_as(
        &self,
        bench: &mut Bench,
        offset: i64,
        (member, generation): (&str, i32),
    ) -> ErrorCode {
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            ..TxnOffsetCommitRequestPartition::default()
        };
        let topic = TxnOffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![partition],
            ..TxnOffsetCommitRequestTopic::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: "tx".to_owned(),
            group_id: "g".to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            member_id: member.to_owned(),
            generation_id_or_member_epoch: generation,
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        };
        let response = bench.call_over(self.conn, &request, self.speech.commit);
        response.topics[0].partitions[0].error_code
    }
}

fn committed(bench: &mut Bench) -> PartitionData {
    let request = FetchRequest { isolation_level: 1, ..fetch_request("t", 0, 0) };
    only(bench.call(&request, 11))
}

fn latest(bench: &mut Bench, isolation_level: i8) -> i64 {
    let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] };
    let request = ListOffsetsRequest { isolation_level, topics: vec![topic], ..Default::default() };
    bench.call(&request, 5).topics[0].partitions[0].offset
}

/// The group's position, as a fetch that asks for stable ones or for any is told.
fn position(bench: &mut Bench, require_stable: bool) -> Result<i64, ErrorCode> {
    let topic = OffsetFetchRequestTopics {
        name: "t".to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request =
        OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() };
    let told = bench.call(&request, 9).groups.remove(0).topics.remove(0).partitions.remove(0);
    if told.error_code.is_ok() { Ok(told.committed_offset) } else { Err(told.error_code) }
}

fn state(bench: &Bench) -> &'static str {
    bench.cluster.transaction("tx").expect("a transactional id").state
}

#[test]
fn what_is_committed_is_read_and_what_is_aborted_is_listed() {
    for speech in [OLDER, NEWER] {
        let mut bench = Bench::with_topic();
        let mut producer = Producer::new(&mut bench, speech);
        producer.write(&mut bench, "a");
        let open = committed(&mut bench);
        assert_eq!((open.last_stable_offset, open.high_watermark), (0, 1));
        assert_eq!(values(open.records), []);
        assert_eq!((latest(&mut bench, 1), latest(&mut bench, 0)), (0, 1));
        assert_eq!(producer.end(&mut bench, true), ErrorCode::NONE);
        assert_eq!(latest(&mut bench, 1), 2, "the marker has an offset");
        producer.write(&mut bench, "b");
        assert_eq!(producer.end(&mut bench, false), ErrorCode::NONE);
        let all = committed(&mut bench);
        assert_eq!((all.last_stable_offset, all.high_watermark), (4, 4));
        let aborted: Vec<_> = all.aborted_transactions.into_iter().flatten().collect();
        assert_eq!(aborted.len(), 1);
        assert_eq!((aborted[0].producer_id, aborted[0].first_offset), (producer.id, 2));
        assert_eq!(bench.fetch(0).aborted_transactions, None, "only for read_committed");
    }
}

#[test]
fn a_fetch_of_committed_records_waits_for_the_marker() {
    let mut bench = Bench::with_topic();
    let mut producer = Producer::new(&mut bench, NEWER);
    producer.write(&mut bench, "a");
    let request = FetchRequest {
        isolation_level: 1,
        max_wait_ms: 1000,
        min_bytes: 1,
        ..fetch_request("t", 0, 0)
    };
    bench.send(&request, 11);
    assert!(bench.answer::<FetchRequest>(11).is_none());
    producer.end(&mut bench, true);
    let woken = only(bench.answer::<FetchRequest>(11).expect("the marker wakes it"));
    assert_eq!(woken.last_stable_offset, 2);
}

#[test]
fn the_older_protocol_keeps_its_epoch_and_version_two_takes_a_new_one_each_time() {
    for (speech, epochs) in [(OLDER, [0, 0]), (NEWER, [1, 2])] {
        let mut bench = Bench::with_topic();
        let mut producer = Producer::new(&mut bench, speech);
        for epoch in epochs {
            producer.write(&mut bench, "a");
            producer.write(&mut bench, "b");
            assert_eq!(producer.end(&mut bench, true), ErrorCode::NONE);
            assert_eq!(producer.epoch, epoch);
        }
        assert_eq!(bench.cluster.log("t", 0).unwrap().end_offset(), 6);
    }
}

#[test]
fn a_partition_that_was_not_added_is_refused_as_the_version_knows_it() {
    let mut bench = Bench::with_topic();
    let mut producer = Producer::new(&mut bench, OLDER);
    assert_eq!(producer.send(&mut bench, "a"), ErrorCode::TRANSACTION_ABORTABLE);
    producer.speech.produce = 10;
    assert_eq!(producer.send(&mut bench, "a"), ErrorCode::INVALID_TXN_STATE);
    producer.speech.produce = 12;
    producer.sequence = 3;
    assert_eq!(producer.send(&mut bench, "a"), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(bench.cluster.log("t", 0).unwrap().end_offset(), 0);
}

#[test]
fn adding_an_unknown_partition_adds_none() {
    let mut bench = Bench::with_topic();
    let producer = Producer::new(&mut bench, OLDER);
    assert_eq!(producer.add(&mut bench, "none", 3), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let topic = |name: &str, partitions: &[i32]| AddPartitionsToTxnTopic {
        name: name.to_owned(),
        partitions: partitions.to_vec(),
    };
    let asked = |verify_only, partitions: &[i32]| AddPartitionsToTxnRequest {
        transactions: vec![AddPartitionsToTxnTransaction {
            transactional_id: "tx".to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            verify_only,
            topics: vec![topic("t", partitions)],
        }],
        ..AddPartitionsToTxnRequest::default()
    };
    let mut codes = |verify_only, partitions: &[i32]| -> Vec<ErrorCode> {
        let response = bench.call(&asked(verify_only, partitions), 5);
        let topics = &response.results_by_transaction[0].topic_results;
        topics[0].results_by_partition.iter().map(|p| p.partition_error_code).collect()
    };
    let (missing, skipped) =
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::OPERATION_NOT_ATTEMPTED);
    assert_eq!(codes(false, &[0, 7]), [skipped, missing]);
    assert_eq!(codes(true, &[0]), [ErrorCode::TRANSACTION_ABORTABLE]);
    assert_eq!(codes(false, &[0]), [ErrorCode::NONE]);
    assert_eq!(codes(true, &[0]), [ErrorCode::NONE]);
}

#[test]
fn a_second_producer_aborts_what_the_first_left_and_fences_it() {
    for speech in [OLDER, NEWER] {
        let mut bench = Bench::with_topic();
        let mut first = Producer::new(&mut bench, speech);
        first.write(&mut bench, "a");
        let mut second = Producer { id: -1, epoch: -1, sequence: 0, ..first };
        let told = second.init(&mut bench);
        assert_eq!(told.error_code, ErrorCode::CONCURRENT_TRANSACTIONS);
        assert_eq!(state(&bench), "CompleteAbort");
        assert_eq!(second.init(&mut bench).error_code, ErrorCode::NONE);
        assert!(second.epoch > first.epoch + 1);
        assert_eq!(first.send(&mut bench, "b"), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(first.end(&mut bench, true), ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.add(&mut bench, "t", 3), ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.add(&mut bench, "t", 1), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(first.add_offsets(&mut bench), ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.commit(&mut bench, 1), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(first.init(&mut bench).error_code, ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.end_as(&mut bench, true, 1).error_code, ErrorCode::INVALID_PRODUCER_EPOCH);
        second.write(&mut bench, "c");
        assert_eq!(second.end(&mut bench, true), ErrorCode::NONE);
        let aborted = committed(&mut bench).aborted_transactions.unwrap_or_default();
        assert_eq!(aborted.len(), 1);
    }
}

#[test]
fn a_transaction_left_open_is_aborted_after_its_timeout() {
    for speech in [OLDER, NEWER] {
        let level = if speech.end >= 5 { 2 } else { 0 };
        let config = ClusterConfig { transaction_version: level, ..ClusterConfig::default() };
        let mut bench = Bench::new(config);
        bench.cluster.create_topic("t", 1, 1).unwrap();
        let mut producer = Producer::new(&mut bench, speech);
        producer.write(&mut bench, "a");
        bench.pass(Duration::from_millis(999));
        assert_eq!(state(&bench), "Ongoing");
        bench.pass(Duration::from_millis(2));
        assert_eq!(state(&bench), "CompleteAbort");
        assert_eq!(latest(&mut bench, 1), 2);
        assert_eq!(producer.end(&mut bench, true), ErrorCode::PRODUCER_FENCED);
        assert_eq!(producer.send(&mut bench, "b"), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(producer.init(&mut bench).error_code, ErrorCode::PRODUCER_FENCED);
        (producer.id, producer.epoch) = (-1, -1);
        assert_eq!(producer.init(&mut bench).error_code, ErrorCode::NONE);
    }
}

#[test]
fn until_the_markers_are_written_everybody_has_to_wait() {
    let config =
        ClusterConfig { marker_delay: Duration::from_millis(50), ..ClusterConfig::default() };
    let mut bench = Bench::new(config);
    bench.cluster.create_topic("t", 1, 1).unwrap();
    let mut producer = Producer::new(&mut bench, OLDER);
    producer.write(&mut bench, "a");
    assert_eq!(producer.end(&mut bench, true), ErrorCode::NONE);
    assert_eq!(state(&bench), "PrepareCommit");
    let waits = ErrorCode::CONCURRENT_TRANSACTIONS;
    assert_eq!(producer.end(&mut bench, true), waits);
    assert_eq!(producer.add(&mut bench, "t", 3), waits);
    assert_eq!(producer.init(&mut bench).error_code, waits);
    assert_eq!(producer.send(&mut bench, "b"), ErrorCode::NOT_ENOUGH_REPLICAS);
    producer.speech = NEWER;
    assert_eq!(producer.send(&mut bench, "b"), ErrorCode::CONCURRENT_TRANSACTIONS);
    assert_eq!(latest(&mut bench, 1), 0);
    bench.pass(Duration::from_millis(50));
    assert_eq!((state(&bench), latest(&mut bench, 1)), ("CompleteCommit", 2));
    assert_eq!(producer.send(&mut bench, "b"), ErrorCode::NONE);
}

#[test]
fn positions_count_once_their_transaction_is_committed() {
    for speech in [OLDER, NEWER] {
        let mut bench = Bench::with_topic();
        let mut producer = Producer::new(&mut bench, speech);
        if speech.commit < 5 {
            assert_eq!(producer.commit(&mut bench, 5), ErrorCode::TRANSACTION_ABORTABLE);
            assert_eq!(producer.add_offsets(&mut bench), ErrorCode::NONE);
        }
        assert_eq!(producer.commit(&mut bench, 5), ErrorCode::NONE);
        assert_eq!(position(&mut bench, true), Err(ErrorCode::UNSTABLE_OFFSET_COMMIT));
        assert_eq!(position(&mut bench, false), Ok(-1));
        assert_eq!(producer.end(&mut bench, true), ErrorCode::NONE);
        assert_eq!(position(&mut bench, true), Ok(5));
        if speech.commit < 5 {
            assert_eq!(producer.add_offsets(&mut bench), ErrorCode::NONE);
        }
        assert_eq!(producer.commit(&mut bench, 9), ErrorCode::NONE);
        assert_eq!(producer.end(&mut bench, false), ErrorCode::NONE);
        assert_eq!(position(&mut bench, true), Ok(5));
    }
}

#[test]
fn a_position_of_a_consumer_that_is_not_in_the_group_is_refused() {
    let mut bench = Bench::with_topic();
    let producer = Producer::new(&mut bench, NEWER);
    let code = producer.commit_as(&mut bench, 5, ("who", 3));
    assert_eq!(code, ErrorCode::ILLEGAL_GENERATION, "there is no group");
    assert_eq!(producer.commit(&mut bench, 5), ErrorCode::NONE);
    let code = producer.commit_as(&mut bench, 6, ("who", 3));
    assert_eq!(code, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_transaction_outlives_its_coordinator_and_ends_where_partitions_have_leaders() {
    let mut bench = Bench::new(ClusterConfig { brokers: 3, ..ClusterConfig::default() });
    bench.cluster.create_topic("t", 1, 1).unwrap();
    let leader = bench.cluster.leader("t", 0).unwrap().node;
    assert_eq!(leader, 1);
    assert!(bench.cluster.move_coordinator("tx", 2));
    let find = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec!["tx".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    assert_eq!(bench.call(&find, 4).coordinators[0].node_id, 2);
    let (at_leader, at_second) = (bench.conn, bench.cluster.connect(2));
    let mut producer = Producer { conn: at_leader, speech: NEWER, id: -1, epoch: -1, sequence: 0 };
    assert_eq!(producer.init(&mut bench).error_code, ErrorCode::NOT_COORDINATOR);
    producer.conn = at_second;
    assert_eq!(producer.init(&mut bench).error_code, ErrorCode::NONE);
    producer.conn = at_leader;
    producer.write(&mut bench, "a");
    assert!(bench.cluster.move_coordinator("tx", 3));
    producer.conn = at_second;
    assert_eq!(producer.end(&mut bench, true), ErrorCode::NOT_COORDINATOR);
    bench.cluster.kill(leader);
    producer.conn = bench.cluster.connect(3);
    assert_eq!(producer.end(&mut bench, true), ErrorCode::NONE);
    assert_eq!(state(&bench), "PrepareCommit", "the partition has no leader");
    assert!(bench.cluster.revive(leader));
    assert_eq!(state(&bench), "CompleteCommit");
    bench.conn = bench.cluster.connect(leader);
    assert_eq!(latest(&mut bench, 1), 2);
}

#[test]
fn a_producer_without_transactions_may_not_write_into_its_own_open_one() {
    let mut bench = Bench::with_topic();
    let mut producer = Producer::new(&mut bench, NEWER);
    producer.write(&mut bench, "a");
    let plain = ProducerStamp {
        producer_id: producer.id,
        epoch: producer.epoch,
        base_sequence: producer.sequence,
        transactional: false,
    };
    let code = bench.produce(stamped(&["b"], Some(plain))).error_code;
    assert_eq!(code, ErrorCode::INVALID_TXN_STATE);
    let nameless = ProduceRequest { transactional_id: None, ..producer.batch("b") };
    let response = bench.call(&nameless, 12);
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}

#[test]
fn transactions_are_described_and_listed_by_state_age_and_pattern() {
    let mut bench = Bench::with_topic();
    let producer = Producer::new(&mut bench, NEWER);
    let since = ClusterConfig::default().wall_clock_ms;
    assert_eq!(producer.commit(&mut bench, 5), ErrorCode::NONE);
    bench.pass(Duration::from_millis(10));
    let request =
        DescribeTransactionsRequest { transactional_ids: vec!["tx".to_owned(), "none".to_owned()] };
    let told = bench.call(&request, 0).transaction_states;
    assert_eq!((told[0].transaction_state.as_str(), told[0].producer_id), ("Ongoing", producer.id));
    assert_eq!((told[0].transaction_timeout_ms, told[0].transaction_start_time_ms), (1000, since));
    // The hash of "g" is 103.
    assert_eq!(told[0].topics[0].topic, "__consumer_offsets");
    assert_eq!(told[0].topics[0].partitions, [3]);
    assert_eq!(told[1].error_code, ErrorCode::TRANSACTIONAL_ID_NOT_FOUND);
    let mut listed = |request: ListTransactionsRequest| {
        let response = bench.call(&request, 2);
        (response.error_code, response.transaction_states.len(), response.unknown_state_filters)
    };
    let ask = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
    let states = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let filtered = |names| ListTransactionsRequest { state_filters: states(names), ..ask.clone() };
    assert_eq!(listed(ask.clone()), (ErrorCode::NONE, 1, vec![]));
    assert_eq!(listed(filtered(&["Empty", "Odd"])), (ErrorCode::NONE, 0, states(&["Odd"])));
    assert_eq!(listed(filtered(&["Ongoing"])).1, 1);
    assert_eq!(listed(ListTransactionsRequest { duration_filter: 9, ..ask.clone() }).1, 1);
    assert_eq!(listed(ListTransactionsRequest { duration_filter: 10, ..ask.clone() }).1, 0);
    let like = |pattern: &str| ListTransactionsRequest {
        transactional_id_pattern: Some(pattern.to_owned()),
        ..ask.clone()
    };
    assert_eq!(listed(like("t.*")).1, 1);
    assert_eq!(listed(like("x")).1, 0);
    assert_eq!(listed(like("(")).0, ErrorCode::INVALID_REGULAR_EXPRESSION);
}

#[test]
fn impossible_claims_are_refused() {
    let mut bench = Bench::with_topic();
    let request = |id: &str, timeout, producer_id, producer_epoch| InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: timeout,
        producer_id,
        producer_epoch,
        ..InitProducerIdRequest::default()
    };
    let mut code = |request: InitProducerIdRequest| bench.call(&request, 5).error_code;
    assert_eq!(code(request("", 1000, -1, -1)), ErrorCode::INVALID_REQUEST);
    assert_eq!(code(request("tx", 1000, 7, -1)), ErrorCode::INVALID_REQUEST);
    assert_eq!(code(request("tx", 0, -1, -1)), ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    assert_eq!(code(request("tx", 900_001, -1, -1)), ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    let stranger = Producer { conn: bench.conn, speech: NEWER, id: 1, epoch: 0, sequence: 0 };
    let unknown = ErrorCode::INVALID_PRODUCER_ID_MAPPING;
    assert_eq!(stranger.end_as(&mut bench, true, 5).error_code, unknown);
    assert_eq!(stranger.add(&mut bench, "t", 3), unknown);
}

#[test]
fn the_transaction_ends_without_a_topic_that_was_deleted_meanwhile() {
    let mut bench = Bench::with_topic();
    let mut producer = Producer::new(&mut bench, NEWER);
    producer.write(&mut bench, "a");
    bench.cluster.delete_topic("t");
    assert_eq!(producer.end(&mut bench, true), ErrorCode::NONE);
    assert_eq!(state(&bench), "CompleteCommit");
}
