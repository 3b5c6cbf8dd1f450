//! What became of a record. In: the outcome of a batch, once; out: the outcome of each of its
//! records to whoever holds a ticket. One allocation per batch, none per record.

use std::sync::{Arc, OnceLock};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::session::produce::{Outcome, Reason};
use tokio::sync::Notify;

use crate::error::{Error, ErrorKind};

/// A claim on the outcome of one record. Cheap to clone; dropping it gives up nothing but the
/// answer.
#[derive(Clone, Debug)]
#[must_use = "await delivered(), or flush the producer, to know what became of the record"]
pub struct Ticket {
    batch: Arc<BatchFate>,
    index: u32,
}

/// What became of a record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// It is in the log, once.
    Written {
        /// Its offset. Unknown with `acks=0`, and in the rare case that a broker knew a retry for a
        /// duplicate but not its place.
        offset: Option<i64>,
        /// The time the broker gave it in milliseconds since 1970, where the topic keeps that
        /// instead of the record's own.
        append_time: Option<i64>,
    },
    /// It is not in the log and never will be.
    NotWritten(Error),
    /// It may be in the log, now or later: nobody can know. Writing it again may write it twice.
    Unknown(Error),
}

impl Ticket {
    pub(super) fn new(batch: Arc<BatchFate>, index: u32) -> Self {
        Self { batch, index }
    }

    /// Waits until the record's outcome is certain, or certain to be unknown: at most
    /// `delivery.timeout.ms` after it was appended, while the runtime of its producer runs. Cancel
    /// safe; may be called again.
    pub async fn delivered(&self) -> Delivery {
        let settled = self.batch.settled().await;
        settled.of(self.index)
    }

    /// The outcome, if it is there. Never blocks.
    pub fn poll(&self) -> Option<Delivery> {
        self.batch.outcome.get().map(|settled| settled.of(self.index))
    }

    /// The record's place in its batch, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl Delivery {
    /// Whether it is certain that the record is in the log.
    pub fn is_written(&self) -> bool {
        matches!(self, Self::Written { .. })
    }

    /// The offset, or the error of one that is not or not certainly written.
    pub fn into_result(self) -> Result<Option<i64>, Error> {
        match self {
            Self::Written { offset, .. } => Ok(offset),
            Self::NotWritten(error) | Self::Unknown(error) => Err(error),
        }
    }
}

/// The outcome that all tickets of a batch wait for.
#[derive(Debug, Default)]
pub(super) struct BatchFate {
    outcome: OnceLock<Settled>,
    notify: Notify,
}

/// The outcome of a batch.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    Written { base_offset: Option<i64>, append_time: Option<i64> },
    NotWritten(Error),
    Unknown(Error),
}

impl BatchFate {
    /// Tells the outcome; a second one is ignored.
    pub(super) fn settle(&self, settled: Settled) {
        let _ = self.outcome.set(settled);
        self.notify.notify_waiters();
    }

    async fn settled(&self) -> &Settled {
        loop {
            let notified = self.notify.notified();
            if let Some(settled) = self.outcome.get() {
                return settled;
            }
            notified.await;
        }
    }
}

impl Settled {
    /// What the produce machine says about a batch of this partition, in the client's words.
    /// `last`: the last failure that the connections told, which explains an expiry.
    pub(super) fn of_outcome(
        outcome: Outcome,
        topic: &str,
        partition: i32,
        last: Option<&Error>,
    ) -> Self {
        match outcome {
            Outcome::Written { base_offset, append_time } => {
                Self::Written { base_offset, append_time }
            }
            Outcome::Refused { code, message } => {
                let error = Error::broker(code).at(topic, partition);
                let error = match message {
                    Some(words) => error.with("broker_says", words),
                    None => error,
                };
                Self::NotWritten(if too_large(code) { error.with_hint(SPLIT) } else { error })
            }
            Outcome::NotWritten(reason) => {
                let error = Error::new(ErrorKind::TimedOut, "the record was not written")
                    .with("because", reason);
                Self::NotWritten(explained(error.at(topic, partition), &reason, last))
            }
            Outcome::Unknown(reason) => {
                let error = Error::new(
                    ErrorKind::OutcomeUnknown,
                    "nobody can know whether the record was written",
                );
                Self::Unknown(explained(
                    error.with("because", reason).at(topic, partition),
                    &reason,
                    last,
                ))
            }
            _ => Self::Unknown(Error::new(
                ErrorKind::Internal,
                "an outcome that the client does not know",
            )),
        }
    }

    /// The error of a batch that was not, or not certainly, written.
    pub(super) fn error(&self) -> Option<&Error> {
        match self {
            Self::Written { .. } => None,
            Self::NotWritten(error) | Self::Unknown(error) => Some(error),
        }
    }

    fn of(&self, index: u32) -> Delivery {
        match self {
            Self::Written { base_offset, append_time } => Delivery::Written {
                offset: base_offset.and_then(|base| base.checked_add(i64::from(index))),
                append_time: *append_time,
            },
            Self::NotWritten(error) => Delivery::NotWritten(error.clone()),
            Self::Unknown(error) => Delivery::Unknown(error.clone()),
        }
    }
}

fn too_large(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE)
}

fn explained(error: Error, reason: &Reason, last: Option<&Error>) -> Error {
    let error = match reason {
        Reason::Expired(_) => error.with_hint("check the brokers, or raise delivery.timeout.ms"),
        _ => error,
    };
    match last {
        Some(last) => error.with_source(last.clone()),
        None => error,
    }
}

const SPLIT: &str =
    "batches are not split yet: lower batch.size, or raise the topic's max.message.bytes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_cannot_be_is_not_told() {
        let written = |base| Settled::Written { base_offset: Some(base), append_time: None };
        let offset = |base, index| match written(base).of(index) {
            Delivery::Written { offset, .. } => offset,
            other => panic!("{other:?}"),
        };
        assert_eq!(offset(7, 2), Some(9));
        assert_eq!((offset(i64::MAX, 0), offset(i64::MAX, 1)), (Some(i64::MAX), None));
    }
}
