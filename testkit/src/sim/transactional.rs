//! A world of transactions, from a seed: a transactional producer made of the protocol's machines,
//! and its successors where it is fenced, against the embedded cluster, over the links and faults of
//! the other world; in addition requests to the coordinator that were lost may arrive much later.
//!
//! ```
//! use klamm_testkit::sim::{Settings, run_transactions};
//! let report = run_transactions(&Settings { seed: 17, ..Settings::default() })?;
//! assert!(report.committed > 0);
//! # Ok::<(), klamm_testkit::sim::Failure>(())
//! ```

use std::time::{Duration, Instant};

use fastrand::Rng;
use klamm_protocol::session::connection::ConnectionOptions;

use crate::broker::{Cluster, ClusterConfig};
use crate::link::LinkOptions;

use super::checks::{Rule, Violation};
use super::committer::Committer;
use super::faults::Faults;
use super::knowledge::Knowledge;
use super::network::Network;
use super::plants::Plant;
use super::records::TOPIC;
use super::trace::Trace;
use super::verdicts::Verdicts;
use super::{Failure, MOST_ROUNDS, MOST_STEPS, Settings};

/// How a run ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionReport {
    /// How much simulated time passed.
    pub time: Duration,
    /// Transactions that were begun.
    pub begun: usize,
    /// Those of them that were told to be committed.
    pub committed: usize,
    /// Commits that were told to be unknown.
    pub unknown: usize,
    /// What happened, if asked for.
    pub trace: Vec<String>,
}

/// Runs a world of transactions to its end.
///
/// # Errors
///
/// The first promise that was broken.
pub fn run_transactions(settings: &Settings) -> Result<TransactionReport, Failure> {
    let mut world = World::new(settings);
    let outcome = world.run();
    let time = world.now.saturating_duration_since(world.began);
    let ((begun, committed), unknown) = (world.verdicts.count(), world.verdicts.unknown());
    let trace = world.trace.into_lines();
    match outcome {
        Ok(()) => Ok(TransactionReport { time, begun, committed, unknown, trace }),
        Err(violation) => Err(Failure { seed: settings.seed, at: time, violation, trace }),
    }
}

struct World {
    began: Instant,
    now: Instant,
    partitions: usize,
    net: Network,
    knowledge: Knowledge,
    committer: Committer,
    faults: Faults,
    verdicts: Verdicts,
    trace: Trace,
    /// When the faults ended, and how many commits there were then.
    peace: Option<(Instant, usize)>,
}

impl World {
    fn new(settings: &Settings) -> Self {
        let mut rng = Rng::with_seed(settings.seed);
        let now = Instant::now();
        let (brokers, partitions) = (rng.i32(1..=3), rng.usize(1..=3));
        let lasting = Duration::from_millis(rng.u64(2_000..12_000));
        // The planted bugs are dangers of the older protocol.
        let level = if settings.plant == Plant::None { rng.i16(0..=2) } else { 1 };
        let mut cluster = Cluster::new(ClusterConfig {
            brokers,
            transaction_version: level,
            marker_delay: Duration::from_millis(rng.u64(0..80)),
            seed: rng.u64(..),
            ..ClusterConfig::default()
        });
        // Of a new cluster's first topic nothing can be refused.
        let _ = cluster.create_topic(TOPIC, partitions as i32, brokers as i16);
        let latency = Duration::from_micros(100)..Duration::from_micros(rng.u64(200..40_000));
        let link = LinkOptions { latency, window: rng.usize(20..8_000) };
        let options = ConnectionOptions::default();
        let faults = Faults::new(now, rng.fork(), (brokers, partitions), lasting);
        Self {
            began: now,
            now,
            partitions,
            net: Network::new(cluster, options, link, rng.fork()),
            knowledge: Knowledge::new(now, rng.fork(), brokers, Plant::None),
            committer: Committer::new(now, rng.fork(), (partitions, brokers), settings.plant),
            faults: faults.with_transactions(),
            verdicts: Verdicts::default(),
            trace: Trace::new(now, settings.trace),
            peace: None,
        }
    }

    /// From instant to instant until there was peace, and transactions were committed in it.
    fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..MOST_STEPS {
            self.step()?;
            let committed = self.verdicts.count().1;
            match self.peace {
                None if self.faults.is_over() => self.peace = Some((self.now, committed)),
                Some((since, before))
                    if committed >= before + LAST
                        && self.now > since + SETTLE
                        && self.is_settled() =>
                {
                    return self.verdicts.close(&self.net.cluster, self.partitions);
                }
                Some((since, _)) if self.now > since + LONGEST_PEACE => {
                    let what = "no transaction is committed though nothing goes wrong";
                    return Err(Violation::new(Rule::ComesToRest, what));
                }
                _ => {}
            }
            let Some(next) = self.next_instant() else {
                return Err(Violation::new(Rule::ComesToRest, "nothing is due"));
            };
            self.now = next;
        }
        Err(Violation::new(Rule::ComesToRest, "too many steps"))
    }

    /// Whether no partition has an open transaction: the last one's end has been asked for and its
    /// markers are written, and the next one has written nothing.
    fn is_settled(&self) -> bool {
        (0..self.partitions).all(|partition| {
            let log = self.net.cluster.log(TOPIC, partition as i32);
            log.is_none_or(|log| log.last_stable_offset() == log.end_offset())
        })
    }

    fn step(&mut self) -> Result<(), Violation> {
        let now = self.now;
        self.faults.step(now, &mut self.net, &mut self.trace);
        for _ in 0..MOST_ROUNDS {
            self.net.advance(now)?;
            let client = (&mut self.net, &mut self.knowledge);
            let mut moved =
                self.committer.step(now, client, &mut self.verdicts, &mut self.trace)?;
            moved |= self.knowledge.step(now, &mut self.net)?;
            if !moved {
                return Ok(());
            }
        }
        Err(Violation::new(Rule::ComesToRest, "an instant without end"))
    }

    fn next_instant(&self) -> Option<Instant> {
        let now = self.now;
        let due = [
            self.net.poll_timeout(),
            self.knowledge.poll_timeout(now),
            self.committer.poll_timeout(now),
            self.faults.poll_timeout(),
        ];
        due.into_iter().flatten().filter(|at| *at > now).min()
    }
}

/// So many transactions have to be committed when nothing goes wrong any more.
const LAST: usize = 3;
/// By then everything that was lost has arrived or never will.
const SETTLE: Duration = Duration::from_secs(4);
const LONGEST_PEACE: Duration = Duration::from_secs(60);
