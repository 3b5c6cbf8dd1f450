//! The TCP door: sockets in front of the [`Cluster`] machine. In go connections and bytes, out go
//! the machine's frames; the machine itself stays behind one lock and never waits.
//!
//! Each broker has a listener of its own. Each connection has two tasks: one reads frames and
//! hands them to the machine, one writes what the machine has for it. A single task wakes the
//! machine when something is due.
//!
//! Nothing here grows without bound: connections and frame sizes are capped before anything is
//! allocated for them, and a connection whose client does not read its answers is not read from
//! until it does.

mod connection;
pub(crate) mod shared;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::broker::{Cluster, ClusterConfig};
use shared::Shared;

/// How to open an embedded cluster to the network.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// The cluster behind the door. Its wall clock is replaced by the machine's own.
    pub cluster: ClusterConfig,
    /// Where each broker listens, in the order of their ids. Brokers without an entry get a free
    /// port of 127.0.0.1, which is also the default for all.
    pub listen: Vec<SocketAddr>,
    /// The host that metadata tells clients. Default: the address each broker listens on, or
    /// `localhost` where that is a wildcard.
    pub advertised_host: Option<String>,
    /// The most connections open at once, over all brokers; more are closed at once.
    /// Default 1,000.
    pub max_connections: usize,
    /// The largest request taken, in bytes (`socket.request.max.bytes`). Default 100 MiB.
    pub max_request_bytes: usize,
    /// How many bytes of answers may wait for a client before its requests wait, too.
    /// Default 8 MiB. One answer may exceed it, so that a large fetch gets through.
    pub max_queued_bytes: usize,
    /// A connection without any request for so long is closed (`connections.max.idle.ms`).
    /// Default 10 minutes.
    pub max_idle: Duration,
    /// Serves all brokers over TLS, with certificates as [`crate::certificates`] makes them. Default
    /// none.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// A running embedded cluster. Dropping it closes everything at once; [`stop`](Self::stop) waits.
#[derive(Debug)]
#[must_use = "the cluster stops when this is dropped"]
pub struct EmbeddedCluster {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    bootstrap: Vec<String>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl EmbeddedCluster {
    /// Binds a listener for each broker and starts to serve.
    ///
    /// # Errors
    /// An address cannot be bound.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing stays behind.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and network enabled.
    pub async fn start(config: impl Into<DoorConfig>) -> io::Result<Self> {
        let mut config = config.into();
        let brokers = config.cluster.brokers;
        config.cluster.wall_clock_ms = wall_clock_ms();
        let mut cluster = Cluster::new(config.cluster.clone());
        let mut listeners = Vec::new();
        let mut bootstrap = Vec::new();
        for node in 1..=brokers {
            let wanted = usize::try_from(node - 1).ok().and_then(|at| config.listen.get(at));
            let listener = TcpListener::bind(wanted.copied().unwrap_or(ANY_PORT)).await?;
            let address = listener.local_addr()?;
            let host = advertised(&config, address);
            cluster.set_address(node, &host, address.port());
            bootstrap.push(host_port(&host, address.port()));
            listeners.push((node, address, listener));
        }
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(cluster, &config));
        let mut tasks = JoinSet::new();
        let addresses = listeners.iter().map(|(_, address, _)| *address).collect();
        for (node, _, listener) in listeners {
            tasks.spawn(connection::accept(shared.clone(), node, listener, stopped.clone()));
        }
        tasks.spawn(shared::keep_time(shared.clone(), stopped));
        Ok(Self { shared, addresses, bootstrap, stop, tasks })
    }

    /// `host:port` of every broker, separated by commas, as clients take it.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.join(",")
    }

    /// Where the brokers listen, in the order of their ids.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Lets a test look into the cluster, or change it; what the change sets off is sent before
    /// this returns. Do not block in `look`: every broker waits meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut Cluster) -> T) -> T {
        self.shared.with(look)
    }

    /// Connections open now, over all brokers.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Stops listening, sends answers that are ready, closes all connections, and waits for that.
    ///
    /// # Cancel safety
    /// If the future is dropped, the cluster is closed at once.
    pub async fn stop(mut self) {
        // Sending fails only if every task has ended already.
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            cluster: ClusterConfig::default(),
            listen: Vec::new(),
            advertised_host: None,
            max_connections: 1_000,
            max_request_bytes: 100 << 20,
            max_queued_bytes: 8 << 20,
            max_idle: Duration::from_secs(600),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl From<ClusterConfig> for DoorConfig {
    fn from(cluster: ClusterConfig) -> Self {
        Self { cluster, ..Self::default() }
    }
}

fn advertised(config: &DoorConfig, address: SocketAddr) -> String {
    match &config.advertised_host {
        Some(host) => host.clone(),
        None if address.ip().is_unspecified() => "localhost".to_owned(),
        None => address.ip().to_string(),
    }
}

fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Now, in milliseconds since 1970; 0 on a machine whose clock is before that.
fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[cfg(test)]
mod tests;
