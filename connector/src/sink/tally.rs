//! What became of the rows of a batch: a ticket for each goes in, and out comes how many are safe and what failed.

use std::collections::VecDeque;

use klamm_client::ErrorKind as ClientErrorKind;
use klamm_client::producer::{Delivery, Ticket};
use klamm_protocol::code::ErrorCode;

use super::Written;
use crate::error::{Error, ErrorKind};
use crate::rows::Row;

/// What became of the rows of a batch so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) appended: u64,
    appended_bytes: u64,
    /// The rows without an outcome yet, with their numbers and sizes. The producer's memory bounds them.
    open: VecDeque<(u64, u64, Ticket)>,
    pub(super) written: Written,
    pub(super) failure: Option<Error>,
}

impl Tally {
    pub(super) fn add(&mut self, ticket: Ticket, bytes: u64) {
        self.appended += 1;
        self.appended_bytes += bytes;
        self.open.push_back((self.appended, bytes, ticket));
        // Looking now and then keeps the queue short and finds a failure early.
        if self.appended.is_multiple_of(LOOK_EVERY) {
            self.settle_ready();
        }
    }

    /// All rows so far, safe or not.
    pub(super) fn appended_so_far(&self) -> Written {
        Written { rows: self.appended, bytes: self.appended_bytes }
    }

    pub(super) fn settle_ready(&mut self) {
        while let Some((row, bytes, delivery)) =
            self.open.front().and_then(|(row, bytes, ticket)| Some((*row, *bytes, ticket.poll()?)))
        {
            self.open.pop_front();
            self.count(row, bytes, delivery);
        }
    }

    pub(super) async fn settle_all(&mut self) {
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
pub(super) fn refused(error: klamm_client::Error, row: u64) -> Error {
    let ours = match error.kind() {
        ClientErrorKind::Usage if error.context("partitions").is_some() => {
            let message = format!(
                "{error}; the column 'partition' asks for it: give the topic as many partitions, or leave the column out"
            );
            Error::new(ErrorKind::InvalidRow, message).with_source(error)
        }
        _ if error.kind() == ClientErrorKind::TooLarge
            || error.code() == Some(ErrorCode::MESSAGE_TOO_LARGE) =>
        {
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
pub(super) fn size_of(row: &Row<'_>) -> u64 {
    let headers = row.headers.clone();
    let headers = headers.map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len));
    let parts = row.key.map_or(0, <[u8]>::len) + row.value.map_or(0, <[u8]>::len);
    (parts + headers.sum::<usize>()) as u64
}

/// How many rows are appended between two looks at what was acknowledged.
const LOOK_EVERY: u64 = 256;
