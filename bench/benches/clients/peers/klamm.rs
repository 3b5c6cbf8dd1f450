//! Klamm: ranges of its reader, tickets and flushes of its producer.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use klamm_bench::key;
use klamm_client::consumer::{OffsetRange, RangeReader, ReadOptions};
use klamm_client::producer::{Producer, ProducerOptions, Ticket};
use klamm_client::{Client, Config};
use klamm_protocol::records::RecordParts;

use super::{Laps, Seen, Task};
use crate::scene::PARTITIONS;

pub(super) async fn produce(task: &Task) {
    let client = connect(task).await;
    let mut options = ProducerOptions::default();
    options.batch_size = 256 << 10;
    // Enough to keep five requests in flight, and little enough to stay in the processor's caches.
    options.buffer_memory = 8 << 20;
    options.linger = Duration::from_millis(5);
    let producer = producer(&client, task, options);
    for first in (0..task.count).step_by(CHUNK) {
        let now = now();
        for number in first..task.count.min(first + CHUNK) {
            // The flush tells what became of it.
            let _ = append(&producer, task, number, now).await;
        }
    }
    producer.flush().await.unwrap();
    Seen { records: task.count, bytes: task.count * klamm_bench::VALUE_LEN }.report();
}

pub(super) async fn consume(task: &Task) {
    let client = connect(task).await;
    let mut reader = reader(&client, task);
    let mut seen = Seen::default();
    while seen.records < task.count {
        for record in reader.next().await.unwrap().unwrap().records() {
            seen.value(record.unwrap().value().map_or(0, <[u8]>::len));
        }
    }
    seen.report();
}

pub(super) async fn ping(task: &Task) {
    let client = connect(task).await;
    let producer = producer(&client, task, at_once());
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let start = Instant::now();
        append(&producer, task, number, now()).await.delivered().await.into_result().unwrap();
        laps.lap(start);
    }
    laps.report();
}

pub(super) async fn echo(task: &Task) {
    let client = connect(task).await;
    let producer = producer(&client, task, at_once());
    let mut reader = reader(&client, task);
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let start = Instant::now();
        let ticket = append(&producer, task, number, now()).await;
        reader.next().await.unwrap().unwrap();
        laps.lap(start);
        ticket.delivered().await.into_result().unwrap();
    }
    laps.report();
}

async fn connect(task: &Task) -> Client {
    Client::connect(Config::new(&task.bootstrap).unwrap()).await.unwrap()
}

fn at_once() -> ProducerOptions {
    let mut options = ProducerOptions::default();
    options.linger = Duration::ZERO;
    options
}

fn producer(client: &Client, task: &Task, mut options: ProducerOptions) -> Producer {
    options.compression = task.codec;
    client.producer(options).unwrap()
}

fn reader(client: &Client, task: &Task) -> RangeReader {
    let ranges = (0..PARTITIONS).map(|partition| OffsetRange {
        topic: task.topic.as_str().into(),
        partition,
        start: 0,
        stop: i64::MAX,
    });
    client.read_ranges(ranges.collect(), ReadOptions::default())
}

/// The key decides about the partition, as with the others.
async fn append(producer: &Producer, task: &Task, number: usize, now: i64) -> Ticket {
    let key = key(number);
    let record = RecordParts::new(now, Some(&key), Some(task.value(number)));
    producer.append(&task.topic, None, record).await.unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Records of one time, which is the caller's to say; librdkafka's batch API looks at the clock as rarely.
const CHUNK: usize = 1_000;
