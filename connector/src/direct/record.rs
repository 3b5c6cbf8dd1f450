//! A record as a value of its own, for who wants no Arrow. In: a batch as it was fetched; out: its records, whose keys
//! and values share the batch's bytes.

use std::sync::Arc;

use bytes::Bytes;
use klamm_client::consumer::FetchedBatch;
use klamm_protocol::records::TimestampType;

use crate::error::{Error, ErrorKind, Result};
use crate::offsets::TopicPartition;

/// One record. Keeps the batch that it came in alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds since 1970, as [`Record::timestamp_type`] says; -1 without one.
    pub timestamp: i64,
    /// Whether the time is the producer's or the broker's.
    pub timestamp_type: TimestampType,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in their order and with repeated names.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Appends the records of a batch to those of its partition, at most up to `most` in all.
pub(super) fn append(fetched: &FetchedBatch, most: usize, records: &mut Vec<Record>) -> Result<()> {
    let body = fetched.batch.body();
    let timestamp_type = fetched.batch.header().timestamp_type();
    for record in fetched.records() {
        if records.len() >= most {
            return Ok(());
        }
        let record = record.map_err(|error| malformed(fetched, error))?;
        let slice = |range: std::ops::Range<usize>| body.slice(range);
        let mut headers = Vec::new();
        for header in record.headers() {
            let header = header.map_err(|error| malformed(fetched, error))?;
            let key = header.key().map_err(|error| malformed(fetched, error))?.to_owned();
            headers.push((key, header.value().map(Bytes::copy_from_slice)));
        }
        records.push(Record {
            topic: Arc::clone(&fetched.topic),
            partition: fetched.partition,
            offset: record.offset(),
            timestamp: record.timestamp(),
            timestamp_type,
            key: record.key_range().map(slice),
            value: record.value_range().map(slice),
            headers,
        });
    }
    Ok(())
}

pub(super) fn malformed(
    fetched: &FetchedBatch,
    error: klamm_protocol::error::DecodeError,
) -> Error {
    let tp = TopicPartition::new(Arc::clone(&fetched.topic), fetched.partition);
    Error::new(ErrorKind::MalformedRecord, "a record batch can't be read")
        .with_context("partition", tp)
        .with_context("batch at offset", fetched.batch.header().base_offset)
        .with_source(error)
}
