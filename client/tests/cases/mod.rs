//! What admin calls do on any cluster: each case gets a client, makes what it needs under names of
//! its own, and panics with what was wrong. The embedded cluster and real Kafka run the same.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

pub mod access;
pub mod groups;
pub mod replicas;
pub mod settings;
pub mod transactions;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::admin::NewTopic;
use klamm_client::{Client, Error, Result, TopicPartition};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klamm_protocol::records::{BatchBuilder, BatchOptions, ProducerStamp, RecordParts};
use tokio::time::Instant;

/// A point in time that no step of a test reaches.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Makes a topic and waits until its partitions have leaders.
pub async fn topic(client: &Client, name: &str, partitions: i32, replication: i16) {
    let topic = NewTopic::new(name).with_partitions(partitions).with_replication(replication);
    client.create_topics(&[topic]).await.remove(0).unwrap();
    settled(async || {
        let view = client.cluster().refresh(soon()).await.ok()?;
        let known = client.cluster().topic(name, soon()).await.ok()?;
        let led = (0..partitions).all(|one| view.leader(name, one).is_some());
        (led && known.partitions.len() == partitions as usize).then_some(())
    })
    .await;
}

/// Appends so many records to a partition, as one batch.
pub async fn write(
    client: &Client,
    at: &TopicPartition,
    records: i32,
    stamp: Option<ProducerStamp>,
) {
    let known = client.cluster().topic(&at.topic, soon()).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        builder.try_push(&RecordParts::new(now, None, Some(b"v"))).unwrap();
    }
    let mut sealed = builder.seal();
    if let Some(stamp) = stamp {
        sealed.stamp(stamp);
    }
    let data = PartitionProduceData { index: at.partition, records: Some(sealed.to_bytes()) };
    let topic = TopicProduceData {
        name: at.topic.to_string(),
        topic_id: known.id,
        partition_data: vec![data],
    };
    let request = ProduceRequest {
        transactional_id: stamp.filter(|stamp| stamp.transactional).map(|_| "txn".to_owned()),
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic],
    };
    settled(async || {
        let leader = client.view().leader(&at.topic, at.partition)?.broker;
        let handle = client.cluster().broker(leader, soon()).await.unwrap();
        // Version 11 is the last that asks for the partition to be in its transaction beforehand.
        let version = handle.version_up_to::<ProduceRequest>(11).unwrap();
        let response = handle.request_in(&request, version, soon()).await.unwrap();
        let told = &response.responses[0].partition_responses[0];
        if told.error_code == ErrorCode::NOT_LEADER_OR_FOLLOWER {
            return None;
        }
        assert!(told.error_code.is_ok(), "{told:?}");
        Some(())
    })
    .await;
}

/// Asks until the answer has come about, since brokers learn of changes a moment after the
/// controller.
pub async fn settled<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = soon();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "it never came about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The error of a result that must be one.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: &Result<T>) -> &Error {
    result.as_ref().expect_err("refused")
}

/// A partition.
pub fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}
