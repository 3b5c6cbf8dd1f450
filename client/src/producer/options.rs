//! How records are written: typed options, from Java's keys by way of the client's configuration.

use std::time::Duration;

use klamm_protocol::records::{BatchOptions, Compression, TimestampType};

use crate::config::{Acks, Config};
use crate::error::{Error, ErrorKind, Result};

use super::accumulator::AccumulatorOptions;
use super::partitioner::CustomPartitioner;

/// How records are written. Change the fields of [`ProducerOptions::default`], or of
/// [`ProducerOptions::from_config`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProducerOptions {
    /// How many acknowledgements a record waits for (`acks`). Default all in-sync replicas.
    pub acks: Acks,
    /// Whether retries cannot write twice (`enable.idempotence`). Default true; needs
    /// [`Acks::All`].
    pub idempotent: bool,
    /// When a batch is full, in bytes before compression (`batch.size`). Default 16384.
    pub batch_size: usize,
    /// How long a batch waits for more records (`linger.ms`). Default 5 ms.
    pub linger: Duration,
    /// How many bytes of records may wait for their outcome (`buffer.memory`); appending waits
    /// while there are more. Default 32 MiB, exceeded by one record at most.
    pub buffer_memory: usize,
    /// The most bytes of a request, and so of a record (`max.request.size`). Default 1 MiB.
    pub max_request_size: usize,
    /// How long a record may be without outcome (`delivery.timeout.ms`). Default 120 s.
    pub delivery_timeout: Duration,
    /// How batches are compressed (`compression.type`). Default not at all.
    pub compression: Compression,
    /// The codec's level, `None` for its default.
    pub compression_level: Option<i32>,
    /// The most requests in flight per broker (`max.in.flight.requests.per.connection`). Default 5.
    pub max_in_flight: usize,
    /// How long [`Producer::append`](super::Producer::append) may wait for memory or metadata
    /// (`max.block.ms`). Default 60 s.
    pub max_block: Duration,
    /// How often a batch is sent again (`retries`). Default as often as its time allows.
    pub retries: u32,
    /// Whether keys do not decide about partitions (`partitioner.ignore.keys`). Default false.
    pub ignore_keys: bool,
    /// Who chooses the partition of records that name none. Default as Java's clients choose.
    pub partitioner: Option<CustomPartitioner>,
    /// The name under which brokers know a producer of transactions over its restarts
    /// (`transactional.id`), for [`Client::transactional_producer`](crate::Client::transactional_producer).
    /// Default none.
    pub transactional_id: Option<String>,
    /// After how long without an end a transaction is aborted by its coordinator
    /// (`transaction.timeout.ms`). Default 60 s; brokers refuse more than
    /// `transaction.max.timeout.ms`, 15 minutes by default.
    pub transaction_timeout: Duration,
}

impl ProducerOptions {
    /// The options that a client's configuration names.
    pub fn from_config(config: &Config) -> Self {
        let compression_level = match config.compression() {
            Compression::Gzip => *config.gzip_level(),
            Compression::Lz4 => *config.lz4_level(),
            Compression::Zstd => *config.zstd_level(),
            _ => None,
        };
        Self {
            acks: *config.acks(),
            idempotent: *config.idempotence(),
            batch_size: *config.batch_size(),
            linger: *config.linger(),
            buffer_memory: *config.buffer_memory(),
            max_request_size: *config.max_request_size(),
            delivery_timeout: *config.delivery_timeout(),
            compression: *config.compression(),
            compression_level,
            max_in_flight: *config.max_in_flight() as usize,
            max_block: *config.max_block(),
            retries: *config.retries(),
            ignore_keys: *config.ignore_keys(),
            partitioner: None,
            transactional_id: config.transactional_id().clone(),
            transaction_timeout: *config.transaction_timeout(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: &'static str, hint: &'static str| {
            Err(Error::new(ErrorKind::Config, what).with_hint(hint))
        };
        if self.idempotent && self.acks != Acks::All {
            return wrong(
                "an idempotent producer needs acks=all",
                "set acks=all or enable.idempotence=false",
            );
        }
        if self.transactional_id.is_some() && !self.idempotent {
            return wrong(
                "a transactional producer has to be idempotent",
                "set acks=all and enable.idempotence=true",
            );
        }
        if self.max_in_flight == 0 || self.max_request_size == 0 || self.buffer_memory == 0 {
            return wrong(
                "a producer with a limit of 0 could never write",
                "set max.in.flight.requests.per.connection, max.request.size and buffer.memory to at least 1",
            );
        }
        Ok(())
    }

    pub(super) fn accumulator(&self) -> AccumulatorOptions {
        let batch = BatchOptions {
            compression: self.compression,
            level: self.compression_level,
            timestamp_type: TimestampType::CreateTime,
            max_bytes: self.batch_size.min(self.max_request_size),
            max_record_bytes: self.max_request_size,
        };
        AccumulatorOptions {
            batch,
            linger: self.linger,
            memory: self.buffer_memory,
            ignore_keys: self.ignore_keys,
        }
    }
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self::from_config(&Config::default())
    }
}
