//! Codecs: what goes in comes out, bombs end at the cap, and broken input is an error.

use super::*;
use crate::error::DecodeErrorKind as Kind;
use proptest::prelude::*;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn packed(codec: Compression, input: &[u8]) -> Bytes {
    deflate(codec, None, input).unwrap()
}

/// Bytes with short and long repetitions, of up to some hundred KiB.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0_usize..50_000).prop_map(|(byte, n)| vec![byte; n]),
        (prop::collection::vec(any::<u8>(), 1..20), 0_usize..3_000)
            .prop_map(|(part, n)| part.repeat(n)),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_inflates_to_what_was_deflated(content in content()) {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        for codec in Compression::ALL {
            let mut out = b"before".to_vec();
            prop_assert!(deflater.deflate(codec, None, &content, &mut out));
            let packed = Bytes::from(out).slice(6..);
            let inflated = inflater.inflate(codec, &packed, content.len()).unwrap();
            prop_assert!(inflated == content, "{}", codec.name());
        }
    }

    #[test]
    fn one_byte_over_the_limit_is_too_large(content in content()) {
        prop_assume!(!content.is_empty());
        let limit = content.len() - 1;
        for codec in CODECS {
            let error = inflate(codec, &packed(codec, &content), limit).unwrap_err();
            prop_assert_eq!(error.what, Kind::InflatesTooLarge { limit }, "{}", codec.name());
        }
    }

    #[test]
    fn cut_input_is_an_error(content in content(), cut in any::<prop::sample::Index>()) {
        for codec in CODECS {
            let packed = packed(codec, &content);
            let cut = packed.slice(..cut.index(packed.len()));
            // A raw snappy block and a zstd stream may be of no bytes at all.
            if let Ok(inflated) = inflate(codec, &cut, content.len()) {
                prop_assert!(inflated.len() < content.len() || content.is_empty(), "{}", codec.name());
            }
        }
    }

    #[test]
    fn any_bytes_are_inflated_or_refused(input in prop::collection::vec(any::<u8>(), 0..100)) {
        for codec in CODECS {
            if let Ok(inflated) = inflate(codec, &input.clone().into(), 1000) {
                prop_assert!(inflated.len() <= 1000);
            }
        }
    }
}

#[test]
fn levels_out_of_range_are_brought_into_it() {
    for codec in CODECS {
        for level in [i32::MIN, -1, 0, 1, 9, i32::MAX] {
            let packed = deflate(codec, Some(level), b"some text, some text").unwrap();
            assert_eq!(inflate(codec, &packed, 100).unwrap(), &b"some text, some text"[..]);
        }
    }
}

#[test]
fn names_and_numbers_are_kafkas() {
    for (id, codec) in Compression::ALL.into_iter().enumerate() {
        assert_eq!(codec.id(), id as i16);
        assert_eq!(Compression::from_attributes(id as i16 | 0x78), Some(codec));
        assert_eq!(Compression::from_name(&codec.name().to_uppercase()), Some(codec));
    }
    assert_eq!(Compression::from_attributes(5), None);
    assert_eq!(Compression::from_name("brotli"), None);
}

#[test]
fn a_bomb_ends_at_the_cap() {
    let zeros = vec![0; 32 << 20];
    for codec in CODECS {
        let bomb = packed(codec, &zeros);
        let mut inflater = Inflater::new();
        let error = inflater.inflate(codec, &bomb, 1 << 20).unwrap_err();
        assert_eq!(error.what, Kind::InflatesTooLarge { limit: 1 << 20 }, "{}", codec.name());
        assert!(inflater.scratch.capacity() <= KEPT_SCRATCH);
    }
}

#[test]
fn what_an_inflater_hands_out_is_not_much_larger_than_it_has_to_be() {
    let mut bytes = Vec::with_capacity(1 << 20);
    bytes.extend_from_slice(b"few");
    let kept = Output { bytes, limit: 3 }.finish();
    assert!(kept.try_into_mut().unwrap().capacity() <= SLACK);
}

#[test]
fn several_gzip_members_are_one_stream() {
    let members =
        [&packed(Compression::Gzip, b"one, ")[..], &packed(Compression::Gzip, b"two")].concat();
    assert_eq!(inflate(Compression::Gzip, &members.into(), 100).unwrap(), &b"one, two"[..]);
}

#[test]
fn a_gzip_trailer_that_is_wrong_is_an_error() {
    let mut bytes = packed(Compression::Gzip, b"some bytes").to_vec();
    let crc_at = bytes.len() - 8;
    bytes[crc_at] ^= 1;
    let error = inflate(Compression::Gzip, &bytes.into(), 100).unwrap_err();
    assert_eq!(error.what, Kind::CorruptCompression { codec: "gzip" });
}

#[test]
fn snappy_is_read_raw_and_framed_and_written_framed() {
    let framed = packed(Compression::Snappy, b"hello");
    assert_eq!(framed, &b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07\x05\x10hello"[..]);
    let raw = framed.slice(20..);
    for form in [framed, raw] {
        assert_eq!(inflate(Compression::Snappy, &form, 5).unwrap(), &b"hello"[..]);
    }
}

#[test]
fn a_snappy_block_that_claims_too_much_costs_nothing() {
    let claims_4_gib = Bytes::from_static(b"\xff\xff\xff\xff\x0f\x00");
    let error = inflate(Compression::Snappy, &claims_4_gib, usize::MAX).unwrap_err();
    assert_eq!(error.what, Kind::CorruptCompression { codec: "snappy" });
}

/// An LZ4 frame by hand: flags, block sizes, the rest of the descriptor, and the blocks.
fn lz4_frame(flags: u8, sizes: u8, more: &[u8], blocks: &[u8]) -> Bytes {
    let mut frame = 0x184d_2204_u32.to_le_bytes().to_vec();
    frame.extend_from_slice(&[flags, sizes]);
    frame.extend_from_slice(more);
    let checksum = twox_hash::XxHash32::oneshot(0, &frame[4..]) >> 8;
    frame.push(checksum as u8);
    frame.extend_from_slice(blocks);
    frame.into()
}

fn lz4(frame: Bytes) -> Result<Bytes, Kind> {
    inflate(Compression::Lz4, &frame, 1000).map_err(|error| error.what)
}

const LZ4_CORRUPT: Result<Bytes, Kind> = Err(Kind::CorruptCompression { codec: "lz4" });
/// Stored "abc", then the end mark.
const STORED: [u8; 11] = [3, 0, 0, 0x80, b'a', b'b', b'c', 0, 0, 0, 0];

#[test]
fn our_lz4_frames_have_javas_header() {
    let packed = packed(Compression::Lz4, b"abc");
    assert_eq!(packed, [&[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82], &STORED[..]].concat());
}

#[test]
fn lz4_frames_of_others_are_read_with_all_their_checksums() {
    let hash = |bytes: &[u8]| twox_hash::XxHash32::oneshot(0, bytes).to_le_bytes();
    let size = 3_u64.to_le_bytes();
    let checked_block = [&STORED[..7], &hash(b"abc"), &[0; 4], &hash(b"abc")].concat();
    assert_eq!(lz4(lz4_frame(0x7c, 0x70, &size, &checked_block)).unwrap(), &b"abc"[..]);
    for at in [7, 15] {
        let mut broken = checked_block.clone();
        broken[at] ^= 1;
        assert_eq!(lz4(lz4_frame(0x7c, 0x70, &size, &broken)), LZ4_CORRUPT);
    }
    assert_eq!(lz4(lz4_frame(0x68, 0x40, &4_u64.to_le_bytes(), &STORED)), LZ4_CORRUPT);
}

#[test]
fn linked_lz4_blocks_look_back_into_the_one_before() {
    // No literals; a match of 6 bytes from 3 back; then 5 literals, as the format wants at its end.
    let linked = [&STORED[..7], &[9, 0, 0, 0, 0x02, 3, 0, 0x50], b"12345", &[0; 4]].concat();
    assert_eq!(lz4(lz4_frame(0x40, 0x40, &[], &linked)).unwrap(), &b"abcabcabc12345"[..]);
    assert_eq!(lz4(lz4_frame(0x60, 0x40, &[], &linked)), LZ4_CORRUPT);
}

#[test]
fn lz4_headers_that_make_no_sense_are_errors() {
    for (flags, sizes) in [
        (0x20, 0x40),
        (0xa0, 0x40),
        (0x61, 0x40),
        (0x62, 0x40),
        (0x60, 0x30),
        (0x60, 0x41),
        (0x60, 0xc0),
    ] {
        assert_eq!(lz4(lz4_frame(flags, sizes, &[], &STORED)), LZ4_CORRUPT, "{flags:x} {sizes:x}");
    }
    assert_eq!(lz4(lz4_frame(0x60, 0x40, &[], &[1, 0, 1, 0x80])), LZ4_CORRUPT);
}

#[test]
fn a_wrong_lz4_header_checksum_is_forgiven_in_message_sets_only() {
    let mut frame = lz4_frame(0x60, 0x40, &[], &STORED).to_vec();
    frame[6] ^= 0xff;
    let frame = Bytes::from(frame);
    assert_eq!(lz4(frame.clone()), LZ4_CORRUPT);
    let forgiven = Inflater::new().inflate_legacy(Compression::Lz4, &frame, 1000);
    assert_eq!(forgiven.unwrap(), &b"abc"[..]);
}
