//! Where rows go: one trait for all sinks, and Kafka's.
//!
//! In comes a [`Batch`], its number and its rows; out comes how many were written, once all of them are safe.

use std::future::{Future, poll_fn, ready};
use std::num::NonZeroU32;
use std::pin::Pin;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures_core::Stream;

use crate::error::Result;

mod append;
mod at_least_once;
mod batch;
mod batch_write;
mod console;
mod exactly_once;
mod files;
mod foreach_batch;
mod pool;
mod records;
mod tally;
pub mod validate;
mod without_column;

pub use at_least_once::KafkaSink;
pub use batch::{Batch, QueryStart};
pub use batch_write::{BatchWrite, SaveMode, batch_write};
pub use console::ConsoleSink;
pub use exactly_once::{ExactlyOnceSettings, ExactlyOnceSink};
pub use files::{FileKind, FileSink};
pub use foreach_batch::ForeachBatch;
pub use pool::{PooledProducer, ProducerKey, ProducerPool};
pub use records::PlainRecord;
pub use without_column::WithoutColumn;

/// Rows on their way: Arrow batches of one schema, ended by the first error.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// What a sink gives back while it works: for a batch, how many rows are safe.
pub type SinkFuture<'a, T = Written> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What a batch left in the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Written {
    /// The rows that are safe.
    pub rows: u64,
    /// The bytes of their keys, values and headers.
    pub bytes: u64,
}

/// A place that takes batches.
///
/// A query calls `write_batch` for one batch after another, with ascending numbers, and commits a batch once the call
/// has succeeded. After a crash it calls again with the number of the batch that was not committed, and with the same
/// rows in it: a sink that recognises the number can leave out what it has, any other writes those rows twice.
pub trait Sink: Send {
    /// What progress shows, such as `kafka[topic=copy]`.
    fn description(&self) -> String;

    /// Checks that rows of this schema can be written, before any is read.
    ///
    /// # Errors
    /// `InvalidSchema`, naming the column.
    fn check(&self, schema: &SchemaRef) -> Result<()>;

    /// Prepares for a query, once, before its first batch is planned. Most sinks need none of it.
    ///
    /// # Errors
    /// Whatever keeps the sink from going on where the query stands; the query then does not start.
    fn start(&mut self, _query: QueryStart) -> SinkFuture<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    /// How many tasks a new batch is cut into, for sinks that write them one by one. The number is kept with the
    /// batch's plan, and a batch that runs again has the number that it was planned with.
    fn tasks(&self) -> Option<NonZeroU32> {
        None
    }

    /// Writes all rows of `batch`, and ends when they are safe.
    ///
    /// Dropping the future gives the batch up; some of its rows may then have been written.
    ///
    /// # Errors
    /// The first error of the rows, or of writing them. How many rows were written is in the error's context.
    fn write_batch<'a>(&'a mut self, batch: Batch<'a>) -> SinkFuture<'a>;
}

impl Sink for Box<dyn Sink> {
    fn description(&self) -> String {
        (**self).description()
    }

    fn check(&self, schema: &SchemaRef) -> Result<()> {
        (**self).check(schema)
    }

    fn start(&mut self, query: QueryStart) -> SinkFuture<'_, ()> {
        (**self).start(query)
    }

    fn tasks(&self) -> Option<NonZeroU32> {
        (**self).tasks()
    }

    fn write_batch<'a>(&'a mut self, batch: Batch<'a>) -> SinkFuture<'a> {
        (**self).write_batch(batch)
    }
}

/// The next batch of rows; `None` after the last. Dropping the future loses nothing.
pub async fn next_rows(rows: &mut RowStream) -> Option<Result<RecordBatch>> {
    poll_fn(|context| rows.as_mut().poll_next(context)).await
}

/// What progress shows of topics of Kafka.
fn description(topic: Option<&str>) -> String {
    topic.map_or_else(|| "kafka".to_owned(), |topic| format!("kafka[topic={topic}]"))
}
