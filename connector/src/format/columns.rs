//! The source's columns of one batch, typed once so that printing a row looks nothing up.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array as _, BinaryArray, BinaryViewArray, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StringViewArray, TimestampMicrosecondArray,
};

use super::FormatError;

/// Borrowed columns of a batch with the source's schema.
pub(super) struct Columns<'a> {
    key: &'a BinaryViewArray,
    value: &'a BinaryViewArray,
    topic: &'a StringViewArray,
    partition: &'a Int32Array,
    offset: &'a Int64Array,
    timestamp: &'a TimestampMicrosecondArray,
    timestamp_type: &'a Int32Array,
    headers: Option<Headers<'a>>,
}

struct Headers<'a> {
    list: &'a ListArray,
    keys: &'a StringArray,
    values: &'a BinaryArray,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, FormatError> {
        let column = |name: &'static str| {
            batch.column_by_name(name).ok_or(FormatError::Schema { column: name })
        };
        let wrong = |column: &'static str| FormatError::Schema { column };
        let headers = match batch.column_by_name("headers") {
            Some(array) => Some(Headers::of(array.as_list_opt().ok_or(wrong("headers"))?)?),
            None => None,
        };
        Ok(Self {
            key: column("key")?.as_binary_view_opt().ok_or(wrong("key"))?,
            value: column("value")?.as_binary_view_opt().ok_or(wrong("value"))?,
            topic: column("topic")?.as_string_view_opt().ok_or(wrong("topic"))?,
            partition: column("partition")?
                .as_primitive_opt::<Int32Type>()
                .ok_or(wrong("partition"))?,
            offset: column("offset")?.as_primitive_opt::<Int64Type>().ok_or(wrong("offset"))?,
            timestamp: column("timestamp")?
                .as_primitive_opt::<TimestampMicrosecondType>()
                .ok_or(wrong("timestamp"))?,
            timestamp_type: column("timestampType")?
                .as_primitive_opt::<Int32Type>()
                .ok_or(wrong("timestampType"))?,
            headers,
        })
    }

    pub(super) fn key(&self, row: usize) -> Option<&'a [u8]> {
        self.key.is_valid(row).then(|| self.key.value(row))
    }

    pub(super) fn value(&self, row: usize) -> Option<&'a [u8]> {
        self.value.is_valid(row).then(|| self.value.value(row))
    }

    pub(super) fn topic(&self, row: usize) -> &'a str {
        self.topic.value(row)
    }

    pub(super) fn partition(&self, row: usize) -> i32 {
        self.partition.value(row)
    }

    pub(super) fn offset(&self, row: usize) -> i64 {
        self.offset.value(row)
    }

    /// Microseconds since 1970, UTC.
    pub(super) fn timestamp(&self, row: usize) -> i64 {
        self.timestamp.value(row)
    }

    pub(super) fn timestamp_type(&self, row: usize) -> i32 {
        self.timestamp_type.value(row)
    }

    pub(super) fn has_headers(&self) -> bool {
        self.headers.is_some()
    }

    /// The headers of a row in their order; `None` where the row has none.
    pub(super) fn headers(
        &self,
        row: usize,
    ) -> Option<impl Iterator<Item = (&'a str, Option<&'a [u8]>)>> {
        let headers = self.headers.as_ref().filter(|headers| headers.list.is_valid(row))?;
        let offsets = headers.list.value_offsets();
        let range = offsets.get(row).zip(offsets.get(row + 1));
        let (start, end) = range.map_or((0, 0), |(start, end)| (*start as usize, *end as usize));
        let (keys, values) = (headers.keys, headers.values);
        Some(
            (start..end)
                .map(move |at| (keys.value(at), values.is_valid(at).then(|| values.value(at)))),
        )
    }

    /// The error that names a record whose bytes are not UTF-8.
    pub(super) fn not_utf8(&self, row: usize, column: &'static str) -> FormatError {
        FormatError::NotUtf8 {
            topic: self.topic(row).to_owned(),
            partition: self.partition(row),
            offset: self.offset(row),
            column,
        }
    }
}

impl<'a> Headers<'a> {
    fn of(list: &'a ListArray) -> Result<Self, FormatError> {
        let wrong = FormatError::Schema { column: "headers" };
        let item = list.values().as_struct_opt();
        let columns = item.map(|item| (item.column_by_name("key"), item.column_by_name("value")));
        let Some((Some(keys), Some(values))) = columns else { return Err(wrong) };
        match (keys.as_string_opt::<i32>(), values.as_binary_opt::<i32>()) {
            (Some(keys), Some(values)) => Ok(Self { list, keys, values }),
            _ => Err(wrong),
        }
    }
}
