//! How a Rust type lies on the wire in a given version. In comes a value and a [`Layout`], out come
//! bytes, and back. The `Message` derive calls this for every field; nothing else needs to.
//!
//! **Memory.** Elements are reserved only for bytes that are there: a count is refused unless the
//! bytes left can hold that many of the smallest elements, at most [`RESERVED_AHEAD`] are reserved
//! before the first is read, and further ones as elements are read. So an array of `T` never holds
//! more than `size_of::<T>() / smallest` bytes a byte of input, and all that it reserves over its
//! life, reallocations counted in full, is at most twice that. The worst element of our messages is
//! a group in `ListGroups` with empty names: 96 bytes for 3 of input, a factor of 32. Text adds one
//! byte a byte; byte fields share the frame's memory and add none.

use bytes::Bytes;

use super::read::Reader;
use super::uuid::Uuid;
use super::write::Writer;
use crate::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};

/// What decides how a field is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The version of the API.
    pub version: i16,
    /// Whether this version has compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
    /// Whether this field may be null in this version.
    pub nullable: bool,
}

impl Layout {
    /// The layout of a message's top.
    pub const fn new(version: i16, flexible: bool) -> Self {
        Self { version, flexible, nullable: false }
    }

    /// The same, for a field that may or may not be null.
    #[must_use]
    pub const fn nullable(self, nullable: bool) -> Self {
        Self { nullable, ..self }
    }
}

/// A type that a field can have.
pub trait Field: Sized {
    /// How many structs lie inside one another here; a type that contains itself fails to compile
    /// because of it.
    const DEPTH: usize;

    /// Writes the value.
    ///
    /// # Errors
    ///
    /// If this version cannot carry the value.
    fn put(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError>;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// If the bytes are no such value.
    fn take(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError>;

    /// Reads `count` values; the bytes left can hold that many of the smallest.
    ///
    /// # Errors
    ///
    /// As [`Field::take`].
    fn take_many(r: &mut Reader, layout: Layout, count: usize) -> Result<Vec<Self>, DecodeError> {
        let mut items = Vec::with_capacity(count.min(RESERVED_AHEAD));
        for _ in 0..count {
            if items.len() == items.capacity() {
                items.reserve_exact(growth(items.len(), count));
            }
            items.push(Self::take(r, layout)?);
        }
        Ok(items)
    }

    /// The fewest bytes that a value takes.
    fn smallest(layout: Layout) -> usize;
}

/// A type that can be null in some version: then its field is an `Option`.
pub trait Nullable: Field {
    /// Writes the value where null would have been possible.
    ///
    /// # Errors
    ///
    /// As [`Field::put`].
    fn put_present(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        self.put(w, layout)
    }

    /// Writes null.
    ///
    /// # Errors
    ///
    /// None today; the signature leaves room.
    fn put_null(w: &mut Writer, layout: Layout) -> Result<(), EncodeError>;

    /// Reads a value or null.
    ///
    /// # Errors
    ///
    /// As [`Field::take`].
    fn take_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError>;

    /// The fewest bytes that a value or null takes.
    fn smallest_nullable(layout: Layout) -> usize {
        Self::smallest(layout)
    }
}

impl<T: Nullable> Field for Option<T> {
    const DEPTH: usize = T::DEPTH;

    fn put(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        match self {
            Some(value) if layout.nullable => value.put_present(w, layout),
            Some(value) => value.put(w, layout),
            None if layout.nullable => T::put_null(w, layout),
            None => {
                Err(EncodeError::new(EncodeErrorKind::NullInVersion { version: layout.version }))
            }
        }
    }

    fn take(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        if layout.nullable { T::take_nullable(r, layout) } else { T::take(r, layout).map(Some) }
    }

    fn smallest(layout: Layout) -> usize {
        if layout.nullable { T::smallest_nullable(layout) } else { T::smallest(layout) }
    }
}

impl<T: Field> Field for Vec<T> {
    const DEPTH: usize = T::DEPTH;

    fn put(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        if layout.flexible {
            w.put_compact_array_len(Some(self.len()))?;
        } else {
            w.put_array_len(Some(self.len()))?;
        }
        let layout = layout.nullable(false);
        self.iter().try_for_each(|item| item.put(w, layout))
    }

    fn take(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let start = r.position();
        match Self::take_nullable(r, layout)? {
            Some(items) => Ok(items),
            None => Err(DecodeError::new(start, DecodeErrorKind::UnexpectedNull)),
        }
    }

    fn smallest(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 4 }
    }
}

impl<T: Field> Nullable for Vec<T> {
    fn put_null(w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        if layout.flexible { w.put_compact_array_len(None) } else { w.put_array_len(None) }
    }

    fn take_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        let layout = layout.nullable(false);
        let smallest = T::smallest(layout);
        let count =
            if layout.flexible { r.compact_array_len(smallest)? } else { r.array_len(smallest)? };
        count.map(|count| T::take_many(r, layout, count)).transpose()
    }
}

impl Field for String {
    const DEPTH: usize = 0;

    fn put(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        if layout.flexible { w.put_compact_string(Some(self)) } else { w.put_string(Some(self)) }
    }

    fn take(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        if layout.flexible { r.compact_string() } else { r.string() }
    }

    fn smallest(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 2 }
    }
}

impl Nullable for String {
    fn put_null(w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        if layout.flexible { w.put_compact_string(None) } else { w.put_string(None) }
    }

    fn take_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        if layout.flexible { r.compact_nullable_string() } else { r.nullable_string() }
    }
}

impl Field for Bytes {
    const DEPTH: usize = 0;

    fn put(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        if layout.flexible { w.put_compact_bytes(Some(self)) } else { w.put_bytes(Some(self)) }
    }

    fn take(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        if layout.flexible { r.compact_bytes() } else { r.bytes() }
    }

    fn smallest(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 4 }
    }
}

impl Nullable for Bytes {
    fn put_null(w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        if layout.flexible { w.put_compact_bytes(None) } else { w.put_bytes(None) }
    }

    fn take_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        if layout.flexible { r.compact_nullable_bytes() } else { r.nullable_bytes() }
    }
}

/// Types whose bytes are the same in every version. Not inlined: the messages call them some 700
/// times, which would cost a third of their compile time and win nothing, for records do not come
/// this way.
macro_rules! fixed {
    ($($type:ty, $size:literal, $put:ident, $take:ident, $from:expr;)*) => {$(
        impl Field for $type {
            const DEPTH: usize = 0;

            #[inline(never)]
            fn put(&self, w: &mut Writer, _: Layout) -> Result<(), EncodeError> {
                w.$put(*self);
                Ok(())
            }

            #[inline(never)]
            fn take(r: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
                r.$take()
            }

            fn take_many(
                r: &mut Reader,
                _: Layout,
                count: usize,
            ) -> Result<Vec<Self>, DecodeError> {
                r.run(count, $from)
            }

            #[inline]
            fn smallest(_: Layout) -> usize {
                $size
            }
        }
    )*};
}

fixed! {
    bool, 1, put_bool, bool, |[byte]: [u8; 1]| byte != 0;
    f64, 8, put_f64, f64, f64::from_be_bytes;
    i8, 1, put_i8, i8, i8::from_be_bytes;
    i16, 2, put_i16, i16, i16::from_be_bytes;
    i32, 4, put_i32, i32, i32::from_be_bytes;
    i64, 8, put_i64, i64, i64::from_be_bytes;
    u16, 2, put_u16, u16, u16::from_be_bytes;
    u32, 4, put_u32, u32, u32::from_be_bytes;
    Uuid, 16, put_uuid, uuid, Uuid;
}

/// How many elements to reserve after `read` of `count`: as many again, or all the rest if that is
/// not much more. So what is reserved over an array's life is at most twice the array.
fn growth(read: usize, count: usize) -> usize {
    let rest = count.saturating_sub(read);
    if rest <= 3 * read { rest } else { read }
}

/// The largest of some depths; for the derive.
pub const fn deepest(mut depths: &[usize]) -> usize {
    let mut deepest = 0;
    while let Some((&depth, rest)) = depths.split_first() {
        deepest = if depth > deepest { depth } else { deepest };
        depths = rest;
    }
    deepest
}

/// How many elements are reserved before the first one is read.
const RESERVED_AHEAD: usize = 1000;
