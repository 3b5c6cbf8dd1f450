//! Text rows become the sink's columns: parsed rows in, one [`RecordBatch`] with `key`, `value`, `headers`,
//! `topic` and `partition` out.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int32Builder, ListBuilder, StringBuilder, StructBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Binary, FormatError};

/// One row as a text format holds it, before it is known what its text means.
#[derive(Debug, Default)]
pub(super) struct TextRow<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) value: Option<&'a str>,
    pub(super) topic: Option<&'a str>,
    pub(super) partition: Option<i32>,
}

/// Collects rows until somebody takes them as a batch.
#[derive(Debug)]
pub(super) struct Ingest {
    binary: Binary,
    key: BinaryBuilder,
    value: BinaryBuilder,
    headers: ListBuilder<StructBuilder>,
    topic: StringBuilder,
    partition: Int32Builder,
    rows: usize,
    bytes: usize,
    scratch: Vec<u8>,
}

impl Ingest {
    pub(super) fn new(binary: Binary) -> Self {
        Self {
            binary,
            key: BinaryBuilder::new(),
            value: BinaryBuilder::new(),
            headers: headers_builder(),
            topic: StringBuilder::new(),
            partition: Int32Builder::new(),
            rows: 0,
            bytes: 0,
            scratch: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Rough size of what is held, for the caller's batch target.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a row whose headers, if any, were pushed before with [`Ingest::push_header`].
    pub(super) fn push(
        &mut self,
        row: &TextRow<'_>,
        has_headers: bool,
        line: u64,
    ) -> Result<(), FormatError> {
        self.bytes += row.key.map_or(0, str::len) + row.value.map_or(0, str::len) + ROW_OVERHEAD;
        append(&mut self.key, &mut self.scratch, row.key, self.binary, ("key", line))?;
        append(&mut self.value, &mut self.scratch, row.value, self.binary, ("value", line))?;
        self.headers.append(has_headers);
        self.topic.append_option(row.topic);
        self.partition.append_option(row.partition);
        self.rows += 1;
        Ok(())
    }

    /// Adds a header to the row that the next [`Ingest::push`] completes.
    pub(super) fn push_header(
        &mut self,
        key: &str,
        value: Option<&str>,
        line: u64,
    ) -> Result<(), FormatError> {
        let item = self.headers.values();
        if let Some(keys) = item.field_builder::<StringBuilder>(0) {
            keys.append_value(key);
        }
        if let Some(values) = item.field_builder::<BinaryBuilder>(1) {
            append(values, &mut self.scratch, value, self.binary, ("headers", line))?;
        }
        item.append(true);
        self.bytes += key.len() + value.map_or(0, str::len);
        Ok(())
    }

    /// The rows so far; the next row starts a new batch.
    pub(super) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        self.bytes = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.key.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.headers.finish()),
            Arc::new(self.topic.finish()),
            Arc::new(self.partition.finish()),
        ];
        RecordBatch::try_new(Arc::new(ingest_schema()), columns)
    }
}

/// The columns that text rows become; all of them nullable.
fn ingest_schema() -> Schema {
    Schema::new(vec![
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("headers", DataType::List(header_item()), true),
        Field::new("topic", DataType::Utf8, true),
        Field::new("partition", DataType::Int32, true),
    ])
}

fn header_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Binary, true),
    ])
}

fn header_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(header_fields()), false))
}

fn headers_builder() -> ListBuilder<StructBuilder> {
    let item = StructBuilder::new(
        header_fields(),
        vec![Box::new(StringBuilder::new()), Box::new(BinaryBuilder::new())],
    );
    ListBuilder::new(item).with_field(header_item())
}

/// Appends text as the bytes it stands for.
fn append(
    builder: &mut BinaryBuilder,
    scratch: &mut Vec<u8>,
    text: Option<&str>,
    binary: Binary,
    (column, line): (&'static str, u64),
) -> Result<(), FormatError> {
    match (text, binary) {
        (None, _) => builder.append_null(),
        (Some(text), Binary::Utf8) => builder.append_value(text),
        (Some(text), Binary::Base64) => {
            scratch.clear();
            STANDARD.decode_vec(text, scratch).map_err(|error| FormatError::Input {
                line,
                reason: format!("column {column} is not base64: {error}"),
            })?;
            builder.append_value(&scratch);
        }
    }
    Ok(())
}

/// Offsets, validity and the like, counted per row towards a batch's size.
const ROW_OVERHEAD: usize = 32;
