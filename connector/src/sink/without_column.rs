//! A sink that leaves a column out. Rows in, the same rows without it to the sink behind.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use futures_core::Stream;

use super::{Batch, QueryStart, RowStream, Sink, SinkFuture};
use crate::error::Result;

/// Writes rows without one of their columns.
///
/// Without `partition`, for example, the partitioner chooses: right where the target has other partitions than the
/// source, since a row whose column names a partition goes there or fails.
#[derive(Debug)]
pub struct WithoutColumn<S> {
    sink: S,
    column: &'static str,
}

impl<S: Sink> WithoutColumn<S> {
    /// What `sink` gets has no column of this name.
    pub fn new(sink: S, column: &'static str) -> Self {
        Self { sink, column }
    }
}

impl<S: Sink> Sink for WithoutColumn<S> {
    fn description(&self) -> String {
        self.sink.description()
    }

    fn check(&self, schema: &SchemaRef) -> Result<()> {
        let kept = schema.fields().iter().filter(|field| field.name() != self.column).cloned();
        self.sink.check(&Arc::new(Schema::new(kept.collect::<Vec<_>>())))
    }

    fn start(&mut self, query: QueryStart) -> SinkFuture<'_, ()> {
        self.sink.start(query)
    }

    fn tasks(&self) -> Option<NonZeroU32> {
        self.sink.tasks()
    }

    fn write_batch<'a>(&'a mut self, batch: Batch<'a>) -> SinkFuture<'a> {
        let column = self.column;
        self.sink.write_batch(batch.map_rows(move |rows| Box::pin(Without { rows, column })))
    }
}

struct Without {
    rows: RowStream,
    column: &'static str,
}

impl Stream for Without {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut polled = self.rows.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Ok(rows))) = &mut polled
            && let Ok(at) = rows.schema_ref().index_of(self.column)
        {
            rows.remove_column(at);
        }
        polled
    }
}
