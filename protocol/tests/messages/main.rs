//! Every message in every version against two yardsticks: Kafka's own definitions, walked by a
//! plain second codec, and the `kafka-protocol` crate.
//!
//! A random message is drawn on the yardstick's side and comes to us as bytes. Reading loses
//! nothing if writing gives the same bytes again; so equal bytes prove both directions, and a
//! message that both sides write alike they also read alike.

mod codecs;
mod facts;
mod model;
mod secrets;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use klamm_protocol::api::VersionRange;
use klamm_protocol::error::EncodeError;
use klamm_protocol::messages::REQUESTS;
use proptest::collection::vec;
use proptest::prelude::*;

use codecs::{Codec, Oracle, codecs, oracles};
use facts::{DEFINITIONS, Definition, Field, Kind, Versions};
use model::Tape;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_message_reads_and_writes_what_kafka_defines(tape in vec(any::<u8>(), 0..1500)) {
        for (codec, version) in all_versions(&codecs()) {
            let bytes = draw(codec, version, &tape);
            let again = (codec.recode)(bytes.clone(), version, version);
            prop_assert_eq!(again, Ok(Ok(bytes.clone())), "{} v{}", name(codec), version);
            prop_assert_eq!((codec.equal)(bytes.clone(), bytes, version), Ok(true));
        }
    }

    #[test]
    fn kafka_protocol_reads_ours_and_writes_the_same(tape in vec(any::<u8>(), 0..1500)) {
        let codecs = codecs();
        for oracle in oracles() {
            let codec = codecs.iter().find(|it| it.definition.name == oracle.name).unwrap();
            for version in codec.definition.versions.all() {
                if !oracle.versions.contains(version) {
                    continue;
                }
                let drawn = draw(codec, version, &tape);
                let ours = (codec.recode)(drawn, version, version).unwrap().unwrap();
                let theirs = (oracle.recode)(ours.clone(), version);
                prop_assert_eq!(theirs, Ok((ours, true)), "{} v{}", oracle.name, version);
            }
        }
    }

    #[test]
    fn tagged_fields_that_nobody_knows_are_skipped(tape in vec(any::<u8>(), 0..800)) {
        for (codec, version) in all_versions(&codecs()) {
            if codec.definition.flexible.contains(version) {
                let value = codec.model().generate(&mut Tape(&tape), version);
                let news = codec.model().encode_with_news(&value, version);
                let plain = draw(codec, version, &tape);
                prop_assert_ne!(&news, &plain);
                let equal = (codec.equal)(news.into(), plain, version);
                prop_assert_eq!(equal, Ok(true), "{} v{}", name(codec), version);
            }
        }
    }

    #[test]
    fn another_version_drops_what_may_be_dropped_and_refuses_the_rest(
        tape in vec(any::<u8>(), 0..800),
        step in 0..50_i16,
    ) {
        for (codec, from) in all_versions(&codecs()) {
            let Versions(first, last) = codec.definition.versions;
            let to = first + (from - first + step) % (last - first + 1);
            let model = codec.model();
            let value = model.generate(&mut Tape(&tape), from);
            let bytes = Bytes::from(model.encode(&value, from).unwrap());
            let ours = (codec.recode)(bytes, from, to).unwrap();
            let expected = model.encode(&value, to);
            let ours = ours.map(|bytes| bytes.to_vec()).map_err(refused_field);
            let expected = expected.map_err(|refused| snake_case(&refused.0));
            prop_assert_eq!(ours, expected, "{} v{} to v{}", name(codec), from, to);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..Default::default() })]

    #[test]
    fn truncated_and_overlong_messages_are_refused(tape in vec(any::<u8>(), 100..300)) {
        for (codec, version) in all_versions(&codecs()) {
            let bytes = draw(codec, version, &tape);
            for len in 0..bytes.len() {
                let cut = (codec.recode)(bytes.slice(..len), version, version);
                prop_assert!(cut.is_err(), "{} v{version} cut to {len}: {cut:?}", name(codec));
            }
            let longer = [&bytes[..], &[0]].concat();
            let longer = (codec.recode)(longer.into(), version, version);
            prop_assert!(longer.is_err(), "{} v{version} and a byte more", name(codec));
        }
    }
}

#[test]
fn defaults_are_kafkas() {
    for (codec, version) in all_versions(&codecs()) {
        let expected = codec.model().encode(&codec.model().default(), version);
        let ours = (codec.default)(version);
        assert_eq!(
            ours.as_ref().map(|it| &it[..]).ok(),
            expected.as_deref().ok(),
            "{} v{version}: {ours:?} {expected:?}",
            name(codec),
        );
    }
}

#[test]
fn versions_outside_the_range_are_refused() {
    for codec in codecs() {
        let Versions(first, last) = codec.definition.versions;
        for version in [i16::MIN, first - 1, last + 1, i16::MAX] {
            assert!((codec.default)(version).is_err(), "{} v{version}", name(&codec));
            let read = (codec.recode)(Bytes::from_static(&[0; 64]), version, version);
            assert!(read.is_err(), "{} v{version}", name(&codec));
        }
    }
}

#[test]
fn source_says_what_kafka_defines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/messages");
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        for ours in source::definitions(&entry.unwrap().path()) {
            compare(&ours, facts::definition(&ours.name));
            seen.insert(ours.name);
        }
    }
    let all: BTreeSet<_> = DEFINITIONS.iter().map(|it| it.name.clone()).collect();
    assert_eq!(seen, all);
}

#[test]
fn table_of_requests_is_complete_and_in_order() {
    let expected: Vec<_> = DEFINITIONS
        .iter()
        .filter_map(|it| Some((it.key?, VersionRange::new(it.versions.0, it.versions.1))))
        .collect();
    let ours: Vec<_> = REQUESTS.iter().map(|(key, range)| (key.code(), *range)).collect();
    assert_eq!(ours, expected);
}

/// Kafka's definitions are the only yardstick for these; if `kafka-protocol` learns one, the list
/// has to shrink.
#[test]
fn versions_that_kafka_protocol_lacks_are_known() {
    let lacks = |oracle: &Oracle| {
        let ours = facts::definition(oracle.name).versions;
        let missing: Vec<_> = ours.all().filter(|it| !oracle.versions.contains(*it)).collect();
        (!missing.is_empty()).then_some((oracle.name, missing))
    };
    let lacking: Vec<_> = oracles().iter().filter_map(lacks).collect();
    let known: Vec<_> = LACKING.iter().map(|(name, it)| (*name, it.to_vec())).collect();
    assert_eq!(lacking, known);
}

fn all_versions(codecs: &[Codec]) -> impl Iterator<Item = (&Codec, i16)> {
    codecs.iter().flat_map(|it| it.definition.versions.all().map(move |version| (it, version)))
}

/// The field's name, without that of its structure.
fn refused_field(error: EncodeError) -> String {
    let path = error.field.expect("errors of fields name them");
    path.rsplit('.').next().unwrap_or(path).to_owned()
}

fn draw(codec: &Codec, version: i16, tape: &[u8]) -> Bytes {
    let value = codec.model().generate(&mut Tape(tape), version);
    codec.model().encode(&value, version).expect("drawn for this version").into()
}

fn name(codec: &Codec) -> &str {
    &codec.definition.name
}

fn compare(ours: &Definition, kafkas: &Definition) {
    assert_eq!(ours.key, kafkas.key, "{}", ours.name);
    assert_eq!(ours.versions, kafkas.versions, "{}", ours.name);
    assert_eq!(ours.flexible, kafkas.flexible, "{}", ours.name);
    compare_fields(&ours.name, &ours.fields, &kafkas.fields);
}

fn compare_fields(path: &str, ours: &[Field], kafkas: &[Field]) {
    let names = |fields: &[Field], name: fn(&str) -> String| -> Vec<_> {
        fields.iter().map(|it| name(&it.name)).collect()
    };
    assert_eq!(names(ours, str::to_owned), names(kafkas, snake_case), "fields of {path}");
    for (one, other) in ours.iter().zip(kafkas) {
        let path = format!("{path}.{}", one.name);
        assert_eq!(one.versions, other.versions, "versions of {path}");
        assert_eq!(one.nullable, other.nullable, "nullable versions of {path}");
        assert_eq!(one.tag, other.tag, "tag of {path}");
        assert_eq!(one.default, other.default, "default of {path}");
        assert_eq!(one.ignorable, other.ignorable, "ignorable of {path}");
        compare_kinds(&path, &one.kind, &other.kind);
    }
}

fn compare_kinds(path: &str, ours: &Kind, kafkas: &Kind) {
    match (ours, kafkas) {
        (Kind::Array(one), Kind::Array(other)) => compare_kinds(path, one, other),
        (Kind::Struct(one, fields), Kind::Struct(other, kafkas)) => {
            assert_eq!(one, other, "type of {path}");
            compare_fields(path, fields, kafkas);
        }
        _ => assert_eq!(ours, kafkas, "type of {path}"),
    }
}

/// `MaxWaitMs` becomes `max_wait_ms`, `Enable2Pc` `enable_2pc`, and `V3AndBelow` `v3_and_below`.
fn snake_case(name: &str) -> String {
    let parts: Vec<_> = name.split("V3").map(snake_case_words).collect();
    parts.join("_v3_").trim_start_matches('_').to_owned()
}

fn snake_case_words(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        let starts_word = letter.is_ascii_uppercase() || letter.is_ascii_digit();
        if starts_word && snake.ends_with(|last: char| last.is_ascii_lowercase()) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

const LACKING: &[(&str, &[i16])] = &[
    ("ProduceRequest", &[0, 1, 2]),
    ("ProduceResponse", &[0, 1, 2]),
    ("FetchRequest", &[0, 1, 2, 3]),
    ("FetchResponse", &[0, 1, 2, 3]),
    ("ListOffsetsRequest", &[0, 11]),
    ("ListOffsetsResponse", &[0, 11]),
    ("OffsetCommitRequest", &[0, 1, 10]),
    ("OffsetCommitResponse", &[0, 1]),
    ("OffsetFetchRequest", &[0, 10]),
    ("OffsetFetchResponse", &[0]),
    ("CreateTopicsRequest", &[0, 1]),
    ("CreateTopicsResponse", &[0, 1]),
    ("DeleteTopicsRequest", &[0]),
    ("DeleteTopicsResponse", &[0]),
    ("InitProducerIdRequest", &[6]),
    ("OffsetForLeaderEpochRequest", &[0, 1]),
    ("OffsetForLeaderEpochResponse", &[0, 1]),
    ("WriteTxnMarkersRequest", &[0, 2]),
    ("WriteTxnMarkersResponse", &[0, 2]),
    ("TxnOffsetCommitRequest", &[6]),
    ("TxnOffsetCommitResponse", &[6]),
    ("DescribeAclsRequest", &[0]),
    ("DescribeAclsResponse", &[0]),
    ("CreateAclsRequest", &[0]),
    ("CreateAclsResponse", &[0]),
    ("DeleteAclsRequest", &[0]),
    ("DeleteAclsResponse", &[0]),
    ("DescribeConfigsRequest", &[0]),
    ("DescribeConfigsResponse", &[0]),
    ("AlterReplicaLogDirsRequest", &[0]),
    ("AlterReplicaLogDirsResponse", &[0]),
    ("DescribeLogDirsRequest", &[0, 5]),
    ("DescribeLogDirsResponse", &[0, 5]),
    ("CreateDelegationTokenRequest", &[0]),
    ("CreateDelegationTokenResponse", &[0]),
    ("RenewDelegationTokenRequest", &[0]),
    ("RenewDelegationTokenResponse", &[0]),
    ("ExpireDelegationTokenRequest", &[0]),
    ("ExpireDelegationTokenResponse", &[0]),
    ("DescribeDelegationTokenRequest", &[0]),
    ("DescribeDelegationTokenResponse", &[0]),
    ("DeleteGroupsRequest", &[3]),
    ("DeleteGroupsResponse", &[3]),
];
