//! The mirror of the reader. In come primitives, out come [`Segments`]: small values are gathered
//! in one growing buffer, and a byte field of [`BY_REFERENCE`] bytes or more is passed on by
//! reference.

use bytes::Bytes;

use super::read::{MAX_ELEMENTS, MAX_STRING};
use super::segments::Segments;
use super::uuid::Uuid;
use super::varint;
use crate::error::{EncodeError, EncodeErrorKind};

/// Writes primitives one after another.
#[derive(Debug, Default)]
pub struct Writer {
    /// All that is not passed on by reference, in one buffer.
    gathered: Vec<u8>,
    /// Large values, each with the place in `gathered` before which it stands.
    large: Vec<(usize, Bytes)>,
    large_len: usize,
    framed: bool,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer whose first four bytes become the length of all that follows, as a frame wants.
    pub fn framed() -> Self {
        let mut gathered = Vec::with_capacity(FIRST_CAPACITY);
        gathered.extend_from_slice(&[0; FRAME_PREFIX]);
        Self { gathered, framed: true, ..Self::default() }
    }

    /// Bytes written so far, a frame's length prefix included.
    pub fn len(&self) -> usize {
        self.gathered.len() + self.large_len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the writing.
    ///
    /// # Errors
    ///
    /// [`EncodeErrorKind::TooLong`] if a frame is longer than its four-byte length can say.
    pub fn finish(mut self) -> Result<Segments, EncodeError> {
        if self.framed {
            let length = length_i32(self.len().saturating_sub(FRAME_PREFIX))?.to_be_bytes();
            if let Some(prefix) = self.gathered.first_chunk_mut() {
                *prefix = length;
            }
        }
        let mut gathered = Bytes::from(self.gathered);
        let mut segments = Segments::new();
        let mut start = 0;
        for (at, large) in self.large {
            segments.push(gathered.split_to(at - start));
            segments.push(large);
            start = at;
        }
        segments.push(gathered);
        Ok(segments)
    }

    /// A signed byte.
    #[inline]
    pub fn put_i8(&mut self, value: i8) {
        self.put_raw(&value.to_be_bytes());
    }

    /// Two bytes, big-endian.
    #[inline]
    pub fn put_i16(&mut self, value: i16) {
        self.put_raw(&value.to_be_bytes());
    }

    /// Four bytes, big-endian.
    #[inline]
    pub fn put_i32(&mut self, value: i32) {
        self.put_raw(&value.to_be_bytes());
    }

    /// Eight bytes, big-endian.
    #[inline]
    pub fn put_i64(&mut self, value: i64) {
        self.put_raw(&value.to_be_bytes());
    }

    /// Two bytes, big-endian, unsigned.
    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.put_raw(&value.to_be_bytes());
    }

    /// Four bytes, big-endian, unsigned.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put_raw(&value.to_be_bytes());
    }

    /// An IEEE 754 double, big-endian.
    #[inline]
    pub fn put_f64(&mut self, value: f64) {
        self.put_raw(&value.to_be_bytes());
    }

    /// One byte, 0 or 1.
    #[inline]
    pub fn put_bool(&mut self, value: bool) {
        self.gathered.push(u8::from(value));
    }

    /// Sixteen bytes.
    #[inline]
    pub fn put_uuid(&mut self, value: Uuid) {
        self.put_raw(&value.0);
    }

    /// A zigzagged integer of one to five bytes.
    #[inline]
    pub fn put_varint(&mut self, value: i32) {
        varint::put_i32(&mut self.gathered, value);
    }

    /// A zigzagged integer of one to ten bytes.
    #[inline]
    pub fn put_varlong(&mut self, value: i64) {
        varint::put_i64(&mut self.gathered, value);
    }

    /// An unsigned integer of one to five bytes.
    #[inline]
    pub fn put_unsigned_varint(&mut self, value: u32) {
        varint::put_u32(&mut self.gathered, value);
    }

    /// A string with a two-byte length, -1 for null.
    ///
    /// # Errors
    ///
    /// [`EncodeErrorKind::TooLong`] over 32,767 bytes.
    pub fn put_string(&mut self, value: Option<&str>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.put_i16(-1);
            return Ok(());
        };
        self.put_i16(length_i16(value.len())?);
        self.put_raw(value.as_bytes());
        Ok(())
    }

    /// A string with a variable-length length, 0 for null (KIP-482).
    ///
    /// # Errors
    ///
    /// As [`Writer::put_string`].
    pub fn put_compact_string(&mut self, value: Option<&str>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.put_unsigned_varint(0);
            return Ok(());
        };
        let length = length_i16(value.len())?;
        self.put_unsigned_varint(u32::from(length.unsigned_abs()) + 1);
        self.put_raw(value.as_bytes());
        Ok(())
    }

    /// Bytes with a four-byte length, -1 for null. Large ones go by reference.
    ///
    /// # Errors
    ///
    /// [`EncodeErrorKind::TooLong`] over 2^31 - 1 bytes.
    pub fn put_bytes(&mut self, value: Option<&Bytes>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.put_i32(-1);
            return Ok(());
        };
        self.put_i32(length_i32(value.len())?);
        self.put_shared(value);
        Ok(())
    }

    /// Bytes with a variable-length length, 0 for null (KIP-482). Large ones go by reference.
    ///
    /// # Errors
    ///
    /// As [`Writer::put_bytes`].
    pub fn put_compact_bytes(&mut self, value: Option<&Bytes>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.put_unsigned_varint(0);
            return Ok(());
        };
        self.put_unsigned_varint(length_i32(value.len())?.unsigned_abs() + 1);
        self.put_shared(value);
        Ok(())
    }

    /// A count of elements in four bytes, -1 for null.
    ///
    /// # Errors
    ///
    /// [`EncodeErrorKind::TooLong`] over the count that a reader of ours would take.
    pub fn put_array_len(&mut self, count: Option<usize>) -> Result<(), EncodeError> {
        match count {
            Some(count) => self.put_i32(elements(count)?),
            None => self.put_i32(-1),
        }
        Ok(())
    }

    /// A count of elements in a variable-length integer, 0 for null (KIP-482).
    ///
    /// # Errors
    ///
    /// As [`Writer::put_array_len`].
    pub fn put_compact_array_len(&mut self, count: Option<usize>) -> Result<(), EncodeError> {
        match count {
            Some(count) => self.put_unsigned_varint(elements(count)?.unsigned_abs() + 1),
            None => self.put_unsigned_varint(0),
        }
        Ok(())
    }

    /// One tagged field: its tag, its size, and what `value` writes (KIP-482). The caller has
    /// written the count before, and writes tags in rising order.
    ///
    /// # Errors
    ///
    /// Those of `value`; [`EncodeErrorKind::TooLong`] over 2^31 - 1 bytes.
    pub fn put_tagged_field(
        &mut self,
        tag: u32,
        value: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut inner = Self::new();
        value(&mut inner)?;
        self.put_unsigned_varint(tag);
        self.put_unsigned_varint(length_i32(inner.len())?.unsigned_abs());
        let base = self.gathered.len();
        self.gathered.append(&mut inner.gathered);
        self.large.extend(inner.large.into_iter().map(|(at, large)| (base + at, large)));
        self.large_len += inner.large_len;
        Ok(())
    }

    /// Bytes as they are, copied.
    #[inline]
    pub fn put_raw(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// Bytes as they are; [`BY_REFERENCE`] or more of them are not copied.
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < BY_REFERENCE {
            self.put_raw(bytes);
            return;
        }
        self.large_len += bytes.len();
        self.large.push((self.gathered.len(), bytes.clone()));
    }
}

/// The length of a string for its prefix.
fn length_i16(length: usize) -> Result<i16, EncodeError> {
    i16::try_from(length).map_err(|_| too_long(length, MAX_STRING))
}

/// The length of bytes or of a frame for its prefix.
fn length_i32(length: usize) -> Result<i32, EncodeError> {
    i32::try_from(length).map_err(|_| too_long(length, i32::MAX as usize))
}

fn elements(count: usize) -> Result<i32, EncodeError> {
    if count > MAX_ELEMENTS {
        return Err(too_long(count, MAX_ELEMENTS));
    }
    length_i32(count)
}

#[cold]
fn too_long(length: usize, limit: usize) -> EncodeError {
    EncodeError::new(EncodeErrorKind::TooLong { length, limit })
}

/// From how many bytes on a value is passed on by reference: below it, a copy is cheaper than one
/// more piece.
pub const BY_REFERENCE: usize = 4096;

/// Enough for most requests without growing.
const FIRST_CAPACITY: usize = 256;

/// The length of a frame's length.
const FRAME_PREFIX: usize = 4;
