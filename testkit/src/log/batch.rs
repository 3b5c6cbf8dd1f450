//! One record batch as the log keeps it: in go the producer's bytes, checked; out come the same
//! bytes with the broker's offset, leader epoch and (for log append time) timestamp stamped in.
//!
//! Only the 61 bytes of the header are copied: the records stay a slice of the request that
//! brought them, so that neither appending nor fetching copies them.

use bytes::{Bytes, BytesMut};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::DecodeErrorKind;
use klamm_protocol::records::control::marker_value;
use klamm_protocol::records::{
    Batch, BatchBuilder, BatchHeader, BatchOptions, ControlType, Inflater, ProducerStamp, RawBatch,
    RecordParts,
};

use super::Refusal;
use super::producers::{Claim, advance};

/// A batch with its place in the log.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    header: BatchHeader,
    head: Bytes,
    body: Bytes,
}

/// What the broker writes into a batch as it appends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) base_offset: i64,
    pub(crate) leader_epoch: i32,
    /// Set for topics whose records carry the time of the append.
    pub(crate) append_time: Option<i64>,
}

impl StoredBatch {
    /// Stamps a checked batch.
    pub(crate) fn new(raw: &RawBatch, stamp: &Stamp) -> Result<Self, Refusal> {
        let bytes = raw.bytes();
        if bytes.len() < HEADER {
            return Err(invalid("the log takes record batches of format 2 only"));
        }
        let mut head = BytesMut::from(&bytes[..HEADER]);
        let mut body = bytes.slice(HEADER..);
        let mut header = *raw.header();
        header.base_offset = stamp.base_offset;
        header.partition_leader_epoch = stamp.leader_epoch;
        patch(&mut head, BASE_OFFSET, &stamp.base_offset.to_be_bytes());
        patch(&mut head, LEADER_EPOCH, &stamp.leader_epoch.to_be_bytes());
        if let Some(time) = stamp.append_time {
            header.max_timestamp = time;
            header.attributes |= APPEND_TIME_BIT;
            header.crc = stamp_append_time(&mut head, &body, &header);
        }
        if body.len() < SMALL {
            // A few hundred bytes must not keep a whole request alive.
            head.extend_from_slice(&body);
            body = Bytes::new();
        }
        Ok(Self { header, head: head.freeze(), body })
    }

    /// Turns the last bit of the batch, as a failing disk would.
    pub(crate) fn damage(&mut self) {
        let part = if self.body.is_empty() { &mut self.head } else { &mut self.body };
        let mut bytes = BytesMut::from(&part[..]);
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        *part = bytes.freeze();
    }

    /// The header, as stamped.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The offset of the first record.
    pub fn base_offset(&self) -> i64 {
        self.header.base_offset
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.header.last_offset()
    }

    /// Size in bytes, header included.
    pub fn size(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The bytes in order, in one or two pieces.
    pub fn parts(&self) -> impl Iterator<Item = &Bytes> {
        [&self.head, &self.body].into_iter().filter(|part| !part.is_empty())
    }

    /// The batch in one piece; copies it if it is kept in two.
    pub fn to_bytes(&self) -> Bytes {
        if self.body.is_empty() {
            return self.head.clone();
        }
        [self.head.as_ref(), self.body.as_ref()].concat().into()
    }

    /// The first record whose offset and timestamp `wanted` says yes to. Undecodable records end
    /// the search.
    pub(crate) fn find_record(&self, wanted: impl Fn(i64, i64) -> bool) -> Option<(i64, i64)> {
        let batch = self.open()?;
        batch
            .records()
            .map_while(Result::ok)
            .map(|record| (record.offset(), record.timestamp()))
            .find(|&(offset, timestamp)| wanted(offset, timestamp))
    }

    /// For a marker: whether it commits. `None` for data and for control records of other kinds.
    pub(crate) fn marker_commits(&self) -> Option<bool> {
        match self.open()?.control().ok()?? {
            ControlType::Commit => Some(true),
            ControlType::Abort => Some(false),
            ControlType::Other(_) => None,
        }
    }

    /// The producer's claim, if the producer is idempotent and the batch holds data.
    pub(crate) fn claim(&self) -> Option<Claim> {
        claim_of(&self.header)
    }

    fn open(&self) -> Option<Batch> {
        let raw = RawBatch::read(self.to_bytes()).ok()?;
        raw.open(&mut Inflater::new(), MAX_INFLATED).ok()
    }
}

/// The idempotent producer's claim in a header of data.
pub(crate) fn claim_of(header: &BatchHeader) -> Option<Claim> {
    (header.producer_id >= 0 && !header.is_control()).then(|| Claim {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: advance(header.base_sequence, header.last_offset_delta),
    })
}

/// The one batch of a produce request, with its CRC and counts checked; with `deep`, its records
/// are inflated and walked as well.
pub(crate) fn admit(records: &Bytes, max_bytes: usize, deep: bool) -> Result<RawBatch, Refusal> {
    let raw = RawBatch::read(records.clone()).map_err(|error| match error.what {
        DecodeErrorKind::LeftOver { .. } => {
            invalid("the request must hold exactly one record batch for each partition")
        }
        _ => Refusal::new(ErrorCode::CORRUPT_MESSAGE, error.to_string()),
    })?;
    if raw.header().magic < MAGIC {
        return Err(invalid("only record batches of format 2 are taken"));
    }
    if records.len() > max_bytes {
        let message =
            format!("the batch has {} bytes, at most {max_bytes} are taken", records.len());
        return Err(Refusal::new(ErrorCode::MESSAGE_TOO_LARGE, message));
    }
    raw.check().map_err(|error| Refusal::new(ErrorCode::CORRUPT_MESSAGE, error.to_string()))?;
    check_counts(raw.header())?;
    if deep {
        check_records(&raw)?;
    }
    Ok(raw)
}

/// A control batch that ends a transaction.
pub(crate) fn marker(
    producer_id: i64,
    epoch: i16,
    commit: bool,
    now_ms: i64,
) -> Result<RawBatch, Refusal> {
    let kind = if commit { ControlType::Commit } else { ControlType::Abort };
    let mut builder = BatchBuilder::new(BatchOptions::default()).control();
    let (key, value) = (kind.to_key(), marker_value(0));
    let parts = RecordParts::new(now_ms, Some(&key), Some(&value));
    builder.try_push(&parts).map_err(|error| invalid(&error.to_string()))?;
    let mut sealed = builder.seal();
    sealed.stamp(ProducerStamp { producer_id, epoch, base_sequence: -1, transactional: true });
    RawBatch::read(sealed.to_bytes()).map_err(|error| invalid(&error.to_string()))
}

fn check_counts(header: &BatchHeader) -> Result<(), Refusal> {
    if header.count < 1 || i64::from(header.count) != i64::from(header.last_offset_delta) + 1 {
        return Err(invalid("the record count and the last offset delta do not agree"));
    }
    if header.is_control() {
        return Err(invalid("clients may not write control batches"));
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(invalid("an idempotent producer needs an epoch and a sequence number"));
    }
    Ok(())
}

fn check_records(raw: &RawBatch) -> Result<(), Refusal> {
    let base = raw.header().base_offset;
    let batch = raw
        .open(&mut Inflater::new(), MAX_INFLATED)
        .map_err(|error| invalid(&error.to_string()))?;
    let mut expected = base;
    for record in batch.records() {
        let record = record.map_err(|error| invalid(&error.to_string()))?;
        if record.offset() != expected {
            return Err(invalid("the offset deltas inside the batch are not consecutive"));
        }
        expected += 1;
    }
    if expected - base != i64::from(raw.header().count) {
        return Err(invalid("the batch holds fewer records than its header says"));
    }
    Ok(())
}

/// Writes attributes, timestamp and the checksum, which covers both; returns the checksum.
fn stamp_append_time(head: &mut BytesMut, body: &Bytes, header: &BatchHeader) -> u32 {
    patch(head, MAX_TIMESTAMP, &header.max_timestamp.to_be_bytes());
    patch(head, ATTRIBUTES, &header.attributes.to_be_bytes());
    let crc = crc32c::crc32c(head.get(ATTRIBUTES..).unwrap_or_default());
    let crc = crc32c::crc32c_append(crc, body);
    patch(head, CRC, &crc.to_be_bytes());
    crc
}

fn patch(head: &mut BytesMut, at: usize, value: &[u8]) {
    if let Some(field) = head.get_mut(at..at + value.len()) {
        field.copy_from_slice(value);
    }
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorCode::INVALID_RECORD, message)
}

/// Bytes of a v2 batch before its records.
const HEADER: usize = 61;
const MAGIC: i8 = 2;
const BASE_OFFSET: usize = 0;
const LEADER_EPOCH: usize = 12;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const MAX_TIMESTAMP: usize = 35;
const APPEND_TIME_BIT: i16 = 0b1000;
/// Bodies below this are copied rather than shared: they would keep buffers alive that are mostly
/// other requests.
const SMALL: usize = 16 << 10;
/// No batch may inflate to more than this while it is looked into.
const MAX_INFLATED: usize = 64 << 20;
