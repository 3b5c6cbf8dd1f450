//! A cursor over the bytes of one frame. In comes a `Bytes`, out come primitives, and `Bytes` that
//! share its memory: byte fields are never copied. Every length is checked against the bytes that
//! are left before anything is reserved for it.

use bytes::Bytes;

use super::uuid::Uuid;
use super::varint;
use crate::error::{DecodeError, DecodeErrorKind};

/// Reads primitives from the front of a `Bytes`.
///
/// After an error the position is that of the value that failed; a reader is not meant to be used
/// further then.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
    /// One past the last byte that may be read: the end of the frame, or of the tagged field being
    /// read.
    end: usize,
}

impl Reader {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        let end = bytes.len();
        Self { bytes, at: 0, end }
    }

    /// Bytes that are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Bytes read so far, from the start of the `Bytes` that the reader was made of.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::LeftOver`] if bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.error(DecodeErrorKind::LeftOver { left })),
        }
    }

    /// An error at the current position.
    #[inline]
    pub fn error(&self, what: DecodeErrorKind) -> DecodeError {
        DecodeError::new(self.at, what)
    }

    /// A signed byte.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::UnexpectedEnd`], as for every fixed-size value below.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.chunk().map(i8::from_be_bytes)
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.chunk().map(i16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.chunk().map(i32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.chunk().map(i64::from_be_bytes)
    }

    /// Two bytes, big-endian, unsigned.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.chunk().map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian, unsigned.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// An IEEE 754 double, big-endian.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.chunk().map(f64::from_be_bytes)
    }

    /// One byte; anything but zero is true, as in Kafka.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        self.i8().map(|byte| byte != 0)
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::i8`].
    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.chunk().map(Uuid)
    }

    /// A zigzagged integer of one to five bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::UnexpectedEnd`] or [`DecodeErrorKind::VarintOverflow`].
    #[inline]
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        self.variable(varint::decode_i32)
    }

    /// A zigzagged integer of one to ten bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::varint`].
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        self.variable(varint::decode_i64)
    }

    /// An unsigned integer of one to five bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::varint`].
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        self.variable(varint::decode_u32)
    }

    /// A string with a two-byte length.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::UnexpectedNull`], [`DecodeErrorKind::NegativeLength`],
    /// [`DecodeErrorKind::UnexpectedEnd`] or [`DecodeErrorKind::InvalidUtf8`].
    pub fn string(&mut self) -> Result<String, DecodeError> {
        self.required(Self::nullable_string)
    }

    /// A string with a two-byte length, -1 for null.
    ///
    /// # Errors
    ///
    /// As [`Reader::string`], null apart.
    pub fn nullable_string(&mut self) -> Result<Option<String>, DecodeError> {
        let start = self.at;
        let length = i32::from(self.i16()?);
        self.text(start, signed_length(start, length)?)
    }

    /// A string with a variable-length length (KIP-482).
    ///
    /// # Errors
    ///
    /// As [`Reader::string`], and [`DecodeErrorKind::StringTooLong`].
    pub fn compact_string(&mut self) -> Result<String, DecodeError> {
        self.required(Self::compact_nullable_string)
    }

    /// A string with a variable-length length, 0 for null (KIP-482).
    ///
    /// # Errors
    ///
    /// As [`Reader::compact_string`], null apart.
    pub fn compact_nullable_string(&mut self) -> Result<Option<String>, DecodeError> {
        let start = self.at;
        let length = self.compact_length()?;
        self.text(start, length)
    }

    /// Bytes with a four-byte length; they share the frame's memory.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::UnexpectedNull`], [`DecodeErrorKind::NegativeLength`] or
    /// [`DecodeErrorKind::UnexpectedEnd`].
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        self.required(Self::nullable_bytes)
    }

    /// Bytes with a four-byte length, -1 for null; they share the frame's memory.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`], null apart.
    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let start = self.at;
        let length = self.i32()?;
        self.blob(signed_length(start, length)?)
    }

    /// Bytes with a variable-length length (KIP-482); they share the frame's memory.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    pub fn compact_bytes(&mut self) -> Result<Bytes, DecodeError> {
        self.required(Self::compact_nullable_bytes)
    }

    /// Bytes with a variable-length length, 0 for null (KIP-482); they share the frame's memory.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`], null apart.
    pub fn compact_nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let length = self.compact_length()?;
        self.blob(length)
    }

    /// The next `length` bytes, without a length prefix; they share the frame's memory.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::UnexpectedEnd`].
    pub fn raw(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.need(length)?;
        let start = self.at;
        self.at += length;
        Ok(self.bytes.slice(start..self.at))
    }

    /// The next `count` values of `N` bytes each, without a count before them.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::UnexpectedEnd`].
    pub(super) fn run<const N: usize, T>(
        &mut self,
        count: usize,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, DecodeError> {
        let length = count.saturating_mul(N);
        self.need(length)?;
        let (values, _) = self.rest().get(..length).unwrap_or_default().as_chunks();
        let values = values.iter().map(|value| read(*value)).collect();
        self.at += length;
        Ok(values)
    }

    /// How many elements follow, from a four-byte count; `None` is null. `smallest` is the fewest
    /// bytes that one element takes; zero counts as one.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::TooManyElements`] over [`MAX_ELEMENTS`],
    /// [`DecodeErrorKind::CountBeyondInput`] if the bytes left cannot hold them,
    /// [`DecodeErrorKind::NegativeLength`] below -1.
    pub fn array_len(&mut self, smallest: usize) -> Result<Option<usize>, DecodeError> {
        let start = self.at;
        let count = self.i32()?;
        self.count(start, signed_length(start, count)?, smallest)
    }

    /// How many elements follow, from a variable-length count; `None` is null (KIP-482). As
    /// [`Reader::array_len`].
    ///
    /// # Errors
    ///
    /// As [`Reader::array_len`].
    pub fn compact_array_len(&mut self, smallest: usize) -> Result<Option<usize>, DecodeError> {
        let start = self.at;
        let count = self.compact_length()?;
        self.count(start, count, smallest)
    }

    /// Reads a tagged-field section. `known` gets each tag and reads its value; it returns false,
    /// without reading, for a tag it does not know, which is then skipped and not stored (KIP-482).
    ///
    /// # Errors
    ///
    /// Those of `known`; [`DecodeErrorKind::TooManyTaggedFields`],
    /// [`DecodeErrorKind::TagOutOfOrder`], [`DecodeErrorKind::TaggedFieldSize`] if a value does not
    /// fill its size.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        // Nearly always there is none, and this is read once a struct.
        if self.rest().first() == Some(&0) {
            self.at += 1;
            return Ok(());
        }
        let count = self.tagged_count()?;
        let mut lowest = 0u64;
        for _ in 0..count {
            let start = self.at;
            let tag = self.unsigned_varint()?;
            if u64::from(tag) < lowest {
                return Err(DecodeError::new(start, DecodeErrorKind::TagOutOfOrder { tag }));
            }
            lowest = u64::from(tag) + 1;
            let size = self.unsigned_varint()? as usize;
            self.need(size)?;
            self.tagged_value(tag, size, &mut known)?;
        }
        Ok(())
    }

    /// Skips a tagged-field section of which no tag is known.
    ///
    /// # Errors
    ///
    /// As [`Reader::tagged_fields`].
    #[inline]
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }

    /// Lets `known` read one value and see nothing beyond it.
    fn tagged_value(
        &mut self,
        tag: u32,
        size: usize,
        known: &mut impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let (start, outer) = (self.at, self.end);
        self.end = start + size;
        let read = known(tag, self)?;
        let used = self.at - start;
        self.at = self.end;
        self.end = outer;
        if read && used != size {
            let what = DecodeErrorKind::TaggedFieldSize { tag, announced: size, used };
            return Err(DecodeError::new(start, what));
        }
        Ok(())
    }

    fn tagged_count(&mut self) -> Result<usize, DecodeError> {
        let start = self.at;
        let count = self.unsigned_varint()? as usize;
        let what = if count > MAX_TAGGED_FIELDS {
            DecodeErrorKind::TooManyTaggedFields { count, limit: MAX_TAGGED_FIELDS }
        } else if count * SMALLEST_TAGGED_FIELD > self.remaining() {
            let (smallest, left) = (SMALLEST_TAGGED_FIELD, self.remaining());
            DecodeErrorKind::CountBeyondInput { count, smallest, left }
        } else {
            return Ok(count);
        };
        Err(DecodeError::new(start, what))
    }

    /// Refuses a count that the cap or the bytes left do not allow.
    #[inline]
    fn count(
        &self,
        start: usize,
        count: Option<usize>,
        smallest: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let Some(count) = count else { return Ok(None) };
        let (smallest, left) = (smallest.max(1), self.remaining());
        if count <= MAX_ELEMENTS && count.saturating_mul(smallest) <= left {
            return Ok(Some(count));
        }
        Err(DecodeError::new(start, wrong_count(count, smallest, left)))
    }

    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.unsigned_varint()?;
        Ok(length.checked_sub(1).map(|length| length as usize))
    }

    fn text(&mut self, start: usize, length: Option<usize>) -> Result<Option<String>, DecodeError> {
        let Some(length) = length else { return Ok(None) };
        if length > MAX_STRING {
            return Err(DecodeError::new(start, DecodeErrorKind::StringTooLong { length }));
        }
        self.need(length)?;
        let bytes = self.rest().get(..length).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let text = text.to_owned();
                self.at += length;
                Ok(Some(text))
            }
            Err(_) => Err(self.error(DecodeErrorKind::InvalidUtf8)),
        }
    }

    fn blob(&mut self, length: Option<usize>) -> Result<Option<Bytes>, DecodeError> {
        length.map(|length| self.raw(length)).transpose()
    }

    fn required<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Option<T>, DecodeError>,
    ) -> Result<T, DecodeError> {
        let start = self.at;
        match read(self)? {
            Some(value) => Ok(value),
            None => Err(DecodeError::new(start, DecodeErrorKind::UnexpectedNull)),
        }
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                let chunk = *chunk;
                self.at += N;
                Ok(chunk)
            }
            None => Err(self.short(N)),
        }
    }

    #[inline]
    fn variable<T>(
        &mut self,
        decode: impl FnOnce(&[u8]) -> Result<(T, usize), DecodeErrorKind>,
    ) -> Result<T, DecodeError> {
        match decode(self.rest()) {
            Ok((value, used)) => {
                self.at += used;
                Ok(value)
            }
            Err(what) => Err(self.error(what)),
        }
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    #[inline]
    fn need(&self, wanted: usize) -> Result<(), DecodeError> {
        if wanted > self.remaining() { Err(self.short(wanted)) } else { Ok(()) }
    }

    #[cold]
    fn short(&self, wanted: usize) -> DecodeError {
        self.error(DecodeErrorKind::UnexpectedEnd { wanted, left: self.remaining() })
    }
}

/// -1 is null; anything else below zero is refused, though Kafka's own decoder takes it as null.
#[inline]
fn signed_length(start: usize, length: i32) -> Result<Option<usize>, DecodeError> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        Err(_) => Err(DecodeError::new(start, DecodeErrorKind::NegativeLength { length })),
    }
}

#[cold]
fn wrong_count(count: usize, smallest: usize, left: usize) -> DecodeErrorKind {
    if count > MAX_ELEMENTS {
        DecodeErrorKind::TooManyElements { count, limit: MAX_ELEMENTS }
    } else {
        DecodeErrorKind::CountBeyondInput { count, smallest, left }
    }
}

/// The most elements that an array may claim. A cluster of a million partitions answers below it.
pub const MAX_ELEMENTS: usize = 1_000_000;

/// The longest string, in bytes. Kafka holds compact strings to the same limit as those with a
/// two-byte length.
pub const MAX_STRING: usize = 32_767;

/// The most tagged fields that a struct may claim. Kafka defines fewer than ten; the rest is for
/// the future.
pub const MAX_TAGGED_FIELDS: usize = 10_000;

/// One byte for the tag and one for the size.
const SMALLEST_TAGGED_FIELD: usize = 2;
