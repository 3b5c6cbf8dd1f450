//! Fetch sessions (KIP-227).

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::{FetchRequest, ForgottenTopic};

use super::harness::{Bench, batch, fetch_request, produce_request, values};
use crate::broker::ClusterConfig;

/// A topic `t` with two partitions, and a session on both; returns its id.
fn with_session() -> (Bench, i32) {
    let mut bench = Bench::new(ClusterConfig::default());
    bench.cluster.create_topic("t", 2, 1).unwrap();
    let mut request = fetch_request("t", 0, 0);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    request.session_epoch = 0;
    let response = bench.call(&request, 12);
    assert_ne!(response.session_id, 0);
    assert_eq!(response.responses[0].partitions.len(), 2);
    (bench, response.session_id)
}

fn incremental(session_id: i32, session_epoch: i32) -> FetchRequest {
    FetchRequest { session_id, session_epoch, ..FetchRequest::default() }
}

fn partitions(bench: &mut Bench, request: &FetchRequest) -> Vec<(i32, usize)> {
    let response = bench.call(request, 12);
    assert_eq!(response.error_code, ErrorCode::NONE);
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|p| (p.partition_index, values(p.records).len())).collect()
}

#[test]
fn only_partitions_with_news_are_answered() {
    let (mut bench, id) = with_session();
    assert_eq!(partitions(&mut bench, &incremental(id, 1)), []);
    bench.call(&produce_request("t", 1, -1, batch(&["a", "b"])), 9);
    assert_eq!(partitions(&mut bench, &incremental(id, 2)), [(1, 2)]);
    let mut moved = incremental(id, 3);
    moved.topics = fetch_request("t", 1, 2).topics;
    assert_eq!(partitions(&mut bench, &moved), []);
}

#[test]
fn forgotten_partitions_are_fetched_no_more_and_added_ones_are() {
    let (mut bench, id) = with_session();
    for partition in [0, 1] {
        bench.call(&produce_request("t", partition, -1, batch(&["a"])), 9);
    }
    let mut forgetting = incremental(id, 1);
    let forgotten =
        ForgottenTopic { topic: "t".to_owned(), partitions: vec![0], ..ForgottenTopic::default() };
    forgetting.forgotten_topics_data = vec![forgotten];
    assert_eq!(partitions(&mut bench, &forgetting), [(1, 1)]);
    let mut adding = incremental(id, 2);
    adding.topics = fetch_request("t", 0, 0).topics;
    assert_eq!(partitions(&mut bench, &adding), [(1, 1), (0, 1)]);
}

#[test]
fn a_partition_that_gave_records_goes_to_the_end_of_the_line() {
    let (mut bench, id) = with_session();
    for partition in [0, 1] {
        bench.call(&produce_request("t", partition, -1, batch(&["a"])), 9);
    }
    let one = |epoch| FetchRequest { max_bytes: 1, ..incremental(id, epoch) };
    assert_eq!(partitions(&mut bench, &one(1)), [(0, 1), (1, 0)]);
    assert_eq!(partitions(&mut bench, &one(2))[0], (1, 1));
    assert_eq!(partitions(&mut bench, &one(3))[0], (0, 1));
}

#[test]
fn wrong_epochs_unknown_sessions_and_mixed_namings_are_refused() {
    let (mut bench, id) = with_session();
    let mut code = |request: &FetchRequest, version| bench.call(request, version).error_code;
    assert_eq!(code(&incremental(id, 5), 12), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(code(&incremental(id + 1, 1), 12), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!(code(&incremental(id, 1), 13), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    assert_eq!(code(&incremental(id, 1), 12), ErrorCode::NONE);
}

#[test]
fn an_error_is_told_once_more_when_it_has_gone() {
    let (mut bench, id) = with_session();
    bench.cluster.delete_topic("t");
    assert_eq!(partitions(&mut bench, &incremental(id, 1)).len(), 2);
    assert_eq!(partitions(&mut bench, &incremental(id, 2)).len(), 2);
    bench.cluster.create_topic("t", 2, 1).unwrap();
    assert_eq!(partitions(&mut bench, &incremental(id, 3)).len(), 2);
    assert_eq!(partitions(&mut bench, &incremental(id, 4)).len(), 0);
}

#[test]
fn a_session_ends_by_request_by_restart_and_when_others_need_its_place() {
    let (mut bench, id) = with_session();
    let mut last = fetch_request("t", 0, 0);
    (last.session_id, last.session_epoch) = (id, -1);
    assert_eq!(bench.call(&last, 12).session_id, 0);
    assert_eq!(
        bench.call(&incremental(id, 1), 12).error_code,
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    );

    let mut bench = Bench::new(ClusterConfig { fetch_sessions: 2, ..ClusterConfig::default() });
    bench.cluster.create_topic("t", 1, 1).unwrap();
    let mut begin = fetch_request("t", 0, 0);
    begin.session_epoch = 0;
    let ids: Vec<_> = (0..3).map(|_| bench.call(&begin, 12).session_id).collect();
    let mut code = |id| bench.call(&incremental(id, 1), 12).error_code;
    assert_eq!(code(ids[0]), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!(code(ids[1]), ErrorCode::NONE);
    assert_eq!(code(ids[2]), ErrorCode::NONE);
    bench.cluster.forget_fetch_sessions(1);
    let gone = bench.call(&incremental(ids[2], 2), 12).error_code;
    assert_eq!(gone, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn sessions_work_by_topic_id_too() {
    let (mut bench, _) = with_session();
    let mut request = fetch_request("", 0, 0);
    request.topics[0].topic_id = bench.cluster.topic_id("t").unwrap();
    request.session_epoch = 0;
    let id = bench.call(&request, 13).session_id;
    bench.call(&produce_request("t", 0, -1, batch(&["a"])), 9);
    let response = bench.call(&incremental(id, 1), 13);
    assert_eq!(response.responses[0].topic_id, bench.cluster.topic_id("t").unwrap());
    assert_eq!(values(response.responses[0].partitions[0].records.clone()).len(), 1);
}
