//! Record sets as a client and a broker read them: any bytes in, as fetch responses carry them for
//! a partition.
//!
//! Invariant: the set is refused or read; reading allocates at most a small multiple of the bytes
//! that came in and of those that compressed records may inflate to, whatever counts and lengths
//! claim; offsets stay inside what their batch announced; records that were read can be written
//! again, and what was written reads as the same.
//!
//! The input's first byte says whether the length and the checksum of a first batch of format 2 are
//! made right before, as somebody hostile would: a fuzzing engine would not guess them. The rest is
//! the set.

use bytes::Bytes;
use klamm_protocol::error::DecodeError;
use klamm_protocol::records::{
    Batch, BatchBuilder, BatchOptions, Batches, Inflater, PushError, RawBatch, RecordParts,
    RecordRef,
};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let [mend, set @ ..] = input else { return };
    let set = if *mend == 0 { set.to_vec() } else { mended(set.to_vec()) };
    let set = Bytes::from(set);
    let Ok(batches) = bounded(set.len() + LIMIT + CODECS, PER_BYTE, || walk(set.clone())) else {
        return;
    };
    for batch in &batches {
        rewrite(batch);
    }
}

/// Reads everything that there is to read.
fn walk(set: Bytes) -> Result<Vec<Batch>, DecodeError> {
    let mut inflater = Inflater::new();
    let mut found = Vec::new();
    let mut room = LIMIT;
    for raw in Batches::new(set) {
        let batch = raw?.open(&mut inflater, room)?;
        batch.control()?;
        let header = *batch.header();
        let within = header.base_offset..=header.last_offset();
        for record in batch.records() {
            let record = record?;
            assert!(within.contains(&record.offset()));
            assert_eq!(record.key_range().map(|at| &batch.body()[at]), record.key());
            assert_eq!(record.value_range().map(|at| &batch.body()[at]), record.value());
            for header in record.headers() {
                header?;
            }
        }
        room = room.saturating_sub(batch.body().len());
        found.push(batch);
    }
    Ok(found)
}

/// Writes the records of a batch again and compares. Those that no producer could write are passed
/// over: header keys that are not text, and timestamps too far apart.
fn rewrite(batch: &Batch) {
    let options = BatchOptions { max_bytes: 1 << 20, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let mut written = Vec::new();
    for record in batch.records().map_while(Result::ok) {
        let Some(headers) = headers(&record) else { continue };
        let parts = RecordParts::new(record.timestamp(), record.key(), record.value());
        match builder.try_push(&parts.with_headers(headers.iter().copied())) {
            Ok(_) => written.push(record),
            Err(PushError::Full | PushError::TooLarge { .. }) => {}
        }
    }
    let again = RawBatch::read(builder.seal().to_bytes())
        .and_then(|raw| raw.open(&mut Inflater::new(), 0))
        .expect("what was written can be read");
    let mut records = again.records();
    for record in written {
        let read = records.next().expect("as many records").expect("a record as written");
        assert_eq!((read.timestamp(), read.key()), (record.timestamp(), record.key()));
        assert_eq!((read.value(), headers(&read)), (record.value(), headers(&record)));
    }
    assert!(records.next().is_none());
}

type HeaderParts<'a> = (&'a str, Option<&'a [u8]>);

fn headers<'a>(record: &RecordRef<'a>) -> Option<Vec<HeaderParts<'a>>> {
    record.headers().map(|header| header.and_then(|h| Ok((h.key()?, h.value()))).ok()).collect()
}

/// A set whose first batch has the length of the whole set and the right checksum, if it is long
/// enough for one.
fn mended(mut set: Vec<u8>) -> Vec<u8> {
    if set.len() >= HEADER_LEN {
        let length = (set.len() - LENGTH_PREFIX) as i32;
        set[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        let sum = crc32c::crc32c(&set[ATTRIBUTES_AT..]);
        set[CRC_AT..CRC_AT + 4].copy_from_slice(&sum.to_be_bytes());
    }
    set
}

/// What compressed records may inflate to, in bytes.
const LIMIT: usize = 16 << 10;
/// What the codecs need to work at all, zstd's tables above all.
const CODECS: usize = 64 << 10;
/// Output grows by doubling, and may be copied once more into a buffer of its size.
const PER_BYTE: usize = 8;

const HEADER_LEN: usize = 61;
const LENGTH_PREFIX: usize = 12;
const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
