//! The producer and the range reader against real Apache Kafka: what the embedded broker might be
//! too kind about.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use common::connect;
use klamm_client::admin::NewTopic;
use klamm_client::config::Isolation;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::producer::{Producer, ProducerOptions, Ticket};
use klamm_client::{Client, ErrorKind};
use klamm_protocol::records::{Compression, RecordParts};
use klamm_testkit::apache;

#[test]
fn records_come_back_from_the_newest_line_the_one_before_and_the_oldest() {
    for version in [apache::NEWEST, apache::PREVIOUS, apache::OLDEST] {
        let Some(kafka) = apache::shared(version) else { return };
        run(async {
            let client = connect(&kafka).await;
            for codec in [
                Compression::None,
                Compression::Gzip,
                Compression::Snappy,
                Compression::Lz4,
                Compression::Zstd,
            ] {
                there_and_back(&client, codec).await;
            }
            beyond_the_log(&client).await;
        });
    }
}

async fn there_and_back(client: &Client, codec: Compression) {
    let topic = format!("back-{codec:?}");
    client.create_topics(&[NewTopic::new(&topic).with_partitions(2)]).await.remove(0).unwrap();
    let producer = producer(client, codec);
    for number in 0..20_000 {
        let _ = append(&producer, &topic, (number % 2) as i32, number).await;
    }
    producer.flush().await.unwrap();
    for (partition, numbers) in read(client, &topic, &[10_000, 10_000]).await {
        assert_eq!(numbers, (0..10_000).map(|n| n * 2 + partition as u64).collect::<Vec<_>>());
    }
}

async fn beyond_the_log(client: &Client) {
    let range =
        OffsetRange { topic: Arc::from("back-None"), partition: 0, start: 20_000, stop: 20_001 };
    let mut reader = client.read_ranges(vec![range], ReadOptions::default());
    let error = reader.next().await.unwrap().unwrap_err();
    let facts = ["offset", "log_start", "log_end"].map(|name| error.context(name).unwrap());
    assert_eq!((error.kind(), facts), (ErrorKind::DataLoss, ["20000", "0", "10000"]), "{error}");
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

fn producer(client: &Client, compression: Compression) -> Producer {
    let mut options = ProducerOptions::from_config(client.config());
    options.compression = compression;
    client.producer(options).unwrap()
}

async fn append(producer: &Producer, topic: &str, partition: i32, number: u64) -> Ticket {
    let value = number.to_be_bytes();
    // Of today: retention would delete older ones.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    producer
        .append(topic, Some(partition), RecordParts::new(now, None, Some(&value)))
        .await
        .unwrap()
}

/// Reads every partition from 0 to its end, in small fetches and committed.
async fn read(client: &Client, topic: &str, ends: &[i64]) -> BTreeMap<i32, Vec<u64>> {
    let ranges = ends.iter().enumerate().map(|(partition, stop)| OffsetRange {
        topic: Arc::from(topic),
        partition: partition as i32,
        start: 0,
        stop: *stop,
    });
    let mut options = ReadOptions::default();
    options.partition_max_bytes = 16 << 10;
    options.isolation = Isolation::ReadCommitted;
    let mut reader = client.read_ranges(ranges.collect(), options);
    let mut read: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    while let Some(batch) = reader.next().await {
        let batch = batch.unwrap();
        let numbers = batch.records().map(|record| {
            let value = record.unwrap().value().unwrap();
            u64::from_be_bytes(value.try_into().unwrap())
        });
        read.entry(batch.partition).or_default().extend(numbers);
    }
    read
}
