//! Records to a batch of format 2, written in place (KIP-98, KIP-82).
//!
//! In: records one by one, as borrowed parts. Out: a [`SealedBatch`], compressed, that takes its
//! producer's stamp later and as often as it must. A record is written once, its length computed
//! before, with no buffer in between.

use super::compress::{Compression, Deflater};
use super::header::{
    ATTRIBUTES_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, CODEC, CONTROL, COUNT_AT, CRC_AT,
    HEADER_LEN, LAST_OFFSET_DELTA_AT, LEADER_EPOCH_AT, LENGTH_AT, LENGTH_PREFIX, LOG_APPEND_TIME,
    MAGIC_AT, MAGIC_V2, MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, TRANSACTIONAL,
    TimestampType, chunk, put_chunk,
};
use super::varint::{len_i32, len_i64, write_i64};
use bytes::{Bytes, BytesMut};
use std::error::Error;
use std::fmt;
use std::iter::Copied;
use std::slice;

/// How batches are to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// How the records are compressed; not at all by default.
    pub compression: Compression,
    /// The codec's level, `None` for its default.
    pub level: Option<i32>,
    /// Whose clock the timestamps are from: the producer's by default. Brokers accept nothing else
    /// from clients.
    pub timestamp_type: TimestampType,
    /// When a batch is full, in bytes before compression, header included; 16,384 by default, as
    /// `batch.size` is. A record larger than that gets a batch of its own.
    pub max_bytes: usize,
    /// The largest batch that a single record may make, in bytes before compression; 1,048,576 by
    /// default.
    pub max_record_bytes: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            compression: Compression::None,
            level: None,
            timestamp_type: TimestampType::CreateTime,
            max_bytes: 16 << 10,
            max_record_bytes: 1 << 20,
        }
    }
}

/// A header of a record to be written: its key, and its value or null.
pub type HeaderParts<'a> = (&'a str, Option<&'a [u8]>);

/// The headers of a record that has them in a slice; the usual case, and [`RecordParts`]' default.
pub type HeaderSlice<'a> = Copied<slice::Iter<'a, HeaderParts<'a>>>;

/// A record to be written, borrowed. The headers may come from any iterator; it is cloned and run
/// twice, first to measure.
#[derive(Clone, Debug)]
pub struct RecordParts<'a, H = HeaderSlice<'a>> {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    /// The headers, kept in order, duplicates included.
    pub headers: H,
}

impl<'a> RecordParts<'a> {
    /// A record without headers.
    pub fn new(timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        Self { timestamp, key, value, headers: [].iter().copied() }
    }
}

impl<'a, H> RecordParts<'a, H> {
    /// The same record with these headers.
    pub fn with_headers<I>(self, headers: I) -> RecordParts<'a, I::IntoIter>
    where
        I: IntoIterator<Item = HeaderParts<'a>>,
    {
        let Self { timestamp, key, value, .. } = self;
        RecordParts { timestamp, key, value, headers: headers.into_iter() }
    }
}

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Its offset relative to the batch's first.
    pub offset_delta: i32,
}

/// Why a record was not taken. The batch is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// There is no room for it here: seal this batch and push the record into a new one, which will
    /// take it.
    Full,
    /// No batch may be that large.
    TooLarge {
        /// What a batch with this record alone would take, in bytes.
        size: usize,
        /// The most that is allowed: [`BatchOptions::max_record_bytes`].
        limit: usize,
    },
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the batch has no room for the record"),
            Self::TooLarge { size, limit } => {
                write!(f, "a batch with the record takes {size} bytes, over the limit of {limit}")
            }
        }
    }
}

impl Error for PushError {}

/// Builds one batch after another.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records so far.
    bytes: Vec<u8>,
    count: i32,
    next_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    control: bool,
}

impl BatchBuilder {
    /// An empty batch. Memory is taken with the first record.
    pub fn new(options: BatchOptions) -> Self {
        Self {
            options,
            bytes: Vec::new(),
            count: 0,
            next_delta: 0,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            control: false,
        }
    }

    /// How many records are in it.
    pub fn len(&self) -> usize {
        self.count.max(0).unsigned_abs() as usize
    }

    /// Whether no record is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its size so far in bytes, header included, before compression.
    pub fn size(&self) -> usize {
        self.bytes.len().max(HEADER_LEN)
    }

    /// The size of a batch with this record alone, in bytes before compression: what
    /// `max_record_bytes` is held against.
    pub fn size_alone<'a, H>(parts: &RecordParts<'a, H>) -> usize
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let sizes = Sizes::measure(parts, 0, 0);
        HEADER_LEN + sizes.framed()
    }

    /// Appends a record.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] if the batch has records and the new one would make it larger than
    /// [`BatchOptions::max_bytes`], or its timestamp or offset is too far from the first one's for
    /// the format; [`PushError::TooLarge`] if no batch can take it.
    #[inline]
    pub fn try_push<'a, H>(&mut self, parts: &RecordParts<'a, H>) -> Result<Pushed, PushError>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        if self.count == 0 {
            self.begin(parts.timestamp);
        }
        let delta = parts.timestamp.checked_sub(self.base_timestamp).ok_or(PushError::Full)?;
        let sizes = Sizes::measure(parts, delta, self.next_delta);
        let framed = sizes.framed();
        self.admit(framed)?;
        self.bytes.reserve(framed + SPARE);
        self.write(parts, delta, &sizes);
        let offset_delta = self.next_delta;
        self.count += 1;
        self.next_delta += 1;
        self.max_timestamp = self.max_timestamp.max(parts.timestamp);
        Ok(Pushed { offset_delta })
    }

    /// Leaves `count` offsets out before the next record, as the log cleaner does when it removes
    /// records.
    ///
    /// Brokers refuse such batches from producers; logs are full of them.
    pub fn skip_offsets(&mut self, count: u16) {
        self.next_delta = self.next_delta.saturating_add(i32::from(count)).min(MAX_COUNT);
    }

    /// Makes it a control batch, which holds one transaction marker and no data. Only brokers write
    /// such.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.control = true;
        self
    }

    /// Closes the batch, with working memory of its own for the codec; see
    /// [`BatchBuilder::seal_with`].
    pub fn seal(mut self) -> SealedBatch {
        self.seal_with(&mut Deflater::new())
    }

    /// Closes the batch: compresses it and writes its header, for no producer yet. The builder is
    /// then empty and builds the next batch; it keeps its memory if the batch was compressed.
    ///
    /// A batch without records is sealed, too, but brokers refuse it: ask
    /// [`BatchBuilder::is_empty`] before. Should the codec fail, the batch goes without
    /// compression.
    pub fn seal_with(&mut self, deflater: &mut Deflater) -> SealedBatch {
        if self.bytes.is_empty() {
            self.begin(NO_TIMESTAMP);
        }
        let mut codec = self.options.compression;
        let mut bytes = Vec::new();
        if codec != Compression::None {
            let (head, records) = self.bytes.split_at_checked(HEADER_LEN).unwrap_or_default();
            bytes.extend_from_slice(head);
            if !deflater.deflate(codec, self.options.level, records, &mut bytes) {
                codec = Compression::None;
            }
        }
        if codec == Compression::None {
            bytes = std::mem::take(&mut self.bytes);
        }
        self.write_header(&mut bytes, codec);
        let sealed = SealedBatch {
            bytes: bytes.into(),
            count: self.count.max(0).unsigned_abs(),
            max_timestamp: self.max_timestamp,
            summed: false,
        };
        self.bytes.clear();
        self.count = 0;
        self.next_delta = 0;
        sealed
    }

    fn begin(&mut self, timestamp: i64) {
        self.base_timestamp = timestamp;
        self.max_timestamp = timestamp;
        self.bytes.clear();
        self.bytes.reserve(self.options.max_bytes.clamp(HEADER_LEN, FIRST_RESERVE));
        self.bytes.extend_from_slice(&[0; HEADER_LEN]);
    }

    /// Whether a record of that many bytes may be appended.
    #[inline]
    fn admit(&self, framed: usize) -> Result<(), PushError> {
        let limit = self.options.max_record_bytes.min(MAX_BATCH);
        let size = HEADER_LEN.saturating_add(framed);
        if size > limit {
            return Err(PushError::TooLarge { size, limit });
        }
        let full = self.bytes.len().saturating_add(framed) > self.options.max_bytes.min(MAX_BATCH);
        if self.count > 0 && (full || self.next_delta >= MAX_COUNT) {
            return Err(PushError::Full);
        }
        Ok(())
    }

    #[inline]
    fn write<'a, H>(&mut self, parts: &RecordParts<'a, H>, timestamp_delta: i64, sizes: &Sizes)
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let out = &mut self.bytes;
        write_i64(out, sizes.length as i64);
        out.push(0);
        write_i64(out, timestamp_delta);
        write_i64(out, i64::from(self.next_delta));
        write_field(out, parts.key);
        write_field(out, parts.value);
        write_i64(out, sizes.headers as i64);
        if sizes.headers > 0 {
            for (key, value) in parts.headers.clone() {
                write_field(out, Some(key.as_bytes()));
                write_field(out, value);
            }
        }
    }

    fn write_header(&self, bytes: &mut [u8], codec: Compression) {
        let length = bytes.len().saturating_sub(LENGTH_PREFIX) as i32;
        let mut attributes = codec.id() & i16::from(CODEC);
        if self.options.timestamp_type == TimestampType::LogAppendTime {
            attributes |= LOG_APPEND_TIME;
        }
        if self.control {
            attributes |= CONTROL;
        }
        put_chunk(bytes, LENGTH_AT, length.to_be_bytes());
        put_chunk(bytes, LEADER_EPOCH_AT, (-1_i32).to_be_bytes());
        put_chunk(bytes, MAGIC_AT, MAGIC_V2.to_be_bytes());
        put_chunk(bytes, ATTRIBUTES_AT, attributes.to_be_bytes());
        put_chunk(
            bytes,
            LAST_OFFSET_DELTA_AT,
            self.next_delta.saturating_sub(1).max(0).to_be_bytes(),
        );
        put_chunk(bytes, BASE_TIMESTAMP_AT, self.base_timestamp.to_be_bytes());
        put_chunk(bytes, MAX_TIMESTAMP_AT, self.max_timestamp.to_be_bytes());
        put_chunk(bytes, PRODUCER_ID_AT, (-1_i64).to_be_bytes());
        put_chunk(bytes, PRODUCER_EPOCH_AT, (-1_i16).to_be_bytes());
        put_chunk(bytes, BASE_SEQUENCE_AT, (-1_i32).to_be_bytes());
        put_chunk(bytes, COUNT_AT, self.count.to_be_bytes());
    }
}

/// Who sends a batch, for brokers to tell repetitions from new batches (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence number of the batch's first record in its partition.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
}

/// A finished batch on its way to a broker.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    bytes: Bytes,
    count: u32,
    max_timestamp: i64,
    /// Whether the checksum in the header is that of the bytes. Computed late, since a stamp would
    /// undo it.
    summed: bool,
}

impl SealedBatch {
    /// Writes the producer's stamp into the batch, over an earlier one. Bytes given out before stay
    /// as they were, at the price of a copy if somebody still holds them.
    pub fn stamp(&mut self, stamp: ProducerStamp) {
        self.edit(|bytes| {
            put_chunk(bytes, PRODUCER_ID_AT, stamp.producer_id.to_be_bytes());
            put_chunk(bytes, PRODUCER_EPOCH_AT, stamp.epoch.to_be_bytes());
            put_chunk(bytes, BASE_SEQUENCE_AT, stamp.base_sequence.to_be_bytes());
            let attributes = i16::from_be_bytes(chunk(bytes, ATTRIBUTES_AT).unwrap_or_default());
            let transactional = if stamp.transactional { TRANSACTIONAL } else { 0 };
            let attributes = attributes & !TRANSACTIONAL | transactional;
            put_chunk(bytes, ATTRIBUTES_AT, attributes.to_be_bytes());
        });
        self.summed = false;
    }

    /// The batch with its checksum, ready for a produce request. The bytes are shared, not copied.
    pub fn to_bytes(&mut self) -> Bytes {
        if !self.summed {
            self.edit(|bytes| {
                let sum = crc32c::crc32c(bytes.get(ATTRIBUTES_AT..).unwrap_or_default());
                put_chunk(bytes, CRC_AT, sum.to_be_bytes());
            });
            self.summed = true;
        }
        self.bytes.clone()
    }

    /// How many records it holds.
    pub fn record_count(&self) -> u32 {
        self.count
    }

    /// The largest timestamp of its records, in milliseconds since 1970.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Its size in bytes, header included, as it goes over the wire.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        change(&mut bytes);
        self.bytes = bytes.freeze();
    }
}

/// The sizes of a record's parts, measured before it is written.
struct Sizes {
    /// What stands behind the length field.
    length: usize,
    /// How many headers.
    headers: usize,
}

impl Sizes {
    #[inline]
    fn measure<'a, H>(parts: &RecordParts<'a, H>, timestamp_delta: i64, offset_delta: i32) -> Self
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let fixed = 1 + len_i64(timestamp_delta) + len_i32(offset_delta);
        let mut length = fixed + field_len(parts.key) + field_len(parts.value);
        let mut headers = 0;
        for (key, value) in parts.headers.clone() {
            length = length.saturating_add(field_len(Some(key.as_bytes())) + field_len(value));
            headers += 1;
        }
        Self { length: length.saturating_add(len_i64(headers as i64)), headers }
    }

    /// The record with its length field.
    #[inline]
    fn framed(&self) -> usize {
        self.length.saturating_add(len_i64(self.length as i64))
    }
}

#[inline]
fn field_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| field.len().saturating_add(len_i64(field.len() as i64)))
}

#[inline]
fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            write_i64(out, field.len() as i64);
            out.extend_from_slice(field);
        }
        None => out.push(NULL),
    }
}

/// -1 as a zigzag varint.
const NULL: u8 = 1;
const NO_TIMESTAMP: i64 = -1;
/// The most records of a batch, and its largest offset delta.
const MAX_COUNT: i32 = i32::MAX - 1;
/// The most bytes of a batch: its length field has 31 bits.
const MAX_BATCH: usize = i32::MAX as usize;
/// Reserved with the first record at most, in bytes; larger batches grow.
const FIRST_RESERVE: usize = 64 << 10;
/// Reserved beyond a record.
const SPARE: usize = 32;
