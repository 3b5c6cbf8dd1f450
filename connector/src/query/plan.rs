//! Where a batch ends and what it reads: a pure step between the offsets that were looked up and the plan that is
//! written.

use std::time::Duration;

use super::trigger::Trigger;
use crate::error::Result;
use crate::offsets::limit::{MinimumGate, rate_limited};
use crate::offsets::loss::{DataLoss, stream_ranges};
use crate::offsets::range::OffsetRange;
use crate::offsets::{PartitionOffsets, TopicPartition};
use crate::options::SourceOptions;

/// The limits of a query's batches.
#[derive(Debug)]
pub(super) struct BatchPlanner {
    maximum: Option<i64>,
    gate: Option<MinimumGate>,
}

impl BatchPlanner {
    pub(super) fn new(options: &SourceOptions, trigger: Trigger) -> Self {
        if !trigger.honours_limits() {
            return Self { maximum: None, gate: None };
        }
        let gate = options.min_offsets_per_trigger();
        Self {
            maximum: options.max_offsets_per_trigger(),
            gate: gate.map(|minimum| MinimumGate::new(minimum, options.max_trigger_delay())),
        }
    }

    /// The end of the batch that starts at `start`, `start` itself if it is too early for one.
    ///
    /// `now` is the time since 1970, `initial` the first offsets of the partitions that `start` lacks.
    pub(super) fn end(
        &mut self,
        now: Duration,
        start: &PartitionOffsets,
        latest: &PartitionOffsets,
        initial: &PartitionOffsets,
    ) -> PartitionOffsets {
        if self.gate.as_mut().is_some_and(|gate| !gate.passes(now, start, latest)) {
            return start.clone();
        }
        match self.maximum {
            Some(maximum) => rate_limited(maximum, start, latest, initial),
            None => latest.clone(),
        }
    }
}

/// The partitions of `latest` that the query has not seen yet.
pub(super) fn new_partitions(
    start: &PartitionOffsets,
    latest: &PartitionOffsets,
) -> Vec<TopicPartition> {
    latest.keys().filter(|tp| !start.contains_key(*tp)).cloned().collect()
}

/// The pieces of a batch, cut as the options say. Losses are an error, or logged where they are forgiven.
pub(super) fn pieces(
    options: &SourceOptions,
    start: &PartitionOffsets,
    end: &PartitionOffsets,
    initial: &PartitionOffsets,
) -> Result<Vec<OffsetRange>> {
    let (ranges, losses) = stream_ranges(start, end, initial, options.group_id());
    for loss in losses {
        forgive(options, loss)?;
    }
    options.split().split(ranges)
}

fn forgive(options: &SourceOptions, loss: DataLoss) -> Result<()> {
    if options.fail_on_data_loss() {
        return Err(loss.into_error());
    }
    tracing::warn!(condition = loss.condition(), "data may have been lost: {loss}");
    Ok(())
}
