//! Where a consumer stands: positions set, paused, reset, stored and lost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::ErrorKind;
use klamm_client::admin::{CommittedOffset, OffsetSpec};
use klamm_client::config::OffsetReset;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::control::Intercept;

use super::*;

/// A consumer of partition 0 of "t", assigned by hand.
async fn alone(door: &EmbeddedCluster, change: impl FnOnce(&mut ConsumerOptions)) -> Consumer {
    let mut consumer = member(door, change).await;
    consumer.assign([t(0)]).unwrap();
    consumer
}

/// One partition with ten records in several batches.
async fn ten() -> EmbeddedCluster {
    let door = common::cluster(1).await;
    make(&door, "t", 1);
    for number in 0..10_u64 {
        append(&door, number, 0).await;
    }
    door
}

async fn append(door: &EmbeddedCluster, number: u64, timestamp: i64) {
    let client = common::client(door).await;
    let producer = client.producer(ProducerOptions::from_config(client.config())).unwrap();
    let value = number.to_be_bytes();
    let record = RecordParts::new(timestamp, None, Some(&value));
    let _ = producer.append("t", Some(0), record).await.unwrap();
    producer.flush().await.unwrap();
}

#[tokio::test]
async fn positions_are_set_looked_up_and_reported() {
    let door = ten().await;
    let mut consumer = alone(&door, |_| {}).await;
    assert_eq!(consumer.position(&t(0)), None);
    let first = records(&mut consumer).await;
    assert_eq!((first.range(), consumer.position(&t(0))), (0..1, Some(1)));
    assert_eq!(consumer.processed(&t(0)), Some(0));
    consumer.seek(&t(0), 7).unwrap();
    assert!(!consumer.ack(&first.receipt()));
    assert_eq!(records(&mut consumer).await.range(), 7..8);
    consumer.seek_to(&t(0), OffsetSpec::Earliest).unwrap();
    assert_eq!(records(&mut consumer).await.range(), 0..1);
    consumer.seek_to(&t(0), OffsetSpec::Latest).unwrap();
    assert!(timeout(Duration::from_millis(300), consumer.next()).await.is_err());
    assert_eq!(consumer.position(&t(0)), Some(10));
    append(&door, 10, 0).await;
    assert_eq!(records(&mut consumer).await.range(), 10..11);
    assert_eq!(consumer.seek(&t(9), 0).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(consumer.seek(&t(0), -1).unwrap_err().kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn a_paused_partition_stands_still_and_goes_on_where_it_was() {
    let door = ten().await;
    let mut consumer = alone(&door, |_| {}).await;
    let held = records(&mut consumer).await;
    consumer.pause(&t(0)).unwrap();
    assert_eq!(consumer.paused(), [t(0)]);
    assert!(timeout(Duration::from_millis(300), consumer.next()).await.is_err());
    // Its records can still be acknowledged, and its position be stored.
    assert!(consumer.ack(&held.receipt()));
    consumer.commit().await.unwrap();
    assert_eq!(stored(&door).await.get(&t(0)), Some(&1));
    consumer.resume(&t(0)).unwrap();
    assert_eq!(records(&mut consumer).await.range(), 1..2);
    consumer.pause(&t(0)).unwrap();
    consumer.seek(&t(0), 5).unwrap();
    assert!(timeout(Duration::from_millis(300), consumer.next()).await.is_err());
    consumer.resume(&t(0)).unwrap();
    assert_eq!(records(&mut consumer).await.range(), 5..6);
}

#[tokio::test]
async fn only_what_is_acknowledged_without_a_gap_is_stored() {
    let door = ten().await;
    let mut consumer =
        alone(&door, |options| options.auto_commit = Some(Duration::from_millis(20))).await;
    let mut held = Vec::new();
    while held.len() < 10 {
        held.push(records(&mut consumer).await);
    }
    let acks = consumer.acknowledger();
    assert!(acks.ack(&held[2].receipt()));
    assert!(timeout(Duration::from_millis(200), consumer.next()).await.is_err());
    assert_eq!(stored(&door).await.get(&t(0)), None);
    assert!(acks.ack(&held[0].receipt()));
    consumer.commit_in_background("words".to_owned()).unwrap();
    assert!(matches!(next(&mut consumer).await, Event::Committed(Ok(()))));
    let of = |all: &BTreeMap<_, CommittedOffset>| all.get(&t(0)).cloned().unwrap();
    let found = of(&consumer.committed(&[t(0)]).await.unwrap());
    assert_eq!((found.offset, found.metadata.as_str(), found.leader_epoch), (1, "words", Some(0)));
    assert!(acks.ack(&held[1].receipt()));
    consumer.close(SOON).await.unwrap();
    assert_eq!(stored(&door).await.get(&t(0)), Some(&3));
    assert!(!acks.ack(&held[3].receipt()));
}

#[tokio::test]
async fn positions_named_by_the_caller_are_stored_unless_they_run_ahead() {
    let door = ten().await;
    let mut consumer = alone(&door, |_| {}).await;
    for _ in 0..4 {
        records(&mut consumer).await;
    }
    let position =
        |offset| CommittedOffset { offset, metadata: "m".to_owned(), leader_epoch: None };
    let ahead = consumer.commit_offsets(&[(t(0), position(5))]).await.unwrap_err();
    assert_eq!(ahead.kind(), ErrorKind::Usage, "{ahead}");
    consumer.commit_offsets(&[(t(0), position(4))]).await.unwrap();
    assert_eq!(consumer.processed(&t(0)), Some(4));
    consumer.commit_offsets(&[(t(0), position(2))]).await.unwrap();
    assert_eq!(stored(&door).await.get(&t(0)), Some(&2));
}

#[tokio::test]
async fn a_commit_that_is_refused_for_a_while_is_made_again_and_one_without_hope_is_told() {
    let door = ten().await;
    let mut consumer = alone(&door, |_| {}).await;
    let held = records(&mut consumer).await;
    assert!(consumer.ack(&held.receipt()));
    for code in [
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::REBALANCE_IN_PROGRESS,
    ] {
        door.with(|cluster| {
            cluster.intercept(Intercept::on(ApiKey::OffsetCommit).times(1).fail(code))
        });
    }
    consumer.commit().await.unwrap();
    assert_eq!(stored(&door).await.get(&t(0)), Some(&1));
    let held = records(&mut consumer).await;
    assert!(consumer.ack(&held.receipt()));
    let rule =
        Intercept::on(ApiKey::OffsetCommit).times(1).fail(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    door.with(|cluster| cluster.intercept(rule));
    let error = consumer.commit().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GROUP_AUTHORIZATION_FAILED));
    consumer.commit().await.unwrap();
}

#[tokio::test]
async fn without_a_position_a_consumer_begins_where_it_is_told_to() {
    let door = common::cluster(1).await;
    make(&door, "t", 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let hour = 3_600_000;
    for (number, age) in [(0, 5 * hour), (1, 3 * hour), (2, hour / 2), (3, 1000)] {
        append(&door, number, now - age).await;
    }
    let begins = [
        (OffsetReset::Earliest, Some(0)),
        (OffsetReset::ByDuration(Duration::from_secs(4 * 3600)), Some(1)),
        (OffsetReset::ByDuration(Duration::from_secs(3600)), Some(2)),
        (OffsetReset::ByDuration(Duration::ZERO), Some(4)),
        (OffsetReset::Latest, Some(4)),
    ];
    for (reset, offset) in begins {
        let mut consumer = alone(&door, |options| options.offset_reset = reset).await;
        let position = async {
            while consumer.position(&t(0)).is_none() {
                let _ = timeout(Duration::from_millis(20), consumer.next()).await;
            }
        };
        timeout(SOON, position).await.unwrap();
        let position = consumer.position(&t(0)).unwrap();
        let first = offset.unwrap();
        assert!((first..=first + 1).contains(&position), "{reset:?}: {position}");
    }
    let mut consumer = alone(&door, |options| options.offset_reset = OffsetReset::None).await;
    let error = consumer.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.context("topic")), (ErrorKind::DataLoss, Some("t")));
    consumer.seek(&t(0), 2).unwrap();
    assert_eq!(records(&mut consumer).await.range(), 2..3);
}

#[tokio::test]
async fn a_position_that_is_not_in_the_log_is_reset_or_told() {
    let door = ten().await;
    let mut consumer = alone(&door, |_| {}).await;
    consumer.seek(&t(0), 99).unwrap();
    assert_eq!(records(&mut consumer).await.range(), 0..1);
    let mut consumer = alone(&door, |options| options.offset_reset = OffsetReset::None).await;
    consumer.seek(&t(0), 99).unwrap();
    let error = consumer.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
}

#[tokio::test]
async fn a_truncated_log_is_read_on_from_where_it_diverged() {
    let door = ten().await;
    let mut consumer = alone(&door, |_| {}).await;
    let mut reading = Reading::default();
    drive(&mut [(&mut consumer, &mut reading)], |all, _| all[0].count() == 10).await;
    consumer.commit().await.unwrap();
    door.with(|cluster| assert!(cluster.truncate("t", 0, 6)));
    append(&door, 6, 0).await;
    let again = records(&mut consumer).await;
    assert_eq!(again.range(), 6..7);
    // The stored position is corrected, too.
    consumer.ack(&again.receipt());
    consumer.commit().await.unwrap();
    assert_eq!(stored(&door).await.get(&t(0)), Some(&7));
}

#[tokio::test]
async fn a_stored_position_in_a_truncated_log_is_noticed_by_its_epoch() {
    let door = ten().await;
    let mut consumer = alone(&door, |_| {}).await;
    let mut reading = Reading::default();
    drive(&mut [(&mut consumer, &mut reading)], |all, _| all[0].count() == 10).await;
    consumer.close(SOON).await.unwrap();
    let mut consumer = alone(&door, |_| {}).await;
    drive(&mut [(&mut consumer, &mut reading)], |all, _| all[0].count() == 10).await;
    consumer.commit().await.unwrap();
    drop(consumer);
    door.with(|cluster| assert!(cluster.truncate("t", 0, 6)));
    for number in 6..12 {
        append(&door, number, 0).await;
    }
    // Offset 10 exists again and means another record.
    let mut consumer = alone(&door, |_| {}).await;
    assert_eq!(records(&mut consumer).await.range(), 6..7);
}

#[tokio::test]
async fn a_topic_made_anew_is_read_from_its_beginning() {
    let door = ten().await;
    let mut consumer = alone(&door, |options| options.offset_reset = OffsetReset::Latest).await;
    consumer.seek(&t(0), 8).unwrap();
    assert_eq!(records(&mut consumer).await.range(), 8..9);
    door.with(|cluster| assert!(cluster.delete_topic("t")));
    make(&door, "t", 1);
    append(&door, 0, 0).await;
    let again = async {
        loop {
            let found = records(&mut consumer).await;
            if found.range().start == 0 {
                break found;
            }
        }
    };
    assert_eq!(timeout(SOON, again).await.unwrap().range(), 0..1);
}

#[tokio::test]
async fn a_first_record_larger_than_any_limit_is_handed_out() {
    let door = common::cluster(1).await;
    make(&door, "t", 1);
    let client = common::client(&door).await;
    let producer = client.producer(ProducerOptions::from_config(client.config())).unwrap();
    let large = vec![0; 200_000];
    let _ = producer.append("t", Some(0), RecordParts::new(0, None, Some(&large))).await.unwrap();
    producer.flush().await.unwrap();
    let mut consumer = alone(&door, |options| {
        options.read.max_bytes = 1000;
        options.read.fetch_max_bytes = 1000;
        options.read.partition_max_bytes = 1000;
    })
    .await;
    assert_eq!(records(&mut consumer).await.range(), 0..1);
}

#[tokio::test]
async fn a_consumer_without_a_group_reads_and_stores_nothing() {
    let door = ten().await;
    let mut consumer = alone(&door, |options| options.group = None).await;
    assert_eq!(records(&mut consumer).await.range(), 0..1);
    assert_eq!(consumer.commit().await.unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(consumer.subscribe(["t"]).unwrap_err().kind(), ErrorKind::Usage);
    consumer.assign([]).unwrap();
    assert!(consumer.assignment().is_empty());
}

/// One future that holds up another because both want the same connection, and nobody polls it.
#[tokio::test]
async fn a_consumer_that_is_not_polled_holds_up_nobody() {
    let door = ten().await;
    let config = common::config(&door.bootstrap());
    let client = Client::connect(config).await.unwrap();
    let mut consumer = client.consumer(options(&client, |_| {})).unwrap();
    consumer.assign([t(0)]).unwrap();
    // It has begun to ask, and is left alone in the middle of it, after any number of steps.
    for polls in 0..40 {
        let mut left = polls;
        let few = std::future::poll_fn(|cx| {
            if left == 0 {
                return std::task::Poll::Ready(());
            }
            left -= 1;
            let polled = futures_core::Stream::poll_next(std::pin::Pin::new(&mut consumer), cx);
            cx.waker().wake_by_ref();
            drop(polled);
            std::task::Poll::Pending
        });
        few.await;
        timeout(SOON, client.committed_offsets("g", None)).await.expect("no wait").unwrap();
    }
}

#[tokio::test]
async fn records_are_fetched_from_a_replica_in_the_own_rack() {
    let racks = vec!["a".to_owned(), "b".to_owned()];
    let config = ClusterConfig { brokers: 2, racks, ..ClusterConfig::default() };
    let door = EmbeddedCluster::start(config).await.expect("free ports");
    door.with(|cluster| cluster.create_topic("t", 1, 2)).unwrap();
    write(&door, "t", 1, 50).await;
    let leader = door.with(|cluster| cluster.leader("t", 0)).unwrap().node;
    let (near, rack) = if leader == 1 { (2, "b") } else { (1, "a") };
    let config = common::config(&door.bootstrap()).with_client_rack(rack.to_owned());
    let client = Client::connect(config).await.unwrap();
    let seen = door.with(|cluster| cluster.intercept(Intercept::on(ApiKey::Fetch).at(near)));
    let mut consumer = client.consumer(options(&client, |_| {})).unwrap();
    consumer.assign([t(0)]).unwrap();
    let mut reading = Reading::default();
    drive(&mut [(&mut consumer, &mut reading)], |all, _| all[0].count() == 50).await;
    assert!(door.with(|cluster| cluster.control().matched(seen)) > 0);
    // The follower dies, and the leader goes on.
    door.with(|cluster| cluster.kill(near));
    append(&door, 50, 0).await;
    drive(&mut [(&mut consumer, &mut reading)], |all, _| all[0].count() == 51).await;
}
