//! rskafka: a client and a task for each partition, and requests of a megabyte, two at a time when reading. It has no partitioner:
//! records go to the partitions in turn. It is not idempotent.

use std::sync::Arc;
use std::time::Instant;

use ::rskafka::client::ClientBuilder;
use ::rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use ::rskafka::record::Record;
use chrono::{DateTime, Utc};
use klamm_bench::key;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Laps, Seen, Task};
use crate::scene::PARTITIONS;

pub(super) async fn produce(task: &Task) {
    let codec = codec(task);
    let mut senders = Vec::new();
    let mut tasks = JoinSet::new();
    for client in clients(task).await {
        let (sender, mut chunks) = mpsc::channel::<Vec<Record>>(1);
        senders.push(sender);
        tasks.spawn(async move {
            while let Some(records) = chunks.recv().await {
                client.produce(records, codec).await.unwrap();
            }
        });
    }
    let stride = senders.len();
    for first in (0..task.count).step_by(stride * BATCH) {
        for (partition, sender) in senders.iter().enumerate() {
            let end = task.count.min(first + stride * BATCH);
            let numbers = (first + partition..end).step_by(stride);
            let now = Utc::now();
            sender.send(numbers.map(|number| record(task, number, now)).collect()).await.unwrap();
        }
    }
    drop(senders);
    tasks.join_all().await;
    Seen { records: task.count, bytes: task.count * klamm_bench::VALUE_LEN }.report();
}

pub(super) async fn consume(task: &Task) {
    let (sender, mut seen_by_all) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    for client in clients(task).await {
        let sender = sender.clone();
        tasks.spawn(async move {
            let mut offset = 0;
            loop {
                let (records, _) = client.fetch_records(offset, 1..BYTES, WAIT_MS).await.unwrap();
                let mut seen = Seen::default();
                for record in &records {
                    seen.value(record.record.value.as_ref().map_or(0, Vec::len));
                }
                offset = records.last().map_or(offset, |last| last.offset + 1);
                if sender.send(seen).await.is_err() {
                    break;
                }
            }
        });
    }
    let mut seen = Seen::default();
    while seen.records < task.count {
        let more = seen_by_all.recv().await.unwrap();
        seen.records += more.records;
        seen.bytes += more.bytes;
    }
    seen.report();
}

pub(super) async fn ping(task: &Task) {
    let clients = clients(task).await;
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let client = &clients[number % clients.len()];
        let start = Instant::now();
        client.produce(vec![record(task, number, Utc::now())], codec(task)).await.unwrap();
        laps.lap(start);
    }
    laps.report();
}

pub(super) async fn echo(task: &Task) {
    let writers: Vec<Arc<PartitionClient>> =
        clients(task).await.into_iter().map(Arc::new).collect();
    let (sender, mut seen) = mpsc::channel(16);
    for client in clients(task).await {
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut offset = 0;
            loop {
                let (records, _) = client.fetch_records(offset, 1..BYTES, WAIT_MS).await.unwrap();
                if let Some(last) = records.last() {
                    offset = last.offset + 1;
                    sender.send(()).await.unwrap();
                }
            }
        });
    }
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let client = Arc::clone(&writers[number % writers.len()]);
        let (record, codec) = (record(task, number, Utc::now()), codec(task));
        let start = Instant::now();
        let sent = tokio::spawn(async move { client.produce(vec![record], codec).await.unwrap() });
        seen.recv().await.unwrap();
        laps.lap(start);
        sent.await.unwrap();
    }
    laps.report();
}

/// A client for each partition, with a connection of its own.
async fn clients(task: &Task) -> Vec<PartitionClient> {
    let client = ClientBuilder::new(vec![task.bootstrap.clone()]).build().await.unwrap();
    let mut clients = Vec::new();
    for partition in 0..PARTITIONS {
        let handling = UnknownTopicHandling::Retry;
        clients.push(client.partition_client(&*task.topic, partition, handling).await.unwrap());
    }
    clients
}

fn codec(task: &Task) -> Compression {
    match task.codec.name() {
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => Compression::NoCompression,
    }
}

fn record(task: &Task, number: usize, now: DateTime<Utc>) -> Record {
    Record {
        key: Some(key(number).to_vec()),
        value: Some(task.value(number).to_vec()),
        headers: Default::default(),
        timestamp: now,
    }
}

/// Records of a request: somewhat less than a megabyte of them.
const BATCH: usize = 8_000;
const BYTES: i32 = 1 << 20;
const WAIT_MS: i32 = 500;
