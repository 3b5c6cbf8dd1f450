//! An embedded cluster whose logs a test fills by hand, and rows in a form that compares well.
#![allow(dead_code, reason = "each test binary uses its part")]

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array as _, RecordBatch};
use klamm_connector::error::Result;
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};
use klamm_connector::sink::{RowStream, next_rows};
use klamm_connector::source::{BatchRead, ReadOrder};
use klamm_protocol::records::{BatchBuilder, BatchOptions, ProducerStamp, RawBatch, RecordParts};
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::{DoorConfig, EmbeddedCluster};

/// A running cluster with two brokers.
pub(crate) struct World {
    pub(crate) cluster: EmbeddedCluster,
}

/// A row: partition, offset, value as text, `None` for null.
pub(crate) type Row = (i32, i64, Option<String>);

impl World {
    /// A cluster with these topics and their numbers of partitions.
    pub(crate) async fn new(topics: &[(&str, i32)]) -> Self {
        let cluster = ClusterConfig { brokers: 2, auto_create: false, ..ClusterConfig::default() };
        let config = DoorConfig { cluster, ..DoorConfig::from(ClusterConfig::default()) };
        let world = Self { cluster: EmbeddedCluster::start(config).await.unwrap() };
        for (name, partitions) in topics {
            world.create(name, *partitions);
        }
        world
    }

    pub(crate) fn create(&self, topic: &str, partitions: i32) {
        self.cluster.with(|cluster| cluster.create_topic(topic, partitions, 1)).unwrap();
    }

    pub(crate) fn delete(&self, topic: &str) {
        assert!(self.cluster.with(|cluster| cluster.delete_topic(topic)));
    }

    /// Appends one batch with these values, all at `timestamp`.
    pub(crate) fn append(&self, topic: &str, partition: i32, timestamp: i64, values: &[&str]) {
        self.append_as(topic, partition, timestamp, values, None);
    }

    /// Appends a batch that is part of a producer's open transaction.
    pub(crate) fn append_open(
        &self,
        topic: &str,
        producer_id: i64,
        sequence: i32,
        values: &[&str],
    ) {
        let stamp =
            ProducerStamp { producer_id, epoch: 0, base_sequence: sequence, transactional: true };
        self.append_as(topic, 0, 1, values, Some(stamp));
    }

    /// Ends a producer's transaction.
    pub(crate) fn end_transaction(&self, topic: &str, producer_id: i64, commit: bool) {
        let mark = |log: &mut klamm_testkit::log::PartitionLog| {
            log.append_marker(producer_id, 0, commit, 0, 1)
        };
        self.cluster.with(|cluster| cluster.edit_log(topic, 0, mark)).unwrap();
    }

    fn append_as(
        &self,
        topic: &str,
        partition: i32,
        timestamp: i64,
        values: &[&str],
        stamp: Option<ProducerStamp>,
    ) {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for value in values {
            let key = format!("k{value}");
            let parts = RecordParts::new(timestamp, Some(key.as_bytes()), Some(value.as_bytes()));
            builder.try_push(&parts).unwrap();
        }
        let mut batch = builder.seal();
        if let Some(stamp) = stamp {
            batch.stamp(stamp);
        }
        let bytes = batch.to_bytes();
        self.cluster
            .with(|cluster| cluster.edit_log(topic, partition, |log| log.append(&bytes, 0, 1)))
            .unwrap();
    }

    /// Appends one record at an offset beyond the end, as where the cleaner has removed what was between.
    pub(crate) fn append_at(&self, topic: &str, partition: i32, offset: i64, value: &str) {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.try_push(&RecordParts::new(1, None, Some(value.as_bytes()))).unwrap();
        let batch = RawBatch::read(builder.seal().to_bytes()).unwrap().appended(offset, 0, None);
        let append = |log: &mut klamm_testkit::log::PartitionLog| log.append_as_is(batch.bytes());
        self.cluster.with(|cluster| cluster.edit_log(topic, partition, append)).unwrap();
    }

    /// Removes the records below `offset`.
    pub(crate) fn expire(&self, topic: &str, partition: i32, offset: i64) {
        self.cluster
            .with(|cluster| cluster.edit_log(topic, partition, |log| log.delete_records(offset)))
            .unwrap();
    }

    pub(crate) fn options(&self, mode: ReadMode, pairs: &[(&str, &str)]) -> Result<SourceOptions> {
        let bootstrap = self.cluster.bootstrap();
        let mut all = vec![
            ("kafka.bootstrap.servers", bootstrap.as_str()),
            ("fetchOffset.retryIntervalMs", "10"),
            ("kafkaConsumer.pollTimeoutMs", "1000"),
        ];
        all.extend(pairs);
        SourceOptions::from_pairs(mode, all)
    }

    pub(crate) async fn plan(&self, pairs: &[(&str, &str)]) -> Result<BatchRead> {
        BatchRead::plan(self.options(ReadMode::Batch, pairs)?).await
    }

    /// A whole batch read, partition by partition.
    pub(crate) async fn read(&self, pairs: &[(&str, &str)]) -> Result<Vec<Row>> {
        collect(self.plan(pairs).await?.rows(ReadOrder::ByPartition)).await
    }

    /// The values of a whole batch read.
    pub(crate) async fn values(&self, pairs: &[(&str, &str)]) -> Result<Vec<String>> {
        let rows = self.read(pairs).await?;
        Ok(rows.into_iter().map(|(_, _, value)| value.unwrap_or_default()).collect())
    }
}

/// All rows of a stream.
pub(crate) async fn collect(mut rows: RowStream) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    while let Some(batch) = next_rows(&mut rows).await {
        all.extend(plain(&batch?));
    }
    Ok(all)
}

/// The rows of a batch.
pub(crate) fn plain(batch: &RecordBatch) -> Vec<Row> {
    let values = batch.column_by_name("value").unwrap().as_binary_view();
    let partitions = batch.column_by_name("partition").unwrap().as_primitive::<Int32Type>();
    let offsets = batch.column_by_name("offset").unwrap().as_primitive::<Int64Type>();
    let value =
        |row| values.is_valid(row).then(|| String::from_utf8_lossy(values.value(row)).into_owned());
    (0..batch.num_rows())
        .map(|row| (partitions.value(row), offsets.value(row), value(row)))
        .collect()
}

/// `["0", "1", ...]` below `end`, from `start`.
pub(crate) fn numbers(start: i32, end: i32) -> Vec<String> {
    (start..end).map(|n| n.to_string()).collect()
}

/// Borrowed, as the appending functions want them.
pub(crate) fn refs(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

/// The sink's options for this cluster.
pub(crate) fn pair_options(world: &World, pairs: &[(&str, &str)]) -> SinkOptions {
    let bootstrap = world.cluster.bootstrap();
    let mut all = vec![("kafka.bootstrap.servers", bootstrap.as_str())];
    all.extend(pairs);
    SinkOptions::from_pairs(all).unwrap()
}

/// Things of any kind as a stream.
pub(crate) struct Given<T>(std::vec::IntoIter<T>);

impl<T> Given<T> {
    pub(crate) fn new(things: Vec<T>) -> Self {
        Self(things.into_iter())
    }
}

impl<T: Unpin> futures_core::Stream for Given<T> {
    type Item = Result<T>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next().map(Ok))
    }
}

/// One batch as a stream of rows.
pub(crate) fn once(batch: RecordBatch) -> RowStream {
    Box::pin(Given::new(vec![batch]))
}

/// A stream that ends when its sender is dropped.
pub(crate) struct Fed<T>(tokio::sync::mpsc::Receiver<Result<T>>);

pub(crate) fn channel<T>() -> (tokio::sync::mpsc::Sender<Result<T>>, Fed<T>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    (sender, Fed(receiver))
}

impl<T> futures_core::Stream for Fed<T> {
    type Item = Result<T>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
