//! ListOffsets: offsets of a partition by timestamp or by one of Kafka's special numbers.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopic, ListOffsetsTopicResponse,
};

use super::outbox::Context;
use super::topology::{Partition, Topology};
use crate::log::Found;

/// Answers ListOffsets.
pub(crate) fn list(
    topology: &Topology,
    context: &Context<'_>,
    request: &ListOffsetsRequest,
) -> ListOffsetsResponse {
    each(request, |topic, asked| {
        let partition = topology
            .partition(&topic.name, asked.partition_index)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(context.origin.node, asked.current_leader_epoch)?;
        let mut found = look_up(partition, asked.timestamp, request.isolation_level)?;
        if let Some(found) = found.as_mut().filter(|_| context.origin.version < LEADER_EPOCHS) {
            found.leader_epoch = UNKNOWN_EPOCH;
        }
        Ok(found)
    })
}

/// Every partition of the request refused with `code`.
pub(crate) fn refuse(request: &ListOffsetsRequest, code: ErrorCode) -> ListOffsetsResponse {
    each(request, |_, _| Err(code))
}

fn each(
    request: &ListOffsetsRequest,
    find: impl Fn(&ListOffsetsTopic, &ListOffsetsPartition) -> Result<Option<Found>, ErrorCode>,
) -> ListOffsetsResponse {
    let topic = |topic: &ListOffsetsTopic| ListOffsetsTopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| response(asked.partition_index, find(topic, asked)))
            .collect(),
    };
    ListOffsetsResponse {
        topics: request.topics.iter().map(topic).collect(),
        ..ListOffsetsResponse::default()
    }
}

fn look_up(
    partition: &Partition,
    timestamp: i64,
    isolation_level: i8,
) -> Result<Option<Found>, ErrorCode> {
    let log = &partition.log;
    let limit = if isolation_level == READ_COMMITTED {
        log.last_stable_offset()
    } else {
        log.high_watermark()
    };
    // The ends of the log have no timestamp of their own.
    let end = |offset, epoch| Found { offset, timestamp: -1, leader_epoch: epoch };
    Ok(match timestamp {
        LATEST => Some(end(limit, partition.leader_epoch)),
        EARLIEST | EARLIEST_LOCAL => {
            let start = log.start_offset();
            Some(end(start, log.epoch_at(start).unwrap_or(partition.leader_epoch)))
        }
        MAX_TIMESTAMP => log.offset_of_max_timestamp(limit),
        // Nothing is tiered here, and nothing waits for it.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => None,
        by_time if by_time >= 0 => log.offset_for_timestamp(by_time, limit),
        _ => return Err(ErrorCode::UNSUPPORTED_VERSION),
    })
}

fn response(
    partition_index: i32,
    outcome: Result<Option<Found>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let found = match outcome {
        Ok(found) => found,
        Err(error_code) => {
            return ListOffsetsPartitionResponse {
                partition_index,
                error_code,
                ..ListOffsetsPartitionResponse::default()
            };
        }
    };
    let Some(found) = found else {
        return ListOffsetsPartitionResponse {
            partition_index,
            ..ListOffsetsPartitionResponse::default()
        };
    };
    ListOffsetsPartitionResponse {
        partition_index,
        timestamp: found.timestamp,
        offset: found.offset,
        leader_epoch: found.leader_epoch,
        ..ListOffsetsPartitionResponse::default()
    }
}

/// The first version that tells leader epochs; to send one in an older version is an error.
const LEADER_EPOCHS: i16 = 4;
const UNKNOWN_EPOCH: i32 = -1;
const READ_COMMITTED: i8 = 1;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
