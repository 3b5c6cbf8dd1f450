//! Interceptions, dead nodes, and what else a test does to a cluster.

use std::time::Duration;

use bytes::{Buf, Bytes};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use klamm_protocol::messages::produce::ProduceRequest;

use super::harness::{Bench, batch, fetch_request, produce_request, values};
use crate::broker::{Cluster, ClusterConfig, Leadership};
use crate::control::{Fault, Intercept};

fn one() -> ProduceRequest {
    produce_request("t", 0, -1, batch(&["a"]))
}

fn end(cluster: &Cluster) -> i64 {
    cluster.log("t", 0).unwrap().end_offset()
}

#[test]
fn the_next_n_requests_fail_with_the_code_and_write_nothing() {
    let mut bench = Bench::with_topic();
    let rule = Intercept::on(ApiKey::Produce).times(2).fail(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let rule = bench.cluster.intercept(rule);
    let codes: Vec<_> = (0..3).map(|_| bench.produce(batch(&["a"])).error_code).collect();
    let refused = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert_eq!(codes, [refused, refused, ErrorCode::NONE]);
    assert_eq!(end(&bench.cluster), 1);
    assert_eq!(bench.cluster.control().matched(rule), 3);
}

#[test]
fn a_lost_answer_leaves_the_request_done_and_the_connection_open() {
    let mut bench = Bench::with_topic();
    bench.cluster.intercept(Intercept::on(ApiKey::Produce).times(1).with(Fault::DropResponse));
    bench.send(&one(), 9);
    assert!(bench.frame(bench.conn).is_none());
    assert_eq!(end(&bench.cluster), 1);
    assert!(bench.produce(batch(&["b"])).error_code.is_ok());
}

#[test]
fn a_swallowed_request_is_neither_done_nor_answered() {
    let mut bench = Bench::with_topic();
    bench.cluster.intercept(Intercept::on(ApiKey::Produce).times(1).with(Fault::Swallow));
    bench.send(&one(), 9);
    assert!(bench.frame(bench.conn).is_none());
    assert_eq!(end(&bench.cluster), 0);
    assert!(bench.produce(batch(&["b"])).error_code.is_ok());
}

#[test]
fn a_delayed_answer_comes_when_its_time_has_come_and_holds_back_the_next() {
    let mut bench = Bench::with_topic();
    let delay = Duration::from_secs(2);
    bench.cluster.intercept(Intercept::on(ApiKey::Produce).times(1).delay(delay));
    bench.send(&one(), 9);
    bench.send(&one(), 9);
    assert_eq!(end(&bench.cluster), 1);
    bench.pass(Duration::from_millis(1999));
    assert!(bench.frame(bench.conn).is_none());
    bench.pass(Duration::from_millis(1));
    assert!(bench.answer::<ProduceRequest>(9).is_some());
    assert!(bench.answer::<ProduceRequest>(9).is_some());
    assert_eq!(end(&bench.cluster), 2);
}

#[test]
fn a_connection_is_cut_before_or_in_the_middle_of_an_answer() {
    let mut bench = Bench::with_topic();
    bench.cluster.intercept(Intercept::on(ApiKey::Produce).times(1).with(Fault::CutAfter(6)));
    bench.send(&one(), 9);
    assert_eq!(bench.frame(bench.conn).unwrap().remaining(), 6);
    assert_eq!(bench.closed(), [bench.conn]);
    assert_eq!(end(&bench.cluster), 1);
    bench.conn = bench.cluster.connect(1);
    bench.cluster.intercept(Intercept::on(ApiKey::Produce).times(1).with(Fault::Cut));
    bench.send(&one(), 9);
    assert!(bench.frame(bench.conn).is_none());
    assert_eq!(bench.closed(), [bench.conn]);
    assert_eq!(end(&bench.cluster), 1);
}

#[test]
fn an_answer_may_be_any_bytes() {
    let mut bench = Bench::with_topic();
    let nonsense = Bytes::from_static(&[0xff; 5]);
    bench.cluster.intercept(Intercept::any().times(1).with(Fault::Answer(nonsense)));
    bench.send(&one(), 9);
    let frame = bench.frame(bench.conn).unwrap().into_bytes();
    assert_eq!(&frame[..], [0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff]);
}

#[test]
fn observers_see_requests_with_their_headers() {
    let mut bench = Bench::with_topic();
    let rule = bench.cluster.intercept(Intercept::on(ApiKey::Fetch));
    bench.fetch(0);
    bench.produce(batch(&["a"]));
    let seen: Vec<_> = bench.cluster.control().observed(rule).cloned().collect();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].api_version, seen[0].client_id.as_deref()), (11, Some("bench")));
}

#[test]
fn a_dead_node_closes_its_connections_and_gives_its_partitions_away() {
    let mut bench = Bench::with_two_brokers();
    let other = bench.cluster.connect(2);
    assert!(bench.cluster.kill(1));
    assert_eq!(bench.closed(), [bench.conn]);
    assert_eq!(bench.cluster.leader("t", 0), Some(Leadership { node: 2, epoch: 1 }));
    assert!(
        bench.call_over(other, &one(), 9).responses[0].partition_responses[0].error_code.is_ok()
    );
    let refused = bench.cluster.connect(1);
    assert_eq!(bench.closed(), [refused]);
    assert!(bench.cluster.revive(1) && !bench.cluster.revive(1));
    bench.conn = bench.cluster.connect(1);
    assert!(bench.closed().is_empty());
    let metadata = bench.call(&MetadataRequest { topics: None, ..Default::default() }, 12);
    assert_eq!(metadata.brokers.len(), 2);
    assert_eq!(metadata.topics[0].partitions[0].isr_nodes, [1, 2]);
}

#[test]
fn a_truncated_partition_has_lost_its_end_in_a_new_epoch() {
    let mut bench = Bench::with_topic();
    for value in ["a", "b", "c"] {
        bench.produce(batch(&[value]));
    }
    assert!(bench.cluster.truncate("t", 0, 1));
    assert_eq!(bench.cluster.leader("t", 0), Some(Leadership { node: 1, epoch: 1 }));
    bench.produce(batch(&["d"]));
    let expected = [(0, "a"), (1, "d")].map(|(at, value)| (at, value.to_owned()));
    assert_eq!(values(bench.fetch(0).records), expected);
}

#[test]
fn topics_come_by_themselves_only_where_cluster_and_client_want_it() {
    let ask = |name: &str, allow| {
        let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
        MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: allow,
            ..MetadataRequest::default()
        }
    };
    let mut bench = Bench::new(ClusterConfig::default());
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(bench.call(&ask("new", false), 12).topics[0].error_code, unknown);
    assert_eq!(bench.call(&ask("new", true), 12).topics[0].error_code, ErrorCode::NONE);
    assert_eq!(bench.cluster.topics().collect::<Vec<_>>(), ["new"]);
    let config = ClusterConfig { auto_create: false, ..ClusterConfig::default() };
    let mut bench = Bench::new(config);
    assert_eq!(bench.call(&ask("new", true), 12).topics[0].error_code, unknown);
}

#[test]
fn equal_requests_give_equal_bytes() {
    let run = || {
        let mut bench = Bench::with_topic();
        bench.send(&one(), 13);
        bench.send(&fetch_request("t", 0, 0), 11);
        bench.send(&MetadataRequest { topics: None, ..Default::default() }, 12);
        std::iter::from_fn(|| bench.frame(bench.conn))
            .map(|frame| frame.into_bytes())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
    assert_eq!(run().len(), 3);
}

#[test]
fn nonsense_ends_the_connection_it_came_over_and_no_other() {
    let mut bench = Bench::with_topic();
    for nonsense in [&b""[..], &b"\0"[..], &[0xff; 40][..], &[0, 1, 0, 11, 0, 0, 0, 0, 0xff, 0xff]]
    {
        let conn = bench.cluster.connect(1);
        bench.cluster.handle_frame(bench.now, conn, Bytes::from_static(nonsense));
        assert_eq!(bench.closed(), [conn]);
    }
    assert!(bench.answer::<FetchRequest>(11).is_none());
    assert!(bench.produce(batch(&["a"])).error_code.is_ok());
}
