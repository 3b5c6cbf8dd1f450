//! Writing records. In: records with a topic; out: a ticket for each, which tells what became of
//! it. Idempotent by default: written once and in order per partition, whatever the network does
//! (KIP-98). In transactions, all of a transaction or none of it becomes visible.
//!
//! The files, from the bottom up: `options`, `partitioner`, `ticket` (what became of a record),
//! `accumulator` (records into batches), `link` (one broker's connection), `transactions` (the words
//! with coordinators), `driver` (the one task that joins them with the produce machine), and
//! `transactional` (what users of transactions see).

mod accumulator;
mod driver;
mod link;
mod names;
mod options;
mod partitioner;
mod ticket;
mod transactional;
mod transactions;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use klamm_protocol::records::{HeaderParts, RecordParts};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

use accumulator::{Accumulator, Appended, News};
use driver::{Command, Driver};
use transactions::Carrier;

pub use klamm_protocol::session::transaction::{End, GroupMember};
pub use options::ProducerOptions;
pub use partitioner::{CustomPartitioner, Partitioner};
pub use ticket::{Delivery, Ticket};
pub use transactional::{Transaction, TransactionalProducer};

/// Writes records to any topics. Cheap to clone; all clones share batches, memory and connections.
///
/// A task of the current runtime does the sending. When the last clone is dropped, what was
/// appended is still sent as far as the runtime lives, at most for `delivery.timeout.ms`, and
/// nobody is told: call [`Producer::close`] or [`Producer::flush`] to be sure.
#[derive(Clone)]
pub struct Producer(Arc<Shared>);

struct Shared {
    client: Client,
    accumulator: Arc<Accumulator>,
    commands: mpsc::Sender<Command>,
    max_block: Duration,
    partitioner: Option<CustomPartitioner>,
    /// The driver should have its turn before the next record: on a runtime of one thread it has none
    /// while a caller appends and appends.
    crowded: AtomicBool,
}

impl Client {
    /// A producer with a task of its own in the current runtime. Nothing is contacted before the
    /// first record.
    ///
    /// Errors: [`ErrorKind::Config`] where options contradict each other, and with a transactional
    /// id, which is for [`Client::transactional_producer`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn producer(&self, options: ProducerOptions) -> Result<Producer> {
        options.check()?;
        if options.transactional_id.is_some() {
            let error = Error::new(ErrorKind::Config, "a producer without transactions has no id");
            return Err(error
                .with("option", "transactional.id")
                .with_hint("take it away, or make a transactional producer"));
        }
        Ok(spawn(self, &options, None))
    }
}

/// A producer whose task runs from now on.
fn spawn(client: &Client, options: &ProducerOptions, carrier: Option<Carrier>) -> Producer {
    let accumulator = Arc::new(Accumulator::new(options.accumulator()));
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let parts = (client.clone(), Arc::clone(&accumulator), carrier);
    tokio::spawn(Driver::new(parts, options, inbox).run());
    Producer(Arc::new(Shared {
        client: client.clone(),
        accumulator,
        commands,
        max_block: options.max_block,
        partitioner: options.partitioner.clone(),
        crowded: AtomicBool::new(false),
    }))
}

impl Producer {
    /// Copies a record into its partition's open batch. Returns as soon as it is there; its
    /// [`Ticket`] tells when it is written.
    ///
    /// Without a partition, [`ProducerOptions::partitioner`] decides, or else the key as in Java's
    /// clients, and records without a key stay with one partition for a batch. The record is copied straight into the batch: no allocation
    /// for it, and no copy besides.
    ///
    /// Waits while records without outcome fill the buffer, and for the metadata of a topic that is
    /// new here.
    ///
    /// Errors, the record then being certainly not written: [`ErrorKind::TimedOut`] after
    /// `max.block.ms`; [`ErrorKind::TooLarge`]; [`ErrorKind::Usage`] for a partition that does not
    /// exist and a producer that is closed; the broker's code for a topic that does not exist or is
    /// not allowed. Cancel safe: a dropped call has appended nothing.
    pub async fn append<'a, H>(
        &self,
        topic: &str,
        partition: Option<i32>,
        record: RecordParts<'a, H>,
    ) -> Result<Ticket>
    where
        H: Iterator<Item = HeaderParts<'a>> + Clone,
    {
        let shared = &*self.0;
        let partition = match &shared.partitioner {
            Some(custom) if partition.is_none() => shared.choose(custom, topic, &record).await?,
            _ => partition,
        };
        if shared.crowded.load(Ordering::Relaxed) {
            shared.crowded.store(false, Ordering::Relaxed);
            yield_now().await;
        }
        // The common case needs neither a clock nor a waiter.
        match shared.accumulator.try_append(topic, partition, &record)? {
            Appended::Done(ticket, news) => return Ok(shared.done(ticket, news)),
            Appended::NoRoom | Appended::UnknownPlace => {}
        }
        let deadline = Instant::now() + shared.max_block;
        let mut asked = false;
        loop {
            let room = shared.accumulator.room();
            match shared.accumulator.try_append(topic, partition, &record)? {
                Appended::Done(ticket, news) => return Ok(shared.done(ticket, news)),
                Appended::UnknownPlace => {
                    shared.learn_topic(topic, partition, asked, deadline).await?;
                    asked = true;
                }
                Appended::NoRoom => {
                    shared.wake();
                    timeout_at(deadline, room).await.map_err(|_| shared.no_room(topic))?;
                }
            }
        }
    }

    /// Sends everything appended so far without further waiting, and waits for its outcome.
    ///
    /// Errors: the first record since the last flush that was not, or not certainly, written,
    /// whoever appended it. Cancel safe; the sending goes on.
    pub async fn flush(&self) -> Result<()> {
        let mark = self.0.accumulator.flush();
        self.0.wake();
        self.0.accumulator.settled_below(mark).await
    }

    /// Takes no more records, sends what there is, and waits for its outcome until `deadline`; what
    /// then has none ends as not written or unknown. Later calls on any clone fail. Errors as
    /// [`Producer::flush`]. Cancel safe; the closing goes on.
    pub async fn close(&self, deadline: Duration) -> Result<()> {
        let shared = &*self.0;
        let closed = Error::new(ErrorKind::Usage, "the producer is closed");
        shared.accumulator.close(closed.with_hint("make a new producer"));
        let mark = shared.accumulator.flush();
        shared.wake();
        let deadline = Instant::now() + deadline;
        if let Ok(outcome) = timeout_at(deadline, shared.accumulator.settled_below(mark)).await {
            return outcome;
        }
        let _ = shared.commands.send(Command::Abandon).await;
        shared.accumulator.settled_below(mark).await
    }

    /// Whether it takes no record any more: it was closed, or a broker has refused it for good.
    pub fn is_closed(&self) -> bool {
        self.0.accumulator.is_closed()
    }

    /// The way to the task.
    fn commands(&self) -> &mpsc::Sender<Command> {
        &self.0.commands
    }

    /// Bytes of records without outcome, as counted against `buffer.memory`.
    pub fn buffered_bytes(&self) -> usize {
        self.0.accumulator.used()
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("buffered", &self.buffered_bytes()).finish_non_exhaustive()
    }
}

impl Shared {
    #[inline]
    fn done(&self, ticket: Ticket, news: News) -> Ticket {
        if news != News::Nothing {
            self.crowded.store(news == News::Full, Ordering::Relaxed);
            self.wake();
        }
        ticket
    }

    /// Has the driver look again. A full inbox means that it will anyway.
    fn wake(&self) {
        let _ = self.commands.try_send(Command::Look);
    }

    /// Has the user's partitioner choose.
    async fn choose<H>(
        &self,
        custom: &CustomPartitioner,
        topic: &str,
        record: &RecordParts<'_, H>,
    ) -> Result<Option<i32>> {
        if self.accumulator.partitions_of(topic).is_none() {
            self.learn_topic(topic, None, false, Instant::now() + self.max_block).await?;
        }
        let Some((count, available)) = self.accumulator.partitions_of(topic) else {
            return Ok(None);
        };
        let (key, value) = (record.key, record.value);
        let chosen = custom.inner().partition(topic, key, value, count, &available);
        match chosen.filter(|partition| !(0..count).contains(partition)) {
            None => Ok(chosen),
            Some(partition) => {
                let what = "the partitioner chose a partition that does not exist";
                Err(Error::new(ErrorKind::Usage, what)
                    .at(topic, partition)
                    .with("partitions", count))
            }
        }
    }

    /// Waits for the metadata of a topic. `again`: it was just looked up, and lacks the partition
    /// asked for.
    async fn learn_topic(
        &self,
        name: &str,
        partition: Option<i32>,
        again: bool,
        deadline: Instant,
    ) -> Result<()> {
        let cluster = self.client.cluster();
        if again {
            cluster.refresh(deadline).await?;
        }
        let topic = cluster.topic_to_write(name, deadline).await?;
        self.accumulator.know(&topic);
        let exists = partition.is_none_or(|partition| topic.partition(partition).is_some());
        if again && !exists {
            let error = Error::new(ErrorKind::Usage, "there is no such partition");
            return Err(error
                .with("topic", name)
                .with("partition", partition.unwrap_or(-1))
                .with("partitions", topic.partitions.len()));
        }
        Ok(())
    }

    fn no_room(&self, topic: &str) -> Error {
        Error::new(ErrorKind::TimedOut, "the buffer of records to be written stayed full")
            .with("topic", topic)
            .with("bytes", self.accumulator.used())
            .with("after_ms", self.max_block.as_millis())
            .with_hint("check that the brokers keep up, or raise buffer.memory or max.block.ms")
    }
}

/// The driver drains its inbox at each look, so a few places are enough.
const COMMANDS: usize = 8;
