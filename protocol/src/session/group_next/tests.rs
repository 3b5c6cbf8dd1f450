//! The member of a group whose coordinator assigns, case by case. The random world is in [`world`].

mod world;

use super::*;
use crate::messages::consumer_group_heartbeat::{Assignment, TopicPartitions};

struct Bench {
    group: GroupNext,
    now: Instant,
    epoch: i32,
}

impl Bench {
    fn new(instance: Option<&str>) -> Self {
        let now = Instant::now();
        let mut group = GroupNext::new(now, options("me", instance));
        group.handle_names(now, [(T, Arc::from("t"))]);
        group.subscribe(now, Wanted::Topics(BTreeSet::from(["t".to_owned()])));
        Self { group, now, epoch: 0 }
    }

    fn stable(partitions: &[i32]) -> Self {
        let mut bench = Self::new(None);
        bench.sends();
        bench.answer(Some(partitions));
        assert_eq!(bench.events(), [MemberEvent::Assigned(t(partitions))]);
        assert_eq!(bench.told_owned(), Some(partitions.to_vec()));
        bench.answer(None);
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn sends(&mut self) -> ConsumerGroupHeartbeatRequest {
        self.group.poll_transmit(self.now).expect("a heartbeat")
    }

    fn told_owned(&mut self) -> Option<Vec<i32>> {
        let topics = self.sends().topic_partitions?;
        Some(topics.into_iter().flat_map(|topic| topic.partitions).collect())
    }

    fn answer(&mut self, partitions: Option<&[i32]>) {
        self.epoch += 1;
        let answer = response(self.epoch, partitions.map(|partitions| (T, partitions)));
        self.group.handle_answer(self.now, answer);
    }

    fn refuse(&mut self, error_code: ErrorCode) {
        let answer = ConsumerGroupHeartbeatResponse { error_code, ..Default::default() };
        self.group.handle_answer(self.now, answer);
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
fn the_first_heartbeat_tells_everything_and_later_ones_what_has_changed() {
    let mut bench = Bench::new(None);
    let join = bench.sends();
    assert_eq!((join.member_epoch, join.member_id.as_str()), (0, "me"));
    assert_eq!(join.subscribed_topic_names, Some(vec!["t".to_owned()]));
    assert_eq!((join.topic_partitions, join.rebalance_timeout_ms), (Some(vec![]), 300_000));
    assert_eq!(bench.group.identity(), None);
    bench.answer(Some(&[0, 1]));
    assert_eq!(bench.events(), [MemberEvent::Assigned(t(&[0, 1]))]);
    let told = bench.sends();
    assert_eq!((told.subscribed_topic_names, told.rebalance_timeout_ms), (None, -1));
    assert_eq!((told.topic_partitions.map(|all| all.len()), told.member_epoch), (Some(1), 1));
    bench.answer(None);
    assert_eq!(bench.group.poll_transmit(bench.now), None);
    bench.pass(secs(5));
    assert_eq!(bench.told_owned(), None);
    assert_eq!(bench.group.identity().map(|identity| identity.epoch), Some(2));
}

#[test]
fn what_shall_go_is_let_go_before_the_new_is_taken_up() {
    let mut bench = Bench::stable(&[0, 1]);
    bench.pass(secs(5));
    bench.sends();
    bench.answer(Some(&[1, 2]));
    let (id, gone) = bench.revocation();
    assert_eq!((gone, bench.owns()), (t(&[0]), vec![0, 1]));
    bench.pass(secs(5));
    assert_eq!(bench.told_owned(), Some(vec![0, 1]));
    bench.answer(None);
    bench.group.revoked(bench.now, RevocationId(77));
    assert_eq!(bench.owns(), [0, 1]);
    bench.group.revoked(bench.now, id);
    assert_eq!(bench.events(), [MemberEvent::Assigned(t(&[2]))]);
    assert_eq!(bench.told_owned(), Some(vec![1, 2]));
}

/// The coordinator takes what a heartbeat leaves out as let go, and may have given it to another.
#[test]
fn nothing_is_taken_up_while_a_heartbeat_without_it_has_no_answer() {
    let mut bench = Bench::stable(&[0, 1]);
    bench.pass(secs(5));
    bench.sends();
    bench.answer(Some(&[1, 2]));
    let (id, _) = bench.revocation();
    bench.pass(secs(5));
    assert_eq!(bench.told_owned(), Some(vec![0, 1]));
    bench.group.revoked(bench.now, id);
    assert_eq!((bench.events(), bench.owns()), (vec![], vec![1]));
    bench.group.handle_failure(bench.now);
    bench.group.handle_names(bench.now, []);
    assert_eq!((bench.events(), bench.owns()), (vec![], vec![1]));
    bench.pass(secs(5));
    assert_eq!(bench.told_owned(), Some(vec![1]));
    bench.answer(Some(&[1, 3]));
    assert_eq!(bench.events(), [MemberEvent::Assigned(t(&[3]))]);
}

#[test]
fn a_fenced_member_loses_everything_and_joins_anew() {
    for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
        let mut bench = Bench::stable(&[0]);
        bench.pass(secs(5));
        bench.sends();
        bench.refuse(code);
        assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0]))]);
        assert_eq!((bench.owns(), bench.group.identity()), (vec![], None));
        bench.pass(secs(1));
        let join = bench.sends();
        assert_eq!((join.member_epoch, join.topic_partitions), (0, Some(vec![])));
        assert!(join.subscribed_topic_names.is_some());
    }
}

#[test]
fn fencing_ends_a_revocation_and_its_answer_means_nothing_afterwards() {
    let mut bench = Bench::stable(&[0, 1]);
    bench.pass(secs(5));
    bench.sends();
    bench.answer(Some(&[1]));
    let (id, _) = bench.revocation();
    bench.pass(secs(5));
    bench.sends();
    bench.refuse(ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0, 1]))]);
    bench.group.revoked(bench.now, id);
    bench.pass(secs(1));
    assert_eq!(bench.sends().member_epoch, 0);
}

#[test]
fn an_answer_to_a_membership_that_was_left_changes_nothing() {
    let mut bench = Bench::stable(&[0]);
    bench.pass(secs(5));
    bench.sends();
    bench.group.leave(bench.now, false);
    assert_eq!(bench.events(), [MemberEvent::Lost(t(&[0]))]);
    bench.answer(Some(&[0, 1]));
    assert_eq!((bench.events(), bench.owns()), (vec![], vec![]));
    assert_eq!(bench.sends().member_epoch, -1);
    bench.answer(None);
    assert_eq!(bench.events(), [MemberEvent::Left]);
    bench.group.join(bench.now);
    assert_eq!(bench.sends().member_epoch, 0);
}

#[test]
fn a_static_member_leaves_for_a_while_unless_it_is_for_good() {
    for (for_good, epoch) in [(false, -2), (true, -1)] {
        let mut bench = Bench::new(Some("instance"));
        assert_eq!(bench.sends().instance_id.as_deref(), Some("instance"));
        bench.answer(None);
        bench.group.leave(bench.now, for_good);
        let farewell = bench.sends();
        assert_eq!(farewell.member_epoch, epoch);
        assert_eq!(farewell.instance_id.as_deref(), Some("instance"));
    }
}

#[test]
fn after_a_failure_everything_is_told_again() {
    let mut bench = Bench::stable(&[0]);
    bench.pass(secs(5));
    bench.sends();
    bench.group.handle_failure(bench.now);
    assert_eq!(bench.group.poll_transmit(bench.now), None);
    bench.pass(secs(1));
    let told = bench.sends();
    assert!(told.subscribed_topic_names.is_some() && told.topic_partitions.is_some());
    assert_eq!((told.member_epoch, bench.owns()), (2, vec![0]));
    bench.refuse(ErrorCode::NOT_COORDINATOR);
    assert_eq!((bench.events(), bench.owns()), (vec![MemberEvent::CoordinatorLost], vec![0]));
}

#[test]
fn topics_without_a_name_wait_for_it_and_hold_up_nothing_else() {
    let other = Uuid([7; 16]);
    let mut bench = Bench::new(None);
    bench.sends();
    let mut answer = response(1, Some((T, &[0])));
    if let Some(assignment) = &mut answer.assignment {
        assignment.topic_partitions.push(TopicPartitions { topic_id: other, partitions: vec![4] });
    }
    bench.group.handle_answer(bench.now, answer);
    assert_eq!(bench.events(), [MemberEvent::Unnamed(vec![other]), MemberEvent::Assigned(t(&[0]))]);
    bench.epoch = 1;
    assert_eq!(bench.told_owned(), Some(vec![0]));
    bench.answer(None);
    bench.events();
    bench.group.handle_names(bench.now, [(other, Arc::from("other"))]);
    assert_eq!(bench.events(), [MemberEvent::Assigned(vec![TopicPartition::new("other", 4)])]);
}

#[test]
fn a_pattern_takes_the_place_of_names_and_back() {
    let mut bench = Bench::stable(&[0]);
    bench.group.subscribe(bench.now, Wanted::Pattern("t.*".to_owned()));
    let told = bench.sends();
    assert_eq!(told.subscribed_topic_regex.as_deref(), Some("t.*"));
    assert_eq!(told.subscribed_topic_names, Some(vec![]));
    bench.answer(None);
    bench.group.subscribe(bench.now, Wanted::Topics(BTreeSet::from(["t".to_owned()])));
    let told = bench.sends();
    assert_eq!(told.subscribed_topic_regex.as_deref(), Some(""));
    assert_eq!(told.subscribed_topic_names, Some(vec!["t".to_owned()]));
}

#[test]
fn what_the_coordinator_refuses_for_good_ends_the_membership() {
    for code in [
        ErrorCode::UNRELEASED_INSTANCE_ID,
        ErrorCode::FENCED_INSTANCE_ID,
        ErrorCode::UNSUPPORTED_ASSIGNOR,
        ErrorCode::INVALID_REGULAR_EXPRESSION,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
    ] {
        let mut bench = Bench::new(Some("instance"));
        bench.sends();
        bench.refuse(code);
        assert_eq!(bench.events(), [MemberEvent::Failed { code, message: None }]);
        assert_eq!(bench.group.poll_timeout(), None);
    }
}

#[test]
fn a_refused_commit_hastens_the_next_heartbeat() {
    let mut bench = Bench::stable(&[0]);
    let identity = bench.group.identity().unwrap();
    bench.group.handle_refusal(bench.now, &Identity { epoch: 0, ..identity.clone() });
    assert_eq!(bench.group.poll_transmit(bench.now), None);
    bench.group.handle_refusal(bench.now, &identity);
    bench.sends();
}

fn options(member_id: &str, instance: Option<&str>) -> GroupNextOptions {
    GroupNextOptions {
        group_id: "g".to_owned(),
        member_id: member_id.to_owned(),
        instance_id: instance.map(str::to_owned),
        rack: None,
        assignor: None,
        rebalance_timeout: secs(300),
        backoff: Backoff::new(Duration::from_millis(100), secs(1)),
        jitter: 0.5,
    }
}

fn response(epoch: i32, assignment: Option<(Uuid, &[i32])>) -> ConsumerGroupHeartbeatResponse {
    let assignment = assignment.map(|(topic_id, partitions)| Assignment {
        topic_partitions: vec![TopicPartitions { topic_id, partitions: partitions.to_vec() }],
    });
    ConsumerGroupHeartbeatResponse {
        member_epoch: epoch,
        heartbeat_interval_ms: 5000,
        assignment,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn t(partitions: &[i32]) -> Vec<TopicPartition> {
    partitions.iter().map(|partition| TopicPartition::new("t", *partition)).collect()
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const T: Uuid = Uuid([1; 16]);
