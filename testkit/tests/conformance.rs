//! The conformance suite on every cluster that this machine can run.

use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::EmbeddedCluster;
use klamm_testkit::outside::Cluster;
use klamm_testkit::{apache, conformance};

struct Embedded(String);

impl Cluster for Embedded {
    fn bootstrap(&self) -> String {
        self.0.clone()
    }

    fn name(&self) -> &str {
        "the embedded cluster"
    }
}

fn embedded(brokers: i32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = ClusterConfig { brokers, auto_create: false, ..ClusterConfig::default() };
    let cluster = runtime.block_on(EmbeddedCluster::start(config)).expect("starts");
    conformance::run_all(&Embedded(cluster.bootstrap()));
    runtime.block_on(cluster.stop());
}

#[test]
fn the_embedded_broker_does_what_every_broker_must() {
    embedded(1);
}

#[test]
fn three_embedded_brokers_do_what_every_broker_must() {
    embedded(3);
}

#[test]
fn apache_kafka_4_does_what_every_broker_must() {
    let Some(kafka) = apache::shared("4.3.1") else { return };
    conformance::run_all(&*kafka);
}

#[test]
fn apache_kafka_3_does_what_every_broker_must() {
    let Some(kafka) = apache::shared("3.9.1") else { return };
    conformance::run_all(&*kafka);
}

#[test]
fn the_embedded_broker_offers_the_versions_of_apache_kafka_4() {
    let Some(kafka) = apache::shared("4.3.1") else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(EmbeddedCluster::start(ClusterConfig::default()));
    let cluster = cluster.expect("starts");
    let ours = conformance::offered(&Embedded(cluster.bootstrap()));
    runtime.block_on(cluster.stop());
    let theirs = conformance::offered(&*kafka);
    for (api, range) in ours {
        assert_eq!(Some(&range), theirs.get(&api), "{api}");
    }
}
