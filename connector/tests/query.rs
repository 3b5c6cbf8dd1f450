//! Whole queries over an embedded cluster: Kafka in, Kafka out, resumed from a checkpoint.

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use common::{World, numbers, refs};
use klamm_connector::error::Result;
use klamm_connector::options::{ReadMode, SinkOptions};
use klamm_connector::query::{Query, QueryProgress, QuerySettings, Trigger};
use klamm_connector::schema::PARTITION;
use klamm_connector::sink::{KafkaSink, RowStream, WithoutColumn, batch_write};
use klamm_connector::source::KafkaSource;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::control::Intercept;

const T: (&str, &str) = ("subscribe", "t");
const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");

fn sink_options(world: &World, pairs: &[(&str, &str)]) -> SinkOptions {
    let bootstrap = world.cluster.bootstrap();
    let mut all = vec![("kafka.bootstrap.servers", bootstrap.as_str())];
    all.extend(pairs);
    SinkOptions::from_pairs(all).unwrap()
}

async fn start(
    world: &World,
    checkpoint: &Path,
    trigger: Trigger,
    options: &[(&str, &str)],
) -> Result<Query<KafkaSource>> {
    let options = world.options(ReadMode::Stream, options)?;
    let source = KafkaSource::connect(options).await?;
    let sink = KafkaSink::connect(&sink_options(world, &[("topic", "copy")])).await?;
    let settings = QuerySettings { checkpoint: checkpoint.to_owned(), trigger, name: None };
    // The target has fewer partitions than the source: keys decide.
    Query::start(source, Box::new(WithoutColumn::new(sink, PARTITION)), settings).await
}

async fn drain(
    world: &World,
    checkpoint: &Path,
    options: &[(&str, &str)],
) -> Result<Vec<QueryProgress>> {
    let mut query = start(world, checkpoint, Trigger::AvailableNow, options).await?;
    let mut all = Vec::new();
    while let Some(progress) = query.next().await {
        all.push(progress?);
    }
    Ok(all)
}

/// The values of the topic `copy`, sorted as numbers.
async fn copied(world: &World) -> Vec<i32> {
    let values = world.values(&[("subscribe", "copy")]).await.unwrap();
    let mut values: Vec<i32> = values.iter().map(|value| value.parse().unwrap()).collect();
    values.sort_unstable();
    values
}

#[tokio::test]
async fn b175_a_copy_in_limited_batches_resumes_and_loses_or_doubles_nothing() {
    let world = World::new(&[("t", 3), ("copy", 2)]).await;
    let dir = tempfile::tempdir().unwrap();
    for partition in 0..3 {
        let values = numbers(partition * 100, partition * 100 + 100);
        world.append("t", partition, 1000, &refs(&values));
    }
    let options = [T, EARLIEST, ("maxOffsetsPerTrigger", "60")];
    let progress = drain(&world, dir.path(), &options).await.unwrap();
    assert_eq!(progress.len(), 5);
    assert!(progress.iter().all(|batch| batch.input_rows == 60 && batch.output_rows == 60));
    assert_eq!(copied(&world).await, (0..300).collect::<Vec<_>>());

    let values = numbers(300, 310);
    world.append("t", 1, 1000, &refs(&values));
    assert_eq!(drain(&world, dir.path(), &options).await.unwrap().len(), 1);
    assert!(drain(&world, dir.path(), &options).await.unwrap().is_empty());
    assert_eq!(copied(&world).await, (0..310).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_copy_keeps_keys_headers_and_timestamps() {
    let world = World::new(&[("t", 1), ("copy", 1)]).await;
    let dir = tempfile::tempdir().unwrap();
    world.append("t", 0, 1_234_567, &["a"]);
    drain(&world, dir.path(), &[T, EARLIEST, ("includeHeaders", "true")]).await.unwrap();
    let log = world.cluster.with(|cluster| cluster.log("copy", 0).unwrap().end_offset());
    assert_eq!(log, 1);
    let plan = world.plan(&[("subscribe", "copy"), ("endingTimestamp", "1234568")]).await.unwrap();
    let mut rows = plan.rows(klamm_connector::source::ReadOrder::ByPartition);
    let batch = klamm_connector::sink::next_rows(&mut rows).await.unwrap().unwrap();
    use arrow_array::cast::AsArray as _;
    assert_eq!(batch.column_by_name("key").unwrap().as_binary_view().value(0), b"ka");
    let time = batch.column_by_name("timestamp").unwrap();
    let time = time.as_primitive::<arrow_array::types::TimestampMicrosecondType>();
    assert_eq!(time.value(0), 1_234_567_000);
}

#[tokio::test]
async fn a_batch_whose_rows_are_refused_fails_and_runs_again() {
    let world = World::new(&[("t", 1), ("copy", 1)]).await;
    let dir = tempfile::tempdir().unwrap();
    world.append("t", 0, 1, &["0", "1", "2"]);
    let refuse = Intercept::on(klamm_protocol::api::ApiKey::Produce)
        .times(1)
        .fail(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    world.cluster.with(|cluster| cluster.intercept(refuse));
    let error = drain(&world, dir.path(), &[T, EARLIEST]).await.unwrap_err();
    assert!(error.to_string().contains("rows written: 0"), "{error}");
    assert!(error.to_string().contains("batch: 0"), "{error}");
    assert!(copied(&world).await.is_empty());
    let progress = drain(&world, dir.path(), &[T, EARLIEST]).await.unwrap();
    assert_eq!(progress[0].batch_id, 0);
    assert_eq!(copied(&world).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_running_query_picks_up_records_and_stops_when_asked() {
    let world = World::new(&[("t", 1), ("copy", 1)]).await;
    let dir = tempfile::tempdir().unwrap();
    world.append("t", 0, 1, &["0"]);
    let mut query = start(&world, dir.path(), Trigger::AsSoonAsData, &[T, EARLIEST]).await.unwrap();
    query.next().await.unwrap().unwrap();
    world.append("t", 0, 1, &["1"]);
    assert_eq!(query.next().await.unwrap().unwrap().batch_id, 1);
    query.stopper().stop();
    assert!(query.next().await.is_none());
    assert_eq!(copied(&world).await, [0, 1]);
}

fn rows(columns: Vec<(&str, ArrayRef)>) -> RowStream {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    struct Once(Option<RecordBatch>);
    impl futures_core::Stream for Once {
        type Item = Result<RecordBatch>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.take().map(Ok))
        }
    }
    Box::pin(Once(Some(batch)))
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[tokio::test]
async fn b161_b168_rows_go_to_the_topic_and_partition_of_their_columns() {
    let world = World::new(&[("a", 3), ("b", 1)]).await;
    let columns = vec![
        ("topic", text(&[Some("a"), Some("b"), Some("a")])),
        ("value", text(&[Some("1"), Some("2"), None])),
        ("partition", Arc::new(Int32Array::from(vec![Some(2), None, Some(2)])) as ArrayRef),
    ];
    let written = batch_write(&sink_options(&world, &[]), rows(columns)).await.unwrap();
    assert_eq!((written.rows, written.bytes), (3, 2));
    let read = world.read(&[("subscribe", "a")]).await.unwrap();
    assert_eq!(read, [(2, 0, Some("1".into())), (2, 1, None)]);
    assert_eq!(world.values(&[("subscribe", "b")]).await.unwrap(), ["2"]);
}

#[tokio::test]
async fn b165_a_null_topic_fails_by_row_and_says_how_many_were_written() {
    let world = World::new(&[("a", 1)]).await;
    let columns =
        vec![("topic", text(&[Some("a"), None])), ("value", text(&[Some("1"), Some("2")]))];
    let error = batch_write(&sink_options(&world, &[]), rows(columns)).await.unwrap_err();
    assert_eq!(error.condition(), Some("KAFKA_NULL_TOPIC_IN_DATA"));
    assert!(error.to_string().ends_with("[row: 2, rows written: 1]"), "{error}");
}

#[tokio::test]
async fn b162_b163_columns_are_checked_before_anything_is_written() {
    let world = World::new(&[("a", 1)]).await;
    let columns = vec![("value", text(&[Some("1")]))];
    let error = batch_write(&sink_options(&world, &[]), rows(columns)).await.unwrap_err();
    assert!(error.message().starts_with("topic option required"));
    let columns = vec![("values", text(&[Some("1")]))];
    let error = batch_write(&sink_options(&world, &[("topic", "a")]), rows(columns)).await;
    assert_eq!(error.unwrap_err().message(), "Required attribute 'value' not found");
}

#[tokio::test]
async fn b170_b171_a_partition_or_topic_that_is_not_there_fails_by_row() {
    let world = World::new(&[("a", 3)]).await;
    let write = async |topic: &str, partition: i32| {
        let columns = vec![
            ("value", text(&[Some("1")])),
            ("partition", Arc::new(Int32Array::from(vec![partition])) as ArrayRef),
        ];
        let options = sink_options(&world, &[("topic", topic), ("kafka.max.block.ms", "1000")]);
        batch_write(&options, rows(columns)).await.unwrap_err().to_string()
    };
    assert!(write("a", 9).await.contains("row: 1"));
    assert!(write("missing", 0).await.contains("missing"));
    assert!(write("a", -1).await.starts_with("Invalid partition: -1."));
}
