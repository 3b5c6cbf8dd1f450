//! The columns that a Kafka source has, which nobody can change: Spark's names in Spark's order, as Arrow types.
//!
//! | column | Arrow type | null when |
//! |---|---|---|
//! | `key` | BinaryView | the record has no key |
//! | `value` | BinaryView | the record has no value (a tombstone) |
//! | `topic` | Utf8View | never |
//! | `partition` | Int32 | never |
//! | `offset` | Int64 | never |
//! | `timestamp` | Timestamp(microseconds, UTC) | never |
//! | `timestampType` | Int32: 0 create time, 1 log append time, -1 none | never |
//! | `headers`, only with `includeHeaders` | List of Struct(key Utf8, value Binary) | the record has no headers |
//!
//! Every column is declared nullable, as Spark does. `topic` is a view and not a dictionary: a batch of one
//! partition repeats one 16-byte view, which costs next to nothing, and dictionaries that change from batch to
//! batch can't be written to an Arrow file.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// The schema of every Kafka read; `include_headers` appends the eighth column.
pub fn source_schema(include_headers: bool) -> SchemaRef {
    if include_headers { WITH_HEADERS.clone() } else { PLAIN.clone() }
}

/// The type of the `headers` column that a source gives and a sink takes.
pub fn headers_type() -> DataType {
    DataType::List(headers_item())
}

/// The list's item: a non-null struct of a non-null key and a nullable value.
pub(crate) fn headers_item() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(header_fields()), true))
}

/// The two fields of one header.
pub(crate) fn header_fields() -> Fields {
    HEADER_FIELDS.clone()
}

fn columns() -> Vec<Field> {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(UTC)));
    vec![
        Field::new(KEY, DataType::BinaryView, true),
        Field::new(VALUE, DataType::BinaryView, true),
        Field::new(TOPIC, DataType::Utf8View, true),
        Field::new(PARTITION, DataType::Int32, true),
        Field::new(OFFSET, DataType::Int64, true),
        Field::new(TIMESTAMP, timestamp, true),
        Field::new(TIMESTAMP_TYPE, DataType::Int32, true),
    ]
}

/// The name of the key column.
pub const KEY: &str = "key";
/// The name of the value column.
pub const VALUE: &str = "value";
/// The name of the topic column.
pub const TOPIC: &str = "topic";
/// The name of the partition column.
pub const PARTITION: &str = "partition";
/// The name of the offset column.
pub const OFFSET: &str = "offset";
/// The name of the timestamp column.
pub const TIMESTAMP: &str = "timestamp";
/// The name of the column that says where the timestamp is from.
pub const TIMESTAMP_TYPE: &str = "timestampType";
/// The name of the headers column.
pub const HEADERS: &str = "headers";
/// The time zone of the timestamp column.
pub(crate) const UTC: &str = "UTC";

static PLAIN: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(columns())));

static WITH_HEADERS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut columns = columns();
    columns.push(Field::new(HEADERS, headers_type(), true));
    Arc::new(Schema::new(columns))
});

static HEADER_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new(KEY, DataType::Utf8, false),
        Field::new(VALUE, DataType::Binary, true),
    ])
});

#[cfg(test)]
mod tests {
    use super::*;

    fn names(include_headers: bool) -> Vec<String> {
        source_schema(include_headers).fields().iter().map(|f| f.name().clone()).collect()
    }

    #[test]
    fn b001_seven_nullable_columns_in_sparks_order() {
        let expected =
            ["key", "value", "topic", "partition", "offset", "timestamp", "timestampType"];
        assert_eq!(names(false), expected);
        assert!(source_schema(false).fields().iter().all(|f| f.is_nullable()));
    }

    #[test]
    fn b002_headers_are_an_eighth_column_only_when_asked_for() {
        assert_eq!(names(true).len(), 8);
        assert_eq!(names(true)[7], "headers");
        assert_eq!(names(false).len(), 7);
    }
}
