//! A finished batch on its way to a broker: stamped by its producer, summed, shared (KIP-98).
//!
//! In: the bytes of a batch with its header. Out: the same bytes for a produce request, as often as
//! it has to be sent, and with another stamp if the producer had to start over.

use super::header::{
    ATTRIBUTES_AT, BASE_SEQUENCE_AT, CRC_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, TRANSACTIONAL,
    chunk, put_chunk,
};
use bytes::{Bytes, BytesMut};

/// A finished batch on its way to a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedBatch {
    bytes: Bytes,
    count: u32,
    max_timestamp: i64,
    /// Whether the checksum in the header is that of the bytes. Computed late, since a stamp would
    /// undo it.
    summed: bool,
}

impl SealedBatch {
    /// A batch that is whole but for its checksum.
    pub(super) fn new(bytes: Vec<u8>, count: u32, max_timestamp: i64) -> Self {
        Self { bytes: bytes.into(), count, max_timestamp, summed: false }
    }

    /// Writes the producer's stamp into the batch, over an earlier one. Bytes given out before stay
    /// as they were, at the price of a copy if somebody still holds them.
    pub fn stamp(&mut self, stamp: ProducerStamp) {
        self.edit(|bytes| {
            put_chunk(bytes, PRODUCER_ID_AT, stamp.producer_id.to_be_bytes());
            put_chunk(bytes, PRODUCER_EPOCH_AT, stamp.epoch.to_be_bytes());
            put_chunk(bytes, BASE_SEQUENCE_AT, stamp.base_sequence.to_be_bytes());
            let attributes = i16::from_be_bytes(chunk(bytes, ATTRIBUTES_AT).unwrap_or_default());
            let transactional = if stamp.transactional { TRANSACTIONAL } else { 0 };
            let attributes = attributes & !TRANSACTIONAL | transactional;
            put_chunk(bytes, ATTRIBUTES_AT, attributes.to_be_bytes());
        });
        self.summed = false;
    }

    /// The batch with its checksum, ready for a produce request. The bytes are shared, not copied.
    pub fn to_bytes(&mut self) -> Bytes {
        if !self.summed {
            self.edit(|bytes| {
                let sum = crc32c::crc32c(bytes.get(ATTRIBUTES_AT..).unwrap_or_default());
                put_chunk(bytes, CRC_AT, sum.to_be_bytes());
            });
            self.summed = true;
        }
        self.bytes.clone()
    }

    /// How many records it holds.
    pub fn record_count(&self) -> u32 {
        self.count
    }

    /// The largest timestamp of its records, in milliseconds since 1970.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Its size in bytes, header included, as it goes over the wire.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        change(&mut bytes);
        self.bytes = bytes.freeze();
    }
}

/// Who sends a batch, for brokers to tell repetitions from new batches (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence number of the batch's first record in its partition.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
}
