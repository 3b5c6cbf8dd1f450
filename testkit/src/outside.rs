//! What tests need of the machine they run on: Java, Maven, Docker, and the clusters made of them.
//!
//! In: the outcome of starting something that may be missing here. Out: the thing itself, or a line
//! that says why its tests were skipped. A test that never ran must not look like one that passed,
//! so the line goes to the real standard error, past the test harness's capture, and a service named
//! in `KLAMM_REQUIRE` may not be missing at all.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// A cluster that speaks Kafka's protocol, whoever runs it: what a conformance suite is written for.
pub trait Cluster: Send + Sync {
    /// The bootstrap list, `host:port` separated by commas.
    fn bootstrap(&self) -> String;

    /// A short name for messages, such as `apache-4.3.1`.
    fn name(&self) -> &str;
}

/// Something that tests can use where the machine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// Real Apache Kafka and everything else that runs on Java.
    Apache,
    /// A Redpanda container.
    Redpanda,
    /// Real Spark with its Kafka connector.
    Spark,
    /// MIT's KDC.
    Kerberos,
}

impl Service {
    /// The name by which `KLAMM_REQUIRE` asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::Redpanda => "redpanda",
            Self::Spark => "spark",
            Self::Kerberos => "kerberos",
        }
    }

    /// Whether `KLAMM_REQUIRE`, a list separated by commas, names this service.
    pub fn is_required(self) -> bool {
        std::env::var(REQUIRE).is_ok_and(|list| named_in(&list, self.name()))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something outside this process could not be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The machine lacks it: tests skip, unless `KLAMM_REQUIRE` says otherwise.
    Missing {
        /// What the tests wanted.
        service: Service,
        /// What the machine lacks, and what would mend it.
        reason: String,
    },
    /// It is there, but what was asked of it failed.
    Failed {
        /// What was asked.
        what: String,
        /// The end of what it printed.
        output: String,
    },
    /// It did not answer in time.
    TimedOut {
        /// What was asked.
        what: String,
        /// How long was waited.
        after: Duration,
        /// The end of what it printed until then.
        output: String,
    },
    /// A file, a pipe or a socket on the way to it failed.
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's error.
        source: io::Error,
    },
}

impl Error {
    /// The machine lacks `service`, for `reason`.
    pub(crate) fn missing(service: Service, reason: impl Into<String>) -> Self {
        Self::Missing { service, reason: reason.into() }
    }

    /// `what` failed after printing `output`, of which the end is kept.
    pub(crate) fn failed(what: impl Into<String>, output: &str) -> Self {
        Self::Failed { what: what.into(), output: tail(output) }
    }

    /// `what` gave no answer within `after`; `output` is what it had printed.
    pub(crate) fn timed_out(what: impl Into<String>, after: Duration, output: &str) -> Self {
        Self::TimedOut { what: what.into(), after, output: tail(output) }
    }

    /// Names what was being done, for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { service, reason } => write!(f, "no {service} here: {reason}"),
            Self::Failed { what, output } => write!(f, "{what} failed; it printed:\n{output}"),
            Self::TimedOut { what, after, output } => {
                write!(f, "{what} gave no answer within {after:?}; it printed:\n{output}")
            }
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// For a test's first line: the started thing, or `None` after saying on standard error that the
/// test is skipped and why.
///
/// # Panics
///
/// If starting failed for any reason but that the machine lacks the service, and also for that
/// reason where `KLAMM_REQUIRE` names the service: a test then has to fail.
pub fn in_test<T>(outcome: Result<T, Error>) -> Option<T> {
    match outcome {
        Ok(started) => Some(started),
        Err(Error::Missing { service, reason }) if !service.is_required() => {
            say(&format!("skipped: {} (no {service} here: {reason})", this_test()));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Prints a line where the test harness does not capture it.
pub(crate) fn say(line: &str) {
    // One write, so that lines of tests running side by side do not mix. Nothing to do if it fails.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The end of a log: enough to see a cause, little enough to read.
pub(crate) fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..].join("\n")
}

/// The running test: the harness names each test's thread after it.
fn this_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn named_in(list: &str, name: &str) -> bool {
    list.split(',').any(|entry| entry.trim().eq_ignore_ascii_case(name))
}

/// The environment variable that turns skipping into failing.
const REQUIRE: &str = "KLAMM_REQUIRE";

const TAIL_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_service_is_found_anywhere_in_the_list() {
        assert!(named_in("apache", "apache"));
        assert!(named_in("redpanda, Apache", "apache"));
        assert!(!named_in("", "apache"));
        assert!(!named_in("apache2", "apache"));
    }

    #[test]
    fn what_is_missing_skips_and_what_is_there_is_handed_on() {
        assert_eq!(in_test(Ok(7)), Some(7));
        if !Service::Redpanda.is_required() {
            let lacking = Error::missing(Service::Redpanda, "this test pretends so");
            assert_eq!(in_test::<()>(Err(lacking)), None);
        }
    }

    #[test]
    #[should_panic(expected = "no free port")]
    fn what_is_there_but_fails_is_no_reason_to_skip() {
        in_test::<()>(Err(Error::failed("starting", "no free port")));
    }

    #[test]
    fn a_long_log_is_cut_to_its_end() {
        let log: String = (0..1_000).map(|line| format!("line {line}\n")).collect();
        let end = tail(&log);
        assert!(end.ends_with("line 999"));
        assert_eq!(end.lines().count(), TAIL_LINES);
    }
}
