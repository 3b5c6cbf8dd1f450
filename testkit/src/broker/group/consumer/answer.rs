//! ConsumerGroupHeartbeat and ConsumerGroupDescribe: requests in, responses out.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::consumer_group_describe as describe;
use klamm_protocol::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use klamm_protocol::wire::Uuid;

use super::assign::{Assignor, Partitions};
use super::member::Member;
use super::{Beat, ConsumerGroup, LEAVE, LEAVE_FOR_A_WHILE};
use crate::broker::group::{Groups, check_coordinator};
use crate::broker::outbox::Context;
use crate::broker::topology::Topology;
use crate::log::Refusal;

/// Answers ConsumerGroupHeartbeat.
pub(crate) fn heartbeat(
    groups: &mut Groups,
    topology: &mut Topology,
    context: &Context<'_>,
    request: &ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    match try_heartbeat(groups, topology, context, request) {
        Ok(response) => response,
        Err(refusal) => refuse_heartbeat(refusal.code, Some(refusal.message)),
    }
}

/// A heartbeat refused with `code`.
pub(crate) fn refuse_heartbeat(
    error_code: ErrorCode,
    error_message: Option<String>,
) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code,
        error_message,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

/// Answers ConsumerGroupDescribe.
pub(crate) fn describe(
    groups: &Groups,
    topology: &Topology,
    context: &Context<'_>,
    request: &describe::ConsumerGroupDescribeRequest,
) -> describe::ConsumerGroupDescribeResponse {
    let one = |id: &String| match check_coordinator(topology, context, id) {
        Err(code) => failed(id, code, code.meaning().to_owned()),
        Ok(()) => match groups.group(id) {
            None => failed(id, ErrorCode::GROUP_ID_NOT_FOUND, format!("Group {id} not found.")),
            Some(group) => match &group.consumers {
                Some(consumers) => described(id, consumers, topology),
                None => {
                    let message = format!("Group {id} is not a consumer group.");
                    failed(id, ErrorCode::GROUP_ID_NOT_FOUND, message)
                }
            },
        },
    };
    describe::ConsumerGroupDescribeResponse {
        groups: request.group_ids.iter().map(one).collect(),
        ..describe::ConsumerGroupDescribeResponse::default()
    }
}

/// Every group of the request refused with `code`.
pub(crate) fn refuse_describe(
    request: &describe::ConsumerGroupDescribeRequest,
    code: ErrorCode,
) -> describe::ConsumerGroupDescribeResponse {
    let groups = request.group_ids.iter().map(|id| failed(id, code, code.meaning().to_owned()));
    describe::ConsumerGroupDescribeResponse {
        groups: groups.collect(),
        ..describe::ConsumerGroupDescribeResponse::default()
    }
}

fn try_heartbeat(
    groups: &mut Groups,
    topology: &mut Topology,
    context: &Context<'_>,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
    let config = topology.config();
    if config.group_version < 1 {
        let message = "the consumer group protocol is off (group.version)";
        return Err(Refusal::new(ErrorCode::UNSUPPORTED_VERSION, message));
    }
    let interval = config.consumer_heartbeat_interval;
    let (session_timeout, assignment_interval) =
        (config.consumer_session_timeout, config.consumer_assignment_interval);
    check(context.origin.version, request)?;
    check_coordinator(topology, context, &request.group_id)
        .map_err(|code| Refusal::new(code, code.meaning()))?;
    let group = groups.consumers_for(&request.group_id, request.member_epoch == 0)?;
    if matches!(request.member_epoch, LEAVE | LEAVE_FOR_A_WHILE) {
        group.leave(request)?;
        return Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..ConsumerGroupHeartbeatResponse::default()
        });
    }
    let member_id = match request.member_id.as_str() {
        "" => topology.new_id().to_string(),
        id => id.to_owned(),
    };
    let (now, client_id) = (context.now, context.client_id);
    let member = &member_id;
    let beat =
        Beat { now, request, member_id: member, client_id, session_timeout, assignment_interval };
    let told = group.heartbeat(topology, beat)?;
    Ok(ConsumerGroupHeartbeatResponse {
        member_id: Some(member_id),
        member_epoch: told.epoch,
        heartbeat_interval_ms: i32::try_from(interval.as_millis()).unwrap_or(i32::MAX),
        assignment: told.assignment.map(|partitions| Assignment {
            topic_partitions: partitions
                .into_iter()
                .map(|(topic_id, partitions)| TopicPartitions {
                    topic_id,
                    partitions: partitions.into_iter().collect(),
                })
                .collect(),
        }),
        ..ConsumerGroupHeartbeatResponse::default()
    })
}

/// What can be refused before the group is looked at.
fn check(version: i16, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
    let is_blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
    let needs_id = version >= OWN_IDS || request.member_epoch != 0;
    match request {
        _ if needs_id && request.member_id.is_empty() => invalid("MemberId can't be empty."),
        _ if request.group_id.trim().is_empty() => invalid("GroupId can't be empty."),
        _ if is_blank(&request.instance_id) => invalid("InstanceId can't be empty."),
        _ if is_blank(&request.rack_id) => invalid("RackId can't be empty."),
        _ if request.member_epoch == 0 => check_joining(request),
        _ if request.member_epoch == LEAVE_FOR_A_WHILE && request.instance_id.is_none() => {
            invalid("InstanceId can't be null.")
        }
        _ if request.member_epoch < LEAVE_FOR_A_WHILE => invalid("MemberEpoch is invalid."),
        _ => Ok(()),
    }?;
    match request.server_assignor.as_deref() {
        Some(name) if Assignor::named(name).is_none() => {
            let message = format!(
                "ServerAssignor {name} is not supported. Supported assignors: uniform, range."
            );
            Err(Refusal::new(ErrorCode::UNSUPPORTED_ASSIGNOR, message))
        }
        _ => Ok(()),
    }
}

fn check_joining(request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let message = if request.rebalance_timeout_ms == -1 {
        "RebalanceTimeoutMs must be provided in first request."
    } else if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        "TopicPartitions must be empty when (re-)joining."
    } else if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
    } else {
        return Ok(());
    };
    Err(Refusal::new(ErrorCode::INVALID_REQUEST, message))
}

fn described(id: &str, group: &ConsumerGroup, topology: &Topology) -> describe::DescribedGroup {
    let members = group.members.iter().map(|(member_id, member)| {
        let nothing = Partitions::new();
        let target = group.targets.get(member_id).unwrap_or(&nothing);
        described_member(member_id, member, (&member.assigned, target), topology)
    });
    describe::DescribedGroup {
        group_id: id.to_owned(),
        group_state: group.state().to_owned(),
        group_epoch: group.epoch,
        assignment_epoch: group.target_epoch,
        assignor_name: group.preferred_assignor().name().to_owned(),
        members: members.collect(),
        ..describe::DescribedGroup::default()
    }
}

fn described_member(
    member_id: &str,
    member: &Member,
    (assigned, target): (&Partitions, &Partitions),
    topology: &Topology,
) -> describe::Member {
    describe::Member {
        member_id: member_id.to_owned(),
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        member_epoch: member.epoch,
        client_id: member.client_id.clone(),
        client_host: "/127.0.0.1".to_owned(),
        subscribed_topic_names: member.topics.iter().cloned().collect(),
        subscribed_topic_regex: member.regex.as_ref().map(|regex| regex.text().to_owned()),
        assignment: named(assigned, topology),
        target_assignment: named(target, topology),
        member_type: CONSUMER,
    }
}

/// Partitions with the names of their topics; topics that are gone have none and are left out.
fn named(partitions: &Partitions, topology: &Topology) -> describe::Assignment {
    let name = |id: Uuid| topology.topic_by_id(id).map(|topic| topic.name.clone());
    let topics = partitions.iter().filter_map(|(&topic_id, partitions)| {
        Some(describe::TopicPartitions {
            topic_id,
            topic_name: name(topic_id)?,
            partitions: partitions.iter().copied().collect(),
        })
    });
    describe::Assignment { topic_partitions: topics.collect() }
}

fn failed(id: &str, error_code: ErrorCode, message: String) -> describe::DescribedGroup {
    describe::DescribedGroup {
        group_id: id.to_owned(),
        error_code,
        error_message: Some(message),
        ..describe::DescribedGroup::default()
    }
}

/// From this version on members make their ids themselves (KIP-1082).
const OWN_IDS: i16 = 1;
/// What a member is that does not speak the classic protocol (KIP-1099).
const CONSUMER: i8 = 1;
