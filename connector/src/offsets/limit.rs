//! How much of what is there a micro-batch takes: `maxOffsetsPerTrigger`, `minOffsetsPerTrigger`, `maxTriggerDelay`.
//!
//! In come where the query stands and what the topic holds; out comes the batch's end, or that it is too early for
//! one. Limits count offsets, not rows, and follow Spark's arithmetic to the last record, in doubles.

use std::time::Duration;

use super::{PartitionOffsets, TopicPartition};

/// The end of a batch that takes about `limit` offsets, shared in proportion to each partition's backlog.
///
/// A partition that `from` lacks is new and begins at its place in `new_partitions`; if it is in neither, or has no
/// backlog, it keeps its `latest`. A share below one becomes one, so the sum may pass the limit; other shares are cut
/// off, so it may stay below. The limit is not checked: 0 makes no progress and a negative one goes backwards.
pub fn rate_limited(
    limit: i64,
    from: &PartitionOffsets,
    latest: &PartitionOffsets,
    new_partitions: &PartitionOffsets,
) -> PartitionOffsets {
    let begin = |tp: &TopicPartition| from.get(tp).or_else(|| new_partitions.get(tp)).copied();
    let backlog = |(tp, end): (&TopicPartition, &i64)| {
        begin(tp).map(|begin| end.saturating_sub(begin)).filter(|size| *size > 0)
    };
    let total = latest.iter().filter_map(backlog).fold(0_i64, i64::saturating_add) as f64;
    if total < 1.0 {
        return latest.clone();
    }
    let end_of = |(tp, end): (&TopicPartition, &i64)| {
        let (Some(begin), Some(size)) = (begin(tp), backlog((tp, end))) else { return *end };
        let share = limit as f64 * (size as f64 / total);
        // A small partition is not starved.
        let share = if share < 1.0 { share.ceil() } else { share.floor() };
        begin.saturating_add(share as i64).min(*end)
    };
    latest.iter().map(|entry| (entry.0.clone(), end_of(entry))).collect()
}

/// Waits for `minOffsetsPerTrigger` new offsets, but no longer than `maxTriggerDelay`.
///
/// Lives in memory only: after a restart the first trigger always fires, because its last firing is the epoch.
#[derive(Clone, Debug)]
pub struct MinimumGate {
    minimum: i64,
    max_delay: Duration,
    fired: Duration,
}

impl MinimumGate {
    /// A gate that has never fired.
    pub fn new(minimum: i64, max_delay: Duration) -> Self {
        Self { minimum, max_delay, fired: Duration::ZERO }
    }

    /// Whether a batch may run at `now`, given as the time since the Unix epoch. Passing it is a firing.
    pub fn passes(
        &mut self,
        now: Duration,
        from: &PartitionOffsets,
        latest: &PartitionOffsets,
    ) -> bool {
        let overdue = now.saturating_sub(self.fired) >= self.max_delay;
        let passes = overdue || new_offsets(from, latest) >= self.minimum as f64;
        if passes {
            self.fired = now;
        }
        passes
    }
}

/// How many offsets `latest` is ahead; a partition unknown to `from` counts from 0, as in Spark.
fn new_offsets(from: &PartitionOffsets, latest: &PartitionOffsets) -> f64 {
    let ahead = |(tp, end): (&TopicPartition, &i64)| {
        end.saturating_sub(from.get(tp).copied().unwrap_or_default())
    };
    latest.iter().map(ahead).fold(0_i64, i64::saturating_add) as f64
}

/// How far the query is behind the end of its partitions: least, most and mean, as progress reports them.
///
/// A partition without a consumed offset counts from 0. `None` when no offset has been consumed.
pub fn offsets_behind(
    consumed: &PartitionOffsets,
    latest: &PartitionOffsets,
) -> Option<(i64, i64, f64)> {
    if consumed.is_empty() || latest.is_empty() {
        return None;
    }
    let behind: Vec<i64> = latest
        .iter()
        .map(|(tp, end)| end.saturating_sub(consumed.get(tp).copied().unwrap_or_default()))
        .collect();
    let mean = behind.iter().map(|n| *n as f64).sum::<f64>() / behind.len() as f64;
    Some((*behind.iter().min()?, *behind.iter().max()?, mean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::testing::offsets;

    fn from_sizes(sizes: &[i64]) -> PartitionOffsets {
        sizes.iter().enumerate().map(|(p, s)| (TopicPartition::new("t", p as i32), *s)).collect()
    }

    /// Takes from backlogs `latest` as often as `limit` is repeated; gives the amounts of each batch.
    fn taken(limit: i64, latest: &[i64], batches: usize) -> Vec<Vec<i64>> {
        let (latest, none) = (from_sizes(latest), PartitionOffsets::new());
        let mut from: PartitionOffsets = latest.keys().map(|tp| (tp.clone(), 0)).collect();
        (0..batches)
            .map(|_| {
                let end = rate_limited(limit, &from, &latest, &none);
                let amounts = end.iter().map(|(tp, end)| end - from[tp]).collect();
                from = end;
                amounts
            })
            .collect()
    }

    #[test]
    fn b113_shares_follow_the_backlog() {
        assert_eq!(taken(10, &[101, 11, 1], 2), [vec![8, 1, 1], vec![9, 1, 0]]);
    }

    #[test]
    fn b114_b115_the_sum_may_pass_or_miss_the_limit() {
        assert_eq!(taken(3, &[100; 5], 1), [vec![1; 5]]);
        assert_eq!(taken(1, &[50, 50], 1), [vec![1, 1]]);
        assert_eq!(taken(20, &[21, 11, 1], 1), [vec![12, 6, 1]]);
        assert_eq!(taken(7, &[10, 10, 10], 1), [vec![2, 2, 2]]);
        assert_eq!(taken(1000, &[333, 333, 335], 2), [vec![332, 332, 334], vec![1, 1, 1]]);
    }

    #[test]
    fn b116_the_largest_limit_does_not_overflow() {
        let (from, latest) = (offsets(&[("t", 0, 5)]), offsets(&[("t", 0, 10)]));
        assert_eq!(rate_limited(i64::MAX, &from, &latest, &offsets(&[])), latest);
    }

    #[test]
    fn b117_no_limit_is_checked() {
        assert_eq!(taken(0, &[5], 1), [vec![0]]);
        let (from, latest) = (offsets(&[("t", 0, 5)]), offsets(&[("t", 0, 10)]));
        assert!(rate_limited(-4, &from, &latest, &offsets(&[])).values().all(|end| *end < 5));
    }

    #[test]
    fn b118_new_partitions_begin_at_their_earliest_offset() {
        let latest = offsets(&[("t", 0, 10), ("t", 1, 110)]);
        let from = offsets(&[("t", 0, 0)]);
        let end = rate_limited(10, &from, &latest, &offsets(&[("t", 1, 100)]));
        assert_eq!(end, offsets(&[("t", 0, 5), ("t", 1, 105)]));
    }

    #[test]
    fn b120_a_small_batch_waits_for_the_delay() {
        let secs = Duration::from_secs;
        let mut gate = MinimumGate::new(15, secs(5));
        let at = |n| offsets(&[("t", 0, n)]);
        assert!(gate.passes(secs(1), &at(0), &at(16)));
        assert!(!gate.passes(secs(2), &at(16), &at(22)));
        assert!(gate.passes(secs(3), &at(16), &at(34)));
        assert!(!gate.passes(secs(7), &at(34), &at(44)));
        assert!(gate.passes(secs(8), &at(34), &at(44)));
    }

    #[test]
    fn b123_an_unknown_partition_counts_from_zero() {
        let mut gate = MinimumGate::new(15, Duration::from_secs(5));
        assert!(gate.passes(Duration::from_secs(1), &offsets(&[]), &offsets(&[("t", 0, 15)])));
    }

    #[test]
    fn b124_the_first_trigger_after_a_start_fires() {
        let mut gate = MinimumGate::new(15, Duration::from_secs(900));
        assert!(gate.passes(Duration::from_secs(1_700_000_000), &offsets(&[]), &offsets(&[])));
    }

    #[test]
    fn b093_b094_how_far_behind() {
        let consumed = offsets(&[("a", 0, 1), ("b", 0, 2)]);
        let latest = offsets(&[("a", 0, 3), ("b", 0, 6)]);
        assert_eq!(offsets_behind(&consumed, &latest), Some((2, 4, 3.0)));
        assert_eq!(offsets_behind(&offsets(&[]), &latest), None);
        let partly = offsets(&[("a", 0, 3)]);
        assert_eq!(offsets_behind(&partly, &latest), Some((0, 6, 3.0)));
    }
}
