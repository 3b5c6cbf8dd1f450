//! OffsetForLeaderEpoch (KIP-101, KIP-320): where leader epochs ended, so that whoever read in one
//! of them learns whether what it read is still there.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopic, OffsetForLeaderTopicResult,
};

use super::outbox::Context;
use super::topology::Topology;
use crate::log::EpochEnd;

/// Answers OffsetForLeaderEpoch.
pub(crate) fn ends(
    topology: &Topology,
    context: &Context<'_>,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    each(request, |topic, asked| {
        let partition = topology
            .partition(&topic.topic, asked.partition)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(context.origin.node, asked.current_leader_epoch)?;
        Ok(partition.log.end_of_epoch(asked.leader_epoch))
    })
}

/// Every partition of the request refused with `code`.
pub(crate) fn refuse(
    request: &OffsetForLeaderEpochRequest,
    code: ErrorCode,
) -> OffsetForLeaderEpochResponse {
    each(request, |_, _| Err(code))
}

fn each(
    request: &OffsetForLeaderEpochRequest,
    end: impl Fn(&OffsetForLeaderTopic, &OffsetForLeaderPartition) -> Result<EpochEnd, ErrorCode>,
) -> OffsetForLeaderEpochResponse {
    let topic = |topic: &OffsetForLeaderTopic| OffsetForLeaderTopicResult {
        topic: topic.topic.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| told(asked.partition, end(topic, asked)))
            .collect(),
    };
    OffsetForLeaderEpochResponse {
        topics: request.topics.iter().map(topic).collect(),
        ..OffsetForLeaderEpochResponse::default()
    }
}

fn told(partition: i32, outcome: Result<EpochEnd, ErrorCode>) -> EpochEndOffset {
    let (error_code, end) = match outcome {
        Ok(end) => (ErrorCode::NONE, end),
        Err(code) => (code, EpochEnd::UNKNOWN),
    };
    EpochEndOffset { error_code, partition, leader_epoch: end.epoch, end_offset: end.end_offset }
}
