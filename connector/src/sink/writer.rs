//! Kafka as a sink: rows are appended to an idempotent producer, and a batch is done when every one of them is
//! acknowledged.
//!
//! Rows are sent while others are still read. The first that fails ends the batch, but only after the outcome of all
//! that were appended is known, so that the error can say how many were written. At-least-once: a batch that failed is
//! written again from its first row.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use klamm_client::producer::{Delivery, Producer, ProducerOptions, Ticket};
use klamm_client::{Client, Config, ErrorKind as ClientErrorKind};

use super::validate::validate;
use super::{Batch, RowStream, Sink, SinkFuture, Written, next_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::options::SinkOptions;
use crate::rows::{Row, RowSource};

/// Topics of a cluster, written to.
#[derive(Debug)]
pub struct KafkaSink {
    client: Client,
    topic: Option<String>,
    /// Made for the first row, so that a sink without one asks nothing of a cluster.
    producer: Option<Producer>,
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
        let pairs = options.client().iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let client = Client::connect(Config::from_properties(pairs)?).await?;
        Ok(Self::new(client, options.topic()))
    }

    /// A sink on a client that is connected already; `topic` is stronger than a column of that name.
    pub fn new(client: Client, topic: Option<&str>) -> Self {
        Self { client, topic: topic.map(str::to_owned), producer: None }
    }

    async fn write(&mut self, mut rows: RowStream) -> Result<Written> {
        let mut tally = Tally::default();
        let outcome = self.append_all(&mut rows, &mut tally).await;
        if let Some(producer) = &self.producer {
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

    async fn append_all(&mut self, rows: &mut RowStream, tally: &mut Tally) -> Result<()> {
        let mut checked: Option<SchemaRef> = None;
        while let Some(batch) = next_rows(rows).await {
            let batch = batch?;
            if checked.as_ref() != Some(batch.schema_ref()) {
                self.check(batch.schema_ref())?;
                checked = Some(batch.schema());
            }
            self.append_batch(&batch, tally).await?;
        }
        Ok(())
    }

    async fn append_batch(&mut self, batch: &RecordBatch, tally: &mut Tally) -> Result<()> {
        let rows = RowSource::new(batch, self.topic.as_deref())?;
        if rows.is_empty() {
            return Ok(());
        }
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => {
                let options = ProducerOptions::from_config(self.client.config());
                none.insert(self.client.producer(options)?)
            }
        };
        let now = now_ms();
        for index in 0..rows.len() {
            let number = tally.appended + 1;
            let row = rows.row(index).map_err(|e| e.with_context("row", number))?;
            let ticket = producer.append(row.topic, row.partition, row.parts(now)).await;
            let ticket = ticket.map_err(|e| refused(e, number))?;
            tally.add(ticket, size_of(&row));
            if tally.failure.is_some() {
                break;
            }
        }
        match &tally.failure {
            // The failure itself is kept: more of what was appended may yet turn out to be written.
            Some(_) => Err(Error::new(ErrorKind::Client, "a row was not written")),
            None => Ok(()),
        }
    }
}

impl Sink for KafkaSink {
    fn description(&self) -> String {
        match &self.topic {
            Some(topic) => format!("kafka[topic={topic}]"),
            None => "kafka".to_owned(),
        }
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

/// What became of the rows of a batch so far.
#[derive(Default)]
struct Tally {
    appended: u64,
    /// The rows without an outcome yet, with their numbers and sizes. The producer's memory bounds them.
    open: VecDeque<(u64, u64, Ticket)>,
    written: Written,
    failure: Option<Error>,
}

impl Tally {
    fn add(&mut self, ticket: Ticket, bytes: u64) {
        self.appended += 1;
        self.open.push_back((self.appended, bytes, ticket));
        // Looking now and then keeps the queue short and finds a failure early.
        if self.appended.is_multiple_of(LOOK_EVERY) {
            self.settle_ready();
        }
    }

    fn settle_ready(&mut self) {
        while let Some((row, bytes, delivery)) =
            self.open.front().and_then(|(row, bytes, ticket)| Some((*row, *bytes, ticket.poll()?)))
        {
            self.open.pop_front();
            self.count(row, bytes, delivery);
        }
    }

    async fn settle_all(&mut self) {
        while let Some((row, bytes, ticket)) = self.open.pop_front() {
            let delivery = ticket.delivered().await;
            self.count(row, bytes, delivery);
        }
    }

    fn count(&mut self, row: u64, bytes: u64, delivery: Delivery) {
        let error = match delivery {
            Delivery::Written { .. } => {
                self.written.rows += 1;
                self.written.bytes += bytes;
                return;
            }
            Delivery::NotWritten(error) => refused(error, row),
            Delivery::Unknown(error) => unknown(error, row),
            _ => Error::new(ErrorKind::OutcomeUnknown, "It is not known whether a row was written"),
        };
        // That a row may be there although the batch failed is worth more than that another is not.
        let stronger = error.kind() == ErrorKind::OutcomeUnknown;
        let kept = self.failure.as_ref().map(Error::kind);
        if kept.is_none() || (stronger && kept != Some(ErrorKind::OutcomeUnknown)) {
            self.failure = Some(error);
        }
    }
}

/// A row that is certainly not written.
fn refused(error: klamm_client::Error, row: u64) -> Error {
    let ours = match error.kind() {
        ClientErrorKind::Usage if error.context("partitions").is_some() => {
            let message = format!(
                "{error}; the column 'partition' asks for it: give the topic as many partitions, or leave the column out"
            );
            Error::new(ErrorKind::InvalidRow, message).with_source(error)
        }
        ClientErrorKind::TooLarge => {
            Error::new(ErrorKind::InvalidRow, error.to_string()).with_source(error)
        }
        _ => Error::from(error),
    };
    ours.with_context("row", row)
}

fn unknown(error: klamm_client::Error, row: u64) -> Error {
    let message = format!("It is not known whether a row was written: {error}");
    Error::new(ErrorKind::OutcomeUnknown, message).with_source(error).with_context("row", row)
}

/// The bytes that count as written: key, value and headers.
fn size_of(row: &Row<'_>) -> u64 {
    let headers = row.headers.clone();
    let headers = headers.map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len));
    let parts = row.key.map_or(0, <[u8]>::len) + row.value.map_or(0, <[u8]>::len);
    (parts + headers.sum::<usize>()) as u64
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How many rows are appended between two looks at what was acknowledged.
const LOOK_EVERY: u64 = 256;
