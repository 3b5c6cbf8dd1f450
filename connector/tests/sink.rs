//! Rows into an embedded cluster, at least once: where they go, what is refused, and what an error tells.

mod common;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, Int32Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use common::{Given, World, numbers, once, pair_options};
use klamm_client::producer::Partitioner;
use klamm_client::{Client, Config};
use klamm_connector::error::{Error, ErrorKind, Result};
use klamm_connector::offsets::TopicPartition;
use klamm_connector::offsets::range::OffsetRange;
use klamm_connector::options::SinkOptions;
use klamm_connector::sink::{
    Batch, BatchWrite, ExactlyOnceSettings, ExactlyOnceSink, PlainRecord, QueryStart, RowStream,
    SaveMode, Sink as _, Written, batch_write, next_rows,
};
use klamm_connector::source::ReadOrder;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::partition::murmur2;
use klamm_testkit::control::Intercept;

fn rows(columns: Vec<(&str, ArrayRef)>) -> RowStream {
    once(RecordBatch::try_from_iter(columns).unwrap())
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

async fn write(
    world: &World,
    pairs: &[(&str, &str)],
    columns: Vec<(&str, ArrayRef)>,
) -> Result<Written> {
    batch_write(&pair_options(world, pairs), rows(columns)).await
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

#[tokio::test]
async fn a_save_mode_that_a_topic_does_not_have_is_refused_before_anything_is_contacted() {
    // Nobody listens there: a refusal that comes at once has asked nobody.
    let options = [("kafka.bootstrap.servers", "127.0.0.1:1"), A];
    let options = SinkOptions::from_pairs(options).unwrap();
    for mode in [SaveMode::Overwrite, SaveMode::Ignore] {
        let write = BatchWrite::new(&options).with_mode(mode);
        let error = write.rows(rows(vec![("value", text(&["1"]))])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert_eq!(
            error.message(),
            format!(
                "Save mode {mode} not allowed for Kafka. Allowed save modes are Append and ErrorIfExists (default)."
            )
        );
    }
    let world = World::new(&[("a", 1)]).await;
    for mode in [SaveMode::Append, SaveMode::ErrorIfExists, SaveMode::default()] {
        let write = BatchWrite::new(&pair_options(&world, &[A])).with_mode(mode);
        assert_eq!(write.rows(rows(vec![("value", text(&["1"]))])).await.unwrap().rows, 1);
    }
    assert_eq!(world.values(&[("subscribe", "a")]).await.unwrap(), ["1"; 3]);
}

#[tokio::test]
async fn plain_records_are_written_as_rows_are() {
    let world = World::new(&[("a", 3), ("b", 1)]).await;
    let records = vec![
        PlainRecord::of("1").with_topic("a").with_partition(2).with_timestamp(7),
        PlainRecord::of("2")
            .with_topic("a")
            .with_key("k")
            .with_header("h", "1")
            .with_header("h", "2"),
        PlainRecord { topic: Some("b".into()), ..PlainRecord::default() },
    ];
    let write = BatchWrite::new(&pair_options(&world, &[]));
    let written = write.records(Given::new(records.clone())).await.unwrap();
    assert_eq!(written, Written { rows: 3, bytes: 7 });
    let read = world.read(&[("subscribe", "a")]).await.unwrap();
    let by_key = (murmur2(b"k") & 0x7fff_ffff) as i32 % 3;
    let mut expected = [(2, Some("1".to_owned())), (by_key, Some("2".to_owned()))];
    expected.sort();
    let mut found: Vec<_> = read.into_iter().map(|(p, _, value)| (p, value)).collect();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(world.read(&[("subscribe", "b")]).await.unwrap(), [(0, 0, None)], "a tombstone");
    // The option is stronger than the records.
    let write = BatchWrite::new(&pair_options(&world, &[("topic", "b")]));
    let _ = write.records(Given::new(vec![PlainRecord::of("3").with_topic("a")])).await.unwrap();
    assert_eq!(world.read(&[("subscribe", "b")]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_plain_record_that_can_not_be_written_is_named_by_its_number() {
    let world = World::new(&[("a", 1)]).await;
    let good = || PlainRecord::of("1").with_topic("a");
    let bad = [
        (PlainRecord::of("2"), "null topic present in the data"),
        (good().with_partition(-1), "Invalid partition: -1"),
        (good().with_partition(9), "partition 9"),
    ];
    for (record, words) in bad {
        let options = pair_options(&world, &[("kafka.max.block.ms", "300")]);
        let write = BatchWrite::new(&options).records(Given::new(vec![good(), record]));
        let error = write.await.unwrap_err();
        let line = error.to_string();
        assert_eq!(error.kind(), ErrorKind::InvalidRow, "{line}");
        assert!(line.contains(words), "{line}");
        assert!(line.contains("row: 2") && line.contains("rows written: 1"), "{line}");
    }
}

/// Sends everything to the last partition, and leaves values of one byte to the producer.
struct Last;

impl Partitioner for Last {
    fn partition(
        &self,
        _topic: &str,
        _key: Option<&[u8]>,
        value: Option<&[u8]>,
        partitions: i32,
        _available: &[i32],
    ) -> Option<i32> {
        (value.map_or(0, <[u8]>::len) > 1).then_some(partitions - 1)
    }
}

#[tokio::test]
async fn b168_a_partitioner_of_ones_own_is_weaker_than_the_column_and_stronger_than_the_key() {
    let world = World::new(&[("a", 4), ("b", 4)]).await;
    let columns = || {
        let partitions = Int32Array::from(vec![Some(1), None, None]);
        vec![
            ("key", text(&["k", "k", "k"])),
            ("value", text(&["10", "20", "3"])),
            ("partition", Arc::new(partitions) as ArrayRef),
        ]
    };
    let by_key = (murmur2(b"k") & 0x7fff_ffff) as i32 % 4;
    let expected = [("10", 1), ("20", 3), ("3", by_key)];
    let places = |topic: &'static str| {
        let world = &world;
        async move {
            let rows = world.read(&[("subscribe", topic)]).await.unwrap();
            let mut found: Vec<_> =
                rows.into_iter().map(|(place, _, value)| (value.unwrap(), place)).collect();
            found.sort();
            found
        }
    };
    let expected: Vec<_> = expected.iter().map(|(v, p)| ((*v).to_owned(), *p)).collect();
    let write = BatchWrite::new(&pair_options(&world, &[A])).with_partitioner(Last);
    let _ = write.rows(rows(columns())).await.unwrap();
    assert_eq!(places("a").await, expected);
    // In transactions, too.
    let client = Client::connect(Config::new(&world.cluster.bootstrap()).unwrap()).await.unwrap();
    let settings = ExactlyOnceSettings::default();
    let sink = ExactlyOnceSink::new(client, Some("b"), settings);
    let mut sink = sink.with_partitioner(Last);
    let start = QueryStart { id: "q".into(), batch: 0, planned: None, tasks: None };
    sink.start(start).await.unwrap();
    let place = TopicPartition::new("t", 0);
    let end = [(place.clone(), 3)].into();
    let range = OffsetRange::new(place, 0, 3);
    let batch = Batch::new(0, &end, vec![range], |_| rows(columns()));
    assert_eq!(sink.write_batch(batch).await.unwrap().rows, 3);
    assert_eq!(places("b").await, expected);
}

#[tokio::test]
async fn an_error_of_the_rows_stream_is_told_with_what_was_written_before_it() {
    let world = World::new(&[("a", 1)]).await;
    let (sender, stream) = common::channel();
    let batch = RecordBatch::try_from_iter([("value", text(&["1", "2"]))]).unwrap();
    sender.send(Ok(batch)).await.unwrap();
    let write = tokio::spawn(BatchWrite::new(&pair_options(&world, &[A])).rows(stream));
    sender.send(Err(Error::new(ErrorKind::MalformedRecord, "no more of it"))).await.unwrap();
    let error = write.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedRecord);
    assert_eq!(told(&error, "rows written"), Some("2"));
    assert_eq!(world.values(&[("subscribe", "a")]).await.unwrap(), ["1", "2"]);
}

#[tokio::test]
async fn headers_come_back_as_they_were_read() {
    let world = World::new(&[("a", 1), ("b", 1)]).await;
    let record = PlainRecord::of("1").with_key("k").with_header("h", "1").with_header("h", "2");
    let null = PlainRecord {
        headers: vec![("n".to_owned(), None), (String::new(), Some("".into()))],
        ..PlainRecord::of("2")
    };
    let write = BatchWrite::new(&pair_options(&world, &[A]));
    let _ = write.records(Given::new(vec![record, null, PlainRecord::of("3")])).await.unwrap();
    let read = |topic: &'static str| {
        let world = &world;
        async move {
            let options = [("subscribe", topic), ("includeHeaders", "true")];
            let plan = world.plan(&options).await.unwrap();
            let mut rows = plan.rows(ReadOrder::ByPartition);
            next_rows(&mut rows).await.unwrap().unwrap()
        }
    };
    let there = read("a").await;
    let _ =
        batch_write(&pair_options(&world, &[("topic", "b")]), once(there.clone())).await.unwrap();
    let copied = read("b").await;
    assert_eq!(there.num_rows(), 3);
    for column in ["key", "value", "headers", "timestamp"] {
        assert_eq!(there.column_by_name(column), copied.column_by_name(column), "{column}");
    }
}
