//! Messages that lie inside a whole frame: cut short, with counts, lengths, varints and tags that
//! nothing stands behind.

use klamm_protocol::api::ApiKey;

use super::craft::{answer, body, framed, send, varint};
use super::script::{Asked, Script};
use super::{Case, Ending, Ending::*, FRAME_CAP, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = truncations();
    cases.extend(counts());
    cases.extend(strings());
    cases.extend(varints());
    cases.extend(tags());
    cases
}

/// The body of an honest answer cut at `CUTS` places, in frames that are whole.
fn cut(key: ApiKey) -> Vec<Script> {
    let at = |cut: usize| {
        Script::honest().alter(key, move |_, honest| {
            let whole = body(honest);
            let after_id = whole.len().saturating_sub(ID);
            send(framed(&whole[..ID + after_id * cut / CUTS]))
        })
    };
    (0..CUTS).map(at).collect()
}

fn truncations() -> Vec<Case> {
    type Row = (&'static str, ApiKey, Goal, &'static [Ending]);
    const ROWS: [Row; 8] = [
        ("ApiVersions cut short", ApiKey::ApiVersions, Goal::Connect, &[NotKafka]),
        ("Metadata cut short", ApiKey::Metadata, Goal::Connect, &[Garbage]),
        ("FindCoordinator cut short", ApiKey::FindCoordinator, Goal::Coordinator, &[Garbage]),
        ("InitProducerId cut short", ApiKey::InitProducerId, Goal::Produce, &[NotWritten]),
        ("Produce cut short", ApiKey::Produce, Goal::Produce, &[Unknown]),
        ("Fetch cut short", ApiKey::Fetch, Goal::Read, &[Garbage]),
        ("ListOffsets cut short", ApiKey::ListOffsets, Goal::Offsets, &[Garbage]),
        ("CreateTopics cut short", ApiKey::CreateTopics, Goal::Create, &[Unknown]),
    ];
    ROWS.into_iter()
        .flat_map(|(name, key, goal, endings)| sweep(name, goal, endings, cut(key)))
        .collect()
}

/// Metadata whose bytes after the throttle time are these. Flexible answers begin with tags.
fn flexible(brokers_on: Vec<u8>) -> Script {
    Script::honest().instead(ApiKey::Metadata, move |asked| {
        send(answer(asked.correlation_id, &[&[0, 0, 0, 0, 0], &brokers_on[..]].concat()))
    })
}

/// The same in version 7, from before compact lengths.
fn inflexible(brokers_on: Vec<u8>) -> Script {
    let script = Script::honest().up_to(ApiKey::Metadata, 7);
    script.instead(ApiKey::Metadata, move |asked| {
        send(answer(asked.correlation_id, &[&[0, 0, 0, 0], &brokers_on[..]].concat()))
    })
}

/// A count, then as many bytes as a frame can hold.
fn with_filling(mut count: Vec<u8>) -> Vec<u8> {
    count.resize(FRAME_CAP - 100, 0);
    count
}

fn counts() -> Vec<Case> {
    let old = [i32::MAX, 1_000_001, -2, -1, i32::MIN];
    let bare = old.map(|count| inflexible(count.to_be_bytes().into()));
    let filled = old.map(|count| inflexible(with_filling(count.to_be_bytes().into())));
    let compact = [u32::MAX, 1 << 31, 1_000_002, 0];
    let name = "a count that nothing stands behind";
    let mut cases = sweep(name, Goal::Connect, &[Garbage], bare);
    let name = "a count with too few bytes behind it";
    let greedy = sweep(name, Goal::Connect, &[Garbage], filled);
    cases.extend(greedy.into_iter().map(Case::greedy));
    let name = "a compact count that nothing stands behind";
    cases.extend(sweep(
        name,
        Goal::Connect,
        &[Garbage],
        compact.map(|count| flexible(varint(count))),
    ));
    let name = "a compact count with too few bytes behind it";
    let filled = compact.map(|count| flexible(with_filling(varint(count))));
    let greedy = sweep(name, Goal::Connect, &[Garbage], filled);
    cases.extend(greedy.into_iter().map(Case::greedy));
    // As many brokers as the frame can hold, each without a name; then the rest is missing.
    let brokers = (FRAME_CAP - 200) / 11;
    let crowd = [varint(brokers as u32 + 1), [0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0].repeat(brokers)];
    cases.push(
        case(
            "more brokers than names, cut off",
            Goal::Connect,
            &[Garbage],
            flexible(crowd.concat()),
        )
        .greedy(),
    );
    cases
}

/// One broker whose name is these bytes.
fn named(name: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 1], name].concat()
}

fn strings() -> Vec<Case> {
    let lengths = [u32::MAX, 1 << 20, 40_001, 0];
    let beyond = lengths.map(|length| flexible(named(&[&varint(length)[..], b"abc"].concat())));
    let not_utf8 = [&b"\xff\xfe"[..], b"\xc0\x80", b"\xed\xa0\x80", b"ab\xf0\x9f"].map(|bytes| {
        flexible(named(&[&varint(bytes.len() as u32 + 1)[..], bytes, &[0, 0, 0, 1, 0, 0]].concat()))
    });
    let old = [-1_i16, -2, i16::MIN, i16::MAX].map(|length| {
        inflexible([&[0, 0, 0, 1, 0, 0, 0, 1], &length.to_be_bytes()[..], b"abc"].concat())
    });
    let long = flexible(named(&[&varint(40_001)[..], &[b'a'; 40_010]].concat()));
    let mut cases = Vec::new();
    let name = "a name longer than its frame";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], beyond));
    let name = "a name that is no text";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], not_utf8));
    let name = "a name of an impossible length, before compact ones";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], old));
    cases.push(case("a name longer than Kafka's", Goal::Connect, &[Garbage], long));
    cases
}

fn varints() -> Vec<Case> {
    let endless = [&[0x80; 5][..], &[0x80; 6], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0x1f]];
    let counts = endless.map(|bytes| flexible(bytes.into()));
    let lengths = endless.map(|bytes| flexible(named(bytes)));
    let name = "a count whose varint does not end in time";
    let mut cases = sweep(name, Goal::Connect, &[Garbage], counts);
    let name = "a length whose varint does not end in time";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], lengths));
    cases
}

/// So many tagged fields without a value, by rising tag from 100.
fn many_tags(count: u32) -> Vec<u8> {
    let fields = (0..count).flat_map(|tag| [varint(100 + tag), vec![0]].concat());
    varint(count).into_iter().chain(fields).collect()
}

/// The honest answer with other tags in its header.
fn header_tags(tags: Vec<u8>) -> Script {
    Script::honest().alter(ApiKey::Metadata, move |asked: &Asked, honest| {
        let rest = &honest[9.min(honest.len())..];
        send(answer(asked.correlation_id, &[&tags[..], rest].concat()))
    })
}

/// The honest answer with other tags at its end.
fn body_tags(tags: Vec<u8>) -> Script {
    Script::honest().alter(ApiKey::Metadata, move |_, honest| {
        let whole = body(honest);
        send(framed(&[&whole[..whole.len().saturating_sub(1)], &tags[..]].concat()))
    })
}

fn tags() -> Vec<Case> {
    let wrong = || {
        [
            many_tags(10_001),
            varint(u32::MAX),
            // A size beyond the frame, and the largest there is.
            [vec![1, 100], varint(1 << 20)].concat(),
            [vec![1, 100], varint(u32::MAX)].concat(),
            // Falling, and twice the same.
            vec![2, 5, 0, 4, 0],
            vec![2, 5, 0, 5, 0],
            // More than there are.
            vec![9, 100, 0],
        ]
    };
    let harmless = || [many_tags(1), many_tags(10_000), vec![1, 100, 3, 1, 2, 3]];
    let mut cases = Vec::new();
    let name = "tags that lie, before an answer";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], wrong().map(header_tags)));
    let name = "tags that lie, behind an answer";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], wrong().map(body_tags)));
    let name = "tags that nobody knows, before an answer";
    cases.extend(sweep(name, Goal::Metadata, &[Right], harmless().map(header_tags)));
    let name = "tags that nobody knows, behind an answer";
    cases.extend(sweep(name, Goal::Metadata, &[Right], harmless().map(body_tags)));
    let features = |value: &'static [u8]| {
        Script::honest().alter(ApiKey::ApiVersions, move |_, honest| {
            let whole = body(honest);
            let bare = &whole[..whole.len().saturating_sub(1)];
            send(framed(&[bare, &[1, 2, value.len() as u8], value].concat()))
        })
    };
    let values = [&b""[..], b"\x01\x01", b"\xff\xff\xff\xff\x0f", b"\x02\x02a\0\x01"];
    let name = "a known tag whose value does not fill it";
    cases.extend(sweep(name, Goal::Connect, &[NotKafka], values.map(features)));
    cases
}

/// The bytes of a correlation id.
const ID: usize = 4;
/// Places at which answers are cut.
const CUTS: usize = 7;
