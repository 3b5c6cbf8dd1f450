//! The requests of groups, each with its handler and how it is refused.

use klamm_protocol::api::ApiKey;
use klamm_protocol::error::DecodeError;
use klamm_protocol::header::decode_request;
use klamm_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use klamm_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use klamm_protocol::messages::delete_groups::DeleteGroupsRequest;
use klamm_protocol::messages::describe_groups::DescribeGroupsRequest;
use klamm_protocol::messages::find_coordinator::FindCoordinatorRequest;
use klamm_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use klamm_protocol::messages::join_group::JoinGroupRequest;
use klamm_protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use klamm_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use klamm_protocol::messages::offset_commit::OffsetCommitRequest;
use klamm_protocol::messages::offset_delete::OffsetDeleteRequest;
use klamm_protocol::messages::offset_fetch::OffsetFetchRequest;
use klamm_protocol::messages::sync_group::SyncGroupRequest;

use super::{Incoming, Machine};
use crate::broker::group;
use crate::broker::group::consumer::answer;
use crate::broker::group::remove;

impl Machine {
    pub(super) fn membership(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let (origin, refusal) = (incoming.context.origin, incoming.refusal);
        match origin.key {
            ApiKey::JoinGroup => {
                let request: JoinGroupRequest = decode_request(incoming.body, origin.version)?;
                let Self { groups, topology, outbox, .. } = self;
                match refusal {
                    Some(code) => group::refuse_join(outbox, &origin, &request.member_id, code),
                    None => groups.join(topology, outbox, &incoming.context, request),
                }
                Ok(())
            }
            ApiKey::SyncGroup => {
                let request: SyncGroupRequest = decode_request(incoming.body, origin.version)?;
                let Self { groups, topology, outbox, .. } = self;
                match refusal {
                    Some(code) => group::refuse_sync(outbox, &origin, code),
                    None => groups.sync(topology, outbox, &incoming.context, request),
                }
                Ok(())
            }
            ApiKey::Heartbeat => self.reply(
                incoming,
                |machine, context, request: &HeartbeatRequest| HeartbeatResponse {
                    error_code: machine.groups.heartbeat(&machine.topology, context, request),
                    ..HeartbeatResponse::default()
                },
                |_, _, error_code| HeartbeatResponse { error_code, ..HeartbeatResponse::default() },
            ),
            _ => self.reply(
                incoming,
                |machine, context, request: &LeaveGroupRequest| {
                    let Self { groups, topology, outbox, .. } = machine;
                    groups.leave(topology, outbox, context, request)
                },
                |_, _, error_code| LeaveGroupResponse {
                    error_code,
                    ..LeaveGroupResponse::default()
                },
            ),
        }
    }

    pub(super) fn consumer_heartbeat(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        self.reply(
            incoming,
            |machine, context, request: &ConsumerGroupHeartbeatRequest| {
                let Self { groups, topology, .. } = machine;
                answer::heartbeat(groups, topology, context, request)
            },
            |_, _, code| answer::refuse_heartbeat(code, None),
        )
    }

    pub(super) fn remove_from_groups(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        if incoming.context.origin.key == ApiKey::DeleteGroups {
            return self.reply(
                incoming,
                |machine, context, request: &DeleteGroupsRequest| {
                    let Self { groups, topology, .. } = machine;
                    remove::groups(groups, topology, context, request)
                },
                |_, request, code| remove::refuse_groups(request, code),
            );
        }
        self.reply(
            incoming,
            |machine, context, request: &OffsetDeleteRequest| {
                let Self { groups, topology, .. } = machine;
                remove::positions(groups, topology, context, request)
            },
            |_, _, code| remove::refuse_positions(code),
        )
    }

    pub(super) fn group_offsets(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let version = incoming.context.origin.version;
        if incoming.context.origin.key == ApiKey::OffsetCommit {
            return self.reply(
                incoming,
                |machine, context, request: &OffsetCommitRequest| {
                    let Self { groups, topology, .. } = machine;
                    group::offsets::commit(groups, topology, context, request)
                },
                |_, request, code| group::offsets::refuse_commit(request, code),
            );
        }
        self.reply(
            incoming,
            |machine, context, request: &OffsetFetchRequest| {
                group::offsets::fetch(&machine.groups, &machine.topology, context, request)
            },
            |_, request, code| group::offsets::refuse_fetch(version, request, code),
        )
    }

    pub(super) fn describe_groups(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let version = incoming.context.origin.version;
        match incoming.context.origin.key {
            ApiKey::FindCoordinator => self.reply(
                incoming,
                |machine, _, request: &FindCoordinatorRequest| {
                    group::describe::find_coordinator(&machine.topology, version, request)
                },
                |_, request, code| group::describe::refuse_coordinator(version, request, code),
            ),
            ApiKey::ListGroups => self.reply(
                incoming,
                |machine, context, request: &ListGroupsRequest| {
                    group::describe::list(&machine.groups, &machine.topology, context, request)
                },
                |_, _, error_code| ListGroupsResponse {
                    error_code,
                    ..ListGroupsResponse::default()
                },
            ),
            ApiKey::ConsumerGroupDescribe => self.reply(
                incoming,
                |machine, context, request: &ConsumerGroupDescribeRequest| {
                    answer::describe(&machine.groups, &machine.topology, context, request)
                },
                |_, request, code| answer::refuse_describe(request, code),
            ),
            _ => self.reply(
                incoming,
                |machine, context, request: &DescribeGroupsRequest| {
                    group::describe::describe(&machine.groups, &machine.topology, context, request)
                },
                |_, request, code| group::describe::refuse_describe(request, code),
            ),
        }
    }
}
