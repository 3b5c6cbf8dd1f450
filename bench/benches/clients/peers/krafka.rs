//! krafka: polls of ten thousand records with as many again buffered, and batches of a quarter megabyte.

use std::time::{Duration, Instant};

use ::krafka::consumer::Consumer;
use ::krafka::producer::Producer;
use ::krafka::{Kafka, Record};
use bytes::Bytes;
use klamm_bench::key;

use super::{Laps, Seen, Task};
use crate::scene::PARTITIONS;

pub(super) async fn produce(task: &Task) {
    let kafka = connect(task).await;
    let producer = producer(&kafka, task, Duration::from_millis(5)).await;
    for number in 0..task.count {
        // The topic's end offsets tell what became of it.
        drop(producer.enqueue(record(task, number)).await.unwrap());
    }
    producer.flush().await.unwrap();
    Seen { records: task.count, bytes: task.count * klamm_bench::VALUE_LEN }.report();
}

pub(super) async fn consume(task: &Task) {
    let consumer = consumer(&connect(task).await, task).await;
    let mut seen = Seen::default();
    while seen.records < task.count {
        for record in consumer.poll(PATIENCE).await.unwrap() {
            seen.value(record.value.map_or(0, |value| value.len()));
        }
    }
    seen.report();
}

pub(super) async fn ping(task: &Task) {
    let kafka = connect(task).await;
    let producer = producer(&kafka, task, Duration::ZERO).await;
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let start = Instant::now();
        assert!(producer.send(record(task, number)).await.unwrap().is_persisted());
        laps.lap(start);
    }
    laps.report();
}

pub(super) async fn echo(task: &Task) {
    let kafka = connect(task).await;
    let producer = producer(&kafka, task, Duration::ZERO).await;
    // With connections of its own, or records would wait behind fetches that wait for them.
    let consumer = consumer(&connect(task).await, task).await;
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let start = Instant::now();
        let sent = producer.enqueue(record(task, number)).await.unwrap();
        while consumer.poll(PATIENCE).await.unwrap().is_empty() {}
        laps.lap(start);
        assert!(sent.await.unwrap().is_persisted());
    }
    laps.report();
}

async fn connect(task: &Task) -> Kafka {
    Kafka::builder(&task.bootstrap).connect().await.unwrap()
}

async fn producer(kafka: &Kafka, task: &Task, linger: Duration) -> Producer {
    let codec = match task.codec.name() {
        "lz4" => ::krafka::Compression::Lz4,
        "zstd" => ::krafka::Compression::Zstd,
        _ => ::krafka::Compression::None,
    };
    let builder = kafka.producer().compression(codec).batch_size(256 << 10).linger(linger);
    builder.build().await.unwrap()
}

async fn consumer(kafka: &Kafka, task: &Task) -> Consumer {
    let builder = kafka.consumer_without_group().max_poll_records(10_000);
    let consumer = builder.max_buffered_records(20_000).build().await.unwrap();
    consumer.assign(&task.topic, (0..PARTITIONS).collect()).await.unwrap();
    for partition in 0..PARTITIONS {
        consumer.seek(&task.topic, partition, 0).await.unwrap();
    }
    consumer
}

fn record(task: &Task, number: usize) -> Record {
    let key = Bytes::copy_from_slice(&key(number));
    Record::new(&*task.topic, Bytes::from_static(task.value(number))).key(key)
}

const PATIENCE: Duration = Duration::from_secs(5);
