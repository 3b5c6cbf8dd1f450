//! The mirror of the reader. In come primitives, out come [`Segments`]: small values are gathered
//! in one growing buffer, and a byte field of [`BY_REFERENCE`] bytes or more is passed on by
//! reference.

use bytes::{BufMut, Bytes, BytesMut};

use super::read::{MAX_ELEMENTS, MAX_STRING};
use super::segments::Segments;
use super::uuid::Uuid;
use super::varint;
use crate::error::{EncodeError, EncodeErrorKind};

/// Writes primitives one after another.
#[derive(Debug, Default)]
pub struct Writer {
    /// Finished pairs: what was gathered, and the large value that follows it.
    parts: Vec<(BytesMut, Bytes)>,
    parts_len: usize,
    tail: BytesMut,
    framed: bool,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer whose first four bytes become the length of all that follows, as a frame wants.
    pub fn framed() -> Self {
        let mut tail = BytesMut::with_capacity(FIRST_CAPACITY);
        tail.put_i32(0);
        Self { parts: Vec::new(), parts_len: 0, tail, framed: true }
    }

    /// Bytes written so far, a frame's length prefix included.
    pub fn len(&self) -> usize {
        self.parts_len + self.tail.len()
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
            let length = length_i32(self.len() - FRAME_PREFIX)?.to_be_bytes();
            let first = self.parts.first_mut().map_or(&mut self.tail, |(gathered, _)| gathered);
            if let Some(prefix) = first.first_chunk_mut() {
                *prefix = length;
            }
        }
        let mut segments = Segments::new();
        for (gathered, large) in self.parts {
            segments.push(gathered.freeze());
            segments.push(large);
        }
        segments.push(self.tail.freeze());
        Ok(segments)
    }

    /// A signed byte.
    #[inline]
    pub fn put_i8(&mut self, value: i8) {
        self.tail.put_i8(value);
    }

    /// Two bytes, big-endian.
    #[inline]
    pub fn put_i16(&mut self, value: i16) {
        self.tail.put_i16(value);
    }

    /// Four bytes, big-endian.
    #[inline]
    pub fn put_i32(&mut self, value: i32) {
        self.tail.put_i32(value);
    }

    /// Eight bytes, big-endian.
    #[inline]
    pub fn put_i64(&mut self, value: i64) {
        self.tail.put_i64(value);
    }

    /// Two bytes, big-endian, unsigned.
    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.tail.put_u16(value);
    }

    /// Four bytes, big-endian, unsigned.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.tail.put_u32(value);
    }

    /// An IEEE 754 double, big-endian.
    #[inline]
    pub fn put_f64(&mut self, value: f64) {
        self.tail.put_f64(value);
    }

    /// One byte, 0 or 1.
    #[inline]
    pub fn put_bool(&mut self, value: bool) {
        self.tail.put_u8(u8::from(value));
    }

    /// Sixteen bytes.
    #[inline]
    pub fn put_uuid(&mut self, value: Uuid) {
        self.tail.put_slice(&value.0);
    }

    /// A zigzagged integer of one to five bytes.
    #[inline]
    pub fn put_varint(&mut self, value: i32) {
        varint::put_i32(&mut self.tail, value);
    }

    /// A zigzagged integer of one to ten bytes.
    #[inline]
    pub fn put_varlong(&mut self, value: i64) {
        varint::put_i64(&mut self.tail, value);
    }

    /// An unsigned integer of one to five bytes.
    #[inline]
    pub fn put_unsigned_varint(&mut self, value: u32) {
        varint::put_u32(&mut self.tail, value);
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
        for (gathered, large) in inner.parts {
            self.put_raw(&gathered);
            self.put_shared(&large);
        }
        self.put_raw(&inner.tail);
        Ok(())
    }

    /// Bytes as they are, copied.
    #[inline]
    pub fn put_raw(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Bytes as they are; [`BY_REFERENCE`] or more of them are not copied.
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < BY_REFERENCE {
            self.put_raw(bytes);
            return;
        }
        self.parts_len += self.tail.len() + bytes.len();
        self.parts.push((self.tail.split(), bytes.clone()));
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
