//! The query of the demo as a process: started, killed, started again. In: the broker and a folder for the
//! checkpoint; out: what its progress said.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::{SOURCE, TARGET};
use crate::failure::Failure;

/// A copy that can be killed and resumed.
#[derive(Debug)]
pub(super) struct Copy {
    server: String,
    checkpoint: PathBuf,
    batch_rows: u64,
}

/// What a run told before it ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) batches: u64,
    pub(super) elapsed: Duration,
}

/// The part of a progress line that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    num_input_rows: u64,
}

impl Copy {
    pub(super) fn new(server: &str, folder: &Path, records: u64) -> Self {
        let batch_rows = (records / BATCHES).max(1);
        Self { server: server.to_owned(), checkpoint: folder.join("checkpoint"), batch_rows }
    }

    /// Runs the query until some batches are committed, waits for the next to be on its way, and kills it. How many
    /// were committed.
    pub(super) async fn run_and_kill(&self) -> Result<u64, Failure> {
        let (mut child, mut lines) = self.start()?;
        let mut committed = 0;
        while committed < KILL_AFTER {
            match next(&mut lines).await? {
                Some(_) => committed += 1,
                None => break,
            }
        }
        // A moment into the next batch, so that there is something to repeat.
        tokio::time::sleep(Duration::from_millis(20)).await;
        child.kill().await?;
        Ok(committed)
    }

    /// Runs the query to its end; what it told, and how many rows it copied.
    pub(super) async fn resume(&self) -> Result<(Run, u64), Failure> {
        let started = Instant::now();
        let (mut child, mut lines) = self.start()?;
        let (mut batches, mut rows) = (0, 0);
        while let Some(line) = next(&mut lines).await? {
            batches += 1;
            rows += line.num_input_rows;
        }
        let status = child.wait().await?;
        if !status.success() {
            return Err(Failure::failed(format!("the resumed query ended with {status}")));
        }
        Ok((Run { batches, elapsed: started.elapsed() }, rows))
    }

    fn start(&self) -> Result<(Child, Lines<BufReader<ChildStderr>>), Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["stream", "-b", &self.server, "--trigger", "available-now"])
            .args(["--delivery", "exactly-once", "--progress", "json", "--checkpoint"])
            .arg(&self.checkpoint)
            .args(["-o", &format!("subscribe={SOURCE}"), "-o", "startingOffsets=earliest"])
            .args(["-o", &format!("maxOffsetsPerTrigger={}", self.batch_rows)])
            .args(["-O", &format!("topic={TARGET}"), "-O", "kafka.batch.size=131072"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().ok_or_else(|| Failure::failed("no pipe"))?;
        Ok((child, BufReader::new(stderr).lines()))
    }
}

/// The next line of progress; anything else the query says is its reason to fail.
async fn next(lines: &mut Lines<BufReader<ChildStderr>>) -> Result<Option<Line>, Failure> {
    let Some(text) = lines.next_line().await? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(line) => Ok(Some(line)),
        Err(_) => Err(Failure::failed(format!("the query said: {text}"))),
    }
}

/// Into how many batches the copy is cut.
const BATCHES: u64 = 10;

/// After how many committed batches the query is killed.
const KILL_AFTER: u64 = 3;
