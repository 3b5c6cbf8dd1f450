//! What the tests of the command share: running it to its end, and an embedded cluster to run it against.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use klamm_testkit::broker::{Cluster, ClusterConfig};
use klamm_testkit::door::{DoorConfig, EmbeddedCluster};
use tokio::runtime::Runtime;

/// What a run of the command left behind.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The standard output of a run that has to succeed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 0, "{}", self.stderr);
        self.stdout
    }

    /// Checks that the run failed with this status and one line that holds `words`.
    #[track_caller]
    pub(crate) fn refused(&self, status: i32, words: &str) {
        assert_eq!(self.status, status, "{}", self.stderr);
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{}", self.stderr);
        let line = self.stderr.to_lowercase();
        assert!(line.contains(&words.to_lowercase()), "{words:?} is not in: {line}");
    }
}

/// Runs the command without input.
pub(crate) fn klamm(arguments: &[&str]) -> Ran {
    klamm_fed(arguments, b"")
}

/// Runs the command with this input.
pub(crate) fn klamm_fed(arguments: &[&str], input: &[u8]) -> Ran {
    let Output { status, stdout, stderr } = run(arguments, input);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { status: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs the command without input: status, the bytes of stdout, stderr.
pub(crate) fn klamm_bytes(arguments: &[&str]) -> (i32, Vec<u8>, String) {
    let Output { status, stdout, stderr } = run(arguments, b"");
    (status.code().unwrap_or(-1), stdout, String::from_utf8(stderr).expect("UTF-8"))
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_klamm"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feed = std::thread::spawn(move || {
        // A command that refuses its options does not read its input.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    feed.join().expect("the input is fed");
    output
}

/// An embedded cluster with the runtime that it lives in.
pub(crate) struct Embedded {
    pub(crate) server: String,
    cluster: EmbeddedCluster,
    _runtime: Runtime,
}

impl Embedded {
    pub(crate) fn start() -> Self {
        Self::start_as(ClusterConfig::default())
    }

    pub(crate) fn start_as(config: impl Into<DoorConfig>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let cluster = runtime.block_on(EmbeddedCluster::start(config)).expect("starts");
        Self { server: cluster.bootstrap(), cluster, _runtime: runtime }
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Cluster) -> T) -> T {
        self.cluster.with(act)
    }

    pub(crate) fn topic(&self, name: &str, partitions: i32) {
        self.with(|cluster| cluster.create_topic(name, partitions, 1)).expect("a topic");
    }
}
