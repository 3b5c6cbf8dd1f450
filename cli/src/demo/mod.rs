//! `klamm demo`: the main job with nothing installed. A number of records in; out comes what happened, and whether
//! every record arrived.
//!
//! The copy is `klamm stream --delivery exactly-once` itself, in a process of its own against the embedded broker, so
//! that the kill on the way is a real one: SIGKILL, in the middle of a batch, with a checkpoint on disk and a transaction
//! open.

mod check;
mod copy;
mod data;

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray as _;
use indicatif::{HumanBytes, HumanCount};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config};
use klamm_connector::options::{ReadMode, SourceOptions};
use klamm_connector::sink::next_rows;
use klamm_connector::source::{ReadOrder, batch_read};
use klamm_protocol::records::RecordParts;
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::EmbeddedCluster;

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::output::print_line;
use check::{Checker, Verdict};
use copy::Copy;

pub(crate) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let records = args.records;
    let cluster = EmbeddedCluster::start(ClusterConfig::default()).await?;
    let server = cluster.bootstrap();
    for topic in [SOURCE, TARGET] {
        let made = cluster.with(|cluster| cluster.create_topic(topic, PARTITIONS, 1));
        made.map_err(|refusal| Failure::failed(refusal.code.meaning()))?;
    }
    print_line(&format!(
        "broker     an embedded one at {server}, {PARTITIONS} partitions a topic"
    ))?;

    let started = Instant::now();
    write(&server, records).await?;
    let bytes = records * data::VALUE_BYTES as u64;
    report("wrote", records, started.elapsed(), &format!(" ({})", HumanBytes(bytes)))?;

    let folder = tempfile::tempdir()?;
    let copy = Copy::new(&server, folder.path(), records);
    let started = Instant::now();
    let killed = copy.run_and_kill().await?;
    print_line(&format!(
        "killed     the query with SIGKILL after {killed} committed batches, {:.2} s in",
        started.elapsed().as_secs_f64()
    ))?;
    let (resumed, rows) = copy.resume().await?;
    report(
        "resumed",
        rows,
        resumed.elapsed,
        &format!(", {} batches, to the end", resumed.batches),
    )?;

    let started = Instant::now();
    let verdict = check(&server, records).await?;
    report("checked", verdict.present + verdict.again, started.elapsed(), ", record by record")?;
    cluster.stop().await;
    judge(records, verdict)
}

/// Writes the records through the idempotent producer.
async fn write(server: &str, records: u64) -> Result<(), Failure> {
    let properties = [("bootstrap.servers", server), ("batch.size", "131072")];
    let client = Client::connect(Config::from_properties(properties)?).await?;
    let producer = client.producer(ProducerOptions::from_config(client.config()))?;
    let mut value = Vec::with_capacity(data::VALUE_BYTES);
    for number in 0..records {
        data::value(number, &mut value);
        let key = data::key(number);
        let parts = RecordParts::new(FIRST_TIMESTAMP, Some(key.as_bytes()), Some(&value));
        // The outcome of each record is what `flush` reports.
        drop(producer.append(SOURCE, None, parts).await?);
    }
    producer.flush().await?;
    Ok(producer.close(Duration::from_secs(10)).await?)
}

/// Reads the whole target and follows every record.
async fn check(server: &str, records: u64) -> Result<Verdict, Failure> {
    let committed = ("kafka.isolation.level", "read_committed");
    let pairs = [("kafka.bootstrap.servers", server), ("subscribe", TARGET), committed];
    let options = SourceOptions::from_pairs(ReadMode::Batch, pairs)?;
    let mut rows = batch_read(options, ReadOrder::AsTheyCome).await?;
    let mut checker = Checker::new(records);
    while let Some(batch) = next_rows(&mut rows).await {
        let batch = batch?;
        let (keys, values) = (batch.column(0).as_binary_view(), batch.column(1).as_binary_view());
        keys.iter().zip(values).for_each(|(key, value)| checker.take(key, value));
    }
    Ok(checker.verdict())
}

fn judge(records: u64, verdict: Verdict) -> Result<(), Failure> {
    let missing = records - verdict.present.min(records);
    let whole = [missing, verdict.wrong, verdict.disordered, verdict.again] == [0; 4];
    print_line(&format!(
        "result     {} of {} records, {missing} missing, {} wrong, {} out of order in their key, \
         {} twice (delivery is exactly once)",
        HumanCount(verdict.present),
        HumanCount(records),
        verdict.wrong,
        verdict.disordered,
        HumanCount(verdict.again),
    ))?;
    if whole { Ok(()) } else { Err(Failure::failed("the copy is not what was written")) }
}

fn report(what: &str, records: u64, took: Duration, more: &str) -> Result<(), Failure> {
    let seconds = took.as_secs_f64();
    let rate = (records as f64 / seconds.max(1e-3)) as u64;
    let (records, rate) = (HumanCount(records), HumanCount(rate));
    print_line(&format!("{what:<10} {records} records in {seconds:.2} s, {rate} a second{more}"))
}

const SOURCE: &str = "orders";
const TARGET: &str = "copy";
const PARTITIONS: i32 = 4;
/// All records carry the same time: what is copied must not depend on a clock.
const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;
