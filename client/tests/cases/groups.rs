//! Groups: listed, described, their positions read and forgotten, members removed, deleted.

use bytes::Bytes;
use klamm_client::Client;
use klamm_client::admin::{CommittedOffset, GroupFilter, GroupState, GroupType, MemberName};
use klamm_client::cluster::CoordinatorKind;
use klamm_client::net::handle::Handle;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use klamm_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use klamm_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::{at, refused, settled, soon, topic};

fn position(offset: i64) -> CommittedOffset {
    CommittedOffset { offset, leader_epoch: None, metadata: String::new() }
}

/// A connection to the coordinator of a group, once there is one.
async fn coordinator(client: &Client, group: &str) -> Handle {
    settled(async || client.cluster().coordinator(CoordinatorKind::Group, group, soon()).await.ok())
        .await
}

/// Joins a group of the classic protocol as its only member, a static one.
async fn join(client: &Client, group: &str, instance: &str, topic: &str) {
    let handle = coordinator(client, group).await;
    // A subscription to the topic, and an assignment of its first partition.
    let mut wire = vec![0, 0, 0, 0, 0, 1, 0, topic.len() as u8];
    wire.extend_from_slice(topic.as_bytes());
    let subscription: Bytes = [&wire[..], &[0xff; 4]].concat().into();
    let assignment: Bytes = [&wire[..], &[0, 0, 0, 1, 0, 0, 0, 0], &[0xff; 4]].concat().into();
    let request = JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        group_instance_id: Some(instance.to_owned()),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: subscription,
        }],
        ..JoinGroupRequest::default()
    };
    let joined = settled(async || {
        Some(handle.request(&request, soon()).await.unwrap()).filter(|one| one.error_code.is_ok())
    })
    .await;
    let request = SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        group_instance_id: Some(instance.to_owned()),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: vec![SyncGroupRequestAssignment { member_id: joined.member_id, assignment }],
    };
    let synced = handle.request(&request, soon()).await.unwrap();
    assert!(synced.error_code.is_ok(), "{synced:?}");
}

pub async fn groups_are_listed_described_and_deleted(client: &Client) {
    topic(client, "read", 2, 1).await;
    let offsets = [(at("read", 0), position(3)), (at("read", 1), position(4))];
    for group in ["idle", "other"] {
        let stored = client.commit_offsets(group, &offsets).await;
        assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    }
    let listed = client.list_groups(&GroupFilter::default()).await.unwrap().complete().unwrap();
    let idle = listed.iter().find(|group| group.id == "idle").expect("it is listed");
    assert_eq!(
        (&idle.state, &idle.group_type),
        (&Some(GroupState::Empty), &Some(GroupType::Classic))
    );
    let stable = GroupFilter::default().with_state(GroupState::Stable);
    assert!(client.list_groups(&stable).await.unwrap().found.is_empty());
    let consumers = GroupFilter::default().with_type(GroupType::Consumer);
    assert!(client.list_groups(&consumers).await.unwrap().found.is_empty());

    let described = client.describe_groups(&["idle", "nobody"]).await;
    let idle = described[0].as_ref().unwrap();
    assert_eq!((&idle.state, &idle.group_type), (&GroupState::Empty, &GroupType::Classic));
    assert!(idle.members.is_empty(), "{idle:?}");
    let nobody = refused(&described[1]);
    assert_eq!(nobody.code(), Some(ErrorCode::GROUP_ID_NOT_FOUND), "{nobody}");
    assert_eq!(nobody.context("group"), Some("nobody"));

    let one = [at("read", 1)];
    let read = client
        .committed_offsets_of(&[("other", Some(&one[..])), ("nobody", None), ("idle", None)])
        .await;
    let lengths: Vec<_> = read.iter().map(|found| found.as_ref().unwrap().len()).collect();
    assert_eq!(lengths, [1, 0, 2]);
    assert_eq!(read[0].as_ref().unwrap()[&one[0]].offset, 4);

    let forgotten = client.delete_offsets("idle", &[at("read", 0), at("read", 1)][..1]).await;
    assert!(forgotten[0].is_ok(), "{forgotten:?}");
    assert_eq!(client.committed_offsets("idle", None).await.unwrap().len(), 1);
    let deleted = client.delete_groups(&["idle", "nobody", "other"]).await;
    assert!(deleted[0].is_ok() && deleted[2].is_ok(), "{deleted:?}");
    assert_eq!(refused(&deleted[1]).code(), Some(ErrorCode::GROUP_ID_NOT_FOUND));
    let gone = client.describe_groups(&["idle"]).await;
    assert_eq!(refused(&gone[0]).code(), Some(ErrorCode::GROUP_ID_NOT_FOUND));
}

pub async fn members_are_told_and_removed(client: &Client) {
    topic(client, "joined", 1, 1).await;
    join(client, "busy", "one", "joined").await;
    let busy = client.describe_groups(&["busy"]).await.remove(0).unwrap();
    assert_eq!((&busy.state, busy.assignor.as_str()), (&GroupState::Stable, "range"));
    let member = &busy.members[0];
    assert_eq!(member.instance_id.as_deref(), Some("one"));
    assert_eq!(member.assigned, [at("joined", 0)]);
    let stored = client.commit_offsets("busy", &[(at("joined", 0), position(1))]).await;
    assert_eq!(refused(&stored[0]).code(), Some(ErrorCode::UNKNOWN_MEMBER_ID), "{stored:?}");
    let deleted = client.delete_groups(&["busy"]).await;
    assert_eq!(refused(&deleted[0]).code(), Some(ErrorCode::NON_EMPTY_GROUP), "{deleted:?}");
    let members = [MemberName::Id("nobody".to_owned()), MemberName::Instance("one".to_owned())];
    let removed = client.remove_members("busy", &members).await;
    assert_eq!(refused(&removed[0]).code(), Some(ErrorCode::UNKNOWN_MEMBER_ID), "{removed:?}");
    assert_eq!(refused(&removed[0]).context("member"), Some("nobody"));
    assert!(removed[1].is_ok(), "{removed:?}");
    let busy = client.describe_groups(&["busy"]).await.remove(0).unwrap();
    assert!(busy.members.is_empty(), "{busy:?}");
    client.delete_groups(&["busy"]).await.remove(0).unwrap();
}

pub async fn groups_whose_broker_assigns_are_described_as_such(client: &Client) {
    topic(client, "assigned", 1, 1).await;
    let handle = coordinator(client, "newer").await;
    let mut request = ConsumerGroupHeartbeatRequest {
        group_id: "newer".to_owned(),
        member_id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec!["assigned".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let beat = settled(async || {
        Some(handle.request(&request, soon()).await.unwrap()).filter(|one| one.error_code.is_ok())
    })
    .await;
    let group = client.describe_groups(&["newer"]).await.remove(0).unwrap();
    assert_eq!((&group.group_type, group.members.len()), (&GroupType::Consumer, 1), "{group:?}");
    let member = &group.members[0];
    assert_eq!(
        (member.id.as_str(), member.epoch),
        (request.member_id.as_str(), Some(beat.member_epoch))
    );
    assert_eq!(member.subscribed, ["assigned"]);
    assert!(group.epochs.is_some_and(|(epoch, _)| epoch > 0), "{group:?}");
    let filter = GroupFilter::default().with_type(GroupType::Consumer);
    let listed = client.list_groups(&filter).await.unwrap().complete().unwrap();
    assert_eq!(listed.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["newer"]);
    request.member_epoch = -1;
    let left = handle.request(&request, soon()).await.unwrap();
    assert!(left.error_code.is_ok(), "{left:?}");
    client.delete_groups(&["newer"]).await.remove(0).unwrap();
}
