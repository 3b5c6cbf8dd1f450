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
    /// Names and protocols of further listeners.
    listeners: Vec<(String, String)>,
}

impl KafkaConfig {
    /// One broker of a version such as `4.3.1`.
    pub fn version(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            brokers: 1,
            properties: Vec::new(),
            jvm: Vec::new(),
            listeners: Vec::new(),
        }
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

    /// Has the brokers listen on another port, too, which they advertise as `localhost`. The
    /// protocol is `SSL`, `SASL_SSL`, `SASL_PLAINTEXT` or `PLAINTEXT`; what it needs is set by
    /// [`Self::property`]. [`super::Kafka::bootstrap_of`] tells where.
    #[must_use]
    pub fn listener(mut self, name: impl Into<String>, protocol: impl Into<String>) -> Self {
        self.listeners.push((name.into(), protocol.into()));
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
    /// For each further listener its name, its protocol and each broker's port.
    others: Vec<(String, String, Vec<u16>)>,
}

impl Layout {
    /// Finds free ports.
    pub(super) fn new(config: &KafkaConfig) -> io::Result<Self> {
        let brokers = config.brokers;
        let ports = free_ports(brokers * (2 + config.listeners.len()))?;
        let (own, more) = ports.split_at(brokers * 2);
        let pairs = own.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let others = config.listeners.iter().zip(more.chunks_exact(brokers));
        let others =
            others.map(|((name, kind), ports)| (name.clone(), kind.clone(), ports.to_vec()));
        Ok(Self { cluster_id: cluster_id(), ports: pairs.collect(), others: others.collect() })
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

    /// Where it listens under its further names.
    pub(super) fn other_addresses(&self, id: usize) -> impl Iterator<Item = SocketAddr> {
        self.others.iter().map(move |(.., ports)| (Ipv4Addr::LOCALHOST, ports[id - 1]).into())
    }

    pub(super) fn bootstrap(&self) -> String {
        let addresses: Vec<String> =
            self.node_ids().map(|id| self.address(id).to_string()).collect();
        addresses.join(",")
    }

    /// Where the brokers listen under this name.
    pub(super) fn bootstrap_of(&self, listener: &str) -> Option<String> {
        let (_, _, ports) = self.others.iter().find(|(name, ..)| name == listener)?;
        let addresses: Vec<String> = ports.iter().map(|port| format!("localhost:{port}")).collect();
        Some(addresses.join(","))
    }

    /// What the properties say of the further listeners: where, how they are advertised, and how
    /// they are spoken to.
    fn others(&self, id: usize) -> [String; 3] {
        let mut text = [const { String::new() }; 3];
        for (name, protocol, ports) in &self.others {
            let port = ports[id - 1];
            text[0] += &format!(",{name}://127.0.0.1:{port}");
            text[1] += &format!(",{name}://localhost:{port}");
            text[2] += &format!(",{name}:{protocol}");
        }
        text
    }

    /// One broker's properties file.
    pub(super) fn properties(&self, config: &KafkaConfig, id: usize, data: &Path) -> String {
        let client = self.address(id);
        let controller = self.ports[id - 1].1;
        let replicas = self.ports.len().min(3);
        let in_sync = replicas.min(2).to_string();
        let replicas = replicas.to_string();
        let [listen, advertise, protocols] = self.others(id);
        let own = [
            ("node.id", id.to_string()),
            ("controller.quorum.voters", self.voters()),
            (
                "listeners",
                format!("PLAINTEXT://{client},CONTROLLER://127.0.0.1:{controller}{listen}"),
            ),
            ("advertised.listeners", format!("PLAINTEXT://{client}{advertise}")),
            ("listener.security.protocol.map", format!("{PROTOCOLS}{protocols}")),
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
pub(crate) fn free_ports(count: usize) -> io::Result<Vec<u16>> {
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

const PROTOCOLS: &str = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT";

/// Small numbers of threads and partitions: several brokers share two cores with the tests.
const COMMON: &str = "\
process.roles=broker,controller
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
log.cleaner.backoff.ms=200
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
    fn further_listeners_have_ports_of_their_own() {
        let config = KafkaConfig::version("4.3.1").brokers(2).listener("MUTUAL", "SSL");
        let layout = Layout::new(&config).unwrap();
        let file = layout.properties(&config, 1, Path::new("/data"));
        let bootstrap = layout.bootstrap_of("MUTUAL").unwrap();
        let first = bootstrap.split(',').next().unwrap();
        assert!(file.contains(&format!(",MUTUAL://{first}\n")), "{file}");
        assert!(file.contains("CONTROLLER:PLAINTEXT,MUTUAL:SSL\n"), "{file}");
        assert_eq!(layout.bootstrap_of("OTHER"), None);
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
