//! The main job through the command: read, write, copy with a checkpoint, resume. On the embedded cluster always, on
//! Apache Kafka where it can run, with Java's own tools as writer and as judge.

mod common;

use std::collections::BTreeMap;

use common::{Embedded, klamm, klamm_fed};
use klamm_testkit::apache::{self, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, in_test};

#[test]
fn a_copy_resumes_from_its_checkpoint_and_writes_only_what_is_new() {
    let embedded = Embedded::start();
    embedded.topic("orders", 2);
    embedded.topic("copy", 2);
    let server = embedded.server.as_str();
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("checkpoint");
    let checkpoint = checkpoint.to_str().expect("a path");
    for round in 1..=3 {
        write_numbers(server, "orders", 100);
        copy(server, "orders", "copy", checkpoint, &["-o", "maxOffsetsPerTrigger=30"]);
        let count = klamm(&["read", "-b", server, "-t", "copy", "--count"]).ok();
        assert_eq!(count.trim(), (round * 100).to_string(), "round {round}");
    }
    assert_eq!(rows(server, "orders"), rows(server, "copy"), "every column but the topic");
}

#[test]
fn a_copy_into_fewer_partitions_goes_by_key() {
    let embedded = Embedded::start();
    embedded.topic("orders", 3);
    embedded.topic("copy", 1);
    let server = embedded.server.as_str();
    write_numbers(server, "orders", 30);
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("checkpoint");
    copy(server, "orders", "copy", checkpoint.to_str().expect("a path"), &[]);
    assert_eq!(klamm(&["read", "-b", server, "-t", "copy", "--count"]).ok(), "30\n");
}

#[test]
fn a_second_query_on_a_checkpoint_is_refused_while_the_first_lives() {
    let embedded = Embedded::start();
    embedded.topic("orders", 1);
    let server = embedded.server.as_str();
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("checkpoint");
    let checkpoint = checkpoint.to_str().expect("a path");
    let arguments =
        ["stream", "-b", server, "-t", "orders", "-O", "topic=copy", "--checkpoint", checkpoint];
    let mut first = std::process::Command::new(env!("CARGO_BIN_EXE_klamm"))
        .args(arguments)
        .spawn()
        .expect("starts");
    while !folder.path().join("checkpoint/metadata").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    klamm(&arguments).refused(4, "checkpoint");
    first.kill().expect("it was running");
    first.wait().expect("it ends");
    // The crash left no lock behind.
    let drained = [&arguments[..], &["--trigger", "available-now"]].concat();
    klamm(&drained).ok();
}

#[test]
fn a_pipeline_file_says_what_the_command_line_says() {
    let embedded = Embedded::start();
    embedded.topic("orders", 1);
    write_numbers(&embedded.server, "orders", 5);
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = folder.path().join("copy.toml");
    let text = format!(
        "[source]\nkafka.bootstrap.servers = '{0}'\nsubscribe = 'orders'\n\
         startingOffsets = 'earliest'\n[sink]\nkafka.bootstrap.servers = '{0}'\ntopic = 'copy'\n\
         [query]\ncheckpoint = '{1}'\ntrigger = 'available-now'\n",
        embedded.server,
        folder.path().join("checkpoint").display()
    );
    std::fs::write(&pipeline, text).expect("a file");
    klamm(&["stream", "--file", pipeline.to_str().expect("a path")]).ok();
    assert_eq!(klamm(&["read", "-b", &embedded.server, "-t", "copy", "--count"]).ok(), "5\n");
}

#[test]
fn a_signal_lets_the_running_batch_be_committed_and_ends_with_status_0() {
    let embedded = Embedded::start();
    embedded.topic("orders", 1);
    write_numbers(&embedded.server, "orders", 5);
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("checkpoint");
    let running = std::process::Command::new(env!("CARGO_BIN_EXE_klamm"))
        .args(["stream", "-b", &embedded.server, "-t", "orders", "-o", "startingOffsets=earliest"])
        .args(["-O", "topic=copy", "--progress", "json", "--checkpoint"])
        .arg(&checkpoint)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    while !checkpoint.join("commits/0").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let asked = std::process::Command::new("kill").arg(running.id().to_string()).status();
    assert!(asked.expect("kill runs").success());
    let ended = running.wait_with_output().expect("ends");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let plan = klamm(&["checkpoint", checkpoint.to_str().expect("a path")]).ok();
    assert!(plan.contains("goes on with batch 1"), "{plan}");
}

#[test]
fn what_was_lost_is_exit_status_3_unless_it_may_be() {
    let embedded = Embedded::start();
    embedded.topic("orders", 1);
    let server = embedded.server.as_str();
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("checkpoint");
    let checkpoint = checkpoint.to_str().expect("a path");
    write_numbers(server, "orders", 10);
    copy(server, "orders", "copy", checkpoint, &[]);
    write_numbers(server, "orders", 20);
    let gone = embedded.with(|cluster| cluster.edit_log("orders", 0, |log| log.delete_records(15)));
    assert!(gone.is_ok(), "the partition exists");
    let strict = stream(server, "orders", "copy", checkpoint);
    let strict: Vec<&str> = strict.iter().map(String::as_str).collect();
    klamm(&strict).refused(3, "10");
    klamm(&[&strict[..], &["-o", "failOnDataLoss=false"]].concat()).ok();
    assert_eq!(klamm(&["read", "-b", server, "-t", "copy", "--count"]).ok(), "25\n");
}

#[test]
fn the_demo_copies_every_record_once_over_a_kill() {
    let said = klamm(&["demo", "--records", "30000"]).ok();
    assert!(
        said.contains(
            "30,000 of 30,000 records, 0 missing, 0 wrong, 0 out of order in their key, 0 twice"
        ),
        "{said}"
    );
    assert!(said.contains("SIGKILL after 3 committed batches"), "{said}");
}

#[test]
fn a_million_records_of_javas_pass_through_apache_kafka_4() {
    million("4.3.1");
}

#[test]
fn a_million_records_of_javas_pass_through_apache_kafka_3() {
    million(apache::PREVIOUS);
}

/// Java writes a million records; they are counted, copied, and the copy is compared by Java's own consumer.
fn million(version: &str) {
    let Some(kafka) = in_test(apache::available()).and_then(|()| {
        in_test(apache::Kafka::start(KafkaConfig::version(version).jvm_argument("-Xmx768m")))
    }) else {
        return;
    };
    let server = kafka.bootstrap();
    let server = server.as_str();
    for topic in ["numbers", "numbers-copy", "mixed", "mixed-copy"] {
        klamm(&["topics", "create", "-b", server, "-t", topic, "--partitions", "4"]).ok();
    }
    let properties = format!("bootstrap.servers={server}");
    let perf = [
        "--topic",
        "numbers",
        "--num-records",
        "1000000",
        "--record-size",
        "100",
        "--throughput",
        "-1",
        "--producer-props",
        &properties,
        "compression.type=lz4",
    ];
    kafka.tools().succeed("ProducerPerformance", &perf, b"").expect("Java writes");
    let count = |topic| klamm(&["read", "-b", server, "-t", topic, "--count"]).ok();
    assert_eq!(count("numbers"), "1000000\n");

    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    let bounded = ["-o", "maxOffsetsPerTrigger=300000", "-O", "kafka.compression.type=lz4"];
    copy(server, "numbers", "numbers-copy", &checkpoint("numbers"), &bounded);
    assert_eq!(count("numbers-copy"), "1000000\n");

    // Few records, and all that a record can have: what Java prints of the copy is what it prints of the source.
    let rows: String = (0..500)
        .map(|n| match n % 3 {
            0 => format!("{{\"key\":\"k{n}\",\"value\":\"v{n}\",\"headers\":[{{\"key\":\"a\",\"value\":\"{n}\"}},{{\"key\":\"a\",\"value\":\"again\"}}]}}\n"),
            1 => format!("{{\"key\":null,\"value\":\"v{n}\"}}\n"),
            _ => format!("{{\"key\":\"k{n}\",\"value\":null}}\n"),
        })
        .collect();
    klamm_fed(&["write", "-b", server, "-t", "mixed"], rows.as_bytes()).ok();
    let with_headers = ["-o", "includeHeaders=true"];
    copy(server, "mixed", "mixed-copy", &checkpoint("mixed"), &with_headers);
    let there = java_prints(&kafka, "mixed", 500);
    assert_eq!(there.len(), 500);
    assert_eq!(there, java_prints(&kafka, "mixed-copy", 500), "as Java's console consumer sees it");
    let sample = java_prints(&kafka, "numbers", 20_000);
    assert_eq!(sample.len(), 20_000);

    let latest = klamm(&["offsets", "-b", server, "-t", "numbers-copy", "--json"]).ok();
    let latest: BTreeMap<String, BTreeMap<String, i64>> =
        serde_json::from_str(&latest).expect("the JSON that startingOffsets takes");
    assert_eq!(latest["numbers-copy"].values().sum::<i64>(), 1_000_000);
}

/// What Java's console consumer prints of a topic: time, partition, offset, headers, key and value, sorted.
fn java_prints(kafka: &apache::Kafka, topic: &str, records: usize) -> Vec<String> {
    let most = records.to_string();
    let mut arguments = vec!["--topic", topic, "--from-beginning", "--timeout-ms", "20000"];
    arguments.extend(["--max-messages", &most]);
    for name in
        ["timestamp", "partition", "offset", "headers", "key"].map(|n| format!("print.{n}=true"))
    {
        arguments.extend(["--property", name.leak()]);
    }
    let printed = kafka.run_tool("ConsoleConsumer", &arguments, b"").expect("Java reads");
    let mut lines: Vec<String> = String::from_utf8_lossy(&printed)
        .lines()
        .filter(|line| line.contains("Partition:"))
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    lines
}

fn write_numbers(server: &str, topic: &str, count: usize) {
    let rows: String =
        (0..count).map(|n| format!("{{\"key\":\"k{n}\",\"value\":\"v{n}\"}}\n")).collect();
    klamm_fed(&["write", "-b", server, "-t", topic], rows.as_bytes()).ok();
}

fn stream(server: &str, from: &str, to: &str, checkpoint: &str) -> Vec<String> {
    let (topic, subscribe) = (format!("topic={to}"), format!("subscribe={from}"));
    [
        "stream",
        "-b",
        server,
        "-o",
        &subscribe,
        "-o",
        "startingOffsets=earliest",
        "-O",
        &topic,
        "--checkpoint",
        checkpoint,
        "--trigger",
        "available-now",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn copy(server: &str, from: &str, to: &str, checkpoint: &str, more: &[&str]) {
    let stream = stream(server, from, to, checkpoint);
    let arguments: Vec<&str> =
        stream.iter().map(String::as_str).chain(more.iter().copied()).collect();
    klamm(&arguments).ok();
}

/// The rows of a topic without its name, as text, sorted.
fn rows(server: &str, topic: &str) -> Vec<String> {
    let read = klamm(&["read", "-b", server, "-t", topic, "-o", "includeHeaders=true"]).ok();
    let name = format!("\"topic\":\"{topic}\"");
    let mut rows: Vec<String> = read.lines().map(|line| line.replace(&name, "")).collect();
    rows.sort_unstable();
    rows
}
