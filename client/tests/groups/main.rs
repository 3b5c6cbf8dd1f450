//! Consumers that share topics, against an embedded cluster: who reads what, what is stored, and
//! what happens when members come, go, hang and are fenced.

#[path = "../common/mod.rs"]
mod common;
mod membership;
mod positions;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_client::consumer::{Consumer, ConsumerOptions, Event, Records};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, TopicPartition};
use klamm_protocol::records::RecordParts;
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
    let client = common::client(door).await;
    let mut options = ProducerOptions::from_config(client.config());
    options.batch_size = 200;
    let producer = client.producer(options).unwrap();
    for number in 0..count {
        for partition in 0..partitions {
            let value = number.to_be_bytes();
            let record = RecordParts::new(0, None, Some(&value));
            let _ = producer.append(topic, Some(partition), record).await.unwrap();
        }
    }
    producer.flush().await.unwrap();
}

fn make(door: &EmbeddedCluster, topic: &str, partitions: i32) {
    door.with(|cluster| cluster.create_topic(topic, partitions, 1)).unwrap();
}

/// The next event, which comes soon.
async fn next(consumer: &mut Consumer) -> Event {
    let event = timeout(Duration::from_secs(20), consumer.next()).await;
    event.expect("an event in time").expect("a stream that goes on").expect("no error")
}

/// The next records, past news of the group.
async fn records(consumer: &mut Consumer) -> Records {
    loop {
        if let Event::Records(records) = next(consumer).await {
            return records;
        }
    }
}

/// Goes on until the consumer has exactly so many partitions.
async fn until_it_has(consumer: &mut Consumer, partitions: usize) {
    let mut reading = Reading::default();
    while consumer.assignment().len() != partitions {
        reading.step(consumer).await;
    }
}

/// What one member has read and acknowledged.
#[derive(Default)]
struct Reading {
    offsets: BTreeMap<TopicPartition, BTreeSet<i64>>,
    revoked: usize,
    lost: usize,
    assigned: usize,
}

impl Reading {
    /// Takes one event, acknowledging records, if one comes within a moment.
    async fn step(&mut self, consumer: &mut Consumer) -> bool {
        let event = timeout(Duration::from_millis(50), consumer.next()).await;
        let Ok(event) = event else { return false };
        self.take(consumer, event.expect("a stream that goes on").expect("no error"));
        true
    }

    fn take(&mut self, consumer: &Consumer, event: Event) {
        match event {
            Event::Records(records) => {
                let read = self.offsets.entry(records.partition().clone()).or_default();
                for record in records.records() {
                    let record = record.unwrap();
                    let value: [u8; 8] = record.value().unwrap()[..8].try_into().unwrap();
                    assert_eq!(i64::from_be_bytes(value), record.offset());
                    read.insert(record.offset());
                }
                assert!(consumer.ack(&records.receipt()));
            }
            Event::Revoked(partitions) => self.revoked += partitions.len(),
            Event::Lost(partitions) => self.lost += partitions.len(),
            Event::Assigned(partitions) => self.assigned += partitions.len(),
            _ => {}
        }
    }

    fn count(&self) -> usize {
        self.offsets.values().map(BTreeSet::len).sum()
    }
}

/// How many records all of them have read, each counted once.
fn together(readings: &[&Reading]) -> usize {
    let mut all: BTreeMap<&TopicPartition, BTreeSet<i64>> = BTreeMap::new();
    for (partition, offsets) in readings.iter().flat_map(|reading| &reading.offsets) {
        all.entry(partition).or_default().extend(offsets);
    }
    all.values().map(BTreeSet::len).sum()
}

/// Steps all of them in turn until `done`.
async fn drive(
    consumers: &mut [(&mut Consumer, &mut Reading)],
    done: impl Fn(&[&Reading], &[usize]) -> bool,
) {
    let all = async {
        loop {
            for (consumer, reading) in consumers.iter_mut() {
                for _ in 0..20 {
                    if !reading.step(consumer).await {
                        break;
                    }
                }
            }
            let sizes: Vec<_> = consumers.iter().map(|(one, _)| one.assignment().len()).collect();
            let readings: Vec<_> = consumers.iter().map(|(_, reading)| &**reading).collect();
            if done(&readings, &sizes) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), all).await.expect("it comes to that in time");
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
