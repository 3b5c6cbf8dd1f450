//! Members of groups whose coordinator assigns (KIP-848): the same scenes as for classic ones, and
//! what is different.

use std::time::Duration;

use klamm_client::ErrorKind;
use klamm_client::config::GroupProtocol;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::control::{Fault, Intercept};

use super::*;

fn next(options: &mut ConsumerOptions) {
    options.protocol = GroupProtocol::Consumer;
}

#[tokio::test]
async fn members_come_and_go_and_everything_is_read() {
    sharing::three_members_come_and_go(next).await;
}

#[tokio::test]
async fn members_that_commit_by_themselves_come_and_go_and_everything_is_read() {
    sharing::three_members_come_and_go(|options| {
        next(options);
        options.auto_commit = Some(Duration::from_millis(20));
    })
    .await;
}

#[tokio::test]
async fn a_member_is_asked_only_for_what_another_gets() {
    sharing::only_what_another_gets(next).await;
}

#[tokio::test]
async fn what_is_acknowledged_late_is_never_stored() {
    sharing::late_acknowledgements(next).await;
}

#[tokio::test]
async fn a_static_member_that_restarts_disturbs_nobody() {
    membership::a_static_member_restarts(next).await;
}

#[tokio::test]
async fn a_consumer_that_is_not_asked_for_long_leaves_and_comes_back() {
    membership::a_consumer_sleeps(next).await;
}

#[tokio::test]
async fn a_pattern_that_the_broker_evaluates_takes_up_topics_that_are_made_later() {
    membership::a_pattern_grows(next).await;
}

#[tokio::test]
async fn partitions_that_are_added_are_read_from_their_beginning() {
    membership::a_topic_grows(next).await;
}

#[tokio::test]
async fn members_follow_a_coordinator_that_moved() {
    membership::a_coordinator_moves(next).await;
}

#[tokio::test]
async fn a_revocation_waits_for_the_caller() {
    let door = quick(1).await;
    make(&door, "t", 2);
    write(&door, "t", 2, 10).await;
    let mut a = member(&door, |options| {
        next(options);
        options.auto_commit = Some(Duration::from_secs(3600));
    })
    .await;
    a.subscribe(["t"]).unwrap();
    until_it_has(&mut a, 2).await;
    let mut b = member(&door, next).await;
    b.subscribe(["t"]).unwrap();
    let mut held = Vec::new();
    let revoked = async {
        loop {
            match common::reading::next(&mut a).await {
                Event::Revoked(partitions) => break partitions,
                Event::Records(records) => held.push(records),
                _ => {}
            }
        }
    };
    let revoked = tokio::select! {
        partitions = revoked => partitions,
        _ = async { loop { let _ = common::reading::next(&mut b).await; } } => unreachable!(),
    };
    assert_eq!(revoked.len(), 1);
    // While the caller works, the other does not get it.
    for _ in 0..5 {
        let _ = timeout(Duration::from_millis(50), b.next()).await;
    }
    assert!(b.assignment().is_empty());
    held.iter().for_each(|records| assert!(a.ack(&records.receipt())));
    let end = held.iter().filter(|one| *one.partition() == revoked[0]);
    let end = end.map(|records| records.range().end).max();
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [1, 1])
        .await;
    // What was acknowledged before was stored, and the new owner begins there.
    assert!(stored(&door).await.get(&revoked[0]).copied() >= end);
}

#[tokio::test]
async fn a_second_member_of_a_name_is_kept_out_while_the_first_lives() {
    let door = quick(1).await;
    make(&door, "t", 2);
    let named = |options: &mut ConsumerOptions| {
        next(options);
        options.instance_id = Some("same".to_owned());
    };
    let mut a = member(&door, named).await;
    a.subscribe(["t"]).unwrap();
    until_it_has(&mut a, 2).await;
    let mut b = member(&door, named).await;
    b.subscribe(["t"]).unwrap();
    let error = b.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNRELEASED_INSTANCE_ID), "{error}");
    assert!(b.next().await.is_none());
    assert_eq!(a.assignment().len(), 2);
}

#[tokio::test]
async fn a_fenced_member_drops_everything_and_joins_anew() {
    for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
        let door = quick(1).await;
        make(&door, "t", 2);
        write(&door, "t", 2, 10).await;
        let mut a = member(&door, next).await;
        a.subscribe(["t"]).unwrap();
        until_it_has(&mut a, 2).await;
        let held = records(&mut a).await;
        let rule = Intercept::on(ApiKey::ConsumerGroupHeartbeat).times(1).fail(code);
        door.with(|cluster| cluster.intercept(rule));
        let lost = async {
            loop {
                if let Event::Lost(partitions) = common::reading::next(&mut a).await {
                    break partitions;
                }
            }
        };
        assert_eq!(lost.await.len(), 2);
        assert!(!a.ack(&held.receipt()));
        until_it_has(&mut a, 2).await;
        let mut reading = Reading::default();
        drive(&mut [(&mut a, &mut reading)], |all, _| all[0].count() == 20).await;
        a.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_in_an_old_epoch_is_made_again_in_the_new_one() {
    let door = quick(1).await;
    make(&door, "t", 1);
    write(&door, "t", 1, 10).await;
    let mut a = member(&door, next).await;
    a.subscribe(["t"]).unwrap();
    let mut reading = Reading::default();
    drive(&mut [(&mut a, &mut reading)], |all, _| all[0].count() == 10).await;
    // The epoch rises with each change of the group, which this member need not have heard of.
    let mut b = member(&door, next).await;
    b.subscribe(["t"]).unwrap();
    let joined = timeout(Duration::from_millis(300), b.next()).await;
    assert!(joined.is_err(), "{joined:?}");
    a.commit().await.unwrap();
    assert_eq!(stored(&door).await.get(&t(0)), Some(&10));
}

#[tokio::test]
async fn answers_that_are_lost_on_the_way_lose_no_record() {
    let door = quick(2).await;
    make(&door, "t", 4);
    write(&door, "t", 4, 100).await;
    door.with(|cluster| {
        for key in [ApiKey::ConsumerGroupHeartbeat, ApiKey::OffsetFetch] {
            cluster.intercept(Intercept::on(key).skip(1).times(1).with(Fault::Cut));
            cluster.intercept(Intercept::on(key).skip(3).times(2).with(Fault::CutAfter(2)));
        }
    });
    let (mut a, mut b) = (member(&door, next).await, member(&door, next).await);
    a.subscribe(["t"]).unwrap();
    b.subscribe(["t"]).unwrap();
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |all, sizes| {
        together(all) == 400 && sizes.iter().sum::<usize>() == 4
    })
    .await;
}

#[tokio::test]
async fn a_broker_without_the_newer_protocol_says_so() {
    let config = ClusterConfig { group_version: 0, ..ClusterConfig::default() };
    let door = EmbeddedCluster::start(config).await.expect("free ports");
    make(&door, "t", 1);
    let mut a = member(&door, next).await;
    a.subscribe(["t"]).unwrap();
    let error = a.next().await.unwrap().unwrap_err();
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Unsupported | ErrorKind::Broker), "{error}");
    assert!(a.next().await.is_none());
}
