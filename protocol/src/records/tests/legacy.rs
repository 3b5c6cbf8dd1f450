//! Message sets of the formats 0 and 1, by hand: no client that is alive writes them any more.

use super::*;
use crate::error::DecodeErrorKind as Kind;

/// One message as Kafka 0.8 to 0.10 wrote it.
fn message(
    offset: i64,
    magic: u8,
    flags: u8,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Vec<u8> {
    let mut body = vec![magic, flags];
    if magic == 1 {
        body.extend_from_slice(&timestamp.to_be_bytes());
    }
    for field in [key, value] {
        body.extend_from_slice(&field.map_or(-1, |field| field.len() as i32).to_be_bytes());
        body.extend_from_slice(field.unwrap_or_default());
    }
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let mut message = offset.to_be_bytes().to_vec();
    message.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    message.extend_from_slice(&crc.sum().to_be_bytes());
    message.extend_from_slice(&body);
    message
}

/// Offset, timestamp, key and value of every record.
type Row = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn rows(set: Vec<u8>) -> Result<Vec<Row>, Kind> {
    let mut found = Vec::new();
    for raw in Batches::new(set.into()) {
        let batch = raw
            .and_then(|raw| raw.open(&mut Inflater::new(), 1 << 20))
            .map_err(|error| error.what)?;
        for record in batch.records() {
            let record = own(&batch, &record.map_err(|error| error.what)?);
            found.push((record.offset, record.timestamp, record.key, record.value));
        }
    }
    Ok(found)
}

fn row(offset: i64, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Row {
    (offset, timestamp, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))
}

#[test]
fn a_set_of_both_formats_reads_as_records() {
    let set = [
        message(7, 0, 0, 0, Some(b"k"), Some(b"v0")),
        message(8, 1, 0, 1_234, None, Some(b"v1")),
        message(12, 1, 8, 99, Some(b""), None),
    ];
    let expected = vec![
        row(7, -1, Some(b"k"), Some(b"v0")),
        row(8, 1_234, None, Some(b"v1")),
        row(12, 99, Some(b""), None),
    ];
    assert_eq!(rows(set.concat()), Ok(expected));
}

#[test]
fn known_bytes_of_a_message_are_read() {
    // Offset 0, length, checksum (by zlib), format 1, CreateTime 5, null key, value "hi".
    let bytes = b"\0\0\0\0\0\0\0\0\0\0\0\x18\x9d\x5e\x77\x3d\x01\0\0\0\0\0\0\0\0\x05\xff\xff\xff\xff\0\0\0\x02hi";
    assert_eq!(rows(bytes.to_vec()), Ok(vec![row(0, 5, None, Some(b"hi"))]));
}

#[test]
fn inner_offsets_of_format_1_count_up_to_the_wrappers() {
    for (flags, codec) in [(1, Compression::Gzip), (2, Compression::Snappy), (3, Compression::Lz4)]
    {
        let inner = [
            message(0, 1, 0, 50, None, Some(b"a")),
            message(1, 1, 0, 40, None, Some(b"b")),
            message(4, 1, 0, 60, None, Some(b"c")),
        ];
        let packed = compress::deflate(codec, None, &inner.concat()).unwrap();
        let wrapper = message(104, 1, flags, 60, None, Some(&packed));
        let raw = RawBatch::read(wrapper.clone().into()).unwrap();
        assert_eq!(raw.header().last_offset(), 104);
        assert!(raw.header().base_offset <= 100);
        let batch = raw.open(&mut Inflater::new(), 1 << 20).unwrap();
        let header = batch.header();
        assert_eq!((header.base_offset, header.last_offset(), header.count), (100, 104, 3));
        assert_eq!((header.magic, header.max_timestamp), (1, 60));
        let expected = vec![
            row(100, 50, None, Some(b"a")),
            row(101, 40, None, Some(b"b")),
            row(104, 60, None, Some(b"c")),
        ];
        assert_eq!(rows(wrapper), Ok(expected), "{}", codec.name());
    }
}

#[test]
fn inner_offsets_of_format_0_are_absolute() {
    let inner = [message(20, 0, 0, 0, None, Some(b"a")), message(21, 0, 0, 0, None, Some(b"b"))];
    let packed = compress::deflate(Compression::Gzip, None, &inner.concat()).unwrap();
    let expected = vec![row(20, -1, None, Some(b"a")), row(21, -1, None, Some(b"b"))];
    assert_eq!(rows(message(21, 0, 1, 0, None, Some(&packed))), Ok(expected));
}

#[test]
fn a_wrapper_with_append_time_stamps_all_its_records() {
    let inner = message(0, 1, 0, 50, None, Some(b"a"));
    let packed = compress::deflate(Compression::Gzip, None, &inner).unwrap();
    assert_eq!(
        rows(message(9, 1, 9, 777, None, Some(&packed))),
        Ok(vec![row(9, 777, None, Some(b"a"))])
    );
}

#[test]
fn broken_messages_are_errors() {
    let good = message(3, 1, 0, 5, None, Some(b"hello"));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        rows(bytes).unwrap_err()
    };
    assert!(matches!(with(good.len() - 1, b'!'), Kind::ChecksumMismatch { .. }));
    assert_eq!(with(0, 0x80), Kind::OffsetOutOfRange);
    assert_eq!(with(17, 4), Kind::UnknownCompression { codec: 4 });
    assert_eq!(with(33, 4), Kind::LeftOver { left: 1 });
    assert_eq!(with(33, 6), Kind::UnexpectedEnd { wanted: 10, left: 9 });
    assert_eq!(with(26, 0x80), Kind::NegativeLength { length: i32::MIN | 0x00ff_ffff });
    assert_eq!(rows(message(0, 1, 1, 0, None, None)), Err(Kind::UnexpectedNull));
    let empty = compress::deflate(Compression::Gzip, None, b"").unwrap();
    assert!(matches!(
        rows(message(0, 1, 1, 0, None, Some(&empty))),
        Err(Kind::UnexpectedEnd { .. })
    ));
}

#[test]
fn a_wrapper_inside_a_wrapper_is_refused() {
    let bomb =
        compress::deflate(Compression::Gzip, None, &message(0, 1, 0, 0, None, None)).unwrap();
    let inner = message(0, 1, 1, 0, None, Some(&bomb));
    let packed = compress::deflate(Compression::Gzip, None, &inner).unwrap();
    let outer = message(0, 1, 1, 0, None, Some(&packed));
    assert_eq!(rows(outer), Err(Kind::UnknownCompression { codec: 1 }));
}

proptest! {
    #[test]
    fn changed_messages_never_panic(changes in prop::collection::vec((0_usize..60, any::<u8>()), 0..4), magic in 0_u8..2) {
        let packed = compress::deflate(Compression::Lz4, None, &message(0, magic, 0, 9, None, Some(b"x"))).unwrap();
        let mut bytes = message(5, magic, 3, 9, Some(b"k"), Some(&packed));
        for (at, byte) in changes {
            let at = 16 + at % (bytes.len() - 16);
            bytes[at] = byte;
        }
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.sum().to_be_bytes());
        let _ = rows(bytes);
    }
}
