//! Runs one client as a process. In: its command and a job; out: what it says, and what the system says it cost, seen from outside:
//! `/proc` tells while the client, done, waits for its end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use klamm_bench::{VALUE_LEN, values};

/// What a client has to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) verb: &'a str,
    pub(crate) bootstrap: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) codec: &'a str,
    pub(crate) count: usize,
}

/// What a client took for its job, its start included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Seconds that passed.
    pub(crate) wall: f64,
    /// Seconds of a core in the program.
    pub(crate) user: f64,
    /// Seconds of a core in the kernel on its behalf.
    pub(crate) system: f64,
    /// The most memory it ever held, in MiB.
    pub(crate) peak: f64,
    /// The median of single records, in µs; 0 where none were measured.
    pub(crate) median: f64,
    /// What all but a hundredth of the single records stay below, in µs.
    pub(crate) p99: f64,
    /// The bytes of the broker's log for each record written; 0 for readers.
    pub(crate) stored: f64,
}

impl Run {
    /// Seconds of a core.
    pub(crate) fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

impl Job<'_> {
    /// The command with the job behind it.
    pub(crate) fn of(&self, mut command: Command, name: &str) -> Command {
        command.args([self.verb, name, self.bootstrap, self.topic, self.codec]);
        command.arg(self.count.to_string()).env(VALUES, values_file());
        command
    }
}

/// Has a client do its job, and checks that it did.
pub(crate) fn measure(command: Command, name: &str, job: &Job<'_>) -> Run {
    let mut command = job.of(command, name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let wall = start.elapsed().as_secs_f64();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    // The end of its input lets it go.
    drop(child.stdin.take());
    child.wait().unwrap();
    let words: Vec<usize> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [records, bytes, median, p99] = words[..] else { panic!("{name} says {line:?}") };
    assert!(records >= job.count, "{name} is done too early: {line}");
    assert!(bytes == 0 || bytes == records * VALUE_LEN, "{name} saw other records: {line}");
    Run {
        wall,
        user: ticks(&stat, UTIME),
        system: ticks(&stat, STIME),
        peak: peak(&status),
        median: median as f64 / 1e3,
        p99: p99 as f64 / 1e3,
        stored: 0.0,
    }
}

/// The file with the values that everybody writes, one behind the other.
pub(crate) fn values_file() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("values-{DISTINCT}"));
    if !path.exists() {
        fs::write(&path, values(DISTINCT).concat()).unwrap();
    }
    path
}

/// A field of `/proc/<pid>/stat`, counted from the end of the program's name, which may hold anything.
pub(crate) fn ticks(stat: &str, field: usize) -> f64 {
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: f64 = fields.split_whitespace().nth(field).unwrap().parse().unwrap();
    ticks / TICKS_PER_SECOND
}

/// The most memory that a process ever held, in MiB, from its `status`.
pub(crate) fn peak(status: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// The variable that names the file with the values.
pub(crate) const VALUES: &str = "KLAMM_BENCH_VALUES";
/// Different values, which come again and again: more than any batch of a megabyte holds, also of those who take every fourth.
const DISTINCT: usize = 16_001;
/// Where `stat` has the ticks in the program.
pub(crate) const UTIME: usize = 11;
/// Where `stat` has the ticks in the kernel.
pub(crate) const STIME: usize = 12;
/// What Linux tells programs on every architecture that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
