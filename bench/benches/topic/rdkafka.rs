//! librdkafka by its batch API, `rd_kafka_consume_batch_queue`: the cheapest way to read with it, for which the `rdkafka` crate has
//! no safe binding.

#![allow(unsafe_code)]

use std::ptr::null_mut;

use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_message_destroy, rd_kafka_message_t,
    rd_kafka_queue_destroy, rd_kafka_queue_get_consumer,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::fill::{PARTITIONS, RECORDS, TOPIC};
use crate::readers::Seen;

/// Reads the topic.
pub(crate) fn read(bootstrap: &str, report: impl FnOnce(Seen)) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "none");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    // SAFETY: the consumer's handle is valid until the consumer is dropped, at the end of this function.
    let queue = unsafe { rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    let mut batch: Vec<*mut rd_kafka_message_t> = vec![null_mut(); BATCH];
    let mut seen = Seen::default();
    while seen.records < RECORDS {
        // SAFETY: the queue is the consumer's, and `batch` has room for as many pointers as is said.
        let count = unsafe {
            rd_kafka_consume_batch_queue(queue, WAIT_MS, batch.as_mut_ptr(), batch.len())
        };
        for &message in batch.iter().take(usize::try_from(count).unwrap()) {
            // SAFETY: the call before filled so many entries, and each message is destroyed once, after its last use.
            unsafe {
                assert_eq!((*message).err, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
                seen.value((*message).len);
                rd_kafka_message_destroy(message);
            }
        }
    }
    report(seen);
    // SAFETY: got above, given back once.
    unsafe { rd_kafka_queue_destroy(queue) };
}

const BATCH: usize = 10_000;
const WAIT_MS: i32 = 1000;
