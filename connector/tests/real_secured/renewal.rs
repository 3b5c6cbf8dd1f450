//! Queries whose logins last five seconds, tokens ten, and certificates as long as a test lets them, while records come:
//! each record arrives once, and no error shows.
//!
//! `KLAMM_RENEWAL_SECONDS=600` has it go on for ten minutes; by default it is half of one.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use klamm_client::Client;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::producer::ProducerOptions;
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};
use klamm_connector::query::{Query, QuerySettings, Stopper, Trigger};
use klamm_connector::sink::KafkaSink;
use klamm_connector::source::KafkaSource;
use klamm_protocol::records::RecordParts;
use tokio::task::JoinHandle;

use super::ground::{Ground, Options, TOKENS, run};

#[test]
fn a_query_outlives_its_logins_its_tokens_and_its_certificates() {
    let Some(ground) = Ground::start() else { return };
    let time = std::env::var("KLAMM_RENEWAL_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(time.unwrap_or(30));
    let checkpoints = tempfile::tempdir().expect("a folder");
    run(async {
        let admin = ground.admin().await;
        let ways = [("bearer", ground.by_bearer()), ("delegation", ground.by_delegation())];
        let mut running = Vec::new();
        ground.topic(&admin, "in", 1).await;
        for (name, options) in ways {
            ground.topic(&admin, name, 1).await;
            running.push((name, start(&options, name, &checkpoints.path().join(name)).await));
        }
        let written = records_come(&ground, &admin, time).await;
        for (name, (stopper, query)) in running {
            let last = arrived(&admin, name, written).await;
            assert_eq!(last, written, "{name}: each record once, in order");
            stopper.stop();
            let batches = query.await.expect("it did not panic");
            assert!(batches > 10, "{name}: {batches} batches");
        }
        let least = (time.as_secs() / TOKENS.as_secs()) as usize;
        assert!(ground.tokens_asked() >= least, "{} tokens", ground.tokens_asked());
    });
}

/// A query that copies until it is stopped, and fails the test with its first error.
async fn start(options: &Options, to: &str, checkpoint: &Path) -> (Stopper, JoinHandle<usize>) {
    let with = |more: [(&'static str, &str); 2]| {
        let more = more.map(|(name, value)| (name, value.to_owned()));
        [options.clone(), more.into()].concat()
    };
    let source = with([("subscribe", "in"), ("startingOffsets", "earliest")]);
    let source = SourceOptions::from_pairs(ReadMode::Stream, source).expect("options");
    let source = KafkaSource::connect(source).await.expect("it is let in");
    let sink = with([("topic", to), ("kafka.linger.ms", "0")]);
    let sink = SinkOptions::from_pairs(sink).expect("options");
    let sink = Box::new(KafkaSink::connect(&sink).await.expect("it is let in"));
    let settings = QuerySettings {
        checkpoint: checkpoint.to_owned(),
        trigger: Trigger::AsSoonAsData,
        name: None,
    };
    let mut query = Query::start(source, sink, settings).await.expect("it starts");
    let stopper = query.stopper();
    let batches = tokio::spawn(async move {
        let mut batches = 0;
        while let Some(progress) = query.next().await {
            progress.expect("no error reaches the user");
            batches += 1;
        }
        batches
    });
    (stopper, batches)
}

/// Writes numbers for a while, and swaps certificates meanwhile; returns how many.
async fn records_come(ground: &Ground, admin: &Client, time: Duration) -> u64 {
    let producer = admin.producer(ProducerOptions::default()).expect("options");
    let (begun, mut swaps, mut written) = (Instant::now(), 0, 0_u64);
    while begun.elapsed() < time {
        for _ in 0..20 {
            let value = written.to_be_bytes();
            let record = RecordParts::new(now_ms(), None, Some(&value));
            let _ = producer.append("in", Some(0), record).await.expect("room");
            written += 1;
        }
        producer.flush().await.expect("written");
        // A third of the time at least, and thirty seconds at most.
        if begun.elapsed() > (time / 3).min(Duration::from_secs(30)) * (swaps + 1) {
            ground.swap_certificates(admin).await;
            swaps += 1;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(swaps >= 2, "certificates were swapped {swaps} times");
    written
}

/// How many numbers of so many are in the topic, each where it belongs.
async fn arrived(admin: &Client, topic: &str, wanted: u64) -> u64 {
    let range = OffsetRange { topic: topic.into(), partition: 0, start: 0, stop: i64::MAX };
    let mut reader = admin.read_ranges(vec![range], ReadOptions::default());
    let mut next = 0_u64;
    while next < wanted {
        let batch = tokio::time::timeout(Duration::from_secs(30), reader.next()).await;
        let Ok(Some(batch)) = batch else { break };
        for record in batch.expect("records").records() {
            let value = record.expect("a record").value().map(<[u8]>::to_vec);
            assert_eq!(value.as_deref(), Some(&next.to_be_bytes()[..]), "{topic}");
            next += 1;
        }
    }
    next
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    i64::try_from(since.as_millis()).expect("a time")
}
