//! A batch on its way to a sink. In: its number, and how its ranges are opened; out: its rows, whole or cut into tasks.
//!
//! The offsets log fixes where a batch starts and ends, and with it which rows are in each of its tasks: the n-th
//! partition of the plan belongs to task n modulo their number, whole, so that its order is kept. Whoever runs the batch
//! again finds the same tasks.

use std::fmt;
use std::num::NonZeroU32;

use super::RowStream;
use crate::offsets::PartitionOffsets;
use crate::offsets::range::OffsetRange;

/// What a batch of a query is: its number, its end, and its rows, which can be read as often as the sink has to.
pub struct Batch<'a> {
    id: i64,
    tasks: NonZeroU32,
    end: &'a PartitionOffsets,
    ranges: Vec<OffsetRange>,
    open: Box<dyn FnMut(Vec<OffsetRange>) -> RowStream + Send + 'a>,
}

impl<'a> Batch<'a> {
    /// The batch `id` that ends at `end` and reads `ranges`, each of a partition of `end`, by `open`.
    pub fn new(
        id: i64,
        end: &'a PartitionOffsets,
        ranges: Vec<OffsetRange>,
        open: impl FnMut(Vec<OffsetRange>) -> RowStream + Send + 'a,
    ) -> Self {
        Self { id, tasks: NonZeroU32::MIN, end, ranges, open: Box::new(open) }
    }

    /// Cut into so many tasks, as its plan says. One if nobody calls this.
    #[must_use]
    pub fn with_tasks(mut self, tasks: NonZeroU32) -> Self {
        self.tasks = tasks;
        self
    }

    /// What is done to each stream of rows before the sink sees it.
    #[must_use]
    pub fn map_rows(self, mut map: impl FnMut(RowStream) -> RowStream + Send + 'a) -> Self {
        let mut open = self.open;
        Self { open: Box::new(move |ranges| map(open(ranges))), ..self }
    }

    /// Its number. A batch that runs again has the number that it had.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// How many tasks it is cut into.
    pub fn tasks(&self) -> NonZeroU32 {
        self.tasks
    }

    /// Where it ends in each partition, the same whenever it runs.
    pub fn end(&self) -> &PartitionOffsets {
        self.end
    }

    /// All its rows. Reading begins when the stream is polled, and each call reads anew.
    pub fn rows(&mut self) -> RowStream {
        (self.open)(self.ranges.clone())
    }

    /// The rows of one task, counted from 0; `None` if there is nothing to be read for it.
    pub fn task_rows(&mut self, task: u32) -> Option<RowStream> {
        let partitions: Vec<_> = self.end.keys().collect();
        let (task, tasks) = (u64::from(task), u64::from(self.tasks.get()));
        let is_of_task = |range: &&OffsetRange| {
            let place = partitions.binary_search(&&range.topic_partition);
            place.is_ok_and(|place| place as u64 % tasks == task)
        };
        let ranges: Vec<_> = self.ranges.iter().filter(is_of_task).cloned().collect();
        (!ranges.is_empty()).then(|| (self.open)(ranges))
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Batch");
        debug.field("id", &self.id).field("tasks", &self.tasks).field("ranges", &self.ranges);
        debug.finish_non_exhaustive()
    }
}

/// What a sink is told before the first batch of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryStart {
    /// The query's id, the same over restarts.
    pub id: String,
    /// The batch that runs first.
    pub batch: i64,
    /// Up to this batch there are plans already: those batches run again, and an earlier run may have written some of
    /// them, or all.
    pub planned: Option<i64>,
    /// The greatest number of tasks in the plans that may still be written: those that run again, or the last one
    /// before. `None` if they name none.
    pub tasks: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::offsets::TopicPartition;

    fn none(_: Vec<OffsetRange>) -> RowStream {
        struct Empty;
        impl futures_core::Stream for Empty {
            type Item = crate::Result<arrow_array::RecordBatch>;
            fn poll_next(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                std::task::Poll::Ready(None)
            }
        }
        Box::pin(Empty)
    }

    fn range(partition: i32, from: i64, until: i64) -> OffsetRange {
        OffsetRange::new(TopicPartition::new("t", partition), from, until)
    }

    #[test]
    fn a_partition_is_whole_in_one_task_whatever_pieces_it_is_read_in() {
        let end = (0..5).map(|p| (TopicPartition::new("t", p), 10)).collect();
        // Partition 1 has nothing new, and its place still counts.
        let ranges = vec![
            range(0, 0, 5),
            range(0, 5, 10),
            range(2, 3, 10),
            range(3, 0, 10),
            range(4, 9, 10),
        ];
        let seen = Arc::new(Mutex::new(Vec::new()));
        let opened = Arc::clone(&seen);
        let mut batch = Batch::new(7, &end, ranges, move |ranges| {
            opened.lock().unwrap().push(ranges.clone());
            none(ranges)
        })
        .with_tasks(NonZeroU32::new(3).unwrap());
        let opened: Vec<_> = (0..3).map(|task| batch.task_rows(task).is_some()).collect();
        assert_eq!(opened, [true, true, true]);
        assert_eq!(
            *seen.lock().unwrap(),
            [
                vec![range(0, 0, 5), range(0, 5, 10), range(3, 0, 10)],
                vec![range(4, 9, 10)],
                vec![range(2, 3, 10)],
            ]
        );
    }

    #[test]
    fn a_task_without_a_range_opens_nothing() {
        let end = (0..2).map(|p| (TopicPartition::new("t", p), 10)).collect();
        let mut batch = Batch::new(0, &end, vec![range(1, 0, 10)], none)
            .with_tasks(NonZeroU32::new(2).unwrap());
        assert!(batch.task_rows(0).is_none());
        assert!(batch.task_rows(1).is_some());
    }
}
