//! The columns a sink reads, typed once per batch so that a row looks nothing up.
//!
//! In: a column of any of Arrow's string or binary types. Out: borrowed bytes by row.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{
    Array, BinaryArray, BinaryViewArray, LargeBinaryArray, LargeStringArray, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow_schema::{DataType, TimeUnit};

/// A column of strings.
#[derive(Clone, Copy, Debug)]
pub(super) enum TextColumn<'a> {
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
}

impl<'a> TextColumn<'a> {
    /// `None` if the column holds no strings.
    pub(super) fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => array.as_string_opt().map(Self::Utf8),
            DataType::LargeUtf8 => array.as_string_opt().map(Self::LargeUtf8),
            DataType::Utf8View => array.as_string_view_opt().map(Self::Utf8View),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get(self, row: usize) -> Option<&'a str> {
        match self {
            Self::Utf8(array) => array.is_valid(row).then(|| array.value(row)),
            Self::LargeUtf8(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Utf8View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// A column of byte strings, or of strings read as their UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) enum BytesColumn<'a> {
    /// Null in every row: also what a column that is not there reads as.
    Null,
    Text(TextColumn<'a>),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    BinaryView(&'a BinaryViewArray),
}

impl<'a> BytesColumn<'a> {
    /// `None` if the column holds neither strings nor byte strings.
    pub(super) fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Null => Some(Self::Null),
            DataType::Binary => array.as_binary_opt().map(Self::Binary),
            DataType::LargeBinary => array.as_binary_opt().map(Self::LargeBinary),
            DataType::BinaryView => array.as_binary_view_opt().map(Self::BinaryView),
            _ => TextColumn::of(array).map(Self::Text),
        }
    }

    #[inline]
    pub(super) fn get(self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Null => None,
            Self::Text(text) => text.get(row).map(str::as_bytes),
            Self::Binary(array) => array.is_valid(row).then(|| array.value(row)),
            Self::LargeBinary(array) => array.is_valid(row).then(|| array.value(row)),
            Self::BinaryView(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// A column of times.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimeColumn<'a> {
    Second(&'a TimestampSecondArray),
    Millisecond(&'a TimestampMillisecondArray),
    Microsecond(&'a TimestampMicrosecondArray),
    Nanosecond(&'a TimestampNanosecondArray),
}

impl<'a> TimeColumn<'a> {
    /// `None` if the column holds no times.
    pub(super) fn of(array: &'a dyn Array) -> Option<Self> {
        let DataType::Timestamp(unit, _) = array.data_type() else { return None };
        match unit {
            TimeUnit::Second => array.as_primitive_opt::<TimestampSecondType>().map(Self::Second),
            TimeUnit::Millisecond => {
                array.as_primitive_opt::<TimestampMillisecondType>().map(Self::Millisecond)
            }
            TimeUnit::Microsecond => {
                array.as_primitive_opt::<TimestampMicrosecondType>().map(Self::Microsecond)
            }
            TimeUnit::Nanosecond => {
                array.as_primitive_opt::<TimestampNanosecondType>().map(Self::Nanosecond)
            }
        }
    }

    /// Milliseconds since 1970, rounded down.
    #[inline]
    pub(super) fn get(self, row: usize) -> Option<i64> {
        match self {
            Self::Second(array) => {
                array.is_valid(row).then(|| array.value(row).saturating_mul(1_000))
            }
            Self::Millisecond(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Microsecond(array) => {
                array.is_valid(row).then(|| array.value(row).div_euclid(1_000))
            }
            Self::Nanosecond(array) => {
                array.is_valid(row).then(|| array.value(row).div_euclid(1_000_000))
            }
        }
    }
}
