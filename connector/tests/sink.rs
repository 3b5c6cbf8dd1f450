//! Rows into an embedded cluster, at least once: where they go, what is refused, and what an error tells.

mod common;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, Int32Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use common::{World, numbers};
use klamm_client::{Client, Config};
use klamm_connector::error::{Error, ErrorKind, Result};
use klamm_connector::options::SinkOptions;
use klamm_connector::sink::{RowStream, Written, batch_write};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::partition::murmur2;
use klamm_testkit::control::Intercept;

/// The batches of a stream, one after the other.
struct Given(std::vec::IntoIter<RecordBatch>);

impl futures_core::Stream for Given {
    type Item = Result<RecordBatch>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next().map(Ok))
    }
}

fn rows(columns: Vec<(&str, ArrayRef)>) -> RowStream {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Box::pin(Given(vec![batch].into_iter()))
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn options(world: &World, pairs: &[(&str, &str)]) -> SinkOptions {
    let bootstrap = world.cluster.bootstrap();
    let mut all = vec![("kafka.bootstrap.servers", bootstrap.as_str())];
    all.extend(pairs);
    SinkOptions::from_pairs(all).unwrap()
}

async fn write(
    world: &World,
    pairs: &[(&str, &str)],
    columns: Vec<(&str, ArrayRef)>,
) -> Result<Written> {
    batch_write(&options(world, pairs), rows(columns)).await
}

/// The error as a user sees it.
async fn refused(
    world: &World,
    pairs: &[(&str, &str)],
    columns: Vec<(&str, ArrayRef)>,
) -> (Error, String) {
    let error = write(world, pairs, columns).await.unwrap_err();
    let text = error.to_string();
    (error, text)
}

/// What an error says under a name.
fn told<'a>(error: &'a Error, name: &str) -> Option<&'a str> {
    error.context().find(|(one, _)| *one == name).map(|(_, value)| value)
}

const A: (&str, &str) = ("topic", "a");

#[tokio::test]
async fn b160_a_transactional_id_without_exactly_once_is_refused() {
    let world = World::new(&[("a", 1)]).await;
    let pairs = [A, ("kafka.transactional.id", "mine")];
    let (error, line) = refused(&world, &pairs, vec![("value", text(&["1"]))]).await;
    assert_eq!(error.kind(), ErrorKind::InvalidOption, "{line}");
    assert!(line.contains("transactional.id") && line.contains("exactly-once"), "{line}");
}

#[tokio::test]
async fn b169_a_key_chooses_the_partition_as_javas_partitioner_does() {
    let world = World::new(&[("a", 5)]).await;
    let keys = numbers(0, 50);
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let _ = write(&world, &[A], vec![("key", text(&keys)), ("value", text(&keys))]).await.unwrap();
    let read = world.read(&[("subscribe", "a")]).await.unwrap();
    assert_eq!(read.len(), 50);
    for (partition, _, value) in read {
        let hash = murmur2(value.unwrap().as_bytes()) & 0x7fff_ffff;
        assert_eq!(partition, hash as i32 % 5);
    }
}

#[tokio::test]
async fn b172_the_first_error_ends_the_batch_once_all_that_was_sent_is_known() {
    let world = World::new(&[("a", 1)]).await;
    let refuse = Intercept::on(ApiKey::Produce).skip(1).fail(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    world.cluster.with(|cluster| cluster.intercept(refuse));
    let values = numbers(0, 2_000);
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    let small =
        [A, ("kafka.batch.size", "500"), ("kafka.max.in.flight.requests.per.connection", "1")];
    let (error, line) = refused(&world, &small, vec![("value", text(&values))]).await;
    assert_eq!(error.kind(), ErrorKind::Client, "{line}");
    let written = told(&error, "rows written").unwrap().parse::<usize>().unwrap();
    let there = world.values(&[("subscribe", "a")]).await.unwrap();
    assert_eq!(written, there.len(), "{line}");
    assert!(written > 0 && written < 2_000, "{line}");
    assert!(line.contains(&format!("row: {}", written + 1)), "{line}");
}

#[tokio::test]
async fn b173_a_full_buffer_makes_the_sink_wait_and_never_fail() {
    let world = World::new(&[("a", 1)]).await;
    let long = "x".repeat(15_000);
    let values = vec![long.as_str(); 1_000];
    let pairs = [A, ("kafka.buffer.memory", "16384")];
    let written = write(&world, &pairs, vec![("value", text(&values))]).await.unwrap();
    assert_eq!((written.rows, written.bytes), (1_000, 15_000_000));
    assert_eq!(world.read(&[("subscribe", "a")]).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn b174_b176_a_batch_that_failed_stays_as_far_as_it_came_and_is_written_again_whole() {
    let world = World::new(&[("a", 1)]).await;
    let columns = || {
        let partitions = Int32Array::from(vec![0, 0, 7]);
        vec![("value", text(&["1", "2", "3"])), ("partition", Arc::new(partitions) as ArrayRef)]
    };
    for _ in 0..2 {
        let pairs = [A, ("kafka.max.block.ms", "300")];
        let (error, _) = refused(&world, &pairs, columns()).await;
        assert_eq!(told(&error, "rows written"), Some("2"));
    }
    assert_eq!(world.values(&[("subscribe", "a")]).await.unwrap(), ["1", "2", "1", "2"]);
}

#[tokio::test]
async fn b177_a_batch_without_rows_asks_for_no_producer() {
    let world = World::new(&[("a", 1)]).await;
    let count = |key| world.cluster.with(|cluster| cluster.intercept(Intercept::on(key)));
    let rules = [count(ApiKey::InitProducerId), count(ApiKey::Produce)];
    let written = write(&world, &[A], vec![("value", text(&[]))]).await.unwrap();
    assert_eq!(written, Written::default());
    for rule in rules {
        assert_eq!(world.cluster.with(|cluster| cluster.control().matched(rule)), 0);
    }
}

#[tokio::test]
async fn b166_b178_whatever_column_holds_text_or_bytes_will_do() {
    let world = World::new(&[("a", 1)]).await;
    let columns: [ArrayRef; 4] = [
        text(&["1"]),
        Arc::new(LargeStringArray::from(vec!["2"])),
        Arc::new(StringViewArray::from(vec!["3"])),
        Arc::new(BinaryArray::from_vec(vec![b"4"])),
    ];
    for column in columns {
        let _ = write(&world, &[A], vec![("value", column)]).await.unwrap();
    }
    assert_eq!(world.values(&[("subscribe", "a")]).await.unwrap(), numbers(1, 5));
}

#[tokio::test]
async fn b171_a_topic_that_is_not_there_is_named_after_max_block_ms() {
    let world = World::new(&[]).await;
    let pairs = [("topic", "missing"), ("kafka.max.block.ms", "700")];
    let (_, line) = refused(&world, &pairs, vec![("value", text(&["1"]))]).await;
    assert!(line.contains("missing") && line.contains("row: 1"), "{line}");
    assert!(line.contains("rows written: 0"), "{line}");
}

#[tokio::test]
async fn a_row_that_is_too_large_for_the_client_or_the_broker_is_named() {
    let world = World::new(&[]).await;
    let config = Config::new(&world.cluster.bootstrap()).unwrap();
    let client = Client::connect(config).await.unwrap();
    let small =
        klamm_client::admin::NewTopic::new("small").with_setting("max.message.bytes", "5000");
    client.create_topics(&[small]).await.remove(0).unwrap();
    let (little, large) = ("x".repeat(100), "x".repeat(20_000));
    let columns = || vec![("value", text(&[&little, &large, &little]))];
    let to = ("topic", "small");
    // The client's own limit is found before the row is sent.
    let (error, line) =
        refused(&world, &[to, ("kafka.max.request.size", "10000")], columns()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidRow, "{line}");
    assert!(line.contains("row: 2") && line.contains("max.request.size"), "{line}");
    assert!(line.contains("rows written: 1"), "{line}");
    // The broker's is told by the broker.
    let (error, line) = refused(&world, &[to], columns()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidRow, "{line}");
    assert!(line.contains("row: 2") && line.contains("small"), "{line}");
    assert!(line.contains("rows written: "), "{line}");
}

#[tokio::test]
async fn a_sink_without_rights_names_the_topic_and_what_was_not_written() {
    let world = World::new(&[("a", 1)]).await;
    let refuse = Intercept::on(ApiKey::Produce).fail(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    world.cluster.with(|cluster| cluster.intercept(refuse));
    let (_, line) = refused(&world, &[A], vec![("value", text(&["1", "2"]))]).await;
    assert!(line.contains("TOPIC_AUTHORIZATION_FAILED") && line.contains("topic a"), "{line}");
    assert!(line.contains("row: 1") && line.contains("rows written: 0"), "{line}");
}
