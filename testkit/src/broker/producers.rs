//! DescribeProducers and WriteTxnMarkers (KIP-664): what partitions know of those who write to them,
//! and the end of a transaction that hangs.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicRequest, TopicResponse,
};
use klamm_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::outbox::Context;
use super::produce::Written;
use super::topology::Topology;
use crate::log::ProducerView;

/// Answers DescribeProducers of the partitions that this node leads.
pub(crate) fn describe(
    topology: &Topology,
    context: &Context<'_>,
    request: &DescribeProducersRequest,
) -> DescribeProducersResponse {
    each_partition(request, |topic, index| {
        let partition = topology.partition(topic, index);
        let partition = partition.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(context.origin.node, -1)?;
        Ok(partition.log.producers().map(|one| producer(&one)).collect())
    })
}

/// Every partition of the request refused with `code`.
pub(crate) fn refuse(
    request: &DescribeProducersRequest,
    code: ErrorCode,
) -> DescribeProducersResponse {
    each_partition(request, |_, _| Err(code))
}

/// Answers WriteTxnMarkers, and tells where one was `written`.
pub(crate) fn write_markers(
    topology: &mut Topology,
    context: &Context<'_>,
    request: &WriteTxnMarkersRequest,
    written: &mut Vec<Written>,
) -> WriteTxnMarkersResponse {
    each_marker(request, |marker, topic, index| {
        let partition = topology.partition_mut(topic, index);
        let partition = partition.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(context.origin.node, -1)?;
        let (id, epoch) = (marker.producer_id, marker.producer_epoch);
        let known = partition.log.producers().find(|one| one.producer_id == id);
        if known.is_some_and(|known| known.epoch > epoch) {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let (commit, leader_epoch) = (marker.transaction_result, partition.leader_epoch);
        partition
            .log
            .append_marker(id, epoch, commit, leader_epoch, context.wall_ms)
            .map_err(|refusal| refusal.code)?;
        written.push((topic.to_owned(), index));
        Ok(())
    })
}

/// Every marker of the request refused with `code`.
pub(crate) fn refuse_markers(
    request: &WriteTxnMarkersRequest,
    code: ErrorCode,
) -> WriteTxnMarkersResponse {
    each_marker(request, |_, _, _| Err(code))
}

fn producer(view: &ProducerView) -> ProducerState {
    ProducerState {
        producer_id: view.producer_id,
        producer_epoch: i32::from(view.epoch),
        last_sequence: view.last_sequence,
        last_timestamp: view.last_timestamp,
        coordinator_epoch: NO_COORDINATOR,
        current_txn_start_offset: view.transaction_start.unwrap_or(-1),
    }
}

fn each_partition(
    request: &DescribeProducersRequest,
    look: impl Fn(&str, i32) -> Result<Vec<ProducerState>, ErrorCode>,
) -> DescribeProducersResponse {
    let topic = |topic: &TopicRequest| TopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partition_indexes
            .iter()
            .map(|index| {
                let (error_code, active_producers) = match look(&topic.name, *index) {
                    Ok(producers) => (ErrorCode::NONE, producers),
                    Err(code) => (code, Vec::new()),
                };
                PartitionResponse {
                    partition_index: *index,
                    error_code,
                    error_message: None,
                    active_producers,
                }
            })
            .collect(),
    };
    DescribeProducersResponse {
        topics: request.topics.iter().map(topic).collect(),
        ..DescribeProducersResponse::default()
    }
}

fn each_marker(
    request: &WriteTxnMarkersRequest,
    mut write: impl FnMut(&WritableTxnMarker, &str, i32) -> Result<(), ErrorCode>,
) -> WriteTxnMarkersResponse {
    let marker = |marker: &WritableTxnMarker| WritableTxnMarkerResult {
        producer_id: marker.producer_id,
        topics: marker
            .topics
            .iter()
            .map(|topic| WritableTxnMarkerTopicResult {
                name: topic.name.clone(),
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(|index| WritableTxnMarkerPartitionResult {
                        partition_index: *index,
                        error_code: write(marker, &topic.name, *index)
                            .err()
                            .unwrap_or(ErrorCode::NONE),
                    })
                    .collect(),
            })
            .collect(),
    };
    WriteTxnMarkersResponse { markers: request.markers.iter().map(marker).collect() }
}

/// Coordinators' epochs are not kept here.
const NO_COORDINATOR: i32 = -1;
