//! A reader as a stream: one boxed future for each Arrow batch, which is little beside thousands of rows.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use futures_core::Stream;

use super::reader::RowReader;
use crate::error::Result;
use crate::sink::RowStream;

type Step = Pin<Box<dyn Future<Output = (RowReader, Option<Result<RecordBatch>>)> + Send>>;

/// The reader between two batches, or on its way to one.
enum Rows {
    Idle(Box<RowReader>),
    Busy(Step),
    Ended,
}

/// The rows of a reader. Nothing is contacted before the stream is polled.
pub(super) fn rows(reader: RowReader) -> RowStream {
    Box::pin(Rows::Idle(Box::new(reader)))
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut step = match std::mem::replace(&mut *self, Self::Ended) {
            Self::Ended => return Poll::Ready(None),
            Self::Busy(step) => step,
            Self::Idle(mut reader) => Box::pin(async move {
                let rows = reader.next().await;
                (*reader, rows)
            }),
        };
        match step.as_mut().poll(context) {
            Poll::Pending => {
                *self = Self::Busy(step);
                Poll::Pending
            }
            Poll::Ready((reader, rows)) => {
                if rows.is_some() {
                    *self = Self::Idle(Box::new(reader));
                }
                Poll::Ready(rows)
            }
        }
    }
}
