//! Whether rows of a schema can be written to Kafka: Spark's checks, in Spark's order, with Spark's words.
//!
//! | column | type | when it is absent |
//! |---|---|---|
//! | `topic` | string | the option `topic` has to be there |
//! | `key` | string or binary | keys are null |
//! | `value` | string or binary | refused |
//! | `headers` | list of struct(key string, value binary) | no headers |
//! | `partition` | int | the partitioner chooses |
//!
//! Names count with their case, other columns are ignored, and whether a column may hold nulls does not matter. Every
//! Arrow type of text or bytes is a string or binary. A column of Arrow's Null type is taken as all null.

use arrow_schema::{DataType, Schema};

use crate::error::{Error, ErrorKind, Result};
use crate::schema::{HEADERS, KEY, PARTITION, TOPIC, VALUE};

/// Checks the columns of a write; `topic` is the option of that name.
///
/// # Errors
/// `InvalidSchema`, for the first column in the order of the table that is missing or has another type.
pub fn validate(schema: &Schema, topic: Option<&str>) -> Result<()> {
    let type_of = |name| schema.field_with_name(name).ok().map(|field| field.data_type());
    match type_of(TOPIC) {
        None if topic.is_none() => {
            return Err(Error::new(
                ErrorKind::InvalidSchema,
                "topic option required when no 'topic' attribute is present. Use the topic option for setting a topic.",
            ));
        }
        None => {}
        Some(found) => expect(TOPIC, found, is_text, "string")?,
    }
    if let Some(found) = type_of(KEY) {
        expect(KEY, found, is_text_or_bytes, "string or binary")?;
    }
    let value = type_of(VALUE).ok_or_else(|| {
        Error::new(ErrorKind::InvalidSchema, "Required attribute 'value' not found")
    })?;
    expect(VALUE, value, is_text_or_bytes, "string or binary")?;
    if let Some(found) = type_of(HEADERS) {
        expect(HEADERS, found, is_headers, "array<struct<key:string,value:binary>>")?;
    }
    if let Some(found) = type_of(PARTITION) {
        expect(PARTITION, found, |found| *found == DataType::Int32, "int")?;
    }
    Ok(())
}

fn expect(
    name: &str,
    found: &DataType,
    fits: impl Fn(&DataType) -> bool,
    wanted: &str,
) -> Result<()> {
    if fits(found) || *found == DataType::Null {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidSchema,
        format!(
            "{name} attribute unsupported type {}. {name} must be a(n) {wanted}",
            sparks_name(found)
        ),
    ))
}

fn is_text(found: &DataType) -> bool {
    matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(found: &DataType) -> bool {
    matches!(found, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_text_or_bytes(found: &DataType) -> bool {
    is_text(found) || is_bytes(found)
}

/// A list of pairs whose names are `key` and `value`.
fn is_headers(found: &DataType) -> bool {
    let DataType::List(item) = found else { return false };
    let DataType::Struct(fields) = item.data_type() else { return false };
    match &fields[..] {
        [key, value] => {
            key.name() == KEY
                && value.name() == VALUE
                && is_text(key.data_type())
                && is_bytes(value.data_type())
        }
        _ => false,
    }
}

/// What Spark calls a type, where it has it; Arrow's name otherwise.
fn sparks_name(found: &DataType) -> String {
    match found {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        text if is_text(text) => "string".to_owned(),
        bytes if is_bytes(bytes) => "binary".to_owned(),
        DataType::List(item) => format!("array<{}>", sparks_name(item.data_type())),
        DataType::Struct(fields) => {
            let field =
                |f: &arrow_schema::FieldRef| format!("{}:{}", f.name(), sparks_name(f.data_type()));
            format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::Field;

    use super::*;
    use crate::schema::{headers_type, source_schema};

    fn check(columns: &[(&str, DataType)], topic: Option<&str>) -> Result<()> {
        let fields: Vec<_> =
            columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        validate(&Schema::new(fields), topic)
    }

    fn refused(columns: &[(&str, DataType)], topic: Option<&str>) -> String {
        let error = check(columns, topic).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSchema);
        error.message().to_owned()
    }

    #[test]
    fn what_a_source_reads_a_sink_takes() {
        assert!(validate(&source_schema(true), None).is_ok());
        assert!(validate(&source_schema(false), Some("t")).is_ok());
    }

    #[test]
    fn b162_a_topic_is_required() {
        assert_eq!(
            refused(&[("value", DataType::Utf8)], None),
            "topic option required when no 'topic' attribute is present. Use the topic option for setting a topic."
        );
        assert!(check(&[("value", DataType::Utf8)], Some("")).is_ok());
    }

    #[test]
    fn b163_a_value_is_required() {
        assert_eq!(
            refused(&[("Value", DataType::Utf8)], Some("t")),
            "Required attribute 'value' not found"
        );
    }

    #[test]
    fn b164_wrong_types_are_found_in_sparks_order() {
        let int = DataType::Int32;
        let mut columns = vec![
            ("topic", int.clone()),
            ("key", int.clone()),
            ("value", int.clone()),
            ("headers", int.clone()),
            ("partition", DataType::Int64),
        ];
        let expected = [
            ("topic attribute unsupported type int. topic must be a(n) string", DataType::Utf8),
            (
                "key attribute unsupported type int. key must be a(n) string or binary",
                DataType::Binary,
            ),
            (
                "value attribute unsupported type int. value must be a(n) string or binary",
                DataType::LargeUtf8,
            ),
            (
                "headers attribute unsupported type int. headers must be a(n) array<struct<key:string,value:binary>>",
                headers_type(),
            ),
            ("partition attribute unsupported type bigint. partition must be a(n) int", int),
        ];
        for (i, (message, right)) in expected.into_iter().enumerate() {
            assert_eq!(refused(&columns, None), message);
            columns[i].1 = right;
        }
        assert!(check(&columns, None).is_ok());
    }

    #[test]
    fn b164_a_wrong_topic_column_is_refused_even_with_the_option() {
        let columns = [("topic", DataType::Boolean), ("value", DataType::Utf8)];
        assert!(
            refused(&columns, Some("t")).starts_with("topic attribute unsupported type boolean.")
        );
    }

    #[test]
    fn every_arrow_kind_of_text_and_bytes_is_taken() {
        use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
        for kind in [Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView, DataType::Null] {
            assert!(check(&[("value", kind.clone()), ("key", kind)], Some("t")).is_ok());
        }
        assert!(check(&[("value", Utf8), ("extra", DataType::Float16)], Some("t")).is_ok());
    }
}
