//! A query that Spark and Klamm run in turns, on one checkpoint and into one folder of files named after their batches.
//!
//! In: what is written to its topics, and who runs until when. Out: whether each record is in exactly one batch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use klamm_testkit::java::Supervised;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::common::klamm;
use super::scene::{Record, Scene};
use super::topics::create;

/// Who runs the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Spark,
    Klamm,
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// All is read that is there, by the trigger available-now.
    Drained,
    /// All is read that is there, by the trigger once.
    Once,
    /// It is killed while the sink has this batch: planned, perhaps written, not committed.
    KilledIn(i64),
    /// Spark's sink throws, for which it need not be started again; Klamm is killed.
    FailedIn(i64),
    /// It is killed while it waits for more, all batches being committed.
    KilledIdle,
    /// It refuses to go on, as data were lost.
    Loss,
}

/// A place in a log.
type Place = (String, i64, i64);

pub(super) struct Story<'a> {
    pub(super) scene: &'a mut Scene,
    options: Vec<(String, String)>,
    folder: TempDir,
    /// The next offset of each partition.
    ends: BTreeMap<(String, i32), i64>,
    /// What has to come out.
    expected: BTreeSet<Place>,
}

impl<'a> Story<'a> {
    /// A query that nobody has started yet.
    pub(super) fn new(scene: &'a mut Scene, options: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("kafka.bootstrap.servers".to_owned(), scene.bootstrap()),
            ("fetchOffset.retryIntervalMs".to_owned(), "20".to_owned()),
            ("kafkaConsumer.pollTimeoutMs".to_owned(), "1500".to_owned()),
            // A topic that was just made or grown is not seen at once by either.
            ("kafka.metadata.max.age.ms".to_owned(), "100".to_owned()),
        ];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        all.extend(options.iter().map(owned));
        let folder = tempfile::tempdir().expect("a folder");
        Self { scene, options: all, folder, ends: BTreeMap::new(), expected: BTreeSet::new() }
    }

    pub(super) fn topic(&self, name: &str, partitions: i32) {
        create(self.scene, name, partitions, &[]);
    }

    /// Writes `count` records to each of the partitions.
    pub(super) fn write(&mut self, topic: &str, partitions: i32, count: i64) {
        for place in self.append(topic, partitions, count) {
            self.expected.insert(place);
        }
    }

    /// Writes records that nobody is to read.
    pub(super) fn write_unread(&mut self, topic: &str, partitions: i32, count: i64) {
        self.append(topic, partitions, count);
    }

    /// A place that another has filled, which has to come out.
    pub(super) fn expect(&mut self, topic: &str, partition: i64, offsets: std::ops::Range<i64>) {
        self.expected.extend(offsets.map(|offset| (topic.to_owned(), partition, offset)));
    }

    /// What was lost does not have to come out.
    pub(super) fn forget(&mut self, topic: &str, partition: i64, offsets: std::ops::Range<i64>) {
        for offset in offsets {
            self.expected.remove(&(topic.to_owned(), partition, offset));
        }
    }

    pub(super) fn run(&mut self, engine: Engine, until: Until) {
        match engine {
            Engine::Spark => self.spark(until),
            Engine::Klamm => self.klamm(until),
        }
        let (planned, committed) = (self.batches("offsets"), self.batches("commits"));
        let open = match until {
            Until::KilledIn(batch) | Until::FailedIn(batch) => vec![batch],
            _ => Vec::new(),
        };
        let open_now: Vec<_> = planned.difference(&committed).copied().collect();
        assert_eq!(open_now, open, "{engine:?} {until:?}: planned and not committed");
    }

    /// Has somebody go on who must refuse, as data were lost; whether the batch was planned by then is not promised.
    pub(super) fn run_into_loss(&mut self, engine: Engine) {
        match engine {
            Engine::Spark => self.spark(Until::Loss),
            Engine::Klamm => self.klamm(Until::Loss),
        }
    }

    /// Each record is in one batch, batches have no gap, and whoever goes on with nothing new plans nothing.
    #[track_caller]
    pub(super) fn check(&mut self) {
        let planned = self.batches("offsets");
        for engine in [Engine::Spark, Engine::Klamm] {
            self.run(engine, Until::Drained);
            assert_eq!(self.batches("offsets"), planned, "{engine:?} planned a batch of nothing");
        }
        assert!(planned.iter().copied().eq(0..planned.len() as i64), "{planned:?}");
        let mut seen = BTreeSet::new();
        for (batch, places) in self.rows() {
            assert!(planned.contains(&batch), "batch {batch} has rows and was never planned");
            for place in places {
                assert!(
                    seen.insert(place.clone()),
                    "{place:?} came twice, at last in batch {batch}"
                );
            }
        }
        let missing: Vec<_> = self.expected.difference(&seen).collect();
        let other: Vec<_> = seen.difference(&self.expected).collect();
        assert!(
            missing.is_empty() && other.is_empty(),
            "missing {missing:?}, not expected {other:?}"
        );
    }

    /// The places in each batch's file.
    pub(super) fn rows(&self) -> BTreeMap<i64, BTreeSet<Place>> {
        let mut batches = BTreeMap::new();
        for entry in fs::read_dir(self.out()).expect("a folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            let Some(batch) = name.strip_prefix("batch-").and_then(|n| n.strip_suffix(".jsonl"))
            else {
                continue;
            };
            let text = fs::read_to_string(self.out().join(&name)).expect("rows");
            let places: Vec<_> = text.lines().map(place).collect();
            let set: BTreeSet<_> = places.iter().cloned().collect();
            assert_eq!(places.len(), set.len(), "{name} has a record twice");
            batches.insert(batch.parse().expect("a number"), set);
        }
        batches
    }

    fn append(&mut self, topic: &str, partitions: i32, count: i64) -> Vec<Place> {
        let mut records = Vec::new();
        let mut places = Vec::new();
        for partition in 0..partitions {
            let end = self.ends.entry((topic.to_owned(), partition)).or_default();
            for offset in *end..*end + count {
                records.push(Record::text(partition, 1_750_000_000_000, "k", &offset.to_string()));
                places.push((topic.to_owned(), i64::from(partition), offset));
            }
            *end += count;
        }
        self.scene.write(topic, &records);
        places
    }

    fn spark(&mut self, until: Until) {
        let options: Map<String, Value> =
            self.options.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut start = json!({
            "do": "start", "name": "query", "options": options,
            "checkpoint": self.checkpoint(), "out": self.out(), "trigger": "available-now",
        });
        match until {
            Until::Drained | Until::Loss => {}
            Until::Once => start["trigger"] = json!("once"),
            Until::KilledIn(batch) => start["die_at"] = json!(batch),
            Until::FailedIn(batch) => start["fail_at"] = json!(batch),
            Until::KilledIdle => start["trigger"] = json!("50 milliseconds"),
        }
        self.scene.spark(&start).expect("the query starts");
        if until == Until::KilledIdle {
            self.wait_until_idle();
            self.scene.spark(&json!({"do": "die"})).expect("it is told to");
            self.scene.spark_is_gone();
            return;
        }
        let ended = self.scene.spark(&json!({"do": "finish", "name": "query"}));
        match until {
            Until::Drained | Until::Once => assert_eq!(ended, Ok(json!({"ended": true}))),
            Until::Loss => {
                let error = ended.expect_err("data were lost");
                assert!(error.contains("failOnDataLoss") || error.contains("lost"), "{error}");
            }
            _ => assert!(ended.is_err(), "{ended:?}"),
        }
        if matches!(until, Until::KilledIn(_)) {
            self.scene.spark_is_gone();
        }
    }

    fn klamm(&mut self, until: Until) {
        let mut words = vec!["stream".to_owned(), "--progress".to_owned(), "none".to_owned()];
        for (name, value) in &self.options {
            words.extend(["-o".to_owned(), format!("{name}={value}")]);
        }
        words.extend(["--sink".to_owned(), format!("json:{}", self.out().display())]);
        words.extend(["--checkpoint".to_owned(), self.checkpoint().display().to_string()]);
        let trigger = match until {
            Until::KilledIdle => "50ms",
            Until::Once => "once",
            _ => "available-now",
        };
        words.extend(["--trigger".to_owned(), trigger.to_owned()]);
        match until {
            Until::KilledIn(batch) | Until::FailedIn(batch) => self.kill_klamm_in(batch, &words),
            Until::KilledIdle => {
                let mut process = start(&words);
                self.wait_until_idle();
                process.kill().expect("it can be killed");
            }
            _ => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let ran = klamm(&words);
                let wanted = if until == Until::Loss { 3 } else { 0 };
                assert_eq!(ran.status, wanted, "{}", ran.stderr);
            }
        }
    }

    /// The file of that batch is a pipe that nobody reads: the sink hangs in it.
    fn kill_klamm_in(&self, batch: i64, words: &[String]) {
        fs::create_dir_all(self.out()).expect("a folder");
        let pipe = self.out().join(format!("batch-{batch:020}.partial"));
        let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
        assert!(made.success());
        let mut process = start(words);
        let planned = self.checkpoint().join("offsets").join(batch.to_string());
        wait_for("the batch is planned", || planned.exists());
        // Time to run into the pipe, or past it if something were wrong.
        std::thread::sleep(Duration::from_millis(300));
        process.kill().expect("it can be killed");
        fs::remove_file(pipe).expect("the pipe is there");
    }

    /// All records are in files, and all batches are committed.
    fn wait_until_idle(&self) {
        wait_for("all is read and committed", || {
            if !self.out().exists() {
                return false;
            }
            let rows: usize = self.rows().values().map(BTreeSet::len).sum();
            rows == self.expected.len()
                && !self.batches("offsets").is_empty()
                && self.batches("offsets") == self.batches("commits")
        });
    }

    fn batches(&self, log: &str) -> BTreeSet<i64> {
        let Ok(entries) = fs::read_dir(self.checkpoint().join(log)) else { return BTreeSet::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.parse().ok()).collect()
    }

    fn checkpoint(&self) -> PathBuf {
        self.folder.path().join("checkpoint")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }
}

fn place(line: &str) -> Place {
    let row: Value = serde_json::from_str(line).expect("JSON");
    let number = |name: &str| row[name].as_i64().expect("a number");
    (row["topic"].as_str().expect("text").to_owned(), number("partition"), number("offset"))
}

fn start(words: &[String]) -> Supervised {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klamm"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Supervised::spawn(&mut command).expect("it starts")
}

#[track_caller]
fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
