//! The handle that users hold. In: a [`Config`]; out: a connected client, on which readers,
//! producers and the admin calls build.

use std::sync::Arc;
use std::time::Duration;

use klamm_protocol::session::metadata::View;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::config::Config;
use crate::error::Result;
use crate::login;
use crate::net::counters::Counters;
use crate::net::dial::{Dial, TcpDial};
use crate::net::tls::TlsDial;

/// A client of one Kafka cluster. Cheap to clone; all clones share connections and metadata, which
/// end with the last clone.
///
/// ```no_run
/// # async fn example() -> klamm_client::Result<()> {
/// use klamm_client::admin::OffsetSpec;
/// use klamm_client::config::Isolation;
/// use klamm_client::{Client, Config, TopicPartition};
///
/// let client = Client::connect(Config::new("localhost:9092")?).await?;
/// let ends: Vec<_> = client
///     .partitions("orders")
///     .await?
///     .into_iter()
///     .map(|partition| (TopicPartition::new("orders", partition), OffsetSpec::Latest))
///     .collect();
/// for (partition, end) in client.list_offsets(&ends, Isolation::ReadCommitted).await {
///     println!("{partition}: {:?}", end?.offset);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Cluster,
}

impl Client {
    /// Connects over TCP to any of the bootstrap servers and learns who is in the cluster.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Config`] before anything is contacted, certificates that cannot be used
    /// included; [`crate::ErrorKind::Tls`] where the two ends do not agree on TLS and
    /// [`crate::ErrorKind::Authentication`] where the brokers do not let this client in, at once;
    /// [`crate::ErrorKind::Unreachable`], [`crate::ErrorKind::NotKafka`] or
    /// [`crate::ErrorKind::TimedOut`] within `socket.connection.setup.timeout.ms` plus three
    /// seconds (eight seconds by default), at once when every server has refused;
    /// [`crate::ErrorKind::Disconnected`], [`crate::ErrorKind::Protocol`],
    /// [`crate::ErrorKind::Unsupported`] or [`crate::ErrorKind::Broker`] where a broker answered and
    /// then failed, lied, is too old, or refused.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is left behind.
    pub async fn connect(config: Config) -> Result<Self> {
        let size = |size: &Option<i32>| size.and_then(|size| u32::try_from(size).ok());
        let dial = TcpDial::new(*config.connect_timeout())
            .with_buffers(size(config.receive_buffer()), size(config.send_buffer()));
        Self::connect_with(config, Arc::new(dial)).await
    }

    /// As [`Client::connect`], over streams that `dial` opens: through a proxy, say, or in memory.
    /// Where `security.protocol` says so, they are encrypted here; `dial` opens plain ones.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Client::connect`].
    pub async fn connect_with(config: Config, dial: Arc<dyn Dial>) -> Result<Self> {
        config.check()?;
        let config = Arc::new(config);
        let login = login::of_options(&config, &dial).await?;
        let dial = if config.security_protocol().is_encrypted() {
            Arc::new(TlsDial::over(dial, Arc::clone(&config)).await?)
        } else {
            dial
        };
        let cluster = Cluster::connect(config, dial, login).await?;
        Ok(Self { cluster })
    }

    /// The options of this client.
    pub fn config(&self) -> &Config {
        self.cluster.config()
    }

    /// The brokers behind this client, for what has no method here.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The newest view of brokers and of the topics in use. Never blocks.
    pub fn view(&self) -> Arc<View> {
        self.cluster.view()
    }

    /// What this client and its clones have sent and received so far: connections, requests and
    /// bytes by broker and kind of request, times to an answer. A snapshot, at the cost of a copy of
    /// a few numbers.
    pub fn counters(&self) -> Counters {
        self.cluster.counters()
    }

    /// Ends this client and all its clones in order. From now on nothing new is sent: calls fail
    /// with [`crate::ErrorKind::Usage`], and those on a connection that somebody holds with
    /// [`crate::ErrorKind::Disconnected`]. What is under way may be answered for as long as
    /// `deadline`, and is then lost as on a connection that broke: the error says whether the broker may have
    /// carried it out. Returns when all connections and the client's own task have ended, at most a
    /// second after that.
    ///
    /// Producers and readers do not end by this, but can do nothing any more: flush the former
    /// before. To drop all clones ends everything just as well, without waiting for it.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the connections still end in that time, and nothing new is sent.
    pub async fn close(&self, deadline: Duration) {
        self.cluster.close(Instant::now() + deadline).await;
    }

    /// When a call that begins now ends at the latest (`default.api.timeout.ms`).
    pub(crate) fn api_deadline(&self) -> Instant {
        Instant::now() + *self.config().api_timeout()
    }
}
