//! One broker: its folder, its process, and whether it answers.
//!
//! In: a properties file. Out: a Java process whose listener has answered an ApiVersions request, and whose further
//! listeners accept connections.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::config::{KafkaConfig, Layout};
use crate::java::{Supervised, Tools};
use crate::outside::Error;

/// A broker of a cluster, running or not.
#[derive(Debug)]
pub(super) struct Node {
    id: usize,
    address: SocketAddr,
    /// Where it listens besides, which it begins to one after the other.
    others: Vec<SocketAddr>,
    cluster_id: String,
    properties: String,
    jvm: Vec<String>,
    folder: PathBuf,
    process: Option<Supervised>,
}

impl Node {
    pub(super) fn new(config: &KafkaConfig, layout: &Layout, id: usize, root: &Path) -> Self {
        let folder = root.join(format!("node-{id}"));
        Self {
            id,
            address: layout.address(id),
            others: layout.other_addresses(id).collect(),
            cluster_id: layout.cluster_id().to_owned(),
            properties: layout.properties(config, id, &folder.join("data")),
            jvm: config.jvm_arguments().to_vec(),
            folder,
            process: None,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the broker printed so far; nothing if it never started.
    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Writes the properties file and lets Kafka prepare the data folder.
    pub(super) fn format(&self, tools: &Tools) -> Result<(), Error> {
        let doing = format!("writing the settings of broker {}", self.id);
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(self.properties_path(), &self.properties))
            .map_err(Error::io(doing))?;
        let settings = self.properties_path();
        let arguments = ["format".as_ref(), "-t".as_ref(), self.cluster_id.as_ref(), "-c".as_ref()];
        let arguments = [arguments.as_slice(), &[settings.as_os_str()]].concat();
        tools.succeed("kafka.tools.StorageTool", &arguments, b"").map(|_| ())
    }

    /// Starts the process, without waiting for its listener.
    pub(super) fn launch(&mut self, tools: &Tools) -> Result<(), Error> {
        let doing = format!("starting broker {}", self.id);
        let log = self.open_log().map_err(Error::io(doing.clone()))?;
        let errors = log.try_clone().map_err(Error::io(doing.clone()))?;
        let mut command = tools.jvm();
        command.args(LOGGING).args(&self.jvm).arg("kafka.Kafka").arg(self.properties_path());
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log).stderr(errors);
        self.process = Some(Supervised::spawn(&mut command).map_err(Error::io(doing))?);
        Ok(())
    }

    /// Waits until the listener answers a request, which it only does once the broker has joined, and the others can
    /// be connected to.
    pub(super) fn wait_until_ready(&mut self) -> Result<(), Error> {
        let what = format!("broker {} at {}", self.id, self.address);
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let process = self.process.as_mut().ok_or_else(|| down(self.id))?;
            if process.try_wait().map_err(Error::io(what.clone()))?.is_some() {
                return Err(Error::failed(what, &self.log()));
            }
            if answers(self.address).and_then(|()| accept(&self.others)).is_ok() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::timed_out(what, START_WITHIN, &self.log()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL; nothing to do for a broker that is down.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        match self.process.take() {
            Some(mut process) => {
                process.kill().map(|_| ()).map_err(Error::io(format!("killing broker {}", self.id)))
            }
            None => Ok(()),
        }
    }

    /// SIGTERM, and a wait until the broker has ended.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        self.signal("TERM")?;
        let what = format!("stopping broker {}", self.id);
        let process = self.process.as_mut().ok_or_else(|| down(self.id))?;
        match process.wait_at_most(STOP_WITHIN).map_err(Error::io(what.clone()))? {
            Some(_) => self.kill(),
            None => Err(Error::timed_out(what, STOP_WITHIN, &self.log())),
        }
    }

    pub(super) fn signal(&mut self, name: &str) -> Result<(), Error> {
        let doing = format!("sending {name} to broker {}", self.id);
        let process = self.process.as_mut().ok_or_else(|| down(self.id))?;
        process.signal(name).map_err(Error::io(doing))
    }

    fn properties_path(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    /// The log of a restarted broker goes on where the last one ended.
    fn open_log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.log_path())
    }
}

fn accept(addresses: &[SocketAddr]) -> io::Result<()> {
    let connect = |address| TcpStream::connect_timeout(address, ANSWER_WITHIN).map(drop);
    addresses.iter().try_for_each(connect)
}

/// Asks for the supported versions. Written by hand, so that a broken codec of ours cannot make a
/// healthy broker look dead.
fn answers(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&API_VERSIONS_REQUEST)?;
    let mut head = [0; 10];
    stream.read_exact(&mut head)?;
    match head {
        // Four bytes of length, our correlation id, no error.
        [_, _, _, _, b'k', b'l', b'a', b'm', 0, 0] => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not an answer to ApiVersions")),
    }
}

fn down(id: usize) -> Error {
    Error::failed(format!("broker {id}"), "it is not running")
}

/// How long a broker may take until it answers.
const START_WITHIN: Duration = Duration::from_secs(90);

/// How long a broker may take to stop in good order.
const STOP_WITHIN: Duration = Duration::from_secs(60);

const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Length, API key 18 in version 0, correlation id `klam`, no client id.
const API_VERSIONS_REQUEST: [u8; 14] =
    [0, 0, 0, 10, 0, 18, 0, 0, b'k', b'l', b'a', b'm', 0xff, 0xff];

/// The broker's own log, to standard error.
const LOGGING: [&str; 4] = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
];
