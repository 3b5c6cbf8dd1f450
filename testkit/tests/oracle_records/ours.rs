//! A record set as our code reads it, in the form in which the oracle tells what Java read.

use bytes::Bytes;
use klamm_protocol::records::{
    Batch, Batches, ControlType, Inflater, RawBatch, RecordRef, TimestampType,
};
use klamm_testkit::oracle::{JavaBatch, JavaRecord, Marker, RecordSpec};

/// Every batch of the set.
pub(crate) fn read(set: &Bytes) -> Vec<JavaBatch> {
    let mut inflater = Inflater::new();
    let mut batches = Batches::new(set.clone());
    let read = batches.by_ref().map(|raw| read_batch(&raw.unwrap(), &mut inflater)).collect();
    assert!(!batches.trailing_partial(), "the set ends with a batch that is cut short");
    read
}

fn read_batch(raw: &RawBatch, inflater: &mut Inflater) -> JavaBatch {
    let batch = raw.open(inflater, 1 << 26).unwrap();
    let header = *batch.header();
    let last_sequence = match header.base_sequence {
        -1 => -1,
        first => sequence(first, header.last_offset_delta),
    };
    let records = batch.records().map(|record| read_record(&batch, &record.unwrap())).collect();
    JavaBatch {
        magic: header.magic,
        codec: header.compression().id() as i8,
        is_log_append_time: header.timestamp_type() == TimestampType::LogAppendTime,
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        leader_epoch: header.partition_leader_epoch,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        last_sequence,
        is_transactional: header.is_transactional(),
        is_control: header.is_control(),
        max_timestamp: header.max_timestamp,
        size: raw.bytes().len() as i32,
        records,
    }
}

fn read_record(batch: &Batch, record: &RecordRef<'_>) -> JavaRecord {
    check_ranges(batch, record);
    let header = batch.header();
    let delta = (record.offset() - header.base_offset) as i32;
    let headers = record.headers().map(|header| {
        let header = header.unwrap();
        (header.key().unwrap().to_owned(), header.value().map(Bytes::copy_from_slice))
    });
    JavaRecord {
        record: RecordSpec {
            offset: record.offset(),
            timestamp: record.timestamp(),
            key: record.key().map(Bytes::copy_from_slice),
            value: record.value().map(Bytes::copy_from_slice),
            headers: headers.collect(),
        },
        sequence: match header.base_sequence {
            -1 => -1,
            first => sequence(first, delta),
        },
        marker: marker(batch, record),
    }
}

/// The ranges must point at the same bytes that the slices show: Arrow columns rely on it.
fn check_ranges(batch: &Batch, record: &RecordRef<'_>) {
    assert_eq!(record.key_range().map(|range| &batch.body()[range]), record.key());
    assert_eq!(record.value_range().map(|range| &batch.body()[range]), record.value());
}

fn marker(batch: &Batch, record: &RecordRef<'_>) -> Option<Marker> {
    let kind = batch.control().unwrap()?;
    let value = record.value().unwrap();
    Some(Marker {
        is_commit: kind == ControlType::Commit,
        timestamp: record.timestamp(),
        coordinator_epoch: i32::from_be_bytes(value[2..6].try_into().unwrap()),
    })
}

/// After the largest sequence number comes 0.
fn sequence(first: i32, delta: i32) -> i32 {
    ((i64::from(first) + i64::from(delta)) % (1 << 31)) as i32
}
