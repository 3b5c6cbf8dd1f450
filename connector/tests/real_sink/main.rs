//! The sink against real Apache Kafka, where the embedded broker might be too kind: what may be written and where it
//! goes, what is refused, by whom, and what an error says of the rows before and after. One broker serves all tests; it
//! makes no topics by itself and has access rules.

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod kept;
mod rows;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use klamm_client::admin::NewTopic;
use klamm_client::{Client, Config};
use klamm_connector::error::{Error, Result};
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};
use klamm_connector::sink::{Written, batch_write, next_rows};
use klamm_connector::source::{ReadOrder, batch_read};
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, in_test};

/// The broker of all tests, or `None` after saying that they are skipped.
fn kafka() -> Option<&'static Kafka> {
    static KAFKA: OnceLock<Option<Kafka>> = OnceLock::new();
    let start = || {
        // Nobody is above the rules, and everybody may do what no rule is about.
        let config = KafkaConfig::version(apache::NEWEST)
            .property("auto.create.topics.enable", "false")
            .access_rules()
            .property("super.users", "User:nobody");
        in_test(Kafka::start(config))
    };
    KAFKA.get_or_init(start).as_ref()
}

/// What a test has of the broker.
struct Real {
    bootstrap: String,
    client: Client,
}

/// Runs a test that has two minutes.
fn on_kafka<F: Future<Output = ()>>(test: impl FnOnce(Real) -> F) {
    let Some(kafka) = kafka() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bootstrap = kafka.bootstrap();
        let client = Client::connect(Config::new(&bootstrap).unwrap()).await.unwrap();
        let real = Real { bootstrap, client };
        tokio::time::timeout(Duration::from_secs(120), test(real)).await.unwrap();
    });
}

impl Real {
    async fn topic(&self, name: &str, partitions: i32) {
        self.topic_with(NewTopic::new(name).with_partitions(partitions)).await;
    }

    async fn topic_with(&self, topic: NewTopic) {
        self.client.create_topics(&[topic]).await.remove(0).unwrap();
    }

    fn options(&self, pairs: &[(&str, &str)]) -> SinkOptions {
        let mut all = vec![("kafka.bootstrap.servers", self.bootstrap.as_str())];
        all.extend(pairs);
        SinkOptions::from_pairs(all).unwrap()
    }

    async fn write(&self, pairs: &[(&str, &str)], columns: Columns<'_>) -> Result<Written> {
        let rows = common::once(RecordBatch::try_from_iter(columns).unwrap());
        batch_write(&self.options(pairs), rows).await
    }

    /// The error as a user sees it.
    async fn refused(&self, pairs: &[(&str, &str)], columns: Columns<'_>) -> (Error, String) {
        let error = self.write(pairs, columns).await.unwrap_err();
        let text = error.to_string();
        (error, text)
    }

    /// All that a topic holds, in one batch, partition by partition.
    async fn batches(&self, topic: &str, more: &[(&str, &str)]) -> Vec<RecordBatch> {
        let mut pairs = vec![("kafka.bootstrap.servers", self.bootstrap.as_str())];
        pairs.extend([("subscribe", topic), ("includeHeaders", "true")]);
        pairs.extend(more);
        let options = SourceOptions::from_pairs(ReadMode::Batch, pairs).unwrap();
        let mut rows = batch_read(options, ReadOrder::ByPartition).await.unwrap();
        let mut all = Vec::new();
        while let Some(batch) = next_rows(&mut rows).await {
            all.push(batch.unwrap());
        }
        all
    }

    /// Partition, offset and value of all that a topic holds.
    async fn read(&self, topic: &str) -> Vec<common::Row> {
        self.batches(topic, &[]).await.iter().flat_map(common::plain).collect()
    }

    async fn values(&self, topic: &str) -> Vec<String> {
        self.read(topic).await.into_iter().map(|(.., value)| value.unwrap_or_default()).collect()
    }
}

/// Columns by name.
type Columns<'a> = Vec<(&'a str, ArrayRef)>;

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn nullable(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn ints(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

/// What an error says under a name.
fn told<'a>(error: &'a Error, name: &str) -> Option<&'a str> {
    error.context().find(|(one, _)| *one == name).map(|(_, value)| value)
}
