//! Record sets to batches to records: what a fetch response carries for one partition, and what a
//! producer sends.
//!
//! In: the bytes of a record set. Out: [`RawBatch`]es, still compressed, whose headers can be
//! looked at for nothing; each opens into a [`Batch`], checked against its checksum and inflated
//! once. Formats 0 and 1 come out as format 2.

use super::compress::{Compression, Inflater};
use super::control::ControlType;
use super::header::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BatchHeader, CRC_AT, HEADER_LEN, LEADER_EPOCH_AT, LENGTH_AT,
    LENGTH_PREFIX, LOG_APPEND_TIME, MAGIC_AT, MAGIC_V2, MAX_TIMESTAMP_AT, chunk, put_chunk,
};
use super::legacy;
use super::record::Records;
use crate::error::{DecodeError, DecodeErrorKind};
use bytes::{Bytes, BytesMut};
use std::iter::FusedIterator;

/// Walks the batches of a record set without opening them.
///
/// A broker cuts a fetch response's record set at a number of bytes, so the last batch may be
/// incomplete: that ends the walk quietly, and [`Batches::trailing_partial`] tells. After an error
/// the walk ends, too.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    at: usize,
    partial: bool,
}

impl Batches {
    /// The batches of `set`, the records of one partition.
    pub fn new(set: Bytes) -> Self {
        Self { rest: set, at: 0, partial: false }
    }

    /// Whether the walk ended at a batch that was cut off. A set that starts with one holds nothing
    /// that can be read: the fetch has to ask for more bytes.
    pub fn trailing_partial(&self) -> bool {
        self.partial
    }

    fn batch(&mut self) -> Result<Option<RawBatch>, DecodeError> {
        let Some(length) = chunk(&self.rest, LENGTH_AT).map(i32::from_be_bytes) else {
            return Ok(None);
        };
        let negative = DecodeErrorKind::NegativeLength { length };
        let length = usize::try_from(length).map_err(|_| DecodeError::new(LENGTH_AT, negative))?;
        let whole = length.saturating_add(LENGTH_PREFIX);
        if self.rest.len() < whole {
            return Ok(None);
        }
        let batch = RawBatch::read(self.rest.slice(..whole))?;
        self.rest = self.rest.slice(whole..);
        self.at += whole;
        Ok(Some(batch))
    }
}

impl Iterator for Batches {
    type Item = Result<RawBatch, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        if let Ok(Some(batch)) = batch {
            return Some(Ok(batch));
        }
        self.partial |= batch.is_ok() && !self.rest.is_empty();
        self.rest = Bytes::new();
        batch.err().map(|mut error| {
            error.at += self.at;
            Err(error)
        })
    }
}

impl FusedIterator for Batches {}

/// One whole batch as it came, neither checked nor inflated.
#[derive(Clone, Debug)]
pub struct RawBatch {
    bytes: Bytes,
    header: BatchHeader,
}

impl RawBatch {
    /// Reads the header of the one batch that `bytes` are, as in a produce request.
    ///
    /// # Errors
    ///
    /// If the bytes are no batch, or more or less than one, or the header can't be right.
    pub fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let ends = DecodeErrorKind::UnexpectedEnd { wanted: MAGIC_AT + 1, left: bytes.len() };
        let length = chunk(&bytes, LENGTH_AT).map(i32::from_be_bytes);
        let (Some(length), Some([magic])) = (length, chunk(&bytes, MAGIC_AT)) else {
            return Err(DecodeError::new(0, ends));
        };
        let wanted = usize::try_from(length).unwrap_or_default().saturating_add(LENGTH_PREFIX);
        if wanted > bytes.len() {
            let ends = DecodeErrorKind::UnexpectedEnd { wanted, left: bytes.len() };
            return Err(DecodeError::new(0, ends));
        }
        if wanted < bytes.len() {
            let left = bytes.len() - wanted;
            return Err(DecodeError::new(wanted, DecodeErrorKind::LeftOver { left }));
        }
        let old = matches!(magic, 0 | 1);
        let header = if old { legacy::read_header(&bytes)? } else { BatchHeader::read(&bytes)? };
        Ok(Self { bytes, header })
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The batch as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Compares the batch's checksum with its bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::ChecksumMismatch`].
    pub fn check(&self) -> Result<(), DecodeError> {
        let computed = match self.header.magic {
            MAGIC_V2 => crc32c::crc32c(self.bytes.get(ATTRIBUTES_AT..).unwrap_or_default()),
            _ => legacy::checksum(&self.bytes),
        };
        if computed == self.header.crc {
            return Ok(());
        }
        let written = self.header.crc;
        Err(DecodeError::new(CRC_AT, DecodeErrorKind::ChecksumMismatch { written, computed }))
    }

    /// Checks and inflates the batch. Records without compression are not copied.
    ///
    /// `max_inflated` bounds the records section in bytes if it is compressed; 1 GiB bounds it in
    /// any case.
    ///
    /// # Errors
    ///
    /// A wrong checksum, compressed bytes that can't be read, or records that inflate to more than
    /// `max_inflated`.
    pub fn open(&self, inflater: &mut Inflater, max_inflated: usize) -> Result<Batch, DecodeError> {
        self.check()?;
        if self.header.magic != MAGIC_V2 {
            let (header, body) = legacy::open(&self.bytes, inflater, max_inflated)?;
            return Ok(Batch { header, body });
        }
        let records = self.bytes.slice(HEADER_LEN..);
        let body = match self.header.compression() {
            Compression::None => records,
            codec => inflater.inflate(codec, &records, max_inflated)?,
        };
        Ok(Batch { header: self.header, body })
    }

    /// The batch as a log stores it: with the offset of its first record, the epoch of the leader
    /// that appended it and, if the topic stamps records with the time of appending, that time in
    /// milliseconds since 1970.
    ///
    /// Offsets and epoch are not part of the checksum; the append time is, so it costs one more. A
    /// batch of an old format comes back as it is. Copies if anybody else holds the bytes.
    #[must_use]
    pub fn appended(self, base_offset: i64, leader_epoch: i32, append_time: Option<i64>) -> Self {
        if self.header.magic != MAGIC_V2 {
            return self;
        }
        let mut header = self.header;
        let mut bytes = self.bytes.try_into_mut().unwrap_or_else(|bytes| BytesMut::from(&*bytes));
        header.base_offset = base_offset.clamp(0, i64::MAX - i64::from(i32::MAX));
        header.partition_leader_epoch = leader_epoch;
        put_chunk(&mut bytes, BASE_OFFSET_AT, header.base_offset.to_be_bytes());
        put_chunk(&mut bytes, LEADER_EPOCH_AT, leader_epoch.to_be_bytes());
        if let Some(time) = append_time {
            header.attributes |= LOG_APPEND_TIME;
            header.max_timestamp = time;
            put_chunk(&mut bytes, ATTRIBUTES_AT, header.attributes.to_be_bytes());
            put_chunk(&mut bytes, MAX_TIMESTAMP_AT, time.to_be_bytes());
            header.crc = crc32c::crc32c(bytes.get(ATTRIBUTES_AT..).unwrap_or_default());
            put_chunk(&mut bytes, CRC_AT, header.crc.to_be_bytes());
        }
        Self { bytes: bytes.freeze(), header }
    }
}

/// A batch whose checksum was right and whose records can be walked.
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    body: Bytes,
}

impl Batch {
    /// The batch's header; in the old formats with exact offsets and count.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records section, inflated: what [`RecordRef::key_range`](super::RecordRef::key_range)
    /// and its like point into.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Walks the records.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.header, &self.body)
    }

    /// What the marker in a control batch says; `None` for a batch of data.
    ///
    /// # Errors
    ///
    /// If it is a control batch and its record can't be read or has no proper key.
    pub fn control(&self) -> Result<Option<ControlType>, DecodeError> {
        if !self.header.is_control() {
            return Ok(None);
        }
        let record = self.records().next().transpose()?;
        let kind = record.and_then(|record| record.key()).and_then(ControlType::from_key);
        kind.map(Some).ok_or(DecodeError::new(0, DecodeErrorKind::UnexpectedNull))
    }
}
