//! The records of one batch, walked in place (KIP-98's record format, KIP-82's headers).
//!
//! In: a batch's records section, inflated. Out: one [`RecordRef`] after another, each a few
//! positions and slices into that section. Nothing is allocated and nothing copied; headers are
//! taken apart only when somebody asks for them.

use super::header::{BatchHeader, TimestampType};
use super::varint::{read_i32, read_i64, unzigzag64};
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
    /// What was not read yet: the end of `body`.
    rest: &'a [u8],
    left: u32,
    base_offset: i64,
    last_offset_delta: u32,
    base_timestamp: i64,
    /// All ones where timestamps are deltas, zero where the base is all records' timestamp.
    delta_mask: i64,
}

impl<'a> Records<'a> {
    pub(super) fn new(header: &BatchHeader, body: &'a [u8]) -> Self {
        let (base_timestamp, delta_mask) = match header.timestamp_type() {
            TimestampType::CreateTime => (header.base_timestamp, -1),
            TimestampType::LogAppendTime => (header.max_timestamp, 0),
        };
        Self {
            body,
            rest: body,
            left: header.count,
            base_offset: header.base_offset,
            last_offset_delta: header.last_offset_delta.max(0).unsigned_abs(),
            base_timestamp,
            delta_mask,
        }
    }

    /// The next record, if all its varints are short: less than 8 KiB in all, at most 8 seconds and
    /// 8,192 offsets from the batch's first. Anything else, mistakes included, is left to
    /// [`Records::any_record`].
    #[inline(always)]
    fn short_record(&mut self) -> Option<RecordRef<'a>> {
        let (length, rest) = short_varint(self.rest)?;
        let (bytes, rest) = rest.split_at_checked(length_of(length))?;
        // Attributes and deltas in one word. Which deltas take a second byte is decided by jumps,
        // which are foreseen, where arithmetic would have to be waited for.
        let word = u64::from_le_bytes(*bytes.first_chunk()?);
        let (timestamp_delta, offset_delta, next) = match (word & 0x8000 == 0, word) {
            (true, word) if word & 0x80_0000 == 0 => unpack::<1, 1>(word)?,
            (true, word) => unpack::<1, 2>(word)?,
            (false, word) if word & 0x8000_0000 == 0 => unpack::<2, 1>(word)?,
            (false, word) => unpack::<2, 2>(word)?,
        };
        let offset_delta = offset_delta.rotate_right(1);
        if offset_delta > self.last_offset_delta {
            return None;
        }
        let delta = unzigzag64(u64::from(timestamp_delta)) & self.delta_mask;
        let timestamp = self.base_timestamp.checked_add(delta)?;
        let (key, tail) = short_varint(bytes.get(next..)?)?;
        let (key, tail) = short_field(key, tail)?;
        let (value, tail) = short_varint(tail)?;
        let (value, headers) = short_field(value, tail)?;
        if headers.is_empty() {
            return None;
        }
        self.rest = rest;
        // The header was checked to leave room for every delta.
        let offset = self.base_offset.wrapping_add(i64::from(offset_delta));
        Some(RecordRef { body: self.body, offset, timestamp, key, value, headers })
    }

    /// The next record, and what is behind it; any record, and any mistake. It takes a copy, so that
    /// the walk itself can stay in registers.
    #[inline(never)]
    fn any_record(self) -> Result<(RecordRef<'a>, &'a [u8]), DecodeError> {
        let start = self.body.len() - self.rest.len();
        let (length, at) = read_i32(self.body, start).ok_or_else(|| bad_varint(start))?;
        let size = usize::try_from(length).map_err(|_| negative(start, length))?;
        let left = self.body.len() - at;
        let bytes = self.body.get(..at + size).filter(|_| size > 0);
        let bytes = bytes.ok_or_else(|| ends_early(at, size.max(1), left))?;
        let (delta, next) = read_i64(bytes, at + 1).ok_or_else(|| bad_varint(at + 1))?;
        let (offset_delta, next) = read_i32(bytes, next).ok_or_else(|| bad_varint(next))?;
        let (key, next) = field(bytes, next)?;
        let (value, next) = field(bytes, next)?;
        let headers = bytes.get(next..).filter(|rest| !rest.is_empty());
        if offset_delta as u32 > self.last_offset_delta {
            return Err(DecodeError::new(start, DecodeErrorKind::OffsetOutOfRange));
        }
        let delta = delta & self.delta_mask;
        let timestamp = self.base_timestamp.checked_add(delta).ok_or_else(|| bad_time(at))?;
        let record = RecordRef {
            body: self.body,
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp,
            key,
            value,
            headers: headers.ok_or_else(|| ends_early(next, 1, 0))?,
        };
        Ok((record, self.body.get(bytes.len()..).unwrap_or_default()))
    }

    /// After the last record: nothing may be left.
    fn finish(&mut self) -> Option<Result<RecordRef<'a>, DecodeError>> {
        let left = std::mem::take(&mut self.rest).len();
        let at = self.body.len() - left;
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
        if let Some(record) = self.short_record() {
            return Some(Ok(record));
        }
        match self.clone().any_record() {
            Ok((record, rest)) => {
                self.rest = rest;
                Some(Ok(record))
            }
            Err(error) => {
                self.left = 0;
                self.rest = &[];
                Some(Err(error))
            }
        }
    }

    /// The upper bound is what the remaining bytes can hold, whatever the header claims.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.rest.len() / SMALLEST_RECORD;
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

    /// Whether it has headers, without looking at them.
    #[inline]
    pub fn has_headers(&self) -> bool {
        self.headers != [0]
    }

    /// Its headers, in order, duplicates included.
    #[inline]
    pub fn headers(&self) -> Headers<'a> {
        Headers { bytes: self.headers, at: 0, left: None, base: self.range_of(self.headers).start }
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

/// A varint of one or two bytes, still zigzag, and what is behind it.
#[inline(always)]
fn short_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((u32::from(first), rest));
    }
    let (&second, rest) = rest.split_first()?;
    (second < 0x80).then_some((u32::from(first) & 0x7f | u32::from(second) << 7, rest))
}

/// The start of a record whose deltas take `T` and `O` bytes, one or two:
/// `(timestamp delta, offset delta, position behind them)`, still zigzag.
#[inline(always)]
fn unpack<const T: u32, const O: u32>(word: u64) -> Option<(u32, u32, usize)> {
    let bytes = 1 + T + O;
    // The bits that say that a varint goes on: set in the first of two bytes, clear in the last.
    let goes_on = |first: u32, len: u32| if len == 2 { 0x80_u64 << (8 * first) } else { 0 };
    let expected = goes_on(1, T) | goes_on(1 + T, O);
    if word & (0x8080_8080 << 8) & (u64::MAX >> (64 - 8 * bytes)) != expected {
        return None;
    }
    let varint = |first: u32, len: u32| {
        let raw = (word >> (8 * first)) as u32;
        if len == 2 { raw & 0x7f | raw >> 1 & 0x3f80 } else { raw & 0x7f }
    };
    Some((varint(1, T), varint(1 + T, O), bytes as usize))
}

/// A length of a few bits, still zigzag. A negative one, which is odd, becomes too large for any
/// slice.
#[inline(always)]
fn length_of(raw: u32) -> usize {
    raw.rotate_right(1) as usize
}

/// A nullable byte field whose length, still zigzag, was read, and what is behind it.
#[inline(always)]
fn short_field(raw: u32, bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if raw == NULL {
        return Some((None, bytes));
    }
    let (field, rest) = bytes.split_at_checked(length_of(raw))?;
    Some((Some(field), rest))
}

/// A nullable byte field with its length in front: `(field, position behind it)`.
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

/// A length of -1, still zigzag.
const NULL: u32 = 1;
/// Length, attributes, two deltas, two lengths and a count, one byte each.
const SMALLEST_RECORD: usize = 7;

#[cfg(test)]
#[path = "tests/record.rs"]
mod tests;
