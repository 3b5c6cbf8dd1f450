//! Groups of the classic protocol: joining, rebalances, sessions, offsets.

use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::describe_groups::DescribeGroupsRequest;
use klamm_protocol::messages::find_coordinator::FindCoordinatorRequest;
use klamm_protocol::messages::heartbeat::HeartbeatRequest;
use klamm_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use klamm_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use klamm_protocol::messages::list_groups::ListGroupsRequest;
use klamm_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use klamm_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::harness::Bench;
use crate::broker::{ClusterConfig, ConnId};

const SESSION: Duration = Duration::from_millis(1000);

/// A member over a connection of its own.
struct Member {
    conn: ConnId,
    id: String,
    instance: Option<String>,
    generation: i32,
}

impl Member {
    fn new(bench: &mut Bench) -> Self {
        let conn = bench.cluster.connect(1);
        Self { conn, id: String::new(), instance: None, generation: -1 }
    }

    fn join_request(&self) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from(self.id.clone()),
        };
        JoinGroupRequest {
            group_id: "g".to_owned(),
            session_timeout_ms: 1000,
            rebalance_timeout_ms: 3000,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        }
    }

    /// Gets an id and asks to join; the answer may come later.
    fn join(&mut self, bench: &mut Bench) {
        if self.id.is_empty() && self.instance.is_none() {
            let first = bench.call_over(self.conn, &self.join_request(), 9);
            assert_eq!(first.error_code, ErrorCode::MEMBER_ID_REQUIRED);
            self.id = first.member_id;
        }
        bench.send_over(self.conn, &self.join_request(), 9);
    }

    fn joined(&mut self, bench: &mut Bench) -> Option<JoinGroupResponse> {
        let response = bench.answer_over::<JoinGroupRequest>(self.conn, 9)?;
        self.id.clone_from(&response.member_id);
        self.generation = response.generation_id;
        Some(response)
    }

    fn sync(&self, bench: &mut Bench, assignments: &[(&str, &'static str)]) {
        let assignments = assignments.iter().map(|(id, given)| SyncGroupRequestAssignment {
            member_id: (*id).to_owned(),
            assignment: Bytes::from_static(given.as_bytes()),
        });
        let request = SyncGroupRequest {
            group_id: "g".to_owned(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.collect(),
            ..SyncGroupRequest::default()
        };
        bench.send_over(self.conn, &request, 5);
    }

    fn synced(&self, bench: &mut Bench) -> Option<Result<Bytes, ErrorCode>> {
        let response = bench.answer_over::<SyncGroupRequest>(self.conn, 5)?;
        let code = response.error_code;
        Some(if code.is_ok() { Ok(response.assignment) } else { Err(code) })
    }

    fn heartbeat(&self, bench: &mut Bench) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
        };
        bench.call_over(self.conn, &request, 4).error_code
    }

    fn leave(&self, bench: &mut Bench) -> ErrorCode {
        let identity = MemberIdentity { member_id: self.id.clone(), ..MemberIdentity::default() };
        let request = LeaveGroupRequest {
            group_id: "g".to_owned(),
            members: vec![identity],
            ..LeaveGroupRequest::default()
        };
        bench.call_over(self.conn, &request, 5).members.remove(0).error_code
    }

    fn commit(&self, bench: &mut Bench, offset: i64) -> ErrorCode {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: None,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".to_owned(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        bench.call_over(self.conn, &request, 9).topics[0].partitions[0].error_code
    }
}

/// A group with one member that has its assignment.
fn alone(bench: &mut Bench) -> Member {
    let mut member = Member::new(bench);
    member.join(bench);
    let joined = member.joined(bench).expect("nobody else is waited for");
    assert_eq!((joined.leader.as_str(), joined.members.len()), (member.id.as_str(), 1));
    member.sync(bench, &[(&member.id, "all")]);
    assert_eq!(member.synced(bench), Some(Ok(Bytes::from_static(b"all"))));
    member
}

/// A stable group of two.
fn pair(bench: &mut Bench) -> (Member, Member) {
    let mut first = alone(bench);
    let mut second = Member::new(bench);
    second.join(bench);
    assert!(second.joined(bench).is_none(), "the first member has not joined again");
    assert_eq!(first.heartbeat(bench), ErrorCode::REBALANCE_IN_PROGRESS);
    first.join(bench);
    let joined = first.joined(bench).expect("all are here");
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2));
    let follower = second.joined(bench).expect("all are here");
    assert_eq!((follower.leader, follower.members.len()), (first.id.clone(), 0));
    second.sync(bench, &[]);
    assert_eq!(second.synced(bench), None);
    first.sync(bench, &[(&first.id, "one"), (&second.id, "two")]);
    assert_eq!(first.synced(bench), Some(Ok(Bytes::from_static(b"one"))));
    assert_eq!(second.synced(bench), Some(Ok(Bytes::from_static(b"two"))));
    (first, second)
}

fn positions(bench: &mut Bench) -> Vec<i64> {
    let topic = OffsetFetchRequestTopics {
        name: "t".to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    let response = bench.call(&request, 9);
    let topics = response.groups.into_iter().flat_map(|group| group.topics);
    topics.flat_map(|topic| topic.partitions).map(|p| p.committed_offset).collect()
}

#[test]
fn two_members_form_a_group_and_each_gets_its_assignment() {
    let mut bench = Bench::with_topic();
    let (first, second) = pair(&mut bench);
    assert_eq!(first.heartbeat(&mut bench), ErrorCode::NONE);
    assert_eq!(second.heartbeat(&mut bench), ErrorCode::NONE);
}

#[test]
fn a_member_that_leaves_sets_off_a_rebalance_for_the_rest() {
    let mut bench = Bench::with_topic();
    let (mut first, second) = pair(&mut bench);
    assert_eq!(second.leave(&mut bench), ErrorCode::NONE);
    assert_eq!(second.heartbeat(&mut bench), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(first.heartbeat(&mut bench), ErrorCode::REBALANCE_IN_PROGRESS);
    first.join(&mut bench);
    assert_eq!(first.joined(&mut bench).unwrap().members.len(), 1);
}

#[test]
fn a_silent_member_loses_its_session() {
    let mut bench = Bench::with_topic();
    let (mut first, second) = pair(&mut bench);
    bench.pass(SESSION / 2);
    assert_eq!(first.heartbeat(&mut bench), ErrorCode::NONE);
    bench.pass(SESSION / 2 + Duration::from_millis(1));
    assert_eq!(first.heartbeat(&mut bench), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(second.heartbeat(&mut bench), ErrorCode::UNKNOWN_MEMBER_ID);
    first.join(&mut bench);
    assert_eq!(first.joined(&mut bench).unwrap().members.len(), 1);
}

#[test]
fn a_rebalance_does_not_wait_for_ever_for_a_member_that_heartbeats_but_never_joins() {
    let mut bench = Bench::with_topic();
    let (first, second) = pair(&mut bench);
    let mut third = Member::new(&mut bench);
    third.join(&mut bench);
    for _ in 0..7 {
        bench.pass(SESSION / 2);
        first.heartbeat(&mut bench);
        second.heartbeat(&mut bench);
    }
    let joined = third.joined(&mut bench).expect("the rebalance timeout has passed");
    assert_eq!(joined.members.len(), 1);
    assert_eq!(first.heartbeat(&mut bench), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_leader_that_never_assigns_is_dropped_and_the_others_form_anew() {
    let mut bench = Bench::with_topic();
    let (mut first, mut second) = pair(&mut bench);
    first.join(&mut bench);
    assert_eq!(second.heartbeat(&mut bench), ErrorCode::REBALANCE_IN_PROGRESS);
    second.join(&mut bench);
    assert!(first.joined(&mut bench).is_some() && second.joined(&mut bench).is_some());
    second.sync(&mut bench, &[]);
    for _ in 0..6 {
        assert_eq!(first.heartbeat(&mut bench), ErrorCode::NONE);
        bench.pass(SESSION / 2);
    }
    assert_eq!(second.synced(&mut bench), Some(Err(ErrorCode::REBALANCE_IN_PROGRESS)));
    second.join(&mut bench);
    let joined = second.joined(&mut bench).unwrap();
    assert_eq!((joined.leader, joined.members.len()), (second.id.clone(), 1));
}

#[test]
fn a_member_that_asks_again_for_an_answer_it_lost_gets_it_without_a_rebalance() {
    let mut bench = Bench::with_topic();
    let (first, mut second) = pair(&mut bench);
    second.join(&mut bench);
    assert_eq!(second.joined(&mut bench).unwrap().generation_id, first.generation);
    second.sync(&mut bench, &[]);
    assert_eq!(second.synced(&mut bench), Some(Ok(Bytes::from_static(b"two"))));
    assert_eq!(first.heartbeat(&mut bench), ErrorCode::NONE);
}

#[test]
fn stale_generations_and_strangers_are_refused() {
    let mut bench = Bench::with_topic();
    let mut member = alone(&mut bench);
    member.generation += 1;
    assert_eq!(member.heartbeat(&mut bench), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(member.commit(&mut bench, 1), ErrorCode::ILLEGAL_GENERATION);
    member.id.push('x');
    assert_eq!(member.heartbeat(&mut bench), ErrorCode::UNKNOWN_MEMBER_ID);
    let mut request = member.join_request();
    assert_eq!(bench.call(&request, 9).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    request.member_id.clear();
    request.protocols[0].name = "other".to_owned();
    assert_eq!(bench.call(&request, 9).error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn a_static_member_comes_back_in_its_old_place_and_the_old_one_is_fenced() {
    let mut bench = Bench::with_topic();
    let mut old = Member::new(&mut bench);
    old.instance = Some("i".to_owned());
    old.join(&mut bench);
    old.joined(&mut bench).unwrap();
    old.sync(&mut bench, &[(&old.id.clone(), "all")]);
    assert!(old.synced(&mut bench).unwrap().is_ok());
    let mut new = Member::new(&mut bench);
    new.instance = Some("i".to_owned());
    new.join(&mut bench);
    let joined = new.joined(&mut bench).unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!(joined.leader, new.id);
    assert_eq!(old.heartbeat(&mut bench), ErrorCode::FENCED_INSTANCE_ID);
}

#[test]
fn positions_are_kept_for_members_and_for_readers_without_a_group() {
    let mut bench = Bench::with_topic();
    assert_eq!(positions(&mut bench), [-1]);
    let outsider = Member::new(&mut bench);
    assert_eq!(outsider.commit(&mut bench, 3), ErrorCode::NONE);
    assert_eq!(positions(&mut bench), [3]);
    let member = alone(&mut bench);
    assert_eq!(outsider.commit(&mut bench, 4), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(member.commit(&mut bench, 5), ErrorCode::NONE);
    assert_eq!(positions(&mut bench), [5]);
    bench.cluster.delete_topic("t");
    bench.cluster.create_topic("t", 1, 1).unwrap();
    assert_eq!(positions(&mut bench), [-1]);
}

#[test]
fn groups_are_found_listed_and_described() {
    let mut bench = Bench::with_topic();
    let member = alone(&mut bench);
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["g".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    let found = bench.call(&request, 4).coordinators.remove(0);
    assert_eq!((found.error_code, found.node_id), (ErrorCode::NONE, 1));
    let shares = FindCoordinatorRequest { key_type: 2, ..request };
    let refused = bench.call(&shares, 4).coordinators.remove(0);
    assert_eq!(refused.error_code, ErrorCode::INVALID_REQUEST);
    let listed = bench.call(&ListGroupsRequest::default(), 5).groups;
    assert_eq!((listed.len(), listed[0].group_state.as_str()), (1, "Stable"));
    let none = ListGroupsRequest { states_filter: vec!["Empty".into()], ..Default::default() };
    assert_eq!(bench.call(&none, 5).groups.len(), 0);
    let request = DescribeGroupsRequest {
        groups: vec!["g".to_owned(), "nobody".to_owned()],
        ..DescribeGroupsRequest::default()
    };
    let described = bench.call(&request, 6).groups;
    assert_eq!(described[0].members[0].member_id, member.id);
    assert_eq!(described[0].members[0].member_assignment, "all");
    assert_eq!(described[1].error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}

#[test]
fn a_group_outlives_the_node_that_looks_after_it() {
    let mut bench = Bench::new(ClusterConfig { brokers: 2, ..ClusterConfig::default() });
    bench.cluster.create_topic("t", 1, 2).unwrap();
    let request = FindCoordinatorRequest { key: "g".to_owned(), ..Default::default() };
    let node = bench.call(&request, 3).node_id;
    let other = 3 - node;
    let mut member = Member::new(&mut bench);
    member.conn = bench.cluster.connect(node);
    assert_eq!(member.commit(&mut bench, 7), ErrorCode::NONE);
    member.conn = bench.cluster.connect(other);
    assert_eq!(member.commit(&mut bench, 8), ErrorCode::NOT_COORDINATOR);
    bench.cluster.kill(node);
    bench.conn = bench.cluster.connect(other);
    member.conn = bench.conn;
    assert_eq!(positions(&mut bench), [7]);
    assert_eq!(member.commit(&mut bench, 8), ErrorCode::NONE);
}
