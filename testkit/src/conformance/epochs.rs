//! Leader epochs (KIP-320) and topic ids (KIP-516): what was read before may be of another time.

use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use klamm_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use super::records;
use super::wire::{Wire, fresh_name, new_topic};
use crate::outside::Cluster;

pub(super) fn ends(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    records::produce(cluster, &topic, records::batch(&[(1, "a"), (2, "b")]));
    let current = Wire::to(cluster).described(&topic).partitions[0].leader_epoch;
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    for version in wire.common::<OffsetForLeaderEpochRequest>() {
        let mut end = |topic: &str, known, asked| end(&mut wire, topic, (known, asked), version);
        let told = end(&topic, current, current);
        assert_eq!((told.error_code, told.end_offset), (ErrorCode::NONE, 2), "v{version}");
        if version >= 1 {
            assert_eq!(told.leader_epoch, current, "v{version}");
        }
        let unknown = end(&topic, -1, current + 1);
        assert_eq!((unknown.error_code, unknown.end_offset), (ErrorCode::NONE, -1), "v{version}");
        assert_eq!(unknown.leader_epoch, -1, "v{version}");
        let missing = end(&fresh_name(), -1, 0).error_code;
        assert_eq!(missing, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "v{version}");
        if version >= 2 {
            let newer = end(&topic, current + 1, current).error_code;
            assert_eq!(newer, ErrorCode::UNKNOWN_LEADER_EPOCH, "v{version}");
        }
    }
}

pub(super) fn made_anew(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    records::produce(cluster, &topic, records::batch(&[(1, "old")]));
    let old = Wire::to(cluster).described(&topic).topic_id;
    let mut wire = Wire::to(cluster);
    let named = DeleteTopicState { name: Some(topic.clone()), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest {
        topics: vec![named],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(wire.request(&request).responses[0].error_code, ErrorCode::NONE);
    let until = Instant::now() + Duration::from_secs(30);
    let new = loop {
        let made = CreatableTopic {
            name: topic.clone(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![made], ..CreateTopicsRequest::default() };
        wire.request(&request);
        let id = wire.described(&topic).topic_id;
        if id != old {
            break id;
        }
        assert!(Instant::now() < until, "the topic was never made anew");
        std::thread::sleep(Duration::from_millis(50));
    };
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    if !wire.common::<FetchRequest>().contains(&13) {
        return;
    }
    let mut fetch = |id| records::partition(wire.request(&records::Ask::new(&topic, id).request()));
    assert_eq!(fetch(old).error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    while fetch(new).error_code != ErrorCode::NONE {
        assert!(Instant::now() < until, "the new topic was never served");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(fetch(new).high_watermark, 0, "nothing of the old one is in it");
}

/// Where an epoch ended, as told to somebody who knows of a leader epoch.
fn end(wire: &mut Wire, topic: &str, (known, asked): (i32, i32), version: i16) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition {
        current_leader_epoch: known,
        leader_epoch: asked,
        ..OffsetForLeaderPartition::default()
    };
    let topic = OffsetForLeaderTopic { topic: topic.to_owned(), partitions: vec![partition] };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] };
    wire.exchange(&request, version).topics.remove(0).partitions.remove(0)
}
