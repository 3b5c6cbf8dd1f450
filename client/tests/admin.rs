//! Topics, offsets and groups, asked of an embedded cluster.

mod common;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use common::{client, client_with, cluster};
use klamm_client::admin::{CommittedOffset, NewTopic, OffsetSpec};
use klamm_client::config::Isolation;
use klamm_client::{ErrorKind, TopicPartition};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klamm_protocol::records::{BatchBuilder, BatchOptions, RecordParts};
use klamm_testkit::control::{Fault, Intercept};
use klamm_testkit::door::EmbeddedCluster;
use tokio::time::Instant;

/// One record at each of these timestamps, in a batch of its own.
async fn write(client: &klamm_client::Client, topic: &str, partition: i32, timestamps: &[i64]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let known = client.cluster().topic(topic, deadline).await.unwrap();
    let leader = client.view().leader(topic, partition).unwrap().broker;
    let handle = client.cluster().broker(leader, deadline).await.unwrap();
    for timestamp in timestamps {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.try_push(&RecordParts::new(*timestamp, None, Some(b"v"))).unwrap();
        let records: Bytes = builder.seal().to_bytes();
        let data = PartitionProduceData { index: partition, records: Some(records) };
        let topic = TopicProduceData {
            name: topic.to_owned(),
            topic_id: known.id,
            partition_data: vec![data],
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 5000,
            topic_data: vec![topic],
            ..Default::default()
        };
        let response = handle.request(&request, deadline).await.unwrap();
        assert!(response.responses[0].partition_responses[0].error_code.is_ok(), "{response:?}");
    }
}

async fn offsets(
    client: &klamm_client::Client,
    wanted: &[(TopicPartition, OffsetSpec)],
) -> Vec<Option<i64>> {
    let found = client.list_offsets(wanted, Isolation::ReadUncommitted).await;
    let offset = |(partition, result): (
        TopicPartition,
        klamm_client::Result<klamm_client::admin::ListedOffset>,
    )| { result.unwrap_or_else(|error| panic!("{partition}: {error}")).offset };
    found.into_iter().map(offset).collect()
}

async fn two_partitions(brokers: i32) -> (EmbeddedCluster, klamm_client::Client) {
    let door = cluster(brokers).await;
    door.with(|cluster| cluster.create_topic("t", 2, 1.max(brokers as i16))).unwrap();
    let client = client(&door).await;
    write(&client, "t", 0, &[100, 300, 200]).await;
    write(&client, "t", 1, &[50]).await;
    (door, client)
}

fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

#[tokio::test]
async fn offsets_are_found_by_end_and_by_time_in_the_order_asked() {
    let (_door, client) = two_partitions(2).await;
    let wanted = [
        (t(1), OffsetSpec::Latest),
        (t(0), OffsetSpec::Earliest),
        (t(0), OffsetSpec::Latest),
        (t(0), OffsetSpec::Timestamp(101)),
        (t(0), OffsetSpec::Timestamp(301)),
        (t(0), OffsetSpec::MaxTimestamp),
    ];
    assert_eq!(
        offsets(&client, &wanted).await,
        [Some(1), Some(0), Some(3), Some(1), None, Some(1)]
    );
    let found = client.list_offsets(&wanted[3..4], Isolation::ReadCommitted).await;
    assert_eq!(found[0].1.as_ref().unwrap().timestamp, Some(300));
}

#[tokio::test]
async fn offsets_follow_leaders_that_move() {
    let (door, client) = two_partitions(2).await;
    let wanted = [(t(0), OffsetSpec::Latest), (t(1), OffsetSpec::Latest)];
    offsets(&client, &wanted).await;
    for partition in [0, 1] {
        let leader = client.view().leader("t", partition).unwrap().broker;
        assert!(door.with(|cluster| cluster.move_leader("t", partition, 3 - leader)));
    }
    assert_eq!(offsets(&client, &wanted).await, [Some(3), Some(1)]);
}

#[tokio::test]
async fn lookups_survive_lost_answers_and_passing_errors() {
    let (door, client) = two_partitions(1).await;
    for fault in [Fault::Cut, Fault::CutAfter(6), Fault::Fail(ErrorCode::NOT_LEADER_OR_FOLLOWER)] {
        door.with(|cluster| {
            cluster.intercept(Intercept::on(ApiKey::ListOffsets).times(1).with(fault))
        });
        assert_eq!(offsets(&client, &[(t(0), OffsetSpec::Latest)]).await, [Some(3)]);
    }
}

#[tokio::test]
async fn a_lookup_dropped_at_any_point_leaves_a_client_that_works() {
    let (_door, client) = two_partitions(2).await;
    let wanted = [(t(0), OffsetSpec::Latest), (t(1), OffsetSpec::Latest)];
    for polls in 0..20 {
        let mut lookup = Box::pin(client.list_offsets(&wanted, Isolation::ReadUncommitted));
        for _ in 0..polls {
            let waker = std::task::Waker::noop();
            if lookup.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(lookup);
        assert_eq!(offsets(&client, &wanted).await, [Some(3), Some(1)], "after {polls} polls");
    }
}

#[tokio::test]
async fn one_wrong_partition_does_not_spoil_the_others() {
    let (_door, client) = two_partitions(1).await;
    let wanted = [
        (t(7), OffsetSpec::Latest),
        (t(0), OffsetSpec::Latest),
        (TopicPartition::new("nowhere", 0), OffsetSpec::Latest),
    ];
    let found = client.list_offsets(&wanted, Isolation::ReadUncommitted).await;
    let kinds: Vec<_> =
        found.iter().map(|(_, result)| result.as_ref().err().map(|e| e.kind())).collect();
    assert_eq!(kinds, [Some(ErrorKind::Usage), None, Some(ErrorKind::Usage)]);
    assert!(found[0].1.as_ref().unwrap_err().to_string().contains("partition 7"));
}

#[tokio::test]
async fn an_old_broker_is_told_apart_where_it_cannot_answer() {
    let door = client_with::old_cluster().await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    let client = client(&door).await;
    let wanted = [(t(0), OffsetSpec::MaxTimestamp), (t(0), OffsetSpec::Latest)];
    let found = client.list_offsets(&wanted, Isolation::ReadUncommitted).await;
    assert_eq!(found[0].1.as_ref().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(found[1].1.as_ref().unwrap().offset, Some(0));
}

#[tokio::test]
async fn topics_are_made_grown_and_deleted() {
    for door in [cluster(3).await, client_with::old_cluster().await] {
        let client = client(&door).await;
        let topics = [
            NewTopic::new("a")
                .with_partitions(2)
                .with_replication(1)
                .with_setting("max.message.bytes", "2000"),
            NewTopic::new("b").with_partitions(1).with_replication(1),
        ];
        let made = client.create_topics(&topics).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        let again = client.create_topics(&topics[..1]).await;
        let code = again[0].as_ref().unwrap_err().code();
        assert_eq!(code, Some(ErrorCode::TOPIC_ALREADY_EXISTS));
        let grown = client.create_partitions(&[("a", 5), ("nowhere", 3)]).await;
        assert!(grown[0].is_ok() && grown[1].is_err(), "{grown:?}");
        assert_eq!(client.partitions("a").await.unwrap().len(), 5);
        let deleted = client.delete_topics(&["b", "a"]).await;
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        assert_eq!(client.topic_names().await.unwrap(), [""; 0]);
    }
}

#[tokio::test]
async fn an_order_without_an_answer_is_not_repeated() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let rule = Intercept::on(ApiKey::CreateTopics).with(Fault::CutAfter(0));
    let seen = door.with(|cluster| cluster.intercept(rule));
    let made = client.create_topics(&[NewTopic::new("a")]).await;
    assert_eq!(made[0].as_ref().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(door.with(|cluster| cluster.control().matched(seen)), 1);
    assert_eq!(client.partitions("a").await.unwrap(), [0]);
}

#[tokio::test]
async fn positions_of_a_group_are_stored_and_read_back() {
    for door in [cluster(2).await, client_with::old_cluster().await] {
        door.with(|cluster| cluster.create_topic("t", 2, 1)).unwrap();
        let client = client(&door).await;
        let position =
            CommittedOffset { offset: 42, leader_epoch: None, metadata: "batch 7".to_owned() };
        let busy = Intercept::on(ApiKey::OffsetCommit).times(1).fail(ErrorCode::NOT_COORDINATOR);
        door.with(|cluster| cluster.intercept(busy));
        let stored = client.commit_offsets("g", &[(t(0), position.clone())]).await;
        assert!(stored[0].is_ok(), "{stored:?}");
        let all = client.committed_offsets("g", None).await.unwrap();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [(t(0), position.clone())]);
        let some = client.committed_offsets("g", Some(&[t(0), t(1)])).await.unwrap();
        assert_eq!(some.get(&t(0)), Some(&position));
        assert_eq!(some.get(&t(1)), None);
        assert!(client.committed_offsets("nobody", None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn every_call_may_run_in_a_task_of_its_own() {
    let door = cluster(1).await;
    let client = client(&door).await;
    fn task<T>(future: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
        future
    }
    let made = task(client.create_topics(&[NewTopic::new("a")])).await;
    assert!(made[0].is_ok(), "{made:?}");
    let found = task(client.list_offsets(
        &[(TopicPartition::new("a", 0), OffsetSpec::Earliest)],
        Isolation::ReadUncommitted,
    ))
    .await;
    assert!(found[0].1.is_ok(), "{found:?}");
    assert!(task(client.committed_offsets("g", None)).await.unwrap().is_empty());
}
