//! Producing and fetching: what was sent comes back, once, whole and in order.

use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use klamm_protocol::records::{
    BatchBuilder, BatchOptions, Batches, Compression, Inflater, ProducerStamp, RecordParts,
    SealedBatch,
};
use klamm_protocol::wire::Uuid;

use super::wire::{Wire, new_topic};
use crate::outside::Cluster;

pub(super) fn every_version(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let id = Wire::to(cluster).described(&topic).topic_id;
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    let mut sent = Vec::new();
    for version in wire.common::<ProduceRequest>().into_iter().filter(|version| *version >= 3) {
        let value = format!("produced in v{version}");
        let answer = send(&mut wire, &topic, id, &batch(&[(1, &value)]).to_bytes(), version);
        assert_eq!(answer.error_code, ErrorCode::NONE, "produce v{version}");
        assert_eq!(answer.base_offset, sent.len() as i64, "produce v{version}");
        sent.push(value);
    }
    for version in wire.common::<FetchRequest>().into_iter().filter(|version| *version >= 4) {
        let request = Ask::new(&topic, id).request();
        let data = partition(wire.exchange(&request, version));
        assert_eq!(data.error_code, ErrorCode::NONE, "fetch v{version}");
        assert_eq!(data.high_watermark, sent.len() as i64, "fetch v{version}");
        assert_eq!(values(data), sent, "fetch v{version}");
    }
}

pub(super) fn every_codec(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for compression in codecs {
        let mut builder = BatchBuilder::new(BatchOptions { compression, ..Default::default() });
        for at in 0..100 {
            let value = format!("{compression:?} {at}");
            let parts = RecordParts::new(at, Some(b"key"), Some(value.as_bytes()));
            builder
                .try_push(&parts.with_headers([("h", Some(&b"1"[..])), ("h", None)]))
                .expect("room");
        }
        assert_eq!(produce(cluster, &topic, builder.seal()).error_code, ErrorCode::NONE);
    }
    let data = fetch(cluster, &topic, 0);
    let batches: Vec<_> = Batches::new(data.records.clone().unwrap_or_default())
        .map(|batch| batch.expect("a whole batch").header().compression())
        .collect();
    assert_eq!(batches, codecs, "brokers keep the producer's codec");
    assert_eq!(values(data).len(), 500);
}

pub(super) fn sent_twice(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let stamp = new_producer(cluster);
    let mut first = batch(&[(1, "a"), (2, "b")]);
    first.stamp(stamp);
    let again = first.clone();
    let written = produce(cluster, &topic, first);
    assert_eq!((written.error_code, written.base_offset), (ErrorCode::NONE, 0));
    let repeated = produce(cluster, &topic, again);
    let code = repeated.error_code;
    assert!(code == ErrorCode::NONE || code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER, "{code:?}");
    if code == ErrorCode::NONE {
        assert_eq!(repeated.base_offset, 0, "the place where it was written first");
    }
    assert_eq!(values(fetch(cluster, &topic, 0)), ["a", "b"]);
}

pub(super) fn sequence_gap(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let stamp = new_producer(cluster);
    let mut first = batch(&[(1, "a")]);
    first.stamp(stamp);
    assert_eq!(produce(cluster, &topic, first).error_code, ErrorCode::NONE);
    let mut gap = batch(&[(1, "c")]);
    gap.stamp(ProducerStamp { base_sequence: 2, ..stamp });
    let code = produce(cluster, &topic, gap).error_code;
    assert_eq!(code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(values(fetch(cluster, &topic, 0)), ["a"]);
}

pub(super) fn corrupt(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let id = Wire::to(cluster).described(&topic).topic_id;
    let mut bytes = batch(&[(1, "a")]).to_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    let code = send(&mut wire, &topic, id, &Bytes::from(bytes), 9).error_code;
    assert_eq!(code, ErrorCode::CORRUPT_MESSAGE);
    assert_eq!(fetch(cluster, &topic, 0).high_watermark, 0);
}

pub(super) fn out_of_range(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    produce(cluster, &topic, batch(&[(1, "a")]));
    let data = fetch(cluster, &topic, 2);
    assert_eq!(data.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    let end = fetch(cluster, &topic, 1);
    assert_eq!((end.error_code, values(end).len()), (ErrorCode::NONE, 0), "the end is in range");
}

pub(super) fn long_poll(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let id = Wire::to(cluster).described(&topic).topic_id;
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut request = Ask::new(&topic, id).request();
            request.max_wait_ms = 20_000;
            values(partition(wire.request(&request)))
        });
        // However the two interleave, the answer holds the record: it comes before the wait is over.
        std::thread::sleep(Duration::from_millis(200));
        produce(cluster, &topic, batch(&[(1, "late")]));
        assert_eq!(waiting.join().expect("answers"), ["late"]);
    });
}

pub(super) fn oversized(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let large = "x".repeat(100_000);
    produce(cluster, &topic, batch(&[(1, &large)]));
    let id = Wire::to(cluster).described(&topic).topic_id;
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    let mut ask = Ask::new(&topic, id);
    ask.max_bytes = 1_000;
    assert_eq!(values(partition(wire.request(&ask.request()))), [large], "KIP-74");
}

pub(super) fn session(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    produce(cluster, &topic, batch(&[(1, "a")]));
    let id = Wire::to(cluster).described(&topic).topic_id;
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    let mut opening = Ask::new(&topic, id).request();
    opening.session_epoch = 0;
    let opened = wire.request(&opening);
    assert!(opened.session_id > 0, "the broker opens a session (KIP-227)");
    let session_id = opened.session_id;
    // The broker may not advance by itself: the next request names the new position.
    let mut moved = Ask { offset: 1, ..Ask::new(&topic, id) }.request();
    (moved.session_id, moved.session_epoch) = (session_id, 1);
    let nothing: usize = wire.request(&moved).responses.iter().map(|t| t.partitions.len()).sum();
    assert_eq!(nothing, 0, "nothing has changed");
    produce(cluster, &topic, batch(&[(1, "b")]));
    let mut next = Ask::new(&topic, id).request();
    next.topics.clear();
    (next.session_id, next.session_epoch) = (session_id, 2);
    assert_eq!(values(partition(wire.request(&next))), ["b"]);
}

pub(super) fn session_epoch(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let id = Wire::to(cluster).described(&topic).topic_id;
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    let mut opening = Ask::new(&topic, id).request();
    opening.session_epoch = 0;
    let session_id = wire.request(&opening).session_id;
    let mut skipped = Ask::new(&topic, id).request();
    (skipped.session_id, skipped.session_epoch) = (session_id, 5);
    let code = wire.request(&skipped).error_code;
    assert_eq!(code, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    (skipped.session_id, skipped.session_epoch) = (session_id ^ 1, 1);
    assert_eq!(wire.request(&skipped).error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

/// A batch of (timestamp, value).
pub(super) fn batch(records: &[(i64, &str)]) -> SealedBatch {
    let options = BatchOptions { max_bytes: 1 << 20, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for (timestamp, value) in records {
        let parts = RecordParts::new(*timestamp, None, Some(value.as_bytes()));
        builder.try_push(&parts).expect("room");
    }
    builder.seal()
}

/// Sends a batch to partition 0 of a topic, with acks from all.
pub(super) fn produce(
    cluster: &dyn Cluster,
    topic: &str,
    mut batch: SealedBatch,
) -> PartitionProduceResponse {
    let mut wire = Wire::to_leader(cluster, topic, 0);
    send(&mut wire, topic, Uuid::ZERO, &batch.to_bytes(), 9)
}

fn send(
    wire: &mut Wire,
    topic: &str,
    topic_id: Uuid,
    records: &Bytes,
    version: i16,
) -> PartitionProduceResponse {
    let mut request = produce_request(topic, records);
    // From version 13 on, the topic goes by its id.
    if version >= 13 {
        request.topic_data[0].name.clear();
        request.topic_data[0].topic_id = topic_id;
    }
    wire.exchange(&request, version).responses.remove(0).partition_responses.remove(0)
}

/// A batch for partition 0 of a topic by name, with acks from all.
pub(super) fn produce_request(topic: &str, records: &Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: 0, records: Some(records.clone()) };
    ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![data],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

pub(super) fn fetch(cluster: &dyn Cluster, topic: &str, offset: i64) -> PartitionData {
    let id = Wire::to(cluster).described(topic).topic_id;
    let mut wire = Wire::to_leader(cluster, topic, 0);
    partition(wire.request(&Ask { offset, ..Ask::new(topic, id) }.request()))
}

fn new_producer(cluster: &dyn Cluster) -> ProducerStamp {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let mut wire = Wire::to(cluster);
    let until = Instant::now() + Duration::from_secs(30);
    let given = loop {
        let given = wire.request(&request);
        match given.error_code {
            ErrorCode::NONE => break given,
            // A broker that just started hands out no ids for a moment.
            code => assert!(code.is_retriable() && Instant::now() < until, "{code:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    ProducerStamp {
        producer_id: given.producer_id,
        epoch: given.producer_epoch,
        base_sequence: 0,
        transactional: false,
    }
}

/// What to ask of partition 0.
pub(super) struct Ask<'a> {
    topic: &'a str,
    id: Uuid,
    offset: i64,
    max_bytes: i32,
}

impl<'a> Ask<'a> {
    pub(super) fn new(topic: &'a str, id: Uuid) -> Self {
        Self { topic, id, offset: 0, max_bytes: 1 << 20 }
    }

    /// The same from an offset on.
    pub(super) fn from(self, offset: i64) -> Self {
        Self { offset, ..self }
    }

    pub(super) fn request(&self) -> FetchRequest {
        let partition = FetchPartition {
            fetch_offset: self.offset,
            partition_max_bytes: self.max_bytes,
            ..FetchPartition::default()
        };
        FetchRequest {
            replica_id: -1,
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: self.max_bytes,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: self.topic.to_owned(),
                topic_id: self.id,
                partitions: vec![partition],
            }],
            ..FetchRequest::default()
        }
    }
}

pub(super) fn partition(mut response: FetchResponse) -> PartitionData {
    assert_eq!(response.error_code, ErrorCode::NONE);
    response.responses.remove(0).partitions.remove(0)
}

fn values(data: PartitionData) -> Vec<String> {
    let mut inflater = Inflater::default();
    let mut found = Vec::new();
    for raw in Batches::new(data.records.unwrap_or_default()) {
        let batch = raw.and_then(|raw| raw.open(&mut inflater, 1 << 24)).expect("a whole batch");
        for record in batch.records() {
            let value = record.expect("a record").value().unwrap_or_default().to_vec();
            found.push(String::from_utf8(value).expect("text"));
        }
    }
    found
}
