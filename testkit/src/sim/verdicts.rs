//! What must be true of transactions. In: which records each was given and what was told of its end;
//! out, from the logs and their markers: the first promise that was broken.

use std::collections::{BTreeMap, BTreeSet};

use klamm_protocol::records::{Batches, ControlType, Inflater};
use klamm_protocol::session::transaction::{End, TransactionError};

use crate::broker::Cluster;

use super::checks::{Rule, Violation};
use super::records::{TOPIC, numbers_of};

/// The judge's books.
#[derive(Default)]
pub(super) struct Verdicts {
    transactions: Vec<Entry>,
    inflater: Inflater,
}

#[derive(Debug, Default)]
struct Entry {
    numbers: Vec<u64>,
    told: Option<Result<End, TransactionError>>,
    resolved: Option<End>,
    /// What its user wants.
    wanted: Option<End>,
}

impl Verdicts {
    /// A transaction has begun.
    pub(super) fn begun(&mut self) {
        self.transactions.push(Entry::default());
    }

    /// Records were given to it.
    pub(super) fn given(&mut self, numbers: &[u64]) {
        if let Some(entry) = self.transactions.last_mut() {
            entry.numbers.extend(numbers);
        }
    }

    /// Its user wants it to end so.
    pub(super) fn wanted(&mut self, end: End) {
        if let Some(entry) = self.transactions.last_mut() {
            entry.wanted = Some(end);
        }
    }

    /// Its end was told. After a failed commit the abort is told, too.
    pub(super) fn ended(&mut self, told: Result<End, TransactionError>) -> Result<(), Violation> {
        let Some(entry) = self.transactions.last_mut() else {
            return Err(Violation::new(Rule::EndsAreTrue, "an end before any beginning"));
        };
        if entry.wanted != Some(End::Committed) && told == Ok(End::Committed) {
            return Err(Violation::new(Rule::EndsAreTrue, "a commit that nobody asked for"));
        }
        let before = entry.told.replace(told);
        if before.is_some_and(|before| before.is_ok()) {
            return Err(Violation::new(Rule::EndsAreTrue, "a second end was told"));
        }
        Ok(())
    }

    /// The end of a transaction became known whose user was told that nobody knows it.
    pub(super) fn resolved(&mut self, end: End) -> Result<(), Violation> {
        match self.transactions.last_mut() {
            Some(entry) => entry.resolved = Some(end),
            None => return Err(Violation::new(Rule::EndsAreTrue, "nothing could be found out")),
        }
        Ok(())
    }

    /// How many transactions there were, and how many were told to be committed.
    pub(super) fn count(&self) -> (usize, usize) {
        let committed = |entry: &&Entry| entry.told == Some(Ok(End::Committed));
        (self.transactions.len(), self.transactions.iter().filter(committed).count())
    }

    /// How many commits were told to be unknown.
    pub(super) fn unknown(&self) -> usize {
        let unknown = |entry: &&Entry| entry.told == Some(Err(TransactionError::OutcomeUnknown));
        self.transactions.iter().filter(unknown).count()
    }

    /// Every transaction has its end in the logs: compares.
    pub(super) fn close(&mut self, cluster: &Cluster, partitions: usize) -> Result<(), Violation> {
        let mut visible = BTreeSet::new();
        for partition in 0..partitions {
            for number in self.committed_in(cluster, partition as i32)? {
                if !visible.insert(number) {
                    let detail = format!("record {number} is committed twice");
                    return Err(Violation::new(Rule::NothingTwice, detail));
                }
            }
        }
        for (index, entry) in self.transactions.iter().enumerate() {
            entry.check(index, &visible)?;
        }
        Ok(())
    }

    /// What a reader of committed records sees of a partition.
    fn committed_in(&mut self, cluster: &Cluster, partition: i32) -> Result<Vec<u64>, Violation> {
        let Some(log) = cluster.log(TOPIC, partition) else { return Ok(Vec::new()) };
        let damaged = |error| Violation::new(Rule::FramesWhole, error);
        let mut open: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        let mut committed = Vec::new();
        for part in log.read(0, log.end_offset(), usize::MAX, true).parts {
            for raw in Batches::new(part) {
                let raw = raw.map_err(damaged)?;
                let producer = raw.header().producer_id;
                if !raw.header().is_control() {
                    let numbers = numbers_of(&raw, &mut self.inflater)?;
                    let numbers = numbers.into_iter().map(|(_, number)| number);
                    open.entry(producer).or_default().extend(numbers);
                    continue;
                }
                let batch = raw.open(&mut self.inflater, 1 << 20).map_err(damaged)?;
                let ended = open.remove(&producer).unwrap_or_default();
                if batch.control().map_err(damaged)? == Some(ControlType::Commit) {
                    committed.extend(ended);
                }
            }
        }
        match open.values().all(Vec::is_empty) {
            true => Ok(committed),
            false => {
                let detail = format!("a transaction stays open in {partition}: {open:?}");
                Err(Violation::new(Rule::ComesToRest, detail))
            }
        }
    }
}

impl Entry {
    fn check(&self, index: usize, visible: &BTreeSet<u64>) -> Result<(), Violation> {
        let there = self.numbers.iter().filter(|number| visible.contains(number)).count();
        let broken = |rule, what: &str| {
            let of = self.numbers.len();
            let told = (&self.told, &self.resolved);
            let detail = format!("transaction {index}, {there} of {of} visible, {told:?}: {what}");
            Err(Violation::new(rule, detail))
        };
        if there != 0 && there != self.numbers.len() {
            return broken(Rule::AllOrNothing, "torn");
        }
        let seen = if there > 0 { End::Committed } else { End::Aborted };
        let empty = self.numbers.is_empty();
        match (&self.told, self.resolved) {
            _ if empty => Ok(()),
            (Some(Ok(end)), _) if *end != seen => broken(Rule::EndsAreTrue, "told otherwise"),
            (Some(Err(TransactionError::OutcomeUnknown)), Some(end)) if end != seen => {
                broken(Rule::EndsAreTrue, "found out otherwise")
            }
            (Some(Err(TransactionError::OutcomeUnknown) | Ok(_)), _) => Ok(()),
            // Its producer has gone, or the world has ended, before the answer.
            (None, _) if self.wanted == Some(End::Committed) => Ok(()),
            _ if seen == End::Committed => broken(Rule::EndsAreTrue, "never asked for"),
            _ => Ok(()),
        }
    }
}
