//! The requests of transactional producers, each with its handler and how it is refused.

use std::time::Instant;

use klamm_protocol::api::ApiKey;
use klamm_protocol::error::DecodeError;
use klamm_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use klamm_protocol::messages::add_partitions_to_txn::AddPartitionsToTxnRequest;
use klamm_protocol::messages::describe_transactions::DescribeTransactionsRequest;
use klamm_protocol::messages::end_txn::EndTxnRequest;
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::list_transactions::ListTransactionsRequest;
use klamm_protocol::messages::txn_offset_commit::TxnOffsetCommitRequest;

use super::{Incoming, Machine};
use crate::broker::group::txn_offsets;
use crate::broker::transaction::{answer, describe};

impl Machine {
    /// Serves one, and writes the markers that it made due.
    pub(super) fn transaction(&mut self, incoming: Incoming<'_>) -> Result<(), DecodeError> {
        let clock = (Some(incoming.context.now), incoming.context.wall_ms);
        let version = incoming.context.origin.version;
        let outcome = match incoming.context.origin.key {
            ApiKey::InitProducerId => self.reply(
                incoming,
                |machine, context, request: &InitProducerIdRequest| {
                    let Self { transactions, topology, .. } = machine;
                    answer::init_producer_id(transactions, topology, context, request)
                },
                |_, _, code| answer::refuse_init(code),
            ),
            ApiKey::AddPartitionsToTxn => self.reply(
                incoming,
                |machine, context, request: &AddPartitionsToTxnRequest| {
                    let Self { transactions, topology, .. } = machine;
                    answer::add_partitions(transactions, topology, context, request)
                },
                |_, request, code| answer::refuse_partitions(version, request, code),
            ),
            ApiKey::AddOffsetsToTxn => self.reply(
                incoming,
                |machine, context, request: &AddOffsetsToTxnRequest| {
                    let Self { transactions, topology, .. } = machine;
                    answer::add_offsets(transactions, topology, context, request)
                },
                |_, _, code| answer::refuse_offsets(code),
            ),
            ApiKey::TxnOffsetCommit => self.reply(
                incoming,
                |machine, context, request: &TxnOffsetCommitRequest| {
                    let Self { groups, transactions, topology, .. } = machine;
                    txn_offsets::commit(groups, transactions, topology, context, request)
                },
                |_, request, code| txn_offsets::refuse(request, code),
            ),
            _ => self.reply(
                incoming,
                |machine, context, request: &EndTxnRequest| {
                    let Self { transactions, topology, .. } = machine;
                    answer::end(transactions, topology, context, request)
                },
                |_, _, code| answer::refuse_end(code),
            ),
        };
        self.write_markers(clock);
        outcome
    }

    pub(super) fn describe_transactions(
        &mut self,
        incoming: Incoming<'_>,
    ) -> Result<(), DecodeError> {
        if incoming.context.origin.key == ApiKey::ListTransactions {
            return self.reply(
                incoming,
                |machine, context, request: &ListTransactionsRequest| {
                    let Self { transactions, topology, .. } = machine;
                    describe::list(transactions, topology, context, request)
                },
                |_, _, code| describe::refuse_list(code),
            );
        }
        self.reply(
            incoming,
            |machine, context, request: &DescribeTransactionsRequest| {
                let Self { transactions, topology, .. } = machine;
                describe::describe(transactions, topology, context, request)
            },
            |_, request, code| describe::refuse_describe(request, code),
        )
    }

    /// Writes the markers that are due, and wakes those who wait for records there.
    pub(super) fn write_markers(&mut self, clock: (Option<Instant>, i64)) {
        let Self { transactions, topology, groups, fetches, outbox, .. } = self;
        let written = transactions.write_markers(topology, groups, clock);
        if !written.is_empty() {
            fetches.wake(topology, outbox, &written);
        }
    }
}
