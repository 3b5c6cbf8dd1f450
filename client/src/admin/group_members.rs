//! Groups with their members. In: names; out: a description of each, whichever protocol it speaks:
//! coordinators are asked for groups of the newer one (KIP-848) first, and for what is none as a
//! classic group then.

use bytes::Bytes;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::DecodeError;
use klamm_protocol::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, DescribedGroup as ConsumerGroup,
    Member as ConsumerMember,
};
use klamm_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribedGroup as ClassicGroup, DescribedGroupMember,
};
use klamm_protocol::wire::Reader;

use crate::client::Client;
use crate::cluster::{CoordinatorKind, Repeat};
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::acls::{AclOperation, allowed};
use super::by_topic::named;
use super::each::{Call, Each, Named, To, Told, verdict};
use super::groups::{GroupState, GroupType};

/// A group and its members.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
/// let group = client.describe_groups(&["billing"]).await.remove(0)?;
/// for member in &group.members {
///     println!("{} at {} reads {} partitions", member.id, member.host, member.assigned.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its name.
    pub id: String,
    /// The protocol that it speaks.
    pub group_type: GroupType,
    /// How it stands.
    pub state: GroupState,
    /// What its members do: `consumer`, `connect`; empty if they only store positions.
    pub protocol_type: String,
    /// Who assigns partitions; empty if nobody does now.
    pub assignor: String,
    /// Of the newer protocol: the epoch of the group, and the one that was assigned last.
    pub epochs: Option<(i32, i32)>,
    /// Its members, by id.
    pub members: Vec<GroupMember>,
    /// What the caller may do with it; `None` from brokers before 2.3.
    pub authorized: Option<Vec<AclOperation>>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub id: String,
    /// The name that it gave itself, if it is static (KIP-345).
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// The address that it speaks from.
    pub host: String,
    /// Its rack, if it told one (KIP-848).
    pub rack: Option<String>,
    /// What it reads now, in order; empty where members are no consumers.
    pub assigned: Vec<TopicPartition>,
    /// What it shall read in the end; with the classic protocol the same.
    pub target: Vec<TopicPartition>,
    /// The epoch up to which it has followed (KIP-848).
    pub epoch: Option<i32>,
    /// The topics that it subscribes to by name (KIP-848).
    pub subscribed: Vec<String>,
    /// The expression that it subscribes to (KIP-848).
    pub pattern: Option<String>,
}

impl Client {
    /// Describes groups. The results stand in the order of the groups.
    ///
    /// # Errors
    ///
    /// For each: `GROUP_ID_NOT_FOUND`, from older brokers, too, which call such a group dead;
    /// another code of the broker's with its own words; or
    /// [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_groups(&self, groups: &[&str]) -> Vec<Result<GroupDescription>> {
        let items: Vec<_> = groups.iter().map(|group| Named("group", group)).collect();
        let to = To::Coordinator(CoordinatorKind::Group, |group: &Named<'_>| group.1);
        Each { client: self, items: &items, to, repeat: Repeat::Harmless }.ask(describe).await
    }
}

async fn describe(call: Call<'_, Named<'_>>) -> Told<String, GroupDescription> {
    let mut told = Vec::new();
    let mut classic: Vec<String> = call.items.iter().map(|group| group.1.to_owned()).collect();
    if call.handle.versions().range(ApiKey::ConsumerGroupDescribe).is_some() {
        let group_ids = std::mem::take(&mut classic);
        let request =
            ConsumerGroupDescribeRequest { group_ids, include_authorized_operations: true };
        for group in call.request(&request).await?.groups {
            match group.error_code {
                // There is no such group of the newer protocol, or the broker does not speak it.
                ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION => {
                    classic.push(group.group_id);
                }
                code => {
                    let outcome = verdict(code, group.error_message.clone());
                    let outcome = outcome.map(|()| GroupDescription::consumer(group.clone()));
                    told.push((group.group_id, outcome));
                }
            }
        }
    }
    if classic.is_empty() {
        return Ok(told);
    }
    let rights = call.handle.version_of::<DescribeGroupsRequest>()? >= RIGHTS;
    let request = DescribeGroupsRequest { groups: classic, include_authorized_operations: rights };
    let groups = call.request(&request).await?.groups.into_iter();
    told.extend(groups.map(|group| (group.group_id.clone(), GroupDescription::classic(group))));
    Ok(told)
}

impl GroupDescription {
    fn consumer(told: ConsumerGroup) -> Self {
        let mut members: Vec<_> = told.members.into_iter().map(GroupMember::consumer).collect();
        members.sort_by(|a, b| a.id.cmp(&b.id));
        Self {
            id: told.group_id,
            group_type: GroupType::Consumer,
            state: told.group_state.as_str().into(),
            protocol_type: CONSUMER.to_owned(),
            assignor: told.assignor_name,
            epochs: Some((told.group_epoch, told.assignment_epoch)),
            members,
            authorized: allowed(told.authorized_operations),
        }
    }

    fn classic(told: ClassicGroup) -> Result<Self> {
        verdict(told.error_code, told.error_message)?;
        let state = GroupState::from(told.group_state.as_str());
        if state == GroupState::Dead && told.members.is_empty() {
            return Err(Error::broker(ErrorCode::GROUP_ID_NOT_FOUND));
        }
        let consumers = told.protocol_type == CONSUMER;
        let members = told.members.into_iter().map(|one| GroupMember::classic(one, consumers));
        let mut members: Vec<_> = members.collect();
        members.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self {
            id: told.group_id,
            group_type: GroupType::Classic,
            state,
            protocol_type: told.protocol_type,
            assignor: told.protocol_data,
            epochs: None,
            members,
            authorized: allowed(told.authorized_operations),
        })
    }
}

impl GroupMember {
    fn consumer(told: ConsumerMember) -> Self {
        Self {
            id: told.member_id,
            instance_id: told.instance_id,
            client_id: told.client_id,
            host: told.client_host,
            rack: told.rack_id,
            assigned: partitions(told.assignment),
            target: partitions(told.target_assignment),
            epoch: Some(told.member_epoch),
            subscribed: told.subscribed_topic_names,
            pattern: told.subscribed_topic_regex.filter(|pattern| !pattern.is_empty()),
        }
    }

    /// An assignment in an encoding that is not the consumers' is no reason to hide the member.
    fn classic(told: DescribedGroupMember, consumers: bool) -> Self {
        let assigned = match assignment(told.member_assignment) {
            Ok(assigned) if consumers => assigned,
            _ => Vec::new(),
        };
        Self {
            id: told.member_id,
            instance_id: told.group_instance_id,
            client_id: told.client_id,
            host: told.client_host,
            rack: None,
            target: assigned.clone(),
            assigned,
            epoch: None,
            subscribed: Vec::new(),
            pattern: None,
        }
    }
}

fn partitions(told: Assignment) -> Vec<TopicPartition> {
    let topics = told.topic_partitions.into_iter();
    let each = topics.flat_map(|one| named(one.topic_name, one.partitions, |index| *index));
    let mut partitions: Vec<_> = each.map(|(partition, _)| partition).collect();
    partitions.sort();
    partitions
}

/// What consumers of the classic protocol are given: a version, topics with partitions, and data of
/// the assignor's own. A member that has none yet has no bytes at all.
fn assignment(bytes: Bytes) -> Result<Vec<TopicPartition>, DecodeError> {
    let mut found = Vec::new();
    if bytes.is_empty() {
        return Ok(found);
    }
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    for _ in 0..reader.array_len(SMALLEST_TOPIC)?.unwrap_or_default() {
        let topic = reader.string()?;
        let count = reader.array_len(SMALLEST_PARTITION)?.unwrap_or_default();
        let indexes = (0..count).map(|_| reader.i32()).collect::<Result<Vec<_>, _>>()?;
        found.extend(named(topic, indexes, |index| *index).map(|(partition, _)| partition));
    }
    found.sort();
    Ok(found)
}

const CONSUMER: &str = "consumer";
/// From this version on a request may ask for the caller's rights (KIP-430).
const RIGHTS: i16 = 3;
/// A name's length and a count.
const SMALLEST_TOPIC: usize = 6;
const SMALLEST_PARTITION: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_a_damaged_one_is_an_error() {
        let bytes = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\x03\0\0\0\x01\0\0\0\0";
        let found = assignment(Bytes::from_static(bytes)).unwrap();
        assert_eq!(found, [TopicPartition::new("t", 1), TopicPartition::new("t", 3)]);
        assert_eq!(assignment(Bytes::new()).unwrap(), []);
        // What follows is the assignor's own, and is not read.
        for end in 1..21 {
            assert!(assignment(Bytes::from_static(&bytes[..end])).is_err(), "{end} bytes");
        }
    }
}
