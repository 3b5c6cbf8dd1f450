//! The records of one batch, walked in place (KIP-98's record format, KIP-82's headers).
//!
//! In: a batch's records section, inflated. Out: one [`RecordRef`] after another, each a few
//! positions and slices into that section. Nothing is allocated and nothing copied; headers are
//! taken apart only when somebody asks for them.

use super::header::{BatchHeader, TimestampType};
use super::varint::{read_i32, read_i64};
use crate::error::{DecodeError, DecodeErrorKind};
use std::iter::FusedIterator;
use std::ops::Range;

/// Walks the records of a batch, in the order of their offsets.
///
/// After an error it ends. Byte positions of errors count from the start of the inflated records
/// section. An offset outside what the batch's header promises is an error, and so are bytes or
/// records too few or too many.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    body: &'a [u8],
    at: usize,
    left: u32,
    base_offset: i64,
    last_offset_delta: u32,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl<'a> Records<'a> {
    pub(super) fn new(header: &BatchHeader, body: &'a [u8]) -> Self {
        let append_time = header.timestamp_type() == TimestampType::LogAppendTime;
        Self {
            body,
            at: 0,
            left: header.count,
            base_offset: header.base_offset,
            last_offset_delta: header.last_offset_delta.max(0).unsigned_abs(),
            base_timestamp: header.base_timestamp,
            append_time: append_time.then_some(header.max_timestamp),
        }
    }

    /// The record at the present position, which is then behind it.
    #[inline(always)]
    fn record(&mut self) -> Result<RecordRef<'a>, DecodeError> {
        let start = self.at;
        let (length, at) = read_i32(self.body, start).ok_or_else(|| bad_varint(start))?;
        let end = at.wrapping_add(length as usize);
        // A negative length wraps to an end before the start, which no range can have.
        let bytes =
            self.body.get(..end).filter(|_| end > at).ok_or_else(|| self.too_long(at, length))?;
        let (timestamp_delta, next) = read_i64(bytes, at + 1).ok_or_else(|| bad_varint(at + 1))?;
        let (offset_delta, next) = read_i32(bytes, next).ok_or_else(|| bad_varint(next))?;
        let (key, next) = field(bytes, next)?;
        let (value, next) = field(bytes, next)?;
        let headers = bytes.get(next..).filter(|rest| !rest.is_empty());
        if offset_delta as u32 > self.last_offset_delta {
            return Err(DecodeError::new(start, DecodeErrorKind::OffsetOutOfRange));
        }
        let timestamp = match self.append_time {
            Some(time) => time,
            None => self.base_timestamp.checked_add(timestamp_delta).ok_or_else(|| bad_time(at))?,
        };
        self.at = end;
        Ok(RecordRef {
            body: self.body,
            // The header was checked to leave room for every delta.
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp,
            key,
            value,
            headers: headers.ok_or_else(|| ends_early(next, 1, 0))?,
            headers_at: next,
        })
    }

    #[cold]
    fn too_long(&self, at: usize, length: i32) -> DecodeError {
        match usize::try_from(length) {
            Ok(wanted) => ends_early(at, wanted.max(1), self.body.len().saturating_sub(at)),
            Err(_) => DecodeError::new(at, DecodeErrorKind::NegativeLength { length }),
        }
    }

    /// After the last record: nothing may be left.
    #[cold]
    fn finish(&mut self) -> Option<Result<RecordRef<'a>, DecodeError>> {
        let left = self.body.len().saturating_sub(self.at);
        let at = std::mem::replace(&mut self.at, self.body.len());
        (left > 0).then(|| Err(DecodeError::new(at, DecodeErrorKind::LeftOver { left })))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return self.finish();
        }
        self.left -= 1;
        let record = self.record();
        if record.is_err() {
            self.left = 0;
            self.at = self.body.len();
        }
        Some(record)
    }

    /// The upper bound is what the remaining bytes can hold, whatever the header claims.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.body.len().saturating_sub(self.at) / SMALLEST_RECORD;
        (0, Some(most.min(self.left as usize) + 1))
    }
}

impl FusedIterator for Records<'_> {}

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    body: &'a [u8],
    offset: i64,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [u8],
    headers_at: usize,
}

impl<'a> RecordRef<'a> {
    /// Its offset in the partition.
    #[inline]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Its timestamp in milliseconds since 1970: the producer's, or the time of appending if the
    /// batch says so. -1 in logs of format 0, which has none.
    #[inline]
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Its key; `None` is Kafka's null, which is not the same as an empty key.
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// Its value; `None` is Kafka's null, in a compacted topic a tombstone.
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// Its headers, in order, duplicates included.
    #[inline]
    pub fn headers(&self) -> Headers<'a> {
        Headers { bytes: self.headers, at: 0, left: None, base: self.headers_at }
    }

    /// Where the key stands in the batch's body: for columns that share the buffer instead of
    /// copying.
    #[inline]
    pub fn key_range(&self) -> Option<Range<usize>> {
        self.key.map(|key| self.range_of(key))
    }

    /// Where the value stands in the batch's body.
    #[inline]
    pub fn value_range(&self) -> Option<Range<usize>> {
        self.value.map(|value| self.range_of(value))
    }

    /// The position of a slice of the body, by its address.
    #[inline]
    fn range_of(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr().addr().wrapping_sub(self.body.as_ptr().addr());
        start..start.wrapping_add(part.len())
    }
}

/// Walks the headers of a record. After an error it ends.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many are left, once their count was read.
    left: Option<u32>,
    /// Where `bytes` begin in the batch's body.
    base: usize,
}

impl<'a> Headers<'a> {
    /// Whether the record has no headers: asked for every record, so it is one comparison.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.bytes == [0]
    }

    fn header(&mut self) -> Result<Option<HeaderRef<'a>>, DecodeError> {
        let left = match self.left {
            Some(left) => left,
            None => self.count()?,
        };
        let Some(left) = left.checked_sub(1) else {
            self.left = Some(0);
            return self.finish();
        };
        self.left = Some(left);
        let key_at = self.at;
        let (key, at) = field(self.bytes, key_at)?;
        let key = key.ok_or(DecodeError::new(key_at, DecodeErrorKind::UnexpectedNull))?;
        let (value, at) = field(self.bytes, at)?;
        self.at = at;
        Ok(Some(HeaderRef { key, value, at: self.base + key_at }))
    }

    fn count(&mut self) -> Result<u32, DecodeError> {
        let (count, at) = read_i32(self.bytes, self.at).ok_or_else(|| bad_varint(self.at))?;
        self.at = at;
        u32::try_from(count)
            .map_err(|_| DecodeError::new(0, DecodeErrorKind::NegativeLength { length: count }))
    }

    fn finish(&mut self) -> Result<Option<HeaderRef<'a>>, DecodeError> {
        let left = self.bytes.len().saturating_sub(self.at);
        let at = std::mem::replace(&mut self.at, self.bytes.len());
        if left == 0 {
            return Ok(None);
        }
        Err(DecodeError::new(at, DecodeErrorKind::LeftOver { left }))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<HeaderRef<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.header() {
            Ok(header) => header.map(Ok),
            Err(mut error) => {
                self.left = Some(0);
                self.at = self.bytes.len();
                error.at += self.base;
                Some(Err(error))
            }
        }
    }
}

impl FusedIterator for Headers<'_> {}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderRef<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
    at: usize,
}

impl<'a> HeaderRef<'a> {
    /// Its key as text.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::InvalidUtf8`]: Kafka calls it a string, but brokers store whatever was
    /// sent.
    pub fn key(&self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.key)
            .map_err(|_| DecodeError::new(self.at, DecodeErrorKind::InvalidUtf8))
    }

    /// Its key as it was written.
    pub fn key_bytes(&self) -> &'a [u8] {
        self.key
    }

    /// Its value; `None` is null.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }
}

/// A nullable byte field with its length in front: `(field, position behind it)`.
#[inline(always)]
fn field(bytes: &[u8], at: usize) -> Result<(Option<&[u8]>, usize), DecodeError> {
    let (length, start) = read_i32(bytes, at).ok_or_else(|| bad_varint(at))?;
    if length < 0 {
        return if length == -1 { Ok((None, start)) } else { Err(negative(at, length)) };
    }
    let end = start + length as usize;
    match bytes.get(start..end) {
        Some(field) => Ok((Some(field), end)),
        None => Err(ends_early(start, length as usize, bytes.len().saturating_sub(start))),
    }
}

#[cold]
fn bad_varint(at: usize) -> DecodeError {
    DecodeError::new(at, DecodeErrorKind::VarintOverflow)
}

#[cold]
fn bad_time(at: usize) -> DecodeError {
    DecodeError::new(at, DecodeErrorKind::TimestampOutOfRange)
}

#[cold]
fn negative(at: usize, length: i32) -> DecodeError {
    DecodeError::new(at, DecodeErrorKind::NegativeLength { length })
}

#[cold]
fn ends_early(at: usize, wanted: usize, left: usize) -> DecodeError {
    DecodeError::new(at, DecodeErrorKind::UnexpectedEnd { wanted, left })
}

/// Length, attributes, two deltas, two lengths and a count, one byte each.
const SMALLEST_RECORD: usize = 7;
