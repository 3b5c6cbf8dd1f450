//! Bytes as nobody honest would send them. In go pieces, out come frames and record batches with
//! whatever lengths, counts and checksums a case needs.

use bytes::Bytes;
use klamm_protocol::records::{BatchBuilder, BatchOptions, Compression, RawBatch, RecordParts};

use super::script::Step;

/// Steps that write these bytes.
pub(super) fn send(bytes: impl Into<Bytes>) -> Vec<Step> {
    vec![Step::Send(bytes.into())]
}

/// A length as announced, right or wrong, and the bytes that follow.
pub(super) fn announced(length: i32, bytes: &[u8]) -> Bytes {
    [&length.to_be_bytes()[..], bytes].concat().into()
}

/// A whole frame of these bytes.
pub(super) fn framed(bytes: &[u8]) -> Bytes {
    announced(i32::try_from(bytes.len()).unwrap_or(i32::MAX), bytes)
}

/// A whole frame of a correlation id and a body.
pub(super) fn answer(correlation_id: i32, body: &[u8]) -> Bytes {
    framed(&[&correlation_id.to_be_bytes()[..], body].concat())
}

/// A frame without its length.
pub(super) fn body(frame: &Bytes) -> Bytes {
    frame.slice(4.min(frame.len())..)
}

/// An unsigned varint, as compact lengths are written.
pub(super) fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A batch of values, uncompressed, as a log keeps it from this offset on.
pub(super) fn batch(base_offset: i64, values: &[&[u8]]) -> Vec<u8> {
    compressed(Compression::None, base_offset, values)
}

/// The same, compressed.
pub(super) fn compressed(codec: Compression, base_offset: i64, values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: codec,
        max_bytes: usize::MAX,
        max_record_bytes: usize::MAX,
        ..BatchOptions::default()
    });
    for value in values {
        // A record that is left out makes its case fail, which is where it will be seen.
        let _ = builder.try_push(&RecordParts::new(1, None, Some(value)));
    }
    let bytes = builder.seal().to_bytes();
    match RawBatch::read(bytes.clone()) {
        Ok(raw) => raw.appended(base_offset, 0, None).bytes().to_vec(),
        Err(_) => bytes.to_vec(),
    }
}

/// A batch of one record whose bytes are these, taken as they are.
pub(super) fn raw_records(count: i32, last_delta: i32, records: &[u8]) -> Vec<u8> {
    let mut bytes = batch(0, &[b"x"]);
    bytes.truncate(RECORDS_AT);
    bytes.extend_from_slice(records);
    patch(&mut bytes, COUNT_AT, &count.to_be_bytes());
    patch(&mut bytes, LAST_DELTA_AT, &last_delta.to_be_bytes());
    relengthed(bytes)
}

/// Writes over bytes; what lies beyond the end is left out.
pub(super) fn patch(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *new;
    }
}

/// A batch with another part of its header, and a checksum that fits.
pub(super) fn patched(mut batch: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    patch(&mut batch, at, with);
    resummed(batch)
}

/// A batch whose length and checksum are right again.
pub(super) fn relengthed(mut batch: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(batch.len().saturating_sub(12)).unwrap_or(i32::MAX);
    patch(&mut batch, LENGTH_AT, &length.to_be_bytes());
    resummed(batch)
}

/// A batch whose checksum is right again, as somebody hostile would make it.
pub(super) fn resummed(mut batch: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default());
    patch(&mut batch, CRC_AT, &sum.to_be_bytes());
    batch
}

// Where the fields of a batch's header stand (format 2).
pub(super) const BASE_OFFSET_AT: usize = 0;
pub(super) const LENGTH_AT: usize = 8;
pub(super) const MAGIC_AT: usize = 16;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const LAST_DELTA_AT: usize = 23;
pub(super) const BASE_TIMESTAMP_AT: usize = 27;
pub(super) const COUNT_AT: usize = 57;
pub(super) const RECORDS_AT: usize = 61;
