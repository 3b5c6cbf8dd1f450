//! Single records through a running query. In: two topics and a query between them; out: how long each of 200 records takes from its
//! producer to a reader of the other topic, each produced after the one before came out.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config};
use klamm_protocol::records::RecordParts;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::PEER;
use crate::scene::{PARTITIONS, Scene};
use crate::theirs::Spark;

/// Measures both and prints the table.
pub(crate) fn compare(scene: &Scene, spark: &mut Spark) {
    let (from, to) = (scene.empty(), scene.empty());
    let checkpoint = tempfile::tempdir().unwrap();
    let servers = scene.bootstrap();
    spark.ask(&json!({
        "do": "start", "name": "latency", "checkpoint": checkpoint.path(), "trigger": "0 seconds",
        "options": {"kafka.bootstrap.servers": servers, "subscribe": from, "startingOffsets": "earliest"},
        "sink": {"kafka.bootstrap.servers": servers, "topic": to},
    }));
    let theirs = measure(servers, &from, &to);
    spark.ask(&json!({"do": "stop", "name": "latency"}));

    let (from, to) = (scene.empty(), scene.empty());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([PEER, "stream", "klamm", servers, &from, &to, "0"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let ours = measure(servers, &from, &to);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    println!("\n### latency: {RECORDS} records, one after the other\n");
    println!("| who | median ms | 99th percentile |\n|:--|--:|--:|");
    for (name, times) in [("spark", &theirs), ("klamm", &ours)] {
        let at = |share: usize| {
            times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3
        };
        println!("| {name} | {:.2} | {:.2} |", at(50), at(99));
    }
    println!();
}

/// The times of the records, sorted.
fn measure(servers: &str, from: &str, to: &str) -> Vec<Duration> {
    Runtime::new().unwrap().block_on(async {
        let client = Client::connect(Config::new(servers).unwrap()).await.unwrap();
        let mut options = ProducerOptions::default();
        options.linger = Duration::ZERO;
        let producer = client.producer(options).unwrap();
        let ranges = (0..PARTITIONS).map(|partition| OffsetRange {
            topic: to.into(),
            partition,
            start: 0,
            stop: i64::MAX,
        });
        let mut reader = client.read_ranges(ranges.collect(), ReadOptions::default());
        let mut times = Vec::new();
        for number in 0..WARM_UP + RECORDS {
            let start = Instant::now();
            let value = number.to_string();
            let record = RecordParts::new(now_ms(), None, Some(value.as_bytes()));
            let partition = i32::try_from(number).unwrap() % PARTITIONS;
            let ticket = producer.append(from, Some(partition), record).await.unwrap();
            let seen = reader.next().await.unwrap().unwrap();
            if number >= WARM_UP {
                times.push(start.elapsed());
            }
            let record = seen.records().next().unwrap().unwrap();
            assert_eq!(record.value(), Some(value.as_bytes()));
            ticket.delivered().await.into_result().unwrap();
        }
        times.sort_unstable();
        times
    })
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

const RECORDS: usize = 200;
/// Spark's first batches compile.
const WARM_UP: usize = 50;
