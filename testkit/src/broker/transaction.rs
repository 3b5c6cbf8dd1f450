//! The transaction coordinators of all nodes (KIP-98, KIP-360, KIP-890): in go claims of
//! transactional producers and time, out come the markers that end their transactions.
//!
//! As with groups, what a coordinator knows outlives its node. Markers are written at once, or
//! after [`marker_delay`](super::ClusterConfig::marker_delay), wherever a partition has a leader;
//! a partition without one keeps its transaction ending until it has.

pub(crate) mod answer;
pub(crate) mod describe;
pub(crate) mod state;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;

use super::config::ClusterConfig;
use super::group::Groups;
use super::outbox::Context;
use super::produce::Written;
use super::topology::Topology;
use state::{End, Identity, Participant, Phase, Transaction};

/// Everything that the cluster's transaction coordinators know.
#[derive(Debug)]
pub(crate) struct Transactions {
    by_id: BTreeMap<String, Transaction>,
    /// Ids whose markers wait for their time.
    ending: BTreeMap<String, Instant>,
    next_producer_id: i64,
    marker_delay: Duration,
    /// The cluster's `transaction.version`: how it ends what its producers leave open.
    level: i16,
}

/// Who writes in a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) transactional_id: &'a str,
    pub(crate) identity: Identity,
}

/// How a write gets into its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It has to be in already; a client of before KIP-890 is told so as `INVALID_TXN_STATE`.
    Verified,
    /// It has to be in already.
    VerifiedAbortable,
    /// The write takes it in (transactions of version 2).
    Added,
}

/// What a test may see of a transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// The producer id that the coordinator takes for the present one.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Kafka's name for the state: `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`,
    /// `CompleteCommit` or `CompleteAbort`.
    pub state: &'static str,
    /// How many partitions and groups take part.
    pub participants: usize,
}

impl Transactions {
    pub(crate) fn new(config: &ClusterConfig) -> Self {
        Self {
            by_id: BTreeMap::new(),
            ending: BTreeMap::new(),
            next_producer_id: FIRST_PRODUCER_ID,
            marker_delay: config.marker_delay,
            level: config.transaction_version,
        }
    }

    pub(crate) fn view(&self, transactional_id: &str) -> Option<TransactionView> {
        let found = self.by_id.get(transactional_id)?;
        Some(TransactionView {
            producer_id: found.producer_id,
            epoch: found.epoch,
            state: found.phase.name(),
            participants: found.participants.len(),
        })
    }

    /// The cluster runs another level of `transaction.version` from now on.
    pub(crate) fn set_level(&mut self, level: i16) {
        self.level = level;
    }

    /// A producer id that nobody had before.
    pub(crate) fn new_producer_id(&mut self) -> i64 {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        id
    }

    /// A producer begins with a transactional id, or goes on after an error with what it `held`.
    pub(crate) fn init(
        &mut self,
        transactional_id: &str,
        held: Option<Identity>,
        timeout: Duration,
        now: Instant,
    ) -> Result<Identity, ErrorCode> {
        if !self.by_id.contains_key(transactional_id) {
            self.make_room()?;
            let made = Transaction::new(self.new_producer_id(), timeout);
            self.by_id.insert(transactional_id.to_owned(), made);
        }
        let bumps = self.level >= BUMPING;
        let (transaction, new_id) = self.find(transactional_id)?;
        if let Some(identity) = transaction.init(held, timeout, new_id)? {
            return Ok(identity);
        }
        // The producer gets its epoch when it asks again, after what it left open is aborted.
        transaction.fence(bumps);
        self.begin_ending(transactional_id, now);
        Err(ErrorCode::CONCURRENT_TRANSACTIONS)
    }

    /// Takes participants into a transaction.
    pub(crate) fn add(
        &mut self,
        writer: Writer<'_>,
        participants: impl IntoIterator<Item = Participant>,
        context: &Context<'_>,
    ) -> Result<(), ErrorCode> {
        let (transaction, _) = self.find(writer.transactional_id)?;
        transaction.add(writer.identity, participants, (context.now, context.wall_ms))
    }

    /// Whether a participant is in a transaction.
    pub(crate) fn verify(
        &self,
        writer: Writer<'_>,
        participant: &Participant,
    ) -> Result<(), ErrorCode> {
        let found = self.by_id.get(writer.transactional_id);
        found.ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?.verify(writer.identity, participant)
    }

    /// Lets a write of a producer into its transaction. The codes are those that a write is
    /// answered with, which differ from those of the coordinator's own requests.
    pub(crate) fn enter(
        &mut self,
        writer: Writer<'_>,
        participant: Participant,
        entry: Entry,
        context: &Context<'_>,
    ) -> Result<(), ErrorCode> {
        let outcome = match entry {
            Entry::Added => self.add(writer, [participant], context),
            Entry::Verified | Entry::VerifiedAbortable => self.verify(writer, &participant),
        };
        outcome.map_err(|code| match code {
            ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::TRANSACTION_ABORTABLE if entry == Entry::Verified => {
                ErrorCode::INVALID_TXN_STATE
            }
            code => code,
        })
    }

    /// A producer ends its transaction.
    pub(crate) fn end(
        &mut self,
        writer: Writer<'_>,
        commit: bool,
        bumps: bool,
        now: Instant,
    ) -> Result<Identity, ErrorCode> {
        let (transaction, new_id) = self.find(writer.transactional_id)?;
        match transaction.end(writer.identity, commit, bumps, new_id)? {
            End::Repeated(identity) => Ok(identity),
            End::Begun(identity) => {
                self.begin_ending(writer.transactional_id, now);
                Ok(identity)
            }
        }
    }

    /// Aborts what its producers have left open for too long.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let bumps = self.level >= BUMPING;
        let late = self
            .by_id
            .iter_mut()
            .filter(|(_, transaction)| transaction.expires().is_some_and(|expires| expires <= now));
        let mut fenced = Vec::new();
        for (id, transaction) in late {
            transaction.fence(bumps);
            fenced.push(id.clone());
        }
        fenced.iter().for_each(|id| self.begin_ending(id, now));
    }

    /// When something is due. What waits for a leader is due with the change that brings one.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let open = self.by_id.values().filter_map(Transaction::expires);
        open.chain(self.ending.values().copied()).min()
    }

    /// Writes the markers that are due, wherever there is a leader; returns where.
    pub(crate) fn write_markers(
        &mut self,
        topology: &mut Topology,
        groups: &mut Groups,
        (now, wall_ms): (Option<Instant>, i64),
    ) -> Vec<Written> {
        let mut written = Vec::new();
        self.ending.retain(|_, due| now.is_none_or(|now| *due > now));
        for (id, transaction) in &mut self.by_id {
            let Phase::Ending { commit } = transaction.phase else {
                continue;
            };
            if self.ending.contains_key(id) {
                continue;
            }
            let (producer_id, epoch) = (transaction.producer_id, transaction.epoch);
            transaction.participants.retain(|participant| match participant {
                Participant::Positions(group) => {
                    groups.end_transaction(group, producer_id, commit);
                    false
                }
                Participant::Partition(topic, index) => {
                    let Some(partition) = topology.partition_mut(topic, *index) else {
                        // The topic is gone, and its part of the transaction with it.
                        return false;
                    };
                    let leader_epoch = partition.leader_epoch;
                    let log = &mut partition.log;
                    let done = partition.leader >= 0
                        && log
                            .append_marker(producer_id, epoch, commit, leader_epoch, wall_ms)
                            .is_ok();
                    if done {
                        written.push((topic.clone(), *index));
                    }
                    !done
                }
            });
            if transaction.participants.is_empty() {
                transaction.complete();
            }
        }
        written
    }

    /// Forgets the idle id that was made first when there are too many. Kafka forgets them after
    /// a week without use.
    fn make_room(&mut self) -> Result<(), ErrorCode> {
        if self.by_id.len() < MOST_TRANSACTIONS {
            return Ok(());
        }
        let idle = |transaction: &Transaction| {
            matches!(transaction.phase, Phase::Empty | Phase::Ended { .. })
        };
        let idle = self.by_id.iter().filter(|(_, transaction)| idle(transaction));
        let oldest = idle.min_by_key(|(_, transaction)| transaction.producer_id);
        let id = oldest.map(|(id, _)| id.clone()).ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
        self.by_id.remove(&id);
        Ok(())
    }

    fn begin_ending(&mut self, transactional_id: &str, now: Instant) {
        self.ending.insert(transactional_id.to_owned(), now + self.marker_delay);
    }

    fn find(
        &mut self,
        transactional_id: &str,
    ) -> Result<(&mut Transaction, impl FnOnce() -> i64), ErrorCode> {
        let Self { by_id, next_producer_id, .. } = self;
        let found = by_id.get_mut(transactional_id);
        let found = found.ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        Ok((found, || {
            let id = *next_producer_id;
            *next_producer_id += 1;
            id
        }))
    }
}

/// Ids start where nobody confuses them with offsets or counts.
const FIRST_PRODUCER_ID: i64 = 1000;
/// The level of `transaction.version` from which on each end takes a new epoch (KIP-890).
const BUMPING: i16 = 2;
/// Bounds what a client may make a long-running process keep.
const MOST_TRANSACTIONS: usize = 10_000;
