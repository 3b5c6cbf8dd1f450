//! The query as a process. In: what it reads and writes; out: how it ended, if it did.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use klamm_testkit::java::Supervised;

/// How a job is started: always in the same way, with a checkpoint of its own.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) server: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) checkpoint: PathBuf,
    pub(super) limit: u32,
    pub(super) tasks: u32,
    pub(super) transaction_ms: u32,
}

/// A running job.
pub(super) struct Job {
    process: Supervised,
    said: PathBuf,
}

impl Job {
    pub(super) fn start(plan: &Plan) -> Self {
        let said = plan.checkpoint.with_extension("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_klamm"));
        command.args(["stream", "-b", &plan.server, "-t", &plan.from]);
        command.args(["-o", "startingOffsets=earliest", "-o"]);
        command.arg(format!("maxOffsetsPerTrigger={}", plan.limit));
        command.args(["-O", &format!("topic={}", plan.to)]);
        command.args(["-O", &format!("exactlyOnceTasks={}", plan.tasks)]);
        command.args(["-O", &format!("kafka.transaction.timeout.ms={}", plan.transaction_ms)]);
        command.args(["--delivery", "exactly-once", "--trigger", "available-now"]);
        command.args(["--progress", "none", "--checkpoint"]).arg(&plan.checkpoint);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&said).expect("a file for what it says"));
        Self { process: Supervised::spawn(&mut command).expect("it starts"), said }
    }

    /// Lets it run so long; then how it has ended, or `None` if it has not.
    pub(super) fn run_for(&mut self, time: Duration) -> Option<Ended> {
        let status = self.process.wait_at_most(time).expect("it can be waited for")?;
        let said = std::fs::read_to_string(&self.said).expect("what it said");
        Some(Ended { status: status.code(), said })
    }

    pub(super) fn kill(mut self) {
        self.process.kill().expect("it can be killed");
    }

    /// Sends a signal; `false` if it has ended by itself meanwhile.
    pub(super) fn signal(&mut self, name: &str) -> bool {
        let sent = self.process.signal(name);
        assert!(sent.is_ok() || self.run_for(Duration::ZERO).is_some(), "{sent:?}");
        sent.is_ok()
    }

    /// Runs to the end of the input, whatever is needed for that: a job that failed is started again.
    pub(super) fn finish(plan: &Plan) -> u32 {
        for starts in 1..=20 {
            let mut job = Self::start(plan);
            let ended = job.run_for(Duration::from_secs(120)).expect("it comes to its end");
            if ended.status == Some(0) {
                return starts;
            }
            assert_eq!(ended.status, Some(1), "{}", ended.said);
        }
        panic!("it never came to its end");
    }
}

/// How a job ended by itself.
pub(super) struct Ended {
    pub(super) status: Option<i32>,
    pub(super) said: String,
}

/// Copies a checkpoint to a folder beside it.
pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_folder(&entry.path(), &target),
            // A file that is being written may be renamed meanwhile.
            false => drop(std::fs::copy(entry.path(), target)),
        }
    }
}
