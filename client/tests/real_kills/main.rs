//! Three real brokers, and one of them killed with SIGKILL again and again while records are written:
//! nothing may be lost, nothing written twice, and the order stays. Java's own consumer and
//! `DumpLogSegments` on the brokers' files are the judges, not the client that wrote.

#[path = "../common/mod.rs"]
mod common;
mod idempotent;
mod judge;

use std::time::Duration;

use klamm_client::Client;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, in_test};
use tokio::time::{Instant, sleep};

/// Three brokers that notice a dead one within seconds, or `None` after saying why there are none.
fn three_brokers() -> Option<Kafka> {
    let config = KafkaConfig::version(apache::NEWEST)
        .brokers(3)
        .property("min.insync.replicas", "2")
        .property("broker.session.timeout.ms", "4000")
        .property("broker.heartbeat.interval.ms", "500")
        .property("replica.lag.time.max.ms", "6000");
    in_test(Kafka::start(config))
}

async fn connect(kafka: &Kafka) -> Client {
    let config = common::config(&kafka.bootstrap()).with_api_timeout(Duration::from_secs(60));
    Client::connect(config).await.expect("three brokers answer")
}

/// Waits until every replica of a topic keeps up again: only then may the next broker die.
async fn whole(client: &Client, topic: &str) {
    let deadline = Instant::now() + WHOLE_WITHIN;
    // From here on the view includes it.
    client.cluster().topic(topic, deadline).await.expect("it was made");
    loop {
        let view = client.cluster().refresh(deadline).await.expect("two brokers live");
        let partitions = view.topics.get(topic).map(|topic| topic.partitions.as_slice());
        let keeps_up = |partitions: &[klamm_protocol::session::metadata::Partition]| {
            partitions.iter().all(|one| one.leader.is_some() && one.in_sync.len() == 3)
        };
        if partitions.is_some_and(keeps_up) {
            return;
        }
        assert!(Instant::now() < deadline, "replicas still lag: {partitions:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

const WHOLE_WITHIN: Duration = Duration::from_secs(90);
