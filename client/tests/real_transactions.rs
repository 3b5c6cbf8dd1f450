//! Transactions against real Apache Kafka, in both protocols: the newest version runs transactions
//! of version 2, the line before does not know them.

mod common;

use std::time::Duration;

use common::config;
use common::transactions::{self as promises, Asked};
use klamm_client::Client;
use klamm_client::admin::NewTopic;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, in_test};

/// Brokers whose coordinators look for transactions that take too long every half second.
fn start(version: &str, brokers: usize) -> Option<Kafka> {
    in_test(Kafka::start(
        KafkaConfig::version(version)
            .brokers(brokers)
            .property("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
    ))
}

async fn topic(kafka: &Kafka, name: &str, implicit: bool) -> Asked {
    let client = Client::connect(config(&kafka.bootstrap())).await.unwrap();
    let replicas = kafka.node_ids().count() as i16;
    // Records of 1970 are not to be deleted for their age.
    let topic = NewTopic::new(name).with_partitions(2).with_replication(replicas);
    let topic = topic.with_setting("retention.ms", "-1");
    client.create_topics(&[topic]).await.remove(0).unwrap();
    Asked { bootstrap: kafka.bootstrap(), topic: name.to_owned(), implicit }
}

async fn all_promises(kafka: &Kafka, implicit: bool) {
    let topic = async |name: &str| topic(kafka, name, implicit).await;
    promises::commits_are_seen_and_aborts_are_not(&topic("seen").await).await;
    promises::a_newer_producer_fences_the_older_one(&topic("fenced").await).await;
    promises::offsets_count_with_their_transaction(&topic("offsets").await).await;
    promises::a_lost_answer_to_the_end_is_found_out(&topic("lost").await).await;
    promises::an_unknown_commit_is_resolved_by_init(&topic("unknown").await).await;
    promises::a_dropped_transaction_is_aborted(&topic("dropped").await).await;
    let patience = Duration::from_secs(4);
    let late = topic("late").await;
    promises::a_transaction_that_takes_too_long_is_not_committed(&late, patience).await;
}

/// Transactions go on while every broker in turn is killed and comes back.
async fn brokers_are_killed(kafka: &Kafka, implicit: bool) {
    let asked = topic(kafka, "killed", implicit).await;
    let client = asked.client().await;
    let mut producer = asked.producer(&client);
    let mut wanted = Vec::new();
    for round in 0..12_u64 {
        let transaction = producer.begin().await.unwrap();
        for number in 10 * round..10 * round + 10 {
            let _ = asked.append(&transaction, (number % 2) as i32, number).await;
        }
        if round % 4 == 1 {
            tokio::task::block_in_place(|| kafka.kill(1 + (round / 4) as i32)).unwrap();
        }
        transaction.commit().await.unwrap();
        wanted.extend(10 * round..10 * round + 10);
        if round % 4 == 3 {
            tokio::task::block_in_place(|| kafka.restart(1 + (round / 4) as i32)).unwrap();
        }
    }
    assert_eq!(asked.committed(&client).await, wanted);
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

#[test]
fn the_newest_version_keeps_every_promise() {
    let Some(kafka) = start(apache::NEWEST, 1) else { return };
    run(all_promises(&kafka, true));
}

#[test]
fn the_line_before_keeps_every_promise() {
    let Some(kafka) = start(apache::PREVIOUS, 1) else { return };
    run(all_promises(&kafka, false));
}

#[test]
fn three_brokers_keep_every_promise() {
    let Some(kafka) = start(apache::NEWEST, 3) else { return };
    run(all_promises(&kafka, true));
}

#[test]
fn killed_brokers_cost_time_and_no_records() {
    let Some(kafka) = start(apache::NEWEST, 3) else { return };
    run(brokers_are_killed(&kafka, true));
}
