//! Consumers that share topics, against an embedded cluster: who reads what, what is stored, and
//! what happens when members come, go, hang and are fenced.

mod assigned;
#[path = "../common/mod.rs"]
mod common;
mod membership;
mod positions;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::reading::{Reading, drive, next, records, together, until_it_has, write_to};
use klamm_client::consumer::{Consumer, ConsumerOptions, Event};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, TopicPartition};
use klamm_protocol::records::RecordParts;
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::EmbeddedCluster;
use tokio::time::timeout;

/// A member of the group "g" with short times.
async fn member(door: &EmbeddedCluster, change: impl FnOnce(&mut ConsumerOptions)) -> Consumer {
    let config =
        common::config(&door.bootstrap()).with_metadata_max_age(Duration::from_millis(200));
    let client = Client::connect(config).await.unwrap();
    client.consumer(options(&client, change)).unwrap()
}

fn options(client: &Client, change: impl FnOnce(&mut ConsumerOptions)) -> ConsumerOptions {
    let mut options = ConsumerOptions::from_config(client.config());
    options.group = Some("g".to_owned());
    options.offset_reset = klamm_client::config::OffsetReset::Earliest;
    options.heartbeat_interval = Duration::from_millis(100);
    options.auto_commit = None;
    options.read.max_wait = Duration::from_millis(100);
    change(&mut options);
    options
}

/// Writes `count` records to each partition of a topic, numbered by their offsets.
async fn write(door: &EmbeddedCluster, topic: &str, partitions: i32, count: u64) {
    write_to(&common::client(door).await, topic, partitions, 0..count).await;
}

/// A cluster whose coordinators want heartbeats often.
async fn quick(brokers: i32) -> EmbeddedCluster {
    let consumer_heartbeat_interval = Duration::from_millis(50);
    let config = ClusterConfig { brokers, consumer_heartbeat_interval, ..ClusterConfig::default() };
    EmbeddedCluster::start(config).await.expect("free ports")
}

fn make(door: &EmbeddedCluster, topic: &str, partitions: i32) {
    door.with(|cluster| cluster.create_topic(topic, partitions, 1)).unwrap();
}

/// The stored positions of the group.
async fn stored(door: &EmbeddedCluster) -> BTreeMap<TopicPartition, i64> {
    let client = common::client(door).await;
    let stored = client.committed_offsets("g", None).await.unwrap();
    stored.into_iter().map(|(partition, position)| (partition, position.offset)).collect()
}

fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

const SOON: Duration = Duration::from_secs(10);
