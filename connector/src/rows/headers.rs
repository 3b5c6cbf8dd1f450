//! The `headers` column: a record's headers in, one list of (key, value) out.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::ArrowError;
use klamm_protocol::error::DecodeError;
use klamm_protocol::records::RecordRef;

use crate::schema::{header_fields, headers_item};

/// Collects headers row by row. They are copied: few records have them, and those that do have short ones.
#[derive(Debug)]
pub(super) struct HeadersBuilder {
    /// Where each row's list ends; the first entry is 0.
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    keys: StringBuilder,
    values: BinaryBuilder,
}

impl HeadersBuilder {
    pub(super) fn new() -> Self {
        Self {
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
            keys: StringBuilder::new(),
            values: BinaryBuilder::new(),
        }
    }

    /// Appends the headers of the record that is the next row; null where there are none, as Spark does.
    ///
    /// A key that is not UTF-8 gets replacement characters, as the Java client does: the broker stores whatever was
    /// sent, and one strange key must not stop a topic from being read.
    pub(super) fn push(&mut self, record: &RecordRef<'_>) -> Result<(), DecodeError> {
        let mut end = self.offsets.last().copied().unwrap_or_default();
        let some = record.has_headers();
        for header in record.headers() {
            let header = header?;
            self.keys.append_value(String::from_utf8_lossy(header.key_bytes()));
            self.values.append_option(header.value());
            end += 1;
        }
        self.offsets.push(end);
        self.nulls.append(some);
        Ok(())
    }

    /// The rows so far as a column; the builder is empty again.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let items = StructArray::try_new(header_fields(), columns, None)?;
        let offsets = OffsetBuffer::new(offsets.into());
        let nulls = self.nulls.finish();
        Ok(Arc::new(ListArray::try_new(headers_item(), offsets, Arc::new(items), nulls)?))
    }
}
