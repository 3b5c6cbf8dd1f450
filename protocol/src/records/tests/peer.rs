//! Batches against `kafka-protocol`, both ways: its C codecs (lz4, zstd) judge ours.

use super::*;
use bytes::BytesMut;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as peer;

fn peer_codec(codec: Compression) -> peer::Compression {
    match codec {
        Compression::None => peer::Compression::None,
        Compression::Gzip => peer::Compression::Gzip,
        Compression::Snappy => peer::Compression::Snappy,
        Compression::Lz4 => peer::Compression::Lz4,
        Compression::Zstd => peer::Compression::Zstd,
    }
}

/// The peer keeps headers in a map: of two with the same key it knows one.
fn without_duplicate_headers(mut records: Vec<Owned>) -> Vec<Owned> {
    for record in &mut records {
        let mut seen = std::collections::HashSet::new();
        record.headers.retain(|(key, _)| seen.insert(key.clone()));
    }
    records
}

fn to_peer(record: &Owned) -> peer::Record {
    let headers = record
        .headers
        .iter()
        .map(|(key, value)| (StrBytes::from_string(key.clone()), value.clone().map(Bytes::from)));
    peer::Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 7,
        producer_id: 11,
        producer_epoch: 2,
        timestamp_type: peer::TimestampType::Creation,
        offset: record.offset,
        sequence: 5 + record.offset as i32,
        timestamp: record.timestamp,
        key: record.key.clone().map(Bytes::from),
        value: record.value.clone().map(Bytes::from),
        headers: headers.collect::<IndexMap<_, _>>(),
    }
}

fn from_peer(record: peer::Record) -> Owned {
    let headers = record.headers.into_iter();
    Owned {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(Vec::from),
        value: record.value.map(Vec::from),
        headers: headers.map(|(key, value)| (key.to_string(), value.map(Vec::from))).collect(),
    }
}

proptest! {
    #[test]
    fn the_peer_reads_what_we_write(records in records(), codec in codec()) {
        let records = without_duplicate_headers(records);
        let mut bytes = build(&records, codec);
        let found = peer::RecordBatchDecoder::decode(&mut bytes).unwrap();
        let found: Vec<_> = found.records.into_iter().map(from_peer).collect();
        prop_assert_eq!(found, records);
    }

    #[test]
    fn we_read_what_the_peer_writes(records in records(), codec in codec()) {
        let records = without_duplicate_headers(records);
        // The peer starts a batch anew where its producer's sequence or its offsets jump.
        let records: Vec<_> = records.into_iter().enumerate().map(|(i, mut record)| {
            record.offset = i as i64;
            record
        }).collect();
        let mut bytes = BytesMut::new();
        let options = peer::RecordEncodeOptions { version: 2, compression: peer_codec(codec) };
        let theirs: Vec<_> = records.iter().map(to_peer).collect();
        peer::RecordBatchEncoder::encode(&mut bytes, &theirs, &options).unwrap();
        let mut found = Vec::new();
        for raw in Batches::new(bytes.freeze()) {
            let batch = raw.unwrap().open(&mut Inflater::new(), 1 << 20).unwrap();
            let header = batch.header();
            prop_assert_eq!((header.producer_id, header.producer_epoch, header.partition_leader_epoch), (11, 2, 7));
            prop_assert!(header.is_transactional() && header.compression() == codec);
            found.extend(batch.records().map(|record| own(&batch, &record.unwrap())));
        }
        prop_assert_eq!(found, records);
    }
}
