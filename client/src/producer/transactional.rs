//! Transactions as their users see them (KIP-98, KIP-447, KIP-890). In: records and offsets between a
//! beginning and an end; out: all of them become visible to readers of committed records, or none.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use klamm_protocol::records::{HeaderParts, RecordParts};
use klamm_protocol::session::backoff::Backoff;
use klamm_protocol::session::transaction::{End, GroupMember, Position, TransactionOptions};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::admin::CommittedOffset;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::partition::TopicPartition;

use super::driver::Command;
use super::options::ProducerOptions;
use super::ticket::Ticket;
use super::transactions::{Carrier, Guard, Wish};
use super::{Producer, spawn};

/// Writes records in transactions under one `transactional.id`.
///
/// Of all producers with the same id only the one that was initialised last can commit; older ones
/// fail with [`ErrorKind::Fenced`]. So a restarted program never competes with what is left of it.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
/// use klamm_client::producer::ProducerOptions;
/// use klamm_protocol::records::RecordParts;
///
/// let mut options = ProducerOptions::default();
/// options.transactional_id = Some("payments-0".to_owned());
/// let mut producer = client.transactional_producer(options)?;
/// producer.init().await?;
/// // From here on nothing of an earlier run can become visible any more.
/// let transaction = producer.begin().await?;
/// for value in ["debit", "credit"] {
///     let record = RecordParts::new(0, None, Some(value.as_bytes()));
///     let _ = transaction.append("payments", None, record).await?;
/// }
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct TransactionalProducer {
    producer: Producer,
    id: String,
    dropped: Arc<AtomicBool>,
    initialised: bool,
}

/// A transaction that takes records. Dropped without an end it is aborted, before the next one
/// begins.
#[must_use = "a transaction that is dropped is aborted; commit it"]
pub struct Transaction<'a> {
    producer: &'a mut TransactionalProducer,
    guard: Guard,
}

impl Client {
    /// A producer of transactions, with a task of its own in the current runtime. Nothing is
    /// contacted before [`TransactionalProducer::init`] or [`TransactionalProducer::begin`].
    ///
    /// Errors: [`ErrorKind::Config`] without a transactional id, and where options contradict each
    /// other.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn transactional_producer(
        &self,
        options: ProducerOptions,
    ) -> Result<TransactionalProducer> {
        options.check()?;
        let id = options.transactional_id.clone().ok_or_else(|| {
            Error::new(ErrorKind::Config, "a transactional producer needs a transactional.id")
                .with_hint("set it to a name that stays the same over restarts")
        })?;
        let dropped = Arc::new(AtomicBool::new(false));
        let config = self.config();
        let transactions = TransactionOptions {
            id: id.clone(),
            timeout: options.transaction_timeout,
            patience: options.max_block,
            backoff: Backoff::new(*config.retry_backoff(), *config.retry_backoff_max()),
        };
        let carrier = Carrier::new(self.clone(), transactions, Arc::clone(&dropped));
        let producer = spawn(self, &options, Some(carrier));
        Ok(TransactionalProducer { producer, id, dropped, initialised: false })
    }
}

impl TransactionalProducer {
    /// Takes over the transactional id: older producers are fenced, and what they left open is
    /// decided, as a rule aborted. Once it returns, no record of an earlier transaction can appear
    /// any more that is not there.
    ///
    /// Later calls make sure of the same after a commit whose outcome was unknown, and tell how that
    /// transaction ended, if the coordinator still says so. Otherwise they do no harm.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Fenced`] if another producer has taken over since; [`ErrorKind::TimedOut`] after
    /// `max.block.ms`, and then it may be called again; the broker's code where the id may not be
    /// used.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the initialisation goes on, and calling again waits for it.
    pub async fn init(&mut self) -> Result<Option<End>> {
        let (reply, answer) = oneshot::channel();
        self.send(Wish::Init(reply)).await?;
        let outcome = self.answer(answer).await;
        self.initialised |= outcome.is_ok();
        outcome
    }

    /// Begins a transaction; initialises first where that was not done. Nothing is sent for that
    /// itself, but the end of the transaction before is waited for.
    ///
    /// # Errors
    ///
    /// As [`TransactionalProducer::init`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a transaction that was begun for a dropped call is aborted.
    pub async fn begin(&mut self) -> Result<Transaction<'_>> {
        if !self.initialised {
            self.init().await?;
        }
        let (reply, answer) = oneshot::channel();
        let guard = Guard::new(&self.dropped, self.producer.commands());
        self.send(Wish::Begin(guard, reply)).await?;
        let guard = self.answer(answer).await?;
        Ok(Transaction { producer: self, guard })
    }

    /// The name under which brokers know this producer.
    pub fn transactional_id(&self) -> &str {
        &self.id
    }

    /// Waits until what was begun has ended, until `deadline` at most, and takes nothing more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] at the deadline.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the closing goes on.
    pub async fn close(self, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        let (reply, answer) = oneshot::channel();
        let rest = async {
            self.send(Wish::Rest(reply)).await?;
            self.answer(answer).await
        };
        let late = |_| {
            Error::new(ErrorKind::TimedOut, "a transaction did not end before the deadline")
                .with("transactional_id", &self.id)
        };
        timeout_at(until, rest).await.map_err(late)??;
        self.producer.close(until.saturating_duration_since(Instant::now())).await
    }

    async fn send(&self, wish: Wish) -> Result<()> {
        let sent = self.producer.commands().send(Command::Transaction(wish)).await;
        sent.map_err(|_| gone())
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        answer.await.map_err(|_| gone())?
    }
}

impl Transaction<'_> {
    /// Copies a record into its partition's open batch, as [`Producer::append`] does. Its ticket
    /// tells where in the log it is; whether it counts, [`Transaction::commit`] tells.
    ///
    /// # Errors
    ///
    /// As [`Producer::append`]; [`ErrorKind::AbortRequired`] once the transaction can only be
    /// aborted; [`ErrorKind::Fenced`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call has appended nothing.
    pub async fn append<'a, H>(
        &self,
        topic: &str,
        partition: Option<i32>,
        record: RecordParts<'a, H>,
    ) -> Result<Ticket>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        self.producer.producer.append(topic, partition, record).await
    }

    /// Sends everything appended so far without further waiting, and waits for its outcome.
    /// [`Transaction::commit`] does so, too.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Producer::flush`].
    pub async fn flush(&self) -> Result<()> {
        self.producer.producer.flush().await
    }

    /// Stores a group's positions with the transaction: they count if it is committed. `member` says
    /// as whom, so that a member that was put out of the group cannot store anything (KIP-447).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AbortRequired`] for whatever keeps the offsets from being stored, within
    /// `max.block.ms`; [`ErrorKind::Fenced`].
    ///
    /// # Cancel safety
    ///
    /// A dropped call goes on, and the end of the transaction waits for it: the positions may be
    /// part of the transaction or not.
    pub async fn send_offsets(
        &mut self,
        member: &GroupMember,
        positions: &[(TopicPartition, CommittedOffset)],
    ) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let position = |(place, stored): &(TopicPartition, CommittedOffset)| Position {
            topic: Arc::clone(&place.topic),
            partition: place.partition,
            offset: stored.offset,
            leader_epoch: stored.leader_epoch,
            metadata: Some(stored.metadata.clone()),
        };
        let positions = positions.iter().map(position).collect();
        self.producer.send(Wish::Offsets(member.clone(), positions, reply)).await?;
        self.producer.answer(answer).await
    }

    /// Sends what is left, waits until all of it is written, and commits it. Readers of committed
    /// records see it a moment later, when the coordinator has told the partitions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AbortRequired`] if any batch was not, or not certainly, written, or a
    /// coordinator demands it: nothing of the transaction is or will be visible, and it is aborted
    /// before the next one begins. [`ErrorKind::Fenced`]: the same, and the producer is of no more
    /// use. [`ErrorKind::OutcomeUnknown`] if no coordinator has answered for `max.block.ms`, or
    /// another producer has taken over before it could: the transaction is committed or will not be,
    /// and [`TransactionalProducer::init`] decides which.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first turn is over, the transaction is aborted; dropped later, the commit
    /// goes on, and the next [`TransactionalProducer::begin`] waits for it.
    pub async fn commit(mut self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.producer.send(Wish::Commit(reply)).await?;
        self.guard.disarm();
        self.producer.answer(answer).await.map(drop)
    }

    /// Makes sure that nothing of the transaction ever becomes visible.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] after `max.block.ms`: the abort goes on with the next
    /// [`TransactionalProducer::begin`]. [`ErrorKind::Fenced`]: aborted, but not by this producer,
    /// which is of no more use.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the abort goes on.
    pub async fn abort(mut self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.producer.send(Wish::Abort(Some(reply))).await?;
        self.guard.disarm();
        self.producer.answer(answer).await.map(drop)
    }
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("id", &self.producer.id).finish_non_exhaustive()
    }
}

/// The task has ended with its runtime.
fn gone() -> Error {
    Error::new(ErrorKind::Usage, "the producer is closed").with_hint("make a new producer")
}
