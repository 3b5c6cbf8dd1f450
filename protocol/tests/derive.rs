//! Every feature of the `Message` derive, in every version of a message made for it: layouts that
//! change, defaults, nulls, tags, fields that come, go and turn into tagged ones, structs in structs.

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Message, Request, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
use klamm_protocol::wire::{Field, Layout, Reader, Uuid, Writer};
use klamm_protocol_derive::Message;
use proptest::prelude::*;

/// The key is Metadata's, since the derive checks `flexible` against the table of APIs.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 3, response = Answer, versions = "0-12", flexible = "9+")]
struct Question {
    #[field(versions = "0+")]
    number: i32,
    #[field(versions = "1+", default = -1)]
    late: i64,
    #[field(versions = "2-4", default = true, ignorable)]
    gone: bool,
    #[field(versions = "5", default = "once")]
    only_once: String,
    #[field(versions = "0+", nullable = "3+")]
    names: Option<Vec<String>>,
    #[field(versions = "2+", nullable = "2+", default = null)]
    note: Option<String>,
    #[field(versions = "0+", nullable = "10+", default = null, ignorable)]
    records: Option<Bytes>,
    #[field(versions = "0+")]
    parts: Vec<Part>,
    #[field(versions = "11+", nullable = "11+", default = null)]
    extra: Option<Part>,
    #[field(versions = "6+", tagged = 3, tagged_versions = "10+", default = 7)]
    moved: i16,
    #[field(versions = "9+", tagged = 0, nullable = "9+", default = null, ignorable)]
    hint: Option<String>,
    #[field(versions = "12+", tagged = 1)]
    tagged_part: Part,
    #[field(versions = "12+", tagged = 2, nullable = "12+", default = null)]
    tagged_maybe: Option<Part>,
}

#[derive(Message, Clone, Debug, PartialEq)]
struct Part {
    #[field(versions = "0+", default = -1)]
    index: i32,
    #[field(versions = "1+")]
    id: Uuid,
    error_code: ErrorCode,
    #[field(versions = "0+")]
    replicas: Vec<i32>,
    #[field(versions = "9+", tagged = 0, default = 0.5)]
    share: f64,
    #[field(versions = "4+")]
    leaves: Vec<Leaf>,
}

#[derive(Message, Clone, Debug, PartialEq)]
#[message(flexible = "none")]
struct Leaf {
    small: i8,
    port: u16,
    sum: u32,
    blob: Bytes,
}

#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-12", flexible = "9+")]
struct Answer;

fn encode<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    message.encode(&mut w, version)?;
    Ok(w.finish()?.into_bytes())
}

fn decode<M: Message>(bytes: Bytes, version: i16) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes);
    let message = M::decode(&mut r, version)?;
    r.finish()?;
    Ok(message)
}

/// A question that fills every field that `version` has, and leaves the others at their defaults.
fn full(version: i16) -> Question {
    let from = |first: i16| version >= first;
    let part = || Part {
        index: 4,
        id: if from(1) { Uuid([9; 16]) } else { Uuid::ZERO },
        error_code: ErrorCode::REQUEST_TIMED_OUT,
        replicas: vec![1, 2],
        share: if from(9) { 0.25 } else { 0.5 },
        leaves: match from(4) {
            true => vec![Leaf { small: -1, port: 65_535, sum: 8, blob: Bytes::from_static(b"b") }],
            false => Vec::new(),
        },
    };
    Question {
        number: 1,
        late: if from(1) { 2 } else { -1 },
        gone: !(2..=4).contains(&version),
        only_once: if version == 5 { "twice" } else { "once" }.into(),
        names: Some(vec!["a".into(), "".into()]),
        note: from(2).then(|| "note".into()),
        records: Some(Bytes::from_static(b"records")),
        parts: vec![part(), Part::default()],
        extra: from(11).then(part),
        moved: if from(6) { 8 } else { 7 },
        hint: from(9).then(|| "hint".into()),
        tagged_part: if from(12) { part() } else { Part::default() },
        tagged_maybe: from(12).then(part),
    }
}

#[test]
fn the_request_says_what_its_attributes_say() {
    assert_eq!(Question::KEY, ApiKey::Metadata);
    assert_eq!(Question::VERSIONS, VersionRange::new(0, 12));
    assert_eq!(Question::FLEXIBLE_FROM, 9);
}

#[test]
fn defaults_are_kafkas_and_nullable_fields_are_not_null_unless_said_so() {
    let question = Question::default();
    assert_eq!((question.late, question.gone, question.moved), (-1, true, 7));
    assert_eq!((question.only_once.as_str(), question.number), ("once", 0));
    assert_eq!(question.names, Some(Vec::new()));
    assert_eq!((question.note, question.records, question.extra), (None, None, None));
    assert_eq!((question.tagged_part.index, question.tagged_part.share), (-1, 0.5));
}

#[test]
fn full_messages_come_back_in_every_version() {
    for version in 0..=12 {
        let question = full(version);
        let bytes = encode(&question, version).unwrap();
        assert_eq!(decode(bytes, version), Ok(question), "version {version}");
    }
}

#[test]
fn defaults_come_back_in_every_version() {
    for version in 0..=12 {
        let question = Question { records: Some(Bytes::new()), ..Default::default() };
        let bytes = encode(&question, version).unwrap();
        assert_eq!(decode(bytes, version), Ok(question), "version {version}");
    }
}

#[test]
fn layouts_are_as_laid_down_by_hand() {
    let question = Question {
        names: Some(vec!["ab".into()]),
        records: Some(Bytes::from_static(b"r")),
        parts: vec![Part::default()],
        ..Default::default()
    };
    // number, names, records, parts[index, error_code, replicas]
    let v0 = b"\0\0\0\0\0\0\0\x01\0\x02ab\0\0\0\x01r\0\0\0\x01\xff\xff\xff\xff\0\0\0\0\0\0";
    assert_eq!(encode(&question, 0).unwrap(), v0[..]);
    let mut v12 = Vec::new();
    v12.extend_from_slice(b"\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"); // number, late
    v12.extend_from_slice(b"\x02\x03ab\0\x02r"); // names, note, records
    v12.extend_from_slice(b"\x02\xff\xff\xff\xff"); // parts, index
    v12.extend_from_slice(&[0; 16]); // id
    v12.extend_from_slice(b"\0\0\x01\x01\0"); // error_code, replicas, leaves, tags of the part
    v12.extend_from_slice(b"\xff\0"); // extra, tags
    assert_eq!(encode(&question, 12).unwrap(), v12);
}

#[test]
fn a_field_that_became_tagged_is_written_once() {
    let question = Question { moved: 8, records: Some(Bytes::new()), ..Default::default() };
    let plain = encode(&question, 9).unwrap();
    assert_eq!(plain[plain.len() - 3..], [0, 8, 0], "an ordinary field, then no tags");
    let tagged = encode(&question, 10).unwrap();
    assert_eq!(tagged[tagged.len() - 5..], [1, 3, 2, 0, 8], "one tag: number, size, value");
    let default = Question { moved: 7, ..question };
    assert!(encode(&default, 10).unwrap().ends_with(&[0]));
}

#[test]
fn tagged_fields_are_written_in_rising_order() {
    let bytes = encode(&full(12), 12).unwrap();
    let question = decode::<Question>(bytes, 12).unwrap();
    assert_eq!(question.hint.as_deref(), Some("hint"), "tag 0, declared after tag 3");
    assert_eq!(question.moved, 8);
}

#[test]
fn a_value_that_the_version_cannot_carry_is_refused_by_name() {
    let not_in = |field, version| {
        let what = EncodeErrorKind::NotInVersion { version };
        Err(EncodeError { what, field: Some(field) })
    };
    let base = Question { records: Some(Bytes::new()), ..Default::default() };
    let late = Question { late: 5, ..base.clone() };
    assert_eq!(encode(&late, 0), not_in("Question.late", 0));
    let once = Question { only_once: "other".into(), ..base.clone() };
    assert_eq!(encode(&once, 6), not_in("Question.only_once", 6));
    let tagged = Question { tagged_maybe: Some(Part::default()), ..base.clone() };
    assert_eq!(encode(&tagged, 11), not_in("Question.tagged_maybe", 11));
    let moved = Question { moved: 1, ..base.clone() };
    assert_eq!(encode(&moved, 5), not_in("Question.moved", 5));
    let nested = Part { id: Uuid([1; 16]), ..Default::default() };
    let nested = Question { parts: vec![nested], ..base };
    assert_eq!(encode(&nested, 0), not_in("Part.id", 0), "the innermost field is named");
}

#[test]
fn ignorable_values_are_dropped_where_the_version_has_no_room() {
    let question = Question {
        gone: false,
        hint: Some("hint".into()),
        records: Some(Bytes::new()),
        ..Default::default()
    };
    let read: Question = decode(encode(&question, 8).unwrap(), 8).unwrap();
    assert!(read.gone && read.hint.is_none());
}

#[test]
fn null_is_refused_in_versions_that_cannot_say_it() {
    let question = Question { names: None, records: Some(Bytes::new()), ..Default::default() };
    let what = EncodeErrorKind::NullInVersion { version: 2 };
    assert_eq!(encode(&question, 2), Err(EncodeError { what, field: Some("Question.names") }));
    assert_eq!(decode(encode(&question, 3).unwrap(), 3), Ok(question));
    let null_names = Bytes::from_static(b"\0\0\0\0\xff\xff\xff\xff");
    let error = decode::<Question>(null_names, 0).unwrap_err();
    assert_eq!((error.at, error.what), (4, DecodeErrorKind::UnexpectedNull));
    assert_eq!(error.field, Some("Question.names"));
}

#[test]
fn unknown_tags_are_skipped_and_so_are_those_of_a_later_version() {
    let question = Question { records: Some(Bytes::new()), ..Default::default() };
    let mut bytes = encode(&question, 10).unwrap().to_vec();
    assert_eq!(bytes.pop(), Some(0), "no tags");
    // Tag 0 is known, tag 1 exists from version 12 on only, tag 90 never.
    bytes.extend_from_slice(b"\x03\0\x03\x03hi\x01\x02xy\x5a\0");
    let read = decode::<Question>(Bytes::from(bytes), 10).unwrap();
    assert_eq!(read, Question { hint: Some("hi".into()), ..question });
}

#[test]
fn a_tagged_value_cannot_reach_beyond_its_size() {
    let question = Question { records: Some(Bytes::new()), ..Default::default() };
    let mut bytes = encode(&question, 10).unwrap().to_vec();
    bytes.pop();
    bytes.extend_from_slice(b"\x01\0\x02\x03hi");
    let error = decode::<Question>(Bytes::from(bytes), 10).unwrap_err();
    assert_eq!(error.what, DecodeErrorKind::UnexpectedEnd { wanted: 2, left: 1 });
    assert_eq!(error.field, Some("Question.hint"));
}

#[test]
fn versions_outside_the_range_are_refused() {
    for version in [-1, 13, i16::MIN, i16::MAX] {
        let error = encode(&Question::default(), version).unwrap_err();
        let what = EncodeErrorKind::UnsupportedVersion { version };
        assert_eq!(error, EncodeError { what, field: Some("Question") });
        let error = decode::<Answer>(Bytes::new(), version).unwrap_err();
        assert_eq!(error.what, DecodeErrorKind::UnsupportedVersion { version });
    }
}

#[test]
fn the_smallest_size_is_that_of_the_smallest_message() {
    for version in 0..=12 {
        let layout = Layout::new(version, version >= 9);
        // The shortest message has nothing but null or empty values, and no default to write.
        let question = Question {
            names: if version >= 3 { None } else { Some(Vec::new()) },
            records: if version >= 10 { None } else { Some(Bytes::new()) },
            only_once: if version == 5 { String::new() } else { "once".into() },
            ..Default::default()
        };
        let bytes = encode(&question, version).unwrap();
        assert_eq!(<Question as Field>::smallest(layout), bytes.len(), "version {version}");
    }
}

#[test]
fn a_struct_in_a_struct_follows_the_message_that_holds_it() {
    // Leaf says "none" for itself, yet inside a flexible question its bytes are compact.
    let leaf = Leaf { blob: Bytes::from_static(b"b"), ..Default::default() };
    assert_eq!(encode(&leaf, 9).unwrap(), b"\0\0\0\0\0\0\0\0\0\0\x01b"[..]);
    let mut w = Writer::new();
    leaf.put(&mut w, Layout::new(9, true)).unwrap();
    assert_eq!(w.finish().unwrap().into_bytes(), b"\0\0\0\0\0\0\0\x02b\0"[..]);
}

#[test]
fn depth_counts_structs_within_structs() {
    assert_eq!(<Question as Field>::DEPTH, 3);
    assert_eq!(<Leaf as Field>::DEPTH, 1);
}

#[test]
fn an_empty_message_is_empty_until_it_is_flexible() {
    assert_eq!(encode(&Answer, 8).unwrap(), b""[..]);
    assert_eq!(encode(&Answer, 9).unwrap(), b"\0"[..]);
}

#[test]
fn every_cut_is_refused() {
    for version in [0, 5, 8, 12] {
        let bytes = encode(&full(version), version).unwrap();
        for length in 0..bytes.len() {
            let cut = bytes.slice(..length);
            let error = decode::<Question>(cut, version).unwrap_err();
            assert!(error.at <= length, "version {version}, {length} bytes: {error}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_read_can_be_written_again(
        at in 0usize..400, byte in any::<u8>(), version in 0i16..=12,
    ) {
        let mut bytes = encode(&full(version), version).unwrap().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = decode::<Question>(Bytes::from(bytes), version) {
            let again = encode(&read, version).unwrap();
            let reread = decode::<Question>(again, version).unwrap();
            // Not a number differs from itself; its text does not.
            prop_assert_eq!(format!("{reread:?}"), format!("{read:?}"));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), version in 0i16..=12) {
        let _ = decode::<Question>(Bytes::from(bytes), version);
    }
}
