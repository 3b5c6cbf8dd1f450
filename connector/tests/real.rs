//! The connector's whole way against real Apache Kafka, where the embedded broker might be too kind: rows written,
//! found by time, read in pieces, copied by a query that is started twice, and a head that expired.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use klamm_client::admin::NewTopic;
use klamm_client::{Client, Config};
use klamm_connector::error::Result;
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};
use klamm_connector::query::{Query, QuerySettings, Trigger};
use klamm_connector::sink::{KafkaSink, RowStream, batch_write, next_rows};
use klamm_connector::source::{KafkaSource, ReadOrder, batch_read};
use klamm_testkit::apache;
use klamm_testkit::outside::Cluster as _;

/// One batch of rows as a stream.
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

/// Values `range`, spread over three partitions, a thousandth of a second apart from 1,000,000 on.
fn rows(range: std::ops::Range<i32>) -> RowStream {
    let values: StringArray = range.clone().map(|n| Some(n.to_string())).collect();
    let partitions = Int32Array::from_iter_values(range.clone().map(|n| n % 3));
    let times = range.map(|n| (1_000_000 + i64::from(n)) * 1000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("value", Arc::new(values)),
        ("partition", Arc::new(partitions)),
        ("timestamp", Arc::new(times)),
    ];
    Box::pin(Once(Some(RecordBatch::try_from_iter(columns).unwrap())))
}

/// The values that a batch read gives, as sorted numbers; checks that offsets rise within each Arrow batch.
async fn read(bootstrap: &str, topic: &str, options: &[(&str, &str)]) -> Result<Vec<i32>> {
    let mut pairs = vec![("kafka.bootstrap.servers", bootstrap), ("subscribe", topic)];
    pairs.extend(options);
    let options = SourceOptions::from_pairs(ReadMode::Batch, pairs)?;
    let mut rows = batch_read(options, ReadOrder::AsTheyCome).await?;
    let mut all = Vec::new();
    while let Some(batch) = next_rows(&mut rows).await {
        let batch = batch?;
        let offsets = batch.column_by_name("offset").unwrap().as_primitive::<Int64Type>();
        assert!(offsets.values().is_sorted());
        let values = batch.column_by_name("value").unwrap().as_binary_view().iter();
        all.extend(
            values
                .map(|value| std::str::from_utf8(value.unwrap()).unwrap().parse::<i32>().unwrap()),
        );
    }
    all.sort_unstable();
    Ok(all)
}

/// Drains the topic `t` into `copy`; the numbers of the batches that ran, and their rows.
async fn copy(bootstrap: &str, checkpoint: &Path) -> Result<Vec<(i64, u64)>> {
    let source = SourceOptions::from_pairs(
        ReadMode::Stream,
        [
            ("kafka.bootstrap.servers", bootstrap),
            ("subscribe", "t"),
            ("startingOffsets", "earliest"),
            ("maxOffsetsPerTrigger", "300"),
            ("minPartitions", "5"),
        ],
    )?;
    let sink =
        SinkOptions::from_pairs([("kafka.bootstrap.servers", bootstrap), ("topic", "copy")])?;
    let sink = KafkaSink::connect(&sink).await?;
    let settings = QuerySettings {
        checkpoint: checkpoint.to_owned(),
        trigger: Trigger::AvailableNow,
        name: None,
    };
    let source = KafkaSource::connect(source).await?;
    let mut query = Query::start(source, Box::new(sink), settings).await?;
    let mut batches = Vec::new();
    while let Some(progress) = query.next().await {
        let progress = progress?;
        batches.push((progress.batch_id, progress.output_rows));
    }
    Ok(batches)
}

async fn whole_way(bootstrap: &str) {
    let client = Client::connect(Config::new(bootstrap).unwrap()).await.unwrap();
    let topics = ["t", "copy"].map(|name| NewTopic::new(name).with_partitions(3));
    assert!(client.create_topics(&topics).await.iter().all(|made| made.is_ok()));
    let options =
        SinkOptions::from_pairs([("kafka.bootstrap.servers", bootstrap), ("topic", "t")]).unwrap();
    assert_eq!(batch_write(&options, rows(0..900)).await.unwrap().rows, 900);

    let all = |range: std::ops::Range<i32>| range.collect::<Vec<_>>();
    assert_eq!(read(bootstrap, "t", &[]).await.unwrap(), all(0..900));
    let pieces = [("minPartitions", "10"), ("kafka.isolation.level", "read_committed")];
    assert_eq!(read(bootstrap, "t", &pieces).await.unwrap(), all(0..900));
    let times = [("startingTimestamp", "1000300"), ("endingTimestamp", "1000600")];
    assert_eq!(read(bootstrap, "t", &times).await.unwrap(), all(300..600));
    let limits = [
        ("startingOffsets", r#"{"t":{"0":-2,"1":299,"2":300}}"#),
        ("endingOffsets", r#"{"t":{"0":2,"1":-1,"2":300}}"#),
    ];
    assert_eq!(read(bootstrap, "t", &limits).await.unwrap(), [0, 3, 898]);

    let dir = tempfile::tempdir().unwrap();
    let batches = copy(bootstrap, dir.path()).await.unwrap();
    assert_eq!(batches, [(0, 300), (1, 300), (2, 300)]);
    assert_eq!(batch_write(&options, rows(900..930)).await.unwrap().rows, 30);
    assert_eq!(copy(bootstrap, dir.path()).await.unwrap(), [(3, 30)]);
    assert!(copy(bootstrap, dir.path()).await.unwrap().is_empty());
    assert_eq!(read(bootstrap, "copy", &[]).await.unwrap(), all(0..930));
    assert_eq!(read(bootstrap, "copy", &times).await.unwrap(), all(300..600));
}

#[test]
fn a_real_cluster_serves_the_whole_way() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 1) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bootstrap = kafka.bootstrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(180), whole_way(&bootstrap)).await.unwrap();
    });
}
