//! What must be true after every step. In: what was written, what was said to have become of it,
//! what the logs hold, what was read and which leaders a client believes in; out: the first
//! [`Violation`]. Knows nothing of the machines under test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use klamm_protocol::records::{Batches, Inflater, RawBatch};
use klamm_protocol::session::metadata::View;
use klamm_protocol::session::produce::Outcome;

use crate::broker::Cluster;

use super::records::{TOPIC, numbers_of};

/// A promise that a client must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// What was reported as written is in the log, where it was reported.
    NothingLost,
    /// No record is twice in the log.
    NothingTwice,
    /// Records of a partition are in the log in the order they were given.
    OrderKept,
    /// What was reported as not written is not in the log, now or ever.
    NotWrittenIsTrue,
    /// Every batch has one outcome.
    OneOutcome,
    /// The reader hands up the log's records, in order, each once, and all of its range.
    ReadsTheLog,
    /// The reader asks for nothing, and hands up nothing, outside its range.
    StaysInRange,
    /// No leader epoch in the client's view goes back.
    EpochsRise,
    /// Only whole frames that can be decoded travel.
    FramesWhole,
    /// No machine asks to be called at a time that has passed.
    NoBusyLoop,
    /// A transaction's records are all visible to readers of committed records, or none is.
    AllOrNothing,
    /// What was told of a transaction's end is what happened.
    EndsAreTrue,
    /// The world comes to rest in bounded time and steps; without faults all goes well again.
    ComesToRest,
}

/// A promise that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, detail: impl fmt::Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// How many records ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Reported as written.
    pub written: usize,
    /// Reported as not written, or refused.
    pub not_written: usize,
    /// Reported as unknown.
    pub unknown: usize,
    /// Handed up by the reader.
    pub read: usize,
}

/// The judge's books.
pub(super) struct Ledger {
    fates: BTreeMap<u64, Fate>,
    /// Partition by partition what its log holds and how much of it was read.
    logs: Vec<Mirror>,
    /// The numbers in all logs.
    there: BTreeSet<u64>,
    epochs: BTreeMap<i32, i32>,
    inflater: Inflater,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Written,
    NotWritten,
    Unknown,
}

#[derive(Debug, Default)]
struct Mirror {
    numbers: Vec<u64>,
    read: usize,
}

impl Ledger {
    pub(super) fn new(partitions: usize) -> Self {
        Self {
            fates: BTreeMap::new(),
            logs: (0..partitions).map(|_| Mirror::default()).collect(),
            there: BTreeSet::new(),
            epochs: BTreeMap::new(),
            inflater: Inflater::new(),
            tally: Tally::default(),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// How far a partition's log goes.
    pub(super) fn end_of(&self, partition: usize) -> i64 {
        self.logs.get(partition).map_or(0, |log| log.numbers.len() as i64)
    }

    /// Records were given to the producer.
    pub(super) fn given(&mut self, numbers: &[u64]) {
        self.fates.extend(numbers.iter().map(|number| (*number, Fate::Open)));
    }

    /// The producer has told what became of records.
    pub(super) fn ended(
        &mut self,
        partition: usize,
        numbers: &[u64],
        outcome: &Outcome,
    ) -> Result<(), Violation> {
        let (fate, count) = match outcome {
            Outcome::Written { .. } => (Fate::Written, &mut self.tally.written),
            Outcome::NotWritten(_) | Outcome::Refused { .. } => {
                (Fate::NotWritten, &mut self.tally.not_written)
            }
            _ => (Fate::Unknown, &mut self.tally.unknown),
        };
        *count += numbers.len();
        for number in numbers {
            let before = self.fates.insert(*number, fate);
            if before != Some(Fate::Open) {
                let detail = format!("record {number}, {before:?}, became {outcome:?}");
                return Err(Violation::new(Rule::OneOutcome, detail));
            }
        }
        let log = self.logs.get(partition).map_or(&[][..], |log| &log.numbers);
        match outcome {
            Outcome::Written { base_offset: Some(base), .. } => {
                let at = usize::try_from(*base).unwrap_or(usize::MAX);
                let there = log.get(at..at.saturating_add(numbers.len()));
                if there != Some(numbers) {
                    let detail = format!(
                        "{numbers:?} was written to {partition} at {base}, where {there:?} is"
                    );
                    return Err(Violation::new(Rule::NothingLost, detail));
                }
            }
            Outcome::Written { .. } if !log.windows(numbers.len()).any(|run| run == numbers) => {
                let detail = format!("{numbers:?} was written to {partition}, and is not there");
                return Err(Violation::new(Rule::NothingLost, detail));
            }
            Outcome::NotWritten(_) | Outcome::Refused { .. } => {
                if let Some(found) = log.iter().find(|found| numbers.contains(found)) {
                    let detail = format!("record {found} is in {partition}, and is {outcome:?}");
                    return Err(Violation::new(Rule::NotWrittenIsTrue, detail));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks at what is new in the logs.
    pub(super) fn look(&mut self, cluster: &Cluster) -> Result<(), Violation> {
        for partition in 0..self.logs.len() {
            let Some(log) = cluster.log(TOPIC, partition as i32) else { continue };
            let known = self.end_of(partition);
            if log.end_offset() < known {
                let detail = format!("{partition} ended at {known}, now at {}", log.end_offset());
                return Err(Violation::new(Rule::NothingLost, detail));
            }
            if log.end_offset() == known {
                continue;
            }
            for part in log.read(known, log.end_offset(), usize::MAX, true).parts {
                for raw in Batches::new(part) {
                    let raw = raw.map_err(|error| Violation::new(Rule::FramesWhole, error))?;
                    self.appended(partition, &raw)?;
                }
            }
        }
        Ok(())
    }

    fn appended(&mut self, partition: usize, raw: &RawBatch) -> Result<(), Violation> {
        for (offset, number) in numbers_of(raw, &mut self.inflater)? {
            let fate = self.fates.get(&number).copied();
            if matches!(fate, None | Some(Fate::NotWritten)) {
                let detail = format!("record {number}, {fate:?}, came to {partition} at {offset}");
                return Err(Violation::new(Rule::NotWrittenIsTrue, detail));
            }
            if !self.there.insert(number) {
                let detail = format!("record {number} is in {partition} again at {offset}");
                return Err(Violation::new(Rule::NothingTwice, detail));
            }
            let Some(log) = self.logs.get_mut(partition) else { continue };
            if let Some(last) = log.numbers.last().filter(|last| **last > number) {
                let detail = format!("{number} came to {partition} at {offset} after {last}");
                return Err(Violation::new(Rule::OrderKept, detail));
            }
            log.numbers.push(number);
        }
        Ok(())
    }

    /// The reader hands up a record of a range that stops at `stop`.
    pub(super) fn read(
        &mut self,
        partition: usize,
        (offset, number): (i64, u64),
        stop: i64,
    ) -> Result<(), Violation> {
        let Some(log) = self.logs.get_mut(partition) else { return Ok(()) };
        let due = log.numbers.get(log.read).copied();
        if offset != log.read as i64 || due != Some(number) {
            let detail = format!(
                "{number} was read from {partition} at {offset}, due was {due:?} at {}",
                log.read
            );
            return Err(Violation::new(Rule::ReadsTheLog, detail));
        }
        if offset >= stop {
            let detail = format!("offset {offset} of {partition} was read, the stop is {stop}");
            return Err(Violation::new(Rule::StaysInRange, detail));
        }
        log.read += 1;
        self.tally.read += 1;
        Ok(())
    }

    /// The view that the client acts on.
    pub(super) fn believe(&mut self, view: &View) -> Result<(), Violation> {
        let Some(topic) = view.topics.get(TOPIC) else { return Ok(()) };
        for partition in &topic.partitions {
            let (index, epoch) = (partition.index, partition.leader_epoch.unwrap_or(-1));
            let known = self.epochs.insert(index, epoch).unwrap_or(-1);
            if epoch < known {
                let detail = format!("the epoch of {index} was {known} and is {epoch}");
                return Err(Violation::new(Rule::EpochsRise, detail));
            }
        }
        Ok(())
    }

    /// Records with these numbers and above had no fault in their way.
    pub(super) fn written_from(&self, first: u64) -> Result<(), Violation> {
        match self.fates.range(first..).find(|(_, fate)| **fate != Fate::Written) {
            Some((number, fate)) => {
                let detail = format!("record {number} became {fate:?} long after the last fault");
                Err(Violation::new(Rule::ComesToRest, detail))
            }
            None => Ok(()),
        }
    }

    /// Everything has come to rest.
    pub(super) fn close(&mut self, cluster: &Cluster) -> Result<(), Violation> {
        self.look(cluster)?;
        for (partition, log) in self.logs.iter().enumerate() {
            if log.read != log.numbers.len() {
                let detail =
                    format!("{} of {} records of {partition} read", log.read, log.numbers.len());
                return Err(Violation::new(Rule::ReadsTheLog, detail));
            }
        }
        match self.fates.iter().find(|(_, fate)| **fate == Fate::Open) {
            Some((number, _)) => {
                Err(Violation::new(Rule::OneOutcome, format!("record {number} never had one")))
            }
            None => Ok(()),
        }
    }
}
