//! DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152): how transactions stand.

use std::collections::BTreeMap;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};
use klamm_protocol::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState as ListedTransaction,
};

use super::Transactions;
use super::answer::check_coordinator;
use super::state::{Participant, Phase, Transaction};
use crate::broker::outbox::Context;
use crate::broker::pattern::Pattern;
use crate::broker::topology::Topology;

/// Answers DescribeTransactions.
pub(crate) fn describe(
    transactions: &Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    each(request, |id| {
        check_coordinator(topology, context, id)?;
        let found = transactions.by_id.get(id).ok_or(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND)?;
        Ok(described(id, found))
    })
}

/// Every transaction of the request refused with `code`.
pub(crate) fn refuse_describe(
    request: &DescribeTransactionsRequest,
    code: ErrorCode,
) -> DescribeTransactionsResponse {
    each(request, |_| Err(code))
}

/// Answers ListTransactions with those that this node looks after and that pass the filters.
pub(crate) fn list(
    transactions: &Transactions,
    topology: &Topology,
    context: &Context<'_>,
    request: &ListTransactionsRequest,
) -> ListTransactionsResponse {
    let pattern = request.transactional_id_pattern.as_deref().filter(|text| !text.is_empty());
    let pattern = match pattern.map(Pattern::new).transpose() {
        Ok(pattern) => pattern,
        Err(code) => return refuse_list(code),
    };
    let (known, unknown): (Vec<_>, Vec<_>) =
        request.state_filters.iter().partition(|name| Phase::NAMES.contains(&name.as_str()));
    let passes = |id: &str, transaction: &Transaction| {
        let name = transaction.phase.name();
        let lasts = transaction.started.map_or(0, |(_, since)| context.wall_ms - since);
        (request.state_filters.is_empty() || known.iter().any(|wanted| *wanted == name))
            && (request.producer_id_filters.is_empty()
                || request.producer_id_filters.contains(&transaction.producer_id))
            && (request.duration_filter < 0 || lasts > request.duration_filter)
            && pattern.as_ref().is_none_or(|pattern| pattern.matches(id))
    };
    let mine = transactions.by_id.iter().filter(|(id, transaction)| {
        check_coordinator(topology, context, id).is_ok() && passes(id, transaction)
    });
    ListTransactionsResponse {
        transaction_states: mine
            .map(|(id, transaction)| ListedTransaction {
                transactional_id: id.clone(),
                producer_id: transaction.producer_id,
                transaction_state: transaction.phase.name().to_owned(),
            })
            .collect(),
        unknown_state_filters: unknown.into_iter().cloned().collect(),
        ..ListTransactionsResponse::default()
    }
}

/// ListTransactions refused with `code`.
pub(crate) fn refuse_list(error_code: ErrorCode) -> ListTransactionsResponse {
    ListTransactionsResponse { error_code, ..ListTransactionsResponse::default() }
}

fn each(
    request: &DescribeTransactionsRequest,
    describe: impl Fn(&str) -> Result<TransactionState, ErrorCode>,
) -> DescribeTransactionsResponse {
    let one = |id: &String| {
        describe(id).unwrap_or_else(|error_code| TransactionState {
            error_code,
            transactional_id: id.clone(),
            ..TransactionState::default()
        })
    };
    DescribeTransactionsResponse {
        transaction_states: request.transactional_ids.iter().map(one).collect(),
        ..DescribeTransactionsResponse::default()
    }
}

fn described(id: &str, transaction: &Transaction) -> TransactionState {
    let timeout = transaction.timeout.as_millis();
    TransactionState {
        transactional_id: id.to_owned(),
        transaction_state: transaction.phase.name().to_owned(),
        transaction_timeout_ms: i32::try_from(timeout).unwrap_or(i32::MAX),
        transaction_start_time_ms: transaction.started.map_or(-1, |(_, since)| since),
        producer_id: transaction.producer_id,
        producer_epoch: transaction.epoch,
        topics: partitions(transaction),
        ..TransactionState::default()
    }
}

/// What takes part, by topic. A group takes part by its partition of Kafka's own topic, which is
/// named here though this cluster has none.
fn partitions(transaction: &Transaction) -> Vec<TopicData> {
    let mut topics = BTreeMap::<&str, Vec<i32>>::new();
    for participant in &transaction.participants {
        match participant {
            Participant::Partition(topic, index) => topics.entry(topic).or_default().push(*index),
            Participant::Positions(group) => {
                topics.entry(POSITIONS).or_default().push(positions_partition(group));
            }
        }
    }
    let topics = topics.into_iter().map(|(topic, mut partitions)| {
        partitions.sort_unstable();
        partitions.dedup();
        TopicData { topic: topic.to_owned(), partitions }
    });
    topics.collect()
}

/// Java's hash of the group's name, over the 50 partitions that Kafka makes.
fn positions_partition(group: &str) -> i32 {
    let hash = group
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % 50
}

/// Where Kafka keeps the positions of groups.
const POSITIONS: &str = "__consumer_offsets";
