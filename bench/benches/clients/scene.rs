//! The broker and its topics. In: what a workload needs; out: topics, full or empty, and what is in them afterwards.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use klamm_bench::{key, values};
use klamm_client::admin::{NewTopic, OffsetSpec};
use klamm_client::config::Isolation;
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config, TopicPartition};
use klamm_protocol::records::{Compression, RecordParts};
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::Cluster;
use tokio::runtime::{Builder, Runtime};

/// A real broker, and a client that prepares and checks.
pub(crate) struct Scene {
    broker: Kafka,
    bootstrap: String,
    runtime: Runtime,
    topics: Cell<usize>,
}

impl Scene {
    /// Starts the broker.
    pub(crate) fn start() -> Self {
        // The testkit's brokers spare the second compiler; one that is measured against doesn't. Deleted topics go at once, so that
        // they don't fill the disk.
        let config = KafkaConfig::version(apache::NEWEST)
            .jvm_argument("-XX:TieredStopAtLevel=4")
            .jvm_argument("-Xmx1g")
            .property("log.segment.delete.delay.ms", "100")
            .property("group.coordinator.rebalance.protocols", "classic");
        let broker = Kafka::start(config).unwrap();
        let bootstrap = broker.bootstrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { broker, bootstrap, runtime, topics: Cell::new(0) }
    }

    /// Where the broker listens.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A new topic without records.
    pub(crate) fn empty(&self) -> String {
        self.topics.set(self.topics.get() + 1);
        let name = format!("bench-{}", self.topics.get());
        self.runtime.block_on(async {
            // The records are older than what a broker keeps by default.
            let topic =
                NewTopic::new(&name).with_partitions(PARTITIONS).with_setting("retention.ms", "-1");
            self.client().await.create_topics(&[topic]).await.remove(0).unwrap();
        });
        name
    }

    /// A new topic of so many records, in batches of exactly a thousand, in turn over the partitions.
    pub(crate) fn filled(&self, codec: Compression, records: usize) -> String {
        let name = self.empty();
        self.runtime.block_on(async { write(&self.client().await, &name, codec, records).await });
        self.check(&name, records);
        name
    }

    /// Takes a topic away, with its files.
    pub(crate) fn delete(&self, topic: &str) {
        self.runtime.block_on(async {
            self.client().await.delete_topics(&[topic]).await.remove(0).unwrap();
        });
    }

    /// Checks that a topic has exactly so many records; returns the bytes that each takes in the log.
    pub(crate) fn check(&self, topic: &str, records: usize) -> f64 {
        let ends: Vec<_> = (0..PARTITIONS)
            .map(|partition| (TopicPartition::new(topic, partition), OffsetSpec::Latest))
            .collect();
        let ends = self.runtime.block_on(async {
            self.client().await.list_offsets(&ends, Isolation::ReadUncommitted).await
        });
        let total: i64 = ends.into_iter().map(|(_, end)| end.unwrap().offset.unwrap()).sum();
        assert_eq!(total, records as i64, "records in {topic}");
        let folder = self.broker.data_folder(1).unwrap();
        let bytes: u64 = (0..PARTITIONS)
            .map(|partition| log_bytes(&folder.join(format!("{topic}-{partition}"))))
            .sum();
        bytes as f64 / records as f64
    }

    async fn client(&self) -> Client {
        Client::connect(Config::new(&self.bootstrap).unwrap()).await.unwrap()
    }
}

async fn write(client: &Client, topic: &str, codec: Compression, records: usize) {
    assert_eq!(records % (BATCH * PARTITIONS as usize), 0, "the records fill whole batches");
    let values = values(DISTINCT);
    let mut options = ProducerOptions::default();
    options.compression = codec;
    // Only the flush ends a batch, so that each is of the length that is measured.
    options.batch_size = BATCH * 200;
    options.linger = Duration::from_secs(60);
    let producer = client.producer(options).unwrap();
    let mut batches = values.chunks_exact(BATCH).cycle();
    let mut number = 0;
    for _ in 0..records / BATCH / PARTITIONS as usize {
        for (partition, batch) in (0..PARTITIONS).zip(&mut batches) {
            for value in batch {
                let key = key(number);
                let record = RecordParts::new(TIMESTAMP, Some(&key), Some(value));
                // The flush tells what became of it.
                let _ = producer.append(topic, Some(partition), record).await.unwrap();
                number += 1;
            }
        }
        producer.flush().await.unwrap();
    }
}

fn log_bytes(partition: &Path) -> u64 {
    let files = fs::read_dir(partition).unwrap().map(|file| file.unwrap());
    let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    logs.map(|file| file.metadata().unwrap().len()).sum()
}

/// How many partitions a topic has.
pub(crate) const PARTITIONS: i32 = 4;

const BATCH: usize = 1000;
/// Different values, which come again and again; far more than any window of lz4 holds.
const DISTINCT: usize = 100 * BATCH;
/// Some day in 2025.
const TIMESTAMP: i64 = 1_750_000_000_000;
