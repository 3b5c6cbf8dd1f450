//! librdkafka by its batch API, `rd_kafka_produce_batch` and `rd_kafka_consume_batch_queue`: the cheapest way to write and to read
//! with it, for which the `rdkafka` crate has no safe binding.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use klamm_bench::key;
use rdkafka::bindings::*;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::{RDKafkaRespErr, RDKafkaType};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Laps, Seen, Task};
use crate::scene::PARTITIONS;

pub(super) fn produce(task: &Task) {
    let producer =
        Producer::new(task, &[("linger.ms", "5"), ("delivery.report.only.error", "true")]);
    let mut keys = vec![[0_u8; 8]; BATCH];
    let mut batch = Vec::with_capacity(BATCH);
    for first in (0..task.count).step_by(BATCH) {
        batch.clear();
        for (number, room) in (first..task.count).zip(&mut keys) {
            *room = key(number);
            batch.push(message(task.value(number), room));
        }
        producer.produce_batch(&mut batch);
    }
    producer.flush();
    assert_eq!(FAILED.load(Ordering::Relaxed), 0, "everything was written");
    Seen { records: task.count, bytes: task.count * klamm_bench::VALUE_LEN }.report();
}

pub(super) fn consume(task: &Task) {
    let consumer = Reader::new(task);
    let mut seen = Seen::default();
    let mut batch = vec![null_mut(); BATCH];
    while seen.records < task.count {
        let missing = BATCH.min(task.count - seen.records);
        consumer.read(&mut batch[..missing], |bytes| seen.value(bytes));
    }
    seen.report();
}

pub(super) fn ping(task: &Task) {
    let producer = Producer::new(task, &[("linger.ms", "0")]);
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let start = Instant::now();
        producer.produce(task.value(number), &key(number));
        producer.await_delivered(number);
        laps.lap(start);
    }
    laps.report();
}

pub(super) fn echo(task: &Task) {
    let producer = Producer::new(task, &[("linger.ms", "0")]);
    let consumer = Reader::new(task);
    let mut batch = [null_mut()];
    let mut laps = Laps::new(task);
    while let Some(number) = laps.next() {
        let start = Instant::now();
        producer.produce(task.value(number), &key(number));
        let mut seen = 0;
        while seen == 0 {
            consumer.read(&mut batch, |_| seen += 1);
        }
        laps.lap(start);
        producer.await_delivered(number);
    }
    laps.report();
}

/// A consumer's handle and its queue.
struct Reader {
    queue: *mut rd_kafka_queue_t,
    /// Owns what the queue belongs to.
    _consumer: BaseConsumer,
}

impl Reader {
    fn new(task: &Task) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &task.bootstrap).set("group.id", "none");
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("queued.min.messages", "1000000").set("queued.max.messages.kbytes", "1048576");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            partitions.add_partition_offset(&task.topic, partition, Offset::Offset(0)).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        // SAFETY: the consumer's handle is valid until the consumer is dropped, which comes after the queue's end.
        let queue = unsafe { rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        Self { queue, _consumer: consumer }
    }

    /// Takes as much as there is room for; only where that is not there in time, less.
    fn read(&self, batch: &mut [*mut rd_kafka_message_t], mut see: impl FnMut(usize)) {
        // SAFETY: the queue is the consumer's, and `batch` has room for as many pointers as is said.
        let count = unsafe {
            rd_kafka_consume_batch_queue(self.queue, WAIT_MS, batch.as_mut_ptr(), batch.len())
        };
        for &message in batch.iter().take(usize::try_from(count).unwrap()) {
            // SAFETY: the call before filled so many entries, and each message is destroyed once, after its last use.
            unsafe {
                assert_eq!((*message).err, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
                see((*message).len);
                rd_kafka_message_destroy(message);
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: got in `new`, given back once.
        unsafe { rd_kafka_queue_destroy(self.queue) };
    }
}

/// A producer's handle, and that of its topic.
struct Producer {
    client: *mut rd_kafka_t,
    topic: *mut rd_kafka_topic_t,
}

impl Producer {
    fn new(task: &Task, settings: &[(&str, &str)]) -> Self {
        let common = [
            ("bootstrap.servers", &*task.bootstrap),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("compression.codec", task.codec.name()),
            ("partitioner", "murmur2_random"),
        ];
        let topic = CString::new(&*task.topic).unwrap();
        let mut why = [0 as c_char; 512];
        // SAFETY: the configuration is handed over to the client; every string ends in 0 and outlives its call; the handles live as
        // long as this process.
        unsafe {
            let config = rd_kafka_conf_new();
            for (key, value) in common.iter().chain(settings) {
                let (key, value) = (CString::new(*key).unwrap(), CString::new(*value).unwrap());
                let set = rd_kafka_conf_set(
                    config,
                    key.as_ptr(),
                    value.as_ptr(),
                    why.as_mut_ptr(),
                    why.len(),
                );
                assert_eq!(set, rd_kafka_conf_res_t::RD_KAFKA_CONF_OK, "{key:?}");
            }
            rd_kafka_conf_set_dr_msg_cb(config, Some(delivered));
            let kind = RDKafkaType::RD_KAFKA_PRODUCER;
            let client = rd_kafka_new(kind, config, why.as_mut_ptr(), why.len());
            assert!(!client.is_null(), "a producer");
            Self { client, topic: rd_kafka_topic_new(client, topic.as_ptr(), null_mut()) }
        }
    }

    /// Queues many records, waiting while there is no room. Values are not copied: they are there for ever.
    fn produce_batch(&self, batch: &mut [rd_kafka_message_t]) {
        let count = c_int::try_from(batch.len()).unwrap();
        let (anywhere, flags) = (-1, RD_KAFKA_MSG_F_BLOCK);
        // SAFETY: `batch` holds so many messages, whose values are static and whose keys are copied by the call.
        let taken = unsafe {
            rd_kafka_produce_batch(self.topic, anywhere, flags, batch.as_mut_ptr(), count)
        };
        assert_eq!(taken, count);
        // SAFETY: the client is alive.
        unsafe { rd_kafka_poll(self.client, 0) };
    }

    fn produce(&self, value: &'static [u8], key: &[u8; 8]) {
        let mut message = message(value, key);
        self.produce_batch(std::slice::from_mut(&mut message));
    }

    /// Waits until so many records are written.
    fn await_delivered(&self, count: usize) {
        while DELIVERED.load(Ordering::Relaxed) < count {
            // SAFETY: the client is alive.
            unsafe { rd_kafka_poll(self.client, WAIT_MS) };
        }
        assert_eq!(FAILED.load(Ordering::Relaxed), 0, "everything was written");
    }

    fn flush(&self) {
        // SAFETY: the client is alive.
        let flushed = unsafe { rd_kafka_flush(self.client, FLUSH_MS) };
        assert_eq!(flushed, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
}

fn message(value: &'static [u8], key: &[u8; 8]) -> rd_kafka_message_t {
    rd_kafka_message_t {
        err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: null_mut(),
        partition: -1,
        payload: value.as_ptr().cast_mut().cast(),
        len: value.len(),
        key: key.as_ptr().cast_mut().cast(),
        key_len: key.len(),
        offset: 0,
        _private: null_mut(),
    }
}

/// librdkafka calls it on the thread that polls.
unsafe extern "C" fn delivered(
    _: *mut rd_kafka_t,
    message: *const rd_kafka_message_t,
    _: *mut c_void,
) {
    debug_assert_ne!(message, null());
    // SAFETY: the message is valid during the call.
    if unsafe { (*message).err } != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        FAILED.fetch_add(1, Ordering::Relaxed);
    }
    DELIVERED.fetch_add(1, Ordering::Relaxed);
}

static DELIVERED: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicUsize = AtomicUsize::new(0);
const BATCH: usize = 10_000;
const WAIT_MS: i32 = 1000;
const FLUSH_MS: i32 = 60_000;
