//! Records to a batch of format 2, written in place (KIP-98, KIP-82).
//!
//! In: records one by one, as borrowed parts. Out: a [`SealedBatch`], compressed, that takes its
//! producer's stamp later and as often as it must. A record is written once, its length computed
//! before, with no buffer in between.

use super::compress::{Compression, Deflater};
use super::header::{
    ATTRIBUTES_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, CODEC, CONTROL, COUNT_AT, HEADER_LEN,
    LAST_OFFSET_DELTA_AT, LEADER_EPOCH_AT, LENGTH_AT, LENGTH_PREFIX, LOG_APPEND_TIME, MAGIC_AT,
    MAGIC_V2, MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, TimestampType, put_chunk,
};
use super::parts::{HeaderParts, Long, RecordParts, Short};
use super::sealed::SealedBatch;
use std::error::Error;
use std::fmt;

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
    /// Up to this size of the batch, a record is taken without more questions.
    easy: usize,
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
            easy: options.max_bytes.min(options.max_record_bytes).min(MAX_BATCH),
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
        HEADER_LEN.saturating_add(Long::of(parts, (0, 0)).size())
    }

    /// Appends a record.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] if the batch has records and the new one would make it larger than
    /// [`BatchOptions::max_bytes`], or its timestamp or offset is too far from the first one's for
    /// the format; [`PushError::TooLarge`] if no batch can take it.
    // Worth a fifth of its time: apart, the layout travels through memory.
    #[inline(always)]
    pub fn try_push<'a, H>(&mut self, parts: &RecordParts<'a, H>) -> Result<Pushed, PushError>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        if self.count == 0 {
            self.begin(parts.timestamp);
        }
        let delta = parts.timestamp.checked_sub(self.base_timestamp).ok_or(PushError::Full)?;
        let offset_delta = self.next_delta;
        if let Some(record) = Short::of(parts, (delta, offset_delta)) {
            self.admit(record.size())?;
            record.write(parts, &mut self.bytes);
        } else {
            self.push_long(parts, delta)?;
        }
        self.count += 1;
        self.next_delta += 1;
        self.max_timestamp = self.max_timestamp.max(parts.timestamp);
        Ok(Pushed { offset_delta })
    }

    /// Appends a record of any form. Out of line, so that the short way stays short.
    #[inline(never)]
    fn push_long<'a, H>(&mut self, parts: &RecordParts<'a, H>, delta: i64) -> Result<(), PushError>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let record = Long::of(parts, (delta, self.next_delta));
        self.admit(record.size())?;
        record.write(parts, &mut self.bytes);
        Ok(())
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
            // A small batch need not hold a large one's memory until it is acknowledged.
            if bytes.capacity() / 4 > bytes.len() {
                bytes.shrink_to_fit();
            }
        }
        self.write_header(&mut bytes, codec);
        let count = self.count.max(0).unsigned_abs();
        let sealed = SealedBatch::new(bytes, count, self.max_timestamp);
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
    #[inline(always)]
    fn admit(&self, more: usize) -> Result<(), PushError> {
        // Nearly always, and then one comparison tells so.
        if self.bytes.len().saturating_add(more) <= self.easy && self.next_delta < MAX_COUNT {
            return Ok(());
        }
        self.weigh(more)
    }

    #[cold]
    fn weigh(&self, more: usize) -> Result<(), PushError> {
        let limit = self.options.max_record_bytes.min(MAX_BATCH);
        let size = HEADER_LEN.saturating_add(more);
        if size > limit {
            return Err(PushError::TooLarge { size, limit });
        }
        let full = self.bytes.len().saturating_add(more) > self.options.max_bytes.min(MAX_BATCH);
        if self.count > 0 && (full || self.next_delta >= MAX_COUNT) {
            return Err(PushError::Full);
        }
        Ok(())
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

const NO_TIMESTAMP: i64 = -1;
/// The most records of a batch, and its largest offset delta.
const MAX_COUNT: i32 = i32::MAX - 1;
/// The most bytes of a batch: its length field has 31 bits.
const MAX_BATCH: usize = i32::MAX as usize;
/// Reserved with the first record at most, in bytes; larger batches grow.
const FIRST_RESERVE: usize = 256 << 10;
