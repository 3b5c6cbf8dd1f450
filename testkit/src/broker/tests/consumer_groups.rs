//! Groups whose coordinator assigns: what members are told, beat by beat, and what time does.

use std::collections::BTreeSet;
use std::time::Duration;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, DescribedGroup,
};
use klamm_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_protocol::wire::Uuid;

use super::harness::Bench;
use crate::broker::ClusterConfig;

const SESSION: Duration = Duration::from_secs(45);

/// A member that tells what it owns, and has not yet done what it was told.
struct Member {
    id: String,
    epoch: i32,
    owned: BTreeSet<i32>,
    told: Option<BTreeSet<i32>>,
    request: ConsumerGroupHeartbeatRequest,
}

impl Member {
    fn new(id: &str) -> Self {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: "g".to_owned(),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            topic_partitions: Some(Vec::new()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        Self { id: id.to_owned(), epoch: 0, owned: BTreeSet::new(), told: None, request }
    }

    /// One beat; what it is told is kept until it [obeys](Self::obey).
    fn beat(&mut self, bench: &mut Bench) -> ConsumerGroupHeartbeatResponse {
        let topic_id = bench.cluster.topic_id("t").unwrap_or(Uuid::ZERO);
        let owned = TopicPartitions { topic_id, partitions: self.owned.iter().copied().collect() };
        let mut request = self.request.clone();
        request.member_id.clone_from(&self.id);
        request.member_epoch = self.epoch;
        if self.epoch > 0 {
            request.rebalance_timeout_ms = -1;
            request.topic_partitions = Some(vec![owned]);
        }
        let response = bench.call(&request, 1);
        if response.error_code.is_ok() {
            self.epoch = response.member_epoch;
        }
        if let Some(assignment) = &response.assignment {
            let partitions = assignment.topic_partitions.iter();
            self.told = Some(partitions.flat_map(|topic| topic.partitions.clone()).collect());
        }
        response
    }

    fn obey(&mut self) {
        self.owned = self.told.take().unwrap_or_else(|| self.owned.clone());
    }

    /// Beats and obeys.
    fn step(&mut self, bench: &mut Bench) {
        assert_eq!(self.beat(bench).error_code, ErrorCode::NONE);
        self.obey();
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new(ClusterConfig::default());
    bench.cluster.create_topic("t", 4, 1).unwrap();
    bench
}

fn describe(bench: &mut Bench) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec!["g".to_owned()],
        ..ConsumerGroupDescribeRequest::default()
    };
    bench.call(&request, 1).groups.remove(0)
}

fn state(bench: &mut Bench) -> String {
    describe(bench).group_state
}

#[test]
fn a_partition_goes_over_only_after_its_reader_has_given_it_up() {
    let mut bench = bench();
    let (mut first, mut second) = (Member::new("a"), Member::new("b"));
    first.step(&mut bench);
    assert_eq!((first.epoch, first.owned.len()), (2, 4));
    assert_eq!(state(&mut bench), "Stable");
    second.step(&mut bench);
    assert_eq!((second.epoch, second.owned.len()), (3, 0));
    assert_eq!(state(&mut bench), "Reconciling");
    first.beat(&mut bench);
    assert_eq!((first.epoch, first.told.as_ref().map(BTreeSet::len)), (2, Some(2)));
    second.step(&mut bench);
    assert_eq!(second.owned.len(), 0, "the first still reads them");
    first.beat(&mut bench);
    assert_eq!(first.epoch, 2, "it has not obeyed");
    first.obey();
    first.step(&mut bench);
    assert_eq!((first.epoch, first.owned.len()), (3, 2));
    second.step(&mut bench);
    assert_eq!((second.epoch, second.owned.len()), (3, 2));
    assert!(first.owned.is_disjoint(&second.owned));
    assert_eq!(state(&mut bench), "Stable");
}

#[test]
fn a_silent_member_loses_its_session_and_its_partitions() {
    let mut bench = bench();
    let (mut first, mut second) = (Member::new("a"), Member::new("b"));
    first.step(&mut bench);
    second.step(&mut bench);
    first.step(&mut bench);
    first.step(&mut bench);
    bench.pass(SESSION / 2);
    first.step(&mut bench);
    bench.pass(SESSION / 2);
    assert_eq!(second.beat(&mut bench).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    first.step(&mut bench);
    assert_eq!((first.epoch, first.owned.len()), (4, 4));
}

#[test]
fn a_member_that_never_gives_up_its_partitions_is_removed() {
    let mut bench = bench();
    let (mut first, mut second) = (Member::new("a"), Member::new("b"));
    first.step(&mut bench);
    second.step(&mut bench);
    for _ in 0..3 {
        assert_eq!(first.beat(&mut bench).error_code, ErrorCode::NONE);
        second.step(&mut bench);
        bench.pass(Duration::from_secs(25));
    }
    assert_eq!(first.beat(&mut bench).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    second.step(&mut bench);
    assert_eq!(second.owned.len(), 4);
}

#[test]
fn topics_that_grow_go_or_come_are_dealt_out_anew() {
    let mut bench = bench();
    let mut member = Member::new("a");
    member.request.subscribed_topic_names = None;
    member.request.subscribed_topic_regex = Some("t|u.*".to_owned());
    member.step(&mut bench);
    assert_eq!((member.epoch, member.owned.len()), (2, 4));
    bench.cluster.create_topic("under", 1, 1).unwrap();
    let response = member.beat(&mut bench);
    assert_eq!(response.member_epoch, 3);
    assert_eq!(response.assignment.unwrap().topic_partitions.len(), 2);
    bench.cluster.create_topic("other", 1, 1).unwrap();
    assert_eq!(member.beat(&mut bench).member_epoch, 3, "nobody wants it");
    bench.cluster.delete_topic("t");
    member.owned.clear();
    let response = member.beat(&mut bench);
    assert_eq!(response.member_epoch, 4);
    assert_eq!(response.assignment.unwrap().topic_partitions.len(), 1);
}

#[test]
fn a_new_subscription_takes_a_new_epoch_and_an_equal_one_does_not() {
    let mut bench = bench();
    bench.cluster.create_topic("u", 2, 1).unwrap();
    let mut member = Member::new("a");
    member.step(&mut bench);
    member.step(&mut bench);
    assert_eq!(member.epoch, 2);
    member.request.subscribed_topic_names = Some(vec!["t".to_owned(), "u".to_owned()]);
    member.beat(&mut bench);
    assert_eq!(member.epoch, 3);
    assert_eq!(describe(&mut bench).members[0].assignment.topic_partitions.len(), 2);
}

#[test]
fn a_static_member_that_left_for_a_while_keeps_its_partitions_until_its_session_ends() {
    let mut bench = bench();
    let (mut gone, mut stays) = (Member::new("a"), Member::new("b"));
    gone.request.instance_id = Some("i".to_owned());
    gone.step(&mut bench);
    let leave = ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: "a".to_owned(),
        member_epoch: -2,
        instance_id: Some("i".to_owned()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    assert_eq!(bench.call(&leave, 1).member_epoch, -2);
    stays.step(&mut bench);
    assert_eq!(stays.owned.len(), 0);
    bench.pass(SESSION / 2);
    stays.step(&mut bench);
    bench.pass(SESSION / 2);
    stays.step(&mut bench);
    assert_eq!(stays.owned.len(), 4);
}

#[test]
fn only_members_of_the_present_epoch_may_commit() {
    let mut bench = bench();
    let id = bench.cluster.topic_id("t").unwrap();
    let mut member = Member::new("a");
    member.step(&mut bench);
    let commit = |bench: &mut Bench, member: &str, epoch, version| {
        let partition = OffsetCommitRequestPartition { committed_offset: 1, ..Default::default() };
        let topic = OffsetCommitRequestTopic {
            name: "t".to_owned(),
            topic_id: id,
            partitions: vec![partition],
        };
        let request = OffsetCommitRequest {
            group_id: "g".to_owned(),
            generation_id_or_member_epoch: epoch,
            member_id: member.to_owned(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        bench.call(&request, version).topics[0].partitions[0].error_code
    };
    assert_eq!(commit(&mut bench, "a", 2, 10), ErrorCode::NONE);
    assert_eq!(commit(&mut bench, "a", 1, 10), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(commit(&mut bench, "b", 2, 10), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(commit(&mut bench, "a", 2, 8), ErrorCode::UNSUPPORTED_VERSION);
}

#[test]
fn a_transaction_may_commit_for_a_member_of_the_present_epoch_only() {
    let mut bench = bench();
    let mut member = Member::new("a");
    member.step(&mut bench);
    let init = InitProducerIdRequest {
        transactional_id: Some("tx".to_owned()),
        transaction_timeout_ms: 1000,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let producer = bench.call(&init, 5);
    let mut commit = |id: &str, epoch| {
        let topic = TxnOffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![TxnOffsetCommitRequestPartition::default()],
            ..TxnOffsetCommitRequestTopic::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: "tx".to_owned(),
            group_id: "g".to_owned(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            generation_id_or_member_epoch: epoch,
            member_id: id.to_owned(),
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        };
        bench.call(&request, 5).topics[0].partitions[0].error_code
    };
    assert_eq!(commit("a", member.epoch), ErrorCode::NONE);
    assert_eq!(commit("a", member.epoch + 1), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(commit("b", member.epoch), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(commit("", -1), ErrorCode::NONE, "older producers know no member");
}

#[test]
fn assignments_of_a_group_may_be_held_apart() {
    let interval = Duration::from_secs(1);
    let mut bench = Bench::new(ClusterConfig {
        consumer_assignment_interval: interval,
        ..ClusterConfig::default()
    });
    bench.cluster.create_topic("t", 4, 1).unwrap();
    let (mut first, mut second) = (Member::new("a"), Member::new("b"));
    first.step(&mut bench);
    assert_eq!(first.owned.len(), 4);
    second.step(&mut bench);
    first.step(&mut bench);
    assert_eq!((second.epoch, first.owned.len()), (first.epoch, 4));
    assert_eq!(state(&mut bench), "Assigning");
    bench.pass(interval);
    first.step(&mut bench);
    assert_eq!((state(&mut bench).as_str(), first.owned.len()), ("Reconciling", 2));
}

#[test]
fn without_the_feature_there_are_no_such_groups() {
    let mut bench = Bench::new(ClusterConfig { group_version: 0, ..ClusterConfig::default() });
    let code = Member::new("a").beat(&mut bench).error_code;
    assert_eq!(code, ErrorCode::UNSUPPORTED_VERSION);
}
