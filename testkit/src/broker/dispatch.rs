//! One request after another: in go its header and body, out goes its answer to the outbox, now
//! or later. Which API is served by which handler stands here, and how each refuses.

use std::time::Instant;

use klamm_protocol::api::{ApiKey, Request};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::{DecodeError, DecodeErrorKind};
use klamm_protocol::header::{RequestHeader, decode_request};
use klamm_protocol::messages::api_versions::ApiVersionsRequest;
use klamm_protocol::messages::create_partitions::CreatePartitionsRequest;
use klamm_protocol::messages::create_topics::CreateTopicsRequest;
use klamm_protocol::messages::delete_topics::DeleteTopicsRequest;
use klamm_protocol::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use klamm_protocol::messages::describe_configs::DescribeConfigsRequest;
use klamm_protocol::messages::describe_groups::DescribeGroupsRequest;
use klamm_protocol::messages::describe_topic_partitions::DescribeTopicPartitionsRequest;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::find_coordinator::FindCoordinatorRequest;
use klamm_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use klamm_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use klamm_protocol::messages::join_group::JoinGroupRequest;
use klamm_protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use klamm_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use klamm_protocol::messages::list_offsets::ListOffsetsRequest;
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_protocol::messages::offset_commit::OffsetCommitRequest;
use klamm_protocol::messages::offset_fetch::OffsetFetchRequest;
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::messages::sync_group::SyncGroupRequest;
use klamm_protocol::wire::Reader;

use super::config::ClusterConfig;
use super::fetch::{self, Fetches};
use super::group::{self, Groups};
use super::outbox::{Answer, ConnId, Context, Origin, Outbox};
use super::topology::Topology;
use super::versions::Served;
use super::{configs, metadata, offsets, produce, topics};

/// Everything behind the connections.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) topology: Topology,
    pub(crate) fetches: Fetches,
    pub(crate) groups: Groups,
    pub(crate) outbox: Outbox,
    served: Served,
    next_producer_id: i64,
}

/// A request with what is known of it before its body is read.
pub(crate) struct Incoming<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) body: Reader,
    /// Refuse it with this code, on a test's order.
    pub(crate) refusal: Option<ErrorCode>,
}

impl Machine {
    pub(crate) fn new(config: ClusterConfig) -> Self {
        Self {
            fetches: Fetches::new(config.fetch_sessions),
            groups: Groups::new(config.max_groups, config.initial_rebalance_delay),
            outbox: Outbox::default(),
            served: Served::new(APIS, &config.versions),
            next_producer_id: FIRST_PRODUCER_ID,
            topology: Topology::new(config),
        }
    }

    /// True if the version is served. If not, an ApiVersions request is answered so that the
    /// client can choose again, and any other ends its connection, as Kafka does.
    pub(crate) fn accepts(&mut self, header: &RequestHeader, origin: &Origin) -> bool {
        if self.served.contains(header.api_key, header.api_version) {
            return true;
        }
        if header.api_key == ApiKey::ApiVersions {
            let oldest = Origin { version: 0, ..*origin };
            self.outbox.send(&oldest, &self.served.unsupported());
        } else {
            tracing::debug!(api = %header.api_key, version = header.api_version, "not served");
            self.outbox.push(origin, Answer::Close);
        }
        false
    }

    /// Serves a request whose version is served.
    ///
    /// # Errors
    /// The body is not what its header says; the connection has to end.
    pub(crate) fn serve(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        match incoming.context.origin.key {
            ApiKey::Produce => self.produce(incoming),
            ApiKey::Fetch => self.fetch(incoming),
            ApiKey::ApiVersions => self.reply(
                incoming,
                |machine, context, request: &ApiVersionsRequest| {
                    machine.served.answer(context.origin.version, request)
                },
                |machine, _, code| machine.served.refuse(code),
            ),
            ApiKey::Metadata
            | ApiKey::DescribeCluster
            | ApiKey::DescribeTopicPartitions
            | ApiKey::DescribeConfigs => self.describe(incoming),
            ApiKey::CreateTopics | ApiKey::DeleteTopics | ApiKey::CreatePartitions => {
                self.change_topics(incoming)
            }
            ApiKey::ListOffsets => self.reply(
                incoming,
                |machine, context, request: &ListOffsetsRequest| {
                    offsets::list(&machine.topology, context, request)
                },
                |_, request, code| offsets::refuse(request, code),
            ),
            ApiKey::InitProducerId => self.reply(
                incoming,
                |machine, _, request: &InitProducerIdRequest| {
                    produce::init_producer_id(&mut machine.next_producer_id, request)
                },
                |_, _, error_code| InitProducerIdResponse {
                    error_code,
                    producer_epoch: -1,
                    ..InitProducerIdResponse::default()
                },
            ),
            ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::Heartbeat | ApiKey::LeaveGroup => {
                self.membership(incoming)
            }
            ApiKey::OffsetCommit | ApiKey::OffsetFetch => self.group_offsets(incoming),
            ApiKey::FindCoordinator | ApiKey::ListGroups | ApiKey::DescribeGroups => {
                self.describe_groups(incoming)
            }
            _ => Err(DecodeError::new(
                0,
                DecodeErrorKind::UnsupportedVersion { version: incoming.context.origin.version },
            )),
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.fetches.handle_timeout(&self.topology, &mut self.outbox, now);
        self.groups.handle_timeout(&mut self.outbox, now);
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.fetches.poll_timeout().into_iter().chain(self.groups.poll_timeout()).min()
    }

    /// Forgets what a closed connection waits for.
    pub(crate) fn forget_connection(&mut self, conn: ConnId) {
        self.fetches.forget_connection(conn);
    }

    /// Looks again at everything that waits, after the cluster has changed.
    pub(crate) fn changed(&mut self) {
        self.groups.forget_gone_topics(&self.topology);
        self.fetches.wake_all(&self.topology, &mut self.outbox);
    }

    fn produce(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let Incoming { context, body, refusal } = incoming;
        let origin = context.origin;
        let request: ProduceRequest = decode_request(body, origin.version)?;
        let mut written = Vec::new();
        let response = match refusal {
            Some(code) => produce::refuse(&request, code),
            None => produce::produce(&mut self.topology, &context, &request, &mut written),
        };
        if request.acks != 0 {
            self.outbox.send(&origin, &response);
        } else if produce::any_refused(&response) {
            // The client waits for no answer; that the connection ends is all it can notice.
            self.outbox.push(&origin, Answer::Close);
        } else {
            self.outbox.push(&origin, Answer::Silence);
        }
        self.fetches.wake(&self.topology, &mut self.outbox, &written);
        Ok(())
    }

    fn fetch(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let Incoming { context, body, refusal } = incoming;
        let request: FetchRequest = decode_request(body, context.origin.version)?;
        match refusal {
            Some(code) if request.topics.is_empty() => {
                fetch::refuse(&mut self.outbox, &context.origin, code);
            }
            Some(code) => {
                fetch::refuse_partitions(&mut self.outbox, &context.origin, &request, code);
            }
            None => self.fetches.handle(&self.topology, &mut self.outbox, &context, &request),
        }
        Ok(())
    }

    fn describe(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        match incoming.context.origin.key {
            ApiKey::Metadata => self.reply(
                incoming,
                |machine, context, request: &MetadataRequest| {
                    metadata::metadata(&mut machine.topology, context.origin.version, request)
                },
                |machine, request, code| {
                    metadata::refuse_metadata(&machine.topology, request, code)
                },
            ),
            ApiKey::DescribeCluster => self.reply(
                incoming,
                |machine, _, request: &DescribeClusterRequest| {
                    metadata::describe_cluster(&machine.topology, request)
                },
                |_, _, error_code| DescribeClusterResponse {
                    error_code,
                    ..DescribeClusterResponse::default()
                },
            ),
            ApiKey::DescribeConfigs => self.reply(
                incoming,
                |machine, context, request: &DescribeConfigsRequest| {
                    configs::describe(&machine.topology, context.origin.version, request)
                },
                |_, request, code| configs::refuse(request, code),
            ),
            _ => self.reply(
                incoming,
                |machine, _, request: &DescribeTopicPartitionsRequest| {
                    metadata::describe_topic_partitions(&machine.topology, request)
                },
                |_, request, code| metadata::refuse_topic_partitions(request, code),
            ),
        }
    }

    fn change_topics(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let outcome = match incoming.context.origin.key {
            ApiKey::CreateTopics => self.reply(
                incoming,
                |machine, _, request: &CreateTopicsRequest| {
                    topics::create(&mut machine.topology, request)
                },
                |_, request, code| topics::refuse_create(request, code),
            ),
            ApiKey::DeleteTopics => self.reply(
                incoming,
                |machine, _, request: &DeleteTopicsRequest| {
                    topics::delete(&mut machine.topology, request)
                },
                |_, request, code| topics::refuse_delete(request, code),
            ),
            _ => self.reply(
                incoming,
                |machine, _, request: &CreatePartitionsRequest| {
                    topics::grow(&mut machine.topology, request)
                },
                |_, request, code| topics::refuse_grow(request, code),
            ),
        };
        self.changed();
        outcome
    }

    fn membership(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
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

    fn group_offsets(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
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

    fn describe_groups(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
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
            _ => self.reply(
                incoming,
                |machine, context, request: &DescribeGroupsRequest| {
                    group::describe::describe(&machine.groups, &machine.topology, context, request)
                },
                |_, request, code| group::describe::refuse_describe(request, code),
            ),
        }
    }

    /// Decodes, serves or refuses, and answers at once.
    fn reply<R: Request>(
        &mut self,
        incoming: Incoming<'_>,
        serve: impl FnOnce(&mut Self, &Context<'_>, &R) -> R::Response,
        refuse: impl FnOnce(&Self, &R, ErrorCode) -> R::Response,
    ) -> Result<(), DecodeError> {
        let Incoming { context, body, refusal } = incoming;
        let request: R = decode_request(body, context.origin.version)?;
        let response = match refusal {
            Some(code) => refuse(self, &request, code),
            None => serve(self, &context, &request),
        };
        self.outbox.send(&context.origin, &response);
        Ok(())
    }
}

/// Ids start where nobody confuses them with offsets or counts.
const FIRST_PRODUCER_ID: i64 = 1000;

/// What [`Machine::serve`] knows to serve; nothing else is advertised.
const APIS: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::InitProducerId,
    ApiKey::DescribeConfigs,
    ApiKey::CreatePartitions,
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
];
