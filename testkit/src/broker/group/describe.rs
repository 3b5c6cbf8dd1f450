//! FindCoordinator (of transactions, too), ListGroups and DescribeGroups: which groups there are, who looks after them,
//! and how they stand.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use klamm_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use klamm_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::{Group, Groups, check_coordinator};
use crate::broker::outbox::Context;
use crate::broker::topology::Topology;

/// Answers FindCoordinator, for one key before version 4 and for many since.
pub(crate) fn find_coordinator(
    topology: &Topology,
    version: i16,
    request: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let find = |key: &str| match request.key_type {
        GROUP | TRANSACTION => locate(topology, key),
        _ => refused(key, ErrorCode::INVALID_REQUEST, Some(NO_SHARES)),
    };
    shaped(version, request, find)
}

/// Every key of the request refused with `code`.
pub(crate) fn refuse_coordinator(
    version: i16,
    request: &FindCoordinatorRequest,
    code: ErrorCode,
) -> FindCoordinatorResponse {
    shaped(version, request, |key| refused(key, code, None))
}

/// Answers ListGroups with the groups that this node looks after.
pub(crate) fn list(
    groups: &Groups,
    topology: &Topology,
    context: &Context<'_>,
    request: &ListGroupsRequest,
) -> ListGroupsResponse {
    let matches = |filter: &[String], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let mine = groups
        .iter()
        .filter(|(id, _)| check_coordinator(topology, context, id).is_ok())
        .filter(|(_, group)| matches(&request.states_filter, group.state()))
        .filter(|(_, group)| matches(&request.types_filter, group.kind()));
    ListGroupsResponse {
        groups: mine
            .map(|(id, group)| ListedGroup {
                group_id: id.clone(),
                protocol_type: match &group.consumers {
                    Some(_) => CONSUMER.to_owned(),
                    None => group.members.protocol_type().to_owned(),
                },
                group_state: group.state().to_owned(),
                group_type: group.kind().to_owned(),
            })
            .collect(),
        ..ListGroupsResponse::default()
    }
}

/// Answers DescribeGroups.
pub(crate) fn describe(
    groups: &Groups,
    topology: &Topology,
    context: &Context<'_>,
    request: &DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let one = |id: &String| match check_coordinator(topology, context, id) {
        Err(code) => failed(id, code),
        Ok(()) => match groups.group(id) {
            Some(group) if group.consumers.is_some() => {
                let message = format!("Group {id} is not a classic group.");
                absent(id, context.origin.version, message)
            }
            Some(group) => described(id, group),
            None => absent(id, context.origin.version, format!("Group {id} not found.")),
        },
    };
    DescribeGroupsResponse {
        groups: request.groups.iter().map(one).collect(),
        ..DescribeGroupsResponse::default()
    }
}

/// Every group of the request refused with `code`.
pub(crate) fn refuse_describe(
    request: &DescribeGroupsRequest,
    code: ErrorCode,
) -> DescribeGroupsResponse {
    DescribeGroupsResponse {
        groups: request.groups.iter().map(|id| failed(id, code)).collect(),
        ..DescribeGroupsResponse::default()
    }
}

impl Group {
    /// Kafka's name for where it stands.
    fn state(&self) -> &'static str {
        match &self.consumers {
            Some(consumers) => consumers.state(),
            None => self.members.phase().name(),
        }
    }

    /// Kafka's name for who assigns in it.
    fn kind(&self) -> &'static str {
        if self.consumers.is_some() { CONSUMER } else { CLASSIC }
    }
}

fn shaped(
    version: i16,
    request: &FindCoordinatorRequest,
    find: impl Fn(&str) -> Coordinator,
) -> FindCoordinatorResponse {
    if version >= MANY_KEYS {
        return FindCoordinatorResponse {
            coordinators: request.coordinator_keys.iter().map(|key| find(key)).collect(),
            ..FindCoordinatorResponse::default()
        };
    }
    let found = find(&request.key);
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

fn locate(topology: &Topology, key: &str) -> Coordinator {
    let Some(broker) = topology.coordinator(key) else {
        return refused(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, None);
    };
    Coordinator {
        key: key.to_owned(),
        node_id: broker.node,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        error_code: ErrorCode::NONE,
        error_message: None,
    }
}

fn refused(key: &str, error_code: ErrorCode, message: Option<&str>) -> Coordinator {
    Coordinator {
        key: key.to_owned(),
        node_id: -1,
        host: String::new(),
        port: -1,
        error_code,
        error_message: message.map(str::to_owned),
    }
}

fn described(id: &str, group: &Group) -> DescribedGroup {
    let protocol = group.members.protocol();
    let members = group.members.iter().map(|(id, member)| DescribedGroupMember {
        member_id: id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: "/127.0.0.1".to_owned(),
        member_metadata: member.metadata(protocol),
        member_assignment: member.assignment.clone(),
    });
    DescribedGroup {
        group_id: id.to_owned(),
        group_state: group.members.phase().name().to_owned(),
        protocol_type: group.members.protocol_type().to_owned(),
        protocol_data: protocol.to_owned(),
        members: members.collect(),
        ..DescribedGroup::default()
    }
}

/// A group that is not there: an error since version 6 (KIP-1043), a dead group before.
fn absent(id: &str, version: i16, message: String) -> DescribedGroup {
    if version < 6 {
        return DescribedGroup {
            group_id: id.to_owned(),
            group_state: "Dead".to_owned(),
            ..DescribedGroup::default()
        };
    }
    DescribedGroup {
        error_message: Some(message),
        group_state: "Dead".to_owned(),
        ..failed(id, ErrorCode::GROUP_ID_NOT_FOUND)
    }
}

fn failed(id: &str, error_code: ErrorCode) -> DescribedGroup {
    DescribedGroup { group_id: id.to_owned(), error_code, ..DescribedGroup::default() }
}

const GROUP: i8 = 0;
const CLASSIC: &str = "classic";
/// The type of groups whose coordinator assigns, and the protocol type of all consumers.
const CONSUMER: &str = "consumer";
const TRANSACTION: i8 = 1;
const NO_SHARES: &str = "this broker coordinates groups and transactions only";
/// From this version on many keys are asked for (KIP-699).
const MANY_KEYS: i16 = 4;
