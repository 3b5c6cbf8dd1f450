//! The jars of Apache Kafka, resolved with Maven once per version and machine.
//!
//! In: a version. Out: a folder full of jars. The folder lies in a cache that outlives `cargo clean`;
//! test processes that start side by side wait for the first of them on a file lock; a cache is only
//! believed if its marker, written last, holds exactly the project file that we would resolve now.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::find::maven;
use super::process::run;
use crate::outside::{Error, Service, tail};

/// A folder of jars that belong together.
#[derive(Clone, Debug)]
pub struct Jars {
    version: String,
    home: PathBuf,
}

impl Jars {
    /// Kafka's broker and tools with all they need.
    ///
    /// Takes some twenty seconds and 54 MB the first time, nothing afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where the cache is empty and Maven is absent or cannot reach its
    /// repository; [`Error::Io`] if the cache folder cannot be written.
    pub fn of_broker(version: &str) -> Result<Self, Error> {
        resolve("kafka", version, &["kafka_2.13", "kafka-tools"], &[])
    }

    /// Only the Java client, with its codecs and what its JSON converters need.
    ///
    /// # Errors
    ///
    /// As [`Jars::of_broker`].
    pub fn of_clients(version: &str) -> Result<Self, Error> {
        resolve("kafka-clients", version, &["kafka-clients"], &[JACKSON])
    }

    /// The version asked for.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What to hand to `java -cp`: every jar, in an order that Java chooses.
    pub fn class_path(&self) -> OsString {
        self.libs().join("*").into_os_string()
    }

    /// The folder beside the jars, where what is made from them may be kept.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The first of `candidates`, each the full name of a class, that one of Kafka's own jars holds.
    pub fn first_class<'a>(&self, candidates: &[&'a str]) -> Option<&'a str> {
        let listings: Vec<Vec<u8>> =
            self.own_jars().iter().filter_map(|jar| listing(&fs::read(jar).ok()?)).collect();
        candidates.iter().copied().find(|class| {
            let entry = format!("{}.class", class.replace('.', "/"));
            listings.iter().any(|listing| contains(listing, entry.as_bytes()))
        })
    }

    fn own_jars(&self) -> Vec<PathBuf> {
        let own = [
            format!("kafka-tools-{}.jar", self.version),
            format!("kafka_2.13-{}.jar", self.version),
            format!("kafka-clients-{}.jar", self.version),
        ];
        own.iter().map(|name| self.libs().join(name)).collect()
    }

    fn libs(&self) -> PathBuf {
        self.home.join("libs")
    }
}

/// Whether the broker's jars of a version lie in the cache, so that Maven is not needed.
pub(crate) fn is_cached(version: &str) -> bool {
    let home = cache_root().join("kafka").join(version);
    fs::read_to_string(home.join(MARKER)).is_ok()
}

/// Holds an exclusive lock on a file in a folder until dropped; other processes wait for it.
///
/// # Errors
///
/// [`Error::TimedOut`] if another process holds it for longer than any honest work takes.
pub(crate) fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let doing = format!("locking {}", path.display());
    fs::create_dir_all(folder).map_err(Error::io(doing.clone()))?;
    let file = File::create(&path).map_err(Error::io(doing.clone()))?;
    let deadline = Instant::now() + RESOLVE_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(Error::Io { doing, source }),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(Error::timed_out(doing, RESOLVE_WITHIN, ""));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn resolve(kind: &str, version: &str, artifacts: &[&str], others: &[&str]) -> Result<Jars, Error> {
    if !is_version(version) {
        return Err(Error::failed(format!("resolving Kafka {version:?}"), "not a version"));
    }
    let home = cache_root().join(kind).join(version);
    let pom = project(version, artifacts, others);
    let jars = Jars { version: version.to_owned(), home };
    if is_complete(&jars, &pom) {
        return Ok(jars);
    }
    let _lock = lock(&jars.home)?;
    // Another process may have done the work while this one waited.
    if !is_complete(&jars, &pom) {
        download(&jars, &pom)?;
    }
    Ok(jars)
}

fn is_complete(jars: &Jars, pom: &str) -> bool {
    fs::read_to_string(jars.home.join(MARKER)).is_ok_and(|marker| marker == pom)
}

fn download(jars: &Jars, pom: &str) -> Result<(), Error> {
    let doing = || Error::io(format!("filling the cache {}", jars.home.display()));
    for stale in [jars.home.join(MARKER), jars.home.join("pom.xml")] {
        if stale.exists() {
            fs::remove_file(stale).map_err(doing())?;
        }
    }
    if jars.libs().exists() {
        fs::remove_dir_all(jars.libs()).map_err(doing())?;
    }
    fs::write(jars.home.join("pom.xml"), pom).map_err(doing())?;
    let mut command = Command::new(maven()?);
    command.current_dir(&jars.home).args(["-q", "-B", "dependency:copy-dependencies"]);
    command.arg("-DoutputDirectory=libs");
    let what = format!("resolving Kafka {} with Maven", jars.version);
    let output = run(&mut command, &what, b"", RESOLVE_WITHIN)?;
    if !output.status.success() {
        // Most often there is no network: the machine lacks something, Kafka is not at fault.
        let printed = String::from_utf8_lossy(&output.stdout);
        return Err(Error::missing(Service::Apache, format!("{what} failed: {}", tail(&printed))));
    }
    fs::write(jars.home.join(MARKER), pom).map_err(doing())
}

/// The project file. The bindings that Kafka brings for its own logging differ from version to
/// version, so all are left out and a plain one to standard error stands in.
fn project(version: &str, artifacts: &[&str], others: &[&str]) -> String {
    let kafka = artifacts.iter().map(|artifact| {
        let excluded: String = ["slf4j-log4j12", "slf4j-reload4j"]
            .iter()
            .map(|binding| format!("<exclusion>{}</exclusion>", coordinates("org.slf4j", binding)))
            .collect();
        let kafka = coordinates("org.apache.kafka", artifact);
        format!("{kafka}<version>{version}</version><exclusions>{excluded}</exclusions>")
    });
    let others = others.iter().chain([&SLF4J]).map(|other| (*other).to_owned());
    let dependencies: String = kafka
        .chain(others)
        .map(|dependency| format!("    <dependency>{dependency}</dependency>\n"))
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  \
           <modelVersion>4.0.0</modelVersion>\n  {}<version>1</version>\n  \
           <packaging>pom</packaging>\n  <dependencies>\n{dependencies}  </dependencies>\n\
         </project>\n",
        coordinates("klamm", "jars"),
    )
}

fn coordinates(group: &str, artifact: &str) -> String {
    format!("<groupId>{group}</groupId><artifactId>{artifact}</artifactId>")
}

/// A version ends up in a path and in a project file, so it may hold nothing that means more.
fn is_version(version: &str) -> bool {
    version.starts_with(|first: char| first.is_ascii_digit())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn cache_root() -> PathBuf {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("KLAMM_KAFKA_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("klamm")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/klamm")))
        .unwrap_or_else(|| std::env::temp_dir().join("klamm-cache"))
}

/// The directory at the end of a zip file, in which file names stand as they are.
fn listing(zip: &[u8]) -> Option<Vec<u8>> {
    // The record that ends a zip is 22 bytes long and tells where the directory begins.
    let end = zip.len().checked_sub(22)?;
    let offset = zip.get(end + 16..end + 20)?.try_into().ok()?;
    zip.get(u32::from_le_bytes(offset) as usize..).map(<[u8]>::to_vec)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Written last into a cache folder: the project file that was resolved.
const MARKER: &str = "complete";

const RESOLVE_WITHIN: Duration = Duration::from_secs(600);

/// Every Kafka from 2.8 to 4.3 uses slf4j 1.7.
const SLF4J: &str =
    "<groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>";

const JACKSON: &str = "<groupId>com.fasterxml.jackson.core</groupId>\
    <artifactId>jackson-databind</artifactId><version>2.17.2</version>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_may_become_a_path() {
        assert!(is_version("4.3.1") && is_version("4.0.0-rc1"));
        for bad in ["", "..", "../4.3.1", "4.3.1/..", "4.3.1</version>", "latest"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn a_half_made_cache_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let jars = Jars { version: "1.0".to_owned(), home: folder.path().to_owned() };
        let pom = project("1.0", &["kafka-clients"], &[]);
        fs::create_dir(jars.libs()).unwrap();
        fs::write(folder.path().join("pom.xml"), &pom).unwrap();
        assert!(!is_complete(&jars, &pom), "there are jars, but no marker");
        fs::write(folder.path().join(MARKER), &pom[..pom.len() / 2]).unwrap();
        assert!(!is_complete(&jars, &pom), "the marker was cut short");
        fs::write(folder.path().join(MARKER), &pom).unwrap();
        assert!(is_complete(&jars, &pom));
    }

    #[test]
    fn the_lock_keeps_others_out_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let other = File::open(folder.path().join("lock")).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
    }
}
