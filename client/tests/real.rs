//! The client's core against real Apache Kafka: the calls that the embedded broker might be too kind
//! about, on the newest version and on the line before.

mod common;

use std::time::Duration;

use common::connect;
use klamm_client::admin::{CommittedOffset, NewTopic, OffsetSpec, Topics};
use klamm_client::cluster::CoordinatorKind;
use klamm_client::config::Isolation;
use klamm_client::{Client, ErrorKind, TopicPartition};
use klamm_protocol::code::ErrorCode;
use klamm_testkit::apache::{self, Kafka};
use tokio::time::Instant;

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn topics_offsets_and_groups(kafka: &Kafka) {
    let client = connect(kafka).await;
    let topics = [
        NewTopic::new("a").with_partitions(3).with_setting("retention.ms", "60000"),
        NewTopic::new("not/allowed"),
    ];
    let made = client.create_topics(&topics).await;
    assert!(made[0].is_ok(), "{made:?}");
    let refused = made[1].as_ref().unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION), "{refused}");
    assert_eq!(client.partitions("a").await.unwrap(), [0, 1, 2]);
    let grown = client.create_partitions(&[("a", 4), ("nowhere", 2)]).await;
    assert!(grown[0].is_ok() && grown[1].is_err(), "{grown:?}");

    let t = |partition| TopicPartition::new("a", partition);
    let wanted: Vec<_> = [OffsetSpec::Earliest, OffsetSpec::Latest, OffsetSpec::Timestamp(0)]
        .into_iter()
        .flat_map(|spec| (0..4).map(move |partition| (t(partition), spec)))
        .chain([(t(0), OffsetSpec::MaxTimestamp), (t(99), OffsetSpec::Latest)])
        .collect();
    let found = client.list_offsets(&wanted, Isolation::ReadCommitted).await;
    let offsets: Vec<_> = found[..13].iter().map(|(_, one)| one.as_ref().unwrap().offset).collect();
    assert_eq!(offsets[..8], [Some(0); 8]);
    assert_eq!(offsets[8..], [None; 5]);
    assert_eq!(found[13].1.as_ref().unwrap_err().kind(), ErrorKind::Usage);

    keeps_positions(&client, t(1)).await;

    let view = client.metadata(Topics::All).await.unwrap();
    assert!(view.topics.get("__consumer_offsets").unwrap().internal);
    assert_eq!(client.topic_names().await.unwrap(), ["a"]);
    assert!(client.delete_topics(&["a"]).await[0].is_ok());
    let again = client.delete_topics(&["a"]).await;
    assert_eq!(again[0].as_ref().unwrap_err().kind(), ErrorKind::Usage);
}

async fn keeps_positions(client: &Client, partition: TopicPartition) {
    let position = CommittedOffset { offset: 7, leader_epoch: Some(0), metadata: "m".to_owned() };
    let stored = client.commit_offsets("g", &[(partition.clone(), position.clone())]).await;
    assert!(stored[0].is_ok(), "{stored:?}");
    let all = client.committed_offsets("g", None).await.unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [(partition.clone(), position)]);
    assert!(client.committed_offsets("nobody", Some(&[partition])).await.unwrap().is_empty());
    client.cluster().coordinator(CoordinatorKind::Group, "g", soon()).await.unwrap();
}

#[test]
fn the_newest_version_answers_every_call() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 1) else { return };
    run(topics_offsets_and_groups(&kafka));
}

#[test]
fn the_line_before_answers_every_call() {
    let Some(kafka) = apache::for_test(apache::PREVIOUS, 1) else { return };
    run(topics_offsets_and_groups(&kafka));
}

/// The oldest broker that starts here without ZooKeeper. What came later says so.
#[test]
fn the_oldest_version_answers_what_it_knows() {
    let Some(kafka) = apache::for_test(apache::OLDEST, 1) else { return };
    run(async {
        let client = connect(&kafka).await;
        assert!(client.create_topics(&[NewTopic::new("a").with_partitions(2)]).await[0].is_ok());
        let grown = client.create_partitions(&[("a", 4)]).await.remove(0).unwrap_err();
        assert_eq!(grown.kind(), ErrorKind::Unsupported, "{grown}");
        let t = |partition| TopicPartition::new("a", partition);
        let wanted = [
            (t(0), OffsetSpec::Earliest),
            (t(1), OffsetSpec::Latest),
            (t(0), OffsetSpec::Timestamp(0)),
            (t(0), OffsetSpec::MaxTimestamp),
        ];
        let found = client.list_offsets(&wanted, Isolation::ReadCommitted).await;
        let offsets: Vec<_> =
            found[..3].iter().map(|(_, one)| one.as_ref().unwrap().offset).collect();
        assert_eq!(offsets, [Some(0), Some(0), None]);
        assert_eq!(found[3].1.as_ref().unwrap_err().kind(), ErrorKind::Unsupported);
        keeps_positions(&client, t(1)).await;
        assert!(client.delete_topics(&["a"]).await[0].is_ok());
    });
}

#[test]
fn offsets_are_found_while_a_leader_is_killed() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 3) else { return };
    run(async {
        let client = connect(&kafka).await;
        let topic = NewTopic::new("spread").with_partitions(6).with_replication(3);
        assert!(client.create_topics(&[topic]).await[0].is_ok());
        let wanted: Vec<_> = (0..6)
            .map(|partition| (TopicPartition::new("spread", partition), OffsetSpec::Latest))
            .collect();
        let find = || client.list_offsets(&wanted, Isolation::ReadUncommitted);
        assert!(find().await.iter().all(|(_, found)| found.is_ok()));
        kafka.kill(2).unwrap();
        for (partition, found) in find().await {
            assert_eq!(
                found.unwrap_or_else(|error| panic!("{partition}: {error:?}")).offset,
                Some(0)
            );
        }
        let view = client.cluster().refresh(soon()).await.unwrap();
        assert!(
            (0..6).all(|one| view.leader("spread", one).is_some_and(|leader| leader.broker != 2))
        );
    });
}
