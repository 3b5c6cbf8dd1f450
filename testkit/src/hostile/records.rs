//! Record batches that lie: checksums, lengths, counts, offsets, markers, bombs, and records that
//! reach beyond their batch.

use bytes::Bytes;
use klamm_protocol::records::Compression;

use super::craft::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BASE_TIMESTAMP_AT, COUNT_AT, CRC_AT, LAST_DELTA_AT, LENGTH_AT,
    MAGIC_AT, RECORDS_AT, batch, compressed, patch, patched, raw_records, relengthed, varint,
};
use super::fetches::{each, records};
use super::frames::noise;
use super::script::Script;
use super::{Case, Ending::*, Goal, VALUES, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = headers();
    cases.extend(offsets());
    cases.extend(magics());
    cases.extend(bombs());
    cases.extend(codecs());
    cases.extend(control());
    cases.extend(bodies());
    cases
}

/// All values in one honest batch.
fn whole() -> Vec<u8> {
    batch(0, &VALUES)
}

fn headers() -> Vec<Case> {
    let mut flipped = whole();
    patch(&mut flipped, CRC_AT, &[0xde, 0xad, 0xbe, 0xef]);
    let damaged = each(|_, told| {
        let mut bytes = told.records.take().unwrap_or_default().to_vec();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        told.records = Some(bytes.into());
    });
    let length = |length: i32| {
        let mut bytes = whole();
        patch(&mut bytes, LENGTH_AT, &length.to_be_bytes());
        records(bytes)
    };
    let count = |count: i32| records(patched(whole(), COUNT_AT, &count.to_be_bytes()));
    let mut cases = vec![
        case("a wrong checksum", Goal::Read, &[Damaged], records(flipped)),
        case("a flipped bit in the last record", Goal::Read, &[Damaged], damaged),
    ];
    let name = "a batch length below its header";
    cases.extend(sweep(name, Goal::Read, &[Damaged], [-1, i32::MIN, 0, 5, 48].map(length)));
    let name = "a batch length beyond the records";
    cases.extend(sweep(name, Goal::Read, &[Late], [i32::MAX, 1 << 20].map(length)));
    let name = "a count that is not that of the records";
    cases.extend(sweep(name, Goal::Read, &[Damaged], [-1, 1, 4, i32::MAX, i32::MIN].map(count)));
    cases.push(case("a count of 0 over records", Goal::Read, &[Short], count(0)));
    cases
}

fn offsets() -> Vec<Case> {
    let last = |delta: i32| patched(whole(), LAST_DELTA_AT, &delta.to_be_bytes());
    let base = |base: i64| {
        let mut bytes = whole();
        patch(&mut bytes, BASE_OFFSET_AT, &base.to_be_bytes());
        bytes
    };
    let mut furthest = last(i32::MAX);
    patch(&mut furthest, BASE_OFFSET_AT, &(i64::MAX - i64::from(i32::MAX)).to_be_bytes());
    let backwards: Vec<u8> =
        (0..3).rev().flat_map(|at| batch(at, &[VALUES[at as usize]])).collect();
    let overlapping = [whole(), batch(1, &VALUES[1..]), whole()].concat();
    let mut cases = Vec::new();
    let name = "a last offset before the first";
    cases.extend(sweep(
        name,
        Goal::Read,
        &[Damaged],
        [-1, i32::MIN].map(|delta| records(last(delta))),
    ));
    let name = "a last offset before the last record's";
    cases.extend(sweep(name, Goal::Read, &[Damaged], [0, 1].map(|delta| records(last(delta)))));
    let name = "a first offset that cannot be";
    let impossible = [-1, i64::MIN, i64::MAX].map(|at| records(base(at)));
    cases.extend(sweep(name, Goal::Read, &[Damaged], impossible));
    cases.extend([
        case("a last offset two billion further", Goal::Read, &[Right], records(last(i32::MAX))),
        case("a batch from far beyond the range", Goal::Read, &[Short], records(base(1 << 40))),
        case("a batch up to the last offset there is", Goal::Follow, &[Right], records(furthest)),
        case("batches in falling order", Goal::Read, &[Short], records(backwards)),
        case("batches that overlap", Goal::Read, &[Right], records(overlapping)),
        case("batches from before what was asked for", Goal::Read, &[Right], records(whole())),
    ]);
    cases
}

fn magics() -> Vec<Case> {
    let magic = |magic: i8| records(patched(whole(), MAGIC_AT, &magic.to_be_bytes()));
    let old = |magic: u8, attributes: u8, seed: u64| {
        let mut bytes = noise(seed, 120).to_vec();
        patch(&mut bytes, BASE_OFFSET_AT, &0_i64.to_be_bytes());
        patch(&mut bytes, LENGTH_AT, &108_i32.to_be_bytes());
        patch(&mut bytes, MAGIC_AT, &[magic, attributes]);
        records(bytes)
    };
    let mut cases = Vec::new();
    let name = "a batch of an unknown format";
    cases.extend(sweep(name, Goal::Read, &[Damaged], [3, 127, -1, i8::MIN].map(magic)));
    let name = "garbage in the formats of old";
    let garbage =
        (0..2).flat_map(|magic| (0..5).map(move |codec| old(magic, codec, u64::from(codec))));
    cases.extend(sweep(name, Goal::Read, &[Damaged], garbage));
    let name = "random bytes for records";
    let random = (0..8).map(|seed| records(noise(seed, 3_000)));
    cases.extend(sweep(name, Goal::Read, &[Damaged, Late, Short], random));
    cases
}

/// Far more zeros than a client that was given a limit may make of them, deflated.
fn bombs() -> Vec<Case> {
    let bomb = |codec, bytes: usize| records(compressed(codec, 0, &[&vec![0; bytes]]));
    let name = "a bomb of zeros";
    // The frames of snappy and lz4 hold less.
    let scripts = [
        bomb(Compression::Gzip, 48 << 20),
        bomb(Compression::Zstd, 48 << 20),
        bomb(Compression::Lz4, 48 << 20),
        bomb(Compression::Snappy, 8 << 20),
    ];
    let mut cases = sweep(name, Goal::Read, &[Damaged], scripts);
    let marker = patched(
        compressed(Compression::Gzip, 0, &[&vec![0; 48 << 20]]),
        ATTRIBUTES_AT,
        &(CONTROL | TRANSACTIONAL | Compression::Gzip.id()).to_be_bytes(),
    );
    cases.push(case("a bomb in a marker", Goal::Read, &[Damaged], records(marker)));
    let several = compressed(Compression::Zstd, 0, &[&vec![0; 8 << 20]]).repeat(100);
    cases.push(case("a hundred bombs", Goal::Read, &[Damaged], records(several)));
    cases.into_iter().map(Case::greedy).collect()
}

/// The records of an honest compressed batch replaced by these bytes.
fn deflated(codec: Compression, body: &[u8]) -> Script {
    let mut bytes = compressed(codec, 0, &VALUES);
    bytes.truncate(RECORDS_AT);
    bytes.extend_from_slice(body);
    records(relengthed(bytes))
}

fn codecs() -> Vec<Case> {
    let all = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let name = "random bytes where a codec is named";
    let mut cases =
        sweep(name, Goal::Read, &[Damaged], all.map(|codec| deflated(codec, &noise(3, 500))));
    let name = "nothing where a codec is named";
    cases.extend(sweep(name, Goal::Read, &[Damaged], all.map(|codec| deflated(codec, b""))));
    let name = "compressed records cut short";
    let cut = all.map(|codec| {
        let mut bytes = compressed(codec, 0, &VALUES);
        bytes.truncate(bytes.len() - 4);
        records(relengthed(bytes))
    });
    cases.extend(sweep(name, Goal::Read, &[Damaged], cut));
    let name = "a codec that does not exist";
    let unknown =
        [5_i16, 6, 7].map(|id| records(patched(whole(), ATTRIBUTES_AT, &id.to_be_bytes())));
    cases.extend(sweep(name, Goal::Read, &[Damaged], unknown));
    // Lengths that are claimed: four gigabytes of a snappy block, and a zstd window of a terabyte.
    let xerial =
        [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x09"[..], b"\xff\xff\xff\xff\x0f\0abc"].concat();
    let claims = [
        deflated(Compression::Snappy, b"\xff\xff\xff\xff\x0f\0abc"),
        deflated(Compression::Snappy, &xerial),
        deflated(Compression::Zstd, b"\x28\xb5\x2f\xfd\x00\xf8\x01\0\0"),
        deflated(
            Compression::Zstd,
            b"\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f\x01\0\0",
        ),
        deflated(
            Compression::Lz4,
            b"\x04\x22\x4d\x18\x6c\x70\xff\xff\xff\xff\xff\xff\xff\x7f\x00\xff\xff\xff\x7f",
        ),
    ];
    let name = "an inflated length that is only claimed";
    let claims = sweep(name, Goal::Read, &[Damaged], claims);
    cases.extend(claims.into_iter().map(Case::greedy));
    cases
}

fn control() -> Vec<Case> {
    let marked = |records: Vec<u8>| {
        patched(records, ATTRIBUTES_AT, &(CONTROL | TRANSACTIONAL).to_be_bytes())
    };
    let malformed = [
        marked(whole()),
        marked(raw_records(0, 2, b"")),
        marked(raw_records(1, 2, b"\x0e\0\0\0\x02\0\0\0")),
        // A key of a negative version.
        marked(raw_records(1, 2, b"\x14\0\0\0\x08\xff\xff\0\0\x01\0")),
    ];
    let commit = b"\x14\0\0\0\x08\0\0\0\x01\x01\0";
    let unknown = b"\x14\0\0\0\x08\0\0\x7f\xff\x01\0";
    let mut cases = sweep("a malformed marker", Goal::Read, &[Damaged], malformed.map(records));
    let markers = [marked(raw_records(1, 2, commit)), marked(raw_records(1, 2, unknown))];
    cases.extend(sweep("a marker where records were", Goal::Read, &[Short], markers.map(records)));
    cases
}

/// One record of these bytes in a batch of its own, at offset 0; the range has two more.
fn bodies() -> Vec<Case> {
    let record = |bytes: &[u8]| records(raw_records(1, 2, bytes));
    let broken = [
        // Lengths: none, negative, beyond the batch, of too many bytes.
        &b""[..],
        b"\0",
        b"\x01",
        b"\xfe\xff\xff\xff\x0f\0\0\0\x01\x01\0",
        b"\xff\xff\xff\xff\xff\x0f",
        // A timestamp's delta of eleven bytes.
        b"\x20\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\x01\x01\0",
        // An offset beyond the batch, and one below it.
        b"\x0c\0\0\x7f\x01\x01\0",
        b"\x0c\0\0\x01\x01\x01\0",
        // Keys and values: beyond the record, of impossible lengths.
        b"\x0c\0\0\0\x7e\x01\0",
        b"\x0c\0\0\0\x03\x01\0",
        b"\x0c\0\0\0\x01\x7e\0",
        b"\x0c\0\0\0\x01\x05\0",
        // Without a count of headers.
        b"\x0a\0\0\0\x01\x01",
    ];
    let headers = [
        &b"\x0c\0\0\0\x01\x01\x7e"[..],
        b"\x0c\0\0\0\x01\x01\x01",
        b"\x10\0\0\0\x01\x01\x02\x01\x01",
        b"\x10\0\0\0\x01\x01\x02\x7e\x01",
        b"\x0e\0\0\0\x01\x01\0\x09",
    ];
    let mut cases = Vec::new();
    let name = "a record that reaches beyond its batch";
    cases.extend(sweep(name, Goal::Read, &[Damaged], broken.map(record)));
    let name = "headers that reach beyond their record";
    cases.extend(sweep(name, Goal::Read, &[Damaged], headers.map(record)));
    let many: Vec<u8> = [vec![0, 0, 0, 1, 1], zigzag(i32::MAX)].concat();
    let many = [zigzag(many.len() as i32), many].concat();
    cases.push(
        case("two billion headers that are not there", Goal::Read, &[Damaged], record(&many))
            .greedy(),
    );
    let mut late = raw_records(1, 2, b"\x0e\0\xfe\x03\0\x01\x01\0");
    patch(&mut late, BASE_TIMESTAMP_AT, &i64::MAX.to_be_bytes());
    let late = records(relengthed(late));
    cases.push(case("a timestamp beyond the end of time", Goal::Read, &[Damaged], late));
    let left = records(relengthed([whole(), b"left over".to_vec()].concat()));
    cases.push(case("bytes behind the last record", Goal::Read, &[Damaged], left));
    let tiny: Bytes =
        raw_records(i32::MAX, i32::MAX - 1, &b"\x0c\0\0\0\x01\x01\0".repeat(40_000)).into();
    cases.push(
        case("two billion records that are not there", Goal::Read, &[Damaged], records(tiny))
            .greedy(),
    );
    cases
}

/// A signed varint of a number that is not negative.
fn zigzag(value: i32) -> Vec<u8> {
    varint((value as u32) << 1)
}

const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
