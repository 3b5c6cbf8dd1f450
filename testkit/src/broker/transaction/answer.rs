//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn and EndTxn: requests in, responses out, with
//! the codes that each version knows.
//!
//! A producer that is fenced is told so by `PRODUCER_FENCED` where its version knows that code
//! (KIP-588), and by `INVALID_PRODUCER_EPOCH` before.

use std::time::Duration;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::add_offsets_to_txn::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse,
};
use klamm_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};
use klamm_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use klamm_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::state::{Identity, Participant};
use super::{Transactions, Writer};
use crate::broker::outbox::Context;
use crate::broker::topology::Topology;

/// Answers InitProducerId, with or without a transactional id.
pub(crate) fn init_producer_id(
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    match init(transactions, topology, context, request) {
        Ok((producer_id, producer_epoch)) => InitProducerIdResponse {
            producer_id,
            producer_epoch,
            ..InitProducerIdResponse::default()
        },
        Err(code) => refuse_init(told(code, context, INIT_KNOWS_FENCED)),
    }
}

/// InitProducerId refused with `code`.
pub(crate) fn refuse_init(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_epoch: -1, ..InitProducerIdResponse::default() }
}

/// Answers AddPartitionsToTxn, of a client up to version 3 and of brokers since.
pub(crate) fn add_partitions(
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    if context.origin.version < MANY_TRANSACTIONS {
        let asked = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id.clone(),
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics.clone(),
        };
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: add_to_one(transactions, topology, context, &asked),
            ..AddPartitionsToTxnResponse::default()
        };
    }
    let results = request.transactions.iter().map(|asked| AddPartitionsToTxnResult {
        transactional_id: asked.transactional_id.clone(),
        topic_results: add_to_one(transactions, topology, context, asked),
    });
    AddPartitionsToTxnResponse {
        results_by_transaction: results.collect(),
        ..AddPartitionsToTxnResponse::default()
    }
}

/// Every partition of an AddPartitionsToTxn request refused with `code`.
pub(crate) fn refuse_partitions(
    version: i16,
    request: &AddPartitionsToTxnRequest,
    code: ErrorCode,
) -> AddPartitionsToTxnResponse {
    if version < MANY_TRANSACTIONS {
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: each(&request.v3_and_below_topics, |_, _| code),
            ..AddPartitionsToTxnResponse::default()
        };
    }
    AddPartitionsToTxnResponse { error_code: code, ..AddPartitionsToTxnResponse::default() }
}

/// Answers AddOffsetsToTxn.
pub(crate) fn add_offsets(
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let writer = Writer {
        transactional_id: &request.transactional_id,
        identity: (request.producer_id, request.producer_epoch),
    };
    let participant = Participant::Positions(request.group_id.clone());
    let outcome = check_coordinator(topology, context, writer.transactional_id)
        .and_then(|()| transactions.add(writer, [participant], context));
    let code = outcome.err().unwrap_or(ErrorCode::NONE);
    refuse_offsets(told(code, context, KNOWS_FENCED))
}

/// AddOffsetsToTxn answered with `code`.
pub(crate) fn refuse_offsets(error_code: ErrorCode) -> AddOffsetsToTxnResponse {
    AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() }
}

/// Answers EndTxn.
pub(crate) fn end(
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &EndTxnRequest,
) -> EndTxnResponse {
    let writer = Writer {
        transactional_id: &request.transactional_id,
        identity: (request.producer_id, request.producer_epoch),
    };
    let bumps = context.origin.version >= BUMPS;
    let outcome = check_coordinator(topology, context, writer.transactional_id)
        .and_then(|()| transactions.end(writer, request.committed, bumps, context.now));
    match outcome {
        Ok((producer_id, producer_epoch)) => {
            EndTxnResponse { producer_id, producer_epoch, ..EndTxnResponse::default() }
        }
        Err(code) => refuse_end(told(code, context, KNOWS_FENCED)),
    }
}

/// EndTxn refused with `code`.
pub(crate) fn refuse_end(error_code: ErrorCode) -> EndTxnResponse {
    EndTxnResponse { error_code, ..EndTxnResponse::default() }
}

/// Whether the node that got a request looks after the transactional id.
pub(crate) fn check_coordinator(
    topology: &Topology,
    context: &Context<'_>,
    transactional_id: &str,
) -> Result<(), ErrorCode> {
    if transactional_id.is_empty() {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    match topology.coordinator(transactional_id) {
        Some(broker) if broker.node == context.origin.node => Ok(()),
        _ => Err(ErrorCode::NOT_COORDINATOR),
    }
}

fn init(
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &InitProducerIdRequest,
) -> Result<Identity, ErrorCode> {
    let held = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (-1, _) | (_, -1) => return Err(ErrorCode::INVALID_REQUEST),
        held => Some(held),
    };
    let Some(transactional_id) = request.transactional_id.as_deref() else {
        // Without transactions a producer counts its epochs itself: this is always a new one.
        return Ok((transactions.new_producer_id(), 0));
    };
    if transactional_id.is_empty() {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    let timeout = u64::try_from(request.transaction_timeout_ms)
        .ok()
        .filter(|ms| (1..=LONGEST_TIMEOUT_MS).contains(ms))
        .ok_or(ErrorCode::INVALID_TRANSACTION_TIMEOUT)?;
    check_coordinator(topology, context, transactional_id)?;
    transactions.init(transactional_id, held, Duration::from_millis(timeout), context.now)
}

/// All partitions are added or none is.
fn add_to_one(
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    asked: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let is_known = |topic: &str, index| topology.partition(topic, index).is_some();
    let all_known = asked
        .topics
        .iter()
        .all(|topic| topic.partitions.iter().all(|&index| is_known(&topic.name, index)));
    if !all_known {
        return each(&asked.topics, |topic, index| {
            if is_known(topic, index) {
                ErrorCode::OPERATION_NOT_ATTEMPTED
            } else {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            }
        });
    }
    let writer = Writer {
        transactional_id: &asked.transactional_id,
        identity: (asked.producer_id, asked.producer_epoch),
    };
    let participant = |topic: &str, index| Participant::Partition(topic.to_owned(), index);
    let code = |outcome: Result<(), ErrorCode>| {
        told(outcome.err().unwrap_or(ErrorCode::NONE), context, KNOWS_FENCED)
    };
    let coordinates = check_coordinator(topology, context, writer.transactional_id);
    if asked.verify_only {
        return each(&asked.topics, |topic, index| {
            let verify = |()| transactions.verify(writer, &participant(topic, index));
            code(coordinates.and_then(verify))
        });
    }
    let participants = asked
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|&index| participant(&topic.name, index)));
    let outcome = code(coordinates.and_then(|()| transactions.add(writer, participants, context)));
    each(&asked.topics, |_, _| outcome)
}

fn each(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|&partition_index| AddPartitionsToTxnPartitionResult {
                partition_index,
                partition_error_code: code(&topic.name, partition_index),
            })
            .collect(),
    });
    topics.collect()
}

/// A code as versions before `knows_fenced` know it.
fn told(code: ErrorCode, context: &Context<'_>, knows_fenced: i16) -> ErrorCode {
    if code == ErrorCode::PRODUCER_FENCED && context.origin.version < knows_fenced {
        ErrorCode::INVALID_PRODUCER_EPOCH
    } else {
        code
    }
}

/// From this version on brokers ask for many transactions at once.
const MANY_TRANSACTIONS: i16 = 4;
/// From this version on EndTxn belongs to transactions of version 2 (KIP-890).
const BUMPS: i16 = 5;
/// From these versions on clients know `PRODUCER_FENCED` (KIP-588).
const KNOWS_FENCED: i16 = 2;
const INIT_KNOWS_FENCED: i16 = 4;
/// Kafka's `transaction.max.timeout.ms`.
const LONGEST_TIMEOUT_MS: u64 = 900_000;
