//! Every message in every version against Kafka's own Java code: Java fills all fields of a version
//! with random values, we read its bytes, write them again, and must arrive at the same bytes. Then
//! each side's bytes are the other's. Two versions of Kafka take part, since 4.x no longer knows the
//! oldest requests.

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Message, Request};
use klamm_protocol::messages::REQUESTS;
use klamm_protocol::wire::{Reader, Writer};
use klamm_testkit::apache;
use klamm_testkit::oracle::{self, Java, MessageKind};

#[test]
fn java_and_we_agree_on_every_message_of_the_newest_version() {
    check_all(apache::NEWEST);
}

#[test]
fn java_and_we_agree_on_every_message_of_the_next_version() {
    check_all(oracle::NEXT);
}

#[test]
fn java_and_we_agree_on_every_message_of_the_previous_line() {
    check_all(apache::PREVIOUS);
}

#[test]
fn the_versions_that_we_know_are_those_of_kafka() {
    let Some(mut next) = oracle::for_test(oracle::NEXT) else { return };
    let Some(mut previous) = oracle::for_test(apache::PREVIOUS) else { return };
    let (next, previous) = (next.apis().unwrap(), previous.apis().unwrap());
    let mut unknown = Vec::new();
    for (key, ours) in REQUESTS {
        let java = &next[&key.code()];
        assert_eq!(key.name(), java.name);
        let stable = java.max - i16::from(java.is_max_unstable);
        // Version 5 names the cluster and node that the client expects (KIP-1242). It is left out:
        // asking for it first would cost a round trip at every broker before 4.4.
        let newest = if *key == ApiKey::ApiVersions { stable.min(4) } else { stable };
        let oldest = previous.get(&key.code()).map_or(java.min, |api| api.min.min(java.min));
        if ours.min > oldest || ours.max < newest {
            unknown.push(format!("{key}: Kafka has {oldest} to {newest}, we have {ours:?}"));
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn headers_turn_flexible_where_kafkas_do() {
    let Some(mut java) = oracle::for_test(apache::PREVIOUS) else { return };
    let apis = java.apis().unwrap();
    for (key, java) in REQUESTS.iter().filter_map(|(key, _)| Some((key, apis.get(&key.code())?))) {
        for (version, (request, response)) in (java.min..).zip(&java.headers) {
            let is_flexible = version >= key.flexible_from();
            assert_eq!(*request, if is_flexible { 2 } else { 1 }, "{key} {version}");
            // What tells the versions must be readable before they are known.
            let is_flexible = is_flexible && *key != ApiKey::ApiVersions;
            assert_eq!(*response, i16::from(is_flexible), "{key} {version}");
        }
    }
}

#[test]
fn java_reads_our_bytes_directly_and_by_way_of_json() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let kind = MessageKind { api_key: 3, is_response: true, version: 13 };
    let bytes = again::<klamm_protocol::messages::metadata::MetadataResponse>(
        &java.random(kind, 7, 1).unwrap()[0],
        kind,
    );
    let decoded = java.decode(kind, &bytes).unwrap();
    assert_eq!(decoded.left_over, 0);
    assert_eq!(decoded.encoded, bytes);
    assert_eq!(java.encode_json(kind, &decoded.json).unwrap(), bytes);
}

/// A JSON form and what is wrong with the bytes help more than the bytes alone.
fn check<M: Message>(java: &mut Java, kind: MessageKind) {
    let seed =
        1_000 * u64::from(kind.api_key.unsigned_abs()) + u64::from(kind.version.unsigned_abs());
    for bytes in java.random(kind, seed, MESSAGES).unwrap() {
        let ours = again::<M>(&bytes, kind);
        if ours != bytes {
            let json = java.decode(kind, &bytes).unwrap().json;
            let at = ours.iter().zip(&bytes).take_while(|(ours, java)| ours == java).count();
            panic!("{kind:?}: ours differ from byte {at} on\n{ours:?}\n{bytes:?}\n{json}");
        }
    }
}

fn again<M: Message>(bytes: &Bytes, kind: MessageKind) -> Bytes {
    let mut reader = Reader::new(bytes.clone());
    let message = M::decode(&mut reader, kind.version);
    let message = message.unwrap_or_else(|error| panic!("{kind:?}: {error} in {bytes:?}"));
    reader.finish().unwrap_or_else(|error| panic!("{kind:?}: {error} in {bytes:?}"));
    let mut writer = Writer::new();
    message.encode(&mut writer, kind.version).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
    writer.finish().unwrap().into_bytes()
}

/// Both messages of an API, in the versions that both sides know.
fn check_api<R: Request>(java: &mut Java, known: &oracle::Api) -> usize {
    let versions = known.min.max(R::VERSIONS.min)..=known.max.min(R::VERSIONS.max);
    for version in versions.clone() {
        let kind = MessageKind { api_key: R::KEY.code(), is_response: false, version };
        check::<R>(java, kind);
        check::<R::Response>(java, MessageKind { is_response: true, ..kind });
    }
    versions.count()
}

fn check_all(version: &str) {
    let Some(mut java) = oracle::for_test(version) else { return };
    let apis = java.apis().unwrap();
    let mut checked = 0;
    macro_rules! check_each {
        ($($request:path),* $(,)?) => {
            $(if let Some(known) = apis.get(&<$request>::KEY.code())
                && !is_mistaken(version, <$request>::KEY)
            {
                checked += check_api::<$request>(&mut java, known);
            })*
        };
    }
    klamm_protocol::for_each_request!(check_each);
    assert!(checked > 200, "only {checked} versions were compared");
}

/// The tables of 3.9, from which its random messages are made, do not know that a struct can be null.
/// The newest version's do, and it has all versions of the two APIs concerned.
fn is_mistaken(version: &str, key: ApiKey) -> bool {
    version == apache::PREVIOUS
        && matches!(key, ApiKey::DescribeTopicPartitions | ApiKey::ConsumerGroupHeartbeat)
}

/// Messages per API, version and direction.
const MESSAGES: usize = 100;
