//! The conformance suite on every cluster that this machine can run.

use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::conformance::{self, CHECKS};
use klamm_testkit::door::EmbeddedCluster;
use klamm_testkit::outside::{Cluster, in_test};

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
    let Some(kafka) = apache::shared(apache::NEWEST) else { return };
    conformance::run_all(&*kafka);
}

#[test]
fn apache_kafka_3_does_what_every_broker_must() {
    let Some(kafka) = apache::shared(apache::PREVIOUS) else { return };
    conformance::run_all(&*kafka);
}

#[test]
fn three_brokers_of_apache_kafka_4_do_what_every_broker_must() {
    let config = KafkaConfig::version(apache::NEWEST).brokers(3).access_rules();
    let Some(kafka) = in_test(Kafka::start(config)) else { return };
    conformance::run_all(&kafka);
}

/// Its KRaft is a preview that gives out no producer ids, keeps no rules and knows none of the later requests. All else
/// it must do, and nothing of the list may work unnoticed.
#[test]
fn apache_kafka_2_8_does_all_but_what_came_later() {
    let Some(kafka) = apache::shared(apache::OLDEST) else { return };
    let checks = CHECKS.iter().filter(|check| check.name != STOPS_2_8);
    assert_eq!(conformance::failures(&*kafka, checks), CAME_LATER);
}

/// Taking a setting away makes the controller of 2.8 give up for good.
const STOPS_2_8: &str = "settings are set, unset, appended to and taken from";

/// In the order of the checks.
const CAME_LATER: &[&str] = &[
    "partitions can be added but not taken away",
    "a batch sent twice is written once",
    "a sequence with a gap is refused",
    "the largest timestamp is found",
    "a wrong change leaves its resource as it was",
    "elections that are not needed say so",
    "impossible moves of replicas are refused",
    "levels of features stay within what is supported",
    "those who write to a partition are told",
    "access rules are found by their filters",
    "access rules that make no sense are refused",
    "credentials are kept and their secrets not told",
    "quotas are found by the parts of their entities",
    "quotas that make no sense are refused",
    "committed records count, aborted ones are told",
    "a producer that came before is fenced",
    "a producer goes on unless another came between",
    "a partition that was not added is refused",
    "a transaction may be ended twice, but not otherwise",
    "positions count once their transaction is committed",
    "a transaction left open is aborted",
    "impossible transactions are refused",
];

#[test]
fn the_embedded_broker_offers_the_versions_of_apache_kafka_4() {
    let Some(kafka) = apache::shared(apache::NEWEST) else { return };
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
