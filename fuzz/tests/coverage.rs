//! The seeds of message targets: there is a good one for every API in every version, and groups whose
//! members speak every version of the consumer protocol.
//!
//! They are random messages, drawn by the same model of Kafka's definitions that the protocol's
//! tests use. After a new API or version: `cargo test -p klamm-fuzz --test coverage -- --ignored`.

#[expect(dead_code, reason = "shared with the protocol's tests, which use all of it")]
#[path = "../../protocol/tests/messages/facts.rs"]
mod facts;
#[expect(dead_code, reason = "shared with the protocol's tests, which use all of it")]
#[path = "../../protocol/tests/messages/model.rs"]
mod model;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use klamm_protocol::api::Request;
use klamm_protocol::assign::{Assignor, Subscription, TopicPartition};
use klamm_protocol::header::{
    decode_request, decode_request_header, decode_response, request_header_version,
    response_header_version,
};

use model::{Model, Tape};

#[test]
fn every_version_has_seeds_that_read() {
    for api in APIS {
        for version in api.versions() {
            let (request, response) = paths(api, version);
            let read = |path: PathBuf| {
                let error = |e| panic!("{}: {e}", path.display());
                Bytes::from(std::fs::read(&path).unwrap_or_else(error))
            };
            assert!((api.reads_request)(read(request)), "request of {} v{version}", api.name);
            let response = read(response).slice(CHOICE..);
            assert!((api.reads_response)(response, version), "{} v{version}", api.name);
        }
    }
}

#[test]
#[ignore = "writes the seeds"]
fn write_seeds() {
    for api in APIS {
        for version in api.versions() {
            let (request, response) = paths(api, version);
            write(&request, &request_seed(api, version));
            write(&response, &response_seed(api, version));
        }
    }
    for (name, stream) in STREAMS {
        write(&folder("frame_reader").join(name), stream);
    }
    for version in 0..=3 {
        for assignor in Assignor::ALL {
            let name = format!("{assignor}-v{version}");
            write(&folder("consumer_protocol").join(name), &group_seed(assignor, version));
        }
    }
}

struct Api {
    name: &'static str,
    key: klamm_protocol::api::ApiKey,
    range: klamm_protocol::api::VersionRange,
    reads_request: fn(Bytes) -> bool,
    reads_response: fn(Bytes, i16) -> bool,
}

impl Api {
    fn versions(&self) -> impl Iterator<Item = i16> + use<> {
        self.range.min..=self.range.max
    }
}

macro_rules! table {
    ($($request:path),* $(,)?) => {
        &[$(Api {
            name: <$request as Request>::KEY.name(),
            key: <$request as Request>::KEY,
            range: <$request as Request>::VERSIONS,
            reads_request: reads_request::<$request>,
            reads_response: |frame, version| decode_response::<$request>(frame, version).is_ok(),
        }),*]
    };
}

const APIS: &[Api] = klamm_protocol::for_each_request!(table);

fn reads_request<R: Request>(frame: Bytes) -> bool {
    let Ok((header, body)) = decode_request_header(frame) else { return false };
    header.api_key == R::KEY && decode_request::<R>(body, header.api_version).is_ok()
}

fn request_seed(api: &Api, version: i16) -> Vec<u8> {
    let mut seed = Vec::new();
    seed.extend(api.key.code().to_be_bytes());
    seed.extend(version.to_be_bytes());
    seed.extend(CORRELATION);
    seed.extend(b"\0\x05klamm");
    seed.extend((request_header_version(api.key, version) >= 2).then_some(0));
    seed.extend(draw(&format!("{}Request", api.name), version));
    seed
}

fn response_seed(api: &Api, version: i16) -> Vec<u8> {
    let mut seed = vec![api.key.code() as u8, (version - api.range.min) as u8];
    seed.extend(CORRELATION);
    seed.extend((response_header_version(api.key, version) >= 1).then_some(0));
    seed.extend(draw(&format!("{}Response", api.name), version));
    seed
}

/// Three members in a second generation, of which one has missed the first.
fn group_seed(assignor: Assignor, version: i16) -> Vec<u8> {
    let mut seed = vec![3, 0, 5, 1, 0b0110_1001];
    for (index, topics) in [&["a", "b"][..], &["b", "c", "d"], &["a", "b"]].iter().enumerate() {
        let number = index as i32;
        let owned = [0, number + 1].map(|partition| TopicPartition::new("b", partition));
        let generation = 7 - number % 2;
        let mut subscription = Subscription::to(topics.iter().copied());
        subscription.user_data = assignor.user_data(generation, Some(&owned)).expect("short names");
        subscription.owned = owned.into();
        subscription.generation = Some(generation);
        subscription.rack = Some(format!("rack-{index}"));
        let blob = subscription.encode(version).expect("a version that there is");
        seed.extend((blob.len() as u16).to_be_bytes());
        seed.extend(blob);
    }
    seed
}

/// The longest of some random messages that is still small.
fn draw(name: &str, version: i16) -> Vec<u8> {
    let model = Model(facts::definition(name));
    let drawn = (0..64).map(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let tape: Vec<u8> = (0..2000).map(|_| random.u8(..)).collect();
        let value = model.generate(&mut Tape(&tape), version);
        model.encode(&value, version).expect("drawn for this version")
    });
    drawn.filter(|seed| seed.len() < 400).max_by_key(Vec::len).unwrap_or_default()
}

fn paths(api: &Api, version: i16) -> (PathBuf, PathBuf) {
    let file = format!("{}-v{version:02}", api.name);
    (folder("request_decode").join(&file), folder("response_decode").join(&file))
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target)
}

fn write(path: &Path, seed: &[u8]) {
    let folder = path.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("a folder to write in");
    std::fs::write(path, seed).expect("a file to write");
}

/// Before a response's frame: which API, which version.
const CHOICE: usize = 2;

const CORRELATION: [u8; 4] = [0, 0, 0, 7];

/// Streams for the frame reader: the size of a piece, the largest frame in units of 16, then bytes.
const STREAMS: &[(&str, &[u8])] = &[
    ("nothing", b"\x01\x01"),
    ("empty-frame", b"\x01\x01\0\0\0\0"),
    ("one-frame", b"\x10\x01\0\0\0\x05klamm"),
    ("three-frames-in-pieces", b"\x03\x01\0\0\0\x02ab\0\0\0\0\0\0\0\x03cde"),
    ("cut-length", b"\x01\x01\0\0\0\x01a\0\0"),
    ("cut-frame", b"\x07\x02\0\0\0\x01a\0\0\0\x20abc"),
    ("too-large", b"\x05\x01\0\0\0\x01a\0\0\0\x11aaaaaaaaaaaaaaaaa"),
    ("negative", b"\xff\xff\xff\xff\xff\xff\0\0"),
    ("an-http-server", b"\x20\xffHTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
];
