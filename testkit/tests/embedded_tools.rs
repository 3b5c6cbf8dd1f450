//! Other people's tools against the embedded broker: Java's own, and kcat (librdkafka). What they
//! write and read here they would write and read on a real cluster.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use klamm_protocol::api::ApiKey;
use klamm_testkit::apache;
use klamm_testkit::broker::{Cluster, ClusterConfig};
use klamm_testkit::control::Intercept;
use klamm_testkit::door::EmbeddedCluster;
use klamm_testkit::java::Tools;
use klamm_testkit::outside::in_test;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// An embedded cluster with the runtime it lives in.
struct Embedded {
    cluster: EmbeddedCluster,
    runtime: Runtime,
}

impl Embedded {
    fn start(brokers: i32) -> Self {
        Self::with_config(ClusterConfig { brokers, ..ClusterConfig::default() })
    }

    fn with_config(config: ClusterConfig) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let cluster = runtime.block_on(EmbeddedCluster::start(config)).expect("starts");
        Self { cluster, runtime }
    }

    fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Cluster) -> T) -> T {
        self.cluster.with(look)
    }

    /// Records in all partitions of a topic.
    fn records(&self, topic: &str) -> i64 {
        self.with(|cluster| {
            let partitions = cluster.partitions(topic).unwrap_or(0) as i32;
            let logs = (0..partitions).filter_map(|partition| cluster.log(topic, partition));
            logs.map(|log| log.end_offset()).sum()
        })
    }

    /// Runs kcat to its end and returns what it printed; a bad status is a failure.
    fn kcat(&self, kcat: &PathBuf, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(kcat);
        command.args(["-b", &self.bootstrap()]).args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.runtime.block_on(async {
            let mut child = command.spawn().expect("kcat starts");
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin.write_all(input.as_bytes()).await.expect("kcat reads its input");
            drop(stdin);
            timeout(PATIENCE, child.wait_with_output()).await
        });
        let output: Output = output.expect("kcat ends in time").expect("kcat ran");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kcat {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// Where kcat is; `None`, with a line on standard error, where it is not.
fn kcat() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join("kcat"));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var("KLAMM_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "kcat"), "kcat is required and missing");
        let _ = std::io::stderr().write_all(b"skipped: kcat is not installed\n");
    }
    found
}

#[test]
fn kcat_writes_and_reads_keys_headers_and_every_codec() {
    let Some(kcat) = kcat() else { return };
    let broker = Embedded::start(2);
    broker.with(|cluster| cluster.create_topic("t", 1, 2)).expect("made");
    let listed = broker.kcat(&kcat, &["-L", "-J"], "");
    assert!(listed.contains("\"topic\":\"t\"") && listed.contains("\"id\":2"), "{listed}");
    broker.kcat(&kcat, &["-P", "-t", "t", "-K:", "-H", "h=1", "-H", "h=2"], "k:v\n:\n");
    let format = ["-C", "-t", "t", "-e", "-q", "-f", "%o|%k|%s|%h\n"];
    assert_eq!(broker.kcat(&kcat, &format, ""), "0|k|v|h=1,h=2\n1|||h=1,h=2\n");
    let lines: String = (0..500).map(|n| format!("line number {n}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        broker.kcat(&kcat, &["-P", "-t", codec, "-z", codec], &lines);
        assert_eq!(broker.kcat(&kcat, &["-C", "-t", codec, "-e", "-q"], ""), lines, "{codec}");
    }
}

#[test]
fn kcat_writes_idempotently_and_asks_for_offsets() {
    let Some(kcat) = kcat() else { return };
    let broker = Embedded::start(1);
    broker.with(|cluster| cluster.create_topic("t", 1, 1)).expect("made");
    let lines: String = (0..1000).map(|n| format!("{n}\n")).collect();
    broker.kcat(&kcat, &["-P", "-t", "t", "-X", "enable.idempotence=true"], &lines);
    assert_eq!(broker.records("t"), 1000);
    assert_eq!(broker.kcat(&kcat, &["-Q", "-t", "t:0:-1"], "").trim(), "t [0] offset 1000");
    assert_eq!(broker.kcat(&kcat, &["-Q", "-t", "t:0:-2"], "").trim(), "t [0] offset 0");
    assert_eq!(broker.kcat(&kcat, &["-Q", "-t", "t:0:1"], "").trim(), "t [0] offset 0");
    let far = broker.kcat(&kcat, &["-Q", "-t", "t:0:9999999999999"], "");
    assert_eq!(far.trim(), "t [0] offset -1");
}

#[test]
fn a_kcat_group_resumes_where_it_stopped() {
    let Some(kcat) = kcat() else { return };
    let broker = Embedded::start(3);
    broker.with(|cluster| cluster.create_topic("t", 1, 1)).expect("made");
    let read = ["-G", "g", "-q", "-e", "-X", "auto.offset.reset=earliest", "t"];
    broker.kcat(&kcat, &["-P", "-t", "t"], "a\nb\n");
    assert_eq!(broker.kcat(&kcat, &read, ""), "a\nb\n");
    broker.kcat(&kcat, &["-P", "-t", "t"], "c\n");
    assert_eq!(broker.kcat(&kcat, &read, ""), "c\n");
}

#[test]
fn two_members_of_a_kcat_group_share_the_partitions() {
    let Some(kcat) = kcat() else { return };
    let broker = Embedded::start(2);
    broker.with(|cluster| cluster.create_topic("t", 4, 1)).expect("made");
    let bootstrap = broker.bootstrap();
    let member = || {
        let mut command = Command::new(&kcat);
        command.args(["-b", &bootstrap, "-G", "g", "-u", "-X", "auto.offset.reset=earliest", "t"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true).spawn().expect("kcat starts")
    };
    let (first, second) = broker.runtime.block_on(async {
        let (mut first, mut second) = (member(), member());
        timeout(PATIENCE, async {
            // Whoever came first had all four before the other joined.
            tokio::join!(assigned(&mut first, 2), assigned(&mut second, 2));
        })
        .await
        .expect("both are assigned two partitions");
        (first, second)
    });
    for partition in 0..4 {
        let partition = partition.to_string();
        broker.kcat(&kcat, &["-P", "-t", "t", "-p", &partition], &format!("to {partition}\n"));
    }
    let mut read = broker.runtime.block_on(async {
        let both = async { tokio::join!(lines(first, 2), lines(second, 2)) };
        let (first, second) = timeout(PATIENCE, both).await.expect("both read their share");
        [first, second].concat()
    });
    read.sort();
    assert_eq!(read, ["to 0", "to 1", "to 2", "to 3"]);
}

/// Waits until a member says that it was assigned so many partitions.
async fn assigned(member: &mut Child, partitions: usize) {
    let errors = member.stderr.as_mut().expect("a pipe");
    let mut lines = BufReader::new(errors).lines();
    while let Some(line) = lines.next_line().await.expect("text") {
        if line.contains("assigned: ") && line.matches("t [").count() == partitions {
            return;
        }
    }
    panic!("kcat has ended");
}

/// The first lines that a member prints; the member ends with it.
async fn lines(mut member: Child, count: usize) -> Vec<String> {
    let mut lines = BufReader::new(member.stdout.take().expect("a pipe")).lines();
    let mut read = Vec::new();
    while read.len() < count {
        read.push(lines.next_line().await.expect("text").expect("another line"));
    }
    read
}

#[test]
fn javas_transactional_producer_commits_in_both_protocols() {
    for level in [2, 0] {
        let Some(tools) = in_test(Tools::for_version(apache::NEWEST)) else { return };
        let broker = Embedded::with_config(ClusterConfig {
            brokers: 3,
            transaction_version: level,
            marker_delay: Duration::from_millis(5),
            ..ClusterConfig::default()
        });
        broker.with(|cluster| cluster.create_topic("t", 3, 3)).expect("made");
        let servers = ["bootstrap.servers=", &broker.bootstrap()].concat();
        let amount = ["--topic", "t", "--num-records", "20000", "--record-size", "100"];
        let speed = ["--throughput", "20000", "--transactional-id", "tx"];
        let rest = ["--transaction-duration-ms", "50", "--producer-props", &servers];
        let arguments = [&amount[..], &speed[..], &rest[..]].concat();
        let printed = tools.succeed("ProducerPerformance", &arguments, b"");
        let printed = printed.unwrap_or_else(|error| panic!("{error}"));
        assert!(String::from_utf8_lossy(&printed).contains("20000 records sent"));
        let (transaction, undecided) = broker.with(|cluster| {
            let logs = (0..3).filter_map(|partition| cluster.log("t", partition));
            let undecided = logs.map(|log| log.high_watermark() - log.last_stable_offset()).sum();
            (cluster.transaction("tx").expect("a transactional id"), undecided)
        });
        let undecided: i64 = undecided;
        assert_eq!((transaction.state, undecided), ("CompleteCommit", 0));
        assert_eq!(transaction.epoch > 1, level == 2, "{transaction:?}");
        assert!(broker.records("t") > 20_003, "records and markers");
    }
}

#[test]
fn javas_consumer_reads_in_a_group_whose_coordinator_assigns() {
    let Some(tools) = in_test(Tools::for_version(apache::NEWEST)) else { return };
    let broker = Embedded::with_config(ClusterConfig {
        brokers: 3,
        consumer_heartbeat_interval: Duration::from_millis(100),
        consumer_assignment_interval: Duration::from_millis(100),
        ..ClusterConfig::default()
    });
    broker.with(|cluster| cluster.create_topic("t", 3, 1)).expect("made");
    let run = |class: &str, arguments: &str, input: &str| {
        let all = format!("--bootstrap-server {} {arguments}", broker.bootstrap());
        let arguments: Vec<&str> = all.split_whitespace().collect();
        let printed = tools.succeed(class, &arguments, input.as_bytes());
        String::from_utf8(printed.unwrap_or_else(|error| panic!("{error}"))).expect("text")
    };
    let read = |count: usize| {
        let group = "--group g --consumer-property group.protocol=consumer";
        let rest = "--isolation-level read_committed --from-beginning --timeout-ms 60000";
        let arguments = format!("--topic t {group} {rest} --max-messages {count}");
        let printed = run("ConsoleConsumer", &arguments, "");
        let mut lines: Vec<_> = printed.lines().filter(|line| line.starts_with("r")).collect();
        lines.sort_unstable();
        lines.iter().map(|line| format!("{line}\n")).collect::<String>()
    };
    let lines = |range: std::ops::Range<u32>| range.map(|n| format!("r{n}\n")).collect::<String>();
    run("ConsoleProducer", "--topic t", &lines(100..200));
    assert_eq!(read(100), lines(100..200));
    run("ConsoleProducer", "--topic t", &lines(200..210));
    assert_eq!(read(10), lines(200..210), "it goes on where it was");
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let state = run(class, "--describe --group g --state", "");
    assert!(state.contains("Empty"), "{state}");
    let described = run(class, "--describe --group g", "");
    assert_eq!(described.lines().filter(|line| line.starts_with("g ")).count(), 3, "{described}");
    let listed = run(class, "--list --type consumer", "");
    assert!(listed.lines().any(|line| line.starts_with("g ")), "{listed}");
    run(class, "--delete-offsets --group g --topic t", "");
    run(class, "--delete --group g", "");
    assert_eq!(run(class, "--list", "").trim(), "");
}

#[test]
fn javas_consumer_reads_from_the_follower_in_its_rack() {
    let Some(tools) = in_test(Tools::for_version(apache::NEWEST)) else { return };
    let racks = ["a", "b"].map(str::to_owned).to_vec();
    let config = ClusterConfig { brokers: 2, racks, ..ClusterConfig::default() };
    let broker = Embedded::with_config(config);
    let rule = broker.with(|cluster| {
        cluster.create_topic("t", 1, 2).expect("made");
        assert_eq!(cluster.leader("t", 0).map(|leader| leader.node), Some(1));
        cluster.intercept(Intercept::on(ApiKey::Fetch).at(2))
    });
    let servers = broker.bootstrap();
    let run = |class: &str, arguments: &str, input: &str| {
        let all = format!("--bootstrap-server {servers} --topic t {arguments}");
        let arguments: Vec<&str> = all.split_whitespace().collect();
        let printed = tools.succeed(class, &arguments, input.as_bytes());
        String::from_utf8(printed.unwrap_or_else(|error| panic!("{error}"))).expect("text")
    };
    run("ConsoleProducer", "", "one\ntwo\n");
    let read = "--from-beginning --max-messages 2 --timeout-ms 60000";
    let printed = run("ConsoleConsumer", &format!("{read} --consumer-property client.rack=b"), "");
    assert!(printed.contains("one\ntwo\n"), "{printed}");
    assert!(broker.with(|cluster| cluster.control().matched(rule)) > 0, "it read at the leader");
}

#[test]
fn the_newest_java_tools_work() {
    java_tools(apache::NEWEST);
}

#[test]
fn the_oldest_java_tools_work() {
    java_tools(apache::OLDEST);
}

/// Topics made, described, grown and removed; records with keys and headers written and read by a
/// group that resumes; offsets; a performance test.
fn java_tools(version: &str) {
    let Some(tools) = in_test(Tools::for_version(version)) else { return };
    let broker = Embedded::start(3);
    let bootstrap = broker.bootstrap();
    let old = version == apache::OLDEST;
    let run = |class: &str, arguments: &str, input: &str| {
        let server =
            if old && class == "GetOffsetShell" { "--broker-list" } else { "--bootstrap-server" };
        let common = format!("{server} {bootstrap} {arguments}");
        let arguments: Vec<&str> = common.split_whitespace().collect();
        let printed = tools.succeed(class, &arguments, input.as_bytes());
        String::from_utf8(printed.unwrap_or_else(|error| panic!("{error}"))).expect("text")
    };
    topics(&broker, &run);
    records(&broker, !old, &run);
    groups(old, &run);
    let props = ["bootstrap.servers=", &bootstrap].concat();
    let performance = ["--topic", "perf", "--num-records", "50000", "--record-size", "100"];
    let rest = ["--throughput", "-1", "--producer-props", &props];
    let arguments = [&performance[..], &rest[..]].concat();
    let printed = tools.succeed("ProducerPerformance", &arguments, b"");
    let printed = printed.unwrap_or_else(|error| panic!("{error}"));
    assert!(String::from_utf8_lossy(&printed).contains("50000 records sent"));
    assert_eq!(broker.records("perf"), 50_000);
}

fn topics(broker: &Embedded, run: &dyn Fn(&str, &str, &str) -> String) {
    let settings = "--config max.message.bytes=2000000";
    let create = "--create --topic t --partitions 3 --replication-factor 2";
    run("TopicCommand", &format!("{create} {settings}"), "");
    assert_eq!(run("TopicCommand", "--list", "").trim(), "t");
    let described = run("TopicCommand", "--describe --topic t", "");
    assert!(described.contains("PartitionCount: 3"), "{described}");
    assert!(described.contains("max.message.bytes=2000000"), "{described}");
    run("TopicCommand", "--alter --topic t --partitions 5", "");
    assert_eq!(broker.with(|cluster| cluster.partitions("t")), Some(5));
    run("TopicCommand", "--delete --topic t", "");
    assert_eq!(broker.with(|cluster| cluster.partitions("t")), None);
}

/// The oldest console producer cannot write headers, only read them.
fn records(broker: &Embedded, headers: bool, run: &dyn Fn(&str, &str, &str) -> String) {
    broker.with(|cluster| cluster.create_topic("r", 1, 3)).expect("made");
    let [first, second] = if headers { ["h1:x,h2:y", "h1:z"] } else { ["NO_HEADERS"; 2] };
    if headers {
        let keyed = "--topic r --property parse.key=true --property parse.headers=true";
        run("ConsoleProducer", keyed, &format!("{first}\ta\t1\n{second}\tb\t2\n"));
    } else {
        run("ConsoleProducer", "--topic r --property parse.key=true", "a\t1\nb\t2\n");
    }
    assert_eq!(broker.records("r"), 2);
    let read = |count: u32| {
        let print = "--property print.key=true --property print.headers=true";
        let from = "--topic r --group g --from-beginning --timeout-ms 60000";
        let printed = run("ConsoleConsumer", &format!("{from} {print} --max-messages {count}"), "");
        // The newest prints there which of its options will be renamed.
        let records = printed.lines().filter(|line| line.contains('\t'));
        records.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(read(2), format!("{first}\ta\t1\n{second}\tb\t2\n"));
    run("ConsoleProducer", "--topic r", "3\n");
    assert_eq!(read(1), "NO_HEADERS\tnull\t3\n");
    assert_eq!(run("GetOffsetShell", "--topic r", "").trim(), "r:0:3");
    assert_eq!(run("GetOffsetShell", "--topic r --time -2", "").trim(), "r:0:0");
}

fn groups(old: bool, run: &dyn Fn(&str, &str, &str) -> String) {
    let package = if old { "kafka.admin" } else { "org.apache.kafka.tools.consumer.group" };
    let class = format!("{package}.ConsumerGroupCommand");
    assert_eq!(run(&class, "--list", "").trim(), "g");
    let described = run(&class, "--describe --group g", "");
    let row = described.lines().find(|line| line.starts_with("g ")).expect("a row");
    let columns: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(columns[1..6], ["r", "0", "3", "3", "0"], "{described}");
}

/// Only an end to waiting for what should come at once.
const PATIENCE: Duration = Duration::from_secs(60);
