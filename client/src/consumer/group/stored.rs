//! Stored positions of a group in the bytes' shapes: what a member, or nobody, stores and asks for.
//! In: partitions and positions, or an answer; out: a request for the version spoken, or what the
//! answer says.

use std::collections::BTreeMap;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use tokio::time::Instant;

use crate::admin::CommittedOffset;
use crate::error::{Error, Result};
use crate::net::handle::Handle;
use crate::partition::TopicPartition;

/// One answer about a partition.
type Stored = (TopicPartition, i64, i32, Option<String>, ErrorCode);

/// Positions to store, in nobody's name.
pub(super) fn commit_request<'a>(
    group: &str,
    offsets: impl IntoIterator<Item = (&'a TopicPartition, &'a CommittedOffset)>,
) -> OffsetCommitRequest {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, position) in offsets {
        topics.entry(&partition.topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: position.offset,
            committed_leader_epoch: position.leader_epoch.unwrap_or(-1),
            committed_metadata: Some(position.metadata.clone()),
            ..OffsetCommitRequestPartition::default()
        });
    }
    let topic = |(name, partitions): (&str, _)| OffsetCommitRequestTopic {
        name: name.to_owned(),
        partitions,
        ..OffsetCommitRequestTopic::default()
    };
    OffsetCommitRequest {
        group_id: group.to_owned(),
        topics: topics.into_iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    }
}

/// Stores positions once; a code for each partition that the answer names.
pub(super) async fn commit(
    handle: &Handle,
    request: OffsetCommitRequest,
    deadline: Instant,
) -> Result<Vec<(TopicPartition, ErrorCode)>> {
    let version = handle.version_up_to::<OffsetCommitRequest>(BY_NAME)?;
    let response = handle.request_in(&request, version, deadline).await?;
    let answers = response.topics.into_iter().flat_map(|topic| {
        let name: std::sync::Arc<str> = topic.name.into();
        let about = move |index| TopicPartition::new(name.clone(), index);
        topic.partitions.into_iter().map(move |one| (about(one.partition_index), one.error_code))
    });
    Ok(answers.collect())
}

/// The positions of an answer.
///
/// # Errors
///
/// The code of the group, or of the first partition that has one.
pub(super) fn stored_offsets(
    response: OffsetFetchResponse,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
    let mut found = BTreeMap::new();
    for (partition, offset, epoch, metadata, code) in stored(response)? {
        Error::check(code).map_err(|error| error.at(&partition.topic, partition.partition))?;
        if offset >= 0 {
            let leader_epoch = Some(epoch).filter(|epoch| *epoch >= 0);
            let metadata = metadata.unwrap_or_default();
            found.insert(partition, CommittedOffset { offset, leader_epoch, metadata });
        }
    }
    Ok(found)
}

/// The question in the shape of the version: one group at the top, or a list of groups (KIP-709).
pub(super) fn fetch_request(
    group: &str,
    partitions: Option<&[TopicPartition]>,
    version: i16,
) -> OffsetFetchRequest {
    let topics = partitions.map(|partitions| {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for one in partitions {
            topics.entry(&one.topic).or_default().push(one.partition);
        }
        topics.into_iter().map(|(name, indexes)| (name.to_owned(), indexes))
    });
    if version < LISTS {
        let topic = |(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes };
        let topics = topics.map(|topics| topics.map(topic).collect());
        return OffsetFetchRequest { group_id: group.to_owned(), topics, ..Default::default() };
    }
    let topic = |(name, partition_indexes)| OffsetFetchRequestTopics {
        name,
        partition_indexes,
        ..Default::default()
    };
    let asked = OffsetFetchRequestGroup {
        group_id: group.to_owned(),
        topics: topics.map(|topics| topics.map(topic).collect()),
        ..Default::default()
    };
    OffsetFetchRequest { groups: vec![asked], ..Default::default() }
}

/// The answer of either shape as one list.
fn stored(response: OffsetFetchResponse) -> Result<Vec<Stored>> {
    Error::check(response.error_code)?;
    let mut all = Vec::new();
    for topic in response.topics {
        for one in topic.partitions {
            let partition = TopicPartition::new(topic.name.as_str(), one.partition_index);
            all.push((
                partition,
                one.committed_offset,
                one.committed_leader_epoch,
                one.metadata,
                one.error_code,
            ));
        }
    }
    for group in response.groups {
        Error::check(group.error_code)?;
        for topic in group.topics {
            for one in topic.partitions {
                let partition = TopicPartition::new(topic.name.as_str(), one.partition_index);
                all.push((
                    partition,
                    one.committed_offset,
                    one.committed_leader_epoch,
                    one.metadata,
                    one.error_code,
                ));
            }
        }
    }
    Ok(all)
}

/// The last version that names topics; the next speaks of ids (KIP-516), which not every broker
/// tells.
pub(super) const BY_NAME: i16 = 9;

/// From this version on positions of several groups can be asked for.
const LISTS: i16 = 8;
