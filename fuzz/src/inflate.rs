//! Compressed records: any bytes in, for each codec.
//!
//! Invariant: the bytes are refused or inflated to at most the cap; on the way at most a small
//! multiple of the cap and of the input is allocated, whatever sizes and windows they claim; an
//! inflater that was used before, and failed or not, gives the same; what comes out can be deflated
//! and inflated again; and one byte less than it needs is too small a cap.
//!
//! The input's first byte is the cap in units of 256 bytes. The rest is what a batch would carry.

use bytes::Bytes;
use klamm_protocol::error::DecodeErrorKind;
use klamm_protocol::records::compress::{deflate, inflate};
use klamm_protocol::records::{Compression, Inflater};

use crate::allocation::bounded;

/// Panics unless gzip's decoder holds the invariant for `input`.
pub fn gzip(input: &[u8]) {
    property(Compression::Gzip, input);
}

/// Panics unless snappy's decoder, with its two framings, holds the invariant for `input`.
pub fn snappy(input: &[u8]) {
    property(Compression::Snappy, input);
}

/// Panics unless the decoder of LZ4 frames holds the invariant for `input`.
pub fn lz4(input: &[u8]) {
    property(Compression::Lz4, input);
}

/// Panics unless zstd's decoder holds the invariant for `input`.
pub fn zstd(input: &[u8]) {
    property(Compression::Zstd, input);
}

fn property(codec: Compression, input: &[u8]) {
    let [cap, packed @ ..] = input else { return };
    let cap = usize::from(*cap) * 256;
    let packed = Bytes::copy_from_slice(packed);
    let mut inflater = Inflater::new();
    let first =
        bounded(packed.len() + cap + CODECS, PER_BYTE, || inflater.inflate(codec, &packed, cap));
    assert_eq!(inflater.inflate(codec, &packed, cap), first, "a used inflater differs");
    let Ok(inflated) = first else { return };
    assert!(inflated.len() <= cap);
    let again = deflate(codec, Some(1), &inflated).expect("what was inflated can be deflated");
    assert_eq!(inflater.inflate(codec, &again, cap).as_ref(), Ok(&inflated));
    if let Some(limit) = inflated.len().checked_sub(1) {
        let refused = inflate(codec, &packed, limit).map_err(|error| error.what);
        assert_eq!(refused, Err(DecodeErrorKind::InflatesTooLarge { limit }));
    }
}

/// What a codec needs to work at all, zstd's tables above all.
const CODECS: usize = 64 << 10;
/// Output grows by doubling, and may be copied once more into a buffer of its size.
const PER_BYTE: usize = 8;
