//! Orders of administrators, where time, logs or other requests show what they do.

use std::time::Duration;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use klamm_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use klamm_protocol::messages::create_delegation_token::{
    CreatableRenewers, CreateDelegationTokenRequest,
};
use klamm_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use klamm_protocol::messages::describe_delegation_token::DescribeDelegationTokenRequest;
use klamm_protocol::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use klamm_protocol::messages::expire_delegation_token::ExpireDelegationTokenRequest;
use klamm_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use klamm_protocol::messages::renew_delegation_token::RenewDelegationTokenRequest;
use klamm_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
use klamm_protocol::wire::Secret;

use super::harness::{Bench, stamped};
use crate::broker::{Cluster, ClusterConfig};
use crate::control::Intercept;
use klamm_protocol::api::ApiKey;

#[test]
fn a_setting_of_a_topic_acts_on_its_log_at_once() {
    let mut bench = Bench::with_topic();
    let large = stamped(&["a value that is longer than what is left of the limit"], None);
    assert_eq!(bench.produce(large.clone()).error_code, ErrorCode::NONE);
    assert_eq!(set(&mut bench, "max.message.bytes", "80"), ErrorCode::NONE);
    assert_eq!(bench.produce(large.clone()).error_code, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(set(&mut bench, "max.message.bytes", "8000"), ErrorCode::NONE);
    assert_eq!(bench.produce(large).error_code, ErrorCode::NONE);
}

#[test]
fn deleted_records_are_gone_from_the_log() {
    let mut bench = Bench::with_topic();
    for value in ["a", "b", "c"] {
        bench.produce(stamped(&[value], None));
    }
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 2 }];
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: "t".to_owned(), partitions }],
        timeout_ms: 1000,
    };
    let told = &bench.call(&request, 2).topics[0].partitions[0];
    assert_eq!((told.error_code, told.low_watermark), (ErrorCode::NONE, 2));
    let log = bench.cluster.log("t", 0).unwrap();
    assert_eq!((log.start_offset(), log.end_offset(), log.batches().count()), (2, 3, 1));
}

#[test]
fn tokens_expire_unless_they_are_renewed_and_never_outlive_their_limit() {
    let mut bench = Bench::new(ClusterConfig::default());
    let hour = Duration::from_secs(3600);
    let create = CreateDelegationTokenRequest {
        owner_principal_type: None,
        owner_principal_name: None,
        max_lifetime_ms: 3 * 3_600_000,
        ..CreateDelegationTokenRequest::default()
    };
    let made = bench.call(&create, 3);
    assert_eq!(made.error_code, ErrorCode::NONE);
    let renew = |bench: &mut Bench, hmac: &Secret, ms| {
        let request = RenewDelegationTokenRequest { hmac: hmac.clone(), renew_period_ms: ms };
        let told = bench.call(&request, 2);
        (told.error_code, told.expiry_timestamp_ms)
    };
    let soon = made.issue_timestamp_ms + 2 * 3_600_000;
    assert_eq!(renew(&mut bench, &made.hmac, 2 * 3_600_000), (ErrorCode::NONE, soon));
    bench.pass(hour);
    let limit = (ErrorCode::NONE, made.max_timestamp_ms);
    assert_eq!(renew(&mut bench, &made.hmac, 9 * 3_600_000), limit);
    let end =
        ExpireDelegationTokenRequest { hmac: made.hmac.clone(), expiry_time_period_ms: 60_000 };
    assert_eq!(bench.call(&end, 2).error_code, ErrorCode::NONE);
    bench.pass(Duration::from_secs(61));
    let (code, _) = renew(&mut bench, &made.hmac, -1);
    assert_eq!(code, ErrorCode::DELEGATION_TOKEN_EXPIRED);
    let all = DescribeDelegationTokenRequest { owners: None };
    assert!(bench.call(&all, 3).tokens.is_empty());
    let (code, _) = renew(&mut bench, &made.hmac, -1);
    assert_eq!(code, ErrorCode::DELEGATION_TOKEN_NOT_FOUND);
    let team =
        CreatableRenewers { principal_type: "Team".to_owned(), principal_name: "a".to_owned() };
    let wrong = CreateDelegationTokenRequest { renewers: vec![team], ..create };
    assert_eq!(bench.call(&wrong, 3).error_code, ErrorCode::INVALID_PRINCIPAL_TYPE);
}

#[test]
fn a_moved_partition_has_its_new_replicas_and_keeps_its_records() {
    let mut bench = Bench::with_two_brokers();
    bench.produce(stamped(&["a"], None));
    let mut reassign = |replicas: Vec<i32>| {
        let one = ReassignablePartition { partition_index: 0, replicas: Some(replicas) };
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![ReassignableTopic { name: "t".to_owned(), partitions: vec![one] }],
            allow_replication_factor_change: false,
            ..AlterPartitionReassignmentsRequest::default()
        };
        bench.call(&request, 1).responses[0].partitions[0].error_code
    };
    assert_eq!(reassign(vec![2]), ErrorCode::INVALID_REPLICATION_FACTOR);
    assert_eq!(reassign(vec![2, 1]), ErrorCode::NONE);
    let leader = bench.cluster.leader("t", 0).unwrap();
    assert_eq!(leader.node, 1, "who leads and stays a replica leads on");
    assert_eq!(elect(&mut bench, PREFERRED), ErrorCode::NONE);
    assert_eq!(bench.cluster.leader("t", 0).unwrap().node, 2);
    assert_eq!(bench.cluster.leader("t", 0).unwrap().epoch, leader.epoch + 1);
    assert_eq!(bench.cluster.log("t", 0).unwrap().end_offset(), 1);
}

#[test]
fn elections_find_who_lives() {
    let mut bench = Bench::with_two_brokers();
    let cluster: &mut Cluster = &mut bench.cluster;
    assert!(cluster.move_leader("t", 0, 2) && cluster.kill(1));
    let conn = bench.cluster.connect(2);
    bench.conn = conn;
    assert_eq!(elect(&mut bench, PREFERRED), ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE);
    assert_eq!(elect(&mut bench, UNCLEAN), ErrorCode::ELECTION_NOT_NEEDED);
    assert!(bench.cluster.revive(1));
    assert_eq!(elect(&mut bench, PREFERRED), ErrorCode::NONE);
    assert_eq!(elect(&mut bench, PREFERRED), ErrorCode::ELECTION_NOT_NEEDED);
}

#[test]
fn a_feature_that_is_switched_off_is_off() {
    let mut bench = Bench::new(ClusterConfig::default());
    let beat = ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
        rebalance_timeout_ms: 1000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    assert_eq!(bench.call(&beat, 1).error_code, ErrorCode::NONE);
    let off = |kind| FeatureUpdateKey {
        feature: "group.version".to_owned(),
        max_version_level: 0,
        upgrade_type: kind,
        ..FeatureUpdateKey::default()
    };
    let update = |kind| UpdateFeaturesRequest {
        feature_updates: vec![off(kind)],
        ..UpdateFeaturesRequest::default()
    };
    assert_eq!(bench.call(&update(1), 2).error_code, ErrorCode::INVALID_UPDATE_VERSION);
    assert_eq!(bench.call(&update(2), 2).error_code, ErrorCode::NONE);
    assert_eq!(bench.call(&beat, 1).error_code, ErrorCode::UNSUPPORTED_VERSION);
}

#[test]
fn a_test_can_have_any_of_these_requests_refused() {
    let mut bench = Bench::with_topic();
    let rule = Intercept::on(ApiKey::IncrementalAlterConfigs).times(1);
    bench.cluster.intercept(rule.fail(ErrorCode::NOT_CONTROLLER));
    assert_eq!(set(&mut bench, "retention.ms", "1"), ErrorCode::NOT_CONTROLLER);
    assert_eq!(set(&mut bench, "retention.ms", "1"), ErrorCode::NONE);
}

fn set(bench: &mut Bench, name: &str, value: &str) -> ErrorCode {
    let config = AlterableConfig {
        name: name.to_owned(),
        config_operation: 0,
        value: Some(value.to_owned()),
    };
    let resource = AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".to_owned(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    bench.call(&request, 1).responses[0].error_code
}

fn elect(bench: &mut Bench, kind: i8) -> ErrorCode {
    let one = TopicPartitions { topic: "t".to_owned(), partitions: vec![0] };
    let request = ElectLeadersRequest {
        election_type: kind,
        topic_partitions: Some(vec![one]),
        ..ElectLeadersRequest::default()
    };
    bench.call(&request, 2).replica_election_results[0].partition_result[0].error_code
}

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;
