//! Members that share a topic.

use std::time::Duration;

use klamm_client::consumer::ConsumerOptions;
use klamm_protocol::api::ApiKey;
use klamm_protocol::assign::Assignor;
use klamm_testkit::control::{Fault, Intercept};

use super::*;

fn eager(options: &mut ConsumerOptions) {
    options.assignors = vec![Assignor::Range];
}

fn cooperative(options: &mut ConsumerOptions) {
    options.assignors = vec![Assignor::CooperativeSticky];
}

#[tokio::test]
async fn a_lone_member_reads_everything_and_goes_on_where_it_was() {
    let door = quick(1).await;
    make(&door, "t", 3);
    write(&door, "t", 3, 100).await;
    let mut consumer = member(&door, |_| {}).await;
    consumer.subscribe(["t"]).unwrap();
    let mut reading = Reading::default();
    drive(&mut [(&mut consumer, &mut reading)], |all, _| all[0].count() == 300).await;
    consumer.commit().await.unwrap();
    assert_eq!(stored(&door).await, BTreeMap::from([(t(0), 100), (t(1), 100), (t(2), 100)]));
    consumer.close(SOON).await.unwrap();

    write_more(&door, 100).await;
    let mut consumer = member(&door, |_| {}).await;
    consumer.subscribe(["t"]).unwrap();
    let mut reading = Reading::default();
    drive(&mut [(&mut consumer, &mut reading)], |all, _| all[0].count() == 3).await;
    assert!(reading.offsets.values().all(|offsets| offsets.iter().eq([100].iter())));
}

/// One more record for each of three partitions.
async fn write_more(door: &EmbeddedCluster, number: u64) {
    let client = common::client(door).await;
    let producer = client.producer(ProducerOptions::from_config(client.config())).unwrap();
    for partition in 0..3 {
        let value = number.to_be_bytes();
        let record = RecordParts::new(0, None, Some(&value));
        let _ = producer.append("t", Some(partition), record).await.unwrap();
    }
    producer.flush().await.unwrap();
}

/// Members join and leave while records are read; each record is read, and nothing is stored that
/// was not.
pub(crate) async fn three_members_come_and_go(change: fn(&mut ConsumerOptions)) {
    let door = quick(2).await;
    make(&door, "t", 6);
    write(&door, "t", 6, 200).await;
    let mut a = member(&door, change).await;
    a.subscribe(["t"]).unwrap();
    let mut reading_a = Reading::default();
    drive(&mut [(&mut a, &mut reading_a)], |all, sizes| all[0].count() > 0 && sizes[0] == 6).await;

    let (mut b, mut c) = (member(&door, change).await, member(&door, change).await);
    b.subscribe(["t"]).unwrap();
    c.subscribe(["t"]).unwrap();
    let (mut reading_b, mut reading_c) = (Reading::default(), Reading::default());
    drive(
        &mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b), (&mut c, &mut reading_c)],
        |_, sizes| *sizes == [2, 2, 2],
    )
    .await;
    let mut owned: Vec<_> = [&a, &b, &c].into_iter().flat_map(Consumer::assignment).collect();
    owned.sort();
    assert_eq!(owned, (0..6).map(t).collect::<Vec<_>>());

    a.commit().await.unwrap();
    for (partition, offset) in stored(&door).await {
        let read = [&reading_a, &reading_b, &reading_c];
        let read = read.into_iter().flat_map(|reading| reading.offsets.get(&partition)).flatten();
        let read: BTreeSet<i64> = read.copied().collect();
        assert!((0..offset).all(|offset| read.contains(&offset)), "{partition}: {offset}");
    }
    a.close(SOON).await.unwrap();
    drive(&mut [(&mut b, &mut reading_b), (&mut c, &mut reading_c)], |_, sizes| *sizes == [3, 3])
        .await;
    b.close(SOON).await.unwrap();
    let known = (reading_a, reading_b);
    drive(&mut [(&mut c, &mut reading_c)], |all, sizes| {
        sizes[0] == 6 && together(&[&known.0, &known.1, all[0]]) == 1200
    })
    .await;
    assert_eq!(reading_c.lost + known.0.lost + known.1.lost, 0);
}

#[tokio::test]
async fn eager_members_come_and_go_and_everything_is_read() {
    three_members_come_and_go(eager).await;
}

#[tokio::test]
async fn cooperative_members_come_and_go_and_everything_is_read() {
    three_members_come_and_go(cooperative).await;
}

#[tokio::test]
async fn members_that_commit_by_themselves_come_and_go_and_everything_is_read() {
    three_members_come_and_go(|options| {
        options.assignors = Assignor::DEFAULT.to_vec();
        options.auto_commit = Some(Duration::from_millis(20));
    })
    .await;
}

#[tokio::test]
async fn a_cooperative_member_is_asked_only_for_what_another_gets() {
    only_what_another_gets(cooperative).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn only_what_another_gets(change: fn(&mut ConsumerOptions)) {
    let door = quick(1).await;
    make(&door, "t", 4);
    let mut a = member(&door, change).await;
    a.subscribe(["t"]).unwrap();
    let mut reading_a = Reading::default();
    drive(&mut [(&mut a, &mut reading_a)], |_, sizes| sizes[0] == 4).await;
    let mut b = member(&door, change).await;
    b.subscribe(["t"]).unwrap();
    let mut reading_b = Reading::default();
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [2, 2])
        .await;
    assert_eq!((reading_a.assigned, reading_a.revoked, reading_b.assigned), (4, 2, 2));
}

#[tokio::test]
async fn what_is_acknowledged_late_is_never_stored() {
    late_acknowledgements(eager).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn late_acknowledgements(change: fn(&mut ConsumerOptions)) {
    let door = quick(1).await;
    make(&door, "t", 2);
    write(&door, "t", 2, 10).await;
    let mut a = member(&door, |options| {
        change(options);
        options.auto_commit = Some(Duration::from_millis(20));
    })
    .await;
    a.subscribe(["t"]).unwrap();
    let mut held = BTreeMap::new();
    while held.len() < 2 {
        let records = records(&mut a).await;
        held.insert(records.partition().clone(), records);
    }
    let mut b = member(&door, change).await;
    b.subscribe(["t"]).unwrap();
    // The member is told, does not acknowledge, and goes on: so it has let go.
    let mut reading_b = Reading::default();
    let both = async {
        let revoked = async {
            loop {
                if let Event::Revoked(partitions) = next(&mut a).await {
                    break partitions;
                }
            }
        };
        tokio::select! {
            partitions = revoked => partitions,
            () = async { loop { reading_b.step(&mut b).await; } } => unreachable!(),
        }
    };
    let revoked = both.await;
    let mut reading_a = Reading::default();
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [1, 1])
        .await;
    for gone in &revoked {
        assert!(!a.ack(&held[gone].receipt()));
        assert!(!a.acknowledger().ack(&held[gone].receipt()));
    }
    let gone = revoked.first().expect("b got a partition that a had").clone();
    let there = b.assignment();
    let error = a.commit_offsets(&[(there[0].clone(), position(1))]).await.unwrap_err();
    assert_eq!(error.kind(), klamm_client::ErrorKind::Usage);
    a.close(SOON).await.unwrap();
    // What both have read since is all there is to store.
    let read = reading_a.offsets.get(&gone).or(reading_b.offsets.get(&gone));
    let stored = stored(&door).await.get(&gone).copied().unwrap_or(0);
    assert!(stored as usize <= read.map_or(0, BTreeSet::len));
}

fn position(offset: i64) -> klamm_client::admin::CommittedOffset {
    klamm_client::admin::CommittedOffset { offset, ..Default::default() }
}

#[tokio::test]
async fn a_revocation_waits_for_the_caller_and_what_it_acknowledges_then_is_stored() {
    a_revocation_waits(eager).await;
}

/// As the test says, for members of either protocol.
pub(crate) async fn a_revocation_waits(change: fn(&mut ConsumerOptions)) {
    let door = quick(1).await;
    make(&door, "t", 1);
    write(&door, "t", 1, 10).await;
    let mut a = member(&door, |options| {
        change(options);
        options.auto_commit = Some(Duration::from_secs(3600));
    })
    .await;
    a.subscribe(["t"]).unwrap();
    let held = records(&mut a).await;
    let end = held.range().end;
    let mut b = member(&door, change).await;
    b.subscribe(["t"]).unwrap();
    let joins = door.with(|cluster| cluster.intercept(Intercept::on(ApiKey::SyncGroup)));
    let revoked = async {
        loop {
            if let Event::Revoked(_) = next(&mut a).await {
                break;
            }
        }
    };
    tokio::select! {
        () = revoked => {}
        _ = async { loop { let _ = next(&mut b).await; } } => unreachable!(),
    }
    // While the caller works, nobody else gets anything.
    for _ in 0..5 {
        assert!(timeout(Duration::from_millis(50), b.next()).await.is_err());
    }
    assert_eq!(door.with(|cluster| cluster.control().matched(joins)), 0);
    assert!(a.ack(&held.receipt()));
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| {
        sizes.iter().sum::<usize>() == 1
    })
    .await;
    let stored_now = stored(&door).await;
    assert_eq!(stored_now.get(&t(0)).copied(), Some(end));
}

#[tokio::test]
async fn a_dropped_consumer_leaves_its_partitions_to_others_at_once() {
    let door = quick(1).await;
    make(&door, "t", 2);
    let mut a = member(&door, |_| {}).await;
    a.subscribe(["t"]).unwrap();
    until_it_has(&mut a, 2).await;
    let farewell = door.with(|cluster| cluster.intercept(Intercept::on(ApiKey::LeaveGroup)));
    drop(a);
    let mut b = member(&door, |_| {}).await;
    b.subscribe(["t"]).unwrap();
    until_it_has(&mut b, 2).await;
    assert_eq!(door.with(|cluster| cluster.control().matched(farewell)), 1);
}

#[tokio::test]
async fn answers_that_are_lost_on_the_way_lose_no_record() {
    let door = quick(2).await;
    make(&door, "t", 4);
    write(&door, "t", 4, 100).await;
    door.with(|cluster| {
        for key in [ApiKey::JoinGroup, ApiKey::SyncGroup, ApiKey::Heartbeat, ApiKey::OffsetFetch] {
            cluster.intercept(Intercept::on(key).skip(1).times(1).with(Fault::Cut));
            cluster.intercept(Intercept::on(key).skip(3).times(1).with(Fault::CutAfter(2)));
        }
    });
    let (mut a, mut b) = (member(&door, cooperative).await, member(&door, cooperative).await);
    a.subscribe(["t"]).unwrap();
    b.subscribe(["t"]).unwrap();
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |all, sizes| {
        together(all) == 400 && sizes.iter().sum::<usize>() == 4
    })
    .await;
}
