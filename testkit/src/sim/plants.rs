//! Bugs on purpose, put between the machines and the network, so that the checks can be seen to
//! fail. In: requests on their way and the news that one was lost; out: requests as a broken client
//! would write them.

use std::collections::BTreeMap;

use klamm_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use klamm_protocol::records::{Inflater, ProducerStamp, RawBatch};

use super::checks::{Rule, Violation};
use super::records::{batch_of, numbers_of};

/// A bug of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plant {
    /// None: the machines are wired as they should be.
    #[default]
    None,
    /// After a connection is lost, batches are retried with new sequence numbers.
    RenumberAfterLoss,
    /// Batches on a lost connection are dropped and reported as written.
    DropAfterLoss,
    /// Two batches on a lost connection change places in the retry.
    ReorderRetry,
    /// Requests on a lost connection are taken for never sent.
    TakeSentForUnsent,
    /// A cursor counts as read what was received, and what was not handed up is gone with the
    /// connection.
    CursorBeforeRecords,
    /// Offsets are read again from the start of the range after the leader has moved.
    RereadRange,
    /// The range's stop is where a response happens to end.
    IgnoreStop,
    /// The last metadata answer is believed, even of a broker that is behind.
    BelieveOldEpochs,
    /// A transaction's end that was lost is taken for done, and asked for again while the next
    /// transaction is open.
    EndIntoNext,
    /// A transaction's commit is asked for before its batches are acknowledged.
    CommitBeforeAcks,
    /// After an end in doubt the producer goes on under the same epoch.
    NoInitAfterUnknown,
}

/// Alters produce requests as the planted bug would.
#[derive(Default)]
pub(super) struct Saboteur {
    pub(super) plant: Plant,
    /// By partition: the epoch it counts for, and how far sequences are off.
    shifts: BTreeMap<i32, (i16, i32)>,
    /// By partition: batches that were lost and not sent again.
    lost: BTreeMap<i32, Vec<Vec<u64>>>,
    /// Which numbers go in place of which.
    swaps: BTreeMap<Vec<u64>, Vec<u64>>,
    inflater: Inflater,
}

impl Saboteur {
    pub(super) fn new(plant: Plant) -> Self {
        Self { plant, ..Self::default() }
    }

    /// A request that may have arrived is lost.
    pub(super) fn lose(&mut self, request: &ProduceRequest) -> Result<(), Violation> {
        for data in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
            let Some(raw) = raw_batch(data) else { continue };
            let header = raw.header();
            match self.plant {
                Plant::RenumberAfterLoss => {
                    let count = i32::try_from(header.count).unwrap_or(0);
                    let shift = self.shifts.entry(data.index).or_insert((0, 0));
                    let before = if shift.0 == header.producer_epoch { shift.1 } else { 0 };
                    *shift = (header.producer_epoch, before + count);
                }
                Plant::ReorderRetry => {
                    let numbers = self.numbers(&raw)?;
                    self.lost.entry(data.index).or_default().push(numbers);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A request on its way.
    pub(super) fn alter(&mut self, request: &mut ProduceRequest) -> Result<(), Violation> {
        if !matches!(self.plant, Plant::RenumberAfterLoss | Plant::ReorderRetry) {
            return Ok(());
        }
        for data in request.topic_data.iter_mut().flat_map(|topic| &mut topic.partition_data) {
            let Some(raw) = raw_batch(data) else { continue };
            let header = raw.header();
            let numbers = self.numbers(&raw)?;
            self.find_swap(data.index, &numbers);
            let (epoch, shift) = self.shifts.get(&data.index).copied().unwrap_or_default();
            let shift = if epoch == header.producer_epoch { shift } else { 0 };
            let numbers = self.swaps.get(&numbers).unwrap_or(&numbers);
            let mut batch = batch_of(numbers)?;
            batch.stamp(ProducerStamp {
                producer_id: header.producer_id,
                epoch: header.producer_epoch,
                base_sequence: header.base_sequence + shift,
                transactional: false,
            });
            data.records = Some(batch.to_bytes());
        }
        Ok(())
    }

    /// Pairs the first lost batch that is sent again with the next one of its size.
    fn find_swap(&mut self, partition: i32, numbers: &[u64]) {
        let Some(lost) = self.lost.get_mut(&partition) else { return };
        let (first, same): (Vec<_>, Vec<_>) =
            lost.drain(..).partition(|other| other.as_slice() == numbers);
        let other = same.into_iter().find(|other| other.len() == numbers.len());
        if let (Some(first), Some(other)) = (first.into_iter().next(), other) {
            self.swaps.insert(first.clone(), other.clone());
            self.swaps.insert(other, first);
        }
    }

    fn numbers(&mut self, raw: &RawBatch) -> Result<Vec<u64>, Violation> {
        let numbers = numbers_of(raw, &mut self.inflater)?;
        Ok(numbers.into_iter().map(|(_, number)| number).collect())
    }
}

/// An answer that says of every batch in a request that it is written.
pub(super) fn all_written(request: &ProduceRequest) -> ProduceResponse {
    let partition = |data: &PartitionProduceData| PartitionProduceResponse {
        index: data.index,
        base_offset: -1,
        ..PartitionProduceResponse::default()
    };
    let topics = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(partition).collect(),
    });
    ProduceResponse { responses: topics.collect(), ..ProduceResponse::default() }
}

fn raw_batch(data: &PartitionProduceData) -> Option<RawBatch> {
    RawBatch::read(data.records.clone()?).ok()
}

/// What a bug may break, as far as the planted ones go.
impl Plant {
    /// The promises that this bug is expected to break.
    pub fn breaks(self) -> &'static [Rule] {
        match self {
            Self::None => &[],
            Self::RenumberAfterLoss => &[Rule::NothingTwice],
            Self::DropAfterLoss => &[Rule::NothingLost],
            Self::ReorderRetry => &[Rule::OrderKept, Rule::NothingTwice, Rule::NothingLost],
            Self::TakeSentForUnsent => &[Rule::NotWrittenIsTrue, Rule::NothingTwice],
            Self::CursorBeforeRecords | Self::RereadRange => &[Rule::ReadsTheLog],
            Self::IgnoreStop => &[Rule::StaysInRange],
            Self::BelieveOldEpochs => &[Rule::EpochsRise],
            Self::EndIntoNext | Self::CommitBeforeAcks | Self::NoInitAfterUnknown => {
                &[Rule::AllOrNothing, Rule::EndsAreTrue]
            }
        }
    }
}
