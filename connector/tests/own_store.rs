//! A service that keeps its offsets beside its results: killed at every step and started again, each record counts
//! exactly once. The worker is this test binary itself, started anew; it runs the job of the example
//! `totals_in_sqlite`.

mod common;
#[path = "../examples/totals_in_sqlite/job.rs"]
mod job;
#[path = "../examples/totals_in_sqlite/store.rs"]
mod store;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{World, refs};
use klamm_connector::offsets::TopicPartition;
use klamm_connector::offsets::range::OffsetRange;
use store::Store;

/// Where a worker stops and waits for its end.
const STEPS: [&str; 4] = ["given", "staged", "stored", "completed"];
const SERVER: &str = "KLAMM_TEST_OWN_STORE_SERVER";
const FILE: &str = "KLAMM_TEST_OWN_STORE_FILE";
const STOP: &str = "KLAMM_TEST_OWN_STORE_STOP";
const REACHED: &str = "worker reached ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_and_offsets_in_one_transaction_count_each_record_once_whenever_the_process_dies() {
    if !installed() {
        return;
    }
    let world = World::new(&[("t", 2)]).await;
    for partition in 0..2 {
        for n in 0..10 {
            let values: Vec<String> = (n..n + 10).map(|n| n.to_string()).collect();
            world.append("t", partition, 1, &refs(&values));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("totals.db");
    let server = world.cluster.bootstrap();
    let mut last = 0;
    for round in 0..3 {
        for step in STEPS {
            kill_at(step, &server, &file);
            let stored = sum(&Store::open(&file).unwrap());
            assert!(stored >= last, "round {round}, {step}: nothing that was stored is lost");
            last = stored;
        }
    }
    let mut worker = start("", &server, &file);
    assert!(worker.wait().unwrap().success());
    let store = Store::open(&file).unwrap();
    assert_eq!(sum(&store), 200);
    let ends: Vec<_> = store.positions().unwrap().into_values().collect();
    assert_eq!(ends, [100, 100]);
    // Keys are k0 to k18, each with its number as the amount.
    for row in store.totals().unwrap().lines() {
        let fields: Vec<&str> = row.split('|').collect();
        let key: i64 = fields[0].trim_start_matches('k').parse().unwrap();
        let records = 2 * (10 - (key - 9).abs());
        assert_eq!((fields[1], fields[2]), (&*(key * records).to_string(), &*records.to_string()));
    }
}

#[tokio::test]
async fn a_transaction_from_another_position_stores_nothing() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("totals.db")).unwrap();
    let range = |from, until| OffsetRange::new(TopicPartition::new("it's", 0), from, until);
    let store_one = |from, until| {
        let mut transaction = store.begin().unwrap();
        transaction.add(b"k'); DROP TABLE totals; --", 5).unwrap();
        transaction.advance(&range(from, until)).unwrap();
        transaction.commit()
    };
    store_one(0, 3).unwrap();
    assert!(store_one(0, 3).is_err(), "again");
    assert!(store_one(4, 5).is_err(), "with something left out");
    store_one(3, 5).unwrap();
    drop(store.begin().unwrap());
    assert_eq!(sum(&store), 2);
    assert_eq!(store.positions().unwrap()[&TopicPartition::new("it's", 0)], 5);
}

/// Not a test of its own: what the processes run that the test above starts. Without its variables it does nothing.
#[tokio::test]
async fn worker() {
    let variables = [SERVER, FILE, STOP].map(|name| std::env::var(name).ok());
    let [Some(server), Some(file), Some(stop)] = variables else { return };
    let store = Store::open(file).unwrap();
    let mut stream = job::open(&server, "t", 7, &store).await.unwrap();
    loop {
        let batch = stream.compute().await.unwrap();
        if batch.info().records == 0 {
            return;
        }
        pause(&stop, "given");
        let transaction = job::stage(&batch, &store).await.unwrap();
        pause(&stop, "staged");
        transaction.commit().unwrap();
        pause(&stop, "stored");
        stream.complete(batch);
        pause(&stop, "completed");
    }
}

/// At the step that was asked for: says so, and waits to be killed.
fn pause(stop: &str, here: &str) {
    if stop == here {
        say(&format!("{REACHED}{here}"));
        loop {
            std::thread::park();
        }
    }
}

fn start(stop: &str, server: &str, file: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker", "--nocapture"]);
    command.env(SERVER, server).env(FILE, file).env(STOP, stop);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts a worker, lets it come to this step, and kills it there.
fn kill_at(step: &str, server: &str, file: &Path) {
    let mut worker = start(step, server, file);
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let reached =
        lines.by_ref().map_while(Result::ok).any(|line| line == format!("{REACHED}{step}"));
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert!(reached, "a worker ended before {step}");
}

/// How many records were counted.
fn sum(store: &Store) -> i64 {
    let totals = store.totals().unwrap();
    totals.lines().map(|row| row.rsplit('|').next().unwrap().parse::<i64>().unwrap()).sum()
}

/// Past the harness's capture.
fn say(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

fn installed() -> bool {
    let found = Command::new("sqlite3").arg("--version").output().is_ok();
    let required = std::env::var("KLAMM_REQUIRE").unwrap_or_default();
    assert!(found || !required.split(',').any(|one| one.trim() == "sqlite"), "sqlite3 is missing");
    if !found {
        say("skipped: own_store (sqlite3 is not installed)");
    }
    found
}
