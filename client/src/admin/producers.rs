//! Producers and transactions, for finding transactions that hang and ending them (KIP-664). In:
//! partitions or transactional ids; out: what leaders and coordinators know of them.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_protocol::messages::describe_producers::{
    DescribeProducersRequest, ProducerState as ToldProducer, TopicRequest,
};
use klamm_protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, TransactionState as ToldTransaction,
};
use klamm_protocol::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse,
};
use klamm_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};

use crate::client::Client;
use crate::cluster::{CoordinatorKind, Repeat};
use crate::error::{Error, ErrorKind, Result};
use crate::partition::TopicPartition;

use super::by_topic::{gathered, named};
use super::each::{Call, Each, Item, Named, To, Told, about, verdict};
use super::listing::Listing;

/// What a partition knows of a producer that wrote to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ProducerState {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch when it last wrote.
    pub epoch: i32,
    /// The sequence number of its last record.
    pub last_sequence: Option<i32>,
    /// The timestamp of its last write, in milliseconds since 1970.
    pub last_timestamp: Option<i64>,
    /// The epoch of the coordinator that wrote its last marker.
    pub coordinator_epoch: Option<i32>,
    /// The first offset of its open transaction.
    pub transaction_start: Option<i64>,
}

/// A transaction as its coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionDescription {
    /// `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort`, or a
    /// newer one of Kafka's words.
    pub state: String,
    /// The producer's id.
    pub producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// After how long the coordinator aborts it.
    pub timeout: Duration,
    /// When it began, in milliseconds since 1970, if one is open.
    pub started_ms: Option<i64>,
    /// The partitions that belong to it, in order.
    pub partitions: Vec<TopicPartition>,
}

/// A transaction in short.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedTransaction {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer's id.
    pub producer_id: i64,
    /// As [`TransactionDescription::state`].
    pub state: String,
}

/// Which transactions to list; by default all.
///
/// ```
/// use std::time::Duration;
/// use klamm_client::admin::TransactionFilter;
///
/// let stuck = TransactionFilter::default()
///     .with_state("Ongoing")
///     .with_open_longer_than(Duration::from_secs(900));
/// assert_eq!(stuck.states, ["Ongoing"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionFilter {
    /// Only in these states; empty for any.
    pub states: Vec<String>,
    /// Only of these producers; empty for any.
    pub producer_ids: Vec<i64>,
    /// Only those open for longer (brokers since 3.8, KIP-994).
    pub open_longer_than: Option<Duration>,
    /// Only ids that match this regular expression of RE2's syntax (brokers since 4.1, KIP-1152).
    pub id_pattern: Option<String>,
}

/// A transaction that hangs in a partition, as [`Client::describe_producers`] shows it: open there,
/// and not known to its coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HangingTransaction {
    /// The partition.
    pub partition: TopicPartition,
    /// The producer's id.
    pub producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// The epoch of the coordinator that wrote its last marker, 0 if there was none.
    pub coordinator_epoch: i32,
}

impl TransactionFilter {
    /// Only in this state, too.
    #[must_use]
    pub fn with_state(mut self, state: impl Into<String>) -> Self {
        self.states.push(state.into());
        self
    }

    /// Only of this producer, too.
    #[must_use]
    pub fn with_producer(mut self, producer_id: i64) -> Self {
        self.producer_ids.push(producer_id);
        self
    }

    /// Only those open for longer than this.
    #[must_use]
    pub fn with_open_longer_than(mut self, duration: Duration) -> Self {
        self.open_longer_than = Some(duration);
        self
    }

    /// Only ids that match this regular expression.
    #[must_use]
    pub fn with_id_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.id_pattern = Some(pattern.into());
        self
    }
}

impl Client {
    /// The producers that partitions remember, by rising id. The results stand in the order of the
    /// partitions.
    ///
    /// # Errors
    ///
    /// For each: [`Usage`](ErrorKind::Usage) if topic or partition does not exist (new ones are
    /// waited for two seconds), the broker's code with its own words,
    /// [`Unsupported`](ErrorKind::Unsupported) from brokers before 2.8, or
    /// [`TimedOut`](ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
    ) -> Vec<Result<Vec<ProducerState>>> {
        let to = To::Leader(|partition: &TopicPartition| partition);
        let each = Each { client: self, items: partitions, to, repeat: Repeat::Harmless };
        each.ask(producers).await
    }

    /// Transactions as their coordinators know them. The results stand in the order of the ids.
    ///
    /// # Errors
    ///
    /// For each: `TRANSACTIONAL_ID_NOT_FOUND` or another code of the broker's,
    /// [`Unsupported`](ErrorKind::Unsupported) from brokers before 3.0, or
    /// [`TimedOut`](ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_transactions(&self, ids: &[&str]) -> Vec<Result<TransactionDescription>> {
        let items: Vec<_> = ids.iter().map(|id| Named("transactional id", id)).collect();
        let to = To::Coordinator(CoordinatorKind::Transaction, |id: &Named<'_>| id.1);
        let each = Each { client: self, items: &items, to, repeat: Repeat::Harmless };
        each.ask(transactions).await
    }

    /// The transactions of all coordinators that a filter finds, by id.
    ///
    /// # Errors
    ///
    /// For each broker apart, in [`Listing::failed`]: the broker's code,
    /// [`Unsupported`](ErrorKind::Unsupported) where it is too old for the filter or, before 3.0,
    /// at all, [`Usage`](ErrorKind::Usage) for a state that it does not know, or
    /// [`TimedOut`](ErrorKind::TimedOut) after `default.api.timeout.ms`. As a whole if no broker is
    /// known.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Listing<ListedTransaction>> {
        let longer = filter.open_longer_than;
        let request = &ListTransactionsRequest {
            state_filters: filter.states.clone(),
            producer_id_filters: filter.producer_ids.clone(),
            duration_filter: longer
                .map_or(-1, |longer| i64::try_from(longer.as_millis()).unwrap_or(i64::MAX)),
            transactional_id_pattern: filter.id_pattern.clone(),
        };
        let mut listing = self
            .list_everywhere(|handle, deadline| async move {
                listed(handle.request(request, deadline).await?)
            })
            .await?;
        listing.found.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
        Ok(listing)
    }

    /// Has the leader of a partition write that a hanging transaction is aborted. **Only for one
    /// that its coordinator does not know any more**: a transaction under way would be torn apart.
    ///
    /// # Errors
    ///
    /// The broker's code, such as `INVALID_PRODUCER_EPOCH` or `TRANSACTION_COORDINATOR_FENCED`
    /// where the transaction is another one by now; [`OutcomeUnknown`](ErrorKind::OutcomeUnknown)
    /// where the request got no answer, which is not repeated; [`Usage`](ErrorKind::Usage) if there
    /// is no such partition.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the transaction may or may not be aborted.
    pub async fn abort_transaction(&self, hanging: &HangingTransaction) -> Result<()> {
        let to = To::Leader(|hanging: &HangingTransaction| &hanging.partition);
        let items = std::slice::from_ref(hanging);
        let each = Each { client: self, items, to, repeat: Repeat::Harmful };
        let mut done = each.ask(abort).await;
        // One item has one result.
        done.pop().unwrap_or(Ok(()))
    }
}

impl Item for HangingTransaction {
    type Key = TopicPartition;

    fn key(&self) -> TopicPartition {
        self.partition.clone()
    }

    fn named(&self, error: Error) -> Error {
        about(self.partition.named(error), "producer", self.producer_id)
    }
}

async fn producers(call: Call<'_, TopicPartition>) -> Told<TopicPartition, Vec<ProducerState>> {
    let topic = |name, partition_indexes| TopicRequest { name, partition_indexes };
    let topics = gathered(call.items.iter().copied(), topic);
    let response = call.request(&DescribeProducersRequest { topics }).await?;
    let topics = response.topics.into_iter();
    let told = topics.flat_map(|one| named(one.name, one.partitions, |one| one.partition_index));
    Ok(told
        .map(|(partition, one)| {
            let mut found: Vec<_> = one.active_producers.iter().map(ProducerState::of).collect();
            found.sort_by_key(|producer| producer.producer_id);
            (partition, verdict(one.error_code, one.error_message).map(|()| found))
        })
        .collect())
}

async fn transactions(call: Call<'_, Named<'_>>) -> Told<String, TransactionDescription> {
    let transactional_ids = call.items.iter().map(|id| id.1.to_owned()).collect();
    let response = call.request(&DescribeTransactionsRequest { transactional_ids }).await?;
    let told = response.transaction_states.into_iter();
    Ok(told
        .map(|one| {
            let outcome = Error::check(one.error_code);
            (one.transactional_id.clone(), outcome.map(|()| TransactionDescription::of(one)))
        })
        .collect())
}

fn listed(response: ListTransactionsResponse) -> Result<Vec<ListedTransaction>> {
    Error::check(response.error_code)?;
    if let Some(state) = response.unknown_state_filters.first() {
        return Err(Error::new(ErrorKind::Usage, "the broker knows no such state")
            .with("state", state)
            .with_hint("use one of Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort"));
    }
    let transaction =
        |one: klamm_protocol::messages::list_transactions::TransactionState| ListedTransaction {
            transactional_id: one.transactional_id,
            producer_id: one.producer_id,
            state: one.transaction_state,
        };
    Ok(response.transaction_states.into_iter().map(transaction).collect())
}

async fn abort(call: Call<'_, HangingTransaction>) -> Told<TopicPartition, ()> {
    let topic = |name, partition_indexes| WritableTxnMarkerTopic { name, partition_indexes };
    let marker = |one: &&HangingTransaction| WritableTxnMarker {
        producer_id: one.producer_id,
        producer_epoch: one.epoch,
        transaction_result: false,
        topics: gathered([&one.partition], topic),
        coordinator_epoch: one.coordinator_epoch,
        ..WritableTxnMarker::default()
    };
    let request = WriteTxnMarkersRequest { markers: call.items.iter().map(marker).collect() };
    let markers = call.request(&request).await?.markers.into_iter();
    let topics = markers.flat_map(|marker| marker.topics);
    let told = topics.flat_map(|one| named(one.name, one.partitions, |one| one.partition_index));
    Ok(told.map(|(partition, one)| (partition, Error::check(one.error_code))).collect())
}

impl ProducerState {
    fn of(told: &ToldProducer) -> Self {
        Self {
            producer_id: told.producer_id,
            epoch: told.producer_epoch,
            last_sequence: Some(told.last_sequence).filter(|sequence| *sequence >= 0),
            last_timestamp: Some(told.last_timestamp).filter(|timestamp| *timestamp >= 0),
            coordinator_epoch: Some(told.coordinator_epoch).filter(|epoch| *epoch >= 0),
            transaction_start: Some(told.current_txn_start_offset).filter(|offset| *offset >= 0),
        }
    }
}

impl TransactionDescription {
    fn of(told: ToldTransaction) -> Self {
        let mut topics = BTreeMap::new();
        for topic in told.topics {
            topics.entry(topic.topic).or_insert_with(Vec::new).extend(topic.partitions);
        }
        let partitions = topics.into_iter().flat_map(|(name, partitions)| {
            named(name, partitions, |index| *index).map(|(partition, _)| partition)
        });
        let mut partitions: Vec<_> = partitions.collect();
        partitions.sort();
        Self {
            state: told.transaction_state,
            producer_id: told.producer_id,
            epoch: told.producer_epoch,
            timeout: Duration::from_millis(
                told.transaction_timeout_ms.max(0).unsigned_abs().into(),
            ),
            started_ms: Some(told.transaction_start_time_ms).filter(|time| *time >= 0),
            partitions,
        }
    }
}
