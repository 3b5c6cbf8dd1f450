//! Reading from followers (KIP-392), and topics that were made anew.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::{FetchRequest, PartitionData};
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};

use super::harness::{Bench, batch, fetch_request, only, values};
use crate::broker::{ClusterConfig, ConnId};

/// Three brokers in the racks a, b and b; node 1 leads `t`, which 1 and 2 replicate.
fn racks() -> Bench {
    let racks = ["a", "b", "b"].map(str::to_owned).to_vec();
    let config = ClusterConfig { brokers: 3, racks, ..ClusterConfig::default() };
    let mut bench = Bench::new(config);
    bench.cluster.create_topic("t", 1, 2).unwrap();
    bench.produce(batch(&["a", "b"]));
    bench
}

fn fetch(bench: &mut Bench, conn: ConnId, offset: i64, rack: &str) -> PartitionData {
    let request = FetchRequest { rack_id: rack.to_owned(), ..fetch_request("t", 0, offset) };
    only(bench.call_over(conn, &request, 11))
}

#[test]
fn a_client_is_sent_to_the_replica_in_its_rack_and_reads_there() {
    let mut bench = racks();
    let leader = bench.conn;
    let sent = fetch(&mut bench, leader, 0, "b");
    assert_eq!((sent.error_code, sent.preferred_read_replica), (ErrorCode::NONE, 2));
    assert_eq!((values(sent.records), sent.high_watermark), (vec![], 2));
    for rack in ["a", "c", ""] {
        let stays = fetch(&mut bench, leader, 0, rack);
        assert_eq!((stays.preferred_read_replica, values(stays.records).len()), (-1, 2));
    }
    let follower = bench.cluster.connect(2);
    assert_eq!(values(fetch(&mut bench, follower, 0, "b").records).len(), 2);
    let stranger = bench.cluster.connect(3);
    let code = fetch(&mut bench, stranger, 0, "b").error_code;
    assert_eq!(code, ErrorCode::NOT_LEADER_OR_FOLLOWER, "it holds no replica");
    let older = only(bench.call_over(follower, &fetch_request("t", 0, 0), 10));
    assert_eq!(older.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    bench.cluster.kill(2);
    assert_eq!(fetch(&mut bench, leader, 0, "b").preferred_read_replica, -1);
}

#[test]
fn a_follower_that_is_behind_gives_what_it_has_and_is_not_recommended_beyond() {
    let mut bench = racks();
    let (leader, follower) = (bench.conn, bench.cluster.connect(2));
    bench.produce(batch(&["c"]));
    assert!(bench.cluster.hold_follower("t", 0, 2, Some(2)));
    assert_eq!(values(fetch(&mut bench, follower, 0, "b").records).len(), 2);
    assert_eq!(fetch(&mut bench, leader, 2, "b").preferred_read_replica, 2);
    assert_eq!(fetch(&mut bench, leader, 3, "b").preferred_read_replica, -1);
    assert_eq!(fetch(&mut bench, follower, 3, "b").error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert!(bench.cluster.hold_follower("t", 0, 2, None));
    assert_eq!(values(fetch(&mut bench, follower, 2, "b").records).len(), 1);
}

#[test]
fn a_waiting_client_is_sent_away_at_once_and_told_again_within_a_session() {
    let mut bench = racks();
    let request = FetchRequest {
        rack_id: "b".to_owned(),
        max_wait_ms: 1000,
        min_bytes: 1,
        session_epoch: 0,
        ..fetch_request("t", 0, 2)
    };
    let first = bench.call(&request, 11);
    let session_id = first.session_id;
    assert_eq!(only(first).preferred_read_replica, 2);
    let next = FetchRequest { session_id, session_epoch: 1, topics: Vec::new(), ..request };
    assert_eq!(only(bench.call(&next, 11)).preferred_read_replica, 2);
}

#[test]
fn metadata_tells_the_racks() {
    let mut bench = racks();
    let brokers = bench.call(&MetadataRequest::default(), 12).brokers;
    let racks: Vec<_> = brokers.iter().map(|broker| broker.rack.as_deref()).collect();
    assert_eq!(racks, [Some("a"), Some("b"), Some("b")]);
}

#[test]
fn a_topic_that_was_made_anew_is_another_one() {
    let mut bench = Bench::with_topic();
    bench.produce(batch(&["old"]));
    let old = bench.cluster.topic_id("t").unwrap();
    let mut request = FetchRequest { session_epoch: 0, ..fetch_request("t", 0, 0) };
    request.topics[0].topic_id = old;
    let session_id = bench.call(&request, 13).session_id;
    assert_ne!(session_id, 0);
    bench.cluster.delete_topic("t");
    bench.cluster.create_topic("t", 1, 1).unwrap();
    let new = bench.cluster.topic_id("t").unwrap();
    assert_ne!(old, new);
    let next = FetchRequest { session_id, session_epoch: 1, topics: Vec::new(), ..request.clone() };
    let told = only(bench.call(&next, 13));
    assert_eq!(told.error_code, ErrorCode::UNKNOWN_TOPIC_ID, "the session fetches the old one");
    request.topics[0].topic_id = new;
    assert_eq!(values(only(bench.call(&request, 13)).records), []);
    let asked = MetadataRequestTopic { topic_id: old, name: None };
    let request = MetadataRequest { topics: Some(vec![asked]), ..MetadataRequest::default() };
    let told = bench.call(&request, 12).topics.remove(0);
    assert_eq!(told.error_code, ErrorCode::UNKNOWN_TOPIC_ID);
}
