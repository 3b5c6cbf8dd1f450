//! Where admin requests go, what is tried again, and what is told of what failed: on embedded
//! clusters that misbehave in one way each.

mod common;

use std::time::Duration;

use common::{client, cluster, config};
use klamm_client::admin::{
    Acl, AclFilter, AclOperation, AclResource, ConfigChanges, ConfigDetail, ConfigResource,
    DeleteBefore, Effect, ElectionKind, FeatureUpdate, GroupFilter, HangingTransaction, MemberName,
    NewPartitions, NewToken, NewTopic, QuotaChange, QuotaEntity, QuotaFilter, Reassignment,
    ReplicaMove, ScramChange, ScramMechanism, TransactionFilter,
};
use klamm_client::{Client, Error, ErrorKind, TopicPartition};
use klamm_protocol::api::{ApiKey, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::wire::Secret;
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::control::{Fault, Intercept};
use klamm_testkit::door::EmbeddedCluster;

fn retention(topic: &str) -> ConfigChanges {
    ConfigChanges::new(ConfigResource::topic(topic)).set("retention.ms", "60000")
}

fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

/// A cluster with a topic of as many partitions, and a client.
async fn with_topic(brokers: i32) -> (EmbeddedCluster, Client) {
    let door = cluster(brokers).await;
    door.with(|cluster| cluster.create_topic("t", brokers, 1)).unwrap();
    let client = client(&door).await;
    (door, client)
}

#[tokio::test]
async fn a_passing_refusal_is_tried_again_and_harmless_orders_are_repeated() {
    let (door, client) = with_topic(1).await;
    for fault in [Fault::Fail(ErrorCode::NOT_CONTROLLER), Fault::Cut, Fault::CutAfter(0)] {
        let rule = Intercept::on(ApiKey::IncrementalAlterConfigs).times(1).with(fault);
        let seen = door.with(|cluster| cluster.intercept(rule));
        let done = client.alter_configs(&[retention("t")], Effect::Apply).await;
        assert!(done[0].is_ok(), "{done:?}");
        let seen = door.with(|cluster| cluster.control().matched(seen));
        assert_eq!(seen, 2, "once in vain and once more");
    }
}

#[tokio::test]
async fn an_order_that_could_be_carried_out_twice_is_not_repeated() {
    let (door, client) = with_topic(1).await;
    let lose =
        |api| door.with(|cluster| cluster.intercept(Intercept::on(api).with(Fault::CutAfter(0))));
    let seen = |rule| door.with(|cluster| cluster.control().matched(rule));
    let rule = lose(ApiKey::DeleteAcls);
    let deleted = client.delete_acls(&[AclFilter::any()]).await;
    assert_eq!(deleted[0].as_ref().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(seen(rule), 1);
    let rule = lose(ApiKey::DeleteRecords);
    let deleted = client.delete_records(&[(t(0), DeleteBefore::HighWatermark)]).await;
    let error = deleted[0].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.context("partition")), (ErrorKind::OutcomeUnknown, Some("0")));
    assert_eq!(seen(rule), 1);
    let rule = lose(ApiKey::CreateDelegationToken);
    let made = client.create_token(&NewToken::default()).await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(seen(rule), 1);
}

#[tokio::test]
async fn an_order_whose_time_ran_out_at_the_controller_may_have_been_carried_out() {
    let (door, client) = with_topic(1).await;
    let rule = Intercept::on(ApiKey::CreatePartitions).fail(ErrorCode::REQUEST_TIMED_OUT);
    door.with(|cluster| cluster.intercept(rule));
    let grown = client.create_partitions(&[("t", 3)]).await;
    assert_eq!(grown[0].as_ref().unwrap_err().kind(), ErrorKind::OutcomeUnknown, "{grown:?}");
}

#[tokio::test]
async fn whoever_gives_up_says_so_of_each_item_by_its_name() {
    let (door, _) = with_topic(1).await;
    let impatient = config(&door.bootstrap()).with_api_timeout(Duration::from_millis(300));
    let client = Client::connect(impatient).await.unwrap();
    let rule = Intercept::on(ApiKey::IncrementalAlterConfigs).fail(ErrorCode::NOT_CONTROLLER);
    door.with(|cluster| cluster.intercept(rule));
    let done = client.alter_configs(&[retention("t"), retention("u")], Effect::Apply).await;
    for (result, topic) in done.iter().zip(["t", "u"]) {
        let error = result.as_ref().unwrap_err();
        assert_eq!((error.kind(), error.context("topic")), (ErrorKind::TimedOut, Some(topic)));
        assert_eq!(error.code(), Some(ErrorCode::NOT_CONTROLLER));
    }
}

#[tokio::test]
async fn each_partition_is_asked_of_its_leader_even_if_that_moves() {
    let (door, client) = with_topic(3).await;
    let all: Vec<_> = (0..3).map(|one| (t(one), DeleteBefore::Offset(0))).collect();
    for moved in [false, true] {
        if moved {
            for partition in 0..3 {
                let leader = door.with(|cluster| cluster.leader("t", partition)).unwrap().node;
                assert!(door.with(|cluster| cluster.move_leader("t", partition, leader % 3 + 1)));
            }
        }
        let deleted = client.delete_records(&all).await;
        assert!(deleted.iter().all(|one| matches!(one, Ok(0))), "{deleted:?}");
        let producers = client.describe_producers(&[t(0), t(1), t(2)]).await;
        assert!(producers.iter().all(Result::is_ok), "{producers:?}");
    }
}

#[tokio::test]
async fn settings_of_a_broker_are_asked_of_that_broker() {
    let (_door, client) = with_topic(3).await;
    let changes: Vec<_> = (1..=3)
        .map(|id| {
            ConfigChanges::new(ConfigResource::broker(id)).set("num.io.threads", id.to_string())
        })
        .collect();
    let done = client.alter_configs(&changes, Effect::Apply).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let brokers: Vec<_> = (1..=3).map(ConfigResource::broker).collect();
    let detail = ConfigDetail::default().with_names(["num.io.threads"]);
    for (id, found) in (1..).zip(client.describe_configs(&brokers, &detail).await) {
        assert_eq!(found.unwrap()[0].value, Some(format!("{id}")));
    }
}

#[tokio::test]
async fn the_same_item_twice_has_two_results() {
    let (_door, client) = with_topic(1).await;
    let done = client.alter_configs(&[retention("t"), retention("t")], Effect::Apply).await;
    assert!(done.len() == 2 && done.iter().all(Result::is_ok), "{done:?}");
    let topics = [NewTopic::new("twice"), NewTopic::new("twice")];
    let made = client.create_topics(&topics).await;
    assert_eq!(made.iter().filter(|one| one.is_ok()).count(), 1, "{made:?}");
    let asked = client.describe_topics(&["t", "t", "nowhere"]).await;
    assert!(asked[0].is_ok() && asked[1].is_ok() && asked[2].is_err(), "{asked:?}");
}

#[tokio::test]
async fn a_listing_tells_which_broker_did_not_answer() {
    let (door, client) = with_topic(3).await;
    for group in ["a", "b", "c", "d", "e", "f"] {
        let position = klamm_client::admin::CommittedOffset { offset: 1, ..Default::default() };
        client.commit_offsets(group, &[(t(0), position)]).await.remove(0).unwrap();
    }
    let all = client.list_groups(&GroupFilter::default()).await.unwrap();
    assert_eq!((all.found.len(), all.failed.len()), (6, 0));
    let rule = Intercept::on(ApiKey::ListGroups).at(2);
    let rule = rule.fail(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    door.with(|cluster| cluster.intercept(rule));
    let some = client.list_groups(&GroupFilter::default()).await.unwrap();
    let (broker, error) = &some.failed[0];
    assert_eq!((*broker, error.context("broker")), (2, Some("id 2")), "{error}");
    assert!(some.found.len() < 6 && some.failed.len() == 1, "{some:?}");
    let error = some.complete().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
}

#[tokio::test]
async fn groups_are_asked_of_their_coordinators_in_either_shape() {
    let one_by_one = vec![(ApiKey::FindCoordinator, VersionRange::new(0, 3))];
    for versions in [Vec::new(), one_by_one] {
        let config = ClusterConfig { brokers: 3, versions, ..ClusterConfig::default() };
        let door = EmbeddedCluster::start(config).await.expect("free ports");
        door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
        let client = client(&door).await;
        let groups = ["a", "b", "c", "d", "e", "f"];
        for group in groups {
            let position = klamm_client::admin::CommittedOffset { offset: 1, ..Default::default() };
            client.commit_offsets(group, &[(t(0), position)]).await.remove(0).unwrap();
        }
        let described = client.describe_groups(&groups).await;
        assert!(described.iter().all(Result::is_ok), "{described:?}");
        let asked: Vec<_> = groups.iter().map(|group| (*group, None)).collect();
        let read = client.committed_offsets_of(&asked).await;
        assert!(read.iter().all(|found| found.as_ref().unwrap().len() == 1), "{read:?}");
        let deleted = client.delete_groups(&groups).await;
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }
}

/// A broker that has none of the APIs that came after Kafka 2.1.
async fn old_broker() -> (EmbeddedCluster, Client) {
    let gone = |key| (key, VersionRange::new(1, 0));
    let newer = [
        ApiKey::ElectLeaders,
        ApiKey::IncrementalAlterConfigs,
        ApiKey::AlterPartitionReassignments,
        ApiKey::ListPartitionReassignments,
        ApiKey::OffsetDelete,
        ApiKey::DescribeClientQuotas,
        ApiKey::AlterClientQuotas,
        ApiKey::DescribeUserScramCredentials,
        ApiKey::AlterUserScramCredentials,
        ApiKey::UpdateFeatures,
        ApiKey::DescribeCluster,
        ApiKey::DescribeProducers,
        ApiKey::DescribeTransactions,
        ApiKey::ListTransactions,
        ApiKey::ConsumerGroupDescribe,
    ];
    let older = [
        (ApiKey::Metadata, VersionRange::new(0, 7)),
        (ApiKey::FindCoordinator, VersionRange::new(0, 2)),
        (ApiKey::ListGroups, VersionRange::new(0, 2)),
        (ApiKey::DescribeGroups, VersionRange::new(0, 2)),
        (ApiKey::LeaveGroup, VersionRange::new(0, 2)),
        (ApiKey::OffsetFetch, VersionRange::new(0, 5)),
        (ApiKey::OffsetCommit, VersionRange::new(0, 6)),
        (ApiKey::DescribeConfigs, VersionRange::new(0, 2)),
        (ApiKey::DeleteRecords, VersionRange::new(0, 1)),
        (ApiKey::DeleteGroups, VersionRange::new(0, 1)),
        (ApiKey::DescribeLogDirs, VersionRange::new(0, 1)),
        (ApiKey::CreateDelegationToken, VersionRange::new(0, 1)),
        (ApiKey::DescribeDelegationToken, VersionRange::new(0, 1)),
        (ApiKey::DescribeAcls, VersionRange::new(0, 1)),
        (ApiKey::CreateAcls, VersionRange::new(0, 1)),
    ];
    let versions = newer.map(gone).into_iter().chain(older).collect();
    let config = ClusterConfig { versions, ..ClusterConfig::default() };
    let door = EmbeddedCluster::start(config).await.expect("free ports");
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    let client = client(&door).await;
    (door, client)
}

#[tokio::test]
async fn a_broker_that_is_too_old_is_told_with_the_api_that_it_lacks() {
    let (_door, client) = old_broker().await;
    let lacks = |error: Option<Error>, api: &str, release: &str| {
        let error = error.unwrap_or_else(|| panic!("{api} worked"));
        assert_eq!(
            (error.kind(), error.context("api")),
            (ErrorKind::Unsupported, Some(api)),
            "{error}"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains(release)), "{error}");
    };
    let first = |mut results: Vec<klamm_client::Result<()>>| results.remove(0).err();
    lacks(
        first(client.alter_configs(&[retention("t")], Effect::Apply).await),
        "IncrementalAlterConfigs",
        "2.3",
    );
    let elected = client.elect_leaders(ElectionKind::Preferred, &[t(0)]).await.remove(0).err();
    lacks(elected, "ElectLeaders", "2.2");
    let moved = client.alter_reassignments(&[Reassignment::to(t(0), vec![1])]).await;
    lacks(first(moved), "AlterPartitionReassignments", "2.4");
    lacks(client.list_reassignments(None).await.err(), "ListPartitionReassignments", "2.4");
    lacks(first(client.delete_offsets("g", &[t(0)]).await), "OffsetDelete", "2.4");
    lacks(client.describe_quotas(&QuotaFilter::all()).await.err(), "DescribeClientQuotas", "2.6");
    let quota = QuotaChange::new(QuotaEntity::user("a")).remove("producer_byte_rate");
    lacks(first(client.alter_quotas(&[quota], Effect::Apply).await), "AlterClientQuotas", "2.6");
    lacks(client.scram_users().await.err(), "DescribeUserScramCredentials", "2.7");
    let user = ScramChange::delete("a", ScramMechanism::Sha256);
    lacks(first(client.alter_scram_users(&[user]).await), "AlterUserScramCredentials", "2.7");
    let feature = FeatureUpdate::upgrade("f", 1);
    lacks(first(client.update_features(&[feature], Effect::Apply).await), "UpdateFeatures", "2.7");
    lacks(client.describe_producers(&[t(0)]).await.remove(0).err(), "DescribeProducers", "2.8");
    let listed = client.list_transactions(&TransactionFilter::default()).await.unwrap();
    lacks(listed.complete().err(), "ListTransactions", "3.0");
    let member = [MemberName::Instance("one".to_owned())];
    lacks(first(client.remove_members("g", &member).await), "LeaveGroup", "newer");
    let filter = GroupFilter::default().with_state("Empty".into());
    lacks(client.list_groups(&filter).await.unwrap().complete().err(), "ListGroups", "newer");
}

#[tokio::test]
async fn what_an_old_broker_can_do_it_does() {
    let (_door, client) = old_broker().await;
    let cluster = client.describe_cluster().await.unwrap();
    assert_eq!(
        (cluster.brokers.len(), cluster.controller, &cluster.authorized),
        (1, Some(1), &None)
    );
    let topic = ConfigResource::topic("t");
    let settings = client.describe_configs(&[topic], &ConfigDetail::default()).await.remove(0);
    assert!(settings.unwrap().iter().all(|one| one.value_type.is_none()));
    let position = klamm_client::admin::CommittedOffset { offset: 1, ..Default::default() };
    client.commit_offsets("g", &[(t(0), position)]).await.remove(0).unwrap();
    let listed = client.list_groups(&GroupFilter::default()).await.unwrap().complete().unwrap();
    assert_eq!((listed[0].id.as_str(), &listed[0].state), ("g", &None));
    let described = client.describe_groups(&["g", "nobody"]).await;
    assert_eq!(described[0].as_ref().unwrap().authorized, None);
    let nobody = described[1].as_ref().unwrap_err();
    assert_eq!(nobody.code(), Some(ErrorCode::GROUP_ID_NOT_FOUND), "{nobody}");
    assert_eq!(client.describe_topics(&["t"]).await.remove(0).unwrap().authorized, None);
    assert_eq!(client.describe_log_dirs(&[1], None).await.remove(0).unwrap()[0].replicas.len(), 1);
    let made = client.create_token(&NewToken::default()).await.unwrap();
    assert_eq!(made.requester, None);
    assert_eq!(client.describe_tokens(None).await.unwrap().len(), 1);
    let rule = Acl::allow("User:a", AclOperation::Read, AclResource::Topic, "t");
    client.create_acls(std::slice::from_ref(&rule)).await.remove(0).unwrap();
    assert_eq!(client.describe_acls(&AclFilter::any()).await.unwrap(), [rule]);
}

#[tokio::test]
async fn every_order_may_run_in_a_task_of_its_own() {
    fn task<T>(_: impl Future<Output = T> + Send) {}
    let (_door, client) = with_topic(1).await;
    let secret = Secret::from(&b"x"[..]);
    task(client.create_partitions(&[NewPartitions::new("t", 2)]));
    task(client.delete_topics(&["t"]));
    task(client.describe_topics(&["t"]));
    task(client.describe_configs(&[], &ConfigDetail::default()));
    task(client.alter_configs(&[], Effect::Apply));
    task(client.delete_records(&[]));
    task(client.list_groups(&GroupFilter::default()));
    task(client.describe_groups(&[]));
    task(client.delete_groups(&[]));
    task(client.delete_offsets("g", &[]));
    task(client.commit_offsets("g", &[]));
    task(client.committed_offsets_of(&[]));
    task(client.remove_members("g", &[]));
    task(client.describe_acls(&AclFilter::any()));
    task(client.create_acls(&[]));
    task(client.delete_acls(&[]));
    task(client.scram_users());
    task(client.describe_scram_users(&[]));
    task(client.alter_scram_users(&[]));
    task(client.create_token(&NewToken::default()));
    task(client.renew_token(&secret, None));
    task(client.expire_token(&secret, None));
    task(client.describe_tokens(None));
    task(client.describe_quotas(&QuotaFilter::all()));
    task(client.alter_quotas(&[], Effect::Apply));
    task(client.describe_cluster());
    task(client.features());
    task(client.update_features(&[], Effect::Apply));
    task(client.describe_log_dirs(&[], None));
    let moves: [ReplicaMove; 0] = [];
    task(client.alter_replica_log_dirs(&moves));
    task(client.describe_producers(&[]));
    task(client.describe_transactions(&[]));
    task(client.list_transactions(&TransactionFilter::default()));
    let hanging =
        HangingTransaction { partition: t(0), producer_id: 1, epoch: 0, coordinator_epoch: 0 };
    task(client.abort_transaction(&hanging));
    task(client.elect_leaders(ElectionKind::Preferred, &[]));
    task(client.elect_all_leaders(ElectionKind::Preferred));
    task(client.alter_reassignments(&[]));
    task(client.list_reassignments(None));
}

#[tokio::test]
async fn an_order_dropped_at_any_point_leaves_a_client_that_works() {
    let (_door, client) = with_topic(2).await;
    for polls in 0..20 {
        let groups = ["a", "b"];
        let mut order = Box::pin(client.describe_groups(&groups));
        for _ in 0..polls {
            let waker = std::task::Waker::noop();
            if order.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(order);
        let described = client.describe_groups(&groups).await;
        let codes: Vec<_> = described.iter().map(|one| one.as_ref().unwrap_err().code()).collect();
        assert_eq!(codes, [Some(ErrorCode::GROUP_ID_NOT_FOUND); 2], "after {polls} polls");
    }
}
