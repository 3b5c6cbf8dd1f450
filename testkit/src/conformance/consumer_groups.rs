//! Groups whose coordinator assigns (KIP-848), where the broker offers them: members are led to
//! what they shall read, and those with a wrong epoch are fenced.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, DescribedGroup,
};
use klamm_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use klamm_protocol::messages::describe_groups::DescribeGroupsRequest;
use klamm_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use klamm_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use klamm_protocol::messages::list_groups::ListGroupsRequest;
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use klamm_protocol::wire::Uuid;

use super::groups;
use super::wire::{Wire, fresh_name, new_topic};
use crate::outside::Cluster;

pub(super) fn reconciled(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 4) else { return };
    let mut first = bench.member("a");
    let joined = first.beat(&mut bench);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    assert!(joined.member_epoch > 0);
    assert!(joined.heartbeat_interval_ms > 0);
    bench.settle(&mut [&mut first]);
    let before = first.epoch;
    let mut second = bench.member("b");
    second.beat(&mut bench);
    assert!(second.owned.is_empty(), "the other has not given up anything");
    bench.settle(&mut [&mut first, &mut second]);
    assert_eq!((first.owned.len(), second.owned.len()), (2, 2));
    assert_eq!(first.epoch, second.epoch);
    assert!(first.epoch > before);
    let quiet = second.beat(&mut bench);
    assert_eq!(quiet.assignment, None, "nothing has changed");
    second.leave(&mut bench, -1);
    bench.settle(&mut [&mut first]);
    assert!(first.epoch > second.epoch);
}

pub(super) fn ranges(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 5) else { return };
    let (mut first, mut second) = (bench.member("a"), bench.member("b"));
    for member in [&mut first, &mut second] {
        member.request.server_assignor = Some("range".to_owned());
        member.beat(&mut bench);
    }
    bench.settle(&mut [&mut first, &mut second]);
    assert_eq!(first.owned, [0, 1, 2].into());
    assert_eq!(second.owned, [3, 4].into());
}

pub(super) fn fenced(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 2) else { return };
    let mut member = bench.member("a");
    let mut stranger = bench.member("b");
    stranger.epoch = 1;
    let code = stranger.beat(&mut bench).error_code;
    assert_eq!(code, ErrorCode::GROUP_ID_NOT_FOUND, "there is no group");
    member.beat(&mut bench);
    bench.settle(&mut [&mut member]);
    assert_eq!(stranger.beat(&mut bench).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    let epoch = member.epoch;
    member.epoch = epoch + 1;
    assert_eq!(member.beat(&mut bench).error_code, ErrorCode::FENCED_MEMBER_EPOCH);
    member.epoch = 0;
    let again = member.beat(&mut bench);
    assert_eq!(again.error_code, ErrorCode::NONE, "a member may begin anew");
    bench.settle(&mut [&mut member]);
    member.leave(&mut bench, -1);
    assert_eq!(member.beat(&mut bench).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

pub(super) fn lost_answer(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 2) else { return };
    let mut member = bench.member("a");
    member.beat(&mut bench);
    bench.settle(&mut [&mut member]);
    let mut second = bench.member("b");
    second.beat(&mut bench);
    // It asks as long as it takes to be told a new epoch, and then asks as if it had not been.
    let before = member.epoch;
    let until = Instant::now() + PATIENCE;
    while member.epoch == before {
        assert!(Instant::now() < until, "no new epoch");
        member.beat(&mut bench);
    }
    let after = member.epoch;
    member.epoch = before;
    let again = member.beat(&mut bench);
    assert_eq!((again.error_code, again.member_epoch), (ErrorCode::NONE, after));
}

pub(super) fn static_members(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 2) else { return };
    let mut old = bench.member("old");
    old.request.instance_id = Some("i".to_owned());
    old.beat(&mut bench);
    bench.settle(&mut [&mut old]);
    let mut new = bench.member("new");
    new.request.instance_id = Some("i".to_owned());
    assert_eq!(new.beat(&mut bench).error_code, ErrorCode::UNRELEASED_INSTANCE_ID);
    let epoch = old.epoch;
    old.leave(&mut bench, -2);
    let joined = new.beat(&mut bench);
    assert_eq!((joined.error_code, joined.member_epoch), (ErrorCode::NONE, epoch));
    assert_eq!(new.owned.len(), 2, "it takes the place of the old one");
    old.epoch = epoch;
    assert_eq!(old.beat(&mut bench).error_code, ErrorCode::FENCED_INSTANCE_ID);
    let mut other = bench.member("other");
    other.request.instance_id = Some("j".to_owned());
    other.epoch = epoch;
    assert_eq!(other.beat(&mut bench).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

pub(super) fn patterns(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 2) else { return };
    let mut member = bench.member("a");
    member.request.subscribed_topic_names = None;
    member.request.subscribed_topic_regex = Some("(".to_owned());
    assert_eq!(member.beat(&mut bench).error_code, ErrorCode::INVALID_REGULAR_EXPRESSION);
    member.request.subscribed_topic_regex = Some(format!("{}|nothing", bench.topic));
    member.beat(&mut bench);
    // Apache Kafka looks for the topics in the background.
    let until = Instant::now() + PATIENCE;
    while member.owned.len() < 2 {
        assert!(Instant::now() < until, "the topic was never found");
        std::thread::sleep(Duration::from_millis(50));
        member.beat(&mut bench);
    }
}

pub(super) fn impossible(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 1) else { return };
    let good = bench.member("a").request;
    let owned = TopicPartitions { topic_id: bench.topic_id, partitions: vec![0] };
    let cases = [
        ConsumerGroupHeartbeatRequest { group_id: String::new(), ..good.clone() },
        ConsumerGroupHeartbeatRequest { member_id: String::new(), ..good.clone() },
        ConsumerGroupHeartbeatRequest { instance_id: Some(String::new()), ..good.clone() },
        ConsumerGroupHeartbeatRequest { rack_id: Some(String::new()), ..good.clone() },
        ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good.clone() },
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..good.clone() },
        ConsumerGroupHeartbeatRequest { topic_partitions: None, ..good.clone() },
        ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![owned]), ..good.clone() },
        ConsumerGroupHeartbeatRequest { member_epoch: -2, ..good.clone() },
        ConsumerGroupHeartbeatRequest { member_epoch: -3, ..good.clone() },
    ];
    for (n, request) in cases.iter().enumerate() {
        let response = bench.wire.exchange(request, 1);
        assert_eq!(response.error_code, ErrorCode::INVALID_REQUEST, "case {n}");
    }
    let unknown =
        ConsumerGroupHeartbeatRequest { server_assignor: Some("luck".to_owned()), ..good };
    let response = bench.wire.exchange(&unknown, 1);
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_ASSIGNOR);
    let mut older = bench.member("");
    older.version = 0;
    let joined = older.beat(&mut bench);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    assert!(joined.member_id.is_some_and(|id| !id.is_empty()), "version 0 is given an id");
}

pub(super) fn positions(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 1) else { return };
    let mut member = bench.member("a");
    member.beat(&mut bench);
    bench.settle(&mut [&mut member]);
    let epoch = member.epoch;
    let mut commit = |id: &str, epoch, version| {
        let (group, topic) = (bench.group.clone(), bench.topic.clone());
        groups::commit(&mut bench.wire, (&group, &topic), 7, (id, epoch), version)
    };
    assert_eq!(commit(&member.id, epoch, 9), ErrorCode::NONE);
    assert_eq!(commit(&member.id, epoch + 1, 9), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(commit("who", epoch, 9), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(commit("", -1, 9), ErrorCode::UNKNOWN_MEMBER_ID, "only members may");
    assert_eq!(commit(&member.id, epoch, 8), ErrorCode::UNSUPPORTED_VERSION);
    let told = |bench: &mut Bench, member_id: Option<&str>, member_epoch| {
        let topic = OffsetFetchRequestTopics {
            name: bench.topic.clone(),
            partition_indexes: vec![0],
            ..OffsetFetchRequestTopics::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: bench.group.clone(),
            member_id: member_id.map(str::to_owned),
            member_epoch,
            topics: Some(vec![topic]),
        };
        let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
        let mut group = bench.wire.exchange(&request, 9).groups.remove(0);
        let offset = group.topics.pop().map(|mut topic| topic.partitions.remove(0));
        (group.error_code, offset.map(|partition| partition.committed_offset))
    };
    assert_eq!(told(&mut bench, Some(&member.id), epoch), (ErrorCode::NONE, Some(7)));
    assert_eq!(told(&mut bench, None, -1), (ErrorCode::NONE, Some(7)));
    let stale = told(&mut bench, Some(&member.id), epoch + 1);
    assert_eq!(stale.0, ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(told(&mut bench, Some("who"), epoch).0, ErrorCode::UNKNOWN_MEMBER_ID);
}

pub(super) fn described(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 2) else { return };
    let mut member = bench.member("a");
    assert_eq!(bench.describe().error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    member.beat(&mut bench);
    bench.settle(&mut [&mut member]);
    let group = bench.describe();
    assert_eq!((group.error_code, group.group_state.as_str()), (ErrorCode::NONE, "Stable"));
    assert_eq!((group.group_epoch, group.assignment_epoch), (member.epoch, member.epoch));
    assert_eq!((group.assignor_name.as_str(), group.members.len()), ("uniform", 1));
    let told = &group.members[0];
    assert_eq!((told.member_epoch, told.member_type), (member.epoch, 1));
    assert_eq!(told.subscribed_topic_names, [bench.topic.clone()]);
    assert_eq!(told.assignment, told.target_assignment);
    assert_eq!(told.assignment.topic_partitions[0].topic_name, bench.topic);
    let classic = DescribeGroupsRequest {
        groups: vec![bench.group.clone()],
        ..DescribeGroupsRequest::default()
    };
    let code = bench.wire.exchange(&classic, 6).groups[0].error_code;
    assert_eq!(code, ErrorCode::GROUP_ID_NOT_FOUND, "it is no group of the classic protocol");
    assert_eq!(bench.wire.exchange(&classic, 5).groups[0].group_state, "Dead");
    let request = ListGroupsRequest {
        types_filter: vec!["consumer".to_owned()],
        ..ListGroupsRequest::default()
    };
    let listed = bench.wire.exchange(&request, 5).groups;
    let listed = listed.iter().find(|listed| listed.group_id == bench.group).expect("is listed");
    assert_eq!((listed.group_state.as_str(), listed.group_type.as_str()), ("Stable", "consumer"));
    assert_eq!(listed.protocol_type, "consumer");
}

pub(super) fn converted(cluster: &dyn Cluster) {
    let Some(mut bench) = Bench::new(cluster, 1) else { return };
    let (group, topic) = (bench.group.clone(), bench.topic.clone());
    // A position of a reader outside any group makes a classic one without members.
    let code = groups::commit(&mut bench.wire, (&group, &topic), 3, ("", -1), 9);
    assert_eq!(code, ErrorCode::NONE);
    assert_eq!(bench.describe().error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    let mut member = bench.member("a");
    member.beat(&mut bench);
    bench.settle(&mut [&mut member]);
    let kept = groups::fetch(&mut bench.wire, &group, &topic, false);
    assert_eq!(kept.committed_offset, 3);
    let join = JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "other".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "other".to_owned(),
            metadata: Bytes::new(),
        }],
        ..JoinGroupRequest::default()
    };
    let refused = bench.wire.exchange(&join, 9).error_code;
    assert_eq!(refused, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let identity = MemberIdentity { member_id: member.id.clone(), ..MemberIdentity::default() };
    let leave = LeaveGroupRequest {
        group_id: group.clone(),
        members: vec![identity],
        ..LeaveGroupRequest::default()
    };
    let code = bench.wire.exchange(&leave, 5).members[0].error_code;
    assert_eq!(code, ErrorCode::NONE, "an administrator may remove a member");
    bench.await_state("Empty");
    let joined = bench.wire.exchange(&join, 9);
    assert_eq!(joined.error_code, ErrorCode::MEMBER_ID_REQUIRED, "it is a classic group again");
    let until = Instant::now() + PATIENCE;
    while bench.describe().error_code != ErrorCode::GROUP_ID_NOT_FOUND {
        assert!(Instant::now() < until, "it stays a consumer group");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kept = groups::fetch(&mut bench.wire, &group, &topic, false);
    assert_eq!(kept.committed_offset, 3);
}

/// A topic, a group, and a connection to its coordinator.
struct Bench {
    wire: Wire,
    topic: String,
    topic_id: Uuid,
    partitions: usize,
    group: String,
}

/// A member, as it sees itself.
struct Member {
    id: String,
    epoch: i32,
    owned: BTreeSet<i32>,
    request: ConsumerGroupHeartbeatRequest,
    version: i16,
}

impl Bench {
    /// `None` where the broker has no such groups, or knows them as a preview only.
    fn new(cluster: &dyn Cluster, partitions: i32) -> Option<Self> {
        let versions = Wire::to(cluster).common::<ConsumerGroupHeartbeatRequest>();
        if !versions.contains(&1) {
            return None;
        }
        let topic = new_topic(cluster, partitions, &[]);
        let topic_id = Wire::to(cluster).described(&topic).topic_id;
        let group = fresh_name();
        let wire = groups::coordinator(cluster, &group);
        let partitions = usize::try_from(partitions).expect("a number");
        Some(Self { wire, topic, topic_id, partitions, group })
    }

    /// One that has not joined yet.
    fn member(&self, id: &str) -> Member {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: id.to_owned(),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(vec![self.topic.clone()]),
            topic_partitions: Some(Vec::new()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        Member { id: id.to_owned(), epoch: 0, owned: BTreeSet::new(), request, version: 1 }
    }

    /// Lets all members send heartbeats until the group is stable and reads everything: a
    /// coordinator may learn of a new topic late, and may assign only once in a while.
    fn settle(&mut self, members: &mut [&mut Member]) {
        let until = Instant::now() + PATIENCE;
        loop {
            for member in members.iter_mut() {
                let code = member.beat(self).error_code;
                assert_eq!(code, ErrorCode::NONE);
            }
            let mut held = BTreeSet::new();
            let mut all = members.iter().flat_map(|member| &member.owned);
            assert!(all.all(|partition| held.insert(partition)), "a partition has two readers");
            if held.len() == self.partitions && self.describe().group_state == "Stable" {
                return;
            }
            assert!(Instant::now() < until, "never stable: {:?}", self.describe());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn await_state(&mut self, state: &str) {
        let until = Instant::now() + PATIENCE;
        while self.describe().group_state != state {
            assert!(Instant::now() < until, "never {state}: {:?}", self.describe());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn describe(&mut self) -> DescribedGroup {
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![self.group.clone()],
            ..ConsumerGroupDescribeRequest::default()
        };
        self.wire.exchange(&request, 1).groups.remove(0)
    }
}

impl Member {
    /// Tells what it owns, and does what it is told.
    fn beat(&mut self, bench: &mut Bench) -> ConsumerGroupHeartbeatResponse {
        let owned = TopicPartitions {
            topic_id: bench.topic_id,
            partitions: self.owned.iter().copied().collect(),
        };
        let mut request = self.request.clone();
        request.member_id.clone_from(&self.id);
        request.member_epoch = self.epoch;
        if self.epoch != 0 {
            // Not a full request: only those are told what they know.
            request.rebalance_timeout_ms = -1;
            request.topic_partitions = Some(vec![owned]);
        }
        let response = bench.wire.exchange(&request, self.version);
        if response.error_code.is_ok() {
            self.epoch = response.member_epoch;
            self.id = response.member_id.clone().expect("an id");
            if let Some(assignment) = &response.assignment {
                let partitions = assignment.topic_partitions.iter();
                self.owned = partitions.flat_map(|topic| topic.partitions.clone()).collect();
            }
        }
        response
    }

    fn leave(&mut self, bench: &mut Bench, epoch: i32) {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: bench.group.clone(),
            member_id: self.id.clone(),
            member_epoch: epoch,
            instance_id: self.request.instance_id.clone(),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let left = bench.wire.exchange(&request, 1);
        assert_eq!((left.error_code, left.member_epoch), (ErrorCode::NONE, epoch));
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
