//! Whole clients on one real broker, in one run: Klamm beside Java's client, librdkafka, krafka, rskafka and franz-go. Out: a
//! Markdown table a workload, with what is held against the best of the others beneath it.
//!
//! `cargo bench -p klamm-bench --features clients --bench clients` measures everything, which takes an hour; behind `--`, words
//! choose: `produce lz4 --count 1000000 klamm rdkafka`. With `hold` among them it only starts and fills, says how to run one client
//! under a profiler, and waits for a line.

#![deny(unsafe_code)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod arguments;
mod measure;
mod peers;
mod roster;
mod scene;
mod tables;

use std::io::stdin;

use klamm_protocol::records::Compression;

use arguments::{Arguments, Workload};
use measure::{Job, Run};
use roster::Roster;
use scene::Scene;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, task)) if first == roster::PEER => peers::run(task),
        _ => compare(&Arguments::parse(words)),
    }
}

fn compare(arguments: &Arguments) {
    let roster = Roster::find(&arguments.clients);
    roster.missing.iter().for_each(|(name, why)| println!("{name}: skipped: {why}"));
    let scene = Scene::start();
    for (workload, codec) in arguments.plan() {
        let filled = workload.reads().then(|| scene.filled(codec, arguments.count));
        let bench = Bench { roster: &roster, scene: &scene, workload, codec, filled };
        if arguments.hold {
            bench.hold(workload.count(arguments.count));
        } else {
            bench.measure(arguments);
        }
    }
}

/// One workload with one codec.
struct Bench<'a> {
    roster: &'a Roster,
    scene: &'a Scene,
    workload: Workload,
    codec: Compression,
    filled: Option<String>,
}

impl Bench<'_> {
    fn measure(&self, arguments: &Arguments) {
        let count = self.workload.count(arguments.count);
        // The broker's own compiler warms up on somebody who isn't measured.
        self.run("klamm", self.workload.broker_warm_up(count));
        let mut rows: Vec<(&str, Vec<Run>)> =
            self.roster.names().map(|name| (name, Vec::new())).collect();
        for round in 0..arguments.rounds {
            // Somebody else begins each time.
            for place in 0..rows.len() {
                let at = (round + place) % rows.len();
                let run = self.run(rows[at].0, count);
                rows[at].1.push(run);
            }
        }
        tables::print(self.workload, self.codec, count, &rows, &self.roster.missing);
    }

    /// One client's turn, on a topic of its own where it writes.
    fn run(&self, name: &str, count: usize) -> Run {
        let run = match &self.filled {
            Some(topic) => self.run_on(topic, name, count),
            None => {
                let own = self.scene.empty();
                let mut run = self.run_on(&own, name, count);
                run.stored = self.scene.check(&own, count + self.workload.warm_up());
                self.scene.delete(&own);
                run
            }
        };
        println!("{name}: {run:?}");
        run
    }

    fn run_on(&self, topic: &str, name: &str, count: usize) -> Run {
        measure::measure(self.roster.command(name), name, &self.job(topic, count))
    }

    fn job<'t>(&'t self, topic: &'t str, count: usize) -> Job<'t> {
        let (verb, codec) = (self.workload.verb(), self.codec.name());
        Job { verb, bootstrap: self.scene.bootstrap(), topic, codec, count }
    }

    fn hold(&self, count: usize) {
        let own = self.filled.is_none().then(|| self.scene.empty());
        let job = self.job(self.filled.as_ref().or(own.as_ref()).unwrap(), count);
        for name in self.roster.names() {
            let command = job.of(self.roster.command(name), name);
            println!("{}={} {command:?}", measure::VALUES, measure::values_file().display());
        }
        stdin().read_line(&mut String::new()).unwrap();
    }
}
