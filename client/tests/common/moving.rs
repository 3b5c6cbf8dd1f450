//! Whether a client can do its work: a topic, records into it, the same records out of it.

use std::time::{SystemTime, UNIX_EPOCH};

use klamm_client::admin::{NewTopic, OffsetSpec};
use klamm_client::config::Isolation;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, TopicPartition};
use klamm_protocol::records::RecordParts;

/// A topic made, records written and read again.
pub async fn moves_records(client: &Client, topic: &str) {
    let made = client.create_topics(&[NewTopic::new(topic)]).await.remove(0);
    made.expect("alice may");
    let producer = client.producer(ProducerOptions::from_config(client.config())).expect("options");
    let value = vec![7; 100_000];
    // Real brokers delete records that are as old as 1970 when they look for old ones.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
    for _ in 0..5 {
        let record = RecordParts::new(now, None, Some(&value));
        let _ = producer.append(topic, Some(0), record).await.expect("room");
    }
    producer.flush().await.expect("written");
    let partition = TopicPartition::new(topic, 0);
    let ends = [(partition.clone(), OffsetSpec::Latest)];
    let end = client.list_offsets(&ends, Isolation::ReadCommitted).await.remove(0).1;
    assert_eq!(end.expect("an end").offset, Some(5));
    let range = OffsetRange { topic: topic.into(), partition: 0, start: 0, stop: 5 };
    let mut reader = client.read_ranges(vec![range], ReadOptions::default());
    let mut read = 0;
    while let Some(batch) = reader.next().await {
        for record in batch.expect("records").records() {
            assert_eq!(record.expect("a record").value(), Some(value.as_slice()));
            read += 1;
        }
    }
    assert_eq!(read, 5);
}
