//! The producer at its edges, against an embedded cluster: batches that are too large, a partitioner
//! of one's own, and fewer acknowledgements than all.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{client, cluster, config};
use klamm_client::config::Acks;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::producer::{Delivery, Partitioner, Producer, ProducerOptions, Ticket};
use klamm_client::{Client, ErrorKind};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::records::{Compression, RecordParts};
use klamm_testkit::control::{Fault, Intercept};
use klamm_testkit::door::EmbeddedCluster;

fn producer(client: &Client, change: impl FnOnce(&mut ProducerOptions)) -> Producer {
    let mut options = ProducerOptions::default();
    change(&mut options);
    client.producer(options).unwrap()
}

fn topic(door: &EmbeddedCluster, partitions: i32, settings: &[(&str, &str)]) {
    let brokers = door.addresses().len() as i16;
    door.with(|cluster| cluster.create_topic_with("t", partitions, brokers, settings)).unwrap();
}

async fn append(producer: &Producer, value: &[u8]) -> Ticket {
    producer.append("t", Some(0), RecordParts::new(5, Some(b"k"), Some(value))).await.unwrap()
}

/// The values of partition 0, with a check of the rest of each record.
async fn values(client: &Client, door: &EmbeddedCluster) -> Vec<Vec<u8>> {
    let stop = door.with(|cluster| cluster.log("t", 0).unwrap().end_offset());
    let range = OffsetRange { topic: Arc::from("t"), partition: 0, start: 0, stop };
    let mut reader = client.read_ranges(vec![range], ReadOptions::default());
    let mut values = Vec::new();
    while let Some(batch) = reader.next().await {
        for record in batch.unwrap().records() {
            let record = record.unwrap();
            assert_eq!((record.timestamp(), record.key()), (5, Some(&b"k"[..])));
            values.push(record.value().unwrap().to_vec());
        }
    }
    values
}

/// A value of this size that no codec makes smaller.
fn noise(number: u64, size: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(number);
    let mut value = number.to_be_bytes().to_vec();
    value.resize_with(size, || rng.u8(..));
    value
}

#[tokio::test]
async fn batches_too_large_for_the_topic_are_split_and_every_ticket_finds_its_offset() {
    for (idempotent, compression) in
        [(true, Compression::None), (true, Compression::Zstd), (false, Compression::Lz4)]
    {
        let door = cluster(1).await;
        topic(&door, 1, &[("max.message.bytes", "1000")]);
        let client = client(&door).await;
        let producer = producer(&client, |options| {
            options.idempotent = idempotent;
            options.compression = compression;
            options.batch_size = 8_000;
            options.linger = Duration::from_millis(20);
        });
        let mut tickets = Vec::new();
        for number in 0..300_u64 {
            tickets.push(append(&producer, &noise(number, 100)).await);
        }
        producer.flush().await.unwrap();
        assert_eq!(producer.buffered_bytes(), 0);
        for (offset, ticket) in tickets.into_iter().enumerate() {
            let Some(Delivery::Written { offset: Some(found), .. }) = ticket.poll() else {
                panic!("{offset}: {:?}", ticket.poll())
            };
            assert_eq!(found, offset as i64);
            assert!(ticket.delivered().await.is_written());
        }
        let wanted: Vec<_> = (0..300).map(|number| noise(number, 100)).collect();
        assert!(values(&client, &door).await == wanted, "{compression:?}");
    }
}

#[tokio::test]
async fn a_single_record_too_large_for_the_topic_is_refused_and_its_neighbours_are_written() {
    let door = cluster(1).await;
    topic(&door, 1, &[("max.message.bytes", "1000")]);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.linger = Duration::from_millis(50));
    let sizes = [100, 100, 3_000, 100, 100, 100];
    let mut tickets = Vec::new();
    for (number, size) in sizes.into_iter().enumerate() {
        tickets.push(append(&producer, &noise(number as u64, size)).await);
    }
    for (ticket, size) in tickets.iter().zip(sizes) {
        match ticket.delivered().await {
            Delivery::Written { .. } => assert_eq!(size, 100),
            Delivery::NotWritten(error) => {
                assert_eq!((error.code(), size), (Some(ErrorCode::MESSAGE_TOO_LARGE), 3_000));
                assert!(error.hint().unwrap().contains("max.message.bytes"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(values(&client, &door).await.len(), 5);
    assert_eq!(producer.flush().await.unwrap_err().code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
}

#[tokio::test]
async fn splits_among_lost_answers_and_cuts_lose_nothing_and_repeat_nothing() {
    let door = cluster(3).await;
    topic(&door, 1, &[("max.message.bytes", "1500")]);
    door.with(|cluster| {
        for skip in [2, 5, 9, 14, 20, 27] {
            for fault in [Fault::CutAfter(0), Fault::Cut] {
                let rule = Intercept::on(ApiKey::Produce).skip(skip).times(1).with(fault);
                cluster.intercept(rule);
            }
        }
    });
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 6_000);
    for number in 0..400_u64 {
        let _ = append(&producer, &noise(number, 100)).await;
        if number == 200 {
            door.with(|cluster| cluster.move_leader("t", 0, 2));
        }
    }
    producer.flush().await.unwrap();
    let wanted: Vec<_> = (0..400).map(|number| noise(number, 100)).collect();
    assert!(values(&client, &door).await == wanted);
}

/// Counts its calls, and sends by the first byte of the value.
struct ByFirstByte(Arc<AtomicUsize>);

impl Partitioner for ByFirstByte {
    fn partition(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        partitions: i32,
        available: &[i32],
    ) -> Option<i32> {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!((topic, key, partitions), ("t", Some(&b"k"[..]), 4));
        assert_eq!(available, [0, 1, 2, 3]);
        value.map(|value| i32::from(value[0]))
    }
}

#[tokio::test]
async fn a_partitioner_of_ones_own_decides_where_the_record_does_not() {
    let door = cluster(1).await;
    topic(&door, 4, &[]);
    let client = client(&door).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let producer = producer(&client, |options| {
        options.partitioner = Some(ByFirstByte(Arc::clone(&calls)).into());
    });
    let send = async |partition: Option<i32>, value: Option<&[u8]>| {
        producer.append("t", partition, RecordParts::new(0, Some(b"k"), value)).await
    };
    for value in [0_u8, 1, 1, 3] {
        let _ = send(None, Some(&[value])).await.unwrap();
    }
    let _ = send(Some(2), Some(&[0])).await.unwrap();
    // What it leaves open the key decides.
    let _ = send(None, None).await.unwrap();
    let error = send(None, Some(&[9])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    producer.flush().await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 6);
    let by_key = klamm_protocol::partition::partition_for_key(b"k", 4).unwrap();
    let mut wanted = [1, 2, 1, 1];
    wanted[by_key as usize] += 1;
    let ends =
        [0, 1, 2, 3].map(|one| door.with(|cluster| cluster.log("t", one).unwrap().end_offset()));
    assert_eq!(ends, wanted);
}

#[tokio::test]
async fn with_acks_1_a_refused_batch_is_tried_again_and_order_is_kept() {
    let door = cluster(1).await;
    topic(&door, 1, &[]);
    door.with(|cluster| {
        let rule = Intercept::on(ApiKey::Produce).skip(1).times(2);
        cluster.intercept(rule.fail(ErrorCode::NOT_ENOUGH_REPLICAS))
    });
    let client = client(&door).await;
    let producer = producer(&client, |options| {
        (options.acks, options.idempotent) = (Acks::Leader, false);
        options.batch_size = 1_000;
    });
    let mut tickets = Vec::new();
    for number in 0..100_u64 {
        tickets.push(append(&producer, &noise(number, 50)).await);
    }
    producer.flush().await.unwrap();
    for (offset, ticket) in tickets.iter().enumerate() {
        assert_eq!(ticket.poll().unwrap().into_result().unwrap(), Some(offset as i64));
    }
    let wanted: Vec<_> = (0..100).map(|number| noise(number, 50)).collect();
    assert!(values(&client, &door).await == wanted);
}

#[tokio::test]
async fn with_acks_1_a_lost_answer_may_write_twice_and_never_loses() {
    let door = cluster(1).await;
    topic(&door, 1, &[]);
    door.with(|cluster| {
        cluster.intercept(Intercept::on(ApiKey::Produce).times(1).with(Fault::CutAfter(0)))
    });
    let client = client(&door).await;
    let producer = producer(&client, |options| {
        (options.acks, options.idempotent) = (Acks::Leader, false);
    });
    let ticket = append(&producer, b"once").await;
    let Delivery::Written { offset, .. } = ticket.delivered().await else { panic!("{ticket:?}") };
    assert_eq!(offset, Some(1), "the second copy is the one that was acknowledged");
    assert_eq!(values(&client, &door).await, [b"once", b"once"]);
}

#[tokio::test]
async fn with_acks_0_nobody_notices_what_the_broker_refuses() {
    let door = cluster(1).await;
    topic(&door, 1, &[("max.message.bytes", "1000")]);
    let client = Client::connect(config(&door.bootstrap())).await.unwrap();
    let producer = producer(&client, |options| {
        (options.acks, options.idempotent) = (Acks::None, false);
    });
    for size in [100, 3_000] {
        let ticket = append(&producer, &noise(1, size)).await;
        let Delivery::Written { offset: None, .. } = ticket.delivered().await else {
            panic!("{ticket:?}")
        };
    }
    producer.flush().await.unwrap();
    let log_end = || door.with(|cluster| cluster.log("t", 0).unwrap().end_offset());
    while log_end() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log_end(), 1);
}
