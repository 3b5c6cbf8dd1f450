//! Looking up offsets: both ends, by time, the largest timestamp.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};

use super::records::{batch, produce};
use super::wire::{Wire, new_topic};
use crate::outside::Cluster;

pub(super) fn listed(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    produce(cluster, &topic, batch(&[(1_000, "a"), (2_000, "b")]));
    produce(cluster, &topic, batch(&[(3_000, "c")]));
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    for version in wire.common::<ListOffsetsRequest>().into_iter().filter(|version| *version > 0) {
        let mut at = |time| {
            let found = list(&mut wire, &topic, time, version);
            assert_eq!(found.error_code, ErrorCode::NONE, "v{version}");
            (found.offset, found.timestamp)
        };
        assert_eq!(at(EARLIEST).0, 0, "v{version}");
        assert_eq!(at(LATEST).0, 3, "v{version}");
        assert_eq!(at(1_500), (1, 2_000), "the first record at or after the time, v{version}");
        assert_eq!(at(3_000), (2, 3_000), "v{version}");
        assert_eq!(at(3_001).0, -1, "nothing is that late, v{version}");
    }
}

pub(super) fn max_timestamp(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    produce(cluster, &topic, batch(&[(1_000, "a"), (9_000, "b"), (3_000, "c")]));
    let mut wire = Wire::to_leader(cluster, &topic, 0);
    let found = list(&mut wire, &topic, MAX_TIMESTAMP, 7);
    assert_eq!((found.offset, found.timestamp), (1, 9_000));
}

fn list(wire: &mut Wire, topic: &str, time: i64, version: i16) -> ListOffsetsPartitionResponse {
    wire.exchange(&request(topic, time), version).topics.remove(0).partitions.remove(0)
}

/// Asks for an offset of partition 0.
pub(super) fn request(topic: &str, time: i64) -> ListOffsetsRequest {
    request_for(topic, 0, time)
}

/// Asks for an offset of a partition.
pub(super) fn request_for(topic: &str, partition: i32, time: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition {
        partition_index: partition,
        timestamp: time,
        ..ListOffsetsPartition::default()
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] }],
        ..ListOffsetsRequest::default()
    }
}

/// The first offset there is.
const EARLIEST: i64 = -2;
/// The offset after the last record.
pub(super) const LATEST: i64 = -1;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
