//! Our messages and `kafka-protocol`'s as tables of plain functions, so that a test is one loop.

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Encodable};
use klamm_protocol::api::{Message, Request};
use klamm_protocol::error::{DecodeError, EncodeError};
use klamm_protocol::wire::{Reader, Writer};

use crate::facts::{Definition, Versions, definition};
use crate::model::Model;

/// What writing gives.
pub(crate) type Encoded = Result<Bytes, EncodeError>;

/// What can be done with one of our message types.
pub(crate) struct Codec {
    pub(crate) definition: &'static Definition,
    /// Reads in one version and writes in another; the outer error is the reader's.
    pub(crate) recode: fn(Bytes, i16, i16) -> Result<Encoded, DecodeError>,
    /// Reads both in the version and tells whether they are equal.
    pub(crate) equal: fn(Bytes, Bytes, i16) -> Result<bool, DecodeError>,
    /// Writes the default.
    pub(crate) default: fn(i16) -> Encoded,
}

impl Codec {
    fn of<M: Message + Default + PartialEq>() -> Self {
        Self {
            definition: definition(short_name::<M>()),
            recode: |bytes, from, to| Ok(encode(&decode::<M>(bytes, from)?, to)),
            equal: |one, other, version| {
                Ok(decode::<M>(one, version)? == decode::<M>(other, version)?)
            },
            default: |version| encode(&M::default(), version),
        }
    }

    pub(crate) fn model(&self) -> Model {
        Model(self.definition)
    }
}

/// What `kafka-protocol` can do with the message of that name.
pub(crate) struct Oracle {
    pub(crate) name: &'static str,
    pub(crate) versions: Versions,
    /// Reads and writes in the version; the flag tells whether all bytes were read.
    pub(crate) recode: fn(Bytes, i16) -> Result<(Bytes, bool), String>,
}

impl Oracle {
    fn of<M: kafka_protocol::protocol::Message + Encodable + Decodable>() -> Self {
        Self {
            name: short_name::<M>(),
            versions: Versions(M::VERSIONS.min, M::VERSIONS.max),
            recode: |mut bytes, version| {
                let message = M::decode(&mut bytes, version).map_err(|e| format!("decode: {e}"))?;
                let mut out = bytes::BytesMut::new();
                message.encode(&mut out, version).map_err(|e| format!("encode: {e}"))?;
                Ok((out.freeze(), bytes.is_empty()))
            },
        }
    }
}

/// Every message of the crate, requests and responses.
pub(crate) fn codecs() -> Vec<Codec> {
    macro_rules! table {
        ($($request:path),* $(,)?) => {
            vec![$(
                Codec::of::<$request>(),
                Codec::of::<<$request as Request>::Response>(),
            )*]
        };
    }
    klamm_protocol::for_each_request!(table)
}

/// Every message that `kafka-protocol` shares with us.
pub(crate) fn oracles() -> Vec<Oracle> {
    macro_rules! table {
        ($($name:ident),* $(,)?) => {
            vec![$(Oracle::of::<kafka_protocol::messages::$name>()),*]
        };
    }
    table! {
        ProduceRequest, ProduceResponse, FetchRequest, FetchResponse, ListOffsetsRequest,
        ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
        OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, FindCoordinatorRequest,
        FindCoordinatorResponse, JoinGroupRequest, JoinGroupResponse, HeartbeatRequest,
        HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
        SyncGroupResponse, DescribeGroupsRequest, DescribeGroupsResponse, ListGroupsRequest,
        ListGroupsResponse, SaslHandshakeRequest, SaslHandshakeResponse, ApiVersionsRequest,
        ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
        DeleteTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, InitProducerIdRequest,
        InitProducerIdResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddOffsetsToTxnRequest,
        AddOffsetsToTxnResponse, EndTxnRequest, EndTxnResponse, WriteTxnMarkersRequest,
        WriteTxnMarkersResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        DescribeAclsRequest, DescribeAclsResponse, CreateAclsRequest, CreateAclsResponse,
        DeleteAclsRequest, DeleteAclsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
        AlterConfigsRequest, AlterConfigsResponse, AlterReplicaLogDirsRequest,
        AlterReplicaLogDirsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
        SaslAuthenticateRequest, SaslAuthenticateResponse, CreatePartitionsRequest,
        CreatePartitionsResponse, CreateDelegationTokenRequest, CreateDelegationTokenResponse,
        RenewDelegationTokenRequest, RenewDelegationTokenResponse, ExpireDelegationTokenRequest,
        ExpireDelegationTokenResponse, DescribeDelegationTokenRequest,
        DescribeDelegationTokenResponse, DeleteGroupsRequest, DeleteGroupsResponse,
        ElectLeadersRequest, ElectLeadersResponse, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse, AlterPartitionReassignmentsRequest,
        AlterPartitionReassignmentsResponse, ListPartitionReassignmentsRequest,
        ListPartitionReassignmentsResponse, OffsetDeleteRequest, OffsetDeleteResponse,
        DescribeClientQuotasRequest, DescribeClientQuotasResponse, AlterClientQuotasRequest,
        AlterClientQuotasResponse, DescribeUserScramCredentialsRequest,
        DescribeUserScramCredentialsResponse, AlterUserScramCredentialsRequest,
        AlterUserScramCredentialsResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
        DescribeClusterRequest, DescribeClusterResponse, DescribeProducersRequest,
        DescribeProducersResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
        ListTransactionsRequest, ListTransactionsResponse, ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
        GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, PushTelemetryRequest,
        PushTelemetryResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    }
}

fn decode<M: Message>(bytes: Bytes, version: i16) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version)?;
    reader.finish()?;
    Ok(message)
}

fn encode<M: Message>(message: &M, version: i16) -> Encoded {
    let mut writer = Writer::new();
    message.encode(&mut writer, version)?;
    Ok(writer.finish()?.into_bytes())
}

fn short_name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    path.rsplit("::").next().unwrap_or(path)
}
