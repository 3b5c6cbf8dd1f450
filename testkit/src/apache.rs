//! Real Apache Kafka: brokers of any version from 2.8 on, started for a test and ended with it.
//!
//! In: a version, a number of brokers, further properties. Out: a bootstrap list of brokers that
//! answer. KRaft with combined broker and controller, free loopback ports, data in a temporary
//! folder. Calls here block the calling thread: an async test starts its cluster before anything
//! that has to make progress.

mod config;
mod node;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

pub use self::config::KafkaConfig;
use self::config::Layout;
pub(crate) use self::config::free_ports;
use self::node::Node;
use crate::java::{Tools, Watch, is_cached, java, maven};
use crate::outside::{Cluster, Error, in_test, say};

/// A running cluster of real brokers.
///
/// Dropping it kills the brokers and removes their folder. If the dropping thread is panicking, the
/// data goes but logs and settings stay, and their folder is printed. If this process is killed, the
/// brokers are killed too.
#[derive(Debug)]
pub struct Kafka {
    name: String,
    tools: Tools,
    nodes: Vec<Mutex<Node>>,
    bootstrap: String,
    layout: Layout,
    folder: Option<TempDir>,
    sweeper: Watch,
}

impl Kafka {
    /// Starts the brokers and waits until each answers.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where [`available`] would say so; [`Error::Failed`] or [`Error::TimedOut`]
    /// with the end of a broker's log if it ends or stays silent.
    pub fn start(config: KafkaConfig) -> Result<Self, Error> {
        let tools = Tools::for_version(config.version_name())?;
        let mut attempt = 1;
        loop {
            match Self::try_start(&config, &tools) {
                Err(error) if attempt < ATTEMPTS && lost_a_port(&error) => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// Ends a broker at once with SIGKILL, as a crash would.
    ///
    /// # Errors
    ///
    /// If there is no such broker. One that is down already is no error.
    pub fn kill(&self, node: i32) -> Result<(), Error> {
        self.node(node)?.kill()
    }

    /// Ends a broker in good order with SIGTERM, so that it hands its leaderships over first.
    ///
    /// # Errors
    ///
    /// If there is no such broker, it is down, or it has not ended after a minute.
    pub fn stop(&self, node: i32) -> Result<(), Error> {
        self.node(node)?.stop()
    }

    /// Starts a broker that was killed or stopped, on its ports and data, and waits until it answers.
    ///
    /// # Errors
    ///
    /// As [`Kafka::start`].
    pub fn restart(&self, node: i32) -> Result<(), Error> {
        let mut node = self.node(node)?;
        node.kill()?;
        node.launch(&self.tools)?;
        node.wait_until_ready()
    }

    /// Freezes a broker with SIGSTOP: its sockets stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// If there is no such broker or it is down.
    pub fn pause(&self, node: i32) -> Result<(), Error> {
        self.node(node)?.signal("STOP")
    }

    /// Lets a frozen broker go on.
    ///
    /// # Errors
    ///
    /// If there is no such broker or it is down.
    pub fn resume(&self, node: i32) -> Result<(), Error> {
        self.node(node)?.signal("CONT")
    }

    /// The ids of the brokers, which count from 1.
    pub fn node_ids(&self) -> impl Iterator<Item = i32> {
        1..=i32::try_from(self.nodes.len()).unwrap_or(i32::MAX)
    }

    /// One broker's own address.
    ///
    /// # Errors
    ///
    /// If there is no such broker.
    pub fn address(&self, node: i32) -> Result<String, Error> {
        Ok(self.node(node)?.address().to_string())
    }

    /// `host:port` of every broker's listener of this name, as [`KafkaConfig::listener`] added it.
    ///
    /// # Errors
    ///
    /// If there is no such listener.
    pub fn bootstrap_of(&self, listener: &str) -> Result<String, Error> {
        let found = self.layout.bootstrap_of(listener);
        found.ok_or_else(|| Error::failed(format!("finding {listener}"), "no such listener"))
    }

    /// The folder in which a broker keeps its partitions, for `DumpLogSegments` and for damage.
    ///
    /// # Errors
    ///
    /// If there is no such broker.
    pub fn data_folder(&self, node: i32) -> Result<PathBuf, Error> {
        Ok(self.node(node)?.data_folder())
    }

    /// What a broker has logged so far, over all its starts.
    ///
    /// # Errors
    ///
    /// If there is no such broker.
    pub fn log(&self, node: i32) -> Result<String, Error> {
        Ok(self.node(node)?.log())
    }

    /// Kafka's own tools, of the brokers' version.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Runs one of Kafka's tools against this cluster: `--bootstrap-server` and the address are put
    /// before `arguments`. Returns what it printed.
    ///
    /// # Errors
    ///
    /// As [`Tools::succeed`].
    pub fn run_tool(
        &self,
        class: &str,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let bootstrap = ["--bootstrap-server", &self.bootstrap];
        self.tools.succeed(class, &[&bootstrap, arguments].concat(), input)
    }

    fn try_start(config: &KafkaConfig, tools: &Tools) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("klamm-kafka-").tempdir();
        let folder = folder.map_err(Error::io("making a folder for the brokers"))?;
        let sweeper = Watch::removing(folder.path()).map_err(Error::io("starting a shell"))?;
        let layout = Layout::new(config).map_err(Error::io("finding free ports"))?;
        let mut nodes: Vec<Node> =
            layout.node_ids().map(|id| Node::new(config, &layout, id, folder.path())).collect();
        let started = start_all(&mut nodes, tools);
        let kafka = Self {
            name: format!("apache-{}", config.version_name()),
            tools: tools.clone(),
            nodes: nodes.into_iter().map(Mutex::new).collect(),
            bootstrap: layout.bootstrap(),
            layout,
            folder: Some(folder),
            sweeper,
        };
        started.map(|()| kafka)
    }

    fn node(&self, id: i32) -> Result<MutexGuard<'_, Node>, Error> {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        let node = index.and_then(|index| self.nodes.get(index));
        // A test that panicked while it held the broker is no reason to keep it from the others.
        node.map(|node| node.lock().unwrap_or_else(PoisonError::into_inner))
            .ok_or_else(|| Error::failed(format!("finding broker {id}"), "there is no such broker"))
    }

    fn keep_logs(&mut self) {
        for node in &self.nodes {
            let node = node.lock().unwrap_or_else(PoisonError::into_inner);
            // The data may be large; the log says what happened.
            let _ = fs::remove_dir_all(node.data_folder());
        }
        if let Some(folder) = self.folder.take() {
            say(&format!("the brokers' logs are kept in {}", folder.keep().display()));
        }
    }
}

impl Cluster for Kafka {
    fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for node in &self.nodes {
            let mut node = node.lock().unwrap_or_else(PoisonError::into_inner);
            // What cannot be killed now is killed by its watcher.
            let _ = node.kill();
        }
        self.sweeper.stand_down();
        if std::thread::panicking() {
            self.keep_logs();
        }
    }
}

/// Whether this machine can run Apache Kafka.
///
/// # Errors
///
/// [`Error::Missing`] with the reason: no Java 17, or neither Maven nor a filled cache.
pub fn available() -> Result<(), Error> {
    java()?;
    if is_cached(NEWEST) { Ok(()) } else { maven().map(|_| ()) }
}

/// A cluster of a test's own, or `None` after saying that the test is skipped.
///
/// # Panics
///
/// As [`in_test`].
pub fn for_test(version: &str, brokers: usize) -> Option<Kafka> {
    in_test(Kafka::start(KafkaConfig::version(version).brokers(brokers)))
}

/// One broker for all tests of this process, with access rules where its version can, started by
/// the first that asks, or `None` after saying that the test is skipped. Tests share it, so each uses topics with names of its own and leaves
/// the broker running.
///
/// # Panics
///
/// As [`in_test`].
pub fn shared(version: &str) -> Option<Arc<Kafka>> {
    static RUNNING: OnceLock<Mutex<HashMap<String, Arc<Kafka>>>> = OnceLock::new();
    let running = RUNNING.get_or_init(Mutex::default);
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kafka) = running.get(version) {
        return Some(Arc::clone(kafka));
    }
    let config = KafkaConfig::version(version);
    let config = if version == OLDEST { config } else { config.access_rules() };
    let kafka = Arc::new(in_test(Kafka::start(config))?);
    mark_failure(&kafka);
    running.insert(version.to_owned(), Arc::clone(&kafka));
    Some(kafka)
}

/// Nobody drops a shared broker: the process just ends, and the sweeper then removes the folder. So a
/// panic leaves a mark there, which the sweeper heeds, and prints where the log is.
fn mark_failure(kafka: &Kafka) {
    let Some(folder) = kafka.folder.as_ref().map(|folder| folder.path().to_owned()) else { return };
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        if fs::write(folder.join("failed"), b"").is_ok() {
            say(&format!("the shared broker's logs are kept in {}", folder.display()));
        }
    }));
}

fn start_all(nodes: &mut [Node], tools: &Tools) -> Result<(), Error> {
    // Formatting takes a second of Java each, so all do it at once.
    std::thread::scope(|scope| {
        let formatting: Vec<_> =
            nodes.iter().map(|node| scope.spawn(move || node.format(tools))).collect();
        formatting.into_iter().try_for_each(|one| {
            one.join().unwrap_or_else(|_| Err(Error::failed("formatting a broker's folder", "")))
        })
    })?;
    nodes.iter_mut().try_for_each(|node| node.launch(tools))?;
    nodes.iter_mut().try_for_each(Node::wait_until_ready)
}

/// Between the choice of a port and its use somebody else may take it.
fn lost_a_port(error: &Error) -> bool {
    matches!(error, Error::Failed { output, .. }
        if output.contains("Address already in use") || output.contains("Failed to bind"))
}

/// The newest version that these tests know.
pub const NEWEST: &str = "4.3.1";

/// The newest version of the line before, the last that knows the oldest requests.
pub const PREVIOUS: &str = "3.9.2";

/// The oldest version that runs without ZooKeeper.
pub const OLDEST: &str = "2.8.2";

const ATTEMPTS: u32 = 3;
