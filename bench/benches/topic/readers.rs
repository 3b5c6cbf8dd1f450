//! The readers, each with the settings it has by default, without a group. In: a broker; out: how many records there are and how
//! long their values are together, on standard output.

use std::io::stdin;
use std::time::Duration;

use klamm_client::admin::OffsetSpec;
use klamm_client::config::Isolation;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::{Client, Config, TopicPartition};
use tokio::runtime::Builder;

use crate::fill::{PARTITIONS, RECORDS, TOPIC};

/// Everybody who can read.
pub(crate) const NAMES: [&str; 3] = ["klamm", "rdkafka", "krafka"];

/// What a reader saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// How many records.
    pub(crate) records: usize,
    /// The bytes of their values.
    pub(crate) bytes: usize,
}

impl Seen {
    /// Counts one value.
    pub(crate) fn value(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }
}

/// Reads the topic, says what was seen, and waits for the end of the input, so that others can look at what this process took.
pub(crate) fn run(name: &str, bootstrap: &str) {
    let report = |seen: Seen| {
        println!("{} {}", seen.records, seen.bytes);
        stdin().read_line(&mut String::new()).unwrap();
    };
    match name {
        "klamm" => klamm(bootstrap, report),
        "rdkafka" => crate::rdkafka::read(bootstrap, report),
        "krafka" => krafka(bootstrap, report),
        _ => panic!("no reader is called {name}"),
    }
}

fn klamm(bootstrap: &str, report: impl FnOnce(Seen)) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let client = Client::connect(Config::new(bootstrap).unwrap()).await.unwrap();
        let ends: Vec<_> = (0..PARTITIONS)
            .map(|partition| (TopicPartition::new(TOPIC, partition), OffsetSpec::Latest))
            .collect();
        let ends = client.list_offsets(&ends, Isolation::ReadUncommitted).await;
        let ranges = (0..PARTITIONS).zip(ends).map(|(partition, (_, end))| OffsetRange {
            topic: TOPIC.into(),
            partition,
            start: 0,
            stop: end.unwrap().offset.unwrap(),
        });
        let mut reader = client.read_ranges(ranges.collect(), ReadOptions::default());
        let mut seen = Seen::default();
        while let Some(batch) = reader.next().await {
            for record in batch.unwrap().records() {
                seen.value(record.unwrap().value().map_or(0, <[u8]>::len));
            }
        }
        report(seen);
    });
}

fn krafka(bootstrap: &str, report: impl FnOnce(Seen)) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let client = krafka::Kafka::builder(bootstrap).connect().await.unwrap();
        let consumer = client.consumer_without_group().build().await.unwrap();
        consumer.assign(TOPIC, (0..PARTITIONS).collect()).await.unwrap();
        for partition in 0..PARTITIONS {
            consumer.seek(TOPIC, partition, 0).await.unwrap();
        }
        let mut seen = Seen::default();
        while seen.records < RECORDS {
            for record in consumer.poll(Duration::from_secs(5)).await.unwrap() {
                seen.value(record.value.map_or(0, |value| value.len()));
            }
        }
        report(seen);
    });
}
