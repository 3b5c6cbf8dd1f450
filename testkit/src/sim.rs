//! A whole world in one thread, from a seed: an idempotent producer and an exact-range reader,
//! made of the protocol's machines, against the embedded cluster, over links that split, delay and
//! cut. No clock, no sockets, no tasks; a run of many simulated seconds takes milliseconds, and the
//! same seed always runs the same.
//!
//! ```text
//!   [metadata]   [produce]   [fetch]        the machines, wired as the client wires them
//!        \           |          /
//!     [connection + handshake] x n
//!                    |
//!     Link x n: latency, splits, cuts       faults: leaders move, brokers die, answers are
//!                    |                      refused, delayed, lost
//!            [broker::Cluster]
//! ```
//!
//! After every step the promises in [`Rule`] are checked. Faults end after a while; then everything
//! has to be read, and everything new to be written.
//!
//! ```
//! use klamm_testkit::sim::{Settings, run};
//! let report = run(&Settings { seed: 17, ..Settings::default() })?;
//! assert_eq!(report.tally.read, report.in_logs);
//! # Ok::<(), klamm_testkit::sim::Failure>(())
//! ```

mod checks;
mod committer;
mod coordinator;
mod faults;
mod knowledge;
mod network;
mod plants;
mod pool;
mod reader;
mod records;
mod trace;
mod transactional;
mod verdicts;
mod writer;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;
use klamm_protocol::api::{ApiKey, VersionRange};
use klamm_protocol::session::connection::ConnectionOptions;

use crate::broker::{Cluster, ClusterConfig};
use crate::link::LinkOptions;

pub use checks::{Rule, Tally, Violation};
pub use plants::Plant;
pub use transactional::{TransactionReport, run_transactions};

use checks::Ledger;
use faults::Faults;
use knowledge::Knowledge;
use network::Network;
use reader::Reader;
use records::TOPIC;
use trace::Trace;
use writer::Writer;

/// What to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Decides everything.
    pub seed: u64,
    /// A bug in the wiring. Default: none.
    pub plant: Plant,
    /// Whether to keep a trace of what happened. Default: no.
    pub trace: bool,
}

/// How a run ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many times something happened.
    pub steps: usize,
    /// How much simulated time passed.
    pub time: Duration,
    /// What became of the records.
    pub tally: Tally,
    /// Records in the logs at the end.
    pub in_logs: usize,
    /// What happened, if asked for.
    pub trace: Vec<String>,
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed to run again.
    pub seed: u64,
    /// When, in simulated time.
    pub at: Duration,
    /// What was broken.
    pub violation: Violation,
    /// What happened, if asked for.
    pub trace: Vec<String>,
}

/// Runs a world to its end.
///
/// # Errors
///
/// The first promise that was broken.
pub fn run(settings: &Settings) -> Result<Report, Failure> {
    let mut world = World::new(settings);
    let mut outcome = world.run();
    let at = world.now.saturating_duration_since(world.began);
    if outcome.is_ok() {
        outcome = world.ledger.close(&world.net.cluster);
    }
    let ends = (0..world.partitions).map(|partition| world.ledger.end_of(partition) as usize);
    let (in_logs, trace) = (ends.sum(), world.trace.into_lines());
    match outcome {
        Ok(()) => {
            let (steps, tally) = (world.steps, world.ledger.tally());
            Ok(Report { steps, time: at, tally, in_logs, trace })
        }
        Err(violation) => Err(Failure { seed: settings.seed, at, violation, trace }),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} after {:?}: {}", self.seed, self.at, self.violation)
    }
}

impl Error for Failure {}

struct World {
    began: Instant,
    now: Instant,
    steps: usize,
    partitions: usize,
    net: Network,
    knowledge: Knowledge,
    writer: Writer,
    reader: Reader,
    faults: Faults,
    ledger: Ledger,
    trace: Trace,
    /// What is to be written, and when.
    plan: VecDeque<(Instant, usize, Vec<u64>)>,
    /// Records written from here on have to arrive.
    last_plan: u64,
}

impl World {
    fn new(settings: &Settings) -> Self {
        let mut rng = Rng::with_seed(settings.seed);
        let now = Instant::now();
        let (brokers, partitions) = (rng.i32(1..=3), rng.usize(1..=3));
        let lasting = Duration::from_millis(rng.u64(2_000..15_000));
        let mut cluster = Cluster::new(cluster_config(&mut rng, brokers));
        // Of a new cluster's first topic nothing can be refused.
        let _ = cluster.create_topic(TOPIC, partitions as i32, brokers as i16);
        let mut options = ConnectionOptions::default();
        options.max_idle = rng.bool().then(|| Duration::from_millis(rng.u64(300..3_000)));
        let latency = Duration::from_micros(100)..Duration::from_micros(rng.u64(200..40_000));
        let link = LinkOptions { latency, window: rng.usize(20..8_000) };
        let plan = plan(&mut rng, now, lasting, partitions);
        let delivery_timeout = Duration::from_millis(rng.u64(800..12_000));
        let plant = settings.plant;
        Self {
            began: now,
            now,
            steps: 0,
            partitions,
            net: Network::new(cluster, options, link, rng.fork()),
            knowledge: Knowledge::new(now, rng.fork(), brokers, plant),
            writer: Writer::new(partitions, delivery_timeout, plant),
            reader: Reader::new(now, rng.fork(), partitions, plant),
            faults: Faults::new(now, rng.fork(), (brokers, partitions), lasting),
            ledger: Ledger::new(partitions),
            trace: Trace::new(now, settings.trace),
            last_plan: LAST_PLAN,
            plan,
        }
    }

    /// From instant to instant until everything has come to rest.
    fn run(&mut self) -> Result<(), Violation> {
        loop {
            self.step()?;
            if self.is_at_rest() {
                return self.check_last_records();
            }
            let Some(next) = self.next_instant() else {
                return Err(Violation::new(
                    Rule::ComesToRest,
                    "nothing is due, and not all is done",
                ));
            };
            if next.saturating_duration_since(self.began) > LONGEST || self.steps > MOST_STEPS {
                let detail = format!("not at rest after {} steps", self.steps);
                return Err(Violation::new(Rule::ComesToRest, detail));
            }
            self.now = next;
        }
    }

    /// Does everything that is due at this instant.
    fn step(&mut self) -> Result<(), Violation> {
        let now = self.now;
        self.faults.step(now, &mut self.net, &mut self.trace);
        while let Some((_, partition, numbers)) = self.plan.pop_front_if(|(at, ..)| *at <= now) {
            self.writer.push(now, partition, numbers, &mut self.ledger)?;
        }
        for _ in 0..MOST_ROUNDS {
            self.steps += 1;
            self.net.advance(now)?;
            self.ledger.look(&self.net.cluster)?;
            let client = (&mut self.net, &mut self.knowledge);
            let mut moved = self.writer.step(now, client, &mut self.ledger, &mut self.trace)?;
            let client = (&mut self.net, &mut self.knowledge);
            moved |= self.reader.step(now, client, &mut self.ledger, &mut self.trace)?;
            // Last, because the others' doubts are what it acts on.
            moved |= self.knowledge.step(now, &mut self.net)?;
            self.ledger.believe(self.knowledge.view())?;
            if !moved {
                return Ok(());
            }
        }
        Err(Violation::new(Rule::ComesToRest, "an instant without end"))
    }

    /// The next time at which anything is due. What was due before and could not be done waits for
    /// something else to happen.
    fn next_instant(&self) -> Option<Instant> {
        let now = self.now;
        let due = [
            self.net.poll_timeout(),
            self.knowledge.poll_timeout(now),
            self.writer.poll_timeout(now),
            self.reader.poll_timeout(now),
            self.faults.poll_timeout(),
            self.plan.front().map(|(at, ..)| *at),
        ];
        due.into_iter().flatten().filter(|at| *at > now).min()
    }

    fn is_at_rest(&self) -> bool {
        self.faults.is_over()
            && self.plan.is_empty()
            && self.writer.is_idle()
            && self.reader.is_done(&self.ledger)
    }

    /// What was written long after the last fault has to have arrived.
    fn check_last_records(&self) -> Result<(), Violation> {
        self.ledger.written_from(self.last_plan)
    }
}

/// Makes some worlds older ones, whose clients speak of topics by name.
fn cluster_config(rng: &mut Rng, brokers: i32) -> ClusterConfig {
    let mut versions = Vec::new();
    if rng.u8(..3) == 0 {
        versions.push((ApiKey::Produce, VersionRange::new(3, rng.i16(7..=12))));
        versions.push((ApiKey::Fetch, VersionRange::new(4, rng.i16(8..=12))));
        versions.push((ApiKey::Metadata, VersionRange::new(1, rng.i16(7..=9))));
        versions.push((ApiKey::ApiVersions, VersionRange::new(0, rng.i16(0..=3))));
    }
    let cut_batches = rng.bool();
    ClusterConfig { brokers, versions, cut_batches, seed: rng.u64(..), ..ClusterConfig::default() }
}

/// Batches over the time of trouble, then one per partition when all should be well again.
fn plan(
    rng: &mut Rng,
    now: Instant,
    lasting: Duration,
    partitions: usize,
) -> VecDeque<(Instant, usize, Vec<u64>)> {
    let count = rng.usize(20..100);
    let mut times: Vec<Instant> = (0..count).map(|_| now + lasting.mul_f64(rng.f64())).collect();
    times.sort_unstable();
    let mut next = 0;
    let mut plan: VecDeque<_> = times
        .into_iter()
        .map(|at| {
            let first = next;
            next += rng.u64(1..5);
            (at, rng.usize(..partitions), (first..next).collect())
        })
        .collect();
    for partition in 0..partitions {
        plan.push_back((now + lasting + PEACE, partition, vec![LAST_PLAN + partition as u64]));
    }
    plan
}

/// How long after the last fault the last records are written: longer than anything waits.
const PEACE: Duration = Duration::from_secs(15);
const LAST_PLAN: u64 = 1 << 40;
const LONGEST: Duration = Duration::from_secs(90);
const MOST_STEPS: usize = 200_000;
const MOST_ROUNDS: usize = 500;
