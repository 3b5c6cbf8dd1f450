//! DeleteRecords (KIP-107): logs that start later than before.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopic, DeleteRecordsTopicResult,
};

use super::outbox::Context;
use super::topology::Topology;

/// Answers DeleteRecords.
pub(crate) fn delete(
    topology: &mut Topology,
    context: &Context<'_>,
    request: &DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    each(request, |topic, asked| {
        let compacted = topology.topic(&topic.name).is_some_and(|known| {
            known.config.given("cleanup.policy").is_some_and(|policy| policy == "compact")
        });
        let partition = topology
            .partition_mut(&topic.name, asked.partition_index)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(context.origin.node, -1)?;
        if compacted {
            return Err(ErrorCode::POLICY_VIOLATION);
        }
        partition.log.delete_records(asked.offset).map_err(|refusal| refusal.code)
    })
}

/// Every partition of the request refused with `code`.
pub(crate) fn refuse(request: &DeleteRecordsRequest, code: ErrorCode) -> DeleteRecordsResponse {
    each(request, |_, _| Err(code))
}

fn each(
    request: &DeleteRecordsRequest,
    mut delete: impl FnMut(&DeleteRecordsTopic, &DeleteRecordsPartition) -> Result<i64, ErrorCode>,
) -> DeleteRecordsResponse {
    let topic = |topic: &DeleteRecordsTopic| DeleteRecordsTopicResult {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| {
                let outcome = delete(topic, asked);
                DeleteRecordsPartitionResult {
                    partition_index: asked.partition_index,
                    low_watermark: outcome.unwrap_or(-1),
                    error_code: outcome.err().unwrap_or(ErrorCode::NONE),
                }
            })
            .collect(),
    };
    DeleteRecordsResponse {
        topics: request.topics.iter().map(topic).collect(),
        ..DeleteRecordsResponse::default()
    }
}
