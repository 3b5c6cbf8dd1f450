//! A client of the machine: typed requests in, typed responses out, time in the test's hand.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::api::Request;
use klamm_protocol::header::{decode_response, encode_request};
use klamm_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use klamm_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use klamm_protocol::records::{
    BatchBuilder, BatchOptions, Batches, Inflater, ProducerStamp, RecordParts,
};
use klamm_protocol::wire::Segments;

use crate::broker::{Cluster, ClusterConfig, ConnId};

/// A cluster with one connection to node 1, and a clock.
pub(super) struct Bench {
    pub(super) cluster: Cluster,
    pub(super) conn: ConnId,
    pub(super) now: Instant,
    correlation: i32,
    arrived: VecDeque<(ConnId, Segments)>,
}

impl Bench {
    pub(super) fn new(config: ClusterConfig) -> Self {
        let mut cluster = Cluster::new(config);
        let conn = cluster.connect(1);
        Self { cluster, conn, now: Instant::now(), correlation: 0, arrived: VecDeque::new() }
    }

    /// One broker, and a topic `t` with one partition.
    pub(super) fn with_topic() -> Self {
        let mut bench = Self::new(ClusterConfig::default());
        bench.cluster.create_topic("t", 1, 1).unwrap();
        bench
    }

    /// Two brokers, a topic `t` with one partition that both replicate and node 1 leads.
    pub(super) fn with_two_brokers() -> Self {
        let mut bench = Self::new(ClusterConfig { brokers: 2, ..ClusterConfig::default() });
        bench.cluster.create_topic("t", 1, 2).unwrap();
        bench
    }

    /// Sends a request over the first connection.
    pub(super) fn send<R: Request>(&mut self, request: &R, version: i16) {
        self.send_over(self.conn, request, version);
    }

    pub(super) fn send_over<R: Request>(&mut self, conn: ConnId, request: &R, version: i16) {
        self.correlation += 1;
        let frame = encode_request(request, version, self.correlation, Some("bench")).unwrap();
        self.cluster.handle_frame(self.now, conn, frame.into_bytes().split_off(4));
    }

    /// The next answer over the first connection, if there is one.
    pub(super) fn answer<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        self.answer_over::<R>(self.conn, version)
    }

    pub(super) fn answer_over<R: Request>(
        &mut self,
        conn: ConnId,
        version: i16,
    ) -> Option<R::Response> {
        let frame = self.frame(conn)?;
        let frame = frame.into_bytes().split_off(4);
        Some(decode_response::<R>(frame, version).expect("an answer of its version"))
    }

    /// The next frame over a connection, undecoded, with its length.
    pub(super) fn frame(&mut self, conn: ConnId) -> Option<Segments> {
        while let Some(arrived) = self.cluster.poll_transmit() {
            self.arrived.push_back(arrived);
        }
        let at = self.arrived.iter().position(|(to, _)| *to == conn)?;
        self.arrived.remove(at).map(|(_, frame)| frame)
    }

    /// Sends a request that must be answered at once.
    pub(super) fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.call_over(self.conn, request, version)
    }

    pub(super) fn call_over<R: Request>(
        &mut self,
        conn: ConnId,
        request: &R,
        version: i16,
    ) -> R::Response {
        self.send_over(conn, request, version);
        self.answer_over::<R>(conn, version).expect("an answer at once")
    }

    /// Lets time pass, up to each deadline on the way.
    pub(super) fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.cluster.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.cluster.handle_timeout(self.now);
        }
        self.now = until;
    }

    /// Connections that the cluster has closed since the last time.
    pub(super) fn closed(&mut self) -> Vec<ConnId> {
        std::iter::from_fn(|| self.cluster.poll_close()).collect()
    }

    /// Produces to `t`, partition 0, and returns the partition's answer.
    pub(super) fn produce(&mut self, records: Bytes) -> PartitionProduceResponse {
        let mut response = self.call(&produce_request("t", 0, -1, records), 9);
        response.responses.remove(0).partition_responses.remove(0)
    }

    /// Fetches `t`, partition 0, from `offset`, without waiting.
    pub(super) fn fetch(&mut self, offset: i64) -> PartitionData {
        let response = self.call(&fetch_request("t", 0, offset), 11);
        only(response)
    }
}

/// The one partition of a response.
pub(super) fn only(mut response: FetchResponse) -> PartitionData {
    assert_eq!(response.error_code.0, 0, "the whole fetch was refused");
    response.responses.remove(0).partitions.remove(0)
}

pub(super) fn produce_request(
    topic: &str,
    partition: i32,
    acks: i16,
    records: Bytes,
) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records: Some(records) };
    let topic = TopicProduceData {
        name: topic.to_owned(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..ProduceRequest::default() }
}

pub(super) fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let wanted = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic =
        FetchTopic { topic: topic.to_owned(), partitions: vec![wanted], ..FetchTopic::default() };
    FetchRequest { topics: vec![topic], ..FetchRequest::default() }
}

/// A batch with a record for each value; timestamps are 1,000 and up.
pub(super) fn batch(values: &[&str]) -> Bytes {
    stamped(values, None)
}

pub(super) fn stamped(values: &[&str], stamp: Option<ProducerStamp>) -> Bytes {
    let mut builder =
        BatchBuilder::new(BatchOptions { max_bytes: 1 << 20, ..BatchOptions::default() });
    for (n, value) in values.iter().enumerate() {
        let parts = RecordParts::new(1000 + n as i64, None, Some(value.as_bytes()));
        builder.try_push(&parts).unwrap();
    }
    let mut sealed = builder.seal();
    if let Some(stamp) = stamp {
        sealed.stamp(stamp);
    }
    sealed.to_bytes()
}

/// An idempotent producer's stamp.
pub(super) fn stamp(producer_id: i64, epoch: i16, base_sequence: i32) -> ProducerStamp {
    ProducerStamp { producer_id, epoch, base_sequence, transactional: false }
}

/// The offsets and values of records as fetched.
pub(super) fn values(records: Option<Bytes>) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for raw in Batches::new(records.unwrap_or_default()) {
        let batch = raw.unwrap().open(&mut Inflater::new(), 1 << 20).unwrap();
        for record in batch.records() {
            let record = record.unwrap();
            let value = String::from_utf8_lossy(record.value().unwrap_or_default()).into_owned();
            found.push((record.offset(), value));
        }
    }
    found
}
