//! A batch that is too large for its topic: handed out to be split, its parts taken back. The machine
//! itself opens no batch.

use crate::records::SealedBatch;

use super::lane::Ended;
use super::{BatchId, LaneId, ProduceQueue};

impl ProduceQueue {
    /// Puts parts, in order, in the place of a batch that
    /// [`ProduceEvent::TooLarge`](super::ProduceEvent::TooLarge) spoke of, and names them. From then
    /// on each has an outcome of its own, and the whole has none. With fewer than two parts, or with
    /// parts that do not have as many records as the whole, it ends as refused and the names are
    /// none; so they are for a batch that has ended meanwhile.
    pub fn split(&mut self, lane: LaneId, batch: BatchId, parts: Vec<SealedBatch>) -> Vec<BatchId> {
        let ids: Vec<BatchId> = (self.next_batch..).map(BatchId).take(parts.len()).collect();
        self.next_batch += parts.len() as u64;
        let (rules, mut ended) = (self.rules(), Ended::new());
        let named = ids.iter().copied().zip(parts).collect();
        let done = self
            .lanes
            .get_mut(lane.0)
            .is_some_and(|lane| lane.split(batch, named, &rules, &mut ended));
        self.end(ended);
        if done { ids } else { Vec::new() }
    }
}
