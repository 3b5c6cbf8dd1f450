//! Every API in every version: what is advertised is served, and answers can be encoded.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_protocol::api::{ApiKey, Request, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::header::encode_request;
use klamm_protocol::messages::api_versions::ApiVersionsRequest;
use klamm_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use klamm_protocol::messages::delete_topics::DeleteTopicsRequest;
use klamm_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use klamm_protocol::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use klamm_protocol::messages::offset_commit::OffsetCommitRequest;
use klamm_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};

use super::harness::{Bench, batch, fetch_request, produce_request, values};
use crate::broker::ClusterConfig;
use crate::control::Intercept;

fn advertised(bench: &mut Bench) -> BTreeMap<i16, VersionRange> {
    let response = bench.call(&ApiVersionsRequest::default(), 0);
    let ranges = response.api_keys.into_iter();
    ranges.map(|api| (api.api_key, VersionRange::new(api.min_version, api.max_version))).collect()
}

/// Calls `make` for each version of an API that is served.
fn each_version<R: Request>(bench: &mut Bench, make: impl Fn(&mut Bench, i16)) {
    let range = advertised(bench)[&R::KEY.code()];
    let oldest = if R::KEY == ApiKey::Produce { 3 } else { range.min };
    (oldest..=range.max).for_each(|version| make(bench, version));
}

/// Sends the emptiest request in each version, served and refused.
fn probe<R: Request + Default>(bench: &mut Bench) {
    if !advertised(bench).contains_key(&R::KEY.code()) {
        return;
    }
    each_version::<R>(bench, |bench, version| {
        for refuse in [false, true] {
            if refuse {
                let rule = Intercept::on(R::KEY).times(1).fail(ErrorCode::UNKNOWN_SERVER_ERROR);
                bench.cluster.intercept(rule);
            }
            bench.send(&R::default(), version);
            let answered = bench.answer::<R>(version).is_some();
            // An empty produce request asks for no answer.
            assert!(answered || R::KEY == ApiKey::Produce, "{} {version}", R::KEY);
            assert_eq!(bench.closed(), [], "{} {version}", R::KEY);
        }
    });
}

#[test]
fn every_advertised_version_of_every_api_is_answered_even_if_empty_or_refused() {
    let mut bench = Bench::with_topic();
    macro_rules! probe_all {
        ($($request:path),* $(,)?) => { $(probe::<$request>(&mut bench);)* };
    }
    klamm_protocol::for_each_request!(probe_all);
}

/// Feeds requests with a few bytes changed; the cluster may refuse or close, and must go on.
fn mutate<R: Request>(bench: &mut Bench, rng: &mut fastrand::Rng, request: &R) {
    let Some(range) = advertised(bench).get(&R::KEY.code()).copied() else {
        return;
    };
    for version in range.min..=range.max {
        let Ok(frame) = encode_request(request, version, 1, Some("bench")) else {
            continue;
        };
        let frame = frame.into_bytes().split_off(4);
        for _ in 0..60 {
            let mut bytes = frame.to_vec();
            for _ in 0..rng.usize(1..4) {
                // Past the key and version, so that the request meets its own handler.
                let at = rng.usize(4..bytes.len());
                let values = [0, 1, 0x7f, 0x80, 0xff, rng.u8(..)];
                bytes[at] = values[rng.usize(..values.len())];
            }
            bytes.truncate(rng.usize(8..=bytes.len()));
            let conn = bench.cluster.connect(1);
            bench.cluster.handle_frame(bench.now, conn, bytes.into());
            bench.cluster.disconnect(conn);
            while bench.cluster.poll_transmit().is_some() {}
            while bench.cluster.poll_close().is_some() {}
        }
    }
}

#[test]
fn requests_with_changed_bytes_harm_nobody_else() {
    let mut bench = Bench::with_topic();
    let mut rng = fastrand::Rng::with_seed(1);
    macro_rules! mutate_all {
        ($($request:path),* $(,)?) => {
            $(mutate(&mut bench, &mut rng, &<$request>::default());)*
        };
    }
    klamm_protocol::for_each_request!(mutate_all);
    mutate(&mut bench, &mut rng, &produce_request("t", 0, -1, batch(&["a", "b"])));
    let begun = FetchRequest { session_epoch: 0, ..fetch_request("t", 0, 0) };
    mutate(&mut bench, &mut rng, &begun);
    let topic = CreatableTopic { name: "x".to_owned(), num_partitions: 1, ..Default::default() };
    mutate(
        &mut bench,
        &mut rng,
        &CreateTopicsRequest { topics: vec![topic], ..Default::default() },
    );
    bench.pass(Duration::from_secs(3600));
    bench.cluster.delete_topic("t");
    bench.cluster.create_topic("t", 1, 1).unwrap();
    assert_eq!(bench.produce(batch(&["a"])).base_offset, 0);
}

#[test]
fn records_go_in_and_come_out_in_every_version() {
    let mut bench = Bench::with_topic();
    let id = bench.cluster.topic_id("t").unwrap();
    each_version::<klamm_protocol::messages::produce::ProduceRequest>(
        &mut bench,
        |bench, version| {
            let mut request = produce_request("t", 0, -1, batch(&["a"]));
            request.topic_data[0].topic_id = id;
            let response = bench.call(&request, version);
            assert!(response.responses[0].partition_responses[0].error_code.is_ok(), "{version}");
        },
    );
    each_version::<FetchRequest>(&mut bench, |bench, version| {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].topic_id = id;
        let response = bench.call(&request, version);
        let records = response.responses[0].partitions[0].records.clone();
        assert_eq!(values(records).len(), 11, "{version}");
    });
}

#[test]
fn descriptions_are_answered_in_every_version() {
    let mut bench = Bench::with_topic();
    let resource = |resource_type, name: &str| DescribeConfigsResource {
        resource_type,
        resource_name: name.to_owned(),
        configuration_keys: None,
    };
    each_version::<DescribeConfigsRequest>(&mut bench, |bench, version| {
        let resources = [(2, "t"), (2, "none"), (4, "1"), (4, "x"), (9, "")];
        let request = DescribeConfigsRequest {
            resources: resources.map(|(kind, name)| resource(kind, name)).into(),
            ..DescribeConfigsRequest::default()
        };
        let results = bench.call(&request, version).results;
        let codes: Vec<_> = results.iter().map(|result| result.error_code.is_ok()).collect();
        assert_eq!(codes, [true, false, true, false, false], "{version}");
        assert!(results[0].configs.iter().any(|config| config.name == "max.message.bytes"));
    });
    each_version::<MetadataRequest>(&mut bench, |bench, version| {
        let known = MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() };
        let bad = MetadataRequestTopic { name: Some("a/b".to_owned()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![known, bad]), ..Default::default() };
        let topics = bench.call(&request, version).topics;
        assert!(topics[0].error_code.is_ok() && !topics[1].error_code.is_ok(), "{version}");
    });
    each_version::<ListOffsetsRequest>(&mut bench, |bench, version| {
        let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
        let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] };
        let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
        assert_eq!(bench.call(&request, version).topics[0].partitions[0].offset, 0);
    });
}

#[test]
fn topics_are_made_and_removed_in_every_version() {
    let mut bench = Bench::with_topic();
    each_version::<CreateTopicsRequest>(&mut bench, |bench, version| {
        let topic = CreatableTopic {
            name: "new".to_owned(),
            num_partitions: 2,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic.clone(), topic], ..Default::default() };
        let twice = bench.call(&request, version);
        assert_eq!(twice.topics[0].error_code, ErrorCode::INVALID_REQUEST);
        let request = CreateTopicsRequest { topics: request.topics[..1].to_vec(), ..request };
        let made = bench.call(&request, version);
        assert!(made.topics[0].error_code.is_ok(), "{version}");
        assert_eq!(bench.cluster.partitions("new"), Some(2));
        let remove =
            DeleteTopicsRequest { topic_names: vec!["new".to_owned()], ..Default::default() };
        assert!(bench.call(&remove, version.min(5)).responses[0].error_code.is_ok());
    });
    assert_eq!(bench.cluster.partitions("new"), None);
}

#[test]
fn positions_are_kept_in_every_version() {
    let mut bench = Bench::with_topic();
    let id = bench.cluster.topic_id("t").unwrap();
    each_version::<OffsetCommitRequest>(&mut bench, |bench, version| {
        let partition = klamm_protocol::messages::offset_commit::OffsetCommitRequestPartition {
            committed_offset: i64::from(version),
            ..Default::default()
        };
        let topic = klamm_protocol::messages::offset_commit::OffsetCommitRequestTopic {
            name: "t".to_owned(),
            topic_id: id,
            partitions: vec![partition],
        };
        let request = OffsetCommitRequest {
            group_id: "g".to_owned(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let response = bench.call(&request, version);
        assert!(response.topics[0].partitions[0].error_code.is_ok(), "{version}");
    });
    each_version::<OffsetFetchRequest>(&mut bench, |bench, version| {
        let group = OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            topics: None,
            ..OffsetFetchRequestGroup::default()
        };
        let mut request = OffsetFetchRequest::default();
        if version >= 8 {
            request.groups = vec![group];
            let response = bench.call(&request, version);
            assert_eq!(response.groups[0].topics[0].partitions[0].committed_offset, 10);
        } else if version >= 2 {
            (request.group_id, request.topics) = ("g".to_owned(), None);
            let response = bench.call(&request, version);
            assert_eq!(response.topics[0].partitions[0].committed_offset, 10);
        }
    });
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_the_oldest() {
    let mut bench = Bench::with_topic();
    let frame = [0, 18, 0, 99, 0, 0, 0, 5, 0, 1, b'x', 0];
    bench.cluster.handle_frame(bench.now, bench.conn, frame.to_vec().into());
    let response = bench.answer::<ApiVersionsRequest>(0).unwrap();
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(response.api_keys.len(), 1);
    let again = bench.call(&ApiVersionsRequest::default(), response.api_keys[0].max_version.min(2));
    assert!(again.error_code.is_ok());
}

#[test]
fn a_version_that_is_not_served_ends_the_connection() {
    let narrow = vec![(ApiKey::Fetch, VersionRange::new(4, 11))];
    let mut bench = Bench::new(ClusterConfig { versions: narrow, ..ClusterConfig::default() });
    assert_eq!(advertised(&mut bench)[&1], VersionRange::new(4, 11));
    bench.send(&fetch_request("t", 0, 0), 12);
    assert_eq!(bench.closed(), [bench.conn]);
}

#[test]
fn topics_are_described_page_by_page() {
    let mut bench = Bench::new(ClusterConfig::default());
    for name in ["a", "b", "c"] {
        bench.cluster.create_topic(name, 3, 1).unwrap();
    }
    let mut request =
        DescribeTopicPartitionsRequest { response_partition_limit: 4, ..Default::default() };
    let mut seen = Vec::new();
    for _ in 0..10 {
        let page = bench.call(&request, 0);
        for topic in &page.topics {
            let name = topic.name.clone().unwrap_or_default();
            seen.extend(topic.partitions.iter().map(|p| (name.clone(), p.partition_index)));
        }
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> =
        ["a", "b", "c"].iter().flat_map(|name| (0..3).map(|p| ((*name).to_owned(), p))).collect();
    assert_eq!(seen, expected);
    request.topics = vec![TopicRequest { name: "none".to_owned() }];
    request.cursor = Some(Cursor { topic_name: "a".to_owned(), partition_index: 0 });
    let missing = bench.call(&request, 0);
    assert_eq!(missing.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}
