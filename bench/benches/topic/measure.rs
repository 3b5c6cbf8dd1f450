//! Runs one reader as a process. In: its name; out: what the system says it cost, seen from outside: `/proc` tells while the reader,
//! done, waits for its end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::fill::RECORDS;
use klamm_bench::VALUE_LEN;

/// What one reader took for the whole topic, its start included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Seconds that passed.
    pub(crate) wall: f64,
    /// Seconds of a core in the program.
    pub(crate) user: f64,
    /// Seconds of a core in the kernel on its behalf.
    pub(crate) system: f64,
    /// The most memory it ever held, in MiB.
    pub(crate) peak: f64,
}

impl Run {
    /// Seconds of a core.
    pub(crate) fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Has a reader read the topic, and checks that it did.
pub(crate) fn measure(name: &str, bootstrap: &str) -> Run {
    let start = Instant::now();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["read", name, bootstrap])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let wall = start.elapsed().as_secs_f64();
    assert_eq!(line.trim(), format!("{RECORDS} {}", RECORDS * VALUE_LEN), "{name} read all");
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    // The end of its input lets it go.
    drop(child.stdin.take());
    child.wait().unwrap();
    let run =
        Run { wall, user: ticks(&stat, UTIME), system: ticks(&stat, STIME), peak: peak(&status) };
    println!("{name}: {run:?}");
    run
}

/// A field of `/proc/<pid>/stat`, counted from the end of the program's name, which may hold anything.
fn ticks(stat: &str, field: usize) -> f64 {
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: f64 = fields.split_whitespace().nth(field).unwrap().parse().unwrap();
    ticks / TICKS_PER_SECOND
}

fn peak(status: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

const UTIME: usize = 11;
const STIME: usize = 12;
/// What Linux tells programs on every architecture that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
