//! An embedded cluster and a client of it, for the tests beside.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

pub mod moving;
pub mod proxy;
pub mod reading;
pub mod spans;
pub mod transactions;
pub mod wire;

use std::time::Duration;

use klamm_client::{Client, Config};
use klamm_testkit::apache::{self, Kafka};
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::EmbeddedCluster;
use klamm_testkit::outside::Cluster as _;

/// A cluster of so many brokers, ids from 1.
pub async fn cluster(brokers: i32) -> EmbeddedCluster {
    let config = ClusterConfig { brokers, ..ClusterConfig::default() };
    EmbeddedCluster::start(config).await.expect("free ports")
}

/// Options that give up early enough for a test.
pub fn config(bootstrap: &str) -> Config {
    let config = Config::new(bootstrap).expect("addresses");
    config.with_retry_backoff(Duration::from_millis(10)).with_api_timeout(Duration::from_secs(20))
}

/// Options for a real cluster, which takes its time; the oldest gives out no producer ids.
pub fn real_config(kafka: &Kafka) -> Config {
    let idempotence = kafka.name() != format!("apache-{}", apache::OLDEST);
    let patient = config(&kafka.bootstrap()).with_api_timeout(Duration::from_secs(60));
    patient.with_idempotence(idempotence)
}

/// A client of a real cluster.
pub async fn connect(kafka: &Kafka) -> Client {
    Client::connect(real_config(kafka)).await.expect("the cluster answers")
}

/// A client of this cluster.
pub async fn client(door: &EmbeddedCluster) -> Client {
    Client::connect(config(&door.bootstrap())).await.expect("the cluster answers")
}

/// Clusters of another kind.
pub mod client_with {
    use klamm_protocol::api::{ApiKey, VersionRange};

    use super::{ClusterConfig, EmbeddedCluster};

    /// A broker as of Kafka 2.1.
    pub async fn old_cluster() -> EmbeddedCluster {
        let versions = vec![
            (ApiKey::ApiVersions, VersionRange::new(0, 2)),
            (ApiKey::Metadata, VersionRange::new(0, 7)),
            (ApiKey::FindCoordinator, VersionRange::new(0, 2)),
            (ApiKey::ListOffsets, VersionRange::new(0, 4)),
            (ApiKey::OffsetFetch, VersionRange::new(0, 5)),
            (ApiKey::OffsetCommit, VersionRange::new(0, 6)),
            (ApiKey::CreateTopics, VersionRange::new(0, 3)),
            (ApiKey::DeleteTopics, VersionRange::new(0, 3)),
            (ApiKey::CreatePartitions, VersionRange::new(0, 1)),
        ];
        let config = ClusterConfig { versions, ..ClusterConfig::default() };
        EmbeddedCluster::start(config).await.expect("free ports")
    }
}
