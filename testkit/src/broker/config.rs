//! What a cluster is made of: numbers of brokers, defaults for topics, and every limit that keeps
//! a long-running process bounded.

use std::time::Duration;

use klamm_protocol::api::{ApiKey, VersionRange};

use super::login::LoginRules;
use crate::log::LogRules;

/// How an embedded cluster is set up. Make one from [`ClusterConfig::default`] and change fields:
///
/// ```
/// use klamm_testkit::broker::ClusterConfig;
/// let config = ClusterConfig { brokers: 3, ..ClusterConfig::default() };
/// # assert_eq!(config.brokers, 3);
/// ```
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Number of brokers; their ids are 1, 2, 3 and so on. Default 1.
    pub brokers: i32,
    /// The racks of brokers 1, 2, 3 and so on; those without one are in none. Clients that tell
    /// their own rack are sent to an in-sync replica there (KIP-392). Default: none.
    pub racks: Vec<String>,
    /// What the cluster calls itself. Default `klamm-embedded-cluster`.
    pub cluster_id: String,
    /// Create topics when a client asks for their metadata and allows it. Default true.
    pub auto_create: bool,
    /// Partitions of topics made without a number. Default 1.
    pub default_partitions: i32,
    /// Replicas of topics made without a number, at most the number of brokers. Default 1.
    pub default_replication: i16,
    /// The most partitions the whole cluster may hold. Default 10,000.
    pub max_partitions: usize,
    /// What partition logs take and keep; topics may narrow it by their own settings. By default
    /// nothing is ever dropped, so a process that serves for long should set
    /// [`LogRules::max_bytes`].
    pub log: LogRules,
    /// The most record bytes of one fetch response (`fetch.max.bytes`). Default 55 MiB, as Kafka's.
    pub max_fetch_bytes: usize,
    /// Fill a fetch up to its byte limit with the beginning of a batch, as brokers do that send
    /// from files. Clients have to ignore it. Default false.
    pub cut_batches: bool,
    /// Fetch sessions kept for each broker; the one used longest ago makes room. Default 1,000.
    pub fetch_sessions: usize,
    /// The most consumer groups. Default 1,000.
    pub max_groups: usize,
    /// How long the first members of an empty group wait for others. Default: not at all.
    pub initial_rebalance_delay: Duration,
    /// The finalized level of `group.version`: 1 for groups whose coordinator assigns (KIP-848),
    /// 0 without them. Default 1.
    pub group_version: i16,
    /// How often members of such groups shall send heartbeats
    /// (`group.consumer.heartbeat.interval.ms`). Default 5 s, as Kafka's.
    pub consumer_heartbeat_interval: Duration,
    /// After how long without a heartbeat members of such groups are removed
    /// (`group.consumer.session.timeout.ms`). Default 45 s, as Kafka's.
    pub consumer_session_timeout: Duration,
    /// The least time between two assignments of such a group
    /// (`group.consumer.assignment.interval.ms`). Default: none; a 4.3 broker waits a second.
    pub consumer_assignment_interval: Duration,
    /// How long the markers of an ended transaction take to be written; until then another one of
    /// the same id is answered `CONCURRENT_TRANSACTIONS`. Default: not at all.
    pub marker_delay: Duration,
    /// The finalized level of `transaction.version`: 2 for KIP-890, below for the older protocol.
    /// Default 2.
    pub transaction_version: i16,
    /// Who may use the cluster. Default: everybody, and nobody logs in.
    pub login: Option<LoginRules>,
    /// Replaces the versions of some APIs, to play another broker; an empty range (`min > max`)
    /// withdraws the API. Default: the versions of a 4.3 broker.
    pub versions: Vec<(ApiKey, VersionRange)>,
    /// Wall clock, in milliseconds since 1970, at the first instant the cluster is told.
    /// Default 1,700,000,000,000; the TCP door sets the real one.
    pub wall_clock_ms: i64,
    /// Seed of topic ids and member ids: equal seeds, equal ids.
    pub seed: u64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            brokers: 1,
            racks: Vec::new(),
            cluster_id: "klamm-embedded-cluster".to_owned(),
            auto_create: true,
            default_partitions: 1,
            default_replication: 1,
            max_partitions: 10_000,
            log: LogRules::default(),
            max_fetch_bytes: 55 << 20,
            cut_batches: false,
            fetch_sessions: 1_000,
            max_groups: 1_000,
            initial_rebalance_delay: Duration::ZERO,
            group_version: 1,
            consumer_heartbeat_interval: Duration::from_secs(5),
            consumer_session_timeout: Duration::from_secs(45),
            consumer_assignment_interval: Duration::ZERO,
            marker_delay: Duration::ZERO,
            transaction_version: 2,
            login: None,
            versions: Vec::new(),
            wall_clock_ms: 1_700_000_000_000,
            seed: 0,
        }
    }
}
