//! Members of a group as tests drive them: each step takes an event and acknowledges what it brings.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::consumer::{Consumer, Event, Records};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, TopicPartition};
use klamm_protocol::records::RecordParts;
use tokio::time::timeout;

/// Writes records to each partition of a topic, in small batches, numbered by their offsets.
pub async fn write_to(client: &Client, topic: &str, partitions: i32, numbers: Range<u64>) {
    let mut options = ProducerOptions::from_config(client.config());
    options.batch_size = 200;
    let producer = client.producer(options).unwrap();
    // Real brokers delete records that are as old as 1970 when they look for old ones.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    for number in numbers {
        for partition in 0..partitions {
            let value = number.to_be_bytes();
            let record = RecordParts::new(now, None, Some(&value));
            let _ = producer.append(topic, Some(partition), record).await.unwrap();
        }
    }
    producer.flush().await.unwrap();
}

/// The next event, which comes soon.
pub async fn next(consumer: &mut Consumer) -> Event {
    let event = timeout(Duration::from_secs(20), consumer.next()).await;
    event.expect("an event in time").expect("a stream that goes on").expect("no error")
}

/// The next records, past news of the group.
pub async fn records(consumer: &mut Consumer) -> Records {
    loop {
        if let Event::Records(records) = next(consumer).await {
            return records;
        }
    }
}

/// Goes on until the consumer has exactly so many partitions.
pub async fn until_it_has(consumer: &mut Consumer, partitions: usize) {
    let mut reading = Reading::default();
    while consumer.assignment().len() != partitions {
        reading.step(consumer).await;
    }
}

/// What one member has read and acknowledged.
#[derive(Default)]
pub struct Reading {
    /// What was read.
    pub offsets: BTreeMap<TopicPartition, BTreeSet<i64>>,
    /// How many partitions were taken away in good order.
    pub revoked: usize,
    /// How many were lost.
    pub lost: usize,
    /// How many were given.
    pub assigned: usize,
}

impl Reading {
    /// Takes one event, acknowledging records, if one comes within a moment.
    pub async fn step(&mut self, consumer: &mut Consumer) -> bool {
        let event = timeout(Duration::from_millis(50), consumer.next()).await;
        let Ok(event) = event else { return false };
        self.take(consumer, event.expect("a stream that goes on").expect("no error"));
        true
    }

    /// Takes an event, acknowledging records.
    pub fn take(&mut self, consumer: &Consumer, event: Event) {
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

    /// How many records were read, each counted once.
    pub fn count(&self) -> usize {
        self.offsets.values().map(BTreeSet::len).sum()
    }
}

/// How many records all of them have read, each counted once.
pub fn together(readings: &[&Reading]) -> usize {
    let mut all: BTreeMap<&TopicPartition, BTreeSet<i64>> = BTreeMap::new();
    for (partition, offsets) in readings.iter().flat_map(|reading| &reading.offsets) {
        all.entry(partition).or_default().extend(offsets);
    }
    all.values().map(BTreeSet::len).sum()
}

/// Steps all of them in turn until `done`.
pub async fn drive(
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
