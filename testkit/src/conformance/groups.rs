//! Offsets of consumer groups without members: kept, and absent where none were kept.

use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponsePartition,
};

use super::wire::{GROUP, Wire, fresh_name, new_topic};
use crate::outside::Cluster;

pub(super) fn committed(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let group = fresh_name();
    let mut wire = coordinator(cluster, &group);
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: 42,
        committed_leader_epoch: 0,
        committed_metadata: Some("note".to_owned()),
        ..OffsetCommitRequestPartition::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.clone(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.clone(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    // Version 9 is the last that names topics rather than their ids.
    let response = wire.exchange(&request, 9);
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NONE);
    let kept = fetch(&mut wire, &group, &topic, false);
    assert_eq!((kept.committed_offset, kept.metadata.as_deref()), (42, Some("note")));
}

pub(super) fn nothing_committed(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let group = fresh_name();
    let kept = fetch(&mut coordinator(cluster, &group), &group, &topic, false);
    assert_eq!((kept.committed_offset, kept.error_code), (-1, ErrorCode::NONE));
}

/// The group's position in partition 0, if asked for only where no transaction may change it.
pub(super) fn fetch(
    wire: &mut Wire,
    group: &str,
    topic: &str,
    require_stable: bool,
) -> OffsetFetchResponsePartition {
    let named = OffsetFetchRequestTopic { name: topic.to_owned(), partition_indexes: vec![0] };
    let request = OffsetFetchRequest {
        group_id: group.to_owned(),
        topics: Some(vec![named]),
        require_stable,
        ..OffsetFetchRequest::default()
    };
    // Version 7 is the last that asks for a single group.
    let mut response = wire.exchange(&request, 7);
    response.topics.remove(0).partitions.remove(0)
}

/// A connection to the group's coordinator, once it serves the group.
pub(super) fn coordinator(cluster: &dyn Cluster, group: &str) -> Wire {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let mut wire = super::wire::coordinator(cluster, GROUP, group);
        let probe = OffsetFetchRequest {
            group_id: group.to_owned(),
            topics: Some(Vec::new()),
            ..OffsetFetchRequest::default()
        };
        if wire.exchange(&probe, 7).error_code == ErrorCode::NONE {
            return wire;
        }
        assert!(Instant::now() < until, "the coordinator never served the group");
        std::thread::sleep(Duration::from_millis(100));
    }
}
