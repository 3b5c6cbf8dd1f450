//! The door over real sockets of 127.0.0.1: limits, hostile clients, and stopping.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use klamm_protocol::api::{ApiKey, Request};
use klamm_protocol::header::{decode_response, encode_request};
use klamm_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klamm_protocol::records::{BatchBuilder, BatchOptions, RecordParts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{DoorConfig, EmbeddedCluster};
use crate::broker::ClusterConfig;
use crate::control::{Fault, Intercept};

async fn send<R: Request>(stream: &mut TcpStream, request: &R, version: i16) {
    let frame = encode_request(request, version, 1, Some("test")).unwrap().into_bytes();
    stream.write_all(&frame).await.unwrap();
}

async fn receive<R: Request>(stream: &mut TcpStream, version: i16) -> R::Response {
    let length = stream.read_i32().await.unwrap();
    let mut frame = BytesMut::zeroed(usize::try_from(length).unwrap());
    stream.read_exact(&mut frame).await.unwrap();
    decode_response::<R>(frame.freeze(), version).unwrap()
}

/// True if the other side closes within the time that a test may take.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

fn produce(value: &[u8]) -> ProduceRequest {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.try_push(&RecordParts::new(1, None, Some(value))).unwrap();
    let data = PartitionProduceData { index: 0, records: Some(builder.seal().to_bytes()) };
    let topic = TopicProduceData {
        name: "t".to_owned(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    };
    ProduceRequest { acks: -1, topic_data: vec![topic], ..ProduceRequest::default() }
}

fn fetch(max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic =
        FetchTopic { topic: "t".to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest { max_wait_ms, min_bytes: 1, topics: vec![topic], ..FetchRequest::default() }
}

async fn with_topic(config: DoorConfig) -> (EmbeddedCluster, TcpStream) {
    let cluster = EmbeddedCluster::start(config).await.unwrap();
    cluster.with(|machine| machine.create_topic("t", 1, 1)).unwrap();
    let stream = TcpStream::connect(cluster.addresses()[0]).await.unwrap();
    (cluster, stream)
}

#[tokio::test]
async fn metadata_names_the_addresses_that_the_brokers_listen_on() {
    let config = ClusterConfig { brokers: 3, ..ClusterConfig::default() };
    let (cluster, mut stream) = with_topic(config.into()).await;
    send(&mut stream, &MetadataRequest::default(), 12).await;
    let metadata = receive::<MetadataRequest>(&mut stream, 12).await;
    let told: Vec<_> = metadata.brokers.iter().map(|b| format!("{}:{}", b.host, b.port)).collect();
    assert_eq!(told.join(","), cluster.bootstrap());
    cluster.stop().await;
}

#[tokio::test]
async fn the_advertised_host_may_differ_from_the_address() {
    let config =
        DoorConfig { advertised_host: Some("localhost".to_owned()), ..DoorConfig::default() };
    let (cluster, _stream) = with_topic(config).await;
    let port = cluster.addresses()[0].port();
    assert_eq!(cluster.bootstrap(), format!("localhost:{port}"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_another_connection() {
    let (cluster, mut reader) = with_topic(DoorConfig::default()).await;
    let mut writer = TcpStream::connect(cluster.addresses()[0]).await.unwrap();
    send(&mut reader, &fetch(600_000), 11).await;
    let value = vec![b'x'; 100_000];
    send(&mut writer, &produce(&value), 9).await;
    receive::<ProduceRequest>(&mut writer, 9).await;
    let response = receive::<FetchRequest>(&mut reader, 11).await;
    let records = response.responses[0].partitions[0].records.clone();
    assert!(records.is_some_and(|records| records.len() > value.len()));
    cluster.stop().await;
}

#[tokio::test]
async fn a_fetch_that_waits_in_vain_is_answered_by_the_clock() {
    let (cluster, mut reader) = with_topic(DoorConfig::default()).await;
    send(&mut reader, &fetch(20), 11).await;
    let response = receive::<FetchRequest>(&mut reader, 11).await;
    assert_eq!(response.responses[0].partitions[0].records, Some(Bytes::new()));
    cluster.stop().await;
}

#[tokio::test]
async fn hostile_lengths_and_other_protocols_are_closed() {
    let (cluster, _stream) = with_topic(DoorConfig::default()).await;
    let hello = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for hostile in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff; 4], hello, &[0, 0, 0, 2, 9, 9]] {
        let mut stream = TcpStream::connect(cluster.addresses()[0]).await.unwrap();
        stream.write_all(hostile).await.unwrap();
        assert!(is_closed(&mut stream).await, "{hostile:?}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_the_others_stay() {
    let config = DoorConfig { max_connections: 1, ..DoorConfig::default() };
    let (cluster, mut first) = with_topic(config).await;
    send(&mut first, &MetadataRequest::default(), 12).await;
    receive::<MetadataRequest>(&mut first, 12).await;
    let mut second = TcpStream::connect(cluster.addresses()[0]).await.unwrap();
    assert!(is_closed(&mut second).await);
    send(&mut first, &MetadataRequest::default(), 12).await;
    receive::<MetadataRequest>(&mut first, 12).await;
    assert_eq!(cluster.connections(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_request_above_the_limit_is_closed_and_one_below_is_not() {
    let config = DoorConfig { max_request_bytes: 10_000, ..DoorConfig::default() };
    let (cluster, mut stream) = with_topic(config).await;
    send(&mut stream, &produce(&[b'x'; 5_000]), 9).await;
    receive::<ProduceRequest>(&mut stream, 9).await;
    send(&mut stream, &produce(&[b'x'; 20_000]), 9).await;
    assert!(is_closed(&mut stream).await);
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let config = DoorConfig { max_queued_bytes: 1 << 20, ..DoorConfig::default() };
    let (cluster, mut stream) = with_topic(config).await;
    send(&mut stream, &produce(&vec![b'x'; 1_000_000]), 9).await;
    receive::<ProduceRequest>(&mut stream, 9).await;
    let seen = cluster.with(|machine| machine.intercept(Intercept::on(ApiKey::Fetch)));
    const ASKED: u32 = 200;
    for _ in 0..ASKED {
        send(&mut stream, &fetch(0), 11).await;
    }
    // Whatever the sockets hold, most of the requests must not have been served yet.
    tokio::task::yield_now().await;
    let served = cluster.with(|machine| machine.control().matched(seen));
    assert!(served < ASKED / 2, "{served} of {ASKED} were served");
    for _ in 0..ASKED {
        receive::<FetchRequest>(&mut stream, 11).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_cut_answer_arrives_in_part_and_the_connection_ends() {
    let (cluster, mut stream) = with_topic(DoorConfig::default()).await;
    let rule = Intercept::on(ApiKey::Metadata).times(1).with(Fault::CutAfter(7));
    cluster.with(|machine| machine.intercept(rule));
    send(&mut stream, &MetadataRequest::default(), 12).await;
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest.len(), 7);
    cluster.stop().await;
}

#[tokio::test]
async fn killing_a_node_closes_its_connections() {
    let config = ClusterConfig { brokers: 2, ..ClusterConfig::default() };
    let (cluster, mut stream) = with_topic(config.into()).await;
    send(&mut stream, &MetadataRequest::default(), 12).await;
    receive::<MetadataRequest>(&mut stream, 12).await;
    assert!(cluster.with(|machine| machine.kill(1)));
    assert!(is_closed(&mut stream).await);
    let mut refused = TcpStream::connect(cluster.addresses()[0]).await.unwrap();
    assert!(is_closed(&mut refused).await);
    cluster.stop().await;
}

#[tokio::test]
async fn stopping_closes_every_connection_and_frees_the_port() {
    let (cluster, mut stream) = with_topic(DoorConfig::default()).await;
    let address = cluster.addresses()[0];
    send(&mut stream, &fetch(600_000), 11).await;
    timeout(PATIENCE, cluster.stop()).await.expect("it stops though a fetch waits");
    assert!(is_closed(&mut stream).await);
    let config = DoorConfig { listen: vec![address], ..DoorConfig::default() };
    EmbeddedCluster::start(config).await.expect("the port is free again").stop().await;
}

/// Only an end to waiting for what should come at once.
const PATIENCE: Duration = Duration::from_secs(30);
