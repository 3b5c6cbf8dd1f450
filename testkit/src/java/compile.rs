//! Java programs of ours, compiled once per version of Kafka and state of the sources.
//!
//! In: jars, a name, sources. Out: a class path with the jars and our classes, which lie beside the
//! jars.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use super::find::javac;
use super::jars::{Jars, lock};
use super::process::run;
use crate::outside::Error;

/// A source file: its name, without a folder, and its text.
pub type Source<'a> = (&'a str, &'a str);

impl Jars {
    /// Compiles a program against these jars, unless exactly this one was compiled before. Returns
    /// the class path that holds it and all it needs. `name` becomes part of a folder's name. A source
    /// of `if_it_fits` that does not compile against this version is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] without a JDK; [`Error::Failed`] with what the compiler says.
    pub fn compile(
        &self,
        name: &str,
        sources: &[Source<'_>],
        if_it_fits: &[Source<'_>],
    ) -> Result<OsString, Error> {
        let mut hasher = DefaultHasher::new();
        (sources, if_it_fits).hash(&mut hasher);
        let folder = self.home().join(format!("{name}-{:016x}", hasher.finish()));
        if !folder.exists() {
            let _lock = lock(self.home())?;
            if !folder.exists() {
                compile(self, name, (sources, if_it_fits), &folder)?;
            }
        }
        let mut class_path = self.class_path();
        class_path.push(":");
        class_path.push(folder);
        Ok(class_path)
    }
}

/// Compiles into a folder beside the final one: renaming it is what makes it believed.
fn compile(
    jars: &Jars,
    name: &str,
    (always, if_it_fits): (&[Source<'_>], &[Source<'_>]),
    folder: &Path,
) -> Result<(), Error> {
    let what = format!("compiling the Java program {name}");
    let doing = || Error::io(what.clone());
    let workshop = tempfile::tempdir_in(jars.home()).map_err(doing())?;
    write_sources(jars, always, workshop.path()).map_err(doing())?;
    write_sources(jars, if_it_fits, workshop.path()).map_err(doing())?;
    let output = run_javac(jars, workshop.path(), always, &what)?;
    if !output.status.success() {
        return Err(Error::failed(what, &String::from_utf8_lossy(&output.stderr)));
    }
    for source in if_it_fits {
        // Without it a question is answered with an exception that names it.
        run_javac(jars, workshop.path(), &[*source], &what)?;
    }
    fs::rename(workshop.path().join("classes"), folder).map_err(doing())
}

fn run_javac(
    jars: &Jars,
    workshop: &Path,
    sources: &[Source<'_>],
    what: &str,
) -> Result<Output, Error> {
    let mut command = Command::new(javac()?);
    command.current_dir(workshop).args(["-nowarn", "-proc:none", "-d", "classes", "-cp"]);
    let mut class_path = jars.class_path();
    class_path.push(":classes");
    command.arg(class_path).args(sources.iter().map(|(name, _)| name));
    run(&mut command, what, b"", COMPILE_WITHIN)
}

fn write_sources(jars: &Jars, sources: &[Source<'_>], folder: &Path) -> io::Result<()> {
    sources.iter().try_for_each(|(name, text)| {
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

const COMPILE_WITHIN: Duration = Duration::from_secs(120);
