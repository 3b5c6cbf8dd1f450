//! Rows on their way into a producer, in order: Arrow batches or plain records in, a ticket for each row to the tally.
//!
//! Rows are sent while others are still read. The first that fails ends it.

use std::future::{Future, poll_fn};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use klamm_client::producer::Ticket;

use super::records::RecordStream;
use super::tally::{Tally, refused, size_of};
use super::validate::validate;
use super::{RowStream, next_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::rows::{Row, RowSource};

/// What takes rows: a producer, or a transaction of one.
pub(super) trait Takes: Send {
    /// Appends a row; `now` is its time if it has none of its own.
    fn take(
        &mut self,
        row: &Row<'_>,
        now: i64,
    ) -> impl Future<Output = klamm_client::Result<Ticket>> + Send;
}

/// Appends all of `rows`; `topic` is stronger than their column.
///
/// # Errors
/// The first of the rows; `InvalidSchema`; of a row, with its number from 1. What was appended by then has tickets in
/// the tally, and where one of those has failed, the tally has the error that counts.
pub(super) async fn append_all(
    rows: &mut RowStream,
    topic: Option<&str>,
    into: &mut impl Takes,
    tally: &mut Tally,
) -> Result<()> {
    let mut checked: Option<SchemaRef> = None;
    while let Some(batch) = next_rows(rows).await {
        let batch = batch?;
        if checked.as_ref() != Some(batch.schema_ref()) {
            validate(batch.schema_ref(), topic)?;
            checked = Some(batch.schema());
        }
        append_batch(&batch, topic, into, tally).await?;
    }
    Ok(())
}

async fn append_batch(
    batch: &RecordBatch,
    topic: Option<&str>,
    into: &mut impl Takes,
    tally: &mut Tally,
) -> Result<()> {
    let rows = RowSource::new(batch, topic)?;
    let now = now_ms();
    for index in 0..rows.len() {
        let number = tally.appended + 1;
        let row = rows.row(index).map_err(|e| e.with_context("row", number))?;
        append_row(&row, now, into, tally).await?;
    }
    Ok(())
}

/// Appends all of `records`; `topic` is stronger than theirs.
///
/// # Errors
/// As [`append_all`], but for columns.
pub(super) async fn append_records(
    records: &mut RecordStream,
    topic: Option<&str>,
    into: &mut impl Takes,
    tally: &mut Tally,
) -> Result<()> {
    while let Some(record) = poll_fn(|context| records.as_mut().poll_next(context)).await {
        let (record, number) = (record?, tally.appended + 1);
        let row = record.row(topic).map_err(|e| e.with_context("row", number))?;
        append_row(&row, now_ms(), into, tally).await?;
    }
    Ok(())
}

async fn append_row(
    row: &Row<'_>,
    now: i64,
    into: &mut impl Takes,
    tally: &mut Tally,
) -> Result<()> {
    let number = tally.appended + 1;
    let ticket = into.take(row, now).await.map_err(|e| refused(e, number))?;
    tally.add(ticket, size_of(row));
    if tally.failure.is_some() {
        // The failure itself is kept: more of what was appended may yet turn out to be written.
        return Err(Error::new(ErrorKind::Client, "a row was not written"));
    }
    Ok(())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
