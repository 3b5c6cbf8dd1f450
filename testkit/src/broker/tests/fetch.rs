//! Fetch without sessions, long polls, and ListOffsets.

use std::time::Duration;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_protocol::records::ProducerStamp;

use crate::broker::ClusterConfig;

use super::harness::{Bench, batch, fetch_request, only, stamp, stamped, values};

fn patient(offset: i64, min_bytes: i32) -> FetchRequest {
    FetchRequest { max_wait_ms: 500, min_bytes, ..fetch_request("t", 0, offset) }
}

#[test]
fn a_fetch_at_the_end_waits_for_an_append() {
    let mut bench = Bench::with_topic();
    let producer = bench.cluster.connect(1);
    bench.send(&patient(0, 1), 11);
    assert!(bench.answer::<FetchRequest>(11).is_none());
    assert_eq!(bench.cluster.poll_timeout(), Some(bench.now + Duration::from_millis(500)));
    let request = super::harness::produce_request("t", 0, -1, batch(&["a"]));
    bench.call_over(producer, &request, 9);
    let partition = only(bench.answer::<FetchRequest>(11).unwrap());
    assert_eq!(values(partition.records), [(0, "a".to_owned())]);
    assert_eq!(bench.cluster.poll_timeout(), None);
}

#[test]
fn a_fetch_that_waits_in_vain_is_answered_at_its_deadline_with_what_there_is() {
    let mut bench = Bench::with_topic();
    bench.produce(batch(&["a"]));
    bench.send(&patient(0, 1_000_000), 11);
    bench.pass(Duration::from_millis(499));
    assert!(bench.answer::<FetchRequest>(11).is_none());
    bench.pass(Duration::from_millis(1));
    let partition = only(bench.answer::<FetchRequest>(11).unwrap());
    assert_eq!(values(partition.records), [(0, "a".to_owned())]);
}

#[test]
fn a_waiting_fetch_holds_back_later_requests_of_its_connection() {
    let mut bench = Bench::with_topic();
    bench.send(&patient(0, 1), 11);
    bench.send(&MetadataRequest::default(), 9);
    assert!(bench.frame(bench.conn).is_none());
    assert_eq!(bench.cluster.backlog(bench.conn), 1);
    bench.pass(Duration::from_millis(500));
    assert!(bench.answer::<FetchRequest>(11).is_some());
    assert!(bench.answer::<MetadataRequest>(9).is_some());
}

#[test]
fn a_waiting_fetch_is_told_when_its_topic_goes_or_its_leader_moves() {
    let mut bench = Bench::with_two_brokers();
    bench.send(&patient(0, 1), 10);
    bench.cluster.move_leader("t", 0, 2);
    let moved = only(bench.answer::<FetchRequest>(10).unwrap());
    assert_eq!(moved.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    bench.cluster.move_leader("t", 0, 1);
    bench.send(&patient(0, 1), 10);
    bench.cluster.delete_topic("t");
    let gone = only(bench.answer::<FetchRequest>(10).unwrap());
    assert_eq!(gone.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_node_that_leads_no_more_serves_on_as_a_follower_unless_the_epoch_is_named() {
    let mut bench = Bench::with_two_brokers();
    bench.send(&patient(0, 1), 11);
    bench.cluster.move_leader("t", 0, 2);
    assert!(bench.answer::<FetchRequest>(11).is_none(), "followers are read from (KIP-392)");
    bench.pass(Duration::from_millis(500));
    let told = only(bench.answer::<FetchRequest>(11).unwrap());
    assert_eq!(told.error_code, ErrorCode::NONE);
    let mut request = patient(0, 1);
    request.topics[0].partitions[0].current_leader_epoch = 1;
    bench.send(&request, 11);
    bench.cluster.move_leader("t", 0, 1);
    let fenced = only(bench.answer::<FetchRequest>(11).unwrap());
    assert_eq!(fenced.error_code, ErrorCode::FENCED_LEADER_EPOCH);
}

#[test]
fn requests_behind_a_waiting_fetch_are_served_once_a_change_has_answered_it() {
    let mut bench = Bench::with_two_brokers();
    bench.send(&patient(0, 1), 10);
    bench.send(&MetadataRequest::default(), 9);
    bench.cluster.move_leader("t", 0, 2);
    assert!(bench.answer::<FetchRequest>(10).is_some());
    assert!(bench.answer::<MetadataRequest>(9).is_some());
}

#[test]
fn a_closed_connection_leaves_no_waiting_fetch_behind() {
    let mut bench = Bench::with_topic();
    bench.send(&patient(0, 1), 11);
    bench.cluster.disconnect(bench.conn);
    assert_eq!(bench.cluster.poll_timeout(), None);
    assert_eq!(bench.cluster.connections(), 0);
}

#[test]
fn byte_limits_hold_but_the_first_batch_always_comes() {
    let mut bench = Bench::with_topic();
    for _ in 0..3 {
        bench.produce(batch(&[&"x".repeat(100)]));
    }
    let size = bench.cluster.log("t", 0).unwrap().bytes() as i32 / 3;
    let mut count = |partition_max_bytes: i32, max_bytes: i32| {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].partitions[0].partition_max_bytes = partition_max_bytes;
        request.max_bytes = max_bytes;
        values(only(bench.call(&request, 11)).records).len()
    };
    assert_eq!(count(1, i32::MAX), 1);
    assert_eq!(count(i32::MAX, 1), 1);
    assert_eq!(count(size * 2, i32::MAX), 2);
    assert_eq!(count(i32::MAX, size * 3 - 1), 2);
    assert_eq!(count(i32::MAX, size * 3), 3);
}

#[test]
fn a_fetch_may_end_within_a_batch_where_the_cluster_is_told_to() {
    let config = ClusterConfig { cut_batches: true, ..ClusterConfig::default() };
    let mut bench = Bench::new(config);
    bench.cluster.create_topic("t", 1, 1).unwrap();
    for _ in 0..2 {
        bench.produce(batch(&["value"]));
    }
    let whole = bench.cluster.log("t", 0).unwrap().bytes();
    let mut fetched = |max_bytes: usize| {
        let mut request = fetch_request("t", 0, 0);
        request.max_bytes = max_bytes as i32;
        let records = only(bench.call(&request, 11)).records.unwrap();
        (records.len(), values(Some(records)).len())
    };
    assert_eq!(fetched(whole - 1), (whole - 1, 1));
    assert_eq!(fetched(whole), (whole, 2));
    assert_eq!(fetched(1), (whole / 2, 1));
}

#[test]
fn positions_outside_the_log_and_wrong_epochs_are_refused() {
    let mut bench = Bench::with_two_brokers();
    bench.produce(batch(&["a"]));
    bench.cluster.move_leader("t", 0, 2);
    bench.cluster.move_leader("t", 0, 1);
    assert_eq!(bench.fetch(1).error_code, ErrorCode::NONE);
    assert_eq!(bench.fetch(2).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(bench.fetch(-1).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    let mut with_epoch = |epoch| {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        only(bench.call(&request, 12)).error_code
    };
    assert_eq!(with_epoch(1), ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(with_epoch(2), ErrorCode::NONE);
    assert_eq!(with_epoch(3), ErrorCode::UNKNOWN_LEADER_EPOCH);
}

#[test]
fn a_reader_of_records_that_were_lost_learns_where_its_log_parts() {
    let mut bench = Bench::with_two_brokers();
    for value in ["a", "b", "c"] {
        bench.produce(batch(&[value]));
    }
    assert!(bench.cluster.truncate("t", 0, 1));
    bench.produce(batch(&["d"]));
    let mut request = fetch_request("t", 0, 3);
    request.topics[0].partitions[0].last_fetched_epoch = 0;
    let partition = only(bench.call(&request, 12));
    assert_eq!(partition.error_code, ErrorCode::NONE);
    assert_eq!((partition.diverging_epoch.epoch, partition.diverging_epoch.end_offset), (0, 1));
}

#[test]
fn committed_readers_stop_at_open_transactions_and_learn_of_aborted_ones() {
    let mut bench = Bench::with_topic();
    let transactional = |sequence| ProducerStamp { transactional: true, ..stamp(7, 0, sequence) };
    bench.produce(batch(&["a"]));
    let data = stamped(&["b"], Some(transactional(0)));
    let mut committed = fetch_request("t", 0, 0);
    committed.isolation_level = 1;
    bench.cluster.edit_log("t", 0, |log| log.append(&data, 0, 0)).unwrap();
    let open = only(bench.call(&committed, 11));
    assert_eq!((open.last_stable_offset, open.high_watermark), (1, 2));
    assert_eq!(values(open.records).len(), 1);
    bench.cluster.edit_log("t", 0, |log| log.append_marker(7, 0, false, 0, 0)).unwrap();
    let ended = only(bench.call(&committed, 11));
    assert_eq!(ended.last_stable_offset, 3);
    let aborted = ended.aborted_transactions.unwrap();
    assert_eq!((aborted.len(), aborted[0].producer_id, aborted[0].first_offset), (1, 7, 1));
    assert_eq!(bench.fetch(0).aborted_transactions, None);
}

#[test]
fn offsets_are_found_by_their_special_numbers_and_by_time() {
    let mut bench = Bench::with_topic();
    bench.produce(batch(&["a", "b", "c"]));
    bench.produce(batch(&["d"]));
    bench.cluster.edit_log("t", 0, |log| log.delete_records(1)).unwrap();
    let mut find = |timestamp| {
        let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let found = bench.call(&request, 8).topics.remove(0).partitions.remove(0);
        assert!(found.error_code.is_ok());
        (found.offset, found.timestamp)
    };
    assert_eq!(find(-2), (1, -1));
    assert_eq!(find(-1), (4, -1));
    assert_eq!(find(-3), (2, 1002));
    assert_eq!(find(0), (1, 1001));
    assert_eq!(find(1002), (2, 1002));
    assert_eq!(find(2000), (-1, -1));
}
