//! A caller's own function as a sink: a batch's number and rows in, what it says was written out.

use std::fmt;
use std::future::Future;

use arrow_schema::SchemaRef;

use super::{Batch, RowStream, Sink, SinkFuture, Written};
use crate::error::Result;

/// Hands each batch to a function, as Spark's `foreachBatch` does.
///
/// A batch that was not committed comes again with the same number and the same rows: whoever keeps the number with
/// what was done, in one step, has done it once.
///
/// ```
/// use klamm_connector::sink::{ForeachBatch, Written, next_rows};
///
/// let sink = ForeachBatch::new(|batch, mut rows| async move {
///     let mut written = Written::default();
///     while let Some(rows) = next_rows(&mut rows).await {
///         // Put them where they belong, under the number `batch`.
///         written.rows += rows?.num_rows() as u64;
///     }
///     println!("batch {batch}: {} rows", written.rows);
///     Ok(written)
/// });
/// ```
pub struct ForeachBatch<F>(F);

impl<F, W> ForeachBatch<F>
where
    F: FnMut(i64, RowStream) -> W + Send,
    W: Future<Output = Result<Written>> + Send + 'static,
{
    /// A sink that calls `write` with the number and the rows of each batch.
    pub fn new(write: F) -> Self {
        Self(write)
    }
}

impl<F, W> Sink for ForeachBatch<F>
where
    F: FnMut(i64, RowStream) -> W + Send,
    W: Future<Output = Result<Written>> + Send + 'static,
{
    fn description(&self) -> String {
        "ForeachBatchSink".to_owned()
    }

    fn check(&self, _schema: &SchemaRef) -> Result<()> {
        Ok(())
    }

    fn write_batch<'a>(&'a mut self, mut batch: Batch<'a>) -> SinkFuture<'a> {
        Box::pin((self.0)(batch.id(), batch.rows()))
    }
}

impl<F> fmt::Debug for ForeachBatch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeachBatch")
    }
}
