//! DeleteGroups and OffsetDelete: groups without members go, and positions that nobody reads from.

use std::collections::BTreeSet;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use klamm_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use klamm_protocol::wire::Reader;

use super::{Group, Groups, check_coordinator};
use crate::broker::outbox::Context;
use crate::broker::topology::Topology;

/// Answers DeleteGroups.
pub(crate) fn groups(
    groups: &mut Groups,
    topology: &Topology,
    context: &Context<'_>,
    request: &DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    each(request, |id| {
        check_coordinator(topology, context, id)?;
        let group = groups.group(id).ok_or(ErrorCode::GROUP_ID_NOT_FOUND)?;
        if !group.is_empty() {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        groups.by_id.remove(id);
        Ok(())
    })
}

/// Every group of the request refused with `code`.
pub(crate) fn refuse_groups(
    request: &DeleteGroupsRequest,
    code: ErrorCode,
) -> DeleteGroupsResponse {
    each(request, |_| Err(code))
}

/// Answers OffsetDelete.
pub(crate) fn positions(
    groups: &mut Groups,
    topology: &Topology,
    context: &Context<'_>,
    request: &OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    if let Err(code) = check_coordinator(topology, context, &request.group_id) {
        return refuse_positions(code);
    }
    let Some(group) = groups.by_id.get_mut(&request.group_id) else {
        return refuse_positions(ErrorCode::GROUP_ID_NOT_FOUND);
    };
    if group.consumers.is_none() && !group.is_empty() && group.members.protocol_type() != CONSUMER {
        return refuse_positions(ErrorCode::NON_EMPTY_GROUP);
    }
    let mut delete = |topic: &str, index: i32| {
        if topology.partition(topic, index).is_none() {
            return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        }
        if group.reads(topic) {
            return ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC;
        }
        let partition = (topic.to_owned(), index);
        group.offsets.remove(&partition);
        for pending in group.pending.values_mut() {
            pending.remove(&partition);
        }
        ErrorCode::NONE
    };
    let topics = request.topics.iter().map(|topic| OffsetDeleteResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| OffsetDeleteResponsePartition {
                partition_index: asked.partition_index,
                error_code: delete(&topic.name, asked.partition_index),
            })
            .collect(),
    });
    let topics = topics.collect();
    OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() }
}

/// OffsetDelete refused with `code`.
pub(crate) fn refuse_positions(error_code: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() }
}

impl Group {
    /// Whether nobody is in it.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.consumers {
            Some(consumers) => consumers.is_empty(),
            None => self.members.is_empty(),
        }
    }

    /// Whether a member reads a topic, or may do so: what a member of the classic protocol wants
    /// is not always told in a form that brokers read.
    fn reads(&self, topic: &str) -> bool {
        if let Some(consumers) = &self.consumers {
            return consumers.wants(topic);
        }
        let protocol = self.members.protocol();
        self.members.iter().any(|(_, member)| {
            subscription(member.metadata(protocol)).is_none_or(|topics| topics.contains(topic))
        })
    }
}

/// The topics in a consumer's metadata of the classic protocol: a version and a list of names.
fn subscription(metadata: bytes::Bytes) -> Option<BTreeSet<String>> {
    let mut r = Reader::new(metadata);
    r.i16().ok().filter(|version| *version >= 0)?;
    let count = r.array_len(SMALLEST_NAME).ok()??;
    (0..count).map(|_| r.string().ok()).collect()
}

fn each(
    request: &DeleteGroupsRequest,
    mut delete: impl FnMut(&str) -> Result<(), ErrorCode>,
) -> DeleteGroupsResponse {
    let results = request.groups_names.iter().map(|id| DeletableGroupResult {
        group_id: id.clone(),
        error_code: delete(id).err().unwrap_or(ErrorCode::NONE),
        ..DeletableGroupResult::default()
    });
    DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
}

/// Bytes of the shortest name.
const SMALLEST_NAME: usize = 2;
/// The protocol type of consumers.
const CONSUMER: &str = "consumer";
