//! The requests of a transaction, written out: what the machine knows goes in, a message in the
//! versions that mean it comes out.

use std::sync::Arc;

use crate::api::VersionRange;
use crate::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use crate::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use crate::messages::end_txn::EndTxnRequest;
use crate::messages::init_producer_id::InitProducerIdRequest;
use crate::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use crate::session::produce::ProducerIdentity;

use super::values::{End, GroupMember, Position, TransactionOptions, TransactionRequest};

/// A topic's partition.
pub(super) type Place = (Arc<str>, i32);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) options: &'a TransactionOptions,
    /// `None` until the first answer to InitProducerId.
    pub(super) identity: Option<ProducerIdentity>,
    /// Transactions of version 2.
    pub(super) implicit: bool,
}

impl Sender<'_> {
    /// The first time without an epoch, which fences whoever has one; later with it, so that this
    /// one is fenced if somebody took over (KIP-360).
    pub(super) fn init(&self) -> (TransactionRequest, VersionRange) {
        let timeout = self.options.timeout.as_millis().try_into().unwrap_or(i32::MAX);
        let request = InitProducerIdRequest {
            transactional_id: Some(self.options.id.clone()),
            transaction_timeout_ms: timeout,
            producer_id: self.identity.map_or(-1, |identity| identity.id),
            producer_epoch: self.identity.map_or(-1, |identity| identity.epoch),
            ..InitProducerIdRequest::default()
        };
        let least = if self.identity.is_some() { 3 } else { 0 };
        (TransactionRequest::InitProducerId(request), VersionRange::new(least, 5))
    }

    pub(super) fn add_partitions(&self, places: &[Place]) -> (TransactionRequest, VersionRange) {
        let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
        for (name, partition) in places {
            match topics.last_mut().filter(|topic| *topic.name == **name) {
                Some(topic) => topic.partitions.push(*partition),
                None => topics.push(AddPartitionsToTxnTopic {
                    name: name.to_string(),
                    partitions: vec![*partition],
                }),
            }
        }
        let (producer_id, producer_epoch) = self.stamp();
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.options.id.clone(),
            v3_and_below_producer_id: producer_id,
            v3_and_below_producer_epoch: producer_epoch,
            v3_and_below_topics: topics,
            ..AddPartitionsToTxnRequest::default()
        };
        (TransactionRequest::AddPartitions(request), VersionRange::new(0, 3))
    }

    pub(super) fn add_offsets(&self, group: &str) -> (TransactionRequest, VersionRange) {
        let (producer_id, producer_epoch) = self.stamp();
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.options.id.clone(),
            producer_id,
            producer_epoch,
            group_id: group.to_owned(),
        };
        (TransactionRequest::AddOffsets(request), VersionRange::new(0, 4))
    }

    pub(super) fn commit_offsets(
        &self,
        member: &GroupMember,
        positions: &[Position],
    ) -> (TransactionRequest, VersionRange) {
        let (producer_id, producer_epoch) = self.stamp();
        let request = TxnOffsetCommitRequest {
            transactional_id: self.options.id.clone(),
            group_id: member.group.to_string(),
            producer_id,
            producer_epoch,
            generation_id_or_member_epoch: member.generation,
            member_id: member.member.clone(),
            group_instance_id: member.instance.clone(),
            topics: by_topic(positions),
        };
        let versions = match (self.implicit, member.is_checked()) {
            (true, _) => VersionRange::new(5, 5),
            (false, true) => VersionRange::new(3, 4),
            (false, false) => VersionRange::new(0, 4),
        };
        (TransactionRequest::CommitOffsets(request), versions)
    }

    /// Version 5 raises the epoch and says so; below it the same epoch goes on.
    pub(super) fn end(&self, end: End) -> (TransactionRequest, VersionRange) {
        let (producer_id, producer_epoch) = self.stamp();
        let request = EndTxnRequest {
            transactional_id: self.options.id.clone(),
            producer_id,
            producer_epoch,
            committed: end == End::Committed,
        };
        let versions =
            if self.implicit { VersionRange::new(5, 5) } else { VersionRange::new(0, 4) };
        (TransactionRequest::End(request), versions)
    }

    fn stamp(&self) -> (i64, i16) {
        self.identity.map_or((-1, -1), |identity| (identity.id, identity.epoch))
    }
}

fn by_topic(positions: &[Position]) -> Vec<TxnOffsetCommitRequestTopic> {
    let mut topics: Vec<TxnOffsetCommitRequestTopic> = Vec::new();
    for position in positions {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: position.partition,
            committed_offset: position.offset,
            committed_leader_epoch: position.leader_epoch.unwrap_or(-1),
            // Brokers refuse null from old clients, and mean the same by an empty text.
            committed_metadata: Some(position.metadata.clone().unwrap_or_default()),
        };
        match topics.iter_mut().find(|topic| *topic.name == *position.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(TxnOffsetCommitRequestTopic {
                name: position.topic.to_string(),
                partitions: vec![partition],
                ..TxnOffsetCommitRequestTopic::default()
            }),
        }
    }
    topics
}
