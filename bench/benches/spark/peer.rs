//! Klamm's side, in a process of its own. In: a task in words; out: the line that `measure` reads, once it is done, and then the wait
//! for the end of its input.

use std::fs::File;
use std::io::{Read as _, Write as _, stdin, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};
use klamm_connector::query::progress::Durations;
use klamm_connector::query::{Query, QuerySettings, Trigger};
use klamm_connector::sink::{ExactlyOnceSink, KafkaSink, Sink, next_rows};
use klamm_connector::source::{KafkaSource, ReadOrder, batch_read};
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Builder;

/// Does what the words say: verb, name, servers, topic, more, count.
pub(crate) fn run(task: &[String]) {
    let [verb, _, bootstrap, topic, more, _] = task else { panic!("{task:?}") };
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let (records, bytes) = runtime.block_on(async {
        match verb.as_str() {
            "sum" => sum(bootstrap, topic, "read_uncommitted").await,
            "committed" => sum(bootstrap, topic, "read_committed").await,
            "stream" => stream(bootstrap, topic, more).await,
            delivery => copy(delivery, bootstrap, topic, more).await,
        }
    });
    println!("{records} {bytes} 0 0");
    stdout().flush().unwrap();
    let _ = stdin().read(&mut [0]);
}

/// A batch read into Arrow: rows, and the sum of the values' lengths.
async fn sum(bootstrap: &str, topic: &str, isolation: &str) -> (u64, u64) {
    let mut pairs = source(bootstrap, topic);
    pairs.push(("kafka.isolation.level", isolation));
    let options = SourceOptions::from_pairs(ReadMode::Batch, pairs).unwrap();
    let mut rows = batch_read(options, ReadOrder::AsTheyCome).await.unwrap();
    let (mut records, mut bytes) = (0, 0);
    while let Some(batch) = next_rows(&mut rows).await {
        let batch = batch.unwrap();
        let values = batch.column_by_name("value").unwrap().as_binary_view();
        assert_eq!(values.null_count(), 0);
        records += values.len() as u64;
        bytes += values.lengths().map(u64::from).sum::<u64>();
    }
    (records, bytes)
}

/// A copy as a query with a checkpoint, until all is copied; `more` is the target and the limit of a batch.
async fn copy(delivery: &str, bootstrap: &str, topic: &str, more: &str) -> (u64, u64) {
    let (to, limit) = more.split_once(' ').unwrap();
    let mut pairs = source(bootstrap, topic);
    pairs.push(("maxOffsetsPerTrigger", limit));
    let checkpoint = tempfile::tempdir().unwrap();
    let mut query = query(delivery, &pairs, to, Trigger::AvailableNow, checkpoint.path()).await;
    let mut records = 0;
    while let Some(progress) = query.next().await {
        records += progress.unwrap().output_rows;
    }
    (records, 0)
}

/// A copy as a query that goes on until its input ends; `more` is the target. Tells where the time of its batches went.
async fn stream(bootstrap: &str, topic: &str, more: &str) -> (u64, u64) {
    let checkpoint = tempfile::tempdir().unwrap();
    let pairs = source(bootstrap, topic);
    let mut query =
        query("at-least-once", &pairs, more, Trigger::AsSoonAsData, checkpoint.path()).await;
    let stopper = query.stopper();
    tokio::spawn(async move {
        let _ = tokio::io::stdin().read(&mut [0]).await;
        stopper.stop();
    });
    let mut all = Vec::new();
    while let Some(progress) = query.next().await {
        all.push(progress.unwrap());
    }
    let parts = [
        ("looking for the end", |d| d.latest_offset),
        ("planning", |d| d.query_planning),
        ("offsets log", |d| d.wal_commit),
        ("moving rows", |d| d.add_batch),
        ("commit log", |d| d.commit_offsets),
        ("all", |d| d.trigger_execution),
    ] as [(_, fn(&Durations) -> Duration); 6];
    for (name, part) in parts {
        let mut times: Vec<_> = all.iter().map(|progress| part(&progress.durations)).collect();
        times.sort_unstable();
        println!("klamm, {name}: {:?}", times[times.len() / 2]);
    }
    println!("klamm, one small file and its folder synced: {:?}", fsync(checkpoint.path()));
    (all.iter().map(|progress| progress.output_rows).sum(), 0)
}

/// What the disk takes for one file of a checkpoint, of which a batch writes two: the median of 50.
fn fsync(folder: &Path) -> Duration {
    let mut times: Vec<_> = (0..50)
        .map(|number| {
            let start = Instant::now();
            let mut file = File::create(folder.join(format!("fsync-{number}"))).unwrap();
            file.write_all(&[b'x'; 500]).unwrap();
            file.sync_all().unwrap();
            File::open(folder).unwrap().sync_all().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

async fn query(
    delivery: &str,
    source: &[(&str, &str)],
    to: &str,
    trigger: Trigger,
    checkpoint: &Path,
) -> Query<KafkaSource> {
    let (_, bootstrap) = source[0];
    let mut options = vec![("kafka.bootstrap.servers", bootstrap), ("topic", to)];
    if trigger == Trigger::AvailableNow {
        // As Spark is given for copies: records wait a little, and batches are large.
        options.extend([("kafka.linger.ms", "5"), ("kafka.batch.size", "262144")]);
    }
    let sink = SinkOptions::from_pairs(options).unwrap();
    let sink: Box<dyn Sink> = match delivery {
        "at-least-once" => Box::new(KafkaSink::connect(&sink).await.unwrap()),
        "exactly-once" => Box::new(ExactlyOnceSink::connect(&sink).await.unwrap()),
        other => panic!("{other}"),
    };
    let options = SourceOptions::from_pairs(ReadMode::Stream, source.iter().copied()).unwrap();
    let source = KafkaSource::connect(options).await.unwrap();
    let settings = QuerySettings { checkpoint: checkpoint.to_owned(), trigger, name: None };
    Query::start(source, sink, settings).await.unwrap()
}

fn source<'a>(bootstrap: &'a str, topic: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("kafka.bootstrap.servers", bootstrap),
        ("subscribe", topic),
        ("startingOffsets", "earliest"),
    ]
}
