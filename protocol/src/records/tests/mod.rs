//! What batches promise, tested through the public API: what was written reads back, and nothing
//! hostile gets further than an error.

mod hostile;
mod legacy;
mod peer;
mod round_trip;

use super::*;
use bytes::Bytes;
use proptest::prelude::*;

/// A record that owns its parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owned {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Records with every kind of key, value and header, and offsets with gaps. The offsets start at
/// zero.
pub(super) fn records() -> impl Strategy<Value = Vec<Owned>> {
    let timestamp = prop_oneof![4 => -3_i64..1_000, 1 => -100_000_000_i64..100_000_000_000];
    let header = ("[a-c]{0,2}", bytes_or_null(20));
    let headers = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(header, 0..4)];
    let gap = prop_oneof![5 => Just(0_i64), 1 => 1_i64..20_000];
    let record = (gap, timestamp, bytes_or_null(30), bytes_or_null(300), headers);
    prop::collection::vec(record, 1..40).prop_map(|parts| {
        let mut next = 0;
        parts
            .into_iter()
            .map(|(gap, timestamp, key, value, headers)| {
                let offset = next + gap;
                next = offset + 1;
                Owned { offset, timestamp, key, value, headers }
            })
            .collect()
    })
}

fn bytes_or_null(longest: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Vec::new())),
        4 => prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 1..longest).prop_map(Some),
    ]
}

pub(super) fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

/// Builds and seals one batch of all the records; gaps between offsets are left out as the log
/// cleaner does.
pub(super) fn build(records: &[Owned], compression: Compression) -> Bytes {
    let options = BatchOptions { compression, max_bytes: 1 << 20, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let mut next = 0;
    for record in records {
        builder.skip_offsets(u16::try_from(record.offset - next).unwrap());
        let pushed = push(&mut builder, record).unwrap();
        assert_eq!(i64::from(pushed.offset_delta), record.offset);
        next = record.offset + 1;
    }
    builder.seal().to_bytes()
}

pub(super) fn push(builder: &mut BatchBuilder, record: &Owned) -> Result<Pushed, PushError> {
    let headers = record.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
    let parts = RecordParts::new(record.timestamp, record.key.as_deref(), record.value.as_deref());
    builder.try_push(&parts.with_headers(headers))
}

/// Opens the only batch of `set` and copies its records out.
pub(super) fn read(set: Bytes) -> Vec<Owned> {
    let mut batches = Batches::new(set);
    let batch = batches.next().unwrap().unwrap().open(&mut Inflater::new(), 1 << 20).unwrap();
    assert!(batches.next().is_none() && !batches.trailing_partial());
    batch.records().map(|record| own(&batch, &record.unwrap())).collect()
}

pub(super) fn own(batch: &Batch, record: &RecordRef<'_>) -> Owned {
    let at =
        |range: Option<std::ops::Range<usize>>| range.map(|range| batch.body()[range].to_vec());
    assert_eq!(at(record.key_range()).as_deref(), record.key());
    assert_eq!(at(record.value_range()).as_deref(), record.value());
    let headers = record.headers().map(|header| {
        let header = header.unwrap();
        (header.key().unwrap().to_owned(), header.value().map(<[u8]>::to_vec))
    });
    let headers: Vec<_> = headers.collect();
    assert_eq!(record.has_headers(), !headers.is_empty());
    Owned {
        offset: record.offset(),
        timestamp: record.timestamp(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.value().map(<[u8]>::to_vec),
        headers,
    }
}
