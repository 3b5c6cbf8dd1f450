//! Where this machine keeps `java`, `javac` and `mvn`.
//!
//! In: the environment. Out: programs, or a reason why there are none that fit.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::run;
use crate::outside::{Error, Service};

/// A Java machine for short and small work.
pub(crate) fn jvm(java: &Path, class_path: &OsStr) -> Command {
    let mut command = Command::new(java);
    command.args(SMALL).arg("-cp").arg(class_path);
    command
}

/// The `java` program of this machine, 17 or later.
///
/// # Errors
///
/// [`Error::Missing`] with what was looked for.
pub fn java() -> Result<PathBuf, Error> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let java = program("java").ok_or("no java in JAVA_HOME or on the PATH")?;
        match major_version(&java) {
            Some(major) if major >= OLDEST_JAVA => Ok(java),
            Some(major) => Err(format!("Java {major} is too old, Kafka needs {OLDEST_JAVA}")),
            None => Err(format!("{} does not tell its version", java.display())),
        }
    });
    found.clone().map_err(|reason| Error::missing(Service::Apache, reason))
}

/// The Java compiler that belongs to [`java`].
///
/// # Errors
///
/// [`Error::Missing`] where only a runtime is installed.
pub(crate) fn javac() -> Result<PathBuf, Error> {
    let reason = "no javac in JAVA_HOME or on the PATH (a JRE is installed, a JDK is needed)";
    program("javac").ok_or_else(|| Error::missing(Service::Apache, reason))
}

/// The `mvn` program.
///
/// # Errors
///
/// [`Error::Missing`] where it is not installed.
pub(crate) fn maven() -> Result<PathBuf, Error> {
    let reason = "no mvn on the PATH, and Kafka's jars are not cached";
    program("mvn").ok_or_else(|| Error::missing(Service::Apache, reason))
}

fn program(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = home.into_iter().chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// 17 from a first line like `openjdk version "17.0.15" 2025-04-15`.
fn major_version(java: &Path) -> Option<u32> {
    let limit = Duration::from_secs(30);
    let output = run(Command::new(java).arg("-version"), "java -version", b"", limit).ok()?;
    parse_major(&String::from_utf8_lossy(&output.stderr))
}

fn parse_major(printed: &str) -> Option<u32> {
    let (_, rest) = printed.split_once("version \"")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Kafka 4 brokers and tools need it.
const OLDEST_JAVA: u32 = 17;

/// Start quickly, stay small, and leave no file in the system's temporary folder.
const SMALL: [&str; 5] =
    ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_java_prints() {
        assert_eq!(parse_major("openjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(parse_major("openjdk version \"21\" 2023-09-19\n"), Some(21));
        assert_eq!(parse_major("java version \"1.8.0_292\"\n"), Some(1));
        assert_eq!(parse_major("command not found"), None);
    }
}
