//! Makes the topic. In: a broker; out: five million records in lz4 batches of exactly a thousand, in turn over the partitions.

use klamm_bench::values;
use klamm_client::admin::NewTopic;
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config};
use klamm_protocol::records::{Compression, RecordParts};
use std::time::Duration;

/// Creates and fills the topic.
pub(crate) fn fill(bootstrap: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(Config::new(bootstrap).unwrap()).await.unwrap();
        let topic = NewTopic::new(TOPIC).with_partitions(PARTITIONS);
        client.create_topics(&[topic]).await.remove(0).unwrap();
        write(&client).await;
    });
}

async fn write(client: &Client) {
    let values = values(DISTINCT);
    let mut options = ProducerOptions::default();
    options.compression = Compression::Lz4;
    // Only the flush ends a batch, so that each is of the length that is measured.
    options.batch_size = BATCH * 200;
    options.linger = Duration::from_secs(60);
    let producer = client.producer(options).unwrap();
    let mut batches = values.chunks_exact(BATCH).cycle();
    for _ in 0..RECORDS / BATCH / PARTITIONS as usize {
        for (partition, batch) in (0..PARTITIONS).zip(&mut batches) {
            for value in batch {
                let record = RecordParts::new(TIMESTAMP, None, Some(value));
                // The flush tells what became of it.
                let _ = producer.append(TOPIC, Some(partition), record).await.unwrap();
            }
        }
        producer.flush().await.unwrap();
    }
}

/// The topic's name.
pub(crate) const TOPIC: &str = "five-million";
/// How many records it has over all partitions.
pub(crate) const RECORDS: usize = 5_000_000;
/// How many partitions it has.
pub(crate) const PARTITIONS: i32 = 4;

const BATCH: usize = 1000;
/// Different values, which come again and again; far more than any window of lz4 holds.
const DISTINCT: usize = 100 * BATCH;
/// Some day in 2025.
const TIMESTAMP: i64 = 1_750_000_000_000;
