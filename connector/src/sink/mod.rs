//! Where rows go: one trait for all sinks, and Kafka's.
//!
//! In comes a batch's number and its rows as a stream; out comes how many were written, once all of them are safe.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures_core::Stream;

use crate::error::Result;

pub mod validate;
mod without_column;
mod writer;

pub use without_column::WithoutColumn;
pub use writer::{KafkaSink, batch_write};

/// Rows on their way: Arrow batches of one schema, ended by the first error.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// What a sink gives back for a batch while it works.
pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<Written>> + Send + 'a>>;

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

    /// Writes all of `rows`, and ends when they are safe.
    ///
    /// Dropping the future gives the batch up; some of its rows may then have been written.
    ///
    /// # Errors
    /// The first error of `rows`, or of writing them. How many rows were written is in the error's context.
    fn write_batch(&mut self, batch_id: i64, rows: RowStream) -> SinkFuture<'_>;
}

/// The next batch of rows; `None` after the last. Dropping the future loses nothing.
pub async fn next_rows(rows: &mut RowStream) -> Option<Result<RecordBatch>> {
    poll_fn(|context| rows.as_mut().poll_next(context)).await
}
