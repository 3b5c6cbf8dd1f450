//! Record batches as questions and answers of the Java oracle.
//!
//! In: what a batch shall hold. Out: what Java found in one. Plain data that a test compares field by
//! field; nothing of our own codec is used here.

use bytes::Bytes;

use super::ask::{Answer, Question};
use crate::outside::Error;

/// A batch that Java shall write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSpec {
    /// The format: 2, or 0 and 1 for the message sets of old.
    pub magic: i8,
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub codec: i8,
    /// The time at which the broker appended the batch, in milliseconds, if topics are set so.
    pub log_append_time: Option<i64>,
    /// The first offset.
    pub base_offset: i64,
    /// The producer's id, -1 without one.
    pub producer_id: i64,
    /// The producer's epoch, -1 without one.
    pub producer_epoch: i16,
    /// The sequence number of the first record, -1 without one.
    pub base_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
    /// The epoch of the leader that appended the batch, -1 if unknown.
    pub leader_epoch: i32,
    /// Makes this a control batch with one marker and no records.
    pub marker: Option<Marker>,
    /// The records, by rising offset; gaps are allowed.
    pub records: Vec<RecordSpec>,
}

impl Default for BatchSpec {
    /// An empty batch of the current format: uncompressed, at offset 0, of no producer.
    fn default() -> Self {
        Self {
            magic: 2,
            codec: 0,
            log_append_time: None,
            base_offset: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            is_transactional: false,
            leader_epoch: -1,
            marker: None,
            records: Vec::new(),
        }
    }
}

/// A record that Java shall write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordSpec {
    /// The record's own offset, not relative to the batch.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; none makes a tombstone.
    pub value: Option<Bytes>,
    /// The headers in order; a key may come twice.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// The end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Committed, not aborted.
    pub is_commit: bool,
    /// When, in milliseconds since 1970.
    pub timestamp: i64,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
}

/// A batch as Java read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaBatch {
    /// The format.
    pub magic: i8,
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub codec: i8,
    /// Whether timestamps are those of the broker.
    pub is_log_append_time: bool,
    /// The first offset, of a record or of a gap.
    pub base_offset: i64,
    /// The last offset, of a record or of a gap.
    pub last_offset: i64,
    /// The epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// The producer's id, -1 without one.
    pub producer_id: i64,
    /// The producer's epoch, -1 without one.
    pub producer_epoch: i16,
    /// The first sequence number, -1 without one.
    pub base_sequence: i32,
    /// The last sequence number, -1 without one.
    pub last_sequence: i32,
    /// Whether it belongs to a transaction.
    pub is_transactional: bool,
    /// Whether it holds a marker in place of records.
    pub is_control: bool,
    /// The latest timestamp.
    pub max_timestamp: i64,
    /// The bytes of the whole batch.
    pub size: i32,
    /// The records; in a control batch the marker's.
    pub records: Vec<JavaRecord>,
}

/// A record as Java read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaRecord {
    /// The record.
    pub record: RecordSpec,
    /// Its sequence number, -1 without one.
    pub sequence: i32,
    /// In a control batch what the marker says.
    pub marker: Option<Marker>,
}

pub(super) fn put_batch(question: &mut Question, batch: &BatchSpec) {
    question.int8(batch.magic);
    question.int8(batch.codec);
    question.bool(batch.log_append_time.is_some());
    question.int64(batch.base_offset);
    question.int64(batch.log_append_time.unwrap_or(-1));
    question.int64(batch.producer_id);
    question.int16(batch.producer_epoch);
    question.int32(batch.base_sequence);
    question.bool(batch.is_transactional);
    question.int8(batch.marker.map_or(-1, |marker| marker.is_commit.into()));
    question.int32(batch.marker.map_or(-1, |marker| marker.coordinator_epoch));
    question.int32(batch.leader_epoch);
    question.int32(batch.records.len());
    for record in &batch.records {
        put_record(question, record);
    }
    if let Some(marker) = batch.marker {
        question.int64(marker.timestamp);
    }
}

fn put_record(question: &mut Question, record: &RecordSpec) {
    question.int64(record.offset);
    question.int64(record.timestamp);
    question.bytes(record.key.as_deref());
    question.bytes(record.value.as_deref());
    question.int32(record.headers.len());
    for (key, value) in &record.headers {
        question.bytes(Some(key.as_bytes()));
        question.bytes(value.as_deref());
    }
}

pub(super) fn take_batches(answer: &mut Answer) -> Result<Vec<JavaBatch>, Error> {
    let _valid_bytes = answer.int32()?;
    let mut batches = Vec::new();
    while answer.bool()? {
        let mut batch = take_batch(answer)?;
        while answer.bool()? {
            batch.records.push(take_record(answer, batch.is_control)?);
        }
        batches.push(batch);
    }
    Ok(batches)
}

fn take_batch(answer: &mut Answer) -> Result<JavaBatch, Error> {
    Ok(JavaBatch {
        magic: answer.int8()?,
        codec: answer.int8()?,
        is_log_append_time: answer.bool()?,
        base_offset: answer.int64()?,
        last_offset: answer.int64()?,
        leader_epoch: answer.int32()?,
        producer_id: answer.int64()?,
        producer_epoch: answer.int16()?,
        base_sequence: answer.int32()?,
        last_sequence: answer.int32()?,
        is_transactional: answer.bool()?,
        is_control: answer.bool()?,
        max_timestamp: answer.int64()?,
        size: answer.int32()?,
        records: Vec::new(),
    })
}

fn take_record(answer: &mut Answer, is_control: bool) -> Result<JavaRecord, Error> {
    let (offset, timestamp, sequence) = (answer.int64()?, answer.int64()?, answer.int32()?);
    let (key, value) = (answer.nullable_bytes()?, answer.nullable_bytes()?);
    let mut headers = Vec::new();
    for _ in 0..answer.int32()? {
        headers.push((answer.string()?, answer.nullable_bytes()?));
    }
    let mut marker = None;
    if is_control {
        let (is_commit, coordinator_epoch) = (answer.bool()?, answer.int32()?);
        marker = Some(Marker { is_commit, timestamp, coordinator_epoch });
    }
    let record = RecordSpec { offset, timestamp, key, value, headers };
    Ok(JavaRecord { record, sequence, marker })
}
