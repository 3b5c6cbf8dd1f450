//! What a cluster is asked to be, and the properties file that makes each broker so.
//!
//! In: version, number of brokers, properties of the caller's. Out: free ports and one file per
//! broker.

use std::collections::HashSet;
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

/// What to start.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    version: String,
    brokers: usize,
    properties: Vec<(String, String)>,
    jvm: Vec<String>,
}

impl KafkaConfig {
    /// One broker of a version such as `4.3.1`.
    pub fn version(version: impl Into<String>) -> Self {
        Self { version: version.into(), brokers: 1, properties: Vec::new(), jvm: Vec::new() }
    }

    /// Sets the number of brokers, 1 to 3 in practice; every one of them is a controller too.
    #[must_use]
    pub fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers.max(1);
        self
    }

    /// Sets a broker property, over anything that is set here by default.
    #[must_use]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((key.into(), value.into()));
        self
    }

    /// Has the brokers keep and enforce access rules (versions from 3.2 on). Who has not logged in
    /// may do everything, and so may everybody where no rule says otherwise.
    #[must_use]
    pub fn access_rules(self) -> Self {
        let class = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
        self.property("authorizer.class.name", class)
            .property("super.users", "User:ANONYMOUS")
            .property("allow.everyone.if.no.acl.found", "true")
    }

    /// Adds an argument for the Java machine, over the defaults: a heap of at most 384 MB, and only
    /// the first compiler. For measurements add `-XX:TieredStopAtLevel=4`.
    #[must_use]
    pub fn jvm_argument(mut self, argument: impl Into<String>) -> Self {
        self.jvm.push(argument.into());
        self
    }

    pub(super) fn version_name(&self) -> &str {
        &self.version
    }

    pub(super) fn jvm_arguments(&self) -> &[String] {
        &self.jvm
    }
}

/// Where the brokers of one cluster listen, and what they are called.
#[derive(Debug)]
pub(super) struct Layout {
    cluster_id: String,
    /// For each broker the port for clients and the port for controllers.
    ports: Vec<(u16, u16)>,
}

impl Layout {
    /// Finds free ports.
    pub(super) fn new(config: &KafkaConfig) -> io::Result<Self> {
        let ports = free_ports(config.brokers * 2)?;
        let pairs = ports.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        Ok(Self { cluster_id: cluster_id(), ports: pairs.collect() })
    }

    pub(super) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    pub(super) fn node_ids(&self) -> impl Iterator<Item = usize> {
        1..=self.ports.len()
    }

    /// Where a broker listens for clients.
    pub(super) fn address(&self, id: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[id - 1].0).into()
    }

    pub(super) fn bootstrap(&self) -> String {
        let addresses: Vec<String> =
            self.node_ids().map(|id| self.address(id).to_string()).collect();
        addresses.join(",")
    }

    /// One broker's properties file.
    pub(super) fn properties(&self, config: &KafkaConfig, id: usize, data: &Path) -> String {
        let client = self.address(id);
        let controller = self.ports[id - 1].1;
        let replicas = self.ports.len().min(3);
        let in_sync = replicas.min(2).to_string();
        let replicas = replicas.to_string();
        let own = [
            ("node.id", id.to_string()),
            ("controller.quorum.voters", self.voters()),
            ("listeners", format!("PLAINTEXT://{client},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", format!("PLAINTEXT://{client}")),
            ("log.dirs", data.display().to_string()),
            ("offsets.topic.replication.factor", replicas.clone()),
            ("transaction.state.log.replication.factor", replicas.clone()),
            ("transaction.state.log.min.isr", in_sync.clone()),
            ("share.coordinator.state.topic.replication.factor", replicas),
            ("share.coordinator.state.topic.min.isr", in_sync),
        ];
        let mut file = COMMON.to_owned();
        let asked = config.properties.iter().map(|(key, value)| (key.as_str(), value));
        for (key, value) in own.iter().map(|(key, value)| (*key, value)).chain(asked) {
            // Java takes the last of several, so what the caller asked for wins. A backslash would
            // begin an escape.
            let _ = writeln!(file, "{key}={}", value.replace('\\', "\\\\"));
        }
        file
    }

    fn voters(&self) -> String {
        let voters =
            self.ports.iter().zip(1..).map(|((_, port), id)| format!("{id}@127.0.0.1:{port}"));
        voters.collect::<Vec<_>>().join(",")
    }
}

/// Ports that were free a moment ago, all different.
///
/// They lie below the range from which systems hand out ports to outgoing connections. In that range
/// a broker that is down could lose its port to any connection of any process, and a client that
/// tries to reach it could even connect to itself.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let mut found = HashSet::new();
    for _ in 0..PORT_TRIES {
        if found.len() == count {
            break;
        }
        let port = fastrand::u16(PORTS);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            found.insert(port);
        }
    }
    if found.len() < count {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "too few loopback ports are free"));
    }
    Ok(found.into_iter().collect())
}

/// 16 random bytes in the alphabet that Kafka uses, which no class of tools mistakes for an option.
fn cluster_id() -> String {
    let letters = std::iter::repeat_with(fastrand::alphanumeric).take(21);
    // The last of 22 letters carries only two bits of the 128.
    letters.chain(['A']).collect()
}

const PORTS: std::ops::Range<u16> = 15_000..32_000;

const PORT_TRIES: usize = 10_000;

/// Small numbers of threads and partitions: several brokers share two cores with the tests.
const COMMON: &str = "\
process.roles=broker,controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
num.partitions=1
num.network.threads=2
num.io.threads=4
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_of_the_caller_come_last() {
        let config = KafkaConfig::version("4.3.1").brokers(3).property("num.partitions", "7");
        let layout = Layout::new(&config).unwrap();
        let file = layout.properties(&config, 2, Path::new("/data"));
        assert!(file.contains("node.id=2\n"));
        assert!(file.ends_with("num.partitions=7\n"));
        assert!(file.contains("transaction.state.log.min.isr=2\n"));
        assert_eq!(file.matches("@127.0.0.1:").count(), 3);
    }

    #[test]
    fn ports_are_free_and_differ() {
        let ports = free_ports(6).unwrap();
        let held: Vec<_> =
            ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port))).collect();
        assert!(held.iter().all(Result::is_ok), "{held:?}");
    }

    #[test]
    fn a_cluster_id_is_a_uuid_in_22_letters() {
        let id = cluster_id();
        assert_eq!(id.len(), 22);
        assert!(id.chars().all(|letter| letter.is_ascii_alphanumeric()));
    }
}
