//! Records to rows and back.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray};
use klamm_protocol::records::{
    Batch, BatchBuilder, BatchOptions, Batches, Compression, Inflater, RecordParts,
};

use super::*;
use crate::ErrorKind;
use crate::schema::source_schema;

type Headers<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

/// A record to be written: time, key, value, headers.
type Record<'a> = (i64, Option<&'a [u8]>, Option<&'a [u8]>, Headers<'a>);

fn batch(base_offset: i64, compression: Compression, records: &[Record<'_>]) -> Batch {
    let options = BatchOptions { compression, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key, value, headers) in records {
        let parts = RecordParts::new(*timestamp, *key, *value);
        builder.try_push(&parts.with_headers(headers.iter().copied())).expect("room");
    }
    let sealed = builder.seal().to_bytes();
    let raw = Batches::new(sealed).next().expect("a batch").expect("whole");
    raw.appended(base_offset, 0, None).open(&mut Inflater::default(), 1 << 20).expect("opens")
}

const LONG: &[u8] = b"longer than the twelve bytes that a view holds itself";

#[test]
fn b004_b005_b006_b007_b008_every_field_of_a_record_becomes_its_column_whatever_the_codec() {
    for codec in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let records: [Record<'_>; 3] = [
            (1_000, Some(b"k"), Some(LONG), vec![("a", Some(b"1")), ("a", None)]),
            (-1, None, Some(b""), vec![]),
            (2_000, Some(LONG), None, vec![("b", Some(LONG))]),
        ];
        let mut decoder = RowDecoder::new("orders", 3, true);
        decoder.push(&batch(40, codec, &records), 0..i64::MAX).expect("decodes");
        let rows = decoder.finish().expect("a batch");
        assert_eq!(rows.schema(), source_schema(true));
        let keys: Vec<_> = rows.column(0).as_binary_view().iter().collect();
        let values: Vec<_> = rows.column(1).as_binary_view().iter().collect();
        assert_eq!(keys, [Some(&b"k"[..]), None, Some(LONG)]);
        assert_eq!(values, [Some(LONG), Some(&b""[..]), None]);
        assert!(rows.column(2).as_string_view().iter().all(|topic| topic == Some("orders")));
        assert_eq!(rows.column(4).as_primitive::<Int64Type>().values()[..], [40, 41, 42]);
        let times = rows.column(5).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.values()[..], [1_000_000, -1_000, 2_000_000]);
        let headers = rows.column(7).as_list::<i32>();
        assert_eq!(headers.value(0).len(), 2);
        assert!(headers.is_null(1), "a record without headers reads as null");
        let last = headers.value(2);
        assert_eq!(last.as_struct().column(1).as_binary::<i32>().value(0), LONG);
    }
}

#[test]
fn b009_the_time_of_a_record_is_its_producers_or_that_of_its_appending() {
    for (append_time, kind, time) in [(None, 0, 5_000), (Some(77), 1, 77_000)] {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.try_push(&RecordParts::new(5, None, None)).expect("room");
        let raw = Batches::new(builder.seal().to_bytes()).next().expect("a batch").expect("whole");
        let batch = raw.appended(0, 0, append_time);
        let batch = batch.open(&mut Inflater::default(), 1 << 20).expect("opens");
        let mut decoder = RowDecoder::new("t", 0, false);
        decoder.push(&batch, 0..1).expect("decodes");
        let rows = decoder.finish().expect("a batch");
        let times = rows.column(5).as_primitive::<TimestampMicrosecondType>();
        let kinds = rows.column(6).as_primitive::<Int32Type>();
        assert_eq!((kinds.value(0), times.value(0)), (kind, time));
    }
}

#[test]
fn long_values_point_into_the_batch_and_are_not_copied() {
    let batch = batch(0, Compression::None, &[(0, None, Some(LONG), vec![])]);
    let mut decoder = RowDecoder::new("t", 0, false);
    decoder.push(&batch, 0..1).expect("decodes");
    let rows = decoder.finish().expect("a batch");
    let shared = rows.column(1).as_binary_view().value(0).as_ptr().addr();
    let body = batch.body().as_ptr().addr();
    assert!((body..body + batch.body().len()).contains(&shared));
}

#[test]
fn b140_records_outside_the_range_are_left_out() {
    let records: Vec<Record<'_>> = (0..10).map(|at| (at, None, Some(LONG), vec![])).collect();
    let mut decoder = RowDecoder::new("t", 0, false);
    decoder.push(&batch(100, Compression::None, &records), 103..107).expect("decodes");
    decoder.push(&batch(200, Compression::None, &records), 0..201).expect("decodes");
    let rows = decoder.finish().expect("a batch");
    let offsets = rows.column(4).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(offsets, [103, 104, 105, 106, 200]);
    assert_eq!(decoder.finish().expect("an empty batch").num_rows(), 0);
}

#[test]
fn b010_a_timestamp_without_microseconds_is_refused_by_offset() {
    let mut decoder = RowDecoder::new("t", 0, false);
    let error = decoder
        .push(&batch(7, Compression::None, &[(i64::MAX, None, None, vec![])]), 0..9)
        .expect_err("too far in the future");
    assert_eq!(error.kind(), ErrorKind::MalformedRecord);
    assert!(error.to_string().contains("offset: 7"), "{error}");
}

#[test]
fn what_a_source_hands_out_a_sink_takes_with_time_headers_and_partition() {
    let records: [Record<'_>; 2] = [
        (5, Some(b"k"), None, vec![("a", Some(b"1")), ("a", None)]),
        (6, None, Some(LONG), vec![]),
    ];
    let mut decoder = RowDecoder::new("orders", 3, true);
    decoder.push(&batch(0, Compression::None, &records), 0..2).expect("decodes");
    let rows = decoder.finish().expect("a batch");
    let source = RowSource::new(&rows, Some("copy")).expect("the sink's columns");
    let first = source.row(0).expect("a row");
    assert_eq!((first.topic, first.partition, first.timestamp), ("copy", Some(3), Some(5)));
    assert_eq!((first.key, first.value), (Some(&b"k"[..]), None));
    assert_eq!(first.headers.collect::<Vec<_>>(), [("a", Some(&b"1"[..])), ("a", None)]);
    let second = source.row(1).expect("a row");
    assert_eq!(second.parts(9).timestamp, 6);
    assert_eq!((second.key, second.value), (None, Some(LONG)));
    assert_eq!(second.headers.count(), 0);
}

#[test]
fn b161_the_topic_option_overrides_the_topic_column() {
    let rows = rows(vec![("value", strings(&[Some("v")])), ("topic", strings(&[Some("foo")]))]);
    let by_column = RowSource::new(&rows, None).expect("columns").row(0).expect("a row").topic;
    assert_eq!(by_column, "foo");
    assert_eq!(
        RowSource::new(&rows, Some("t")).expect("columns").row(0).expect("a row").topic,
        "t"
    );
}

#[test]
fn b165_a_null_topic_fails_the_row() {
    let rows = rows(vec![("value", strings(&[Some("v")])), ("topic", strings(&[None]))]);
    let error = RowSource::new(&rows, None).expect("columns").row(0).expect_err("no topic");
    assert_eq!(error.condition(), Some("KAFKA_NULL_TOPIC_IN_DATA"));
}

#[test]
fn b166_strings_are_written_as_utf8_and_an_absent_key_is_null() {
    let rows = rows(vec![("value", strings(&[Some("ü"), None]))]);
    let source = RowSource::new(&rows, Some("t")).expect("columns");
    let first = source.row(0).expect("a row");
    assert_eq!((first.key, first.value), (None, Some("ü".as_bytes())));
    assert_eq!(source.row(1).expect("a row").value, None);
}

#[test]
fn b167_a_null_header_key_fails_the_row() {
    let item = StructBuilder::new(
        arrow_schema::Fields::from(vec![
            arrow_schema::Field::new("key", arrow_schema::DataType::Utf8, true),
            arrow_schema::Field::new("value", arrow_schema::DataType::Utf8, true),
        ]),
        vec![Box::new(StringBuilder::new()), Box::new(StringBuilder::new())],
    );
    let mut list = ListBuilder::new(item);
    for field in 0..2 {
        list.values().field_builder::<StringBuilder>(field).expect("a field").append_null();
    }
    list.values().append(true);
    list.append(true);
    let headers: ArrayRef = Arc::new(list.finish());
    let rows = rows(vec![("value", strings(&[Some("v")])), ("headers", headers)]);
    let error = RowSource::new(&rows, Some("t")).expect("columns").row(0).expect_err("no key");
    assert_eq!(error.kind(), ErrorKind::InvalidRow);
}

#[test]
fn b170_a_negative_partition_fails_the_row() {
    let partition: ArrayRef = Arc::new(Int32Array::from(vec![Some(-1), None]));
    let values: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"v", b"w"]));
    let rows = rows(vec![("value", values), ("partition", partition)]);
    let source = RowSource::new(&rows, Some("t")).expect("columns");
    let error = source.row(0).expect_err("negative");
    assert!(error.to_string().starts_with("Invalid partition: -1."), "{error}");
    assert_eq!(source.row(1).expect("a row").partition, None);
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .expect("columns of one length")
}

#[test]
fn a_column_of_nulls_becomes_one_of_values_at_any_row_and_starts_anew_when_finished() {
    let mut decoder = RowDecoder::new("orders", 0, false);
    for nulls in [0, 1, 3, 70] {
        for keys in [vec![], vec![&b"k"[..], LONG], vec![LONG]] {
            let expected: Vec<_> =
                std::iter::repeat_n(None, nulls).chain(keys.into_iter().map(Some)).collect();
            let records: Vec<Record<'_>> =
                expected.iter().map(|key| (1, *key, Some(LONG), vec![])).collect();
            // In two batches, so that views name two buffers.
            for half in records.chunks(records.len().div_ceil(2).max(1)) {
                decoder.push(&batch(0, Compression::Lz4, half), 0..i64::MAX).expect("decodes");
            }
            let rows = decoder.finish().expect("a batch");
            let column = rows.column(0).as_binary_view();
            assert_eq!(column.iter().collect::<Vec<_>>(), expected);
            assert_eq!(column.null_count(), nulls);
            assert_eq!(rows.column(1).as_binary_view().null_count(), 0);
        }
    }
}
