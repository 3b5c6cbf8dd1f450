//! The Java oracle's classes, compiled once per version of Kafka and state of the sources.
//!
//! In: jars. Out: a class path with the jars and our classes. The sources are part of this crate, so
//! a test binary needs nothing of the source tree to be around.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::java::{Jars, javac, lock, run};
use crate::outside::Error;

/// The class path that holds the oracle and all it needs.
pub(super) fn class_path(jars: &Jars) -> Result<OsString, Error> {
    let mut hasher = DefaultHasher::new();
    SOURCES.hash(&mut hasher);
    let folder = jars.home().join(format!("oracle-{:016x}", hasher.finish()));
    if !folder.exists() {
        let _lock = lock(jars.home())?;
        if !folder.exists() {
            compile(jars, &folder)?;
        }
    }
    let mut class_path = jars.class_path();
    class_path.push(":");
    class_path.push(folder);
    Ok(class_path)
}

/// Compiles into a folder beside the final one: renaming it is what makes it believed.
fn compile(jars: &Jars, folder: &Path) -> Result<(), Error> {
    let doing = || Error::io("compiling the Java oracle");
    let workshop = tempfile::tempdir_in(jars.home()).map_err(doing())?;
    write_sources(jars, workshop.path()).map_err(doing())?;
    let sources = SOURCES.map(|(name, _)| name).into_iter();
    let (fitting, always): (Vec<_>, Vec<_>) = sources.partition(|name| IF_IT_FITS.contains(name));
    let output = run_javac(jars, workshop.path(), &always)?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        return Err(Error::failed("compiling the Java oracle", &printed));
    }
    for name in fitting {
        // Without it a question is answered with an exception that names it.
        run_javac(jars, workshop.path(), &[name])?;
    }
    fs::rename(workshop.path().join("classes"), folder).map_err(doing())
}

fn run_javac(jars: &Jars, workshop: &Path, sources: &[&str]) -> Result<Output, Error> {
    let mut command = Command::new(javac()?);
    command.current_dir(workshop).args(["-nowarn", "-proc:none", "-d", "classes", "-cp"]);
    let mut class_path = jars.class_path();
    class_path.push(":classes");
    command.arg(class_path).args(sources);
    run(&mut command, "compiling the Java oracle", b"", COMPILE_WITHIN)
}

fn write_sources(jars: &Jars, folder: &Path) -> io::Result<()> {
    SOURCES.iter().try_for_each(|(name, text)| {
        let text: String = text.lines().map(|line| relocated(jars, line) + "\n").collect();
        fs::write(folder.join(name), text)
    })
}

/// An import as this version needs it, and any other line as it is: one class after the other moves
/// into a package named `internal` or `internals`, and nothing else about it changes for us.
fn relocated(jars: &Jars, line: &str) -> String {
    let class = line.strip_prefix("import ").and_then(|rest| rest.strip_suffix(';'));
    let Some(class) = class.filter(|class| class.starts_with("org.apache.kafka.")) else {
        return line.to_owned();
    };
    let Some((package, name)) = class.rsplit_once('.') else { return line.to_owned() };
    let package = package.strip_suffix(".internal").unwrap_or(package);
    let moved = ["", ".internal", ".internals"].map(|part| format!("{package}{part}.{name}"));
    let found = jars.first_class(&moved.each_ref().map(String::as_str)).unwrap_or(class);
    format!("import {found};")
}

const SOURCES: [(&str, &str); 9] = [
    ("Answer.java", include_str!("../../java/klamm/Answer.java")),
    ("DrawnPartition.java", include_str!("../../java/klamm/DrawnPartition.java")),
    ("Groups.java", include_str!("../../java/klamm/Groups.java")),
    ("Messages.java", include_str!("../../java/klamm/Messages.java")),
    ("Oracle.java", include_str!("../../java/klamm/Oracle.java")),
    ("Partitions.java", include_str!("../../java/klamm/Partitions.java")),
    ("Question.java", include_str!("../../java/klamm/Question.java")),
    ("RandomBytes.java", include_str!("../../java/klamm/RandomBytes.java")),
    ("RecordSets.java", include_str!("../../java/klamm/RecordSets.java")),
];

/// What uses classes that Kafka changes from one minor version to the next.
const IF_IT_FITS: [&str; 1] = ["DrawnPartition.java"];

const COMPILE_WITHIN: Duration = Duration::from_secs(120);
