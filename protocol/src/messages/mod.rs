//! Requests and responses, one file per API: plain structs in, bytes out, and back.
//!
//! Names and versions are Kafka's, from the oldest version that a 2.1 broker still answers to the
//! newest of 4.4. A field says by `#[field(versions = ..)]` where it exists; encoding a version
//! that lacks it fails if the field holds something and is not `ignorable`, decoding leaves it at
//! Kafka's default, which `Default` gives too. Tagged fields that nobody knows are skipped
//! (KIP-482). Record batches stay [`bytes::Bytes`]; [`crate::records`] opens them.
//!
//! To add an API: write its file, name it in [`for_each_request!`](crate::for_each_request), and
//! every test, fuzz target and table here takes it up.

use crate::api::{ApiKey, Request, VersionRange};

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_acls;
pub mod create_delegation_token;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_delegation_token;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod expire_delegation_token;
pub mod fetch;
pub mod find_coordinator;
pub mod get_telemetry_subscriptions;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod push_telemetry;
pub mod renew_delegation_token;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod update_features;
pub mod write_txn_markers;

/// Hands the list of all request types to the macro named: `then! { path, path, .. }`.
///
/// The list is ordered by API key. Brokers, tests and fuzz targets make their tables of it, so that
/// none of them can forget an API.
///
/// ```
/// macro_rules! count {
///     ($($request:path),* $(,)?) => { [$(stringify!($request)),*].len() };
/// }
/// assert_eq!(klamm_protocol::for_each_request!(count), klamm_protocol::messages::REQUESTS.len());
/// ```
#[macro_export]
macro_rules! for_each_request {
    ($then:ident) => {
        $then! {
            $crate::messages::produce::ProduceRequest,
            $crate::messages::fetch::FetchRequest,
            $crate::messages::list_offsets::ListOffsetsRequest,
            $crate::messages::metadata::MetadataRequest,
            $crate::messages::offset_commit::OffsetCommitRequest,
            $crate::messages::offset_fetch::OffsetFetchRequest,
            $crate::messages::find_coordinator::FindCoordinatorRequest,
            $crate::messages::join_group::JoinGroupRequest,
            $crate::messages::heartbeat::HeartbeatRequest,
            $crate::messages::leave_group::LeaveGroupRequest,
            $crate::messages::sync_group::SyncGroupRequest,
            $crate::messages::describe_groups::DescribeGroupsRequest,
            $crate::messages::list_groups::ListGroupsRequest,
            $crate::messages::sasl_handshake::SaslHandshakeRequest,
            $crate::messages::api_versions::ApiVersionsRequest,
            $crate::messages::create_topics::CreateTopicsRequest,
            $crate::messages::delete_topics::DeleteTopicsRequest,
            $crate::messages::delete_records::DeleteRecordsRequest,
            $crate::messages::init_producer_id::InitProducerIdRequest,
            $crate::messages::offset_for_leader_epoch::OffsetForLeaderEpochRequest,
            $crate::messages::add_partitions_to_txn::AddPartitionsToTxnRequest,
            $crate::messages::add_offsets_to_txn::AddOffsetsToTxnRequest,
            $crate::messages::end_txn::EndTxnRequest,
            $crate::messages::write_txn_markers::WriteTxnMarkersRequest,
            $crate::messages::txn_offset_commit::TxnOffsetCommitRequest,
            $crate::messages::describe_acls::DescribeAclsRequest,
            $crate::messages::create_acls::CreateAclsRequest,
            $crate::messages::delete_acls::DeleteAclsRequest,
            $crate::messages::describe_configs::DescribeConfigsRequest,
            $crate::messages::alter_configs::AlterConfigsRequest,
            $crate::messages::alter_replica_log_dirs::AlterReplicaLogDirsRequest,
            $crate::messages::describe_log_dirs::DescribeLogDirsRequest,
            $crate::messages::sasl_authenticate::SaslAuthenticateRequest,
            $crate::messages::create_partitions::CreatePartitionsRequest,
            $crate::messages::create_delegation_token::CreateDelegationTokenRequest,
            $crate::messages::renew_delegation_token::RenewDelegationTokenRequest,
            $crate::messages::expire_delegation_token::ExpireDelegationTokenRequest,
            $crate::messages::describe_delegation_token::DescribeDelegationTokenRequest,
            $crate::messages::delete_groups::DeleteGroupsRequest,
            $crate::messages::elect_leaders::ElectLeadersRequest,
            $crate::messages::incremental_alter_configs::IncrementalAlterConfigsRequest,
            $crate::messages::alter_partition_reassignments::AlterPartitionReassignmentsRequest,
            $crate::messages::list_partition_reassignments::ListPartitionReassignmentsRequest,
            $crate::messages::offset_delete::OffsetDeleteRequest,
            $crate::messages::describe_client_quotas::DescribeClientQuotasRequest,
            $crate::messages::alter_client_quotas::AlterClientQuotasRequest,
            $crate::messages::describe_user_scram_credentials::DescribeUserScramCredentialsRequest,
            $crate::messages::alter_user_scram_credentials::AlterUserScramCredentialsRequest,
            $crate::messages::update_features::UpdateFeaturesRequest,
            $crate::messages::describe_cluster::DescribeClusterRequest,
            $crate::messages::describe_producers::DescribeProducersRequest,
            $crate::messages::describe_transactions::DescribeTransactionsRequest,
            $crate::messages::list_transactions::ListTransactionsRequest,
            $crate::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest,
            $crate::messages::consumer_group_describe::ConsumerGroupDescribeRequest,
            $crate::messages::get_telemetry_subscriptions::GetTelemetrySubscriptionsRequest,
            $crate::messages::push_telemetry::PushTelemetryRequest,
            $crate::messages::describe_topic_partitions::DescribeTopicPartitionsRequest,
        }
    };
}

macro_rules! table {
    ($($request:path),* $(,)?) => {
        &[$((<$request as Request>::KEY, <$request as Request>::VERSIONS)),*]
    };
}

/// Every request of this module with the versions it can encode and decode, ordered by key.
///
/// A broker need not serve them all: message sets older than record batches (Produce below 3, Fetch
/// below 4) travel through these structs, but few would write them today.
pub const REQUESTS: &[(ApiKey, VersionRange)] = crate::for_each_request!(table);
