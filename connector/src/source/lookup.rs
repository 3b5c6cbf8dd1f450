//! Questions to the cluster: which partitions there are, and which offset a limit stands for.
//!
//! In come the options of a source; out come sets of partitions and concrete offsets. Each question is asked as often
//! as `fetchOffset.numRetries` says. Only the right Describe is needed, and nothing is created by asking.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use klamm_client::admin::{ListedOffset, OffsetSpec, Topics as Named};
use klamm_client::config::Isolation;
use klamm_client::{Client, TopicPartition as Asked};

use crate::error::{Error, ErrorKind, Result};
use crate::offsets::{EARLIEST, LATEST, PartitionOffsets, TopicPartition, list};
use crate::options::{NoMatch, OffsetsLimit, SourceOptions, Topics};

/// Which end of a read a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Start,
    End,
}

/// Asks a cluster on behalf of one source.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    client: Client,
    options: Arc<SourceOptions>,
}

impl Lookup {
    pub(super) fn new(client: Client, options: Arc<SourceOptions>) -> Self {
        Self { client, options }
    }

    pub(super) fn isolation(&self) -> Isolation {
        *self.client.config().isolation()
    }

    /// The partitions that the source reads, as far as they exist.
    ///
    /// # Errors
    /// `Client` when a topic that was named does not exist, whatever `failOnDataLoss` says; or when nobody answers.
    pub(super) async fn partitions(&self) -> Result<BTreeSet<TopicPartition>> {
        self.retried(|| self.partitions_once()).await
    }

    async fn partitions_once(&self) -> Result<BTreeSet<TopicPartition>> {
        match self.options.topics() {
            Topics::Subscribe(names) => self.partitions_of(names.clone()).await,
            Topics::Pattern(pattern) => {
                let mut names = Vec::new();
                for name in self.client.topic_names().await? {
                    if pattern.matches(&name)? {
                        names.push(name);
                    }
                }
                self.partitions_of(names).await
            }
            Topics::Assign(assigned) => {
                let names: BTreeSet<_> = assigned.iter().map(|tp| tp.topic.to_string()).collect();
                let existing = self.partitions_of(names.into_iter().collect()).await?;
                Ok(assigned.iter().filter(|tp| existing.contains(tp)).cloned().collect())
            }
        }
    }

    /// The partitions of these topics. Kafka's own topics have none, even when they are named.
    async fn partitions_of(&self, names: Vec<String>) -> Result<BTreeSet<TopicPartition>> {
        let mut partitions = BTreeSet::new();
        if names.is_empty() {
            return Ok(partitions);
        }
        let view = self.client.metadata(Named::Named(names.clone())).await?;
        for name in &names {
            match view.topics.get(name.as_str()) {
                Some(topic) if topic.error.is_ok() => {
                    let topics = topic.partitions.iter().filter(|_| !topic.internal);
                    let name: Arc<str> = Arc::from(name.as_str());
                    partitions
                        .extend(topics.map(|p| TopicPartition::new(Arc::clone(&name), p.index)));
                }
                // Asking for it alone waits for a topic that was only just made, and explains one that is not there.
                _ => {
                    let ids = self.client.partitions(name).await?;
                    let name: Arc<str> = Arc::from(name.as_str());
                    partitions
                        .extend(ids.into_iter().map(|p| TopicPartition::new(Arc::clone(&name), p)));
                }
            }
        }
        Ok(partitions)
    }

    /// The offsets that a limit stands for, where earliest and latest may stay symbolic.
    ///
    /// # Errors
    /// `InvalidOffsets` when a limit for each partition does not name exactly those that there are, or when a starting
    /// timestamp has no record and the strategy is `error`.
    pub(super) async fn limit(
        &self,
        limit: &OffsetsLimit,
        partitions: &BTreeSet<TopicPartition>,
        side: Side,
    ) -> Result<PartitionOffsets> {
        let all = |offset| partitions.iter().map(|tp| (tp.clone(), offset)).collect();
        match limit {
            OffsetsLimit::Earliest => Ok(all(EARLIEST)),
            OffsetsLimit::Latest => Ok(all(LATEST)),
            OffsetsLimit::Specific(offsets) => {
                check_covers(offsets, partitions)?;
                Ok(offsets.clone())
            }
            OffsetsLimit::Timestamp(timestamp) => self.at_times(all(*timestamp), side).await,
            OffsetsLimit::Timestamps(timestamps) => {
                check_timed(timestamps, partitions, side)?;
                self.at_times(timestamps.clone(), side).await
            }
        }
    }

    /// The first offsets at or after these timestamps. An end without such a record is the end of the partition.
    async fn at_times(&self, times: PartitionOffsets, side: Side) -> Result<PartitionOffsets> {
        self.retried(async || {
            let wanted = times.iter().map(|(tp, time)| (tp.clone(), spec_at(*time))).collect();
            let mut offsets = PartitionOffsets::new();
            for (tp, found) in self.ask(wanted).await? {
                let offset = match found.offset {
                    Some(offset) => offset,
                    None if side == Side::End || self.options.no_match() == NoMatch::Latest => {
                        LATEST
                    }
                    None => {
                        let time = times.get(&tp).copied().unwrap_or_default();
                        return Err(no_match(&tp, time));
                    }
                };
                offsets.insert(tp, offset);
            }
            Ok(offsets)
        })
        .await
    }

    /// Replaces the symbols by the offsets that they stand for now.
    pub(super) async fn bound(&self, offsets: &PartitionOffsets) -> Result<PartitionOffsets> {
        let symbolic: Vec<_> = offsets
            .iter()
            .filter_map(|(tp, offset)| match *offset {
                LATEST => Some((tp.clone(), OffsetSpec::Latest)),
                EARLIEST => Some((tp.clone(), OffsetSpec::Earliest)),
                _ => None,
            })
            .collect();
        let mut bound = offsets.clone();
        bound.extend(self.ends(symbolic).await?);
        Ok(bound)
    }

    /// The first offsets of these partitions, without those that are gone.
    pub(super) async fn earliest(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Result<PartitionOffsets> {
        self.retried(async || {
            let existing = self.partitions_once().await?;
            let asked = partitions.iter().filter(|tp| existing.contains(tp)).cloned();
            self.ends_once(asked.map(|tp| (tp, OffsetSpec::Earliest)).collect()).await
        })
        .await
    }

    /// The ends of all partitions that the source reads. An end below `known` is asked for again: it may come from a
    /// broker that lags behind (KAFKA-7703). After the last attempt it is believed. Each attempt finds the partitions
    /// anew, since one of them may be what vanished.
    pub(super) async fn latest(&self, known: &PartitionOffsets) -> Result<PartitionOffsets> {
        let retry = self.options.fetch_retry();
        let mut attempt = 1;
        loop {
            let ends = async || {
                let partitions = self.partitions_once().await?.into_iter();
                self.ends_once(partitions.map(|tp| (tp, OffsetSpec::Latest)).collect()).await
            };
            let latest = self.retried(ends).await?;
            let behind =
                known.iter().any(|(tp, known)| latest.get(tp).is_some_and(|end| end < known));
            if !behind || attempt >= retry.attempts {
                return Ok(latest);
            }
            attempt += 1;
            tokio::time::sleep(retry.interval).await;
        }
    }

    /// Both ends of one partition's log; an empty one where the partition is no more.
    pub(super) async fn both_ends(&self, tp: &TopicPartition) -> Result<(i64, i64)> {
        let asked = Asked::new(Arc::clone(&tp.topic), tp.partition);
        let asked = [(asked.clone(), OffsetSpec::Earliest), (asked, OffsetSpec::Latest)];
        self.retried(async || {
            let mut ends = [0, 0];
            let answers = self.client.list_offsets(&asked, self.isolation()).await;
            for (end, (_, answer)) in ends.iter_mut().zip(answers) {
                match answer {
                    Ok(found) => *end = found.offset.unwrap_or_default(),
                    Err(gone) if gone.kind() == klamm_client::ErrorKind::Usage => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(ends.into())
        })
        .await
    }

    async fn ends(&self, wanted: Vec<(TopicPartition, OffsetSpec)>) -> Result<PartitionOffsets> {
        self.retried(|| self.ends_once(wanted.clone())).await
    }

    async fn ends_once(
        &self,
        wanted: Vec<(TopicPartition, OffsetSpec)>,
    ) -> Result<PartitionOffsets> {
        let found = self.ask(wanted).await?;
        let offset = |(tp, found): (_, ListedOffset)| (tp, found.offset.unwrap_or_default());
        Ok(found.into_iter().map(offset).collect())
    }

    async fn ask(
        &self,
        wanted: Vec<(TopicPartition, OffsetSpec)>,
    ) -> Result<Vec<(TopicPartition, ListedOffset)>> {
        let asked: Vec<_> = wanted
            .iter()
            .map(|(tp, spec)| (Asked::new(Arc::clone(&tp.topic), tp.partition), *spec))
            .collect();
        let answers = self.client.list_offsets(&asked, self.isolation()).await;
        let paired = wanted.into_iter().zip(answers);
        paired.map(|((tp, _), (_, answer))| Ok((tp, answer?))).collect()
    }

    /// Does something until it succeeds, at most as often as the options say; then the last error counts.
    async fn retried<T, F>(&self, mut work: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let retry = self.options.fetch_retry();
        let mut attempt = 1;
        loop {
            match work().await {
                Err(error)
                    if attempt < retry.attempts && error.kind() != ErrorKind::InvalidOption =>
                {
                    tracing::debug!(attempt, %error, "asking for offsets failed");
                }
                outcome => return outcome,
            }
            attempt += 1;
            tokio::time::sleep(retry.interval).await;
        }
    }
}

/// What a timestamp asks for: the protocol's own numbers for places in a log pass through, as they do in Spark.
fn spec_at(time: i64) -> OffsetSpec {
    match time {
        LATEST => OffsetSpec::Latest,
        EARLIEST => OffsetSpec::Earliest,
        LARGEST_TIMESTAMP => OffsetSpec::MaxTimestamp,
        time => OffsetSpec::Timestamp(time),
    }
}

/// The number by which requests ask for the record with the largest timestamp (KIP-734).
const LARGEST_TIMESTAMP: i64 = -3;

/// Offsets for each partition have to be for exactly the partitions that there are.
fn check_covers(offsets: &PartitionOffsets, partitions: &BTreeSet<TopicPartition>) -> Result<()> {
    if offsets.keys().eq(partitions) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidOffsets,
        format!(
            "If startingOffsets contains specific offsets, you must specify all TopicPartitions. \
             Use -1 for latest, -2 for earliest. Specified: {} Assigned: {}",
            list(offsets.keys()),
            list(partitions)
        ),
    )
    .with_condition("KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED"))
}

fn check_timed(
    timestamps: &PartitionOffsets,
    partitions: &BTreeSet<TopicPartition>,
    side: Side,
) -> Result<()> {
    if timestamps.keys().eq(partitions) {
        return Ok(());
    }
    let position = if side == Side::Start { "start" } else { "end" };
    Err(Error::new(
        ErrorKind::InvalidOffsets,
        format!(
            "Partitions specified for Kafka {position} timestamps don't match what are assigned. \
             Specified: {} Assigned: {}",
            list(timestamps.keys()),
            list(partitions)
        ),
    )
    .with_condition("KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED"))
}

fn no_match(tp: &TopicPartition, time: i64) -> Error {
    Error::new(
        ErrorKind::InvalidOffsets,
        format!(
            "No offset matched from request of topic-partition {tp} and timestamp {time}. \
             Set startingOffsetsByTimestampStrategy to latest to start such partitions at their end"
        ),
    )
}

/// Refuses a start above its end, once both are known.
pub(super) fn check_order(start: &PartitionOffsets, end: &PartitionOffsets) -> Result<()> {
    let ends: BTreeMap<_, _> = end.iter().collect();
    for (tp, from) in start {
        let Some(until) = ends.get(tp).copied().copied() else { continue };
        if *from >= 0 && until >= 0 && *from > until {
            return Err(Error::new(
                ErrorKind::InvalidOffsets,
                format!(
                    "The resolved start offset {from} is greater than the resolved end offset {until} \
                     for topic {} partition {}.",
                    tp.topic, tp.partition
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::testing::offsets;

    fn set(ids: &[i32]) -> BTreeSet<TopicPartition> {
        ids.iter().map(|id| TopicPartition::new("t", *id)).collect()
    }

    #[test]
    fn b028_offsets_have_to_be_for_all_partitions() {
        let error = check_covers(&offsets(&[("t", 0, 1)]), &set(&[0, 1])).unwrap_err();
        assert_eq!(error.condition(), Some("KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED"));
        assert!(error.message().contains("you must specify all TopicPartitions."));
        assert!(error.message().ends_with("Specified: t-0 Assigned: t-0, t-1"));
        assert!(check_covers(&offsets(&[("t", 0, 1), ("t", 1, 1)]), &set(&[0, 1])).is_ok());
    }

    #[test]
    fn b027_timestamps_have_to_be_for_all_partitions() {
        for ids in [&[0, 1][..], &[0, 1, 2, 3]] {
            let given: PartitionOffsets = set(ids).into_iter().map(|tp| (tp, 5)).collect();
            let error = check_timed(&given, &set(&[0, 1, 2]), Side::End).unwrap_err();
            assert_eq!(error.condition(), Some("KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED"));
            assert!(error.message().contains("end timestamps"));
        }
    }

    #[test]
    fn b047_a_resolved_start_above_its_end_is_refused() {
        let error = check_order(&offsets(&[("t", 0, 3)]), &offsets(&[("t", 0, 1)])).unwrap_err();
        assert!(error.message().starts_with(
            "The resolved start offset 3 is greater than the resolved end offset 1 for topic t partition 0"
        ));
        assert!(check_order(&offsets(&[("t", 0, 3)]), &offsets(&[("t", 0, LATEST)])).is_ok());
    }

    #[test]
    fn b029_the_protocols_own_numbers_pass_through() {
        assert_eq!(spec_at(-1), OffsetSpec::Latest);
        assert_eq!(spec_at(-2), OffsetSpec::Earliest);
        assert_eq!(spec_at(-3), OffsetSpec::MaxTimestamp);
        assert_eq!(spec_at(7), OffsetSpec::Timestamp(7));
    }
}
