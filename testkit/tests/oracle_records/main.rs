//! Record batches against Kafka's own Java code, both ways: what Java writes we read as Java reads
//! it, and what we write Java reads as it was meant, in all codecs and with everything that a batch
//! can hold. The sets are random, from seeds that a failure names.

mod made;
mod ours;

use std::ops::Range;

use bytes::Bytes;
use klamm_protocol::records::{
    BatchBuilder, BatchOptions, Compression, ControlType, ProducerStamp, RawBatch, RecordParts,
};
use klamm_testkit::apache;
use klamm_testkit::oracle::{self, BatchSpec, Java, JavaBatch, Marker, RecordSpec};

use self::made::{batch, marker_batch};

#[test]
fn java_writes_uncompressed_batches_and_we_read_them() {
    java_writes(Compression::None);
}

#[test]
fn java_writes_gzip_and_we_read_it() {
    java_writes(Compression::Gzip);
}

#[test]
fn java_writes_snappy_and_we_read_it() {
    java_writes(Compression::Snappy);
}

#[test]
fn java_writes_lz4_and_we_read_it() {
    java_writes(Compression::Lz4);
}

#[test]
fn java_writes_zstd_and_we_read_it() {
    java_writes(Compression::Zstd);
}

#[test]
fn we_write_uncompressed_batches_and_java_reads_them() {
    we_write(Compression::None);
}

#[test]
fn we_write_gzip_and_java_reads_it() {
    we_write(Compression::Gzip);
}

#[test]
fn we_write_snappy_and_java_reads_it() {
    we_write(Compression::Snappy);
}

#[test]
fn we_write_lz4_and_java_reads_it() {
    we_write(Compression::Lz4);
}

#[test]
fn we_write_zstd_and_java_reads_it() {
    we_write(Compression::Zstd);
}

#[test]
fn compacted_sets_keep_their_gaps_and_their_emptied_batches() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    for seed in SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut set = Vec::new();
        let mut next = random.i64(0..1_000_000);
        for _ in 0..random.usize(1..5) {
            let codec = random.choice(Compression::ALL).unwrap_or(Compression::None);
            let made = batch(&mut random, codec, next);
            next = made.records.last().map_or(next, |last| last.offset) + random.i64(1..100);
            set.extend_from_slice(&java.build(&made).unwrap());
        }
        let offsets: Vec<i64> = ours::read(&set.clone().into())
            .iter()
            .flat_map(|batch| batch.records.iter().map(|record| record.record.offset))
            .collect();
        let share = random.f64();
        let dropped: Vec<i64> = offsets.into_iter().filter(|_| random.f64() < share).collect();
        let compacted = java.compact(&set, &dropped, seed % 2 == 0).unwrap();
        assert_eq!(ours::read(&compacted), java.dump(&compacted).unwrap(), "seed {seed}");
    }
}

#[test]
fn markers_are_read_as_java_writes_them() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    for seed in SEEDS {
        let made = marker_batch(&mut fastrand::Rng::with_seed(seed));
        let bytes = java.build(&made).unwrap();
        let read = ours::read(&bytes);
        assert_eq!(read, java.dump(&bytes).unwrap(), "seed {seed}");
        assert_eq!(read[0].records[0].marker, made.marker, "seed {seed}");
    }
}

#[test]
fn java_reads_our_markers() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    for (is_commit, kind) in [(true, ControlType::Commit), (false, ControlType::Abort)] {
        let marker = Marker { is_commit, timestamp: 1_700_000_000_123, coordinator_epoch: 9 };
        let value = klamm_protocol::records::control::marker_value(marker.coordinator_epoch);
        let mut builder = BatchBuilder::new(BatchOptions::default()).control();
        let key = kind.to_key();
        builder.try_push(&RecordParts::new(marker.timestamp, Some(&key), Some(&value))).unwrap();
        let mut sealed = builder.seal();
        let stamp =
            ProducerStamp { producer_id: 5, epoch: 1, base_sequence: -1, transactional: true };
        sealed.stamp(stamp);
        let dumped = java.dump(&sealed.to_bytes()).unwrap();
        assert!(dumped[0].is_control && dumped[0].is_transactional, "{dumped:?}");
        assert_eq!(dumped[0].records[0].marker, Some(marker));
    }
}

#[test]
fn message_sets_of_the_old_formats_are_read_as_java_reads_them() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];
    for (seed, codec) in SEEDS.flat_map(|seed| codecs.map(|codec| (seed, codec))) {
        for magic in [0, 1] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut made = batch(&mut random, codec, 0);
            made.magic = magic;
            made.producer_id = -1;
            made.producer_epoch = -1;
            made.base_sequence = -1;
            made.is_transactional = false;
            made.leader_epoch = -1;
            made.log_append_time = made.log_append_time.filter(|_| magic == 1);
            made.records.iter_mut().for_each(|record| record.headers.clear());
            let bytes = java.build(&made).unwrap();
            let told = records_of(&java.dump(&bytes).unwrap());
            assert_eq!(records_of(&ours::read(&bytes)), told, "seed {seed} {codec:?} {magic}");
        }
    }
}

#[test]
fn java_refuses_what_we_refuse() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let made = batch(&mut fastrand::Rng::with_seed(1), Compression::None, 0);
    let mut bytes = java.build(&made).unwrap().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(java.dump(&bytes).unwrap_err().to_string().contains("crc"));
    assert!(RawBatch::read(bytes.into()).unwrap().check().is_err());
}

/// Java writes batches; we and Java must read the same in them, and it must be what was asked for.
fn java_writes(codec: Compression) {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    for seed in SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let first = random.i64(0..1 << 40);
        let made = batch(&mut random, codec, first);
        let bytes = java.build(&made).unwrap();
        let read = ours::read(&bytes);
        assert_eq!(read, java.dump(&bytes).unwrap(), "seed {seed}");
        assert_eq!(read.len(), 1, "seed {seed}");
        assert_eq!(read[0].codec, made.codec, "seed {seed}");
        assert_eq!(records_of(&read), expected(&made), "seed {seed}");
    }
}

/// We write batches; Java must find in them what went in.
fn we_write(codec: Compression) {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    for seed in SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let first = random.i64(0..1 << 40);
        let made = batch(&mut random, codec, first);
        let bytes = write(&mut random, codec, &made);
        check_ours(&mut java, &made, &bytes, seed);
    }
}

fn check_ours(java: &mut Java, made: &BatchSpec, bytes: &Bytes, seed: u64) {
    let dumped = java.dump(bytes).unwrap();
    assert_eq!(dumped, ours::read(bytes), "seed {seed}");
    assert_eq!(records_of(&dumped), expected(made), "seed {seed}");
    let read = &dumped[0];
    assert_eq!(read.codec, made.codec, "seed {seed}");
    assert_eq!(read.base_offset, made.base_offset, "seed {seed}");
    assert_eq!(read.leader_epoch, made.leader_epoch, "seed {seed}");
    assert_eq!(read.producer_id, made.producer_id, "seed {seed}");
    assert_eq!(read.producer_epoch, made.producer_epoch, "seed {seed}");
    assert_eq!(read.base_sequence, made.base_sequence, "seed {seed}");
    assert_eq!(read.is_transactional, made.is_transactional, "seed {seed}");
    assert!(!read.is_control, "seed {seed}");
}

/// Our builder, fed with what Java's would be fed with.
fn write(random: &mut fastrand::Rng, compression: Compression, made: &BatchSpec) -> Bytes {
    let levels: Range<i32> = if compression == Compression::Gzip { 1..10 } else { 1..4 };
    let level = random.bool().then(|| random.i32(levels));
    let options =
        BatchOptions { compression, level, max_bytes: 1 << 24, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let mut next = made.base_offset;
    for record in &made.records {
        builder.skip_offsets(u16::try_from(record.offset - next).unwrap());
        next = record.offset + 1;
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        let parts =
            RecordParts::new(record.timestamp, record.key.as_deref(), record.value.as_deref());
        builder.try_push(&parts.with_headers(headers.iter().copied())).unwrap();
    }
    let mut sealed = builder.seal();
    if made.producer_id >= 0 {
        sealed.stamp(ProducerStamp {
            producer_id: made.producer_id,
            epoch: made.producer_epoch,
            base_sequence: made.base_sequence,
            transactional: made.is_transactional,
        });
    }
    let raw = RawBatch::read(sealed.to_bytes()).unwrap();
    raw.appended(made.base_offset, made.leader_epoch, made.log_append_time).bytes().clone()
}

/// The records as every reader has to see them: under the broker's clock all have its time.
fn expected(made: &BatchSpec) -> Vec<RecordSpec> {
    let mut records = made.records.clone();
    if let Some(time) = made.log_append_time {
        records.iter_mut().for_each(|record| record.timestamp = time);
    }
    records
}

fn records_of(batches: &[JavaBatch]) -> Vec<RecordSpec> {
    batches
        .iter()
        .flat_map(|batch| batch.records.iter().map(|record| record.record.clone()))
        .collect()
}

/// Enough for several hundred batches per codec and direction.
const SEEDS: Range<u64> = 0..300;
