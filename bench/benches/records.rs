//! Record batches, decoded and encoded, beside the other Rust clients and the physical limits, in
//! one run.
//!
//! `cargo bench -p klamm-bench --bench records` prints the tables; `-- lz4` behind it, those of one codec.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use bytes::Bytes;
use klamm_bench::{Table, values};
use klamm_connector::rows::RowDecoder;
use klamm_protocol::records::{
    Batch, BatchBuilder, BatchOptions, Compression, Deflater, Inflater, ProducerStamp, RawBatch,
    RecordParts,
};
use std::hint::black_box;

fn main() {
    let values = values(RECORDS);
    // Cargo adds `--bench` behind what the caller gave.
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let all = [
        Compression::None,
        Compression::Lz4,
        Compression::Snappy,
        Compression::Zstd,
        Compression::Gzip,
    ];
    for codec in all.into_iter().filter(|c| wanted.as_ref().is_none_or(|w| c.name() == w)) {
        let batch = encode(&values, codec, &mut Deflater::new());
        let plain = encode(&values, Compression::None, &mut Deflater::new());
        decoding(codec, &batch, &plain);
        encoding(codec, &values, &plain);
    }
}

fn decoding(codec: Compression, batch: &Bytes, plain: &Bytes) {
    let mut table = Table::default();
    let opened = open(batch, &mut Inflater::new());
    let mut inflater = Inflater::new();
    table.add("klamm: check, inflate, walk all fields", move || walk(&open(batch, &mut inflater)));
    let mut inflater = Inflater::new();
    let mut rows = RowDecoder::new("topic", 0, false);
    table.add("klamm: check, inflate, to Arrow", move || {
        rows.push(&open(batch, &mut inflater), 0..i64::MAX).unwrap();
        rows.finish().unwrap()
    });
    let mut inflater = Inflater::new();
    table.add("klamm: check and inflate only", move || open(batch, &mut inflater));
    table.add("klamm: walk only", move || walk(&opened));
    if codec == Compression::Lz4 {
        let section = batch.slice(HEADER..);
        table.add("lz4_flex frame decoder alone", move || lz4_decode(&section));
    }
    #[cfg(feature = "peers")]
    peers::decoding(&mut table, codec, batch);
    limits(&mut table, plain);
    print(table, &format!("decode, {}", codec.name()), plain.len());
}

fn encoding(codec: Compression, values: &[Vec<u8>], plain: &Bytes) {
    let mut table = Table::default();
    let mut deflater = Deflater::new();
    table.add("klamm: build, deflate, stamp, sum", move || encode(values, codec, &mut deflater));
    if codec == Compression::Lz4 {
        let section = plain.slice(HEADER..);
        table.add("lz4_flex frame encoder alone", move || lz4_encode(&section));
    }
    #[cfg(feature = "peers")]
    peers::encoding(&mut table, codec, values);
    limits(&mut table, plain);
    print(table, &format!("encode, {}", codec.name()), plain.len());
}

/// What no codec can beat on this machine.
fn limits<'a>(table: &mut Table<'a>, plain: &'a Bytes) {
    table.add("CRC-32C over the plain batch", || crc32c::crc32c(black_box(plain)));
    let mut copy = vec![0_u8; plain.len()];
    table.add("memcpy of the plain batch", move || copy.copy_from_slice(black_box(plain)));
}

fn print(mut table: Table, title: &str, bytes: usize) {
    table.measure();
    for line in table.lines(&format!("{title}, {RECORDS} records of 100 bytes"), RECORDS, bytes) {
        println!("{line}");
    }
    println!();
}

fn open(batch: &Bytes, inflater: &mut Inflater) -> Batch {
    RawBatch::read(batch.clone()).unwrap().open(inflater, LIMIT).unwrap()
}

/// Looks at every field of every record, so that none can be left out.
fn walk(batch: &Batch) -> i64 {
    let mut sum = 0;
    for record in batch.records() {
        let record = record.unwrap();
        sum += record.offset() ^ record.timestamp();
        sum += record.key().map_or(-1, |key| key.len() as i64);
        sum += record.value().map_or(-1, |value| value.len() as i64);
        if record.has_headers() {
            sum += record.headers().count() as i64;
        }
    }
    sum
}

fn encode(values: &[Vec<u8>], codec: Compression, deflater: &mut Deflater) -> Bytes {
    let options =
        BatchOptions { compression: codec, max_bytes: 1 << 20, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for (i, value) in values.iter().enumerate() {
        builder.try_push(&RecordParts::new(TIME + i as i64 / 4, None, Some(value))).unwrap();
    }
    let mut sealed = builder.seal_with(deflater);
    sealed.stamp(ProducerStamp {
        producer_id: 1,
        epoch: 0,
        base_sequence: 0,
        transactional: false,
    });
    sealed.to_bytes()
}

fn lz4_decode(section: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut out = Vec::with_capacity(section.len() * 4);
    lz4_flex::frame::FrameDecoder::new(section).read_to_end(&mut out).unwrap();
    out
}

fn lz4_encode(section: &[u8]) -> Vec<u8> {
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;
    let info = FrameInfo::new().block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(section.len()));
    encoder.write_all(section).unwrap();
    encoder.finish().unwrap()
}

#[cfg(feature = "peers")]
mod peers {
    //! The same work by the other clients' codecs, as far as they expose them: from a batch's bytes
    //! to their record structs and a look at every field, and from owned records to a batch's
    //! bytes.

    use super::{Compression, TIME, Table};
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::records as kp;
    use krafka::__private::protocol as kr;
    use rskafka::protocol::record as rs;
    use rskafka::protocol::traits::{ReadType, WriteType};

    pub(super) fn decoding<'a>(table: &mut Table<'a>, codec: Compression, batch: &'a Bytes) {
        table.add("krafka", || {
            let decoded = kr::RecordBatch::decode(&mut batch.clone()).unwrap();
            decoded.records.iter().map(krafka_fields).sum::<usize>()
        });
        table.add("kafka-protocol", || {
            let decoded = kp::RecordBatchDecoder::decode(&mut batch.clone()).unwrap();
            decoded.records.iter().map(kafka_protocol_fields).sum::<usize>()
        });
        if matches!(codec, Compression::None | Compression::Lz4) {
            table.add("rskafka", move || {
                let decoded = rs::RecordBatch::read(&mut std::io::Cursor::new(batch)).unwrap();
                let rs::ControlBatchOrRecords::Records(records) = decoded.records else { return 0 };
                records.iter().map(rskafka_fields).sum::<usize>()
            });
        }
    }

    pub(super) fn encoding(table: &mut Table, codec: Compression, values: &[Vec<u8>]) {
        let shared: Vec<Bytes> = values.iter().map(|value| Bytes::copy_from_slice(value)).collect();
        let records = shared.iter().enumerate().map(|(i, value)| kafka_protocol_record(i, value));
        let records: Vec<_> = records.collect();
        table.add("krafka", move || {
            let mut batch =
                kr::RecordBatchBuilder::new().compression(krafka_codec(codec)).base_timestamp(TIME);
            for value in &shared {
                batch = batch.add_record(None::<Bytes>, Some(value.clone()));
            }
            batch.build().encode().unwrap()
        });
        table.add("kafka-protocol", move || {
            let mut out = BytesMut::new();
            let compression = kafka_protocol_codec(codec);
            let options = kp::RecordEncodeOptions { version: 2, compression };
            kp::RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
            out
        });
        if matches!(codec, Compression::None | Compression::Lz4) {
            let batch = rskafka_batch(codec, values);
            table.add("rskafka", move || {
                let mut out = Vec::new();
                batch.write(&mut out).unwrap();
                out
            });
        }
    }

    fn krafka_fields(record: &kr::Record) -> usize {
        let sizes =
            record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len);
        sizes
            + record.headers.len()
            + record.offset_delta as usize
            + record.timestamp_delta as usize
    }

    fn kafka_protocol_fields(record: &kp::Record) -> usize {
        let sizes =
            record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len);
        sizes + record.headers.len() + record.offset as usize + record.timestamp as usize
    }

    fn rskafka_fields(record: &rs::Record) -> usize {
        let sizes =
            record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len);
        sizes
            + record.headers.len()
            + record.offset_delta as usize
            + record.timestamp_delta as usize
    }

    fn kafka_protocol_record(i: usize, value: &Bytes) -> kp::Record {
        kp::Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: 1,
            producer_epoch: 0,
            timestamp_type: kp::TimestampType::Creation,
            offset: i as i64,
            sequence: i as i32,
            timestamp: TIME + i as i64 / 4,
            key: None,
            value: Some(value.clone()),
            headers: Default::default(),
        }
    }

    fn rskafka_batch(codec: Compression, values: &[Vec<u8>]) -> rs::RecordBatch {
        let record = |(i, value): (usize, &Vec<u8>)| rs::Record {
            timestamp_delta: i as i64 / 4,
            offset_delta: i as i32,
            key: None,
            value: Some(value.clone()),
            headers: Vec::new(),
        };
        rs::RecordBatch {
            base_offset: 0,
            partition_leader_epoch: -1,
            last_offset_delta: values.len() as i32 - 1,
            first_timestamp: TIME,
            max_timestamp: TIME + values.len() as i64 / 4,
            producer_id: 1,
            producer_epoch: 0,
            base_sequence: 0,
            records: rs::ControlBatchOrRecords::Records(
                values.iter().enumerate().map(record).collect(),
            ),
            compression: match codec {
                Compression::Lz4 => rs::RecordBatchCompression::Lz4,
                _ => rs::RecordBatchCompression::NoCompression,
            },
            is_transactional: false,
            timestamp_type: rs::RecordBatchTimestampType::CreateTime,
        }
    }

    fn krafka_codec(codec: Compression) -> kr::Compression {
        match codec {
            Compression::None => kr::Compression::None,
            Compression::Gzip => kr::Compression::Gzip,
            Compression::Snappy => kr::Compression::Snappy,
            Compression::Lz4 => kr::Compression::Lz4,
            Compression::Zstd => kr::Compression::Zstd,
        }
    }

    fn kafka_protocol_codec(codec: Compression) -> kp::Compression {
        match codec {
            Compression::None => kp::Compression::None,
            Compression::Gzip => kp::Compression::Gzip,
            Compression::Snappy => kp::Compression::Snappy,
            Compression::Lz4 => kp::Compression::Lz4,
            Compression::Zstd => kp::Compression::Zstd,
        }
    }
}

/// Records of a batch.
const RECORDS: usize = 1_000;
const TIME: i64 = 1_700_000_000_000;
/// A batch's header, in bytes.
const HEADER: usize = 61;
/// Inflated at most, in bytes.
const LIMIT: usize = 64 << 20;
