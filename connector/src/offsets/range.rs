//! Ranges of offsets, and how many pieces they are read in.
//!
//! In come the ranges of a batch; out come the pieces that are read side by side, cut by Spark's arithmetic: by
//! `maxRecordsPerPartition` first, then by `minPartitions`. The order of the input is kept, and the pieces of one
//! partition follow each other without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{PartitionOffsets, TopicPartition};
use crate::error::{Error, ErrorKind, Result};

/// The records of one partition from `from` up to but not including `until`.
///
/// Plain data: whoever holds it reads the same rows. In a batch read `from` may be [`super::EARLIEST`] and `until`
/// [`super::LATEST`], which are then bound by whoever reads the range.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OffsetRange {
    /// Which partition.
    pub topic_partition: TopicPartition,
    /// The first offset that belongs to the range.
    pub from: i64,
    /// The first offset that no longer does.
    pub until: i64,
}

impl OffsetRange {
    /// The range `[from, until)` of a partition.
    pub fn new(topic_partition: TopicPartition, from: i64, until: i64) -> Self {
        Self { topic_partition, from, until }
    }

    /// How many offsets it spans; negative when it is back to front.
    pub fn size(&self) -> i64 {
        self.until.saturating_sub(self.from)
    }

    /// The form that Spark's direct API prints.
    ///
    /// ```
    /// use klamm_connector::offsets::{TopicPartition, range::OffsetRange};
    ///
    /// let range = OffsetRange::new(TopicPartition::new("t", 0), 0, 10);
    /// assert_eq!(range.spark_text(), "OffsetRange(topic: 't', partition: 0, range: [0 -> 10])");
    /// ```
    pub fn spark_text(&self) -> String {
        let TopicPartition { topic, partition } = &self.topic_partition;
        let (from, until) = (self.from, self.until);
        format!("OffsetRange(topic: '{topic}', partition: {partition}, range: [{from} -> {until}])")
    }

    /// Cuts the range in `parts` pieces whose sizes differ by at most one; pieces without an offset are dropped.
    fn cut(&self, parts: i64) -> impl Iterator<Item = Self> + '_ {
        let mut remaining = self.size();
        let mut from = self.from;
        (0..parts).filter_map(move |part| {
            let this = remaining / (parts - part);
            remaining -= this;
            let piece = Self::new(self.topic_partition.clone(), from, from + this);
            from += this;
            (this > 0).then_some(piece)
        })
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}, {})", self.topic_partition, self.from, self.until)
    }
}

/// How ranges are cut: the options `minPartitions` and `maxRecordsPerPartition`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeSplit {
    min_partitions: Option<i64>,
    max_records: Option<i64>,
}

impl RangeSplit {
    /// At least `min_partitions` pieces, of at most `max_records_per_partition` offsets each.
    ///
    /// # Errors
    /// `InvalidOption` when one of them is not positive.
    pub fn new(
        min_partitions: Option<i32>,
        max_records_per_partition: Option<i64>,
    ) -> Result<Self> {
        if min_partitions.is_some_and(|n| n <= 0) {
            return Err(Error::option("minPartitions must be positive"));
        }
        if max_records_per_partition.is_some_and(|n| n <= 0) {
            return Err(Error::option("maxrecordsperpartition must be positive"));
        }
        Ok(Self {
            min_partitions: min_partitions.map(i64::from),
            max_records: max_records_per_partition,
        })
    }

    /// Cuts `ranges`, whose limits are all known. Empty and negative ones vanish.
    ///
    /// # Errors
    /// `InvalidOption` when there would be more than a million pieces.
    pub fn split(&self, ranges: Vec<OffsetRange>) -> Result<Vec<OffsetRange>> {
        let ranges: Vec<_> = ranges.into_iter().filter(|range| range.size() > 0).collect();
        let ranges = self.cut_large(ranges)?;
        match self.min_partitions {
            Some(min) if (ranges.len() as i64) < min => cut_to_count(&ranges, min),
            _ => Ok(ranges),
        }
    }

    /// Whether a batch of `ranges` whose limits may still be symbolic has to be cut.
    ///
    /// As in Spark the size of a range is taken before its limits are resolved, so the default of everything from
    /// earliest to latest counts as a single record.
    pub fn cuts_unresolved(&self, ranges: &[OffsetRange]) -> bool {
        self.min_partitions.is_some_and(|min| min > ranges.len() as i64)
            || self.max_records.is_some_and(|max| ranges.iter().any(|range| range.size() > max))
    }

    /// Cuts a batch at points found from the `resolved` limits, but leaves the outermost limits of each partition as
    /// they are in `ranges`, so that running the plan again sees what has been added since.
    ///
    /// # Errors
    /// As [`RangeSplit::split`].
    pub fn split_late_bound(
        &self,
        ranges: &[OffsetRange],
        resolved: Vec<OffsetRange>,
    ) -> Result<Vec<OffsetRange>> {
        let mut pieces: BTreeMap<TopicPartition, Vec<OffsetRange>> = BTreeMap::new();
        for piece in self.split(resolved)? {
            pieces.entry(piece.topic_partition.clone()).or_default().push(piece);
        }
        let mut bound = Vec::new();
        for range in ranges {
            let Some(mut pieces) = pieces.remove(&range.topic_partition) else { continue };
            if let Some(first) = pieces.first_mut() {
                first.from = range.from;
            }
            if let Some(last) = pieces.last_mut() {
                last.until = range.until;
            }
            bound.append(&mut pieces);
        }
        Ok(bound)
    }

    fn cut_large(&self, ranges: Vec<OffsetRange>) -> Result<Vec<OffsetRange>> {
        let Some(max) = self.max_records else { return Ok(ranges) };
        let parts = |range: &OffsetRange| range.size() / max + i64::from(range.size() % max != 0);
        bounded(ranges.iter().map(parts), "maxRecordsPerPartition", "higher")?;
        Ok(ranges.iter().flat_map(|range| range.cut(parts(range)).collect::<Vec<_>>()).collect())
    }
}

/// The ranges between two sets of limits for the same partitions.
///
/// # Errors
/// `InvalidOffsets` when the sets of partitions differ.
pub fn between(from: &PartitionOffsets, until: &PartitionOffsets) -> Result<Vec<OffsetRange>> {
    if !from.keys().eq(until.keys()) {
        let (from, until) = (super::list(from.keys()), super::list(until.keys()));
        return Err(Error::new(
            ErrorKind::InvalidOffsets,
            format!(
                "different topic partitions for starting offsets topics[{from}] and ending offsets topics[{until}]"
            ),
        ));
    }
    let ranges = from.iter().zip(until.values());
    Ok(ranges.map(|((tp, from), until)| OffsetRange::new(tp.clone(), *from, *until)).collect())
}

/// Shares `min` pieces among the ranges by size. Ranges that would get one piece stay whole and leave the sharing.
fn cut_to_count(ranges: &[OffsetRange], min: i64) -> Result<Vec<OffsetRange>> {
    let total = ranges.iter().fold(0_i64, |sum, range| sum.saturating_add(range.size()));
    let small: Vec<_> = ranges.iter().filter(|r| part_count(r.size(), total, min) == 1).collect();
    let small_size = small.iter().fold(0_i64, |sum, range| sum.saturating_add(range.size()));
    // By partition and not by piece: a small piece keeps its siblings from being cut, as it does in Spark.
    let whole: BTreeSet<_> = small.iter().map(|range| &range.topic_partition).collect();
    let (rest, count) = (total - small_size, (min - small.len() as i64).max(1));
    let parts = |range: &OffsetRange| match whole.contains(&range.topic_partition) {
        true => 1,
        false => part_count(range.size(), rest, count),
    };
    bounded(ranges.iter().map(|range| parts(range).min(range.size())), "minPartitions", "lower")?;
    Ok(ranges.iter().flat_map(|range| range.cut(parts(range)).collect::<Vec<_>>()).collect())
}

/// The share of `min` pieces that a range of `size` gets, halves rounded up, at least one.
fn part_count(size: i64, total: i64, min: i64) -> i64 {
    let share = size as f64 / total as f64 * min as f64;
    let rounded = if share - share.floor() >= 0.5 { share.floor() + 1.0 } else { share.floor() };
    (rounded as i64).max(1)
}

/// A backlog of billions with a small maximum would make a plan that fills the memory.
fn bounded(parts: impl Iterator<Item = i64>, option: &str, mend: &str) -> Result<()> {
    let pieces = parts.fold(0_i64, i64::saturating_add);
    if pieces <= MAX_PIECES {
        return Ok(());
    }
    Err(Error::option(format!(
        "{option} would cut the batch into {pieces} pieces, more than {MAX_PIECES}; set it {mend}"
    )))
}

const MAX_PIECES: i64 = 1_000_000;

#[cfg(test)]
mod tests;
