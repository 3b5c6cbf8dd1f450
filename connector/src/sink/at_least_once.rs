//! Kafka as a sink, at least once: rows are appended to an idempotent producer, and a batch is done when every one of
//! them is acknowledged.
//!
//! The first row that fails ends the batch, but only after the outcome of all that were appended is known, so that the
//! error can say how many were written. A batch that failed is written again from its first row.

use arrow_schema::SchemaRef;
use klamm_client::Client;
use klamm_client::producer::{Producer, ProducerOptions, Ticket};

use super::append::{Takes, append_all};
use super::tally::Tally;
use super::validate::validate;
use super::{Batch, RowStream, Sink, SinkFuture, Written, description};
use crate::error::Result;
use crate::options::SinkOptions;
use crate::rows::Row;
use crate::tokens::connect;

/// Topics of a cluster, written to.
#[derive(Debug)]
pub struct KafkaSink {
    topic: Option<String>,
    producer: WhenNeeded,
}

/// A producer that is made for the first row, so that a sink without one asks nothing of a cluster.
#[derive(Debug)]
struct WhenNeeded {
    client: Client,
    producer: Option<Producer>,
}

impl Takes for WhenNeeded {
    async fn take(&mut self, row: &Row<'_>, now: i64) -> klamm_client::Result<Ticket> {
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => {
                let options = ProducerOptions::from_config(self.client.config());
                none.insert(self.client.producer(options)?)
            }
        };
        producer.take(row, now).await
    }
}

/// Writes all of `rows` and ends when they are safe.
///
/// # Errors
/// `InvalidOption` before anything is contacted; `InvalidSchema`; as [`KafkaSink::write_batch`](Sink::write_batch).
/// Dropping the future leaves what was sent by then.
pub async fn batch_write(options: &SinkOptions, rows: RowStream) -> Result<Written> {
    KafkaSink::connect(options).await?.write(rows).await
}

impl KafkaSink {
    /// Connects to the cluster that the options name.
    ///
    /// # Errors
    /// `InvalidOption` for an option of the client, before anything is contacted; `Client` when nobody answers.
    /// Dropping the future leaves nothing behind.
    pub async fn connect(options: &SinkOptions) -> Result<Self> {
        options.check_at_least_once()?;
        let client = connect(options.client(), options.tokens()).await?;
        Ok(Self::new(client, options.topic()))
    }

    /// A sink on a client that is connected already; `topic` is stronger than a column of that name.
    pub fn new(client: Client, topic: Option<&str>) -> Self {
        let producer = WhenNeeded { client, producer: None };
        Self { topic: topic.map(str::to_owned), producer }
    }

    async fn write(&mut self, mut rows: RowStream) -> Result<Written> {
        let mut tally = Tally::default();
        let topic = self.topic.as_deref();
        let outcome = append_all(&mut rows, topic, &mut self.producer, &mut tally).await;
        if let Some(producer) = &self.producer.producer {
            // What it tells is told by the tickets as well, and by them row by row.
            let _ = producer.flush().await;
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
