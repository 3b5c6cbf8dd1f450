//! The Rust clients, each with the fastest settings that were found. In: a task; out: a line with what was done, then they wait for
//! the end of their input, so that others can look at what this process took.

mod klamm;
mod krafka;
mod librdkafka;
mod rskafka;

use std::io::stdin;
use std::time::{Duration, Instant};

use klamm_bench::VALUE_LEN;
use klamm_protocol::records::Compression;
use tokio::runtime::{Builder, Runtime};

/// What a client is told.
pub(crate) struct Task {
    bootstrap: String,
    topic: String,
    codec: Compression,
    count: usize,
    values: &'static [u8],
}

/// Does what `VERB NAME BOOTSTRAP TOPIC CODEC COUNT` says.
pub(crate) fn run(words: &[String]) {
    let [verb, name, bootstrap, topic, codec, count] = words else { panic!("no task: {words:?}") };
    let task = Task {
        bootstrap: bootstrap.clone(),
        topic: topic.clone(),
        codec: *CODECS.iter().find(|one| one.name() == codec).unwrap(),
        count: count.parse().unwrap(),
        // Leaked, as clients that share bytes instead of copying them want them for ever.
        values: std::fs::read(std::env::var_os(crate::measure::VALUES).unwrap()).unwrap().leak(),
    };
    match (name.trim_end_matches("-mt"), verb.as_str()) {
        ("klamm", "produce") => runtime(name).block_on(klamm::produce(&task)),
        ("klamm", "consume") => runtime(name).block_on(klamm::consume(&task)),
        ("klamm", "ping") => runtime(name).block_on(klamm::ping(&task)),
        ("klamm", "echo") => runtime(name).block_on(klamm::echo(&task)),
        ("krafka", "produce") => runtime(name).block_on(krafka::produce(&task)),
        ("krafka", "consume") => runtime(name).block_on(krafka::consume(&task)),
        ("krafka", "ping") => runtime(name).block_on(krafka::ping(&task)),
        ("krafka", "echo") => runtime(name).block_on(krafka::echo(&task)),
        ("rskafka", "produce") => runtime(name).block_on(rskafka::produce(&task)),
        ("rskafka", "consume") => runtime(name).block_on(rskafka::consume(&task)),
        ("rskafka", "ping") => runtime(name).block_on(rskafka::ping(&task)),
        ("rskafka", "echo") => runtime(name).block_on(rskafka::echo(&task)),
        ("rdkafka", "produce") => librdkafka::produce(&task),
        ("rdkafka", "consume") => librdkafka::consume(&task),
        ("rdkafka", "ping") => librdkafka::ping(&task),
        ("rdkafka", "echo") => librdkafka::echo(&task),
        _ => panic!("{name} does not {verb}"),
    }
}

impl Task {
    /// The value of a record.
    fn value(&self, number: usize) -> &'static [u8] {
        let at = number % (self.values.len() / VALUE_LEN) * VALUE_LEN;
        &self.values[at..at + VALUE_LEN]
    }
}

/// What was read or written.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    records: usize,
    bytes: usize,
}

impl Seen {
    /// Counts one value.
    fn value(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }

    fn report(self) {
        report(&[self.records, self.bytes, 0, 0]);
    }
}

/// How long single records took.
struct Laps {
    count: usize,
    number: usize,
    took: Vec<Duration>,
}

impl Laps {
    fn new(task: &Task) -> Self {
        Self { count: WARM_UP + task.count, number: 0, took: Vec::with_capacity(task.count) }
    }

    /// The next record's number, until there were enough.
    fn next(&mut self) -> Option<usize> {
        self.number += 1;
        (self.number <= self.count).then_some(self.number)
    }

    /// Counts a record that began then and ends now.
    fn lap(&mut self, start: Instant) {
        if self.number > WARM_UP {
            self.took.push(start.elapsed());
        }
    }

    fn report(mut self) {
        self.took.sort_unstable();
        let nanos = |at: usize| self.took[at].as_nanos() as usize;
        let count = self.took.len();
        report(&[count, 0, nanos(count / 2), nanos(count * 99 / 100)]);
    }
}

fn report(numbers: &[usize; 4]) {
    let [records, bytes, median, p99] = numbers;
    println!("{records} {bytes} {median} {p99}");
    stdin().read_line(&mut String::new()).unwrap();
}

fn runtime(name: &str) -> Runtime {
    let mut builder = if name.ends_with("-mt") {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    builder.enable_all().build().unwrap()
}

/// Records that are written before any is measured.
pub(crate) const WARM_UP: usize = 500;

const CODECS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];
