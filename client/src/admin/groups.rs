//! Groups: which there are, who is in them, and their end. In: names or filters; out: one result a
//! group. Coordinators answer for their groups, of the classic protocol and of the newer one
//! (KIP-848) alike.

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::delete_groups::DeleteGroupsRequest;
use klamm_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use klamm_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::{CoordinatorKind, Repeat};
use crate::error::{Error, Result};
use crate::net::handle::Handle;

use super::each::{Call, Each, Item, Named, To, Told, about, too_old, verdict};
use super::kinds::words;
use super::listing::Listing;

words! {
    /// How a group stands.
    GroupState {
        /// It waits for its members to join.
        PreparingRebalance "PreparingRebalance";
        /// It waits for the leader's assignment.
        CompletingRebalance "CompletingRebalance";
        /// All members have what they shall read.
        Stable "Stable";
        /// It is being removed.
        Dead "Dead";
        /// It has no members.
        Empty "Empty";
        /// The broker computes an assignment (KIP-848).
        Assigning "Assigning";
        /// Members give partitions up and take them over (KIP-848).
        Reconciling "Reconciling";
        /// Its topics are not as it needs them.
        NotReady "NotReady";
    }
}

words! {
    /// The protocol that a group speaks.
    GroupType {
        /// The one from the beginning, in which a member assigns.
        Classic "classic";
        /// The one of KIP-848, in which the broker assigns.
        Consumer "consumer";
        /// Share groups (KIP-932).
        Share "share";
        /// Groups of Kafka Streams (KIP-1071).
        Streams "streams";
    }
}

/// A group in short.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedGroup {
    /// Its name.
    pub id: String,
    /// What its members do: `consumer`, `connect`; empty if they only store positions.
    pub protocol_type: String,
    /// How it stands; `None` from brokers before 2.6.
    pub state: Option<GroupState>,
    /// Which protocol it speaks; `None` from brokers before 3.7.
    pub group_type: Option<GroupType>,
}

/// Which groups to list; by default all.
///
/// ```
/// use klamm_client::admin::{GroupFilter, GroupState, GroupType};
///
/// let idle = GroupFilter::default().with_state(GroupState::Empty).with_type(GroupType::Classic);
/// assert_eq!((idle.states.len(), idle.types.len()), (1, 1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupFilter {
    /// Only in these states (brokers since 2.6, KIP-518); empty for any.
    pub states: Vec<GroupState>,
    /// Only of these types (brokers since 3.7, KIP-848); empty for any.
    pub types: Vec<GroupType>,
}

/// A member to remove from a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberName {
    /// By the id that the coordinator gave it.
    Id(String),
    /// By the name that it gave itself (`group.instance.id`, KIP-345).
    Instance(String),
}

impl GroupFilter {
    /// In this state, too.
    #[must_use]
    pub fn with_state(mut self, state: GroupState) -> Self {
        self.states.push(state);
        self
    }

    /// Of this type, too.
    #[must_use]
    pub fn with_type(mut self, group_type: GroupType) -> Self {
        self.types.push(group_type);
        self
    }
}

impl Client {
    /// The groups of all coordinators that a filter finds, by name.
    ///
    /// # Errors
    ///
    /// For each broker apart, in [`Listing::failed`]: the broker's code,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where it is too old for the filter, or
    /// [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`. As a whole if no
    /// broker is known.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list_groups(&self, filter: &GroupFilter) -> Result<Listing<ListedGroup>> {
        let ask = |handle, deadline| list(filter, handle, deadline);
        let mut listing = self.list_everywhere(ask).await?;
        listing.found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(listing)
    }

    /// Deletes groups that have no members, with their positions. The results stand in the order of
    /// the groups.
    ///
    /// # Errors
    ///
    /// For each: `GROUP_ID_NOT_FOUND`, `NON_EMPTY_GROUP` while it has members, or another code of
    /// the broker's; [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) where the request got no
    /// answer, which is not repeated; [`TimedOut`](crate::ErrorKind::TimedOut) after
    /// `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: groups may or may not be deleted.
    pub async fn delete_groups(&self, groups: &[&str]) -> Vec<Result<()>> {
        let items: Vec<_> = groups.iter().map(|group| Named("group", group)).collect();
        let to = To::Coordinator(CoordinatorKind::Group, |group: &Named<'_>| group.1);
        Each { client: self, items: &items, to, repeat: Repeat::Harmful }.ask(delete).await
    }

    /// Removes members from a group, which then divides their partitions among the others. The
    /// results stand in the order of the members. A member that is alive and not static joins again.
    ///
    /// # Errors
    ///
    /// For each: `UNKNOWN_MEMBER_ID` or another code of the broker's;
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) where the request got no answer, which
    /// is not repeated; [`Unsupported`](crate::ErrorKind::Unsupported) from brokers before 2.4.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: members may or may not be removed.
    pub async fn remove_members(&self, group: &str, members: &[MemberName]) -> Vec<Result<()>> {
        let items: Vec<_> = members.iter().map(|member| Leaver { group, member }).collect();
        let to = To::Coordinator(CoordinatorKind::Group, |one: &Leaver<'_>| one.group);
        Each { client: self, items: &items, to, repeat: Repeat::Harmful }.ask(remove).await
    }
}

/// A member that has to go.
struct Leaver<'a> {
    group: &'a str,
    member: &'a MemberName,
}

impl Item for Leaver<'_> {
    type Key = MemberName;

    fn key(&self) -> MemberName {
        self.member.clone()
    }

    fn named(&self, error: Error) -> Error {
        let error = about(error, "group", self.group);
        match self.member {
            MemberName::Id(id) => about(error, "member", id),
            MemberName::Instance(name) => about(error, "instance", name),
        }
    }
}

async fn list(filter: &GroupFilter, handle: Handle, deadline: Instant) -> Result<Vec<ListedGroup>> {
    let version = handle.version_of::<ListGroupsRequest>()?;
    if version < STATES && !filter.states.is_empty() {
        let what = "the broker cannot list groups by their state";
        return Err(too_old(&handle, ApiKey::ListGroups, what));
    }
    if version < TYPES && !filter.types.is_empty() {
        let what = "the broker cannot list groups by their type";
        return Err(too_old(&handle, ApiKey::ListGroups, what));
    }
    let request = ListGroupsRequest {
        states_filter: filter.states.iter().map(|state| state.name().to_owned()).collect(),
        types_filter: filter.types.iter().map(|one| one.name().to_owned()).collect(),
    };
    let response: ListGroupsResponse = handle.request(&request, deadline).await?;
    Error::check(response.error_code)?;
    let groups = response.groups.into_iter().map(|one| ListedGroup {
        id: one.group_id,
        protocol_type: one.protocol_type,
        state: (version >= STATES).then(|| one.group_state.as_str().into()),
        group_type: (version >= TYPES).then(|| one.group_type.as_str().into()),
    });
    Ok(groups.collect())
}

async fn delete(call: Call<'_, Named<'_>>) -> Told<String, ()> {
    let groups_names = call.items.iter().map(|group| group.1.to_owned()).collect();
    let told = call.request(&DeleteGroupsRequest { groups_names }).await?.results.into_iter();
    Ok(told.map(|one| (one.group_id, verdict(one.error_code, one.error_message))).collect())
}

async fn remove(call: Call<'_, Leaver<'_>>) -> Told<MemberName, ()> {
    if call.handle.version_of::<LeaveGroupRequest>()? < MANY_LEAVE {
        let what = "the broker lets members leave only by themselves";
        return Err(too_old(&call.handle, ApiKey::LeaveGroup, what));
    }
    let identity = |one: &&Leaver<'_>| {
        let (member_id, group_instance_id) = match one.member {
            MemberName::Id(id) => (id.clone(), None),
            MemberName::Instance(name) => (String::new(), Some(name.clone())),
        };
        MemberIdentity { member_id, group_instance_id, reason: Some(REASON.to_owned()) }
    };
    let request = LeaveGroupRequest {
        group_id: call.items.first().map(|one| one.group.to_owned()).unwrap_or_default(),
        members: call.items.iter().map(identity).collect(),
        ..LeaveGroupRequest::default()
    };
    let response = call.request(&request).await?;
    // A member that is unknown is told of all of them, too, where it was the only one.
    if response.error_code != ErrorCode::UNKNOWN_MEMBER_ID || response.members.is_empty() {
        Error::check(response.error_code)?;
    }
    Ok(response
        .members
        .into_iter()
        .map(|one| {
            let name = match one.group_instance_id {
                Some(instance) => MemberName::Instance(instance),
                None => MemberName::Id(one.member_id),
            };
            (name, Error::check(one.error_code))
        })
        .collect())
}

const REASON: &str = "removed by an administrator";
/// From this version on groups are listed with their states, and by them (KIP-518).
const STATES: i16 = 4;
/// From this version on groups are listed with their types, and by them (KIP-848).
const TYPES: i16 = 5;
/// From this version on many members can leave at once, by whoever's word (KIP-345).
const MANY_LEAVE: i16 = 3;
