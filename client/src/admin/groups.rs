//! Stored positions of groups, read and written from outside: without membership, as an idle group
//! allows. Requests go to the group's coordinator.

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

use crate::client::Client;
use crate::cluster::{CoordinatorKind, Repeat, Retry};
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::outcomes::Outcomes;

/// A position of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the record before it, where known (KIP-320).
    pub leader_epoch: Option<i32>,
    /// Words of the committer's own, kept beside the position.
    pub metadata: String,
}

/// One answer about a partition.
type Stored = (TopicPartition, i64, i32, Option<String>, ErrorCode);

impl Client {
    /// The stored positions of a group, of these partitions or (`None`) of all that have one. A
    /// partition without a position is not in the answer.
    ///
    /// # Errors
    ///
    /// The broker's code for the group or the first partition that has one, or what outlasts
    /// `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn committed_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let deadline = self.api_deadline();
        let mut retry = Retry::new(self.cluster(), deadline, Repeat::Harmless);
        loop {
            match self.fetch_offsets(group, partitions, deadline).await {
                Ok(found) => return Ok(found),
                Err(error) => retry.after(error.with("group", group)).await?,
            }
        }
    }

    /// Stores positions of a group that has no members. The results stand in the order given.
    /// Writing the same position twice does no harm, so what got no answer is written again.
    ///
    /// # Errors
    ///
    /// For each: the broker's code, such as `UNKNOWN_MEMBER_ID` while the group has members;
    /// [`crate::ErrorKind::TimedOut`] after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: positions may or may not be stored.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Vec<Result<()>> {
        let deadline = self.api_deadline();
        let mut retry = Retry::new(self.cluster(), deadline, Repeat::Harmless);
        let mut outcomes = Outcomes::new(offsets.len(), Repeat::Harmless);
        loop {
            let pending = outcomes.begin();
            if pending.is_empty() {
                break;
            }
            let some: Vec<_> = pending.iter().filter_map(|index| offsets.get(*index)).collect();
            match self.store_offsets(group, &some, deadline).await {
                Err(error) => outcomes.fail(&pending, &error.with("group", group)),
                Ok(answers) => {
                    for (partition, code) in answers {
                        let about = |index: &&usize| {
                            offsets.get(**index).is_some_and(|(known, _)| *known == partition)
                        };
                        let here = |error: Error| {
                            error.at(&partition.topic, partition.partition).with("group", group)
                        };
                        for index in pending.iter().filter(about) {
                            outcomes.settle(*index, Error::check(code).map_err(here));
                        }
                    }
                }
            }
            if !outcomes.another(&mut retry).await {
                break;
            }
        }
        outcomes.finish().collect()
    }

    /// One attempt at reading positions.
    async fn fetch_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        deadline: Instant,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let handle = self.cluster().coordinator(CoordinatorKind::Group, group, deadline).await?;
        let version = handle.version_up_to::<OffsetFetchRequest>(BY_NAME)?;
        let request = fetch_request(group, partitions, version);
        let response = handle.request_in(&request, version, deadline).await?;
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

    /// One attempt at storing positions; a code for each partition that the answer names.
    async fn store_offsets(
        &self,
        group: &str,
        offsets: &[&(TopicPartition, CommittedOffset)],
        deadline: Instant,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>> {
        let handle = self.cluster().coordinator(CoordinatorKind::Group, group, deadline).await?;
        let version = handle.version_up_to::<OffsetCommitRequest>(BY_NAME)?;
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
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            topics: topics.into_iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        };
        let response = handle.request_in(&request, version, deadline).await?;
        let answers = response.topics.into_iter().flat_map(|topic| {
            let name: std::sync::Arc<str> = topic.name.into();
            let about = move |index| TopicPartition::new(name.clone(), index);
            topic
                .partitions
                .into_iter()
                .map(move |one| (about(one.partition_index), one.error_code))
        });
        Ok(answers.collect())
    }
}

/// The question in the shape of the version: one group at the top, or a list of groups (KIP-709).
fn fetch_request(
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
const BY_NAME: i16 = 9;

/// From this version on positions of several groups can be asked for.
const LISTS: i16 = 8;
