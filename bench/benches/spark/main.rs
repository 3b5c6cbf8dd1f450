//! Whole queries on one real broker, in one run: Klamm's connector beside real Spark in local mode. Out: a Markdown table a
//! workload, Spark first.
//!
//! `cargo bench -p klamm-bench --no-default-features --features spark --bench spark` measures everything; behind `--`, words choose:
//! `sum --count 1000000`. Klamm's runs are processes of their own, whose start counts; Spark is one session that has run the same
//! query before, and only the query counts. Skipped, with the reason, where Spark can't be installed.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod latency;
#[path = "../clients/measure.rs"]
#[allow(dead_code, reason = "the clients' bench uses the rest")]
mod measure;
mod peer;
#[path = "../clients/scene.rs"]
#[allow(dead_code, reason = "the clients' bench uses the rest")]
mod scene;
mod tables;
mod theirs;

use std::process::Command;

use klamm_protocol::records::Compression;

use measure::{Job, Run};
use scene::Scene;
use theirs::Spark;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.split_first() {
        Some((first, task)) if first == PEER => peer::run(task),
        _ => compare(&words),
    }
}

fn compare(words: &[String]) {
    let number = |name: &str| {
        words.iter().position(|word| word == name).map(|at| words[at + 1].parse().unwrap())
    };
    let chosen: Vec<&str> =
        WORKLOADS.into_iter().filter(|name| words.iter().any(|word| word == name)).collect();
    let does = |name: &str| chosen.is_empty() || chosen.contains(&name);
    let spark = match Spark::start() {
        Ok(spark) => spark,
        Err(error) => return println!("skipped: {error}"),
    };
    let count = number("--count").unwrap_or(5_000_000);
    let mut bench =
        Bench { scene: Scene::start(), spark, count, rounds: number("--rounds").unwrap_or(3) };
    if does("latency") {
        latency::compare(&bench.scene, &mut bench.spark);
    }
    if does("sum") || does("copy") {
        let topic = bench.scene.filled(Compression::Lz4, count);
        if does("sum") {
            bench.sum(&topic);
        }
        if does("copy") {
            bench.copy(&topic);
        }
    }
}

struct Bench {
    scene: Scene,
    spark: Spark,
    count: usize,
    rounds: usize,
}

impl Bench {
    /// Reads all and sums the values' lengths.
    fn sum(&mut self, topic: &str) {
        self.spark.sum(self.scene.bootstrap(), topic, self.count);
        let (mut ours, mut spark) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            spark.push(self.spark.sum(self.scene.bootstrap(), topic, self.count));
            ours.push(self.klamm("sum", topic, ""));
        }
        tables::print("sum", self.count, &[("spark, warmed up", spark), ("klamm", ours)]);
    }

    /// Copies all to another topic.
    fn copy(&mut self, topic: &str) {
        let tenth = self.count / 10;
        let hundred_thousands = 100_000.min(tenth);
        let ways = [
            ("klamm, ten batches, at least once", "at-least-once", tenth),
            ("klamm, batches of 100,000, at least once", "at-least-once", hundred_thousands),
            ("klamm, batches of 100,000, exactly once", "exactly-once", hundred_thousands),
        ];
        let mut rows: Vec<(&str, Vec<Run>)> =
            ways.iter().map(|(name, ..)| (*name, Vec::new())).collect();
        let mut spark = [("spark, one batch", Vec::new()), ("spark, ten batches", Vec::new())];
        for round in 0..=self.rounds {
            for ((_, runs), limit) in spark.iter_mut().zip([None, Some(tenth)]) {
                let to = self.scene.empty();
                let run = self.spark.copy(self.scene.bootstrap(), topic, &to, limit);
                self.scene.check(&to, self.count);
                self.scene.delete(&to);
                // The first round warms up.
                if round > 0 {
                    runs.push(run);
                }
            }
            for ((_, runs), (_, delivery, limit)) in rows.iter_mut().zip(ways) {
                if round > 0 {
                    let to = self.scene.empty();
                    runs.push(self.klamm(delivery, topic, &format!("{to} {limit}")));
                    // What a reader of committed records gets.
                    self.klamm("committed", &to, "");
                    self.scene.delete(&to);
                }
            }
        }
        tables::print("copy", self.count, &[&spark[..], &rows].concat());
    }

    /// A run of Klamm as a process of its own.
    fn klamm(&self, verb: &str, topic: &str, more: &str) -> Run {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(PEER);
        let job =
            Job { verb, bootstrap: self.scene.bootstrap(), topic, codec: more, count: self.count };
        measure::measure(command, "klamm", &job)
    }
}

/// The word that makes a process the measured one.
const PEER: &str = "peer";
const WORKLOADS: [&str; 3] = ["latency", "sum", "copy"];
