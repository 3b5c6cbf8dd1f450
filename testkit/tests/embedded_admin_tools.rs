//! Java's tools for administrators against the embedded broker: they understand what it answers.

use klamm_testkit::apache;
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::EmbeddedCluster;
use klamm_testkit::java::Tools;
use klamm_testkit::outside::in_test;
use tokio::runtime::Runtime;

#[test]
fn javas_tools_change_settings_rules_users_quotas_and_replicas() {
    let Some(tools) = in_test(Tools::for_version(apache::NEWEST)) else { return };
    let runtime = Runtime::new().expect("a runtime");
    let config = ClusterConfig { brokers: 2, ..ClusterConfig::default() };
    let cluster = runtime.block_on(EmbeddedCluster::start(config)).expect("starts");
    cluster.with(|cluster| cluster.create_topic("t", 2, 2)).expect("made");
    let run = |class: &str, arguments: &str| {
        let all = format!("--bootstrap-server {} {arguments}", cluster.bootstrap());
        let arguments: Vec<&str> = all.split_whitespace().collect();
        let printed = tools.succeed(class, &arguments, b"");
        String::from_utf8(printed.unwrap_or_else(|error| panic!("{error}"))).expect("text")
    };
    let says = |printed: String, wanted: &str| assert!(printed.contains(wanted), "{printed}");

    let topic = "--entity-type topics --entity-name t";
    run(
        CONFIGS,
        &format!("{topic} --alter --add-config retention.ms=60000,cleanup.policy=compact"),
    );
    says(
        run(CONFIGS, &format!("{topic} --describe")),
        "retention.ms=60000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=60000",
    );
    run(CONFIGS, &format!("{topic} --alter --delete-config retention.ms,cleanup.policy"));
    let broker = "--entity-type brokers --entity-name 2";
    run(CONFIGS, &format!("{broker} --alter --add-config num.io.threads=7"));
    says(
        run(CONFIGS, &format!("{broker} --describe")),
        "num.io.threads=7 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:num.io.threads=7",
    );
    let user = "--entity-type users --entity-name alice";
    run(CONFIGS, &format!("{user} --alter --add-config producer_byte_rate=1024"));
    run(CONFIGS, &format!("{user} --alter --add-config SCRAM-SHA-256=[password=p]"));
    let described = run(CONFIGS, &format!("{user} --describe"));
    says(described.clone(), "producer_byte_rate=1024");
    says(described, "SCRAM-SHA-256=iterations=");

    run(
        "org.apache.kafka.tools.AclCommand",
        "--add --allow-principal User:alice --operation Read --topic t",
    );
    says(
        run("org.apache.kafka.tools.AclCommand", "--list --topic t"),
        "principal=User:alice, host=*, operation=READ, permissionType=ALLOW",
    );
    says(
        run("org.apache.kafka.tools.LogDirsCommand", "--describe --topic-list t"),
        "/klamm-embedded/broker-2",
    );
    says(run("org.apache.kafka.tools.FeatureCommand", "describe"), "Feature: transaction.version");
    let elected = run(
        "org.apache.kafka.tools.LeaderElectionCommand",
        "--election-type preferred --all-topic-partitions",
    );
    assert!(!elected.contains("rror"), "{elected}");
    says(run("org.apache.kafka.tools.TransactionsCommand", "list"), "TransactionalId");
    runtime.block_on(cluster.stop());
}

const CONFIGS: &str = "kafka.admin.ConfigCommand";
