//! Java programs: whether this machine can run them, Kafka's jars, and Kafka's own tools.
//!
//! In: the name of a tool, its arguments and its input. Out: what it printed, within a deadline. The
//! tools work against any bootstrap list, a real cluster's or the embedded broker's, and so judge
//! both with code that is not ours.

mod compile;
mod find;
mod jars;
mod process;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

pub use self::compile::Source;
pub use self::find::java;
pub(crate) use self::find::{jvm, maven};
pub use self::jars::Jars;
pub(crate) use self::jars::is_cached;
pub use self::process::Supervised;
pub(crate) use self::process::{Watch, run};
use crate::outside::Error;

/// Kafka's command-line tools of one version.
#[derive(Clone, Debug)]
pub struct Tools {
    java: PathBuf,
    jars: Jars,
    limit: Duration,
}

impl Tools {
    /// The tools of a version, resolved with Maven if the cache lacks them. A tool may take two
    /// minutes unless [`Tools::within`] says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] without Java, or without Maven and a filled cache.
    pub fn for_version(version: &str) -> Result<Self, Error> {
        let java = java()?;
        Ok(Self { java, jars: Jars::of_broker(version)?, limit: Duration::from_secs(120) })
    }

    /// Sets how long one run of a tool may take before it is killed.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The jars that the tools come from.
    pub fn jars(&self) -> &Jars {
        &self.jars
    }

    /// Runs a tool to its end, with `input` on its standard input.
    ///
    /// `class` is a full class name, or a simple one such as `ConsoleConsumer`, whose package, which
    /// differs from version to version, is then looked up. A bad status is not an error here.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if there is no such class, [`Error::TimedOut`] if it runs for too long.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        class: &str,
        arguments: &[A],
        input: &[u8],
    ) -> Result<Output, Error> {
        let mut command = self.command(class)?;
        run(command.args(arguments), class, input, self.limit)
    }

    /// Like [`Tools::run`], but a bad status is an error too. Returns the standard output.
    ///
    /// # Errors
    ///
    /// As [`Tools::run`], and [`Error::Failed`] with the end of the output after a bad status.
    pub fn succeed<A: AsRef<OsStr>>(
        &self,
        class: &str,
        arguments: &[A],
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let output = self.run(class, arguments, input)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let printed = [output.stdout, output.stderr].concat();
        Err(Error::failed(class, &String::from_utf8_lossy(&printed)))
    }

    /// The command that runs a tool, for callers who want to start it themselves, as a
    /// [`Supervised`] child. Only warnings and errors are logged, to standard error.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if there is no such class.
    pub fn command(&self, class: &str) -> Result<Command, Error> {
        let class = self.find(class)?;
        let mut command = self.jvm();
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg(class);
        Ok(command)
    }

    /// A small Java machine with all jars on its class path, and no class named yet.
    pub(crate) fn jvm(&self) -> Command {
        jvm(&self.java, &self.jars.class_path())
    }

    /// The full name of a class that may be given without its package.
    fn find(&self, class: &str) -> Result<String, Error> {
        if class.contains('.') {
            return Ok(class.to_owned());
        }
        let candidates = PACKAGES.map(|package| format!("{package}.{class}"));
        let found = self.jars.first_class(&candidates.each_ref().map(String::as_str));
        found.map(str::to_owned).ok_or_else(|| {
            let version = self.jars.version();
            Error::failed(format!("finding {class}"), &format!("Kafka {version} has no such tool"))
        })
    }
}

/// Where the tools have lived, newest first.
const PACKAGES: [&str; 4] =
    ["org.apache.kafka.tools.consumer", "org.apache.kafka.tools", "kafka.tools", "kafka.admin"];
