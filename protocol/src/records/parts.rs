//! A record on its way into a batch: borrowed parts in, its bytes of format 2 out (KIP-98, KIP-82).
//!
//! A record is laid out before it is written: its size decides whether the batch takes it, and the
//! same layout is then written in one go. Records whose lengths and deltas are short, which nearly
//! all are, travel as a few machine words instead of byte by byte.

use super::varint::{len_i64, write_i64, zigzag64};
use std::iter::Copied;
use std::slice;

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
    #[inline]
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

/// A record laid out for its batch in the short form: no headers, and neither a length nor a delta
/// that takes more than three bytes.
pub(super) struct Short {
    /// Length, attributes and timestamp delta.
    head: Word,
    /// Offset delta and the key's length.
    middle: Word,
    /// The value's length.
    value: Word,
    /// The size of all, key, value and header count included.
    size: usize,
}

impl Short {
    /// Lays a record out, if it has the short form.
    #[inline(always)]
    pub(super) fn of<'a, H>(parts: &RecordParts<'a, H>, deltas: (i64, i32)) -> Option<Self>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let key = parts.key.map_or(NULL, |key| (key.len() as u64) << 1);
        let value = parts.value.map_or(NULL, |value| (value.len() as u64) << 1);
        let (timestamp, offset) = (zigzag64(deltas.0), zigzag64(i64::from(deltas.1)));
        // A quarter of the limit for the lengths leaves room for the length of the whole.
        let long = (key | value) >> (Word::BITS - 2) | (timestamp | offset) >> Word::BITS;
        if long != 0 || parts.headers.clone().next().is_some() {
            return None;
        }
        let (key, value) = (Word::varint(key), Word::varint(value));
        let (timestamp, middle) = (Word::varint(timestamp), Word::varint(offset).then(key));
        let payload = parts.key.map_or(0, <[u8]>::len) + parts.value.map_or(0, <[u8]>::len);
        let length = 2 + timestamp.len + middle.len + value.len + payload;
        let size = Word::varint((length as u64) << 1);
        let head = size.then(Word::ZERO).then(timestamp);
        Some(Self { head, middle, value, size: size.len + length })
    }

    /// How many bytes the record takes.
    #[inline(always)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Appends the record that was laid out.
    #[inline(always)]
    pub(super) fn write<H>(&self, parts: &RecordParts<'_, H>, out: &mut Vec<u8>) {
        out.reserve(self.size + SPARE);
        match parts.key {
            None => self.head.write_with(self.middle.then(self.value), out),
            Some(key) => {
                self.head.write_with(self.middle, out);
                out.extend_from_slice(key);
                self.value.write_with(Word { bits: 0, len: 0 }, out);
            }
        }
        out.extend_from_slice(parts.value.unwrap_or_default());
        out.push(0);
    }
}

/// A record laid out for its batch in the general form.
pub(super) struct Long {
    /// What stands behind the length field, in bytes.
    length: usize,
    headers: usize,
    deltas: (i64, i32),
}

impl Long {
    /// Lays a record out. One that is too large for any batch gets a size that is, too.
    pub(super) fn of<'a, H>(parts: &RecordParts<'a, H>, deltas: (i64, i32)) -> Self
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let mut length = 1 + len_i64(deltas.0) + len_i64(i64::from(deltas.1));
        length = length.saturating_add(field_len(parts.key)).saturating_add(field_len(parts.value));
        let mut headers = 0;
        for (key, value) in parts.headers.clone() {
            length = length.saturating_add(field_len(Some(key.as_bytes())));
            length = length.saturating_add(field_len(value));
            headers += 1;
        }
        let length = length.saturating_add(len_i64(headers as i64));
        Self { length, headers, deltas }
    }

    /// How many bytes the record takes.
    pub(super) fn size(&self) -> usize {
        self.length.saturating_add(len_i64(self.length as i64))
    }

    /// Appends the record that was laid out.
    pub(super) fn write<'a, H>(&self, parts: &RecordParts<'a, H>, out: &mut Vec<u8>)
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        out.reserve(self.size());
        write_i64(out, self.length as i64);
        out.push(0);
        write_i64(out, self.deltas.0);
        write_i64(out, i64::from(self.deltas.1));
        write_field(out, parts.key);
        write_field(out, parts.value);
        write_i64(out, self.headers as i64);
        for (key, value) in parts.headers.clone() {
            write_field(out, Some(key.as_bytes()));
            write_field(out, value);
        }
    }
}

/// Up to eight bytes in a machine word, the first one lowest.
#[derive(Clone, Copy)]
struct Word {
    bits: u64,
    len: usize,
}

impl Word {
    /// One byte of zero.
    const ZERO: Self = Self { bits: 0, len: 1 };
    /// What fits into a varint of three bytes.
    const BITS: u32 = 21;

    /// A varint of at most three bytes.
    #[inline(always)]
    fn varint(raw: u64) -> Self {
        if raw < 1 << 7 {
            Self { bits: raw, len: 1 }
        } else if raw < 1 << 14 {
            Self { bits: raw & 0x7f | 0x80 | raw << 1 & 0x7f00, len: 2 }
        } else {
            Self { bits: raw & 0x7f | 0x8080 | raw << 1 & 0x7f00 | raw << 2 & 0x7f_0000, len: 3 }
        }
    }

    /// This one's bytes and then the other's; eight at most.
    #[inline(always)]
    fn then(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits << (8 * self.len), len: self.len + other.len }
    }

    /// Appends this one's bytes, seven at most and at least one, and the other's. Always writing
    /// sixteen and giving some back is a single store.
    #[inline(always)]
    fn write_with(self, other: Self, out: &mut Vec<u8>) {
        let end = out.len() + self.len + other.len;
        let shift = 8 * self.len as u32;
        let low = self.bits | other.bits << (shift & 63);
        let high = other.bits >> ((64 - shift) & 63);
        let both = u128::from(low) | u128::from(high) << 64;
        out.extend_from_slice(&both.to_le_bytes());
        out.truncate(end);
    }
}

fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    write_i64(out, field.map_or(-1, |field| field.len() as i64));
    out.extend_from_slice(field.unwrap_or_default());
}

fn field_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| field.len().saturating_add(len_i64(field.len() as i64)))
}

/// -1 in its zigzag form.
const NULL: u64 = 1;
/// Reserved beyond a record, so that whole words can be written at its end.
const SPARE: usize = 32;
