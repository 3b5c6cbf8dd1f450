//! Who takes part. In: the names wanted; out: a command for each client that this machine can build, and reasons for the others.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use klamm_testkit::apache::NEWEST;
use klamm_testkit::java::{Jars, java};

/// The clients, ready to be started.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    found: Vec<(&'static str, Start)>,
    /// Who cannot take part, and why.
    pub(crate) missing: Vec<(&'static str, String)>,
}

/// How a client is started.
#[derive(Debug)]
enum Start {
    /// This program itself.
    Here,
    /// A program of its own.
    Program(PathBuf),
    /// A class of a class path.
    Java(PathBuf, OsString),
}

impl Roster {
    /// Builds what has to be built.
    pub(crate) fn find(wanted: &[String]) -> Self {
        for name in wanted {
            assert!(NAMES.contains(&name.as_str()), "{name} is none of {NAMES:?}");
        }
        let mut roster = Self::default();
        for name in NAMES {
            if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
                continue;
            }
            let start = match name {
                "java" => build_java(),
                "franz-go" => build_go(),
                _ => Ok(Start::Here),
            };
            match start {
                Ok(start) => roster.found.push((name, start)),
                Err(why) => roster.missing.push((name, why)),
            }
        }
        roster
    }

    /// Those who take part, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.found.iter().map(|(name, _)| *name)
    }

    /// What starts a client; its job comes behind.
    pub(crate) fn command(&self, name: &str) -> Command {
        match self.found.iter().find(|(found, _)| *found == name) {
            Some((_, Start::Program(path))) => Command::new(path),
            Some((_, Start::Java(java, class_path))) => {
                let mut command = Command::new(java);
                command.args(JVM).arg("-cp").arg(class_path).arg("Peer");
                command
            }
            _ => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.arg(PEER);
                command
            }
        }
    }
}

fn build_java() -> Result<Start, String> {
    let class_path = Jars::of_clients(NEWEST).and_then(|jars| jars.compile("bench", &JAVA, &[]));
    let class_path = class_path.map_err(|error| error.to_string())?;
    Ok(Start::Java(java().map_err(|error| error.to_string())?, class_path))
}

fn build_go() -> Result<Start, String> {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("klamm-peer-go");
    let mut command = Command::new("go");
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/go"));
    let built = command.args(["build", "-o"]).arg(&program).arg(".").output();
    match built {
        Ok(output) if output.status.success() => Ok(Start::Program(program)),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("no go on the PATH ({error})")),
    }
}

/// The word behind which this program is a client and no bench.
pub(crate) const PEER: &str = "peer";

/// Everybody, Klamm first. With `-mt` the same client on tokio's runtime of several threads, without it on that of one.
const NAMES: [&str; 9] = [
    "klamm",
    "klamm-mt",
    "java",
    "rdkafka",
    "krafka",
    "krafka-mt",
    "rskafka",
    "rskafka-mt",
    "franz-go",
];

const JAVA: [(&str, &str); 1] = [("Peer.java", include_str!("../../peers/java/Peer.java"))];

/// The heap of Kafka's own tools, and the collector that costs least here.
const JVM: [&str; 4] = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
];
