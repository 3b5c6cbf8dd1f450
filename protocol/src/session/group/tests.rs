//! The classic member, case by case. Whole groups, with the embedded broker as coordinator, are in the
//! client's tests.

use super::*;
use crate::assign::{Assignment, TopicLayout};
use crate::messages::heartbeat::HeartbeatResponse;
use crate::messages::join_group::{JoinGroupResponse, JoinGroupResponseMember};
use crate::messages::leave_group::LeaveGroupResponse;
use crate::messages::sync_group::SyncGroupResponse;

/// A member and the time.
struct Bench {
    group: Group,
    now: Instant,
}

impl Bench {
    fn new(assignors: &[Assignor]) -> Self {
        Self::with(assignors, None)
    }

    fn with(assignors: &[Assignor], instance: Option<&str>) -> Self {
        let now = Instant::now();
        let options = GroupOptions {
            group_id: "g".to_owned(),
            instance_id: instance.map(str::to_owned),
            rack: None,
            assignors: assignors.to_vec(),
            session_timeout: secs(45),
            rebalance_timeout: secs(300),
            heartbeat_interval: secs(3),
            backoff: Backoff::new(Duration::from_millis(100), secs(1)),
            jitter: 0.5,
        };
        let mut group = Group::new(now, options);
        group.subscribe(now, ["t".to_owned()]);
        Self { group, now }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.handle_timeout(self.now);
    }

    fn sent(&mut self) -> Option<GroupCall> {
        self.group.poll_transmit(self.now)
    }

    fn sends_join(&mut self) -> JoinGroupRequest {
        match self.sent() {
            Some(GroupCall::Join(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn sends_sync(&mut self) -> SyncGroupRequest {
        match self.sent() {
            Some(GroupCall::Sync(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, answer: GroupAnswer) {
        self.group.handle_answer(self.now, answer);
    }

    fn joined(&mut self, generation: i32, leader: &str, assignor: Assignor) {
        self.answer(GroupAnswer::Join(JoinGroupResponse {
            generation_id: generation,
            protocol_name: Some(assignor.name().to_owned()),
            leader: leader.to_owned(),
            member_id: "me".to_owned(),
            ..JoinGroupResponse::default()
        }));
    }

    fn join_refused(&mut self, code: ErrorCode, member_id: &str) {
        let (error_code, member_id) = (code, member_id.to_owned());
        let answer = JoinGroupResponse { error_code, member_id, ..JoinGroupResponse::default() };
        self.answer(GroupAnswer::Join(answer));
    }

    fn synced(&mut self, partitions: &[i32]) {
        let assignment = Assignment { partitions: t(partitions), user_data: None };
        let assignment = assignment.encode(3).unwrap();
        self.answer(GroupAnswer::Sync(SyncGroupResponse {
            assignment,
            ..SyncGroupResponse::default()
        }));
    }

    fn sync_refused(&mut self, error_code: ErrorCode) {
        let answer = SyncGroupResponse { error_code, ..SyncGroupResponse::default() };
        self.answer(GroupAnswer::Sync(answer));
    }

    /// A heartbeat goes out after the interval and is answered so.
    fn beats(&mut self, error_code: ErrorCode) {
        self.pass(secs(3));
        let sent = self.sent();
        assert!(matches!(sent, Some(GroupCall::Heartbeat(_))), "{sent:?}");
        let answer = HeartbeatResponse { error_code, ..HeartbeatResponse::default() };
        self.answer(GroupAnswer::Heartbeat(answer));
    }

    /// A member of generation 1 that follows and owns these partitions of "t".
    fn stable(assignors: &[Assignor], partitions: &[i32]) -> Self {
        let mut bench = Self::new(assignors);
        bench.sends_join();
        bench.joined(1, "other", assignors[0]);
        assert!(bench.sends_sync().assignments.is_empty());
        bench.synced(partitions);
        assert_eq!(bench.events(), [MemberEvent::Assigned(t(partitions))]);
        bench
    }

    fn events(&mut self) -> Vec<MemberEvent> {
        std::iter::from_fn(|| self.group.poll_event()).collect()
    }

    fn owns(&self) -> Vec<i32> {
        self.group.owned().map(|one| one.partition).collect()
    }

    fn revocation(&mut self) -> (RevocationId, Vec<TopicPartition>) {
        match &self.events()[..] {
            [MemberEvent::Revoke { id, partitions }] => (*id, partitions.clone()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_member_joins_with_the_id_that_the_broker_gave_first() {
    let mut bench = Bench::new(&[Assignor::Range]);
    assert_eq!(bench.sends_join().member_id, "");
    assert_eq!(bench.sent(), None);
    bench.join_refused(ErrorCode::MEMBER_ID_REQUIRED, "me");
    let join = bench.sends_join();
    assert_eq!((join.member_id.as_str(), join.protocols.len()), ("me", 1));
    bench.joined(1, "other", Assignor::Range);
    assert_eq!(bench.sends_sync().generation_id, 1);
    bench.synced(&[0, 2]);
    assert_eq!(bench.owns(), [0, 2]);
    assert_eq!(bench.group.identity().map(|identity| identity.epoch), Some(1));
}

#[test]
fn the_leader_shares_out_and_watches_the_topics() {
    let mut bench = Bench::new(&[Assignor::Range]);
    bench.sends_join();
    let metadata = Subscription::to(["t"]).encode(3).unwrap();
    let member = |id: &str| JoinGroupResponseMember {
        member_id: id.to_owned(),
        metadata: metadata.clone(),
        ..JoinGroupResponseMember::default()
    };
    let mut broken = member("z");
    broken.metadata = bytes::Bytes::from_static(b"?");
    bench.answer(GroupAnswer::Join(JoinGroupResponse {
        generation_id: 5,
        protocol_name: Some("range".to_owned()),
        leader: "me".to_owned(),
        member_id: "me".to_owned(),
        members: vec![member("a"), member("me"), broken],
        ..JoinGroupResponse::default()
    }));
    assert_eq!(bench.events(), [MemberEvent::Lead { topics: vec!["t".to_owned()] }]);
    assert_eq!(bench.sent(), None);
    bench.group.assign(&layouts(3)).unwrap();
    let shares = bench.sends_sync().assignments;
    let shares: Vec<_> = shares
        .into_iter()
        .map(|share| (share.member_id, Assignment::decode(share.assignment).unwrap().partitions))
        .collect();
    assert_eq!(
        shares,
        [("a".to_owned(), t(&[0, 1])), ("me".to_owned(), t(&[2])), ("z".to_owned(), vec![])]
    );
    bench.synced(&[2]);
    bench.group.handle_topics(bench.now, &layouts(3));
    assert_eq!(bench.events(), [MemberEvent::Assigned(t(&[2]))]);
    bench.group.handle_topics(bench.now, &layouts(4));
    let (id, gone) = bench.revocation();
    assert_eq!(gone, t(&[2]));
    bench.group.revoked(bench.now, id);
    bench.sends_join();
}

#[test]
fn a_leader_that_came_back_leaves_the_assignment_alone_when_it_is_told_to() {
    let mut bench = Bench::with(&[Assignor::Range], Some("instance"));
    bench.sends_join();
    bench.answer(GroupAnswer::Join(JoinGroupResponse {
        generation_id: 5,
        protocol_name: Some("range".to_owned()),
        leader: "me".to_owned(),
        member_id: "me".to_owned(),
        skip_assignment: true,
        members: vec![JoinGroupResponseMember {
            member_id: "me".to_owned(),
            metadata: Subscription::to(["t"]).encode(3).unwrap(),
            ..JoinGroupResponseMember::default()
        }],
        ..JoinGroupResponse::default()
    }));
    bench.events();
    bench.group.assign(&layouts(3)).unwrap();
    assert!(bench.sends_sync().assignments.is_empty());
    bench.synced(&[0, 1, 2]);
    bench.events();
    bench.group.handle_topics(bench.now, &layouts(4));
    assert!(matches!(bench.events()[..], [MemberEvent::Revoke { .. }]));
}

#[test]
fn an_eager_member_lets_everything_go_before_it_joins_again() {
    let mut bench = Bench::stable(&[Assignor::Range], &[0, 1]);
    bench.beats(ErrorCode::NONE);
    bench.beats(ErrorCode::REBALANCE_IN_PROGRESS);
    let (id, gone) = bench.revocation();
    assert_eq!((gone, bench.owns()), (t(&[0, 1]), vec![0, 1]));
    // It lives on meanwhile, and commits in its old generation.
    bench.beats(ErrorCode::REBALANCE_IN_PROGRESS);
    assert!(bench.group.identity().is_some());
    assert_eq!(bench.events(), []);
    bench.group.revoked(bench.now, RevocationId(99));
    assert_eq!((bench.sent(), bench.owns()), (None, vec![0, 1]));
    bench.group.revoked(bench.now, id);
    assert_eq!(bench.owns(), [] as [i32; 0]);
    bench.sends_join();
    bench.joined(2, "other", Assignor::Range);
    bench.sends_sync();
    bench.synced(&[1]);
    assert_eq!(bench.events(), [MemberEvent::Assigned(t(&[1]))]);
}

#[test]
fn a_cooperative_member_keeps_reading_and_joins_again_after_it_gave_something_up() {
    let mut bench = Bench::stable(&[Assignor::CooperativeSticky], &[0, 1]);
    bench.beats(ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(bench.events(), []);
    let join = bench.sends_join();
    let told = Subscription::decode(join.protocols[0].metadata.clone()).unwrap();
    assert_eq!((told.owned, told.generation), (t(&[0, 1]), Some(1)));
    bench.joined(2, "other", Assignor::CooperativeSticky);
    bench.sends_sync();
    bench.synced(&[1, 3]);
    let events = bench.events();
    let [MemberEvent::Assigned(new), MemberEvent::Revoke { id, partitions }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((new, partitions), (&t(&[3]), &t(&[0])));
    assert_eq!(bench.owns(), [0, 1, 3]);
    assert_eq!(bench.sent(), None);
    bench.group.revoked(bench.now, *id);
    let join = bench.sends_join();
    let told = Subscription::decode(join.protocols[0].metadata.clone()).unwrap();
    assert_eq!((told.owned, told.generation), (t(&[1, 3]), Some(2)));
    bench.joined(3, "other", Assignor::CooperativeSticky);
    bench.sends_sync();
    bench.synced(&[1, 3]);
    assert_eq!(bench.events(), []);
}

#[test]
fn a_refused_sync_joins_again_and_a_cooperative_member_keeps_what_it_has() {
    let mut bench = Bench::stable(&[Assignor::CooperativeSticky], &[0]);
    bench.beats(ErrorCode::REBALANCE_IN_PROGRESS);
    bench.sends_join();
    bench.joined(2, "other", Assignor::CooperativeSticky);
    bench.sends_sync();
    bench.sync_refused(ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!((bench.events(), bench.owns()), (vec![], vec![0]));
    bench.pass(secs(1));
    bench.sends_join();
}

#[test]
fn a_member_that_the_coordinator_forgot_loses_everything_and_joins_as_another() {
    let mut bench = Bench::stable(&[Assignor::CooperativeSticky], &[0]);
    bench.beats(ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0]))]);
    assert_eq!(bench.group.identity(), None);
    bench.pass(secs(1));
    let join = bench.sends_join();
    assert_eq!(join.member_id, "");
    assert!(Subscription::decode(join.protocols[0].metadata.clone()).unwrap().owned.is_empty());
}

#[test]
fn a_revocation_that_came_to_nothing_answers_no_later_one() {
    let mut bench = Bench::stable(&[Assignor::Range], &[0]);
    bench.beats(ErrorCode::REBALANCE_IN_PROGRESS);
    let (old, _) = bench.revocation();
    bench.beats(ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0]))]);
    bench.pass(secs(1));
    assert_eq!(bench.sends_join().member_id, "me");
    bench.joined(7, "other", Assignor::Range);
    bench.sends_sync();
    bench.synced(&[0]);
    bench.events();
    bench.beats(ErrorCode::REBALANCE_IN_PROGRESS);
    let (new, _) = bench.revocation();
    bench.group.revoked(bench.now, old);
    assert_eq!((bench.sent(), bench.owns()), (None, vec![0]));
    bench.group.revoked(bench.now, new);
    bench.sends_join();
}

#[test]
fn a_session_without_answers_ends_here_before_it_ends_at_the_coordinator() {
    let mut bench = Bench::stable(&[Assignor::CooperativeSticky], &[0]);
    bench.beats(ErrorCode::NONE);
    for _ in 0..14 {
        bench.pass(secs(3));
        if bench.sent().is_some() {
            bench.group.handle_failure(bench.now);
        }
        assert_eq!(bench.events(), []);
    }
    let due = bench.group.poll_timeout().unwrap();
    assert!(due <= bench.now + secs(3));
    bench.pass(secs(3));
    assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0]))]);
}

#[test]
fn a_coordinator_that_moved_is_looked_up_and_nothing_is_lost() {
    let mut bench = Bench::stable(&[Assignor::Range], &[0]);
    bench.beats(ErrorCode::NOT_COORDINATOR);
    assert_eq!((bench.events(), bench.owns()), (vec![MemberEvent::CoordinatorLost], vec![0]));
    bench.pass(secs(1));
    assert!(matches!(bench.sent(), Some(GroupCall::Heartbeat(_))));
}

#[test]
fn a_fenced_static_member_ends() {
    let mut bench = Bench::with(&[Assignor::Range], Some("instance"));
    assert_eq!(bench.sends_join().group_instance_id.as_deref(), Some("instance"));
    bench.joined(1, "other", Assignor::Range);
    bench.sends_sync();
    bench.synced(&[0]);
    bench.events();
    bench.beats(ErrorCode::FENCED_INSTANCE_ID);
    let failed = MemberEvent::Failed { code: ErrorCode::FENCED_INSTANCE_ID, message: None };
    assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0])), failed]);
    bench.pass(secs(100));
    assert_eq!((bench.sent(), bench.group.poll_timeout()), (None, None));
}

#[test]
fn leaving_says_so_unless_a_static_member_means_to_come_back() {
    let mut bench = Bench::stable(&[Assignor::Range], &[0]);
    bench.group.leave(bench.now, false);
    assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0]))]);
    let Some(GroupCall::Leave(leave)) = bench.sent() else { panic!() };
    assert_eq!(leave.request(2).member_id, "me");
    assert_eq!(leave.request(3).members[0].member_id, "me");
    bench.answer(GroupAnswer::Leave(LeaveGroupResponse::default()));
    assert_eq!(bench.events(), [MemberEvent::Left]);
    bench.group.join(bench.now);
    assert_eq!(bench.sends_join().member_id, "");

    let mut bench = Bench::with(&[Assignor::Range], Some("instance"));
    bench.sends_join();
    bench.joined(1, "other", Assignor::Range);
    bench.group.leave(bench.now, false);
    assert_eq!((bench.events(), bench.sent()), (vec![MemberEvent::Left], None));
}

#[test]
fn leaving_tries_again_where_the_coordinator_moved() {
    let mut bench = Bench::stable(&[Assignor::Range], &[0]);
    bench.group.leave(bench.now, true);
    bench.events();
    assert!(matches!(bench.sent(), Some(GroupCall::Leave(_))));
    let error_code = ErrorCode::NOT_COORDINATOR;
    let answer = LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    bench.answer(GroupAnswer::Leave(answer));
    assert_eq!(bench.events(), [MemberEvent::CoordinatorLost]);
    bench.pass(secs(1));
    assert!(matches!(bench.sent(), Some(GroupCall::Leave(_))));
}

#[test]
fn a_new_subscription_lets_a_cooperative_member_give_up_only_what_it_does_not_want() {
    let mut bench = Bench::stable(&[Assignor::CooperativeSticky], &[0]);
    bench.group.subscribe(bench.now, ["t".to_owned(), "u".to_owned()]);
    assert_eq!(bench.events(), []);
    let join = bench.sends_join();
    let told = Subscription::decode(join.protocols[0].metadata.clone()).unwrap();
    assert_eq!(told.topics, ["t", "u"]);
    // What changes while an answer is awaited is told after it.
    bench.group.subscribe(bench.now, ["u".to_owned()]);
    bench.joined(2, "other", Assignor::CooperativeSticky);
    bench.sends_sync();
    bench.synced(&[0]);
    let (id, gone) = bench.revocation();
    assert_eq!(gone, t(&[0]));
    bench.group.revoked(bench.now, id);
    bench.sends_join();
}

#[test]
fn an_assignor_that_was_not_offered_ends_the_membership() {
    let mut bench = Bench::new(&[Assignor::Range]);
    bench.sends_join();
    bench.joined(1, "other", Assignor::RoundRobin);
    let code = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
    assert_eq!(bench.events(), [MemberEvent::Failed { code, message: None }]);
}

#[test]
fn failures_in_a_row_are_spaced_further_and_further() {
    let mut bench = Bench::new(&[Assignor::Range]);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        bench.sends_join();
        bench.join_refused(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, "");
        let due = bench.group.poll_timeout().unwrap();
        pauses.push((due - bench.now).as_millis());
        bench.now = due;
    }
    assert_eq!(pauses, [100, 200, 400, 800]);
}

fn layouts(partitions: usize) -> Topics {
    Topics::from([(Arc::from("t"), TopicLayout::new(partitions))])
}

fn t(partitions: &[i32]) -> Vec<TopicPartition> {
    partitions.iter().map(|partition| TopicPartition::new("t", *partition)).collect()
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
