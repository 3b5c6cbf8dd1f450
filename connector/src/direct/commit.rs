//! Positions on their way to the stream's group. In come ranges that were processed; out, with the next batch, goes one
//! request with the highest end of each partition, and back comes what became of it.
//!
//! Unlike Spark's queue this one loses nothing silently: every receipt is answered, what could not be stored is tried
//! again with the next batch, and what is left in the end is reported by [`DirectStream::close`].
//!
//! [`DirectStream::close`]: super::DirectStream::close

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use klamm_client::Client;
use klamm_client::admin::CommittedOffset;
use tokio::sync::oneshot;

use super::lookup::asked;
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::range::OffsetRange;
use crate::offsets::{PartitionOffsets, TopicPartition, list};

/// Positions that were handed to a committer and did not reach the group.
pub type Unsent = PartitionOffsets;

/// Queues positions of one stream. Cheap to clone, and usable from anywhere while the stream lives.
#[derive(Clone, Debug)]
pub struct Committer {
    group: Option<Arc<str>>,
    queue: Arc<Mutex<Queue>>,
}

/// What became of positions, once that is known; a future that need not be awaited.
#[derive(Debug)]
#[must_use = "a receipt that nobody awaits tells nobody of a failure; drop it on purpose, or await it"]
pub struct CommitReceipt(oneshot::Receiver<Result<PartitionOffsets>>);

#[derive(Debug, Default)]
struct Queue {
    highest: PartitionOffsets,
    waiting: Vec<Waiting>,
    closed: bool,
}

/// A receipt that was not answered yet.
#[derive(Debug)]
struct Waiting {
    wanted: PartitionOffsets,
    open: PartitionOffsets,
    answer: oneshot::Sender<Result<PartitionOffsets>>,
}

impl Committer {
    pub(super) fn new(group: Option<&str>) -> Self {
        Self { group: group.map(Arc::from), queue: Arc::default() }
    }

    /// Queues the ends of these ranges, to be stored with the next batch; of several for one partition the highest is
    /// stored. Call it once what came from the ranges is safe.
    ///
    /// The receipt gives the positions once the group has them, or the error: without `group.id`, after the stream
    /// has ended, and when the coordinator refuses, such as while a group of that name has members.
    pub fn commit_async(&self, ranges: &[OffsetRange]) -> CommitReceipt {
        let (answer, receipt) = oneshot::channel();
        let mut wanted = PartitionOffsets::new();
        for range in ranges {
            raise(&mut wanted, &range.topic_partition, range.until);
        }
        let mut queue = self.lock();
        let refusal = match (&self.group, queue.closed) {
            (None, _) => Some(Error::option("committing needs the option group.id")),
            (_, true) => Some(unsent(&wanted)),
            _ => None,
        };
        if let Some(error) = refusal {
            // Nobody may be waiting for it.
            let _ = answer.send(Err(error));
            return CommitReceipt(receipt);
        }
        queue.waiting.retain(|one| !one.answer.is_closed());
        for (tp, until) in &wanted {
            raise(&mut queue.highest, tp, *until);
        }
        queue.waiting.push(Waiting { open: wanted.clone(), wanted, answer });
        drop(queue);
        CommitReceipt(receipt)
    }

    /// What is queued and not stored yet.
    pub fn queued(&self) -> PartitionOffsets {
        self.lock().highest.clone()
    }

    /// Stores what is queued. What fails stays queued, and its receipts have the error.
    ///
    /// Dropped early, everything stays queued; storing it twice does no harm.
    pub(super) async fn drain(&self, client: &Client) {
        let highest = self.queued();
        let Some(group) = self.group.as_deref().filter(|_| !highest.is_empty()) else { return };
        let position = |offset| CommittedOffset { offset, ..CommittedOffset::default() };
        let wanted: Vec<_> = highest.iter().map(|(tp, at)| (asked(tp), position(*at))).collect();
        let outcomes = client.commit_offsets(group, &wanted).await;
        let mut queue = self.lock();
        for ((tp, offset), outcome) in highest.iter().zip(outcomes) {
            queue.settle(tp, *offset, outcome.err());
        }
        queue.answer();
    }

    /// Takes nothing any more; gives what was never stored.
    pub(super) fn close(&self) -> Unsent {
        let mut queue = self.lock();
        queue.closed = true;
        for one in std::mem::take(&mut queue.waiting) {
            let _ = one.answer.send(Err(unsent(&one.open)));
        }
        std::mem::take(&mut queue.highest)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// What the coordinator said of one position.
    fn settle(&mut self, tp: &TopicPartition, stored: i64, error: Option<klamm_client::Error>) {
        if let Some(error) = error {
            tracing::warn!(%error, "the position {stored} of {tp} was not committed");
            let concerned = |one: &mut Waiting| one.open.get(tp).is_some_and(|at| *at <= stored);
            for one in self.waiting.extract_if(.., concerned) {
                let _ = one.answer.send(Err(error.clone().into()));
            }
            return;
        }
        // A higher one may have been queued meanwhile.
        if self.highest.get(tp).is_some_and(|queued| *queued <= stored) {
            self.highest.remove(tp);
        }
        for one in &mut self.waiting {
            if one.open.get(tp).is_some_and(|at| *at <= stored) {
                one.open.remove(tp);
            }
        }
    }

    fn answer(&mut self) {
        for one in self.waiting.extract_if(.., |one| one.open.is_empty()) {
            let _ = one.answer.send(Ok(one.wanted));
        }
    }
}

impl Future for CommitReceipt {
    type Output = Result<PartitionOffsets>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(unsent(&PartitionOffsets::new()))))
    }
}

fn raise(offsets: &mut PartitionOffsets, tp: &TopicPartition, until: i64) {
    let highest = offsets.entry(tp.clone()).or_insert(until);
    *highest = (*highest).max(until);
}

fn unsent(offsets: &PartitionOffsets) -> Error {
    let partitions = list(offsets.keys());
    let message = format!(
        "The stream ended before the positions of {partitions} were committed; they are not lost to who stored them"
    );
    Error::new(ErrorKind::Client, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(partition: i32, until: i64) -> OffsetRange {
        OffsetRange::new(TopicPartition::new("t", partition), 0, until)
    }

    #[tokio::test]
    async fn b241_the_highest_end_of_each_partition_is_queued_and_what_is_left_is_reported() {
        let committer = Committer::new(Some("g"));
        let first = committer.commit_async(&[range(0, 10), range(1, 5)]);
        let second = committer.clone().commit_async(&[range(0, 7)]);
        let queued = committer.queued();
        assert_eq!(queued.values().copied().collect::<Vec<_>>(), [10, 5]);
        committer.lock().settle(&TopicPartition::new("t", 0), 10, None);
        committer.lock().answer();
        assert_eq!(second.await.unwrap()[&TopicPartition::new("t", 0)], 7);
        assert_eq!(committer.close()[&TopicPartition::new("t", 1)], 5);
        assert!(first.await.unwrap_err().message().contains("t-1 were committed"));
        let late = committer.commit_async(&[range(0, 11)]);
        assert!(late.await.is_err());
    }

    #[tokio::test]
    async fn b241_a_position_that_was_raised_meanwhile_stays_queued() {
        let committer = Committer::new(Some("g"));
        let receipt = committer.commit_async(&[range(0, 20)]);
        committer.lock().settle(&TopicPartition::new("t", 0), 10, None);
        assert_eq!(committer.queued().len(), 1);
        let error = klamm_client::Error::new(klamm_client::ErrorKind::TimedOut, "too late");
        committer.lock().settle(&TopicPartition::new("t", 0), 20, Some(error));
        assert!(receipt.await.is_err());
        assert_eq!(committer.queued().len(), 1, "it is tried again with the next batch");
    }

    #[tokio::test]
    async fn without_a_group_there_is_nothing_to_commit_to() {
        let error = Committer::new(None).commit_async(&[range(0, 1)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
    }
}
