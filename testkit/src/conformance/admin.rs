//! Orders of administrators: settings, records deleted, replicas, features; and what they may know.

use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use klamm_protocol::messages::api_versions::ApiVersionsRequest;
use klamm_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsTopic,
};
use klamm_protocol::messages::describe_cluster::DescribeClusterRequest;
use klamm_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use klamm_protocol::messages::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use klamm_protocol::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use klamm_protocol::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use klamm_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
use klamm_protocol::records::ProducerStamp;

use super::records::{batch, produce};
use super::wire::{Wire, fresh_name, metadata_of, new_topic};
use crate::outside::Cluster;

pub(super) fn settings(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let becomes = |change: (i8, Option<&str>), name: &str, wanted: (&str, i8)| {
        let answer = alter(cluster, &topic, &[(name, change.0, change.1)], false);
        assert_eq!(answer, ErrorCode::NONE, "{name} {change:?}");
        let until = Instant::now() + PATIENCE;
        loop {
            let found = setting(cluster, &topic, name);
            if (found.value.as_deref(), found.config_source) == (Some(wanted.0), wanted.1) {
                break;
            }
            assert!(Instant::now() < until, "{name} after {change:?}: {found:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    becomes((SET, Some("60000")), "retention.ms", ("60000", FROM_TOPIC));
    becomes((SET, Some("70000")), "retention.ms", ("70000", FROM_TOPIC));
    becomes((UNSET, None), "retention.ms", ("604800000", FROM_DEFAULT));
    becomes((APPEND, Some("compact")), "cleanup.policy", ("delete,compact", FROM_TOPIC));
    becomes((APPEND, Some("compact")), "cleanup.policy", ("delete,compact", FROM_TOPIC));
    becomes((SUBTRACT, Some("delete")), "cleanup.policy", ("compact", FROM_TOPIC));
    becomes((UNSET, None), "cleanup.policy", ("delete", FROM_DEFAULT));
    assert_eq!(alter(cluster, &topic, &[("retention.ms", SET, Some("1"))], true), ErrorCode::NONE);
    assert_eq!(setting(cluster, &topic, "retention.ms").config_source, FROM_DEFAULT);
}

pub(super) fn wrong_settings(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let good = ("retention.ms", SET, Some("60000"));
    for (wrong, code) in [
        (("no.such.setting", SET, Some("1")), ErrorCode::INVALID_CONFIG),
        (("max.message.bytes", SET, Some("many")), ErrorCode::INVALID_CONFIG),
        (("max.message.bytes", APPEND, Some("1")), ErrorCode::INVALID_CONFIG),
        (("retention.ms", SET, Some("70000")), ErrorCode::INVALID_REQUEST),
        (("max.message.bytes", SET, None), ErrorCode::INVALID_REQUEST),
    ] {
        assert_eq!(alter(cluster, &topic, &[good, wrong], false), code, "{wrong:?}");
    }
    assert_eq!(setting(cluster, &topic, "retention.ms").config_source, FROM_DEFAULT);
    let nowhere = alter(cluster, &fresh_name(), &[good], false);
    assert_eq!(nowhere, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

pub(super) fn records(cluster: &dyn Cluster) {
    for version in Wire::to(cluster).common::<DeleteRecordsRequest>() {
        let topic = new_topic(cluster, 1, &[]);
        for value in ["a", "b", "c"] {
            produce(cluster, &topic, batch(&[(1_000, value)]));
        }
        let mut wire = Wire::to_leader(cluster, &topic, 0);
        let mut delete = |partition, offset| {
            let found = delete_records(&mut wire, &topic, partition, offset, version);
            (found.error_code, found.low_watermark)
        };
        assert_eq!(delete(0, 1), (ErrorCode::NONE, 1), "v{version}");
        assert_eq!(delete(0, 0), (ErrorCode::NONE, 1), "a log never starts earlier, v{version}");
        assert_eq!(delete(0, 4), (ErrorCode::OFFSET_OUT_OF_RANGE, -1), "v{version}");
        assert_eq!(delete(0, -1), (ErrorCode::NONE, 3), "all that there is, v{version}");
        let (code, _) = delete(7, 0);
        assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "v{version}");
    }
    let compacted = new_topic(cluster, 1, &[("cleanup.policy", "compact")]);
    let mut wire = Wire::to_leader(cluster, &compacted, 0);
    let refused = delete_records(&mut wire, &compacted, 0, 0, 2);
    assert_eq!(refused.error_code, ErrorCode::POLICY_VIOLATION);
}

pub(super) fn rights(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let mut wire = Wire::to(cluster);
    let mut request = metadata_of(&topic);
    let found = wire.request(&request).topics.remove(0);
    assert_eq!(found.topic_authorized_operations, i32::MIN, "only who asks is told");
    request.include_topic_authorized_operations = true;
    let found = wire.request(&request).topics.remove(0);
    assert_eq!(bits(found.topic_authorized_operations), [3, 4, 5, 6, 7, 8, 10, 11]);
    let mut request = DescribeClusterRequest::default();
    assert_eq!(wire.request(&request).cluster_authorized_operations, i32::MIN);
    request.include_cluster_authorized_operations = true;
    let found = wire.request(&request).cluster_authorized_operations;
    assert_eq!(bits(found), [5, 7, 8, 9, 10, 11, 12]);
}

pub(super) fn log_directories(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 2, &[]);
    produce(cluster, &topic, batch(&[(1_000, "a value of some length")]));
    let asked = DescribableLogDirTopic { topic: topic.clone(), partitions: vec![0] };
    let request = DescribeLogDirsRequest { topics: Some(vec![asked]) };
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    for version in wire.common::<DescribeLogDirsRequest>() {
        let response = wire.exchange(&request, version);
        assert_eq!(response.error_code, ErrorCode::NONE, "v{version}");
        let replicas: Vec<_> = response
            .results
            .iter()
            .flat_map(|dir| &dir.topics)
            .flat_map(|t| &t.partitions)
            .collect();
        assert_eq!(replicas.len(), 1, "v{version}: {response:?}");
        assert!(replicas[0].partition_size > 20 && !replicas[0].is_future_key, "{replicas:?}");
    }
}

pub(super) fn elections(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let mut wire = Wire::to(cluster);
    let mut elect = |kind, topic: &str, partition| {
        let one = TopicPartitions { topic: topic.to_owned(), partitions: vec![partition] };
        let request = ElectLeadersRequest {
            election_type: kind,
            topic_partitions: Some(vec![one]),
            ..ElectLeadersRequest::default()
        };
        let response = wire.request(&request);
        assert_eq!(response.error_code, ErrorCode::NONE);
        response.replica_election_results[0].partition_result[0].error_code
    };
    assert_eq!(elect(PREFERRED, &topic, 0), ErrorCode::ELECTION_NOT_NEEDED);
    assert_eq!(elect(UNCLEAN, &topic, 0), ErrorCode::ELECTION_NOT_NEEDED);
    assert_eq!(elect(PREFERRED, &topic, 7), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(elect(PREFERRED, &fresh_name(), 0), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let request = ElectLeadersRequest { topic_partitions: None, ..ElectLeadersRequest::default() };
    let told = wire.request(&request).replica_election_results;
    let told = told.iter().find(|one| one.topic == topic).expect("all topics are told");
    assert!(told.partition_result.is_empty(), "partitions that need none are not: {told:?}");
}

pub(super) fn reassignments(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let mut wire = Wire::to(cluster);
    let mut reassign = |topic: &str, replicas: Option<Vec<i32>>| {
        let partitions = vec![ReassignablePartition { partition_index: 0, replicas }];
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![ReassignableTopic { name: topic.to_owned(), partitions }],
            ..AlterPartitionReassignmentsRequest::default()
        };
        let response = wire.request(&request);
        assert_eq!(response.error_code, ErrorCode::NONE);
        response.responses[0].partitions[0].error_code
    };
    assert_eq!(reassign(&topic, None), ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
    for impossible in [vec![99], vec![], vec![1, 1]] {
        let code = reassign(&topic, Some(impossible.clone()));
        assert_eq!(code, ErrorCode::INVALID_REPLICA_ASSIGNMENT, "{impossible:?}");
    }
    let nowhere = reassign(&fresh_name(), Some(vec![1]));
    assert_eq!(nowhere, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(reassign(&topic, Some(vec![1])), ErrorCode::NONE);
}

pub(super) fn features(cluster: &dyn Cluster) {
    let mut wire = Wire::to(cluster);
    let versions = ApiVersionsRequest {
        client_software_name: "klamm-conformance".to_owned(),
        client_software_version: "1".to_owned(),
    };
    let before = wire.request(&versions);
    let feature = before.supported_features.first().expect("some feature");
    for version in wire.common::<UpdateFeaturesRequest>() {
        let mut update = |name: &str, level| {
            let key = FeatureUpdateKey {
                feature: name.to_owned(),
                max_version_level: level,
                ..FeatureUpdateKey::default()
            };
            let request =
                UpdateFeaturesRequest { feature_updates: vec![key], ..Default::default() };
            let response = wire.exchange(&request, version);
            let own = response.results.first().map(|one| one.error_code);
            own.filter(|code| !code.is_ok()).unwrap_or(response.error_code)
        };
        let beyond = update(&feature.name, feature.max_version + 1);
        assert_eq!(beyond, ErrorCode::INVALID_UPDATE_VERSION, "v{version}");
        let unknown = update("no.such.feature", 1);
        assert_eq!(unknown, ErrorCode::INVALID_UPDATE_VERSION, "v{version}");
    }
    let after = wire.request(&versions);
    assert_eq!(after.finalized_features, before.finalized_features);
}

pub(super) fn producers(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let init = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
    let id = Wire::to(cluster).request(&init).producer_id;
    let mut records = batch(&[(1_000, "a"), (1_000, "b")]);
    let stamp = ProducerStamp { producer_id: id, epoch: 0, base_sequence: 0, transactional: false };
    records.stamp(stamp);
    produce(cluster, &topic, records);
    let one = TopicRequest { name: topic.clone(), partition_indexes: vec![0] };
    let request = DescribeProducersRequest { topics: vec![one] };
    let found = Wire::to_leader(cluster, &topic, 0).request(&request);
    let partition = &found.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.active_producers.len()), (ErrorCode::NONE, 1));
    let producer = &partition.active_producers[0];
    assert_eq!((producer.producer_id, producer.producer_epoch), (id, 0));
    assert_eq!((producer.last_sequence, producer.current_txn_start_offset), (1, -1));
    assert!(producer.last_timestamp >= 0, "{producer:?}");
}

fn alter(
    cluster: &dyn Cluster,
    topic: &str,
    changes: &[(&str, i8, Option<&str>)],
    validate_only: bool,
) -> ErrorCode {
    let config = |(name, operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *operation,
        value: value.map(str::to_owned),
    };
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.to_owned(),
        configs: changes.iter().map(config).collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
    Wire::to(cluster).request(&request).responses.remove(0).error_code
}

fn setting(cluster: &dyn Cluster, topic: &str, name: &str) -> DescribeConfigsResourceResult {
    let resource = DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.to_owned(),
        configuration_keys: Some(vec![name.to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let mut found = Wire::to(cluster).request(&request).results.remove(0);
    assert_eq!(found.error_code, ErrorCode::NONE);
    assert_eq!(found.configs.len(), 1, "one setting was asked for");
    found.configs.remove(0)
}

fn delete_records(
    wire: &mut Wire,
    topic: &str,
    partition_index: i32,
    offset: i64,
    version: i16,
) -> DeleteRecordsPartitionResult {
    let partitions = vec![DeleteRecordsPartition { partition_index, offset }];
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: topic.to_owned(), partitions }],
        timeout_ms: 10_000,
    };
    wire.exchange(&request, version).topics.remove(0).partitions.remove(0)
}

fn bits(set: i32) -> Vec<i32> {
    (0..31).filter(|bit| set & (1 << bit) != 0).collect()
}

const PATIENCE: Duration = Duration::from_secs(10);
const TOPIC: i8 = 2;
const SET: i8 = 0;
const UNSET: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const FROM_TOPIC: i8 = 1;
const FROM_DEFAULT: i8 = 5;
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;
