//! Real Apache Kafka through the launcher: that every supported line of versions starts, that Java's
//! own tools work against it, and that brokers can be killed and come back with what they had.

use std::time::{Duration, Instant};

use klamm_testkit::apache::{self, Kafka};
use klamm_testkit::outside::Cluster;

#[test]
fn the_newest_version_keeps_what_java_writes() {
    let Some(kafka) = apache::shared(apache::NEWEST) else { return };
    write_and_read_back(&kafka, "newest");
}

#[test]
fn tests_of_one_process_share_a_broker() {
    let Some(first) = apache::shared(apache::NEWEST) else { return };
    let Some(second) = apache::shared(apache::NEWEST) else { return };
    assert_eq!(first.bootstrap(), second.bootstrap());
    assert_eq!(first.name(), "apache-4.3.1");
}

#[test]
fn the_previous_line_keeps_what_java_writes() {
    let Some(kafka) = apache::for_test(apache::PREVIOUS, 1) else { return };
    write_and_read_back(&kafka, "previous");
}

#[test]
fn the_oldest_version_without_zookeeper_keeps_what_java_writes() {
    let Some(kafka) = apache::for_test(apache::OLDEST, 1) else { return };
    write_and_read_back(&kafka, "oldest");
}

#[test]
fn a_killed_broker_comes_back_with_its_data() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 1) else { return };
    create(&kafka, "kept", 1, 1);
    produce(&kafka, "kept", "k:before\n");
    kafka.kill(1).unwrap();
    assert!(std::net::TcpStream::connect(kafka.address(1).unwrap()).is_err());
    kafka.restart(1).unwrap();
    produce(&kafka, "kept", "k:after\n");
    assert_eq!(consume(&kafka, "kept", 2), "k:before\nk:after\n");
    assert!(kafka.data_folder(1).unwrap().join("kept-0").is_dir());
}

#[test]
fn three_brokers_do_without_one_of_them() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 3) else { return };
    assert_eq!(kafka.bootstrap().split(',').count(), 3);
    create(&kafka, "spread", 3, 3);
    produce(&kafka, "spread", "a:1\nb:2\nc:3\n");
    kafka.stop(2).unwrap();
    let mut lines: Vec<String> = consume(&kafka, "spread", 3).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["a:1", "b:2", "c:3"]);
    kafka.restart(2).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while in_sync(&kafka, "spread") < 9 {
        assert!(Instant::now() < deadline, "the broker never caught up: {}", kafka.log(2).unwrap());
    }
}

#[test]
fn what_is_wrong_with_a_broker_is_told_with_its_log() {
    let config = apache::KafkaConfig::version(apache::NEWEST).property("log.retention.ms", "many");
    let Err(error) = Kafka::start(config) else { panic!("a broker started with bad settings") };
    if matches!(error, klamm_testkit::outside::Error::Missing { .. }) {
        klamm_testkit::outside::in_test::<()>(Err(error));
        return;
    }
    assert!(error.to_string().contains("log.retention.ms"), "{error}");
}

fn write_and_read_back(kafka: &Kafka, topic: &str) {
    create(kafka, topic, 1, 1);
    produce(kafka, topic, "one:first\ntwo:second\n");
    assert_eq!(consume(kafka, topic, 2), "one:first\ntwo:second\n");
}

fn create(kafka: &Kafka, topic: &str, partitions: i32, replicas: i32) {
    let (partitions, replicas) = (partitions.to_string(), replicas.to_string());
    let arguments = ["--create", "--topic", topic, "--partitions", &partitions];
    let arguments = [&arguments[..], &["--replication-factor", &replicas]].concat();
    kafka.run_tool("TopicCommand", &arguments, b"").unwrap();
}

fn produce(kafka: &Kafka, topic: &str, lines: &str) {
    let properties = ["--property", "parse.key=true", "--property", "key.separator=:"];
    let arguments = [&["--topic", topic][..], &properties].concat();
    kafka.run_tool("ConsoleProducer", &arguments, lines.as_bytes()).unwrap();
}

fn consume(kafka: &Kafka, topic: &str, count: usize) -> String {
    let count = count.to_string();
    let properties = ["--property", "print.key=true", "--property", "key.separator=:"];
    let arguments = ["--topic", topic, "--from-beginning", "--max-messages", &count];
    let arguments = [&arguments[..], &["--timeout-ms", "60000"], &properties].concat();
    let printed = kafka.run_tool("ConsoleConsumer", &arguments, b"").unwrap();
    // Newer versions print a remark about `--property`, older ones know no other spelling.
    let printed = String::from_utf8(printed).unwrap();
    printed.split_inclusive('\n').filter(|line| !line.starts_with("Option ")).collect()
}

/// How many replicas of a topic, over all partitions, follow their leaders.
fn in_sync(kafka: &Kafka, topic: &str) -> usize {
    let described = kafka.run_tool("TopicCommand", &["--describe", "--topic", topic], b"").unwrap();
    let described = String::from_utf8(described).unwrap();
    let sets = described.lines().filter_map(|line| line.split_once("Isr: "));
    sets.map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default())
        .map(|set| set.split(',').count())
        .sum()
}
