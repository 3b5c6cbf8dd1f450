//! Offsets of consumer groups: kept, absent where none were kept, and deleted, as groups are.

use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::delete_groups::DeleteGroupsRequest;
use klamm_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use klamm_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use klamm_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponsePartition,
};
use klamm_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::wire::{GROUP, Wire, fresh_name, new_topic};
use crate::outside::Cluster;

pub(super) fn committed(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let group = fresh_name();
    let mut wire = coordinator(cluster, &group);
    // Version 9 is the last that names topics rather than their ids.
    assert_eq!(commit(&mut wire, (&group, &topic), 42, ("", -1), 9), ErrorCode::NONE);
    let kept = fetch(&mut wire, &group, &topic, false);
    assert_eq!((kept.committed_offset, kept.metadata.as_deref()), (42, Some("note")));
}

pub(super) fn nothing_committed(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let group = fresh_name();
    let kept = fetch(&mut coordinator(cluster, &group), &group, &topic, false);
    assert_eq!((kept.committed_offset, kept.error_code), (-1, ErrorCode::NONE));
}

pub(super) fn positions_deleted(cluster: &dyn Cluster) {
    let (topic, group) = (new_topic(cluster, 1, &[]), fresh_name());
    let mut wire = coordinator(cluster, &group);
    let delete = |wire: &mut Wire, group: &str, topic: &str| {
        let partition = OffsetDeleteRequestPartition { partition_index: 0 };
        let topic =
            OffsetDeleteRequestTopic { name: topic.to_owned(), partitions: vec![partition] };
        let request = OffsetDeleteRequest { group_id: group.to_owned(), topics: vec![topic] };
        let response = wire.exchange(&request, 0);
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        (response.error_code, partitions.map(|partition| partition.error_code).next())
    };
    let (ok, missing) = (ErrorCode::NONE, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(delete(&mut wire, &group, &topic).0, missing);
    assert_eq!(commit(&mut wire, (&group, &topic), 3, ("", -1), 9), ok);
    assert_eq!(delete(&mut wire, &group, &topic), (ok, Some(ok)));
    assert_eq!(fetch(&mut wire, &group, &topic, false).committed_offset, -1);
    let unknown = Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(commit(&mut wire, (&group, &topic), 3, ("", -1), 9), ok);
    assert_eq!(delete(&mut wire, &group, &fresh_name()), (ok, unknown));
    let member = join(&mut wire, &group, &topic);
    let read = Some(ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
    assert_eq!(delete(&mut wire, &group, &topic), (ok, read));
    let other = new_topic(cluster, 1, &[]);
    assert_eq!(delete(&mut wire, &group, &other), (ok, Some(ok)));
    leave(&mut wire, &group, &member);
    assert_eq!(delete(&mut wire, &group, &topic), (ok, Some(ok)));
}

pub(super) fn deleted(cluster: &dyn Cluster) {
    let (topic, group) = (new_topic(cluster, 1, &[]), fresh_name());
    let mut wire = coordinator(cluster, &group);
    let delete = |wire: &mut Wire, group: &str| {
        let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        wire.exchange(&request, 2).results.remove(0).error_code
    };
    assert_eq!(delete(&mut wire, &group), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(commit(&mut wire, (&group, &topic), 3, ("", -1), 9), ErrorCode::NONE);
    let member = join(&mut wire, &group, &topic);
    assert_eq!(delete(&mut wire, &group), ErrorCode::NON_EMPTY_GROUP);
    leave(&mut wire, &group, &member);
    assert_eq!(delete(&mut wire, &group), ErrorCode::NONE);
    assert_eq!(fetch(&mut wire, &group, &topic, false).committed_offset, -1);
    assert_eq!(delete(&mut wire, &group), ErrorCode::GROUP_ID_NOT_FOUND);
}

/// Commits a position in partition 0 as a member, or as nobody: an empty id and -1.
pub(super) fn commit(
    wire: &mut Wire,
    (group, topic): (&str, &str),
    offset: i64,
    (member, generation): (&str, i32),
    version: i16,
) -> ErrorCode {
    let partition = OffsetCommitRequestPartition {
        committed_offset: offset,
        committed_metadata: Some("note".to_owned()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.to_owned(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: generation,
        member_id: member.to_owned(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    wire.exchange_up_to(&request, version).topics[0].partitions[0].error_code
}

/// A consumer of the classic protocol joins alone and takes a topic; returns its id.
fn join(wire: &mut Wire, group: &str, topic: &str) -> String {
    let mut metadata = vec![0, 0, 0, 0, 0, 1, 0, topic.len() as u8];
    metadata.extend_from_slice(topic.as_bytes());
    metadata.extend_from_slice(&(-1_i32).to_be_bytes());
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata: metadata.into() };
    let mut request = JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    };
    request.member_id = wire.exchange_up_to(&request, 9).member_id;
    let joined = wire.exchange_up_to(&request, 9);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    let assignment = SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: Bytes::from_static(b"all"),
    };
    let request = SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: vec![assignment],
        ..SyncGroupRequest::default()
    };
    assert_eq!(wire.exchange_up_to(&request, 5).error_code, ErrorCode::NONE);
    joined.member_id
}

fn leave(wire: &mut Wire, group: &str, member: &str) {
    let identity = MemberIdentity { member_id: member.to_owned(), ..MemberIdentity::default() };
    let request = LeaveGroupRequest {
        group_id: group.to_owned(),
        members: vec![identity],
        ..LeaveGroupRequest::default()
    };
    assert_eq!(wire.exchange_up_to(&request, 5).members[0].error_code, ErrorCode::NONE);
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
