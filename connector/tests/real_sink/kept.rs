//! What is kept between batches, and what a checkpoint makes of it: readers, producers, plans and commits.

use std::path::Path;

use klamm_client::consumer::{OffsetRange as Wanted, ReadOptions};
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::TopicPartition;
use klamm_connector::offsets::range::OffsetRange;
use klamm_connector::options::{PoolOptions, ProducerPoolOptions};
use klamm_connector::query::{Query, QueryProgress, QuerySettings, Trigger};
use klamm_connector::sink::{BatchWrite, ExactlyOnceSink, KafkaSink, ProducerPool, Sink};
use klamm_connector::source::pool::{ReaderKey, ReaderPool};
use klamm_connector::source::{KafkaSource, StreamSource as _};
use klamm_protocol::api::ApiKey;

use super::common::{collect, numbers, once, refs};
use super::*;

fn requests(client: &Client, api: ApiKey) -> u64 {
    let brokers = client.counters().brokers.into_iter();
    brokers.map(|broker| broker.apis.get(&api).map_or(0, |of| of.requests)).sum()
}

/// Starts a query from one topic to another, three offsets a batch.
async fn start(
    real: &Real,
    from: &str,
    sink: impl Sink + 'static,
    checkpoint: &Path,
) -> Result<Query<KafkaSource>> {
    let pairs = [
        ("kafka.bootstrap.servers", real.bootstrap.as_str()),
        ("subscribe", from),
        ("startingOffsets", "earliest"),
        ("maxOffsetsPerTrigger", "3"),
    ];
    let source = KafkaSource::connect(SourceOptions::from_pairs(ReadMode::Stream, pairs)?).await?;
    let checkpoint = checkpoint.to_owned();
    let settings = QuerySettings { checkpoint, trigger: Trigger::AvailableNow, name: None };
    Query::start(source, Box::new(sink), settings).await
}

async fn drain(query: Result<Query<KafkaSource>>) -> Result<Vec<QueryProgress>> {
    let (mut query, mut all) = (query?, Vec::new());
    while let Some(progress) = query.next().await {
        all.push(progress?);
    }
    Ok(all)
}

async fn fill(real: &Real, topic: &str, range: std::ops::Range<i32>) {
    let values = numbers(range.start, range.end);
    let _ = real.write(&[("topic", topic)], vec![("value", text(&refs(&values)))]).await.unwrap();
}

#[test]
fn b175_b179_b184_b185_b192_a_batch_without_a_commit_runs_again_to_its_planned_end() {
    on_kafka(async |real| {
        for topic in ["planned", "planned-too", "planned-once", "planned-again"] {
            real.topic(topic, 1).await;
        }
        for (from, to, rows) in
            [("planned", "planned-once", 12), ("planned-too", "planned-again", 14)]
        {
            fill(&real, from, 0..8).await;
            let options = real.options(&[("topic", to)]);
            let sink = async || match to {
                "planned-once" => {
                    Box::new(ExactlyOnceSink::connect(&options).await.unwrap()) as Box<dyn Sink>
                }
                _ => Box::new(KafkaSink::connect(&options).await.unwrap()),
            };
            let dir = tempfile::tempdir().unwrap();
            let run = drain(start(&real, from, sink().await, dir.path()).await).await.unwrap();
            let told: Vec<_> = run.iter().map(|one| (one.batch_id, one.output_rows)).collect();
            assert_eq!(told, [(0, 3), (1, 3), (2, 2)]);
            assert_eq!(std::fs::read(dir.path().join("sources/0/0")).unwrap()[0], 0);
            // The crash comes before the commit, and more arrives meanwhile: the plan is what counts.
            std::fs::remove_file(dir.path().join("commits/2")).unwrap();
            fill(&real, from, 8..12).await;
            let running = start(&real, from, sink().await, dir.path()).await.unwrap();
            let second = drain(start(&real, from, sink().await, dir.path()).await).await;
            assert_eq!(second.unwrap_err().kind(), ErrorKind::CheckpointInUse);
            let again = drain(Ok(running)).await.unwrap();
            let told: Vec<_> = again.iter().map(|one| (one.batch_id, one.output_rows)).collect();
            assert_eq!(told, [(2, 2), (3, 3), (4, 1)], "{to}");
            let committed = real.batches(to, &[("kafka.isolation.level", "read_committed")]).await;
            let there: usize = committed.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(there, rows, "{to}");
        }
    });
}

#[test]
fn b200_b201_b203_micro_batches_go_on_with_what_those_before_have_left() {
    on_kafka(async |real| {
        real.topic("small", 1).await;
        fill(&real, "small", 0..100).await;
        let client = Client::connect(Config::new(&real.bootstrap).unwrap()).await.unwrap();
        let pairs = [("kafka.bootstrap.servers", real.bootstrap.as_str()), ("subscribe", "small")];
        let options = SourceOptions::from_pairs(ReadMode::Stream, pairs).unwrap();
        let mut source = KafkaSource::new(client.clone(), options);
        let mut all = Vec::new();
        for from in (0..100).step_by(5) {
            let range = OffsetRange::new(TopicPartition::new("small", 0), from, from + 5);
            let rows = collect(source.read(vec![range])).await.unwrap();
            all.extend(rows.into_iter().map(|(.., value)| value.unwrap()));
        }
        assert_eq!(all, numbers(0, 100));
        assert_eq!(requests(&client, ApiKey::Fetch), 1, "twenty batches of one record batch");
        let readers = ReaderPool::new(&PoolOptions::default());
        let key = ReaderKey { group: "g".into(), partition: None };
        let lease = |attempt| {
            readers.lease(&key, attempt, (&client, &[]), &ReadOptions::default()).unwrap()
        };
        // A second attempt and a renewed credential use nothing that was kept.
        for (attempt, created) in [(0, 1), (0, 1), (1, 2)] {
            assert_eq!(offsets(lease(attempt), 10, 20).await, (10..20).collect::<Vec<_>>());
            assert_eq!(readers.counters().created, created);
        }
        readers.renew();
        assert_eq!(offsets(lease(0), 20, 30).await, (20..30).collect::<Vec<_>>());
        assert_eq!(readers.counters().created, 3);
    });
}

async fn offsets(
    mut lease: klamm_connector::source::pool::ReaderLease,
    start: i64,
    stop: i64,
) -> Vec<i64> {
    lease.add(vec![Wanted { topic: "small".into(), partition: 0, start, stop }]).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = lease.next().await {
        all.extend(batch.unwrap().records().map(|record| record.unwrap().offset()));
    }
    lease.give_back();
    all
}

#[test]
fn b208_b209_b210_sinks_with_the_same_options_share_a_producer_that_ages_out() {
    on_kafka(async |real| {
        real.topic("shared", 3).await;
        let timeout = Duration::from_millis(200);
        let pool = ProducerPool::new(&ProducerPoolOptions { timeout, look_every: None });
        let mut writes = tokio::task::JoinSet::new();
        for n in 0..30 {
            let acks = if n % 3 == 0 { "1" } else { "all" };
            let options = real.options(&[("topic", "shared"), ("kafka.acks", acks)]);
            let values = numbers(n * 100, n * 100 + 100);
            let batch = RecordBatch::try_from_iter([("value", text(&refs(&values)))]).unwrap();
            writes.spawn(BatchWrite::new(&options).with_pool(&pool).rows(once(batch)));
        }
        while let Some(written) = writes.join_next().await {
            assert_eq!(written.unwrap().unwrap().rows, 100);
        }
        assert_eq!((pool.made(), pool.len()), (2, 2));
        tokio::time::sleep(2 * timeout).await;
        assert_eq!((pool.evict(), pool.len()), (2, 0));
        let mut there: Vec<i32> =
            real.values("shared").await.iter().map(|value| value.parse().unwrap()).collect();
        there.sort_unstable();
        assert_eq!(there, (0..3_000).collect::<Vec<_>>());
    });
}
