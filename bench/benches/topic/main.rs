//! Reading a topic of five million records on a real broker: Klamm beside librdkafka and krafka. Out: a table of wall time, CPU
//! time and memory, each reader in a process of its own, in rounds that alternate.
//!
//! `cargo bench -p klamm-bench --features topic --bench topic` starts the broker, fills the topic, and measures.
//! With `-- hold` it only starts and fills, says how to run one reader under a profiler, and waits for a line.

#![deny(unsafe_code)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod fill;
mod measure;
mod rdkafka;
mod readers;

use std::io::stdin;

use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::Cluster;

use measure::{Run, measure};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["read", name, bootstrap] => readers::run(name, bootstrap),
        // Cargo adds `--bench` behind what the caller gave.
        ["hold", ..] => hold(),
        _ => compare(),
    }
}

fn compare() {
    let broker = filled_broker();
    // The broker's own compiler warms up on somebody who isn't measured.
    measure("klamm", &broker.bootstrap());
    let mut runs: Vec<(&str, Vec<Run>)> = readers::NAMES.map(|name| (name, Vec::new())).into();
    for _ in 0..ROUNDS {
        for (name, runs) in &mut runs {
            runs.push(measure(name, &broker.bootstrap()));
        }
    }
    print(&runs.iter().map(|(name, runs)| (*name, median(runs))).collect::<Vec<_>>());
}

fn hold() {
    let broker = filled_broker();
    let program = std::env::current_exe().unwrap();
    println!("{} read <{}> {}", program.display(), readers::NAMES.join("|"), broker.bootstrap());
    stdin().read_line(&mut String::new()).unwrap();
}

fn filled_broker() -> Kafka {
    // The testkit's brokers spare the second compiler; one that is measured against doesn't.
    let config = KafkaConfig::version(apache::NEWEST).jvm_argument("-XX:TieredStopAtLevel=4");
    let broker = Kafka::start(config).unwrap();
    fill::fill(&broker.bootstrap());
    broker
}

/// Each number's own median.
fn median(runs: &[Run]) -> Run {
    let middle = |number: fn(&Run) -> f64| {
        let mut numbers: Vec<f64> = runs.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Run {
        wall: middle(|run| run.wall),
        user: middle(|run| run.user),
        system: middle(|run| run.system),
        peak: middle(|run| run.peak),
    }
}

fn print(rows: &[(&str, Run)]) {
    let first = rows[0].1.cpu();
    println!(
        "| {} records, medians of {ROUNDS} | wall s | user s | system s | CPU s | × first | peak RSS MiB |",
        fill::RECORDS
    );
    println!("|:--|--:|--:|--:|--:|--:|--:|");
    for (name, run) in rows {
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |",
            run.wall,
            run.user,
            run.system,
            run.cpu(),
            run.cpu() / first,
            run.peak,
        );
    }
}

const ROUNDS: usize = 3;
