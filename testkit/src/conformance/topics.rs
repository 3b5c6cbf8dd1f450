//! Topics: made, described, grown, deleted, refused.

use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use klamm_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};

use super::wire::{Wire, fresh_name, metadata_of, new_topic};
use crate::outside::Cluster;

pub(super) fn made(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 3, &[]);
    let described = Wire::to(cluster).described(&topic);
    let mut partitions: Vec<_> = described.partitions.iter().map(|p| p.partition_index).collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1, 2]);
    assert!(!described.topic_id.is_zero(), "topics have ids (KIP-516)");
    assert!(!described.is_internal);
}

pub(super) fn made_twice(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    assert_eq!(create(cluster, &topic), ErrorCode::TOPIC_ALREADY_EXISTS);
}

pub(super) fn unknown(cluster: &dyn Cluster) {
    let response = Wire::to(cluster).request(&metadata_of(&fresh_name()));
    assert_eq!(response.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

pub(super) fn illegal_name(cluster: &dyn Cluster) {
    for name in ["no spaces", "", "..", &"x".repeat(250)] {
        assert_eq!(create(cluster, name), ErrorCode::INVALID_TOPIC_EXCEPTION, "{name:?}");
    }
}

pub(super) fn grown(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let mut wire = Wire::to(cluster);
    let mut grow = |count| {
        let topic = CreatePartitionsTopic { name: topic.clone(), count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: 10_000,
            validate_only: false,
        };
        wire.request(&request).results[0].error_code
    };
    assert_eq!(grow(3), ErrorCode::NONE);
    assert_eq!(grow(2), ErrorCode::INVALID_PARTITIONS);
    let until = Instant::now() + Duration::from_secs(10);
    let mut wire = Wire::to(cluster);
    while wire.described(&topic).partitions.len() != 3 {
        assert!(Instant::now() < until, "the new partitions never appeared");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn deleted(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let mut wire = Wire::to(cluster);
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(topic.clone()), ..Default::default() }],
        topic_names: vec![topic.clone()],
        timeout_ms: 10_000,
    };
    assert_eq!(wire.request(&request).responses[0].error_code, ErrorCode::NONE);
    let until = Instant::now() + Duration::from_secs(10);
    let gone = |wire: &mut Wire| {
        let response = wire.request(&metadata_of(&topic));
        response.topics[0].error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    };
    while !gone(&mut wire) {
        assert!(Instant::now() < until, "the topic never went away");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn create(cluster: &dyn Cluster, name: &str) -> ErrorCode {
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    Wire::to(cluster).request(&request).topics[0].error_code
}
