//! Whatever gives Arrow batches one after another, as a stream: one boxed future for each batch, which is little beside
//! thousands of rows.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use futures_core::Stream;

use crate::error::Result;
use crate::sink::RowStream;

/// Gives Arrow batches one after another.
pub(crate) trait Batches: Send + 'static {
    /// The next batch, `None` at the end. Not asked again after that or after an error.
    fn next(&mut self) -> impl Future<Output = Option<Result<RecordBatch>>> + Send;
}

/// The batches as a stream. Nothing is asked for before the stream is polled.
pub(crate) fn rows(batches: impl Batches) -> RowStream {
    Box::pin(Rows::Idle(Box::new(batches)))
}

type Step<B> = Pin<Box<dyn Future<Output = (Box<B>, Option<Result<RecordBatch>>)> + Send>>;

/// The source between two batches, or on its way to one.
enum Rows<B> {
    Idle(Box<B>),
    Busy(Step<B>),
    Ended,
}

impl<B: Batches> Stream for Rows<B> {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut step = match std::mem::replace(&mut *self, Self::Ended) {
            Self::Ended => return Poll::Ready(None),
            Self::Busy(step) => step,
            Self::Idle(mut batches) => Box::pin(async move {
                let next = batches.next().await;
                (batches, next)
            }),
        };
        match step.as_mut().poll(context) {
            Poll::Pending => {
                *self = Self::Busy(step);
                Poll::Pending
            }
            Poll::Ready((batches, next)) => {
                if matches!(next, Some(Ok(_))) {
                    *self = Self::Idle(batches);
                }
                Poll::Ready(next)
            }
        }
    }
}
