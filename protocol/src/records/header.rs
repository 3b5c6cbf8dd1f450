//! The header of a record batch: its first 61 bytes as fields (KIP-98, format v2), and what its
//! attribute bits mean.
//!
//! In: the bytes of one whole batch. Out: [`BatchHeader`], with counts and offsets checked so far
//! as the header alone can.

use super::compress::Compression;
use crate::error::{DecodeError, DecodeErrorKind};

/// What a batch says about itself before its records.
///
/// Offsets and the timestamp base are such that no record of the batch can overflow them. `count`
/// is what the header claims, never a reason to allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the first record, before compaction may have removed it. In a compressed batch
    /// of the formats 0 and 1 it is a lower bound until the batch is opened, because only the last
    /// offset is written there.
    pub base_offset: i64,
    /// The epoch of the partition's leader that appended the batch, -1 if unknown.
    pub partition_leader_epoch: i32,
    /// The format: 2, or 0 and 1 in logs from before Kafka 0.11.
    pub magic: i8,
    /// The batch's checksum as written: CRC-32C, in formats 0 and 1 CRC-32.
    pub crc: u32,
    /// The attribute bits as written; the methods say what they mean.
    pub attributes: i16,
    /// The offset of the last record relative to `base_offset`; compaction keeps it even if it
    /// removes that record.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas add to, in milliseconds since 1970; see
    /// [`BatchHeader::delete_horizon`].
    pub base_timestamp: i64,
    /// The largest timestamp of the batch, or the time of its appending, in milliseconds since
    /// 1970.
    pub max_timestamp: i64,
    /// The idempotent producer's id, -1 without one.
    pub producer_id: i64,
    /// The idempotent producer's epoch, -1 without one.
    pub producer_epoch: i16,
    /// The sequence number of the first record, -1 without an idempotent producer.
    pub base_sequence: i32,
    /// How many records the header claims.
    pub count: u32,
}

impl BatchHeader {
    /// Reads the header of a format-2 batch from its first 61 bytes.
    ///
    /// # Errors
    ///
    /// If the bytes are too few, the magic isn't 2, the compression is unknown, or an offset, a
    /// count or a delta is negative or leaves the range of offsets.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let ends = DecodeErrorKind::UnexpectedEnd { wanted: HEADER_LEN, left: bytes.len() };
        let header = Self::fields(bytes).ok_or(DecodeError::new(0, ends))?;
        header.check()?;
        Ok(header)
    }

    /// The offset of the batch's last record: the next one to fetch is one more.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// How the records are compressed.
    pub fn compression(&self) -> Compression {
        Compression::from_attributes(self.attributes).unwrap_or(Compression::None)
    }

    /// Whether the records' timestamps are the producer's or the broker's.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch is part of a transaction (markers are, too).
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch is a control batch: its one record is a marker and no data.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When the log cleaner may remove the batch's tombstones and markers, in milliseconds since
    /// 1970, once it has decided (KIP-534). It then stands in `base_timestamp`, and the timestamp
    /// deltas are relative to it.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            base_offset: i64::from_be_bytes(chunk(bytes, BASE_OFFSET_AT)?),
            partition_leader_epoch: i32::from_be_bytes(chunk(bytes, LEADER_EPOCH_AT)?),
            magic: i8::from_be_bytes(chunk(bytes, MAGIC_AT)?),
            crc: u32::from_be_bytes(chunk(bytes, CRC_AT)?),
            attributes: i16::from_be_bytes(chunk(bytes, ATTRIBUTES_AT)?),
            last_offset_delta: i32::from_be_bytes(chunk(bytes, LAST_OFFSET_DELTA_AT)?),
            base_timestamp: i64::from_be_bytes(chunk(bytes, BASE_TIMESTAMP_AT)?),
            max_timestamp: i64::from_be_bytes(chunk(bytes, MAX_TIMESTAMP_AT)?),
            producer_id: i64::from_be_bytes(chunk(bytes, PRODUCER_ID_AT)?),
            producer_epoch: i16::from_be_bytes(chunk(bytes, PRODUCER_EPOCH_AT)?),
            base_sequence: i32::from_be_bytes(chunk(bytes, BASE_SEQUENCE_AT)?),
            count: u32::from_be_bytes(chunk(bytes, COUNT_AT)?),
        })
    }

    /// What must hold before any record is looked at.
    fn check(&self) -> Result<(), DecodeError> {
        let bad = |at, what| Err(DecodeError::new(at, what));
        if self.magic != MAGIC_V2 {
            return bad(MAGIC_AT, DecodeErrorKind::UnknownMagic { magic: self.magic });
        }
        if Compression::from_attributes(self.attributes).is_none() {
            let codec = self.attributes as u8 & CODEC;
            return bad(ATTRIBUTES_AT, DecodeErrorKind::UnknownCompression { codec });
        }
        if self.last_offset_delta < 0 {
            return bad(LAST_OFFSET_DELTA_AT, DecodeErrorKind::OffsetOutOfRange);
        }
        // With room for every delta above it, no offset of the batch has to be checked again.
        if !(0..=i64::MAX - i64::from(i32::MAX)).contains(&self.base_offset) {
            return bad(BASE_OFFSET_AT, DecodeErrorKind::OffsetOutOfRange);
        }
        if i32::try_from(self.count).is_err() {
            return bad(COUNT_AT, DecodeErrorKind::NegativeLength { length: self.count as i32 });
        }
        Ok(())
    }
}

/// Whose clock the timestamps of a batch come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer's, one a record.
    #[default]
    CreateTime,
    /// The broker's at the time of appending, the same for all records of a batch.
    LogAppendTime,
}

/// The fixed-size field at `at`.
#[inline(always)]
pub(super) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Overwrites the fixed-size field at `at`; bytes too short for it stay as they are.
pub(super) fn put_chunk<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(slot) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *slot = field;
    }
}

/// The length of a format-2 header: the records begin here.
pub(super) const HEADER_LEN: usize = 61;
/// What stands before the bytes that a batch's length field counts: base offset and length.
pub(super) const LENGTH_PREFIX: usize = 12;
pub(super) const BASE_OFFSET_AT: usize = 0;
pub(super) const LENGTH_AT: usize = 8;
pub(super) const LEADER_EPOCH_AT: usize = 12;
pub(super) const MAGIC_AT: usize = 16;
pub(super) const CRC_AT: usize = 17;
/// The checksum covers everything from the attributes on.
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const LAST_OFFSET_DELTA_AT: usize = 23;
pub(super) const BASE_TIMESTAMP_AT: usize = 27;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;
pub(super) const PRODUCER_ID_AT: usize = 43;
pub(super) const PRODUCER_EPOCH_AT: usize = 51;
pub(super) const BASE_SEQUENCE_AT: usize = 53;
pub(super) const COUNT_AT: usize = 57;

pub(super) const MAGIC_V2: i8 = 2;
pub(super) const CODEC: u8 = 0x07;
pub(super) const LOG_APPEND_TIME: i16 = 0x08;
pub(super) const TRANSACTIONAL: i16 = 0x10;
pub(super) const CONTROL: i16 = 0x20;
pub(super) const DELETE_HORIZON: i16 = 0x40;
