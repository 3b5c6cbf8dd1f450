//! Kafka as a sink, at least once: rows are appended to an idempotent producer, and a batch is done when every one of
//! them is acknowledged.
//!
//! The first row that fails ends the batch, but only after the outcome of all that were appended is known, so that the
//! error can say how many were written. A batch that failed is written again from its first row.

use arrow_schema::SchemaRef;
use klamm_client::producer::{CustomPartitioner, ProducerOptions, Ticket};
use klamm_client::{Client, Config};

use super::append::{Takes, append_all, append_records};
use super::pool::{PooledProducer, ProducerKey, ProducerPool};
use super::records::RecordStream;
use super::tally::Tally;
use super::validate::validate;
use super::{Batch, RowStream, Sink, SinkFuture, Written, description};
use crate::error::Result;
use crate::options::{ProducerPoolOptions, SinkOptions};
use crate::rows::Row;

/// Topics of a cluster, written to.
///
/// Its producer comes from a pool and goes back to it after each batch: one that is not used for
/// `spark.kafka.producer.cache.timeout` is closed, and the next batch makes a new one.
#[derive(Debug)]
pub struct KafkaSink {
    topic: Option<String>,
    producers: Producers,
}

/// Where the sink's producers come from.
#[derive(Debug)]
struct Producers {
    client: Client,
    pool: ProducerPool,
    key: ProducerKey,
    partitioner: Option<CustomPartitioner>,
}

/// A producer that is asked for by the first row, so that a batch without one asks nothing of a cluster. Dropped, it
/// goes back to the pool.
struct WhenNeeded<'a> {
    from: &'a Producers,
    held: Option<PooledProducer>,
}

impl Takes for WhenNeeded<'_> {
    async fn take(&mut self, row: &Row<'_>, now: i64) -> klamm_client::Result<Ticket> {
        let held = match &mut self.held {
            Some(held) => held,
            none => none.insert(self.from.acquire()?),
        };
        held.producer().append(row.topic, row.partition, row.parts(now)).await
    }
}

impl Producers {
    fn acquire(&self) -> klamm_client::Result<PooledProducer> {
        self.pool.acquire(&self.key, || {
            let mut options = ProducerOptions::from_config(self.client.config());
            options.partitioner = self.partitioner.clone();
            self.client.producer(options)
        })
    }

    fn when_needed(&self) -> WhenNeeded<'_> {
        WhenNeeded { from: self, held: None }
    }
}

impl WhenNeeded<'_> {
    /// Waits for the outcome of every row, and gives the producer back.
    async fn settle(self, outcome: Result<()>, mut tally: Tally) -> Result<Written> {
        if let Some(held) = &self.held {
            // What it tells is told by the tickets as well, and by them row by row.
            let _ = held.producer().flush().await;
        }
        tally.settle_all().await;
        let error = match (tally.failure.take(), outcome) {
            (None, Ok(())) => return Ok(tally.written),
            (Some(failure), _) => failure,
            (None, Err(error)) => error,
        };
        Err(error.with_context("rows written", tally.written.rows))
    }
}

impl KafkaSink {
    /// Connects to the cluster that the options name, with a pool of its own.
    ///
    /// # Errors
    /// `InvalidOption` for an option of the client, before anything is contacted; `Client` when nobody answers.
    /// Dropping the future leaves nothing behind.
    pub async fn connect(options: &SinkOptions) -> Result<Self> {
        Self::connect_in(options, &ProducerPool::new(&options.producer_pool())).await
    }

    /// Connects to the cluster that the options name. All sinks of a pool that are given the same options of the client
    /// write with one producer.
    ///
    /// # Errors
    /// As [`KafkaSink::connect`]. Dropping the future leaves nothing behind.
    pub async fn connect_in(options: &SinkOptions, pool: &ProducerPool) -> Result<Self> {
        options.check_at_least_once()?;
        let pairs = options.client().iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let client = Client::connect(Config::from_properties(pairs)?).await?;
        Ok(Self::of(client, options.topic(), pool.clone(), ProducerKey::of(options)))
    }

    /// A sink on a client that is connected already, with a pool of its own; `topic` is stronger than a column of that
    /// name.
    pub fn new(client: Client, topic: Option<&str>) -> Self {
        let pool = ProducerPool::new(&ProducerPoolOptions::default());
        Self::of(client, topic, pool, ProducerKey::new::<String, String>([]))
    }

    /// A sink on a client that was connected with these options, with a pool of its own.
    pub fn on(client: Client, options: &SinkOptions) -> Self {
        let pool = ProducerPool::new(&options.producer_pool());
        Self::of(client, options.topic(), pool, ProducerKey::of(options))
    }

    fn of(client: Client, topic: Option<&str>, pool: ProducerPool, key: ProducerKey) -> Self {
        let producers = Producers { client, pool, key, partitioner: None };
        Self { topic: topic.map(str::to_owned), producers }
    }

    /// Has `partitioner` choose for rows whose column `partition` is null or absent.
    #[must_use]
    pub fn with_partitioner(mut self, partitioner: impl Into<CustomPartitioner>) -> Self {
        let partitioner = Some(partitioner.into());
        self.producers.key = self.producers.key.with_partitioner(partitioner.clone());
        self.producers.partitioner = partitioner;
        self
    }

    /// The pool that its producer comes from.
    pub fn pool(&self) -> &ProducerPool {
        &self.producers.pool
    }

    pub(super) async fn write(&mut self, mut rows: RowStream) -> Result<Written> {
        let (mut into, mut tally) = (self.producers.when_needed(), Tally::default());
        let topic = self.topic.as_deref();
        let outcome = append_all(&mut rows, topic, &mut into, &mut tally).await;
        into.settle(outcome, tally).await
    }

    pub(super) async fn write_records(&mut self, mut records: RecordStream) -> Result<Written> {
        let (mut into, mut tally) = (self.producers.when_needed(), Tally::default());
        let topic = self.topic.as_deref();
        let outcome = append_records(&mut records, topic, &mut into, &mut tally).await;
        into.settle(outcome, tally).await
    }
}

impl Sink for KafkaSink {
    fn description(&self) -> String {
        description(self.topic.as_deref())
    }

    fn check(&self, schema: &SchemaRef) -> Result<()> {
        validate(schema, self.topic.as_deref())
    }

    /// Appends the rows in their order and waits until every one is acknowledged.
    ///
    /// Errors: the first of the rows; `InvalidSchema`; `InvalidRow` or `Client` with the row's number in the batch, from
    /// 1; `OutcomeUnknown` if it can't be known whether a row was written. The context says how many were.
    fn write_batch<'a>(&'a mut self, mut batch: Batch<'a>) -> SinkFuture<'a> {
        Box::pin(self.write(batch.rows()))
    }
}
