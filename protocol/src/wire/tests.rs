//! Reader against writer, and the reader against peers that lie.

use bytes::{Buf, Bytes};
use proptest::prelude::*;

use super::*;
use crate::error::{DecodeError, DecodeErrorKind, EncodeErrorKind};

fn reader(bytes: &[u8]) -> Reader {
    Reader::new(Bytes::copy_from_slice(bytes))
}

fn written(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut w = Writer::new();
    write(&mut w);
    let length = w.len();
    let bytes = w.finish().unwrap().into_bytes();
    assert_eq!(bytes.len(), length, "len() says what finish() gives");
    bytes
}

fn refusal<T: std::fmt::Debug>(result: Result<T, DecodeError>) -> DecodeErrorKind {
    result.unwrap_err().what
}

#[test]
fn fixed_size_values_are_big_endian() {
    let bytes = written(|w| {
        w.put_i8(-2);
        w.put_i16(-3);
        w.put_i32(0x0102_0304);
        w.put_i64(-5);
        w.put_u16(65_535);
        w.put_u32(u32::MAX);
        w.put_f64(1.5);
        w.put_bool(true);
        w.put_uuid(Uuid([7; 16]));
    });
    assert_eq!(&bytes[..7], &[0xfe, 0xff, 0xfd, 1, 2, 3, 4]);
    let mut r = Reader::new(bytes);
    assert_eq!(r.i8(), Ok(-2));
    assert_eq!(r.i16(), Ok(-3));
    assert_eq!(r.i32(), Ok(0x0102_0304));
    assert_eq!(r.i64(), Ok(-5));
    assert_eq!(r.u16(), Ok(65_535));
    assert_eq!(r.u32(), Ok(u32::MAX));
    assert_eq!(r.f64(), Ok(1.5));
    assert_eq!(r.bool(), Ok(true));
    assert_eq!(r.uuid(), Ok(Uuid([7; 16])));
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn a_value_that_is_cut_off_says_where_and_how_much_is_missing() {
    let mut r = reader(&[0, 0, 0, 1, 9, 9]);
    r.i32().unwrap();
    let end = DecodeErrorKind::UnexpectedEnd { wanted: 8, left: 2 };
    assert_eq!(r.i64(), Err(DecodeError::new(4, end)));
    assert_eq!(r.position(), 4, "a failed read consumes nothing");
}

#[test]
fn bytes_left_over_are_refused() {
    let mut r = reader(&[1, 2, 3]);
    r.i8().unwrap();
    assert_eq!(r.finish(), Err(DecodeError::new(1, DecodeErrorKind::LeftOver { left: 2 })));
}

#[test]
fn strings_have_their_four_forms() {
    let bytes = written(|w| {
        w.put_string(Some("gorge")).unwrap();
        w.put_string(None).unwrap();
        w.put_compact_string(Some("")).unwrap();
        w.put_compact_string(None).unwrap();
    });
    assert_eq!(&bytes[..], b"\x00\x05gorge\xff\xff\x01\x00");
    let mut r = Reader::new(bytes);
    assert_eq!(r.string().as_deref(), Ok("gorge"));
    assert_eq!(r.nullable_string(), Ok(None));
    assert_eq!(r.compact_string().as_deref(), Ok(""));
    assert_eq!(r.compact_nullable_string(), Ok(None));
}

#[test]
fn null_is_refused_where_it_is_not_allowed() {
    assert_eq!(refusal(reader(b"\xff\xff").string()), DecodeErrorKind::UnexpectedNull);
    assert_eq!(refusal(reader(b"\x00").compact_string()), DecodeErrorKind::UnexpectedNull);
    assert_eq!(refusal(reader(b"\xff\xff\xff\xff").bytes()), DecodeErrorKind::UnexpectedNull);
    assert_eq!(refusal(reader(b"\x00").compact_bytes()), DecodeErrorKind::UnexpectedNull);
}

#[test]
fn lengths_below_minus_one_are_refused() {
    let negative = |length| DecodeErrorKind::NegativeLength { length };
    assert_eq!(refusal(reader(b"\xff\xfe").nullable_string()), negative(-2));
    assert_eq!(refusal(reader(b"\x80\x00\x00\x00").nullable_bytes()), negative(i32::MIN));
    assert_eq!(refusal(reader(b"\xff\xff\xff\xfe").array_len(1)), negative(-2));
}

#[test]
fn lengths_beyond_the_input_are_refused() {
    let end = DecodeErrorKind::UnexpectedEnd { wanted: 0x7fff_ffff, left: 3 };
    assert_eq!(refusal(reader(b"\x7f\xff\xff\xffabc").bytes()), end);
    let end = DecodeErrorKind::UnexpectedEnd { wanted: 100, left: 3 };
    assert_eq!(refusal(reader(b"\x00\x64abc").string()), end);
    assert_eq!(refusal(reader(b"\x65abc").compact_bytes()), end);
}

#[test]
fn strings_over_kafkas_limit_are_refused_both_ways() {
    let text = "x".repeat(MAX_STRING + 1);
    let mut w = Writer::new();
    let limit = EncodeErrorKind::TooLong { length: MAX_STRING + 1, limit: MAX_STRING };
    assert_eq!(w.put_string(Some(&text)).unwrap_err().what, limit);
    assert_eq!(w.put_compact_string(Some(&text)).unwrap_err().what, limit);
    let bytes = written(|w| {
        w.put_unsigned_varint(MAX_STRING as u32 + 2);
        w.put_raw(text.as_bytes());
    });
    let too_long = DecodeErrorKind::StringTooLong { length: MAX_STRING + 1 };
    assert_eq!(refusal(Reader::new(bytes).compact_string()), too_long);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let error = reader(b"\x00\x02\xc3\x28").string().unwrap_err();
    assert_eq!(error, DecodeError::new(2, DecodeErrorKind::InvalidUtf8));
}

#[test]
fn byte_fields_share_the_memory_of_the_frame() {
    let frame = written(|w| w.put_bytes(Some(&Bytes::from_static(b"castle"))).unwrap());
    let inside = frame.as_ptr() as usize + 4;
    let field = Reader::new(frame).bytes().unwrap();
    assert_eq!(&field[..], b"castle");
    assert_eq!(field.as_ptr() as usize, inside);
}

#[test]
fn an_array_may_claim_no_more_than_the_input_can_hold() {
    assert_eq!(reader(b"\x00\x00\x00\x02aabb").array_len(2), Ok(Some(2)));
    assert_eq!(reader(b"\x03aabb").compact_array_len(2), Ok(Some(2)));
    assert_eq!(reader(b"\xff\xff\xff\xff").array_len(2), Ok(None));
    assert_eq!(reader(b"\x00").compact_array_len(2), Ok(None));
    let beyond = DecodeErrorKind::CountBeyondInput { count: 3, smallest: 2, left: 5 };
    assert_eq!(refusal(reader(b"\x00\x00\x00\x03aabbc").array_len(2)), beyond);
    assert_eq!(refusal(reader(b"\x04aabbc").compact_array_len(2)), beyond);
}

#[test]
fn an_element_of_no_bytes_counts_as_one() {
    let beyond = DecodeErrorKind::CountBeyondInput { count: 2, smallest: 1, left: 1 };
    assert_eq!(refusal(reader(b"\x00\x00\x00\x02a").array_len(0)), beyond);
}

#[test]
fn arrays_over_the_cap_are_refused_whatever_is_left() {
    let bytes = written(|w| {
        w.put_i32(MAX_ELEMENTS as i32 + 1);
        w.put_raw(&vec![0; MAX_ELEMENTS + 1]);
    });
    let cap = DecodeErrorKind::TooManyElements { count: MAX_ELEMENTS + 1, limit: MAX_ELEMENTS };
    assert_eq!(refusal(Reader::new(bytes).array_len(1)), cap);
    let over = EncodeErrorKind::TooLong { length: MAX_ELEMENTS + 1, limit: MAX_ELEMENTS };
    assert_eq!(Writer::new().put_array_len(Some(MAX_ELEMENTS + 1)).unwrap_err().what, over);
}

#[test]
fn hostile_counts_reserve_next_to_nothing() {
    // 2^31 - 1 strings announced, none there.
    let layout = Layout::new(0, true);
    let mut r = reader(b"\xff\xff\xff\xff\x07\x01\x01");
    let cap = DecodeErrorKind::TooManyElements { count: 0x7fff_fffe, limit: MAX_ELEMENTS };
    assert_eq!(refusal(Vec::<String>::take(&mut r, layout)), cap);
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    let mut r = reader(b"\x02\x00\x03abc\x05\x00\x2a");
    assert_eq!(r.skip_tagged_fields(), Ok(()));
    assert_eq!(r.i8(), Ok(42));
}

#[test]
fn known_tagged_fields_see_only_their_own_bytes() {
    let mut r = reader(b"\x01\x07\x02\x00\x09\xff\xff");
    let mut found = None;
    let read = r.tagged_fields(|tag, r| {
        assert_eq!((tag, r.remaining()), (7, 2));
        found = Some(r.i16()?);
        Ok(true)
    });
    assert_eq!((read, found, r.remaining()), (Ok(()), Some(9), 2));
    let end = DecodeErrorKind::UnexpectedEnd { wanted: 4, left: 2 };
    let mut r = reader(b"\x01\x07\x02\x00\x09\xff\xff");
    assert_eq!(refusal(r.tagged_fields(|_, r| r.i32().map(|_| true))), end);
}

#[test]
fn a_tagged_field_must_fill_its_size() {
    let mut r = reader(b"\x01\x07\x02\x00\x09");
    let size = DecodeErrorKind::TaggedFieldSize { tag: 7, announced: 2, used: 1 };
    assert_eq!(refusal(r.tagged_fields(|_, r| r.i8().map(|_| true))), size);
}

#[test]
fn tags_must_rise() {
    let twice = DecodeErrorKind::TagOutOfOrder { tag: 3 };
    assert_eq!(refusal(reader(b"\x02\x03\x00\x03\x00").skip_tagged_fields()), twice);
    let back = DecodeErrorKind::TagOutOfOrder { tag: 1 };
    assert_eq!(refusal(reader(b"\x02\x03\x00\x01\x00").skip_tagged_fields()), back);
    let highest = b"\x01\xff\xff\xff\xff\x0f\x00";
    assert_eq!(reader(highest).skip_tagged_fields(), Ok(()));
}

#[test]
fn tagged_fields_are_counted_before_they_are_read() {
    let many = written(|w| {
        w.put_unsigned_varint(10_001);
        w.put_raw(&[0; 30_000]);
    });
    let cap = DecodeErrorKind::TooManyTaggedFields { count: 10_001, limit: MAX_TAGGED_FIELDS };
    assert_eq!(refusal(Reader::new(many).skip_tagged_fields()), cap);
    let beyond = DecodeErrorKind::CountBeyondInput { count: 2, smallest: 2, left: 3 };
    assert_eq!(refusal(reader(b"\x02\x00\x00\x01").skip_tagged_fields()), beyond);
    let end = DecodeErrorKind::UnexpectedEnd { wanted: 9, left: 0 };
    assert_eq!(refusal(reader(b"\x01\x00\x09").skip_tagged_fields()), end);
}

#[test]
fn large_values_are_passed_on_by_reference() {
    let large = Bytes::from(vec![1; BY_REFERENCE]);
    let small = Bytes::from(vec![2; BY_REFERENCE - 1]);
    let mut w = Writer::framed();
    w.put_bytes(Some(&large)).unwrap();
    w.put_compact_bytes(Some(&small)).unwrap();
    let segments = w.finish().unwrap();
    let parts: Vec<_> = segments.iter().cloned().collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0][..4], (4 + BY_REFERENCE as i32 + 2 + small.len() as i32).to_be_bytes());
    assert_eq!(parts[1].as_ptr(), large.as_ptr());
    assert_eq!(parts[2].len(), 2 + small.len());
}

#[test]
fn a_frame_without_large_values_is_one_piece() {
    let mut w = Writer::framed();
    assert!(!w.is_empty());
    w.put_i16(5);
    let segments = w.finish().unwrap();
    assert_eq!(segments.iter().count(), 1);
    assert_eq!(&segments.into_bytes()[..], &[0, 0, 0, 2, 0, 5]);
}

#[test]
fn a_large_value_in_a_tagged_field_keeps_its_reference() {
    let large = Bytes::from(vec![1; BY_REFERENCE]);
    let mut w = Writer::new();
    w.put_tagged_field(3, |w| w.put_compact_bytes(Some(&large))).unwrap();
    let segments = w.finish().unwrap();
    assert!(segments.iter().any(|part| part.as_ptr() == large.as_ptr()));
    let mut r = Reader::new(segments.into_bytes());
    assert_eq!(r.unsigned_varint(), Ok(3));
    assert_eq!(r.unsigned_varint(), Ok(r.remaining() as u32));
    assert_eq!(r.compact_bytes(), Ok(large));
}

#[test]
fn segments_drain_in_steps_of_any_size() {
    let parts = [&b"ab"[..], b"cde", b"f"];
    for step in 1..=7 {
        let mut segments = Segments::new();
        parts.iter().for_each(|part| segments.push(Bytes::from_static(part)));
        segments.push(Bytes::new());
        let mut seen = Vec::new();
        while segments.has_remaining() {
            let mut slots = [std::io::IoSlice::new(&[]); 4];
            let filled = segments.chunks_vectored(&mut slots);
            let whole: Vec<u8> = slots[..filled].iter().flat_map(|slot| slot.to_vec()).collect();
            assert_eq!(whole.len(), segments.remaining());
            seen.extend_from_slice(&whole[..step.min(whole.len())]);
            segments.advance(step);
        }
        assert_eq!(seen, b"abcdef", "step {step}");
        assert!(segments.is_empty() && segments.chunk().is_empty());
    }
}

#[test]
fn arrays_grow_with_what_is_read_and_end_exact() {
    let layout = Layout::new(0, false);
    for count in [0, 1, 999, 1000, 1001, 4000, 4001, 20_000] {
        let items: Vec<i8> = (0..count).map(|index| index as i8).collect();
        let mut w = Writer::new();
        items.put(&mut w, layout).unwrap();
        let read = Vec::<i8>::take(&mut Reader::new(w.finish().unwrap().into_bytes()), layout);
        let read = read.unwrap();
        assert!(read.capacity() <= items.len().max(8), "{count}: {}", read.capacity());
        assert_eq!(read, items);
    }
}

proptest! {
    #[test]
    fn varints_come_back(signed in any::<i32>(), long in any::<i64>(), unsigned in any::<u32>()) {
        let bytes = written(|w| {
            w.put_varint(signed);
            w.put_varlong(long);
            w.put_unsigned_varint(unsigned);
        });
        let signed_len = varint::len_i32(signed) + varint::len_i64(long);
        prop_assert_eq!(bytes.len(), signed_len + varint::len_u64(unsigned.into()));
        let mut r = Reader::new(bytes);
        prop_assert_eq!(r.varint(), Ok(signed));
        prop_assert_eq!(r.varlong(), Ok(long));
        prop_assert_eq!(r.unsigned_varint(), Ok(unsigned));
        prop_assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn strings_and_bytes_come_back(
        text in ".{0,200}",
        blob in prop::collection::vec(any::<u8>(), 0..9000),
    ) {
        let blob = Bytes::from(blob);
        let bytes = written(|w| {
            w.put_string(Some(&text)).unwrap();
            w.put_compact_bytes(Some(&blob)).unwrap();
            w.put_compact_string(Some(&text)).unwrap();
            w.put_bytes(Some(&blob)).unwrap();
        });
        let mut r = Reader::new(bytes);
        prop_assert_eq!(r.string(), Ok(text.clone()));
        prop_assert_eq!(r.compact_nullable_bytes(), Ok(Some(blob.clone())));
        prop_assert_eq!(r.compact_nullable_string(), Ok(Some(text)));
        prop_assert_eq!(r.nullable_bytes(), Ok(Some(blob)));
        prop_assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn nothing_panics_on_any_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        flexible in any::<bool>(),
    ) {
        let layout = Layout::new(0, flexible).nullable(true);
        let frame = Bytes::from(bytes);
        let take = || Reader::new(frame.clone());
        let _ = Vec::<String>::take_nullable(&mut take(), layout);
        let _ = Vec::<Vec<i64>>::take_nullable(&mut take(), layout);
        let _ = Bytes::take_nullable(&mut take(), layout);
        let _ = take().tagged_fields(|tag, r| match tag {
            0..=3 => r.varlong().map(|_| true),
            _ => Ok(false),
        });
        let _ = take().varint();
    }
}
