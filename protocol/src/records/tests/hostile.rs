//! Broken and hostile batches: an error in every case, never a panic, and no memory for what is
//! only claimed.

use super::*;
use crate::error::{DecodeError, DecodeErrorKind as Kind};

/// A batch with its checksum made right again, as somebody hostile would.
pub(super) fn resummed(mut bytes: Vec<u8>) -> Bytes {
    let sum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&sum.to_be_bytes());
    bytes.into()
}

/// Reads everything that can be read, and says where it ended.
fn read_all(set: Bytes) -> Result<usize, DecodeError> {
    let mut found = 0;
    for raw in Batches::new(set) {
        let batch = raw?.open(&mut Inflater::new(), 1 << 20)?;
        batch.control()?;
        for record in batch.records() {
            let record = record?;
            for header in record.headers() {
                header?.key()?;
            }
            found += 1;
        }
    }
    Ok(found)
}

proptest! {
    #[test]
    fn flipped_bits_are_seen_by_the_checksum(records in records(), codec in codec(), at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let mut bytes = build(&records, codec).to_vec();
        let at = 17 + at.index(bytes.len() - 17);
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(read_all(bytes.into()).is_err());
    }

    #[test]
    fn changed_bytes_with_a_right_checksum_never_panic(
        records in records(),
        codec in codec(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = build(&records, codec).to_vec();
        for (at, byte) in changes {
            let at = 21 + at.index(bytes.len() - 21);
            bytes[at] = byte;
        }
        let _ = read_all(resummed(bytes));
    }

    #[test]
    fn records_cut_short_under_a_right_checksum_are_an_error(records in records(), cut in any::<prop::sample::Index>()) {
        let mut bytes = build(&records, Compression::None).to_vec();
        bytes.truncate(61 + cut.index(bytes.len() - 61));
        let length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        prop_assert!(read_all(resummed(bytes)).is_err());
    }

    #[test]
    fn any_bytes_behind_a_sane_header_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), codec in 0_u8..8, count in 0_u32..9) {
        let _ = read_all(batch_of(&body, codec, count));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0_u8..4) {
        let mut bytes = bytes;
        if bytes.len() > 16 {
            bytes[8..11].fill(0);
            bytes[16] = magic;
        }
        let _ = read_all(bytes.into());
    }
}

/// A batch with this records section.
fn batch_of(body: &[u8], codec: u8, count: u32) -> Bytes {
    let mut bytes = BatchBuilder::new(BatchOptions::default()).seal().to_bytes().to_vec();
    bytes.extend_from_slice(body);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] = codec;
    bytes[23..27].copy_from_slice(&100_i32.to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    resummed(bytes)
}

fn kind_of(set: Bytes) -> Kind {
    read_all(set).unwrap_err().what
}

/// A record: length, attributes, deltas, null key, null value, no headers.
const RECORD: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];

#[test]
fn a_sane_record_by_hand_is_read() {
    assert_eq!(read_all(batch_of(&RECORD, 0, 1)), Ok(1));
}

#[test]
fn a_count_of_two_billion_costs_nothing_and_ends_in_an_error() {
    let batch = batch_of(&RECORD, 0, i32::MAX as u32);
    assert_eq!(kind_of(batch.clone()), Kind::VarintOverflow);
    let opened = RawBatch::read(batch).unwrap().open(&mut Inflater::new(), 0).unwrap();
    assert_eq!(opened.records().size_hint(), (0, Some(2)));
}

#[test]
fn records_beyond_the_count_are_an_error() {
    let body = [RECORD, RECORD].concat();
    assert_eq!(kind_of(batch_of(&body, 0, 1)), Kind::LeftOver { left: 7 });
}

#[test]
fn an_offset_outside_the_batch_is_an_error() {
    // Zigzag: -1 and 101, where the header promises 0 to 100.
    assert_eq!(kind_of(batch_of(&[12, 0, 0, 1, 1, 1, 0], 0, 1)), Kind::OffsetOutOfRange);
    assert_eq!(kind_of(batch_of(&[14, 0, 0, 0xca, 0x01, 1, 1, 0], 0, 1)), Kind::OffsetOutOfRange);
}

#[test]
fn lengths_that_lie_are_errors() {
    assert_eq!(kind_of(batch_of(&[1], 0, 1)), Kind::NegativeLength { length: -1 });
    assert_eq!(
        kind_of(batch_of(&[14, 0, 0, 0, 1, 1, 0], 0, 1)),
        Kind::UnexpectedEnd { wanted: 7, left: 6 }
    );
    assert_eq!(
        kind_of(batch_of(&[12, 0, 0, 0, 3, 1, 0], 0, 1)),
        Kind::NegativeLength { length: -2 }
    );
    assert_eq!(
        kind_of(batch_of(&[12, 0, 0, 0, 1, 8, 0], 0, 1)),
        Kind::UnexpectedEnd { wanted: 4, left: 1 }
    );
    assert_eq!(
        kind_of(batch_of(&[10, 0, 0, 0, 1, 1], 0, 1)),
        Kind::UnexpectedEnd { wanted: 1, left: 0 }
    );
}

#[test]
fn a_timestamp_that_overflows_is_an_error() {
    let record = [30, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 1, 1, 0];
    let mut bytes = batch_of(&record, 0, 1).to_vec();
    assert_eq!(read_all(bytes.clone().into()), Ok(1));
    bytes[27..35].copy_from_slice(&1_i64.to_be_bytes());
    assert_eq!(kind_of(resummed(bytes)), Kind::TimestampOutOfRange);
}

#[test]
fn headers_that_lie_are_errors() {
    assert_eq!(
        kind_of(batch_of(&[12, 0, 0, 0, 1, 1, 1], 0, 1)),
        Kind::NegativeLength { length: -1 }
    );
    assert_eq!(kind_of(batch_of(&[14, 0, 0, 0, 1, 1, 0, 0], 0, 1)), Kind::LeftOver { left: 1 });
    assert_eq!(kind_of(batch_of(&[16, 0, 0, 0, 1, 1, 2, 1, 1], 0, 1)), Kind::UnexpectedNull);
    let many = [20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(kind_of(batch_of(&many, 0, 1)), Kind::VarintOverflow);
}

#[test]
fn headers_of_batches_that_lie_are_errors() {
    let good = batch_of(&RECORD, 0, 1).to_vec();
    let with = |at: usize, field: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + field.len()].copy_from_slice(field);
        kind_of(resummed(bytes))
    };
    assert_eq!(with(8, &(-1_i32).to_be_bytes()), Kind::NegativeLength { length: -1 });
    assert_eq!(with(8, &0_i32.to_be_bytes()), Kind::UnexpectedEnd { wanted: 17, left: 12 });
    assert_eq!(with(16, &[3]), Kind::UnknownMagic { magic: 3 });
    assert_eq!(with(21, &[0, 5]), Kind::UnknownCompression { codec: 5 });
    assert_eq!(with(23, &(-1_i32).to_be_bytes()), Kind::OffsetOutOfRange);
    assert_eq!(with(0, &i64::MAX.to_be_bytes()), Kind::OffsetOutOfRange);
    assert_eq!(with(0, &(-1_i64).to_be_bytes()), Kind::OffsetOutOfRange);
    assert_eq!(with(57, &(-1_i32).to_be_bytes()), Kind::NegativeLength { length: -1 });
}

#[test]
fn a_damaged_batch_names_both_checksums() {
    let mut bytes = batch_of(&RECORD, 0, 1).to_vec();
    let computed = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&7_u32.to_be_bytes());
    assert_eq!(kind_of(bytes.into()), Kind::ChecksumMismatch { written: 7, computed });
}

#[test]
fn one_batch_read_alone_must_fill_its_bytes() {
    let batch = batch_of(&RECORD, 0, 1);
    let long = [&batch[..], &[0]].concat();
    assert_eq!(RawBatch::read(long.into()).unwrap_err().what, Kind::LeftOver { left: 1 });
    let short = batch.slice(..batch.len() - 1);
    let ends = Kind::UnexpectedEnd { wanted: batch.len(), left: batch.len() - 1 };
    assert_eq!(RawBatch::read(short).unwrap_err().what, ends);
}

#[test]
fn a_walk_ends_after_its_first_error_and_tells_where_it_was() {
    let good = batch_of(&RECORD, 0, 1);
    let mut bad = good.to_vec();
    bad[16] = 9;
    let set = [&good[..], &bad, &good].concat();
    let mut batches = Batches::new(set.into());
    assert!(batches.next().unwrap().is_ok());
    assert_eq!(batches.next().unwrap().unwrap_err().at, good.len() + 16);
    assert!(batches.next().is_none());
}

#[test]
fn a_control_batch_without_a_marker_is_an_error() {
    let mut bytes = batch_of(&RECORD, 0, 1).to_vec();
    bytes[22] |= 0x20;
    assert_eq!(kind_of(resummed(bytes)), Kind::UnexpectedNull);
}
