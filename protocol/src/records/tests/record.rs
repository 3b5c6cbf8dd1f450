//! The short way of reading and writing a record against the general one, above all where they
//! meet.

use super::*;
use crate::records::tests::{build, records};
use crate::records::{BatchBuilder, BatchOptions, Compression, RawBatch, RecordParts};
use proptest::prelude::*;

/// Reads a body, record by record, both ways.
fn compare(header: &BatchHeader, body: &[u8]) {
    let mut records = Records::new(header, body);
    while records.left > 0 {
        records.left -= 1;
        let general = records.clone().any_record();
        if let Some(short) = records.short_record() {
            let (record, rest) = general.expect("what the short way reads is a record");
            assert_eq!(format!("{short:?}"), format!("{record:?}"));
            assert_eq!(records.rest, rest);
        } else {
            let Ok((_, rest)) = general else { return };
            records.rest = rest;
        }
    }
}

proptest! {
    #[test]
    fn both_ways_read_the_same(
        records in records(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        append_time in any::<bool>(),
    ) {
        let mut bytes = build(&records, Compression::None).to_vec();
        let mut header = BatchHeader::read(&bytes).unwrap();
        header.attributes |= if append_time { 8 } else { 0 };
        for (at, byte) in changes {
            let at = 61 + at.index(bytes.len() - 61);
            bytes[at] = byte;
        }
        compare(&header, &bytes[61..]);
    }

    #[test]
    fn both_ways_take_any_bytes(body in prop::collection::vec(any::<u8>(), 0..60), length in 8_u8..40) {
        let header = BatchHeader::read(&build(&[], Compression::None)).unwrap();
        let header = BatchHeader { count: 3, last_offset_delta: 10_000, ..header };
        let body = [&[length * 2, 0], &body[..]].concat();
        compare(&header, &body);
    }
}

/// Numbers of one, two and three varint bytes, and their neighbours.
const EDGES: [i64; 9] = [0, 1, 63, 64, 65, 8_191, 8_192, 8_193, 1_048_576];

#[test]
fn records_at_the_edges_of_the_short_form_read_back() {
    let long = vec![7; 1_048_576];
    let part = |len: i64| Some(&long[..usize::try_from(len).unwrap()]);
    let mut fields = vec![None];
    fields.extend(EDGES.map(part));
    for (i, key) in fields.iter().enumerate() {
        for value in &fields[..if i < 4 { fields.len() } else { 4 }] {
            edge_round_trip(*key, *value);
        }
    }
}

fn edge_round_trip(key: Option<&[u8]>, value: Option<&[u8]>) {
    let options =
        BatchOptions { max_bytes: 16 << 20, max_record_bytes: 4 << 20, ..Default::default() };
    let mut builder = BatchBuilder::new(options);
    let timestamps = [0, -1, 63, -64, 64, -65, 8_191, -8_192, 8_192, -8_193, 1 << 40];
    builder.try_push(&RecordParts::new(0, key, value)).unwrap();
    for timestamp in timestamps {
        builder.skip_offsets(if timestamp > 8_000 { 8_000 } else { 20 });
        builder.try_push(&RecordParts::new(timestamp, None, value)).unwrap();
    }
    let raw = RawBatch::read(builder.seal().to_bytes()).unwrap();
    let batch = raw.open(&mut crate::records::Inflater::new(), 0).unwrap();
    compare(batch.header(), batch.body());
    let read: Vec<_> = batch.records().map(Result::unwrap).collect();
    assert_eq!((read[0].key(), read[0].value()), (key, value));
    assert_eq!(read[1..].iter().map(RecordRef::timestamp).collect::<Vec<_>>(), timestamps);
    assert!(read[1..].iter().all(|record| record.value() == value && !record.has_headers()));
}
