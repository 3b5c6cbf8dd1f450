//! Transactions against an embedded cluster, in both protocols: what readers of committed records
//! see, who is fenced, and what is told of ends that were lost on the way.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::transactions::{self as promises, Asked};
use klamm_client::admin::OffsetSpec;
use klamm_client::config::Isolation;
use klamm_client::producer::{Delivery, ProducerOptions};
use klamm_client::{Client, Config, ErrorKind, TopicPartition};
use klamm_protocol::api::{ApiKey, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::records::RecordParts;
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::control::{Fault, Intercept};
use klamm_testkit::door::EmbeddedCluster;

/// A cluster with a topic of two partitions, in this version of transactions.
async fn cluster(version: i16, brokers: i32) -> (EmbeddedCluster, Asked) {
    let marker_delay = Duration::from_millis(15);
    let config = ClusterConfig {
        brokers,
        transaction_version: version,
        marker_delay,
        ..ClusterConfig::default()
    };
    let door = EmbeddedCluster::start(config).await.expect("free ports");
    door.with(|cluster| cluster.create_topic("t", 2, brokers as i16)).unwrap();
    let asked =
        Asked { bootstrap: door.bootstrap(), topic: "t".to_owned(), implicit: version >= 2 };
    (door, asked)
}

#[tokio::test]
async fn commits_are_seen_and_aborts_are_not() {
    for version in [0, 1, 2] {
        let (_door, asked) = cluster(version, 2).await;
        promises::commits_are_seen_and_aborts_are_not(&asked).await;
    }
}

#[tokio::test]
async fn a_newer_producer_fences_the_older_one() {
    for version in [1, 2] {
        let (_door, asked) = cluster(version, 1).await;
        promises::a_newer_producer_fences_the_older_one(&asked).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_count_with_their_transaction() {
    for version in [1, 2] {
        let (_door, asked) = cluster(version, 2).await;
        promises::offsets_count_with_their_transaction(&asked).await;
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_end_is_found_out() {
    for version in [1, 2] {
        let (_door, asked) = cluster(version, 1).await;
        promises::a_lost_answer_to_the_end_is_found_out(&asked).await;
    }
}

#[tokio::test]
async fn an_unknown_commit_is_resolved_by_init() {
    for version in [1, 2] {
        let (_door, asked) = cluster(version, 1).await;
        promises::an_unknown_commit_is_resolved_by_init(&asked).await;
    }
}

#[tokio::test]
async fn a_dropped_transaction_is_aborted() {
    for version in [1, 2] {
        let (_door, asked) = cluster(version, 1).await;
        promises::a_dropped_transaction_is_aborted(&asked).await;
    }
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_not_committed() {
    for version in [1, 2] {
        let (_door, asked) = cluster(version, 1).await;
        let patience = Duration::from_millis(1500);
        promises::a_transaction_that_takes_too_long_is_not_committed(&asked, patience).await;
    }
}

#[tokio::test]
async fn coordinators_and_leaders_move_in_the_middle_of_transactions() {
    for version in [1, 2] {
        let (door, asked) = cluster(version, 3).await;
        let client = asked.client().await;
        let mut producer = asked.producer(&client);
        producer.init().await.unwrap();
        for round in 0..6_u64 {
            let transaction = producer.begin().await.unwrap();
            let _ = asked.append(&transaction, 0, 10 * round).await;
            transaction.flush().await.unwrap();
            door.with(|cluster| {
                let node = 1 + (round as i32) % 3;
                assert!(cluster.move_coordinator(producer_id(&asked).as_str(), node));
                cluster.move_leader("t", 1, 1 + (round as i32 + 1) % 3);
            });
            let _ = asked.append(&transaction, 1, 10 * round + 1).await;
            transaction.commit().await.unwrap();
        }
        let wanted: Vec<u64> = (0..6).flat_map(|round| [10 * round, 10 * round + 1]).collect();
        assert_eq!(asked.committed(&client).await, wanted);
    }
}

#[tokio::test]
async fn a_killed_coordinator_costs_time_and_no_records() {
    for version in [1, 2] {
        let (door, asked) = cluster(version, 3).await;
        let client = asked.client().await;
        let mut producer = asked.producer(&client);
        asked.commit(&mut producer, 0..2).await;
        let transaction = producer.begin().await.unwrap();
        let _ = asked.append(&transaction, 0, 2).await;
        transaction.flush().await.unwrap();
        door.with(|cluster| {
            let node = cluster.coordinator(&producer_id(&asked)).unwrap();
            assert!(cluster.kill(node));
        });
        let _ = asked.append(&transaction, 1, 3).await;
        transaction.commit().await.unwrap();
        asked.commit(&mut producer, 4..6).await;
        assert_eq!(asked.committed(&client).await, [0, 1, 2, 3, 4, 5]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_refused_leaves_nothing_but_to_abort() {
    for version in [1, 2] {
        let (door, asked) = cluster(version, 1).await;
        let client = asked.client().await;
        let mut producer = asked.producer(&client);
        asked.commit(&mut producer, 0..2).await;
        let refuse = || {
            let rule = Intercept::on(ApiKey::Produce).times(1).fail(ErrorCode::INVALID_RECORD);
            door.with(|cluster| cluster.intercept(rule))
        };
        // Found out by the commit.
        refuse();
        let transaction = producer.begin().await.unwrap();
        let lost = asked.append(&transaction, 0, 10).await;
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AbortRequired, "{error:?}");
        assert!(matches!(lost.delivered().await, Delivery::NotWritten(_)));
        // Found out before: nothing more is taken, and the abort works.
        refuse();
        let transaction = producer.begin().await.unwrap();
        let _ = asked.append(&transaction, 1, 11).await.delivered().await;
        let error = loop {
            let record = RecordParts::new(0, None, Some(b"12345678"));
            match transaction.append("t", Some(0), record).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::AbortRequired, "{error:?}");
        transaction.abort().await.unwrap();
        asked.commit(&mut producer, 2..4).await;
        assert_eq!(asked.committed(&client).await, [0, 1, 2, 3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_and_repeated_requests_of_all_kinds_lose_and_repeat_nothing() {
    for version in [1, 2] {
        let (door, asked) = cluster(version, 3).await;
        let kinds = [
            ApiKey::Produce,
            ApiKey::AddPartitionsToTxn,
            ApiKey::AddOffsetsToTxn,
            ApiKey::TxnOffsetCommit,
            ApiKey::EndTxn,
            ApiKey::InitProducerId,
            ApiKey::FindCoordinator,
        ];
        door.with(|cluster| {
            for key in kinds {
                for (skip, fault) in
                    [(1, Fault::Cut), (3, Fault::CutAfter(0)), (6, Fault::CutAfter(3))]
                {
                    cluster.intercept(Intercept::on(key).skip(skip).times(1).with(fault));
                }
                let code = match key {
                    ApiKey::Produce => ErrorCode::NOT_ENOUGH_REPLICAS,
                    _ => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                };
                cluster.intercept(Intercept::on(key).skip(8).times(2).fail(code));
            }
        });
        let client = asked.client().await;
        let mut producer = asked.producer(&client);
        let member = klamm_client::producer::GroupMember::of_group("g");
        for round in 0..20_u64 {
            let mut transaction = producer.begin().await.unwrap();
            for number in 10 * round..10 * round + 10 {
                let _ = asked.append(&transaction, (number % 2) as i32, number).await;
            }
            let stored = klamm_client::admin::CommittedOffset {
                offset: round as i64,
                leader_epoch: None,
                metadata: String::new(),
            };
            let place = TopicPartition::new("t", 0);
            transaction.send_offsets(&member, &[(place, stored)]).await.unwrap();
            if round % 5 == 4 {
                transaction.abort().await.unwrap();
            } else {
                transaction.commit().await.unwrap();
            }
        }
        let wanted: Vec<u64> = (0..200).filter(|number| number / 10 % 5 != 4).collect();
        assert_eq!(asked.committed(&client).await, wanted, "version {version}");
        let stored = client.committed_offsets("g", None).await.unwrap();
        assert_eq!(stored.values().next().unwrap().offset, 18);
    }
}

#[tokio::test]
async fn a_dropped_call_leaves_a_transaction_whole_or_absent() {
    for version in [1, 2] {
        let (_door, asked) = cluster(version, 1).await;
        let client = asked.client().await;
        let mut producer = asked.producer(&client);
        for polls in 0..8 {
            assert!(polled(polls, producer.begin()).await.is_none_or(|begun| begun.is_ok()));
            let transaction = producer.begin().await.unwrap();
            let _ = asked.append(&transaction, 0, polls.into()).await;
            let _ = asked.append(&transaction, 1, polls.into()).await;
            let _ = polled(polls, transaction.commit()).await;
            let transaction = producer.begin().await.unwrap();
            let _ = asked.append(&transaction, 0, 100 + u64::from(polls)).await;
            let _ = polled(polls, transaction.abort()).await;
            assert!(polled(polls, producer.init()).await.is_none_or(|done| done.is_ok()));
        }
        producer.begin().await.unwrap().commit().await.unwrap();
        let seen = asked.committed(&client).await;
        for polls in 0..8 {
            let times = seen.iter().filter(|number| **number == polls).count();
            assert!(times == 0 || times == 2, "{polls} is there {times} times");
        }
        assert!(seen.iter().all(|number| *number < 100), "an abort was dropped: {seen:?}");
        assert!(seen.contains(&7), "eight turns are enough to hand a commit over: {seen:?}");
    }
}

#[tokio::test]
async fn brokers_from_before_kip_890_are_spoken_to_as_then() {
    let old = vec![
        (ApiKey::Produce, VersionRange::new(3, 11)),
        (ApiKey::EndTxn, VersionRange::new(0, 3)),
        (ApiKey::InitProducerId, VersionRange::new(0, 4)),
        (ApiKey::TxnOffsetCommit, VersionRange::new(0, 3)),
    ];
    let config = ClusterConfig { transaction_version: 0, versions: old, ..Default::default() };
    let door = EmbeddedCluster::start(config).await.unwrap();
    door.with(|cluster| cluster.create_topic("t", 2, 1)).unwrap();
    let asked = Asked { bootstrap: door.bootstrap(), topic: "t".to_owned(), implicit: false };
    promises::commits_are_seen_and_aborts_are_not(&asked).await;
}

#[tokio::test]
async fn options_are_checked_before_anything_is_contacted() {
    let (_door, asked) = cluster(2, 1).await;
    let client = asked.client().await;
    let error = client.transactional_producer(ProducerOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let named = |change: fn(&mut ProducerOptions)| {
        let mut options = ProducerOptions::default();
        options.transactional_id = Some("id".to_owned());
        change(&mut options);
        options
    };
    let error = client.producer(named(|_| {})).unwrap_err();
    assert!(error.to_string().contains("transactional"), "{error}");
    let error = client.transactional_producer(named(|one| one.idempotent = false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let properties = |more: (&'static str, &'static str)| {
        let all = [("bootstrap.servers", "x:1"), ("transactional.id", "id"), more];
        Config::from_properties(all)
    };
    let config = properties(("transaction.timeout.ms", "1500")).unwrap();
    let options = ProducerOptions::from_config(&config);
    assert_eq!(options.transactional_id.as_deref(), Some("id"));
    assert_eq!(options.transaction_timeout, Duration::from_millis(1500));
    assert_eq!(properties(("acks", "1")).unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn who_asks_for_more_time_than_brokers_allow_is_told() {
    let (_door, asked) = cluster(2, 1).await;
    let client = asked.client().await;
    let mut producer = asked.producer_with(&client, |options| {
        options.transaction_timeout = Duration::from_secs(24 * 3600);
    });
    let error = producer.init().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_TRANSACTION_TIMEOUT), "{error:?}");
}

#[tokio::test]
async fn an_open_transaction_holds_readers_of_committed_records_back_until_it_ends() {
    let (_door, asked) = cluster(2, 1).await;
    let client = asked.client().await;
    let mut producer = asked.producer(&client);
    let latest = async |client: &Client| {
        let place = [(TopicPartition::new("t", 0), OffsetSpec::Latest)];
        let found = client.list_offsets(&place, Isolation::ReadCommitted).await;
        found[0].1.as_ref().unwrap().offset.unwrap()
    };
    let transaction = producer.begin().await.unwrap();
    let ticket = asked.append(&transaction, 0, 1).await;
    assert!(matches!(ticket.delivered().await, Delivery::Written { offset: Some(0), .. }));
    assert_eq!(latest(&client).await, 0);
    transaction.commit().await.unwrap();
    producer.begin().await.unwrap().commit().await.unwrap();
    while latest(&client).await != 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn producer_id(asked: &Asked) -> String {
    format!("id-of-{}", asked.topic)
}

/// Polls a future so many times at most, then drops it.
async fn polled<F: Future>(times: u32, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let left = AtomicU64::new(times.into());
    std::future::poll_fn(|cx| {
        if left.load(Ordering::Relaxed) == 0 {
            return std::task::Poll::Ready(None);
        }
        left.fetch_sub(1, Ordering::Relaxed);
        match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        }
    })
    .await
}
