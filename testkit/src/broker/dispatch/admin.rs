//! The requests of administrators beside topics and groups, each with its handler and how it is
//! refused.

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::{DecodeError, DecodeErrorKind};
use klamm_protocol::messages::alter_client_quotas::AlterClientQuotasRequest;
use klamm_protocol::messages::alter_partition_reassignments::AlterPartitionReassignmentsRequest;
use klamm_protocol::messages::alter_replica_log_dirs::AlterReplicaLogDirsRequest;
use klamm_protocol::messages::alter_user_scram_credentials::AlterUserScramCredentialsRequest;
use klamm_protocol::messages::create_acls::CreateAclsRequest;
use klamm_protocol::messages::create_delegation_token::CreateDelegationTokenRequest;
use klamm_protocol::messages::delete_acls::DeleteAclsRequest;
use klamm_protocol::messages::delete_records::DeleteRecordsRequest;
use klamm_protocol::messages::describe_acls::DescribeAclsRequest;
use klamm_protocol::messages::describe_client_quotas::DescribeClientQuotasRequest;
use klamm_protocol::messages::describe_delegation_token::DescribeDelegationTokenRequest;
use klamm_protocol::messages::describe_log_dirs::DescribeLogDirsRequest;
use klamm_protocol::messages::describe_producers::DescribeProducersRequest;
use klamm_protocol::messages::describe_user_scram_credentials::DescribeUserScramCredentialsRequest;
use klamm_protocol::messages::elect_leaders::ElectLeadersRequest;
use klamm_protocol::messages::expire_delegation_token::ExpireDelegationTokenRequest;
use klamm_protocol::messages::incremental_alter_configs::IncrementalAlterConfigsRequest;
use klamm_protocol::messages::list_partition_reassignments::ListPartitionReassignmentsRequest;
use klamm_protocol::messages::renew_delegation_token::RenewDelegationTokenRequest;
use klamm_protocol::messages::update_features::UpdateFeaturesRequest;
use klamm_protocol::messages::write_txn_markers::WriteTxnMarkersRequest;

use super::{Incoming, Machine};
use crate::broker::admin::{acls, quotas, replicas, scram, settings, tokens};
use crate::broker::{producers, records};

impl Machine {
    /// Serves one, and lets those who wait look again at what it changed.
    pub(super) fn administer(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let clock = (Some(incoming.context.now), incoming.context.wall_ms);
        match incoming.context.origin.key {
            ApiKey::DescribeAcls
            | ApiKey::CreateAcls
            | ApiKey::DeleteAcls
            | ApiKey::DescribeUserScramCredentials
            | ApiKey::AlterUserScramCredentials
            | ApiKey::DescribeClientQuotas
            | ApiKey::AlterClientQuotas => self.access(incoming),
            ApiKey::CreateDelegationToken
            | ApiKey::RenewDelegationToken
            | ApiKey::ExpireDelegationToken
            | ApiKey::DescribeDelegationToken => self.tokens(incoming),
            ApiKey::DescribeProducers | ApiKey::WriteTxnMarkers => self.producers(incoming),
            ApiKey::DescribeLogDirs
            | ApiKey::AlterReplicaLogDirs
            | ApiKey::ListPartitionReassignments => self.describe_replicas(incoming),
            _ => {
                let outcome = self.change_logs(incoming);
                self.changed(clock);
                outcome
            }
        }
    }

    fn access(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        match incoming.context.origin.key {
            ApiKey::DescribeAcls => self.reply(
                incoming,
                |machine, _, request: &DescribeAclsRequest| machine.admin.acls.describe(request),
                |_, _, code| acls::refuse_describe(code, None),
            ),
            ApiKey::CreateAcls => self.reply(
                incoming,
                |machine, _, request: &CreateAclsRequest| machine.admin.acls.create(request),
                |_, request, code| acls::refuse_create(request, code),
            ),
            ApiKey::DeleteAcls => self.reply(
                incoming,
                |machine, _, request: &DeleteAclsRequest| machine.admin.acls.delete(request),
                |_, request, code| acls::refuse_delete(request, code),
            ),
            ApiKey::DescribeUserScramCredentials => self.reply(
                incoming,
                |machine, _, request: &DescribeUserScramCredentialsRequest| {
                    machine.admin.scram.describe(request)
                },
                |_, _, code| scram::refuse_describe(code),
            ),
            ApiKey::AlterUserScramCredentials => self.reply(
                incoming,
                |machine, _, request: &AlterUserScramCredentialsRequest| {
                    machine.admin.scram.alter(request)
                },
                |_, request, code| scram::refuse_alter(request, code),
            ),
            ApiKey::DescribeClientQuotas => self.reply(
                incoming,
                |machine, _, request: &DescribeClientQuotasRequest| {
                    machine.admin.quotas.describe(request)
                },
                |_, _, code| quotas::refuse_describe(code, None),
            ),
            _ => self.reply(
                incoming,
                |machine, _, request: &AlterClientQuotasRequest| {
                    machine.admin.quotas.alter(request)
                },
                |_, request, code| quotas::refuse_alter(request, code),
            ),
        }
    }

    fn tokens(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        match incoming.context.origin.key {
            ApiKey::CreateDelegationToken => self.reply(
                incoming,
                |machine, context, request: &CreateDelegationTokenRequest| {
                    let Self { admin, topology, .. } = machine;
                    admin.tokens.create(topology, context, request)
                },
                |_, _, code| tokens::refuse_create(code),
            ),
            ApiKey::RenewDelegationToken => self.reply(
                incoming,
                |machine, context, request: &RenewDelegationTokenRequest| {
                    machine.admin.tokens.renew(context.wall_ms, request)
                },
                |_, _, code| tokens::refuse_renew(code),
            ),
            ApiKey::ExpireDelegationToken => self.reply(
                incoming,
                |machine, context, request: &ExpireDelegationTokenRequest| {
                    machine.admin.tokens.expire(context.wall_ms, request)
                },
                |_, _, code| tokens::refuse_expire(code),
            ),
            _ => self.reply(
                incoming,
                |machine, context, request: &DescribeDelegationTokenRequest| {
                    machine.admin.tokens.describe(context, request)
                },
                |_, _, code| tokens::refuse_describe(code),
            ),
        }
    }

    fn producers(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        if incoming.context.origin.key == ApiKey::DescribeProducers {
            return self.reply(
                incoming,
                |machine, context, request: &DescribeProducersRequest| {
                    producers::describe(&machine.topology, context, request)
                },
                |_, request, code| producers::refuse(request, code),
            );
        }
        self.reply(
            incoming,
            |machine, context, request: &WriteTxnMarkersRequest| {
                let Self { topology, fetches, outbox, .. } = machine;
                let mut written = Vec::new();
                let response = producers::write_markers(topology, context, request, &mut written);
                fetches.wake(topology, outbox, &written);
                response
            },
            |_, request, code| producers::refuse_markers(request, code),
        )
    }

    fn describe_replicas(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        match incoming.context.origin.key {
            ApiKey::DescribeLogDirs => self.reply(
                incoming,
                |machine, context, request: &DescribeLogDirsRequest| {
                    replicas::log_dirs(&machine.topology, context.origin.node, request)
                },
                |_, _, code| replicas::refuse_log_dirs(code),
            ),
            ApiKey::AlterReplicaLogDirs => self.reply(
                incoming,
                |machine, context, request: &AlterReplicaLogDirsRequest| {
                    replicas::move_log_dirs(&machine.topology, context.origin.node, request)
                },
                |_, request, code| replicas::refuse_move(request, code),
            ),
            _ => self.reply(
                incoming,
                |_, _, _: &ListPartitionReassignmentsRequest| {
                    replicas::list_reassignments(ErrorCode::NONE)
                },
                |_, _, code| replicas::list_reassignments(code),
            ),
        }
    }

    /// What may change what others wait for.
    fn change_logs(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        match incoming.context.origin.key {
            ApiKey::IncrementalAlterConfigs => self.reply(
                incoming,
                |machine, context, request: &IncrementalAlterConfigsRequest| {
                    let Self { admin, topology, .. } = machine;
                    settings::alter(&mut admin.settings, topology, context.origin.node, request)
                },
                |_, request, code| settings::refuse(request, code),
            ),
            ApiKey::DeleteRecords => self.reply(
                incoming,
                |machine, context, request: &DeleteRecordsRequest| {
                    records::delete(&mut machine.topology, context, request)
                },
                |_, request, code| records::refuse(request, code),
            ),
            ApiKey::ElectLeaders => {
                let version = incoming.context.origin.version;
                self.reply(
                    incoming,
                    |machine, _, request: &ElectLeadersRequest| {
                        replicas::elect(&mut machine.topology, request)
                    },
                    |_, request, code| replicas::refuse_elect(version, request, code),
                )
            }
            ApiKey::AlterPartitionReassignments => self.reply(
                incoming,
                |machine, _, request: &AlterPartitionReassignmentsRequest| {
                    replicas::reassign(&mut machine.topology, request)
                },
                |_, _, code| replicas::refuse_reassign(code),
            ),
            ApiKey::UpdateFeatures => {
                let version = incoming.context.origin.version;
                self.reply(
                    incoming,
                    |machine, _, request: &UpdateFeaturesRequest| {
                        let response = machine.served.update(version, request);
                        let Self { served, transactions, topology, .. } = machine;
                        transactions.set_level(served.level("transaction.version"));
                        topology.set_group_version(served.level("group.version"));
                        response
                    },
                    |machine, _, code| machine.served.refuse_update(code),
                )
            }
            _ => Err(DecodeError::new(
                0,
                DecodeErrorKind::UnsupportedVersion { version: incoming.context.origin.version },
            )),
        }
    }
}

/// What [`Machine::administer`] knows to serve.
pub(super) const APIS: &[ApiKey] = &[
    ApiKey::DeleteRecords,
    ApiKey::WriteTxnMarkers,
    ApiKey::DescribeAcls,
    ApiKey::CreateAcls,
    ApiKey::DeleteAcls,
    ApiKey::AlterReplicaLogDirs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreateDelegationToken,
    ApiKey::RenewDelegationToken,
    ApiKey::ExpireDelegationToken,
    ApiKey::DescribeDelegationToken,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeClientQuotas,
    ApiKey::AlterClientQuotas,
    ApiKey::DescribeUserScramCredentials,
    ApiKey::AlterUserScramCredentials,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeProducers,
];
