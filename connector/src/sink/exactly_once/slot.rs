//! One slot: the transactional id under which the n-th task of every batch is written, and the group that keeps its
//! marker. In: the rows of a task; out: whether they are committed, once, or why not.

use std::sync::Arc;
use std::time::Duration;

use klamm_client::admin::CommittedOffset;
use klamm_client::producer::{
    CustomPartitioner, GroupMember, ProducerOptions, Ticket, Transaction, TransactionalProducer,
};
use klamm_client::{Client, TopicPartition};

use super::marker::Marker;
#[cfg(test)]
use super::script::{Plant, Script, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::rows::Row;
use crate::sink::append::{Takes, append_all};
use crate::sink::tally::Tally;
use crate::sink::{RowStream, Written};

/// A slot that this process has taken over.
#[derive(Debug)]
pub(super) struct Slot {
    client: Client,
    /// Of the transactional id and of the group.
    name: Arc<str>,
    producer: TransactionalProducer,
    marker: Option<Marker>,
    /// What became of the last transaction is not known.
    is_unsure: bool,
    #[cfg(test)]
    script: Script,
}

/// A task to be written.
pub(super) struct Task {
    pub(super) rows: RowStream,
    pub(super) topic: Option<Arc<str>>,
    /// The marker of its batch; its rows are counted on the way.
    pub(super) marker: Box<dyn Fn(Written) -> Marker + Send>,
}

/// What became of a task.
pub(super) enum Outcome {
    /// Its rows are committed, by now or by an earlier attempt.
    Done(Written),
    /// Nothing of it counts, or that is not known; the same again may go well.
    Again(Error),
    /// Nothing of it counts.
    Failed(Error),
}

impl Slot {
    /// Takes the slot over: whoever had it can commit nothing any more. Its marker is read after that, so it can't
    /// change behind the back of who has read it.
    pub(super) async fn take_over(
        client: Client,
        name: String,
        partitioner: Option<CustomPartitioner>,
        #[cfg(test)] script: Script,
    ) -> Result<Self> {
        let mut options = ProducerOptions::from_config(client.config());
        options.partitioner = partitioner;
        options.transactional_id = Some(name.clone());
        let producer = client.transactional_producer(options)?;
        let name = Arc::from(name);
        let mut slot = Self {
            client,
            name,
            producer,
            marker: None,
            is_unsure: true,
            #[cfg(test)]
            script,
        };
        slot.settle().await?;
        Ok(slot)
    }

    /// The last batch that is committed under this slot.
    pub(super) fn marker(&self) -> Option<&Marker> {
        self.marker.as_ref()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Has every transaction of this slot decided, then reads the marker.
    async fn settle(&mut self) -> Result<()> {
        #[cfg(test)]
        if self.script.has(Plant::ReadBeforeFencing) {
            self.read_marker().await?;
            self.script.reach(Step::Between).await?;
            self.is_unsure = false;
            return self.fence().await;
        }
        self.fence().await?;
        #[cfg(test)]
        self.script.reach(Step::Between).await?;
        self.read_marker().await?;
        self.is_unsure = false;
        Ok(())
    }

    async fn fence(&mut self) -> Result<()> {
        self.producer.init().await.map(drop).map_err(|e| self.at(e))
    }

    async fn read_marker(&mut self) -> Result<()> {
        let found = self.client.stable_offsets_of(&[&self.name]).await.pop();
        let stored = found.unwrap_or_else(|| Ok(Default::default())).map_err(|e| self.at(e))?;
        // Rows without a topic option may have left markers in several topics.
        let newest = stored.into_values().max_by_key(|stored| stored.offset);
        let marker = newest.map(|stored| Marker::read(&stored.metadata)).transpose();
        self.marker = marker.map_err(|e| e.with_context("group", &self.name))?;
        Ok(())
    }

    /// Writes a task in one transaction, its marker with it.
    pub(super) async fn write(&mut self, task: Task) -> Outcome {
        if self.is_unsure {
            if let Err(error) = self.settle().await {
                return judged(error);
            }
            let wanted = (task.marker)(Written::default());
            if let Some(marker) = self.marker.as_ref().filter(|found| found.is_of_plan_of(&wanted))
            {
                return Outcome::Done(marker.written());
            }
        }
        match self.commit(task).await {
            Ok(Some(marker)) => {
                let written = marker.written();
                self.marker = Some(marker);
                Outcome::Done(written)
            }
            Ok(None) => Outcome::Done(Written::default()),
            Err(error) => {
                self.is_unsure = true;
                judged(error)
            }
        }
    }

    /// `None` if there was no row, and so no transaction.
    async fn commit(&mut self, mut task: Task) -> Result<Option<Marker>> {
        let group = GroupMember::of_group(Arc::clone(&self.name));
        let transaction = self.producer.begin().await?;
        let mut open = Open { transaction, topic: None };
        let mut tally = Tally::default();
        #[cfg(test)]
        self.script.reach(Step::Begun).await?;
        let appended =
            append_all(&mut task.rows, task.topic.as_deref(), &mut open, &mut tally).await;
        if let Err(error) = appended {
            let failure = tally.failure.take();
            // Readers of committed records wait for its end; what failed counts more than a failure to say so.
            let _ = open.transaction.abort().await;
            return Err(failure.unwrap_or(error));
        }
        let Some(topic) = task.topic.or(open.topic).filter(|_| tally.appended > 0) else {
            open.transaction.abort().await?;
            return Ok(None);
        };
        let marker = (task.marker)(tally.appended_so_far());
        let offset =
            CommittedOffset { offset: marker.batch, leader_epoch: None, metadata: marker.write() };
        let place = TopicPartition { topic, partition: 0 };
        let mut transaction = open.transaction;
        let position = [(place, offset)];
        #[cfg(test)]
        let marked = match self.script.has(Plant::MarkerOutside) {
            true => self.client.commit_offsets(&self.name, &position).await.remove(0),
            false => transaction.send_offsets(&group, &position).await,
        };
        #[cfg(not(test))]
        let marked = transaction.send_offsets(&group, &position).await;
        #[cfg(test)]
        self.script.reach(Step::Marked).await?;
        let committed = match marked {
            Ok(()) => transaction.commit().await,
            Err(error) => {
                let _ = transaction.abort().await;
                Err(error)
            }
        };
        #[cfg(test)]
        self.script.reach(Step::Ended).await?;
        match committed {
            Ok(()) => Ok(Some(marker)),
            Err(error) => {
                // A row's own error says more than that of the whole.
                tally.settle_ready();
                Err(tally.failure.take().unwrap_or_else(|| Error::from(error)))
            }
        }
    }

    /// Gives the slot up for good: its marker is removed.
    pub(super) async fn retire(self) {
        for outcome in self.client.delete_groups(&[&self.name]).await {
            if let Err(error) = outcome {
                tracing::debug!(group = &*self.name, %error, "the marker of a slot that is not used any more stays");
            }
        }
        let _ = self.producer.close(CLOSING).await;
    }

    fn at(&self, error: klamm_client::Error) -> Error {
        Error::from(error).with_context("slot", &self.name)
    }
}

/// A transaction that takes rows and keeps the topic of the first.
struct Open<'a> {
    transaction: Transaction<'a>,
    topic: Option<Arc<str>>,
}

impl Takes for Open<'_> {
    async fn take(&mut self, row: &Row<'_>, now: i64) -> klamm_client::Result<Ticket> {
        if self.topic.is_none() {
            self.topic = Some(Arc::from(row.topic));
        }
        self.transaction.append(row.topic, row.partition, row.parts(now)).await
    }
}

/// Whether the same again may go well. A transaction that did not end can be written again without doing so twice.
fn judged(error: Error) -> Outcome {
    match error.is_retriable() || error.kind() == ErrorKind::OutcomeUnknown {
        true => Outcome::Again(error),
        false => Outcome::Failed(error),
    }
}

/// How long a producer that is not used any more may take to close.
const CLOSING: Duration = Duration::from_secs(5);
