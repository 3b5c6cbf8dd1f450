//! OffsetCommit and OffsetFetch: what a group has read so far.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use klamm_protocol::wire::Uuid;

use super::{Committed, Committer, Group, Groups};
use crate::broker::outbox::Context;
use crate::broker::topology::{Topic, Topology};

/// A position as a request brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position<'a> {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<&'a str>,
}

impl Group {
    /// A position as it is kept: the newest of its group.
    pub(crate) fn committed(
        &mut self,
        topic: &Topic,
        position: Position<'_>,
    ) -> Result<Committed, ErrorCode> {
        let metadata = position.metadata.unwrap_or_default();
        if metadata.len() > MOST_METADATA {
            return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        }
        self.commits += 1;
        Ok(Committed {
            topic_id: topic.id,
            offset: position.offset,
            leader_epoch: position.leader_epoch,
            metadata: metadata.to_owned(),
            order: self.commits,
        })
    }
}

/// Answers OffsetCommit.
pub(crate) fn commit(
    groups: &mut Groups,
    topology: &Topology,
    context: &Context<'_>,
    request: &OffsetCommitRequest,
) -> OffsetCommitResponse {
    let committer = Committer {
        group_id: &request.group_id,
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
        transactional: false,
    };
    let group = match groups.committing(topology, context, &committer) {
        Ok(group) => group,
        Err(code) => return refuse_commit(request, code),
    };
    let by_id = context.origin.version >= COMMIT_BY_ID;
    let mut store = |topic: &OffsetCommitRequestTopic, asked: &OffsetCommitRequestPartition| {
        let named = (topic.name.as_str(), topic.topic_id);
        let found = find_partition(topology, by_id, named, asked.partition_index)?;
        let position = Position {
            offset: asked.committed_offset,
            leader_epoch: asked.committed_leader_epoch,
            metadata: asked.committed_metadata.as_deref(),
        };
        let committed = group.committed(found, position)?;
        group.offsets.insert((found.name.clone(), asked.partition_index), committed);
        Ok(())
    };
    commit_each(request, |topic, asked| store(topic, asked).err().unwrap_or(ErrorCode::NONE))
}

/// Every partition of a commit refused with `code`.
pub(crate) fn refuse_commit(
    request: &OffsetCommitRequest,
    code: ErrorCode,
) -> OffsetCommitResponse {
    commit_each(request, |_, _| code)
}

/// Answers OffsetFetch, for one group before version 8 and for many since.
pub(crate) fn fetch(
    groups: &Groups,
    topology: &Topology,
    context: &Context<'_>,
    request: &OffsetFetchRequest,
) -> OffsetFetchResponse {
    if context.origin.version < MANY_GROUPS {
        let asked = OffsetFetchRequestGroup {
            group_id: request.group_id.clone(),
            topics: request.topics.as_ref().map(|topics| {
                let topics = topics.iter().map(|topic| OffsetFetchRequestTopics {
                    name: topic.name.clone(),
                    partition_indexes: topic.partition_indexes.clone(),
                    ..OffsetFetchRequestTopics::default()
                });
                topics.collect()
            }),
            ..OffsetFetchRequestGroup::default()
        };
        return narrowed(fetch_group(groups, topology, context, &asked, request.require_stable));
    }
    let answers = request
        .groups
        .iter()
        .map(|asked| fetch_group(groups, topology, context, asked, request.require_stable));
    OffsetFetchResponse { groups: answers.collect(), ..OffsetFetchResponse::default() }
}

/// Every group of a fetch refused with `code`.
pub(crate) fn refuse_fetch(
    version: i16,
    request: &OffsetFetchRequest,
    error_code: ErrorCode,
) -> OffsetFetchResponse {
    if version < MANY_GROUPS {
        return OffsetFetchResponse { error_code, ..OffsetFetchResponse::default() };
    }
    let answers = request.groups.iter().map(|group| OffsetFetchResponseGroup {
        group_id: group.group_id.clone(),
        error_code,
        ..OffsetFetchResponseGroup::default()
    });
    OffsetFetchResponse { groups: answers.collect(), ..OffsetFetchResponse::default() }
}

fn commit_each(
    request: &OffsetCommitRequest,
    mut outcome: impl FnMut(&OffsetCommitRequestTopic, &OffsetCommitRequestPartition) -> ErrorCode,
) -> OffsetCommitResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|asked| OffsetCommitResponsePartition {
            partition_index: asked.partition_index,
            error_code: outcome(topic, asked),
        });
        let partitions = partitions.collect();
        let (name, topic_id) = (topic.name.clone(), topic.topic_id);
        topics.push(OffsetCommitResponseTopic { name, topic_id, partitions });
    }
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

fn fetch_group(
    groups: &Groups,
    topology: &Topology,
    context: &Context<'_>,
    asked: &OffsetFetchRequestGroup,
    stable: bool,
) -> OffsetFetchResponseGroup {
    let group_id = asked.group_id.clone();
    if let Err(error_code) = super::check_coordinator(topology, context, &group_id) {
        return OffsetFetchResponseGroup {
            group_id,
            error_code,
            ..OffsetFetchResponseGroup::default()
        };
    }
    let by_id = context.origin.version >= FETCH_BY_ID;
    let group = groups.group(&group_id);
    if let Err(error_code) = check_reader(group, asked) {
        return OffsetFetchResponseGroup {
            group_id,
            error_code,
            ..OffsetFetchResponseGroup::default()
        };
    }
    let topics = match &asked.topics {
        None => everything(group, topology, stable),
        Some(topics) => topics
            .iter()
            .map(|topic| {
                let found = find(topology, by_id, &topic.name, topic.topic_id);
                let partitions = topic.partition_indexes.iter();
                OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    partitions: partitions
                        .map(|&index| position(group, &found, by_id, index, stable))
                        .collect(),
                }
            })
            .collect(),
    };
    OffsetFetchResponseGroup { group_id, topics, ..OffsetFetchResponseGroup::default() }
}

/// Whether whoever asks as a member of a group whose coordinator assigns is one (KIP-848).
fn check_reader(group: Option<&Group>, asked: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
    let consumers = group.and_then(|group| group.consumers.as_ref());
    match (consumers, asked.member_id.as_deref()) {
        (Some(consumers), Some(id)) => consumers.check_epoch(id, asked.member_epoch),
        (Some(consumers), None) if asked.member_epoch >= 0 => {
            consumers.check_epoch("", asked.member_epoch)
        }
        _ => Ok(()),
    }
}

fn everything(
    group: Option<&Group>,
    topology: &Topology,
    stable: bool,
) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    let Some(group) = group else {
        return topics;
    };
    for ((name, index), committed) in &group.offsets {
        let current = topology.topic(name).filter(|topic| topic.id == committed.topic_id);
        let Some(topic) = current else {
            continue;
        };
        if topics.last().is_none_or(|last| last.name != *name) {
            let (name, topic_id) = (name.clone(), topic.id);
            topics.push(OffsetFetchResponseTopics { name, topic_id, partitions: Vec::new() });
        }
        if let Some(last) = topics.last_mut() {
            let unstable = stable && group.is_unstable(name, *index);
            last.partitions.push(if unstable {
                nothing(*index, ErrorCode::UNSTABLE_OFFSET_COMMIT)
            } else {
                told(*index, committed)
            });
        }
    }
    topics
}

fn position(
    group: Option<&Group>,
    topic: &Result<&Topic, ErrorCode>,
    by_id: bool,
    index: i32,
    stable: bool,
) -> OffsetFetchResponsePartitions {
    let unstable = |topic: &Topic| group.is_some_and(|group| group.is_unstable(&topic.name, index));
    if stable && topic.as_ref().is_ok_and(|topic| unstable(topic)) {
        return nothing(index, ErrorCode::UNSTABLE_OFFSET_COMMIT);
    }
    let error_code = match topic {
        // By name, a topic that is gone simply has no position.
        Err(code) if by_id => *code,
        _ => ErrorCode::NONE,
    };
    let committed = topic.as_ref().ok().and_then(|topic| {
        let committed = group?.offsets.get(&(topic.name.clone(), index))?;
        (committed.topic_id == topic.id).then_some(committed)
    });
    match committed {
        Some(committed) => told(index, committed),
        None => nothing(index, error_code),
    }
}

fn nothing(partition_index: i32, error_code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        metadata: Some(String::new()),
        error_code,
        ..OffsetFetchResponsePartitions::default()
    }
}

fn told(partition_index: i32, committed: &Committed) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: committed.offset,
        committed_leader_epoch: committed.leader_epoch,
        metadata: Some(committed.metadata.clone()),
        error_code: ErrorCode::NONE,
    }
}

/// The answer for one group in the fields of versions before 8.
fn narrowed(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: group.error_code,
        ..OffsetFetchResponse::default()
    }
}

fn find<'a>(
    topology: &'a Topology,
    by_id: bool,
    name: &str,
    id: Uuid,
) -> Result<&'a Topic, ErrorCode> {
    if by_id {
        topology.topic_by_id(id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)
    } else {
        topology.topic(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}

/// The topic that a request names, if it has such a partition.
pub(crate) fn find_partition<'a>(
    topology: &'a Topology,
    by_id: bool,
    (name, id): (&str, Uuid),
    index: i32,
) -> Result<&'a Topic, ErrorCode> {
    let topic = find(topology, by_id, name, id)?;
    topic.partition(index).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    Ok(topic)
}

/// From these versions on topics are named by id (KIP-516).
const COMMIT_BY_ID: i16 = 10;
const FETCH_BY_ID: i16 = 10;
/// From this version on a fetch asks for many groups (KIP-709).
const MANY_GROUPS: i16 = 8;
/// Kafka's `offset.metadata.max.bytes`.
const MOST_METADATA: usize = 4096;
