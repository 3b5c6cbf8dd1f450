//! Kafka as a sink, exactly once: each task of a batch is one transaction, and in it lies the marker that says so.
//!
//! A task's rows are a pure function of the query, the batch and the task's number, since the offsets log fixes them
//! before the batch runs. So it is enough to know which tasks are committed, and that nobody else commits any:
//!
//! 1. *Take over*: every slot's transactional id is initialised. Whoever used it before is fenced: what it had open is
//!    aborted, and it can commit nothing any more. Slots are named by the query and the task's number, never by a host
//!    or a worker, or a restart elsewhere would leave the old one able to commit.
//! 2. *Read the markers*, after that: a marker that is read before could be followed by a commit. Only positions that no
//!    open transaction may change are taken (KIP-447), since brokers apply them a moment after the commit.
//! 3. *Skip* the tasks whose marker is of this batch; write the others, each with its marker, in one transaction: both
//!    become visible, or neither.
//! 4. *After a commit without an answer*, initialise again before anything else: the end that was asked for could
//!    otherwise meet the next transaction (KAFKA-17754). Then the marker tells which way it went.
//!
//! In: batches of a query; out: their rows, which readers of committed records (`isolation.level=read_committed`) see
//! once, in the order of the source's partitions.

mod marker;
#[cfg(test)]
mod script;
mod slot;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use klamm_client::Client;
use klamm_client::producer::CustomPartitioner;
use tokio::task::JoinSet;

use self::marker::Marker;
use self::slot::{Outcome, Slot, Task};
use super::validate::validate;
use super::{Batch, QueryStart, Sink, SinkFuture, Written, description};
use crate::error::{Error, ErrorKind, Result};
use crate::options::SinkOptions;
use crate::source::connect;

/// How a query is written exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactlyOnceSettings {
    /// How many transactions write a batch side by side. Default 1. It may be another one after a restart; a batch that
    /// was planned keeps the number it was planned with.
    pub tasks: NonZeroU32,
    /// What the names of transactional ids and groups begin with, for access control lists; the query's id and the
    /// task's number follow. Default `klamm`. It must stay the same as long as the checkpoint does.
    pub prefix: String,
}

impl ExactlyOnceSettings {
    /// The settings that a sink's options name.
    pub fn from_options(options: &SinkOptions) -> Self {
        let prefix = options.client().iter().find(|(name, _)| name == "transactional.id");
        let prefix = prefix.map_or(Self::default().prefix, |(_, prefix)| prefix.clone());
        Self { tasks: options.exactly_once_tasks(), prefix }
    }
}

impl Default for ExactlyOnceSettings {
    fn default() -> Self {
        Self { tasks: NonZeroU32::MIN, prefix: "klamm".to_owned() }
    }
}

/// Topics of a cluster, written to exactly once by a query.
#[derive(Debug)]
pub struct ExactlyOnceSink {
    client: Client,
    topic: Option<Arc<str>>,
    settings: ExactlyOnceSettings,
    partitioner: Option<CustomPartitioner>,
    query: Option<QueryStart>,
    /// The slots of this process by their number.
    slots: Vec<Slot>,
    #[cfg(test)]
    script: script::Script,
}

impl ExactlyOnceSink {
    /// A sink on a client that is connected already; `topic` is stronger than a column of that name.
    ///
    /// The client's `transaction.timeout.ms` has to suffice for a task of a batch: `maxOffsetsPerTrigger` bounds it.
    pub fn new(client: Client, topic: Option<&str>, settings: ExactlyOnceSettings) -> Self {
        let topic = topic.map(Arc::from);
        Self {
            client,
            topic,
            settings,
            partitioner: None,
            query: None,
            slots: Vec::new(),
            #[cfg(test)]
            script: script::Script::default(),
        }
    }

    /// Connects to the cluster that the options name. `exactlyOnceTasks` says how many tasks, `kafka.transactional.id`
    /// what names begin with.
    ///
    /// # Errors
    /// `InvalidOption` for an option of the client, before anything is contacted; `Client` when nobody answers.
    /// Dropping the future leaves nothing behind.
    pub async fn connect(options: &SinkOptions) -> Result<Self> {
        let client = connect(options.client()).await?;
        Ok(Self::new(client, options.topic(), ExactlyOnceSettings::from_options(options)))
    }

    /// Has `partitioner` choose for rows whose column `partition` is null or absent.
    #[must_use]
    pub fn with_partitioner(mut self, partitioner: impl Into<CustomPartitioner>) -> Self {
        self.partitioner = Some(partitioner.into());
        self
    }

    /// Takes over the slots up to `count`, side by side.
    async fn take_over(&mut self, query: &QueryStart, count: NonZeroU32) -> Result<()> {
        if count.get() > MOST_TASKS {
            return Err(Error::new(
                ErrorKind::CheckpointUntrusted,
                format!(
                    "A plan in the checkpoint has {count} tasks; more than {MOST_TASKS} are not believed"
                ),
            ));
        }
        let mut taking = JoinSet::new();
        let first = self.slots.len() as u32;
        for number in first..count.get() {
            let name = format!("{}-{}-{number}", self.settings.prefix, query.id);
            let slot = Slot::take_over(
                self.client.clone(),
                name,
                self.partitioner.clone(),
                #[cfg(test)]
                self.script.clone(),
            );
            taking.spawn(async move { (number, slot.await) });
        }
        let mut taken = Vec::new();
        while let Some(joined) = taking.join_next().await {
            let (number, slot) = joined.map_err(broke_off)?;
            taken.push((number, slot?));
        }
        taken.sort_by_key(|(number, _)| *number);
        self.slots.extend(taken.into_iter().map(|(_, slot)| slot));
        Ok(())
    }

    /// Takes over what an earlier run may still be writing, then sees whether the checkpoint knows all that is written.
    async fn begin(&mut self, query: QueryStart) -> Result<()> {
        let count = query.tasks.map_or(self.settings.tasks, |tasks| tasks.max(self.settings.tasks));
        self.take_over(&query, count).await?;
        let known = query.planned.unwrap_or(query.batch - 1);
        for slot in &self.slots {
            if let Some(marker) = slot.marker().filter(|marker| marker.batch > known) {
                return Err(too_old(slot, marker, known));
            }
        }
        self.query = Some(query);
        Ok(())
    }

    /// As many slots as the batch has tasks. Those that are too many have nothing to do any more: every batch before
    /// this one is committed.
    async fn fit(&mut self, tasks: NonZeroU32) -> Result<()> {
        let query = self.query.clone().ok_or_else(not_started)?;
        self.take_over(&query, tasks).await?;
        for slot in self.slots.drain(tasks.get() as usize..) {
            slot.retire().await;
        }
        Ok(())
    }

    async fn write(&mut self, mut batch: Batch<'_>) -> Result<Written> {
        self.fit(batch.tasks()).await?;
        let mut written = Written::default();
        let mut open = self.unwritten(&batch, &mut written)?;
        let mut attempt = 1;
        while !open.is_empty() {
            let (again, failure) = self.round(&mut batch, open, &mut written).await?;
            if let Some(error) = failure {
                return Err(error.with_context("rows written", written.rows));
            }
            let Some((_, error)) = again.first() else { break };
            if attempt == ATTEMPTS {
                let (_, error) = again.into_iter().next().ok_or_else(not_started)?;
                return Err(error.with_context("rows written", written.rows));
            }
            tracing::warn!(batch = batch.id(), attempt, %error, "a transaction did not commit; its task is written again");
            tokio::time::sleep(PAUSE).await;
            open = again.into_iter().map(|(task, _)| task).collect();
            attempt += 1;
        }
        Ok(written)
    }

    /// The tasks of the batch that no transaction has written; the rows of the others are counted.
    fn unwritten(&self, batch: &Batch<'_>, written: &mut Written) -> Result<Vec<u32>> {
        let plan = Marker::new(batch.id(), batch.tasks(), batch.end(), Written::default());
        let mut open = Vec::new();
        for (task, slot) in (0..).zip(&self.slots) {
            match slot.marker() {
                Some(found) if found.is_of_plan_of(&plan) => add(written, found.written()),
                Some(found) if found.batch >= plan.batch => return Err(other_plan(slot, found)),
                _ => open.push(task),
            }
        }
        Ok(open)
    }

    /// Writes tasks side by side, each to its end whatever becomes of the others: what is committed need not be done
    /// again. Returns those that may go well another time, and the first failure that would not.
    async fn round(
        &mut self,
        batch: &mut Batch<'_>,
        tasks: Vec<u32>,
        written: &mut Written,
    ) -> Result<(Vec<(u32, Error)>, Option<Error>)> {
        let mut running = JoinSet::new();
        let mut slots: Vec<_> = self.slots.drain(..).map(Some).collect();
        for task in tasks {
            let Some(rows) = batch.task_rows(task) else { continue };
            let Some(mut slot) = slots.get_mut(task as usize).and_then(Option::take) else {
                continue;
            };
            let (id, count, end) = (batch.id(), batch.tasks(), batch.end().clone());
            let marker = Box::new(move |written| Marker::new(id, count, &end, written));
            let work = Task { rows, topic: self.topic.clone(), marker };
            running.spawn(async move {
                let outcome = slot.write(work).await;
                (task, slot, outcome)
            });
        }
        let (mut again, mut failure) = (Vec::new(), None);
        while let Some(joined) = running.join_next().await {
            let (task, slot, outcome) = joined.map_err(broke_off)?;
            match outcome {
                Outcome::Done(rows) => add(written, rows),
                Outcome::Again(error) => again.push((task, at(error, &slot))),
                Outcome::Failed(error) => failure = failure.or(Some(at(error, &slot))),
            }
            if let Some(place) = slots.get_mut(task as usize) {
                *place = Some(slot);
            }
        }
        self.slots = slots.into_iter().flatten().collect();
        Ok((again, failure))
    }
}

impl Sink for ExactlyOnceSink {
    fn description(&self) -> String {
        description(self.topic.as_deref())
    }

    fn check(&self, schema: &SchemaRef) -> Result<()> {
        validate(schema, self.topic.as_deref())
    }

    /// Errors: `CheckpointUntrusted` if more is written than the checkpoint knows; `Client` where a slot can't be taken
    /// over.
    fn start(&mut self, query: QueryStart) -> SinkFuture<'_, ()> {
        Box::pin(self.begin(query))
    }

    fn tasks(&self) -> Option<NonZeroU32> {
        Some(self.settings.tasks)
    }

    /// Errors: as for at-least-once, and `Fenced` once another process has taken the query over. Nothing of a task that
    /// failed counts; the context says how many rows the others have committed, which will not be written again.
    fn write_batch<'a>(&'a mut self, batch: Batch<'a>) -> SinkFuture<'a> {
        Box::pin(self.write(batch))
    }
}

fn add(sum: &mut Written, more: Written) {
    sum.rows += more.rows;
    sum.bytes += more.bytes;
}

fn at(error: Error, slot: &Slot) -> Error {
    error.with_context("slot", slot.name())
}

fn too_old(slot: &Slot, marker: &Marker, known: i64) -> Error {
    let batch = marker.batch;
    Error::new(
        ErrorKind::CheckpointUntrusted,
        format!(
            "The checkpoint is older than what was written: batch {batch} is committed, and batch {known} is the last \
             that it has planned. Go on with the newest copy of it"
        ),
    )
    .with_context("slot", slot.name())
}

fn other_plan(slot: &Slot, marker: &Marker) -> Error {
    let batch = marker.batch;
    Error::new(
        ErrorKind::CheckpointUntrusted,
        format!(
            "Batch {batch} is committed already, and with another plan than the checkpoint's: two copies of it have \
             gone different ways. Go on with the one that has written"
        ),
    )
    .with_context("slot", slot.name())
}

fn not_started() -> Error {
    Error::new(ErrorKind::Internal, "a batch was written before the query has started")
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "A task of the sink broke off").with_source(error)
}

/// How often a task is written in all before its batch fails.
const ATTEMPTS: u32 = 3;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// A plan with more tasks is damaged.
const MOST_TASKS: u32 = 1_024;

#[cfg(test)]
mod tests;
