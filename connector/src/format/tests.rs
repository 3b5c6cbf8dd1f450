//! Text formats: what is printed, what is read, and what is refused.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array as _, ArrayRef, BinaryViewArray, Int32Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray,
};

use super::*;

/// A key and a value.
type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Rows as a source hands them out, at offsets 7, 8, ….
fn source_rows(rows: &[Pair<'_>]) -> RecordBatch {
    let count = rows.len();
    let micros = vec![1_769_847_300_250_999_i64; count];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(rows.iter().map(|row| row.0).collect::<BinaryViewArray>())),
        ("value", Arc::new(rows.iter().map(|row| row.1).collect::<BinaryViewArray>())),
        ("topic", Arc::new(StringViewArray::from(vec!["orders"; count]))),
        ("partition", Arc::new(Int32Array::from(vec![3; count]))),
        ("offset", Arc::new(Int64Array::from_iter_values(7..7 + count as i64))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))),
        ("timestampType", Arc::new(Int32Array::from(vec![0; count]))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn print(rows: &[Pair<'_>], format: Format, binary: Binary) -> String {
    let mut out = Vec::new();
    RowWriter::new(&mut out, format, binary).write(&source_rows(rows)).expect("prints");
    String::from_utf8(out).expect("text")
}

fn read(text: &str, format: Format, binary: Binary) -> Result<RecordBatch, FormatError> {
    let mut reader = RowReader::new(text.as_bytes(), format, binary);
    reader.next_batch(1_000).map(|batch| batch.expect("rows"))
}

fn column(batch: &RecordBatch, name: &str) -> Vec<Option<Vec<u8>>> {
    let array = batch.column_by_name(name).expect("the column").as_binary::<i32>();
    array.iter().map(|bytes| bytes.map(<[u8]>::to_vec)).collect()
}

#[test]
fn json_prints_sparks_columns_in_sparks_order_and_tells_null_from_empty() {
    let text = print(&[(None, Some(b"")), (Some(b"k\""), None)], Format::Json, Binary::Utf8);
    assert_eq!(
        text,
        "{\"key\":null,\"value\":\"\",\"topic\":\"orders\",\"partition\":3,\"offset\":7,\
         \"timestamp\":\"2026-01-31T08:15:00.250Z\",\"timestampType\":0}\n\
         {\"key\":\"k\\\"\",\"value\":null,\"topic\":\"orders\",\"partition\":3,\"offset\":8,\
         \"timestamp\":\"2026-01-31T08:15:00.250Z\",\"timestampType\":0}\n"
    );
}

#[test]
fn bytes_that_are_not_utf8_are_an_error_that_names_the_record_and_the_switch() {
    let mut out = Vec::new();
    let rows = source_rows(&[(None, Some(b"fine")), (Some(b"\xff"), Some(b"x"))]);
    let error = RowWriter::new(&mut out, Format::Json, Binary::Utf8)
        .write(&rows)
        .expect_err("0xff is not UTF-8");
    let line = error.to_string();
    assert!(line.contains("orders-3 offset 8") && line.contains("--binary base64"), "{line}");
    let printed = String::from_utf8(out).expect("text");
    assert_eq!(printed.lines().count(), 1, "the row before is printed, the bad one not at all");
}

#[test]
fn base64_prints_any_bytes() {
    let text = print(&[(Some(b"\xff\x00"), Some(b"abc"))], Format::Json, Binary::Base64);
    assert!(text.starts_with("{\"key\":\"/wA=\",\"value\":\"YWJj\""), "{text}");
}

#[test]
fn raw_prints_each_value_and_a_line_break_whatever_its_bytes() {
    let mut out = Vec::new();
    let rows = source_rows(&[(None, Some(b"a\xff")), (None, None)]);
    RowWriter::new(&mut out, Format::Raw, Binary::Utf8).write(&rows).expect("prints");
    assert_eq!(out, b"a\xff\n\n");
}

#[test]
fn csv_round_trips_null_empty_quotes_and_line_breaks() {
    let rows: [Pair<'_>; 3] =
        [(None, Some(b"")), (Some(b"a,\"b\""), Some(b"two\nlines")), (Some(b" x"), None)];
    let text = print(&rows, Format::Csv, Binary::Utf8);
    let back = read(&text, Format::Csv, Binary::Utf8).expect("reads");
    let owned = |at: fn(&Pair<'_>) -> Option<Vec<u8>>| rows.iter().map(at).collect::<Vec<_>>();
    assert_eq!(column(&back, "key"), owned(|row| row.0.map(<[u8]>::to_vec)));
    assert_eq!(column(&back, "value"), owned(|row| row.1.map(<[u8]>::to_vec)));
}

#[test]
fn what_json_printed_can_be_written_back() {
    let text = print(&[(Some(b"k"), None), (None, Some(b"v"))], Format::Json, Binary::Base64);
    let back = read(&text, Format::Json, Binary::Base64).expect("reads");
    assert_eq!(column(&back, "key"), [Some(b"k".to_vec()), None]);
    assert_eq!(column(&back, "value"), [None, Some(b"v".to_vec())]);
    let partition = back.column_by_name("partition").expect("the column");
    assert_eq!(partition.as_primitive::<Int32Type>().value(1), 3);
}

#[test]
fn json_headers_keep_order_and_duplicates() {
    let line = r#"{"value":"v","headers":[{"key":"a","value":"1"},{"key":"a","value":null}]}"#;
    let back = read(line, Format::Json, Binary::Utf8).expect("reads");
    let list = back.column_by_name("headers").expect("headers").as_list::<i32>().value(0);
    let values = list.as_struct().column(1).as_binary::<i32>();
    assert_eq!(list.len(), 2);
    assert_eq!((values.value(0), values.is_null(1)), (&b"1"[..], true));
}

#[test]
fn a_row_without_a_value_is_refused_by_line_after_the_rows_before_it() {
    let mut reader =
        RowReader::new(&b"{\"value\":\"1\"}\n\n{\"key\":\"k\"}\n"[..], Format::Json, Binary::Utf8);
    let first = reader.next_batch(10).expect("the good row").expect("a batch");
    assert_eq!(first.num_rows(), 1);
    let line = reader.next_batch(10).expect_err("no value").to_string();
    assert!(line.contains("line 3"), "{line}");
}

#[test]
fn raw_lines_are_values_and_an_empty_line_is_an_empty_value() {
    let back = read("a\n\nb", Format::Raw, Binary::Utf8).expect("reads");
    assert_eq!(column(&back, "value"), [Some(b"a".to_vec()), Some(vec![]), Some(b"b".to_vec())]);
}

#[test]
fn a_timestamp_beyond_any_calendar_is_printed_as_its_milliseconds() {
    let mut out = Vec::new();
    json_write::timestamp(i64::MAX, &mut out).expect("prints");
    assert_eq!(out, (i64::MAX / 1_000).to_string().as_bytes());
}
