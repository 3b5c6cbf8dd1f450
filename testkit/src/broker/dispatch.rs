//! One request after another: in go its header and body, out goes its answer to the outbox, now
//! or later. Which API is served by which handler stands here, and how each refuses.

mod admin;
mod groups;
mod transactions;

use std::time::Instant;

use klamm_protocol::api::{ApiKey, Request};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::DecodeError;
use klamm_protocol::header::{RequestHeader, decode_request};
use klamm_protocol::messages::api_versions::ApiVersionsRequest;
use klamm_protocol::messages::create_partitions::CreatePartitionsRequest;
use klamm_protocol::messages::create_topics::CreateTopicsRequest;
use klamm_protocol::messages::delete_topics::DeleteTopicsRequest;
use klamm_protocol::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use klamm_protocol::messages::describe_configs::DescribeConfigsRequest;
use klamm_protocol::messages::describe_topic_partitions::DescribeTopicPartitionsRequest;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::list_offsets::ListOffsetsRequest;
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_protocol::messages::offset_for_leader_epoch::OffsetForLeaderEpochRequest;
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::messages::sasl_authenticate::SaslAuthenticateRequest;
use klamm_protocol::messages::sasl_handshake::SaslHandshakeRequest;
use klamm_protocol::wire::Reader;

use super::admin::Admin;
use super::config::ClusterConfig;
use super::fetch::{self, Fetches};
use super::group::Groups;
use super::login::{self, Logins};
use super::outbox::{Answer, ConnId, Context, Origin, Outbox};
use super::topology::Topology;
use super::transaction::Transactions;
use super::versions::Served;
use super::{configs, epochs, metadata, offsets, produce, topics};

/// Everything behind the connections.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) topology: Topology,
    pub(crate) fetches: Fetches,
    pub(crate) groups: Groups,
    pub(crate) outbox: Outbox,
    pub(crate) transactions: Transactions,
    pub(crate) admin: Admin,
    logins: Logins,
    served: Served,
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
            transactions: Transactions::new(&config),
            admin: Admin::default(),
            logins: Logins::new(config.login.clone()),
            served: Served::new(&[APIS, admin::APIS].concat(), &config),
            topology: Topology::new(config),
        }
    }

    /// True if the version is served, and the connection may ask this. If not, an ApiVersions request is answered so that the
    /// client can choose again, and any other ends its connection, as Kafka does.
    pub(crate) fn accepts(
        &mut self,
        header: &RequestHeader,
        origin: &Origin,
        now: Instant,
    ) -> bool {
        if !self.logins.admits(origin.conn, header.api_key, now) {
            tracing::debug!(api = %header.api_key, "asked without a login");
            self.outbox.push(origin, Answer::Close);
            return false;
        }
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
            ApiKey::SaslHandshake => self.reply(
                incoming,
                |machine, context, request: &SaslHandshakeRequest| {
                    machine.logins.choose(context.origin.conn, request)
                },
                |_, _, code| login::refuse_choice(code),
            ),
            ApiKey::SaslAuthenticate => self.reply(
                incoming,
                |machine, context, request: &SaslAuthenticateRequest| {
                    machine.logins.hear(&machine.admin, context, request)
                },
                |_, _, code| login::refuse(code),
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
            ApiKey::OffsetForLeaderEpoch => self.reply(
                incoming,
                |machine, context, request: &OffsetForLeaderEpochRequest| {
                    epochs::ends(&machine.topology, context, request)
                },
                |_, request, code| epochs::refuse(request, code),
            ),
            ApiKey::InitProducerId
            | ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::TxnOffsetCommit
            | ApiKey::EndTxn => self.transaction(incoming),
            ApiKey::DescribeTransactions | ApiKey::ListTransactions => {
                self.describe_transactions(incoming)
            }
            ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::Heartbeat | ApiKey::LeaveGroup => {
                self.membership(incoming)
            }
            ApiKey::ConsumerGroupHeartbeat => self.consumer_heartbeat(incoming),
            ApiKey::OffsetCommit | ApiKey::OffsetFetch => self.group_offsets(incoming),
            ApiKey::FindCoordinator
            | ApiKey::ListGroups
            | ApiKey::DescribeGroups
            | ApiKey::ConsumerGroupDescribe => self.describe_groups(incoming),
            ApiKey::DeleteGroups | ApiKey::OffsetDelete => self.remove_from_groups(incoming),
            _ => self.administer(incoming),
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant, wall_ms: i64) {
        self.fetches.handle_timeout(&self.topology, &mut self.outbox, now);
        self.groups.handle_timeout(&mut self.outbox, now);
        self.transactions.handle_timeout(now);
        self.write_markers((Some(now), wall_ms));
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = [self.fetches.poll_timeout(), self.groups.poll_timeout()];
        due.into_iter().flatten().chain(self.transactions.poll_timeout()).min()
    }

    /// Forgets what a closed connection waits for.
    pub(crate) fn forget_connection(&mut self, conn: ConnId) {
        self.fetches.forget_connection(conn);
        self.logins.forget(conn);
    }

    /// Looks again at everything that waits, after the cluster has changed. Before the first
    /// request there is no time yet.
    pub(crate) fn changed(&mut self, clock: (Option<Instant>, i64)) {
        self.groups.forget_gone_topics(&self.topology);
        self.write_markers(clock);
        self.fetches.wake_all(&self.topology, &mut self.outbox);
    }

    fn produce(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let Incoming { context, body, refusal } = incoming;
        let origin = context.origin;
        let request: ProduceRequest = decode_request(body, origin.version)?;
        let mut written = Vec::new();
        let response = match refusal {
            Some(code) => produce::refuse(&request, code),
            None => {
                let Self { topology, transactions, .. } = self;
                produce::produce(topology, transactions, &context, &request, &mut written)
            }
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
                    configs::describe(&machine.topology, &machine.admin.settings, context, request)
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
        let clock = (Some(incoming.context.now), incoming.context.wall_ms);
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
        self.changed(clock);
        outcome
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

/// What [`Machine::serve`] knows to serve, beside the requests of administrators; nothing else is
/// advertised.
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
    ApiKey::SaslHandshake,
    ApiKey::SaslAuthenticate,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::DeleteGroups,
    ApiKey::OffsetDelete,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeTransactions,
    ApiKey::ListTransactions,
    ApiKey::DescribeConfigs,
    ApiKey::CreatePartitions,
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
];
