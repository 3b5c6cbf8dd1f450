//! Members that hang, are fenced, come back, and groups whose topics or coordinator change.

use std::time::Duration;

use klamm_client::admin::NewTopic;
use klamm_client::config::OffsetReset;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::control::{Fault, Intercept};

use super::*;

#[tokio::test]
async fn a_static_member_that_restarts_disturbs_nobody() {
    a_static_member_restarts(|_| {}).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn a_static_member_restarts(change: fn(&mut ConsumerOptions)) {
    let door = quick(1).await;
    make(&door, "t", 4);
    let named = |name: &'static str| {
        move |options: &mut ConsumerOptions| {
            change(options);
            options.instance_id = Some(name.to_owned());
        }
    };
    let mut a = member(&door, named("a")).await;
    let mut b = member(&door, named("b")).await;
    a.subscribe(["t"]).unwrap();
    b.subscribe(["t"]).unwrap();
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [2, 2])
        .await;
    let (before, had) = (reading_a.revoked, b.assignment());
    b.close(SOON).await.unwrap();
    let mut b = member(&door, named("b")).await;
    b.subscribe(["t"]).unwrap();
    let mut reading_b = Reading::default();
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [2, 2])
        .await;
    assert_eq!((reading_a.revoked, b.assignment()), (before, had));
    // For good, the others get its partitions at once.
    b.close_for_good(SOON).await.unwrap();
    drive(&mut [(&mut a, &mut reading_a)], |_, sizes| *sizes == [4]).await;
}

#[tokio::test]
async fn a_static_member_whose_place_is_taken_is_told_and_ends() {
    let door = quick(1).await;
    make(&door, "t", 2);
    let named = |options: &mut ConsumerOptions| options.instance_id = Some("same".to_owned());
    let mut a = member(&door, named).await;
    a.subscribe(["t"]).unwrap();
    until_it_has(&mut a, 2).await;
    let mut b = member(&door, named).await;
    b.subscribe(["t"]).unwrap();
    until_it_has(&mut b, 2).await;
    let lost = next(&mut a).await;
    assert!(matches!(&lost, Event::Lost(partitions) if partitions.len() == 2), "{lost:?}");
    let error = a.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::FENCED_INSTANCE_ID), "{error}");
    assert!(a.next().await.is_none());
    assert!(a.assignment().is_empty());
}

#[tokio::test]
async fn members_follow_a_coordinator_that_moved() {
    a_coordinator_moves(|_| {}).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn a_coordinator_moves(change: fn(&mut ConsumerOptions)) {
    let door = quick(3).await;
    door.with(|cluster| cluster.create_topic("t", 2, 3)).unwrap();
    write(&door, "t", 2, 50).await;
    let mut a = member(&door, change).await;
    a.subscribe(["t"]).unwrap();
    until_it_has(&mut a, 2).await;
    let client = common::client(&door).await;
    let soon = tokio::time::Instant::now() + SOON;
    let kind = klamm_client::cluster::CoordinatorKind::Group;
    let node = client.cluster().coordinator_node(kind, "g", soon).await.unwrap();
    door.with(|cluster| cluster.kill(node));
    let mut reading = Reading::default();
    write(&door, "t", 2, 50).await;
    let end = async {
        while a.position(&t(0)) != Some(100) || a.position(&t(1)) != Some(100) {
            let Ok(event) = timeout(Duration::from_millis(50), a.next()).await else { continue };
            match event.unwrap().unwrap() {
                Event::Records(records) => assert!(a.ack(&records.receipt())),
                other => reading.take(&a, other),
            }
        }
    };
    timeout(SOON, end).await.unwrap();
    a.commit().await.unwrap();
    assert_eq!(reading.lost, 0);
    let mut b = member(&door, change).await;
    b.subscribe(["t"]).unwrap();
    let mut reading_b = Reading::default();
    drive(&mut [(&mut a, &mut reading), (&mut b, &mut reading_b)], |_, sizes| *sizes == [1, 1])
        .await;
}

#[tokio::test]
async fn a_member_that_nobody_hears_loses_its_partitions_to_others() {
    let door = quick(1).await;
    make(&door, "t", 2);
    write(&door, "t", 2, 10).await;
    let short =
        |options: &mut ConsumerOptions| options.session_timeout = Duration::from_millis(600);
    let mut a = member(&door, short).await;
    a.subscribe(["t"]).unwrap();
    until_it_has(&mut a, 2).await;
    let held = records(&mut a).await;
    let rule = door
        .with(|cluster| cluster.intercept(Intercept::on(ApiKey::Heartbeat).with(Fault::Swallow)));
    let lost = async {
        loop {
            if let Event::Lost(partitions) = next(&mut a).await {
                break partitions;
            }
        }
    };
    assert_eq!(lost.await.len(), 2);
    assert!(!a.ack(&held.receipt()));
    let error = a.commit_offsets(&[(t(0), Default::default())]).await.unwrap_err();
    assert_eq!(error.kind(), klamm_client::ErrorKind::Usage, "{error}");
    door.with(|cluster| cluster.control().remove(rule));
    until_it_has(&mut a, 2).await;
}

#[tokio::test]
async fn a_consumer_that_is_not_asked_for_long_leaves_and_comes_back() {
    a_consumer_sleeps(|_| {}).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn a_consumer_sleeps(change: fn(&mut ConsumerOptions)) {
    let door = quick(1).await;
    make(&door, "t", 2);
    write(&door, "t", 2, 10).await;
    let mut a = member(&door, |options| {
        change(options);
        options.max_poll_interval = Duration::from_millis(500);
    })
    .await;
    a.subscribe(["t"]).unwrap();
    let held = records(&mut a).await;
    let mut b = member(&door, change).await;
    b.subscribe(["t"]).unwrap();
    let mut reading_b = Reading::default();
    drive(&mut [(&mut b, &mut reading_b)], |all, sizes| sizes[0] == 2 && all[0].count() == 20)
        .await;
    // Its records were read again by the other, so that what it still says does not count.
    let mut lost = 0;
    let mut reading_a = Reading::default();
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [1, 1])
        .await;
    lost += reading_a.lost;
    assert_eq!(lost, 2);
    assert!(!a.ack(&held.receipt()));
}

#[tokio::test]
async fn a_pattern_takes_up_topics_that_are_made_later() {
    a_pattern_grows(|_| {}).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn a_pattern_grows(change: fn(&mut ConsumerOptions)) {
    let door = quick(1).await;
    make(&door, "orders-1", 1);
    make(&door, "other", 1);
    let mut a = member(&door, change).await;
    a.subscribe_pattern("orders-.*").unwrap();
    until_it_has(&mut a, 1).await;
    make(&door, "orders-2", 2);
    until_it_has(&mut a, 3).await;
    let topics: BTreeSet<_> = a.assignment().into_iter().map(|one| one.topic).collect();
    assert_eq!(topics.iter().map(|topic| &**topic).collect::<Vec<_>>(), ["orders-1", "orders-2"]);
    a.subscribe(["other"]).unwrap();
    until_it_has(&mut a, 1).await;
    assert_eq!(a.assignment()[0].topic.as_ref(), "other");
}

#[tokio::test]
async fn partitions_that_are_added_are_read_from_their_beginning() {
    a_topic_grows(|_| {}).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn a_topic_grows(change: fn(&mut ConsumerOptions)) {
    let door = quick(1).await;
    make(&door, "t", 1);
    write(&door, "t", 1, 10).await;
    let mut a = member(&door, |options| {
        change(options);
        options.offset_reset = OffsetReset::Latest;
    })
    .await;
    a.subscribe(["t"]).unwrap();
    until_it_has(&mut a, 1).await;
    while a.position(&t(0)) != Some(10) {
        let _ = timeout(Duration::from_millis(50), a.next()).await;
    }
    let client = common::client(&door).await;
    client.create_partitions(&[("t", 2)]).await.remove(0).unwrap();
    let producer = client.producer(ProducerOptions::from_config(client.config())).unwrap();
    let value = 0_u64.to_be_bytes();
    let _ = producer.append("t", Some(1), RecordParts::new(0, None, Some(&value))).await.unwrap();
    producer.flush().await.unwrap();
    let mut reading = Reading::default();
    drive(&mut [(&mut a, &mut reading)], |all, sizes| sizes[0] == 2 && all[0].count() == 1).await;
}

#[tokio::test]
async fn a_topic_that_does_not_exist_yet_is_read_once_it_does() {
    let door = quick(1).await;
    let mut a = member(&door, |_| {}).await;
    a.subscribe(["later"]).unwrap();
    assert!(timeout(Duration::from_millis(500), a.next()).await.is_err());
    let client = common::client(&door).await;
    client.create_topics(&[NewTopic::new("later").with_partitions(2)]).await.remove(0).unwrap();
    until_it_has(&mut a, 2).await;
}

#[tokio::test]
async fn a_group_that_refuses_for_good_ends_the_stream_with_its_word() {
    let door = quick(1).await;
    make(&door, "t", 1);
    let rule = Intercept::on(ApiKey::JoinGroup).fail(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    door.with(|cluster| cluster.intercept(rule));
    let mut a = member(&door, |_| {}).await;
    a.subscribe(["t"]).unwrap();
    let error = a.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GROUP_AUTHORIZATION_FAILED));
    assert_eq!(error.context("group"), Some("g"));
    assert!(a.next().await.is_none());
}
