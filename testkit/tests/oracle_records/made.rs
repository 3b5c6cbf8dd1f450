//! Random batches. In: a random generator. Out: descriptions that Java's builder accepts.

use bytes::Bytes;
use fastrand::Rng;
use klamm_protocol::records::Compression;
use klamm_testkit::oracle::{BatchSpec, Marker, RecordSpec};

/// A batch of data from `first` on, with gaps, nulls, empty values, headers and their duplicates.
pub(crate) fn batch(random: &mut Rng, codec: Compression, first: i64) -> BatchSpec {
    let has_producer = random.bool();
    let mut made = BatchSpec {
        codec: codec.id() as i8,
        log_append_time: (random.u8(0..4) == 0).then(|| time(random)),
        base_offset: first,
        leader_epoch: random.i32(-1..100),
        records: records(random, first),
        ..BatchSpec::default()
    };
    if has_producer {
        made.producer_id = random.i64(0..1 << 50);
        made.producer_epoch = random.i16(0..);
        // Sequence numbers go on at 0 after the largest number.
        made.base_sequence =
            if random.u8(0..8) == 0 { i32::MAX - 3 } else { random.i32(0..1_000_000) };
        made.is_transactional = random.bool();
    }
    made
}

/// A control batch with the marker that ends a transaction.
pub(crate) fn marker_batch(random: &mut Rng) -> BatchSpec {
    let timestamp = time(random);
    let coordinator_epoch = random.i32(0..1_000);
    BatchSpec {
        base_offset: random.i64(0..1 << 40),
        producer_id: random.i64(0..1 << 50),
        producer_epoch: random.i16(0..),
        is_transactional: true,
        leader_epoch: random.i32(0..100),
        marker: Some(Marker { is_commit: random.bool(), timestamp, coordinator_epoch }),
        ..BatchSpec::default()
    }
}

fn records(random: &mut Rng, first: i64) -> Vec<RecordSpec> {
    let has_gaps = random.bool();
    let mut offset = first;
    let count = if random.u8(0..10) == 0 { random.usize(1..400) } else { random.usize(1..30) };
    (0..count)
        .map(|_| {
            offset += if has_gaps { random.i64(0..50) } else { 0 };
            let record = record(random, offset);
            offset += 1;
            record
        })
        .collect()
}

fn record(random: &mut Rng, offset: i64) -> RecordSpec {
    let headers = if random.u8(0..3) == 0 { random.usize(1..6) } else { 0 };
    RecordSpec {
        offset,
        timestamp: time(random),
        key: field(random),
        value: field(random),
        headers: (0..headers).map(|_| header(random)).collect(),
    }
}

/// Few names, so that duplicates are common.
fn header(random: &mut Rng) -> (String, Option<Bytes>) {
    let name = ["", "a", "trace-id", "\u{df}\u{20ac}\u{1f680}"][random.usize(0..4)];
    (name.to_owned(), field(random))
}

/// Null, empty, short, or now and then long; half of it easy to compress.
fn field(random: &mut Rng) -> Option<Bytes> {
    let length = match random.u8(0..20) {
        0..3 => return None,
        3..5 => 0,
        19 => random.usize(1..20_000),
        _ => random.usize(1..100),
    };
    let letter = random.alphanumeric() as u8;
    let is_plain = random.bool();
    Some((0..length).map(|_| if is_plain { letter } else { random.u8(..) }).collect())
}

/// Mostly of our days, in any order, and now and then at the ends of what Java accepts.
fn time(random: &mut Rng) -> i64 {
    match random.u8(0..40) {
        0 => 0,
        1 => 253_402_300_799_999,
        _ => 1_700_000_000_000 + random.i64(0..100_000_000),
    }
}
