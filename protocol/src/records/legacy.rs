//! Message sets of the formats 0 and 1 (before Kafka 0.11), read only, and only until nobody keeps
//! such logs any more.
//!
//! In: one message, which may wrap a compressed set of messages. Out: the header and the records
//! section of a batch of format 2 with the same records, so that nothing behind this file has to
//! know of the old formats. In format 1 a wrapper's inner offsets count from zero and its own
//! offset is that of its last message (KIP-31); timestamps are KIP-32.

use super::compress::{Compression, Inflater};
use super::header::{
    BASE_OFFSET_AT, BatchHeader, CODEC, LENGTH_AT, LENGTH_PREFIX, LOG_APPEND_TIME, MAGIC_AT, chunk,
};
use super::varint::{len_i32, len_i64, write_i32, write_i64};
use crate::error::{DecodeError, DecodeErrorKind};
use bytes::Bytes;
use std::ops::Range;

/// Reads what a message says about itself. The first offset and the count of a compressed one are
/// unknown before it is opened: the header then holds a lower bound and 0.
pub(super) fn read_header(bytes: &[u8]) -> Result<BatchHeader, DecodeError> {
    let message = Message::read(bytes, 0)?;
    let wrapped = message.compression()? != Compression::None;
    let last_offset_delta =
        if wrapped { i32::try_from(message.offset).unwrap_or(i32::MAX) } else { 0 };
    Ok(BatchHeader {
        base_offset: message.offset - i64::from(last_offset_delta),
        partition_leader_epoch: -1,
        magic: message.magic,
        crc: message.crc,
        attributes: message.attributes(),
        last_offset_delta,
        base_timestamp: 0,
        max_timestamp: message.timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        count: u32::from(!wrapped),
    })
}

/// The checksum of a message: CRC-32, not CRC-32C, over everything behind it.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes.get(MAGIC_AT..).unwrap_or_default());
    crc.sum()
}

/// Opens a message into the header and the records section of a batch of format 2.
pub(super) fn open(
    bytes: &Bytes,
    inflater: &mut Inflater,
    limit: usize,
) -> Result<(BatchHeader, Bytes), DecodeError> {
    let header = read_header(bytes)?;
    let outer = Message::read(bytes, 0)?;
    let codec = outer.compression()?;
    if codec == Compression::None {
        return rewrite(header, bytes, &[outer]);
    }
    let wrapped = outer.value.ok_or(DecodeError::new(0, DecodeErrorKind::UnexpectedNull))?;
    let set = inflater.inflate_legacy(codec, &bytes.slice(wrapped), limit)?;
    let mut inner = read_set(&set)?;
    let Some(last) = inner.last() else {
        return Err(DecodeError::new(
            0,
            DecodeErrorKind::UnexpectedEnd { wanted: SMALLEST, left: 0 },
        ));
    };
    if outer.magic > 0 {
        let base = outer.offset.checked_sub(last.offset).ok_or_else(bad_offset)?;
        for message in &mut inner {
            message.offset = message.offset.checked_add(base).ok_or_else(bad_offset)?;
        }
    }
    rewrite(header, &set, &inner)
}

/// One message: fields, and positions of its key and value.
#[derive(Clone, Debug)]
struct Message {
    offset: i64,
    crc: u32,
    magic: i8,
    flags: u8,
    timestamp: i64,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    end: usize,
}

impl Message {
    /// Reads the message at `start`.
    fn read(bytes: &[u8], start: usize) -> Result<Self, DecodeError> {
        let left = bytes.len().saturating_sub(start);
        let ends =
            || DecodeError::new(start, DecodeErrorKind::UnexpectedEnd { wanted: SMALLEST, left });
        let message = bytes.get(start..).unwrap_or_default();
        let length = i32::from_be_bytes(chunk(message, LENGTH_AT).ok_or_else(ends)?);
        let end = usize::try_from(length)
            .map_err(|_| DecodeError::new(start, DecodeErrorKind::NegativeLength { length }))?
            .saturating_add(start + LENGTH_PREFIX);
        let whole = bytes.get(..end).ok_or_else(ends)?;
        let magic = i8::from_be_bytes(chunk(message, MAGIC_AT).ok_or_else(ends)?);
        let (timestamp, at) = match magic {
            0 => (NO_TIMESTAMP, start + TIMESTAMP_AT),
            1 => (
                i64::from_be_bytes(chunk(message, TIMESTAMP_AT).ok_or_else(ends)?),
                start + TIMESTAMP_AT + 8,
            ),
            _ => {
                return Err(DecodeError::new(
                    start + MAGIC_AT,
                    DecodeErrorKind::UnknownMagic { magic },
                ));
            }
        };
        let (key, at) = nullable(whole, at)?;
        let (value, at) = nullable(whole, at)?;
        if at < end {
            return Err(DecodeError::new(at, DecodeErrorKind::LeftOver { left: end - at }));
        }
        let offset = i64::from_be_bytes(chunk(message, BASE_OFFSET_AT).ok_or_else(ends)?);
        if offset < 0 {
            return Err(bad_offset());
        }
        let crc = u32::from_be_bytes(chunk(message, CRC_AT).ok_or_else(ends)?);
        let [flags] = chunk(message, FLAGS_AT).ok_or_else(ends)?;
        Ok(Self { offset, crc, magic, flags, timestamp, key, value, end })
    }

    fn compression(&self) -> Result<Compression, DecodeError> {
        let codec = self.flags & CODEC;
        // zstd came with format 2.
        Compression::from_attributes(i16::from(codec))
            .filter(|codec| *codec != Compression::Zstd)
            .ok_or(DecodeError::new(FLAGS_AT, DecodeErrorKind::UnknownCompression { codec }))
    }

    /// The attributes as a batch of format 2 would have them: format 0 has the codec only.
    fn attributes(&self) -> i16 {
        let known =
            if self.magic == 0 { i16::from(CODEC) } else { i16::from(CODEC) | LOG_APPEND_TIME };
        i16::from(self.flags) & known
    }
}

/// Reads the messages inside a wrapper.
fn read_set(set: &[u8]) -> Result<Vec<Message>, DecodeError> {
    let mut messages = Vec::new();
    let mut at = 0;
    while at < set.len() {
        let message = Message::read(set, at)?;
        if message.compression()? != Compression::None {
            // Nested wrappers were never written, and following them would be a bomb of its own
            // kind.
            let codec = message.flags & CODEC;
            return Err(DecodeError::new(at, DecodeErrorKind::UnknownCompression { codec }));
        }
        at = message.end;
        messages.push(message);
    }
    Ok(messages)
}

/// Writes messages as the records of a batch of format 2. Timestamps become deltas to zero, which
/// no value can overflow.
fn rewrite(
    mut header: BatchHeader,
    source: &[u8],
    messages: &[Message],
) -> Result<(BatchHeader, Bytes), DecodeError> {
    let append_time = header.attributes & LOG_APPEND_TIME != 0;
    let (first, last) = match messages {
        [first, .., last] => (first.offset, last.offset),
        [only] => (only.offset, only.offset),
        [] => return Err(bad_offset()),
    };
    let delta_of = |offset: i64| {
        let delta = offset.checked_sub(first).and_then(|delta| i32::try_from(delta).ok());
        delta.filter(|delta| *delta >= 0).ok_or_else(bad_offset)
    };
    let mut body = Vec::new();
    for message in messages {
        let (key, value) = (part(source, &message.key), part(source, &message.value));
        write_record(&mut body, message.timestamp, delta_of(message.offset)?, key, value);
        if !append_time {
            header.max_timestamp = header.max_timestamp.max(message.timestamp);
        }
    }
    if !(0..=i64::MAX - i64::from(i32::MAX)).contains(&first) {
        return Err(bad_offset());
    }
    header.base_offset = first;
    header.last_offset_delta = delta_of(last)?;
    header.count = u32::try_from(messages.len()).map_err(|_| bad_offset())?;
    Ok((header, body.into()))
}

fn write_record(
    body: &mut Vec<u8>,
    timestamp: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) {
    let size = |field: Option<&[u8]>| match field {
        Some(field) => len_i32(field.len() as i32) + field.len(),
        None => 1,
    };
    let length = 2 + len_i64(timestamp) + len_i32(offset_delta) + size(key) + size(value);
    write_i64(body, length as i64);
    body.push(0);
    write_i64(body, timestamp);
    write_i32(body, offset_delta);
    for field in [key, value] {
        write_i64(body, field.map_or(-1, |field| field.len() as i64));
        body.extend_from_slice(field.unwrap_or_default());
    }
    body.push(0);
}

/// A byte field with an int32 length in front, -1 for null: `(where it stands, position behind
/// it)`.
fn nullable(bytes: &[u8], at: usize) -> Result<(Option<Range<usize>>, usize), DecodeError> {
    let left = bytes.len().saturating_sub(at);
    let ends = |wanted| DecodeError::new(at, DecodeErrorKind::UnexpectedEnd { wanted, left });
    let length = i32::from_be_bytes(chunk(bytes, at).ok_or_else(|| ends(4))?);
    let start = at + 4;
    match usize::try_from(length) {
        Ok(length) if length <= left - 4 => Ok((Some(start..start + length), start + length)),
        Ok(length) => Err(ends(length.saturating_add(4))),
        Err(_) if length == -1 => Ok((None, start)),
        Err(_) => Err(DecodeError::new(at, DecodeErrorKind::NegativeLength { length })),
    }
}

fn part<'a>(source: &'a [u8], range: &Option<Range<usize>>) -> Option<&'a [u8]> {
    source.get(range.clone()?)
}

fn bad_offset() -> DecodeError {
    DecodeError::new(BASE_OFFSET_AT, DecodeErrorKind::OffsetOutOfRange)
}

const CRC_AT: usize = 12;
const FLAGS_AT: usize = MAGIC_AT + 1;
const TIMESTAMP_AT: usize = MAGIC_AT + 2;
const NO_TIMESTAMP: i64 = -1;
/// The length of a message of format 0 with neither key nor value.
const SMALLEST: usize = 26;
