//! Produce and InitProducerId.

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::records::{BatchBuilder, BatchOptions, RecordParts};

use super::harness::{Bench, batch, fetch_request, produce_request, stamp, stamped, values};
use crate::broker::ClusterConfig;
use crate::log::LogRules;

#[test]
fn offsets_follow_one_another_and_records_come_back() {
    let mut bench = Bench::with_topic();
    assert_eq!(bench.produce(batch(&["a", "b"])).base_offset, 0);
    assert_eq!(bench.produce(batch(&["c"])).base_offset, 2);
    let fetched = bench.fetch(0);
    assert_eq!(fetched.high_watermark, 3);
    let expected = [(0, "a"), (1, "b"), (2, "c")].map(|(at, value)| (at, value.to_owned()));
    assert_eq!(values(fetched.records), expected);
}

#[test]
fn a_large_batch_is_fetched_from_the_bytes_that_were_produced() {
    let mut bench = Bench::with_topic();
    let value = "x".repeat(20_000);
    let request = produce_request("t", 0, -1, batch(&[&value]));
    let frame = klamm_protocol::header::encode_request(&request, 9, 1, None).unwrap();
    let frame = frame.into_bytes().split_off(4);
    let memory = frame.as_ptr_range();
    bench.cluster.handle_frame(bench.now, bench.conn, frame);
    assert!(bench.frame(bench.conn).is_some());
    bench.send(&fetch_request("t", 0, 0), 11);
    let answer = bench.frame(bench.conn).unwrap();
    let shared = answer.iter().any(|part| part.len() > 19_000 && memory.contains(&part.as_ptr()));
    assert!(shared, "the batch was copied");
}

#[test]
fn a_repeated_batch_gets_its_old_offset_and_is_written_once() {
    let mut bench = Bench::with_topic();
    let first = stamped(&["a", "b"], Some(stamp(7, 0, 0)));
    let second = stamped(&["c"], Some(stamp(7, 0, 2)));
    assert_eq!(bench.produce(first.clone()).base_offset, 0);
    assert_eq!(bench.produce(second.clone()).base_offset, 2);
    let again = bench.produce(first);
    assert_eq!((again.error_code, again.base_offset), (ErrorCode::NONE, 0));
    assert_eq!(bench.produce(second).base_offset, 2);
    assert_eq!(bench.cluster.log("t", 0).unwrap().end_offset(), 3);
}

#[test]
fn gaps_and_old_epochs_of_a_producer_are_refused() {
    let mut bench = Bench::with_topic();
    assert_eq!(bench.produce(stamped(&["a"], Some(stamp(7, 1, 0)))).base_offset, 0);
    let gap = bench.produce(stamped(&["b"], Some(stamp(7, 1, 5))));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let old = bench.produce(stamped(&["b"], Some(stamp(7, 0, 1))));
    assert_eq!(old.error_code, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(bench.cluster.log("t", 0).unwrap().end_offset(), 1);
}

#[test]
fn batches_that_no_broker_takes_are_refused_and_nothing_is_written() {
    let mut bench = Bench::with_topic();
    let good = batch(&["a"]);
    let mut corrupt = good.to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    let mut old = good.to_vec();
    old[16] = 1;
    let mut gaps = BatchBuilder::new(BatchOptions::default());
    gaps.try_push(&RecordParts::new(1, None, Some(b"a"))).unwrap();
    gaps.skip_offsets(3);
    gaps.try_push(&RecordParts::new(1, None, Some(b"b"))).unwrap();
    let mut control = BatchBuilder::new(BatchOptions::default()).control();
    control.try_push(&RecordParts::new(1, Some(&[0, 0, 0, 1]), Some(&[0; 6]))).unwrap();
    let large = "x".repeat(1_100_000);
    let mut too_large = BatchBuilder::new(BatchOptions {
        max_bytes: 2 << 20,
        max_record_bytes: 2 << 20,
        ..BatchOptions::default()
    });
    too_large.try_push(&RecordParts::new(1, None, Some(large.as_bytes()))).unwrap();
    let transactional =
        klamm_protocol::records::ProducerStamp { transactional: true, ..stamp(7, 0, 0) };
    let cases = [
        (Bytes::from(corrupt), ErrorCode::CORRUPT_MESSAGE),
        (good.slice(..good.len() - 1), ErrorCode::CORRUPT_MESSAGE),
        (Bytes::new(), ErrorCode::CORRUPT_MESSAGE),
        ([good.clone(), good.clone()].concat().into(), ErrorCode::INVALID_RECORD),
        (gaps.seal().to_bytes(), ErrorCode::INVALID_RECORD),
        (control.seal().to_bytes(), ErrorCode::INVALID_RECORD),
        (too_large.seal().to_bytes(), ErrorCode::MESSAGE_TOO_LARGE),
        (stamped(&["a"], Some(transactional)), ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    ];
    for (n, (records, code)) in cases.into_iter().enumerate() {
        assert_eq!(bench.produce(records).error_code, code, "case {n}");
    }
    assert!(!bench.produce(old.into()).error_code.is_ok());
    assert_eq!(bench.cluster.log("t", 0).unwrap().end_offset(), 0);
}

#[test]
fn unacknowledged_batches_get_no_answer_and_a_refused_one_ends_the_connection() {
    let mut bench = Bench::with_topic();
    bench.send(&produce_request("t", 0, 0, batch(&["a"])), 9);
    assert!(bench.frame(bench.conn).is_none());
    assert!(bench.closed().is_empty());
    assert_eq!(bench.cluster.log("t", 0).unwrap().end_offset(), 1);
    bench.send(&produce_request("t", 9, 0, batch(&["a"])), 9);
    assert_eq!(bench.closed(), [bench.conn]);
}

#[test]
fn a_node_that_does_not_lead_names_the_one_that_does() {
    let mut bench = Bench::with_two_brokers();
    bench.cluster.set_address(2, "other", 99);
    assert!(bench.cluster.move_leader("t", 0, 2));
    let request = produce_request("t", 0, -1, batch(&["a"]));
    let response = bench.call(&request, 10);
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!((partition.current_leader.leader_id, partition.current_leader.leader_epoch), (2, 1));
    assert_eq!(
        (response.node_endpoints[0].host.as_str(), response.node_endpoints[0].port),
        ("other", 99)
    );
    let older = bench.call(&request, 9);
    assert!(older.node_endpoints.is_empty());
}

#[test]
fn topics_are_named_by_id_since_version_thirteen() {
    let mut bench = Bench::with_topic();
    let mut request = produce_request("", 0, -1, batch(&["a"]));
    let unknown = bench.call(&request, 13);
    assert_eq!(unknown.responses[0].partition_responses[0].error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    request.topic_data[0].topic_id = bench.cluster.topic_id("t").unwrap();
    let known = bench.call(&request, 13);
    assert_eq!(known.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
}

#[test]
fn acks_of_all_need_the_replicas_that_the_topic_asks_for() {
    let mut bench = Bench::new(ClusterConfig { brokers: 2, ..ClusterConfig::default() });
    bench.cluster.create_topic_with("t", 1, 2, &[("min.insync.replicas", "2")]).unwrap();
    assert_eq!(bench.produce(batch(&["a"])).error_code, ErrorCode::NONE);
    bench.cluster.kill(2);
    assert_eq!(bench.produce(batch(&["a"])).error_code, ErrorCode::NOT_ENOUGH_REPLICAS);
    let one = bench.call(&produce_request("t", 0, 1, batch(&["a"])), 9);
    assert_eq!(one.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
}

#[test]
fn a_topic_of_append_time_stamps_its_batches_with_the_wall_clock() {
    let config = ClusterConfig { wall_clock_ms: 5_000_000, ..ClusterConfig::default() };
    let mut bench = Bench::new(config);
    let settings = [("message.timestamp.type", "LogAppendTime")];
    bench.cluster.create_topic_with("t", 1, 1, &settings).unwrap();
    let answer = bench.produce(batch(&["a", "b"]));
    assert_eq!(answer.log_append_time_ms, 5_000_000);
    let records = bench.fetch(0).records.unwrap();
    let raw = klamm_protocol::records::RawBatch::read(records).unwrap();
    let opened = raw.open(&mut klamm_protocol::records::Inflater::new(), 1000).unwrap();
    assert!(opened.records().all(|record| record.unwrap().timestamp() == 5_000_000));
}

#[test]
fn a_bounded_partition_drops_its_oldest_batches() {
    let log = LogRules { max_bytes: Some(1000), ..LogRules::default() };
    let mut bench = Bench::new(ClusterConfig { log, ..ClusterConfig::default() });
    bench.cluster.create_topic("t", 1, 1).unwrap();
    for _ in 0..50 {
        assert!(bench.produce(batch(&["some bytes that take room"])).error_code.is_ok());
    }
    let log = bench.cluster.log("t", 0).unwrap();
    assert!(log.bytes() <= 1000 && log.start_offset() > 0);
    assert_eq!(log.end_offset(), 50);
    let start = log.start_offset();
    assert_eq!(values(bench.fetch(start).records).first().map(|(at, _)| *at), Some(start));
    assert_eq!(bench.fetch(start - 1).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
}

#[test]
fn producer_ids_are_new_each_time() {
    let mut bench = Bench::with_topic();
    let mut request = InitProducerIdRequest {
        transactional_id: None,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let first = bench.call(&request, 4);
    let second = bench.call(&request, 4);
    assert_ne!(first.producer_id, second.producer_id);
    // Such a producer counts its epochs itself.
    (request.producer_id, request.producer_epoch) = (first.producer_id, first.producer_epoch);
    let third = bench.call(&request, 4);
    assert!(third.producer_id > second.producer_id);
    assert_eq!(third.producer_epoch, 0);
}

#[test]
fn partitions_of_one_request_are_judged_each_for_itself() {
    let mut bench = Bench::with_topic();
    let mut request = produce_request("t", 0, -1, batch(&["a"]));
    let mut missing = request.topic_data[0].partition_data[0].clone();
    missing.index = 4;
    request.topic_data[0].partition_data.push(missing);
    let response = bench.call::<ProduceRequest>(&request, 9);
    let codes: Vec<_> =
        response.responses[0].partition_responses.iter().map(|p| p.error_code).collect();
    assert_eq!(codes, [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
}
