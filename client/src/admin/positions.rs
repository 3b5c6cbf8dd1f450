//! Stored positions of groups, read and written from outside: without membership, as an idle group
//! allows. Requests go to the group's coordinator.

use std::collections::BTreeMap;

use klamm_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use klamm_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};

use crate::client::Client;
use crate::cluster::{CoordinatorKind, Repeat};
use crate::error::{Error, ErrorKind, Result};
use crate::partition::TopicPartition;

use super::by_topic::{gathered, named};
use super::each::{Call, Each, Item, To, Told, about, together};

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

/// All that a question finds: a position for each partition that has one.
type Positions = BTreeMap<TopicPartition, CommittedOffset>;

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
        let mut found = self.committed_offsets_of(&[(group, partitions)]).await;
        // One group was asked for, so there is one result.
        found.pop().unwrap_or_else(|| Ok(BTreeMap::new()))
    }

    /// The stored positions of several groups, asked of their coordinators side by side, and in one
    /// request each where the broker can (KIP-709). The results stand in the order of the groups.
    ///
    /// # Errors and cancel safety
    ///
    /// For each as [`Client::committed_offsets`].
    pub async fn committed_offsets_of(
        &self,
        groups: &[(&str, Option<&[TopicPartition]>)],
    ) -> Vec<Result<BTreeMap<TopicPartition, CommittedOffset>>> {
        self.positions_of(groups, false).await
    }

    /// As [`Client::committed_offsets_of`], with all positions, and only once no transaction that stores one of them is
    /// open or about to end (KIP-447): until then it is asked again. So whoever has fenced the producers of a group's
    /// positions learns here what they have committed.
    ///
    /// # Errors
    ///
    /// For each as [`Client::committed_offsets`]; `UNSTABLE_OFFSET_COMMIT` if a transaction outlasts
    /// `default.api.timeout.ms`; [`crate::ErrorKind::Unsupported`] from brokers before 2.5.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stable_offsets_of(
        &self,
        groups: &[&str],
    ) -> Vec<Result<BTreeMap<TopicPartition, CommittedOffset>>> {
        let groups: Vec<_> = groups.iter().map(|group| (*group, None)).collect();
        self.positions_of(&groups, true).await
    }

    async fn positions_of(
        &self,
        groups: &[(&str, Option<&[TopicPartition]>)],
        stable: bool,
    ) -> Vec<Result<Positions>> {
        let asked = groups.iter().copied();
        let asked = asked.map(|(group, partitions)| Asked { group, partitions, stable });
        let items: Vec<_> = asked.collect();
        let to = To::Coordinator(CoordinatorKind::Group, |asked: &Asked<'_>| asked.group);
        Each { client: self, items: &items, to, repeat: Repeat::Harmless }.ask(fetch).await
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
        let items: Vec<_> = offsets.iter().map(|thing| InGroup { group, thing }).collect();
        let to = To::Coordinator(CoordinatorKind::Group, |item: &InGroup<'_, _>| item.group);
        Each { client: self, items: &items, to, repeat: Repeat::Harmless }.ask(store).await
    }

    /// Forgets positions of a group (KIP-496), in topics that no member of it reads. The results
    /// stand in the order given. A position that was never stored is forgotten, too.
    ///
    /// # Errors
    ///
    /// For each: the broker's code, such as `GROUP_ID_NOT_FOUND`, or `GROUP_SUBSCRIBED_TO_TOPIC`
    /// while a member reads the topic; [`crate::ErrorKind::Unsupported`] from brokers before 2.4.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: positions may or may not be forgotten.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Vec<Result<()>> {
        let items: Vec<_> = partitions.iter().map(|thing| InGroup { group, thing }).collect();
        let to = To::Coordinator(CoordinatorKind::Group, |item: &InGroup<'_, _>| item.group);
        Each { client: self, items: &items, to, repeat: Repeat::Harmless }.ask(forget).await
    }
}

/// A group and what is asked of it.
struct Asked<'a> {
    group: &'a str,
    partitions: Option<&'a [TopicPartition]>,
    /// Only what no open transaction may change.
    stable: bool,
}

impl Item for Asked<'_> {
    type Key = String;

    fn key(&self) -> String {
        self.group.to_owned()
    }

    fn named(&self, error: Error) -> Error {
        about(error, "group", self.group)
    }
}

/// Something of a group.
struct InGroup<'a, T> {
    group: &'a str,
    thing: &'a T,
}

impl<T: Item> Item for InGroup<'_, T> {
    type Key = T::Key;

    fn key(&self) -> T::Key {
        self.thing.key()
    }

    fn named(&self, error: Error) -> Error {
        about(self.thing.named(error), "group", self.group)
    }
}

/// Reads positions of some groups: in one request, or in one each where the broker is older.
async fn fetch(call: Call<'_, Asked<'_>>) -> Told<String, Positions> {
    let version = call.handle.version_up_to::<OffsetFetchRequest>(BY_NAME)?;
    let require_stable = call.items.iter().any(|asked| asked.stable);
    if require_stable && version < STABLE {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the broker can't tell positions of open transactions from committed ones",
        )
        .with_hint("upgrade the brokers to Kafka 2.5 or later"));
    }
    if version >= LISTS {
        let groups = call.items.iter().map(|asked| group_request(asked)).collect();
        let request = OffsetFetchRequest { groups, require_stable, ..Default::default() };
        let answer = call.request_in(&request, version).await?.groups.into_iter();
        return Ok(answer
            .map(|group| {
                let found = Error::check(group.error_code).and_then(|()| positions(group.topics));
                (group.group_id, found)
            })
            .collect());
    }
    let asked = together(call.items.iter().map(|asked| fetch_one(&call, asked, version))).await;
    Ok(call.items.iter().map(|asked| asked.key()).zip(asked).collect())
}

async fn fetch_one(
    call: &Call<'_, Asked<'_>>,
    asked: &Asked<'_>,
    version: i16,
) -> Result<Positions> {
    let topic = |name, partition_indexes| OffsetFetchRequestTopic { name, partition_indexes };
    let request = OffsetFetchRequest {
        group_id: asked.group.to_owned(),
        topics: asked.partitions.map(|partitions| gathered(partitions, topic)),
        require_stable: asked.stable,
        ..Default::default()
    };
    let response = call.request_in(&request, version).await?;
    Error::check(response.error_code)?;
    // The older shape has the same fields as the newer.
    let partition = |one: OffsetFetchResponsePartition| OffsetFetchResponsePartitions {
        partition_index: one.partition_index,
        committed_offset: one.committed_offset,
        committed_leader_epoch: one.committed_leader_epoch,
        metadata: one.metadata,
        error_code: one.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopic| OffsetFetchResponseTopics {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
        ..Default::default()
    };
    positions(response.topics.into_iter().map(topic).collect())
}

fn group_request(asked: &Asked<'_>) -> OffsetFetchRequestGroup {
    let topic = |name, partition_indexes| OffsetFetchRequestTopics {
        name,
        partition_indexes,
        ..Default::default()
    };
    OffsetFetchRequestGroup {
        group_id: asked.group.to_owned(),
        topics: asked.partitions.map(|partitions| gathered(partitions, topic)),
        ..Default::default()
    }
}

/// The positions of an answer; one that is not stored is -1 there.
fn positions(topics: Vec<OffsetFetchResponseTopics>) -> Result<Positions> {
    let mut found = Positions::new();
    for topic in topics {
        for (partition, one) in named(topic.name, topic.partitions, |one| one.partition_index) {
            Error::check(one.error_code).map_err(|error| partition.named(error))?;
            if one.committed_offset >= 0 {
                let position = CommittedOffset {
                    offset: one.committed_offset,
                    leader_epoch: Some(one.committed_leader_epoch).filter(|epoch| *epoch >= 0),
                    metadata: one.metadata.unwrap_or_default(),
                };
                found.insert(partition, position);
            }
        }
    }
    Ok(found)
}

/// Stores positions in one request.
async fn store(
    call: Call<'_, InGroup<'_, (TopicPartition, CommittedOffset)>>,
) -> Told<TopicPartition, ()> {
    let version = call.handle.version_up_to::<OffsetCommitRequest>(BY_NAME)?;
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for InGroup { thing: (partition, position), .. } in &call.items {
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
        group_id: group_of(&call.items),
        topics: topics.into_iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    };
    let answer = call.request_in(&request, version).await?.topics.into_iter();
    let told =
        answer.flat_map(|topic| named(topic.name, topic.partitions, |one| one.partition_index));
    Ok(told.map(|(partition, one)| (partition, Error::check(one.error_code))).collect())
}

/// Forgets positions in one request.
async fn forget(call: Call<'_, InGroup<'_, TopicPartition>>) -> Told<TopicPartition, ()> {
    let topic = |name, partitions: Vec<i32>| OffsetDeleteRequestTopic {
        name,
        partitions: partitions
            .into_iter()
            .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
            .collect(),
    };
    let request = OffsetDeleteRequest {
        group_id: group_of(&call.items),
        topics: gathered(call.items.iter().map(|item| item.thing), topic),
    };
    let response = call.request(&request).await?;
    Error::check(response.error_code)?;
    let answer = response.topics.into_iter();
    let told =
        answer.flat_map(|topic| named(topic.name, topic.partitions, |one| one.partition_index));
    Ok(told.map(|(partition, one)| (partition, Error::check(one.error_code))).collect())
}

/// The group of all items: each call is about one.
fn group_of<T>(items: &[&InGroup<'_, T>]) -> String {
    items.first().map(|item| item.group.to_owned()).unwrap_or_default()
}

/// The last version that names topics; the next speaks of ids (KIP-516), which not every broker
/// tells.
const BY_NAME: i16 = 9;

/// From this version on a broker keeps back what an open transaction may change (KIP-447).
const STABLE: i16 = 7;

/// From this version on positions of several groups can be asked for.
const LISTS: i16 = 8;
