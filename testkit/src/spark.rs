//! Real Spark with its Kafka connector: one session kept alive, which does what it is told.
//!
//! In: requests as JSON, one a line; `testkit/spark/driver.py` says which there are. Out: what Spark answers, as JSON,
//! within a deadline. `testkit/spark/install` puts it into the testkit's cache the first time, which takes half a minute
//! to some minutes and a gigabyte; where that can't be done, tests skip.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::java::{Supervised, java, run};
use crate::outside::{Error, Service, in_test};

/// A running Spark in local mode. It ends when this is dropped, or with this process.
#[derive(Debug)]
pub struct Spark {
    process: Supervised,
    requests: ChildStdin,
    answers: Receiver<String>,
    limit: Duration,
}

impl Spark {
    /// Starts a session on so many threads, and waits until it answers: some ten seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where Spark is not installed and can't be.
    pub fn start(threads: usize) -> Result<Self, Error> {
        java().map_err(|error| Error::missing(Service::Spark, error.to_string()))?;
        let home = installed()?;
        let mut command = Command::new(home.join("venv/bin/python"));
        command.args(["-c", DRIVER]).arg(home.join("jars")).arg(threads.to_string());
        command.env("SPARK_LOCAL_IP", "127.0.0.1").env_remove("SPARK_HOME");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors_to());
        let mut process = Supervised::spawn(&mut command).map_err(Error::io("starting Spark"))?;
        let (stdin, stdout) = (process.child().stdin.take(), process.child().stdout.take());
        let (Some(requests), Some(stdout)) = (stdin, stdout) else {
            return Err(Error::failed("starting Spark", "it has no pipes"));
        };
        let mut spark = Self { process, requests, answers: lines(stdout), limit: START_WITHIN };
        spark.ask("{\"do\": \"hello\"}")?;
        spark.limit = ANSWER_WITHIN;
        Ok(spark)
    }

    /// Sets how long one request may take; two minutes by default.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Sends one request and waits for its answer. That Spark refuses or fails is an answer, too.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if there is none in time; [`Error::Failed`] if the session has ended.
    pub fn ask(&mut self, request: &str) -> Result<String, Error> {
        let line = request.replace('\n', " ") + "\n";
        self.requests.write_all(line.as_bytes()).map_err(Error::io("asking Spark"))?;
        self.answers.recv_timeout(self.limit).map_err(|_| {
            match self.process.try_wait() {
                Ok(Some(_)) => Error::failed(request, "Spark has ended"),
                // A late answer would be taken for the next one, so there will be none.
                _ => match self.process.kill() {
                    Ok(_) => Error::timed_out(request, self.limit, ""),
                    Err(error) => Error::io("ending Spark")(error),
                },
            }
        })
    }
}

/// A session for a test, or `None` after saying that the test is skipped.
///
/// # Panics
///
/// As [`in_test`].
pub fn for_test() -> Option<Spark> {
    in_test(Spark::start(2))
}

/// Runs the install script, which is quick where all is there.
fn installed() -> Result<PathBuf, Error> {
    let mut command = Command::new("bash");
    command.args(["-c", INSTALL, "install"]);
    let output = run(&mut command, "installing Spark", b"", INSTALL_WITHIN)?;
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    match printed.lines().last() {
        Some(home) if output.status.success() => Ok(Path::new(home).to_owned()),
        _ => Err(Error::missing(Service::Spark, said.lines().last().unwrap_or("no reason"))),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Spark is talkative about what tests do to it on purpose.
fn errors_to() -> Stdio {
    if std::env::var_os("KLAMM_SPARK_LOG").is_some() { Stdio::inherit() } else { Stdio::null() }
}

/// Reads lines on a thread of its own, so that waiting for one can have an end.
fn lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

const INSTALL: &str = include_str!("../spark/install");
const DRIVER: &str = include_str!("../spark/driver.py");

const INSTALL_WITHIN: Duration = Duration::from_secs(900);
const START_WITHIN: Duration = Duration::from_secs(120);
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
