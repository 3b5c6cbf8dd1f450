//! TxnOffsetCommit: positions that count once their transaction is committed (KIP-98, KIP-447).
//!
//! In go a producer's positions and the ends of transactions; until then a position is pending,
//! which a fetch that asks for stable ones is told (KIP-447).

use std::collections::BTreeMap;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use super::offsets::{self, Position};
use super::{Committed, Committer, Group, Groups};
use crate::broker::outbox::Context;
use crate::broker::topology::Topology;
use crate::broker::transaction::state::Participant;
use crate::broker::transaction::{Entry, Transactions, Writer};

/// Positions by producer, each valid once its producer's transaction is committed.
pub(crate) type Pending = BTreeMap<i64, BTreeMap<(String, i32), Committed>>;

impl Groups {
    /// The transaction of a producer has ended: its positions count, or are forgotten.
    pub(crate) fn end_transaction(&mut self, group_id: &str, producer_id: i64, commit: bool) {
        let Some(group) = self.by_id.get_mut(group_id) else {
            return;
        };
        let pending = group.pending.remove(&producer_id).unwrap_or_default();
        for (partition, committed) in pending.into_iter().filter(|_| commit) {
            // What was committed outside after the pending position wins, as it does in a log.
            let newer =
                group.offsets.get(&partition).is_some_and(|now| now.order > committed.order);
            if !newer {
                group.offsets.insert(partition, committed);
            }
        }
    }
}

impl Group {
    /// Whether an open transaction may yet change a position.
    pub(crate) fn is_unstable(&self, topic: &str, index: i32) -> bool {
        let partition = (topic.to_owned(), index);
        self.pending.values().any(|pending| pending.contains_key(&partition))
    }
}

/// Answers TxnOffsetCommit.
pub(crate) fn commit(
    groups: &mut Groups,
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let by_id = context.origin.version >= BY_ID;
    let find = |topic: &TxnOffsetCommitRequestTopic, index| {
        offsets::find_partition(topology, by_id, (&topic.name, topic.topic_id), index)
    };
    let known = |topic: &TxnOffsetCommitRequestTopic| {
        topic.partitions.iter().any(|asked| find(topic, asked.partition_index).is_ok())
    };
    if !request.topics.iter().any(known) {
        return each(request, |topic, asked| {
            find(topic, asked.partition_index).err().unwrap_or(ErrorCode::NONE)
        });
    }
    let group = match admit(groups, transactions, topology, context, request) {
        Ok(group) => group,
        Err(code) => return refuse(request, code),
    };
    let producer_id = request.producer_id;
    each(request, |topic, asked| {
        let position = Position {
            offset: asked.committed_offset,
            leader_epoch: asked.committed_leader_epoch,
            metadata: asked.committed_metadata.as_deref(),
        };
        let stored = find(topic, asked.partition_index).and_then(|topic| {
            let committed = group.committed(topic, position)?;
            let partition = (topic.name.clone(), asked.partition_index);
            group.pending.entry(producer_id).or_default().insert(partition, committed);
            Ok(())
        });
        stored.err().unwrap_or(ErrorCode::NONE)
    })
}

/// Every partition of the request refused with `code`.
pub(crate) fn refuse(request: &TxnOffsetCommitRequest, code: ErrorCode) -> TxnOffsetCommitResponse {
    each(request, |_, _| code)
}

/// The group, once it is sure that both the producer and the consumer behind it are the present
/// ones. The producer comes first, since its claim may begin the transaction.
fn admit<'a>(
    groups: &'a mut Groups,
    transactions: &mut Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &TxnOffsetCommitRequest,
) -> Result<&'a mut Group, ErrorCode> {
    super::check_coordinator(topology, context, &request.group_id)?;
    let writer = Writer {
        transactional_id: &request.transactional_id,
        identity: (request.producer_id, request.producer_epoch),
    };
    let entry = match context.origin.version {
        ADDS.. => Entry::Added,
        ABORTABLE.. => Entry::VerifiedAbortable,
        _ => Entry::Verified,
    };
    let participant = Participant::Positions(request.group_id.clone());
    transactions.enter(writer, participant, entry, context)?;
    groups.committing(
        topology,
        context,
        &Committer {
            group_id: &request.group_id,
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
            transactional: true,
        },
    )
}

fn each(
    request: &TxnOffsetCommitRequest,
    mut outcome: impl FnMut(&TxnOffsetCommitRequestTopic, &TxnOffsetCommitRequestPartition) -> ErrorCode,
) -> TxnOffsetCommitResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|asked| TxnOffsetCommitResponsePartition {
            partition_index: asked.partition_index,
            error_code: outcome(topic, asked),
        });
        let partitions = partitions.collect();
        let (name, topic_id) = (topic.name.clone(), topic.topic_id);
        topics.push(TxnOffsetCommitResponseTopic { name, topic_id, partitions });
    }
    TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() }
}

/// From this version on the client knows `TRANSACTION_ABORTABLE` (KIP-890).
const ABORTABLE: i16 = 4;
/// From this version on the request itself takes the group into the transaction (KIP-890).
const ADDS: i16 = 5;
/// From this version on topics are named by id (KIP-1319).
const BY_ID: i16 = 6;
