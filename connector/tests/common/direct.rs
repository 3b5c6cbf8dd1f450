//! Streams and ranges of the direct API at a place.

use std::time::Duration;

use klamm_connector::direct::{
    ConsumerStrategy, DirectBatch, DirectOptions, DirectStream, LocationStrategy, RangeRead,
};
use klamm_connector::error::Result;
use klamm_connector::offsets::range::OffsetRange;
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};

use super::Place;

pub(crate) fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

pub(crate) fn starts(entries: &[(&str, i32, i64)]) -> PartitionOffsets {
    entries.iter().map(|(topic, partition, at)| (tp(topic, *partition), *at)).collect()
}

pub(crate) fn options(place: &Place, pairs: &[(&str, &str)]) -> DirectOptions {
    let mut all = vec![
        ("bootstrap.servers", place.bootstrap.as_str()),
        ("spark.streaming.kafka.consumer.poll.ms", "1500"),
    ];
    all.extend(pairs);
    DirectOptions::from_pairs(all).unwrap()
}

pub(crate) async fn stream(
    place: &Place,
    strategy: impl ConsumerStrategy + 'static,
    pairs: &[(&str, &str)],
) -> DirectStream {
    let consistent = LocationStrategy::PreferConsistent;
    DirectStream::connect(options(place, pairs), strategy, consistent, SECOND).await.unwrap()
}

/// Ranges of a topic's first partition.
pub(crate) async fn ranges(
    place: &Place,
    topic: &str,
    ranges: &[(i64, i64)],
    pairs: &[(&str, &str)],
) -> Result<RangeRead> {
    let ranges = ranges.iter().map(|(from, until)| OffsetRange::new(tp(topic, 0), *from, *until));
    let consistent = LocationStrategy::PreferConsistent;
    RangeRead::connect(options(place, pairs), ranges.collect(), consistent).await
}

/// From and until of each range, in the order of the batch.
pub(crate) fn limits(batch: &DirectBatch) -> Vec<(i64, i64)> {
    batch.ranges().iter().map(|range| (range.from, range.until)).collect()
}

pub(crate) async fn values(read: &RangeRead) -> Vec<String> {
    let records = read.collect().await.unwrap();
    let text = |value: bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
    records.into_iter().map(|record| text(record.value.unwrap())).collect()
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const EARLIEST: (&str, &str) = ("auto.offset.reset", "earliest");
pub(crate) const NONE: (&str, &str) = ("auto.offset.reset", "none");
pub(crate) const GROUP: (&str, &str) = ("group.id", "g");
pub(crate) const GAPS: (&str, &str) = ("spark.streaming.kafka.allowNonConsecutiveOffsets", "true");
