//! Produce: record batches go into partition logs, transactional ones into their transactions too.
//!
//! Replicas share one log, so `acks=1` and `acks=all` are written alike; `acks=all` is refused
//! where fewer replicas are in sync than the topic asks for.

use std::collections::BTreeSet;

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use klamm_protocol::records::{BatchHeader, Compression, RawBatch};

use super::outbox::Context;
use super::topology::{Partition, Topology, unknown_topic};
use super::transaction::state::Participant;
use super::transaction::{Entry, Transactions, Writer};
use crate::log::{Appended, Refusal};

/// A partition that got records: who waits for them is woken.
pub(crate) type Written = (String, i32);

/// Appends what a Produce request brings. The response is to be sent unless `acks` is 0; then a
/// refusal must end the connection instead, which is all that such a client can notice.
pub(crate) fn produce(
    topology: &mut Topology,
    transactions: &mut Transactions,
    context: &Context<'_>,
    request: &ProduceRequest,
    written: &mut Vec<Written>,
) -> ProduceResponse {
    let mut leaders = BTreeSet::new();
    let responses = request.topic_data.iter().map(|topic| {
        let name = topic_name(topology, context, topic);
        let partitions = topic.partition_data.iter().map(|partition| {
            let outcome = name
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|name| append(topology, transactions, context, request, name, partition));
            if let (Ok(appended), Ok(name)) = (&outcome, &name)
                && !appended.duplicate
            {
                written.push((name.clone(), partition.index));
            }
            let name = name.as_deref().unwrap_or_default();
            answer(topology, context, name, partition.index, outcome, &mut leaders)
        });
        let partition_responses = partitions.collect();
        TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses,
        }
    });
    let responses = responses.collect();
    ProduceResponse {
        responses,
        node_endpoints: endpoints(topology, &leaders),
        ..ProduceResponse::default()
    }
}

/// Every partition of the request refused with `code`.
pub(crate) fn refuse(request: &ProduceRequest, code: ErrorCode) -> ProduceResponse {
    let partition = |partition: &PartitionProduceData| PartitionProduceResponse {
        index: partition.index,
        error_code: code,
        base_offset: -1,
        ..PartitionProduceResponse::default()
    };
    let topic = |topic: &TopicProduceData| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(partition).collect(),
    };
    ProduceResponse {
        responses: request.topic_data.iter().map(topic).collect(),
        ..ProduceResponse::default()
    }
}

/// True if any partition was refused.
pub(crate) fn any_refused(response: &ProduceResponse) -> bool {
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.any(|partition| !partition.error_code.is_ok())
}

fn topic_name(
    topology: &Topology,
    context: &Context<'_>,
    topic: &TopicProduceData,
) -> Result<String, Refusal> {
    if context.origin.version < BY_ID {
        return Ok(topic.name.clone());
    }
    let found = topology.topic_by_id(topic.topic_id).map(|topic| topic.name.clone());
    let message = "This server does not host this topic ID.";
    found.ok_or_else(|| Refusal::new(ErrorCode::UNKNOWN_TOPIC_ID, message))
}

fn append(
    topology: &mut Topology,
    transactions: &mut Transactions,
    context: &Context<'_>,
    request: &ProduceRequest,
    name: &str,
    data: &PartitionProduceData,
) -> Result<Appended, Refusal> {
    let records = data.records.as_ref().ok_or_else(|| {
        Refusal::new(ErrorCode::INVALID_RECORD, "the request holds no record batch")
    })?;
    let header = check_request(context, request, records)?;
    let needed = topology.topic(name).map_or(1, |topic| topic.config.min_insync());
    let partition = topology.partition_mut(name, data.index).ok_or_else(|| unknown_topic(name))?;
    partition
        .check_leader(context.origin.node, -1)
        .map_err(|code| Refusal::new(code, "this broker does not lead the partition"))?;
    if let (Some(header), Some(id)) = (header, &request.transactional_id)
        && header.is_transactional()
    {
        enter(transactions, context, partition, &header, (id, name, data.index))?;
    }
    if request.acks == -1 && partition.isr.len() < needed {
        let message =
            format!("{} replicas are in sync, {needed} are asked for", partition.isr.len());
        return Err(Refusal::new(ErrorCode::NOT_ENOUGH_REPLICAS, message));
    }
    partition.log.append(records, partition.leader_epoch, context.wall_ms)
}

/// Lets a batch into its transaction, as its version does it: up to 11 the partition was added
/// before, since 12 the batch adds it (KIP-890).
fn enter(
    transactions: &mut Transactions,
    context: &Context<'_>,
    partition: &Partition,
    header: &BatchHeader,
    (transactional_id, topic, index): (&str, &str, i32),
) -> Result<(), Refusal> {
    let entry = match context.origin.version {
        ADDS.. => Entry::Added,
        ABORTABLE.. => Entry::VerifiedAbortable,
        _ => Entry::Verified,
    };
    let identity = (header.producer_id, header.producer_epoch);
    let participant = Participant::Partition(topic.to_owned(), index);
    let entered =
        transactions.enter(Writer { transactional_id, identity }, participant, entry, context);
    entered.map_err(|code| match code {
        ErrorCode::CONCURRENT_TRANSACTIONS if entry != Entry::Added => {
            // Older clients do not expect the code here. This one makes them try again.
            let message = "the transaction before is still ending";
            Refusal::new(ErrorCode::NOT_ENOUGH_REPLICAS, message)
        }
        ErrorCode::INVALID_TXN_STATE => {
            Refusal::new(code, "Partition was not added to the transaction")
        }
        code => Refusal::new(code, code.meaning()),
    })?;
    if entry == Entry::Added
        && header.base_sequence != 0
        && !partition.log.knows_producer(header.producer_id)
    {
        let message = "the first batch of a producer must have sequence 0";
        return Err(Refusal::new(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, message));
    }
    Ok(())
}

/// What can be refused before the partition is known; gives the batch's header, if it is one.
fn check_request(
    context: &Context<'_>,
    request: &ProduceRequest,
    records: &Bytes,
) -> Result<Option<BatchHeader>, Refusal> {
    if !matches!(request.acks, -1..=1) {
        return Err(Refusal::new(ErrorCode::INVALID_REQUIRED_ACKS, "acks must be -1, 0 or 1"));
    }
    // What is no batch at all is refused by the log, with a better reason.
    let Ok(batch) = RawBatch::read(records.clone()) else {
        return Ok(None);
    };
    let header = *batch.header();
    if header.compression() == Compression::Zstd && context.origin.version < ZSTD {
        let message = "zstd needs version 7 of Produce";
        return Err(Refusal::new(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, message));
    }
    if header.is_transactional() && request.transactional_id.is_none() {
        let message = "transactional records need a transactional id";
        return Err(Refusal::new(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, message));
    }
    Ok(Some(header))
}

fn answer(
    topology: &Topology,
    context: &Context<'_>,
    name: &str,
    index: i32,
    outcome: Result<Appended, Refusal>,
    leaders: &mut BTreeSet<i32>,
) -> PartitionProduceResponse {
    let partition = topology.partition(name, index);
    let log_start_offset = partition.map_or(-1, |partition| partition.log.start_offset());
    let refusal = match outcome {
        Ok(appended) => {
            return PartitionProduceResponse {
                index,
                base_offset: appended.base_offset,
                log_append_time_ms: appended.append_time,
                log_start_offset,
                ..PartitionProduceResponse::default()
            };
        }
        Err(refusal) => refusal,
    };
    let mut response = PartitionProduceResponse {
        index,
        error_code: refusal.code,
        base_offset: -1,
        log_start_offset,
        error_message: Some(refusal.message),
        ..PartitionProduceResponse::default()
    };
    if context.origin.version >= LEADER_HINTS
        && refusal.code == ErrorCode::NOT_LEADER_OR_FOLLOWER
        && let Some(partition) = partition.filter(|partition| partition.leader >= 0)
    {
        let (leader_id, leader_epoch) = (partition.leader, partition.leader_epoch);
        leaders.insert(leader_id);
        response.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
    }
    response
}

fn endpoints(topology: &Topology, leaders: &BTreeSet<i32>) -> Vec<NodeEndpoint> {
    let brokers = leaders.iter().filter_map(|&node| topology.broker(node));
    brokers
        .map(|broker| NodeEndpoint {
            node_id: broker.node,
            host: broker.host.clone(),
            port: i32::from(broker.port),
            rack: broker.rack.clone(),
        })
        .collect()
}

/// From this version on topics are named by id (KIP-516).
const BY_ID: i16 = 13;
/// From this version on zstd is allowed (KIP-110).
const ZSTD: i16 = 7;
/// From this version on the client knows `TRANSACTION_ABORTABLE` (KIP-890).
const ABORTABLE: i16 = 11;
/// From this version on a batch adds its partition to the transaction (KIP-890).
const ADDS: i16 = 12;
/// From this version on a refusal names the new leader (KIP-951).
const LEADER_HINTS: i16 = 10;
