//! What a micro-batch query asks an embedded cluster for, batch by batch, and what it does when that fails.

mod common;

use std::ops::Deref;

use common::{World, numbers, refs};
use klamm_client::{Client, Config};
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};
use klamm_connector::options::SinkOptions;
use klamm_connector::query::Trigger;
use klamm_protocol::api::ApiKey;
use klamm_testkit::control::Intercept;

const T: (&str, &str) = ("subscribe", "t");
const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");

/// A query on a cluster of its own.
struct Job {
    world: World,
    job: common::job::Job,
}

impl Job {
    async fn new(topics: &[(&str, i32)]) -> Self {
        let world = World::new(topics).await;
        let job = common::job::Job::at(&world);
        Self { world, job }
    }

    /// How many requests of a kind come while `work` runs.
    async fn requests(&self, key: ApiKey, work: impl Future<Output = ()>) -> u32 {
        let cluster = &self.world.cluster;
        let rule = cluster.with(|cluster| cluster.intercept(Intercept::on(key)));
        work.await;
        cluster.with(|cluster| cluster.control().matched(rule))
    }
}

impl Deref for Job {
    type Target = common::job::Job;

    fn deref(&self) -> &Self::Target {
        &self.job
    }
}

fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

#[tokio::test]
async fn b111_no_offset_is_committed_to_a_group() {
    let job = Job::new(&[("t", 1)]).await;
    job.world.append("t", 0, 1, &["1"]);
    let group = ("kafka.group.id", "mine");
    let commits = job
        .requests(ApiKey::OffsetCommit, async {
            job.drain(&[T, EARLIEST, group]).await.unwrap();
        })
        .await;
    assert_eq!((commits, job.values().len()), (0, 1));
}

#[tokio::test]
async fn b112_b125_a_minimum_skips_before_a_maximum_cuts() {
    let job = Job::new(&[("t", 2)]).await;
    job.world.append("t", 0, 1, &refs(&numbers(0, 30)));
    job.world.append("t", 1, 1, &refs(&numbers(30, 40)));
    let options = [T, EARLIEST, ("minOffsetsPerTrigger", "16"), ("maxOffsetsPerTrigger", "20")];
    let progress = job.drain(&options).await.unwrap();
    // 20 · 30/40 and 20 · 10/40; then 20 are left, which are enough for one more.
    assert_eq!(progress.iter().map(|batch| batch.input_rows).collect::<Vec<_>>(), [20, 20]);
    assert_eq!(progress[0].source.end, Some(PartitionOffsets::from([(t(0), 15), (t(1), 5)])));
    job.world.append("t", 1, 1, &refs(&numbers(40, 55)));
    let mut query = job.start(Trigger::Once, &options).await.unwrap();
    // One batch with all there is knows neither.
    assert_eq!(query.next().await.unwrap().unwrap().input_rows, 15);
}

#[tokio::test]
async fn b156_what_was_fetched_beyond_a_batch_comes_in_the_next_and_only_there() {
    let job = Job::new(&[("t", 1)]).await;
    job.world.append("t", 0, 1, &refs(&numbers(0, 8)));
    let fetches = job
        .requests(ApiKey::Fetch, async {
            job.drain(&[T, EARLIEST, ("maxOffsetsPerTrigger", "4")]).await.unwrap();
        })
        .await;
    assert_eq!(job.offsets(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
    assert!(fetches <= 2, "{fetches} requests for one batch of eight records");
}

#[tokio::test]
async fn b141_a_broker_that_gives_nothing_ends_in_a_timeout_that_names_the_offset() {
    let job = Job::new(&[("t", 1)]).await;
    job.world.append("t", 0, 1, &["0"]);
    let silent = Intercept::on(ApiKey::Fetch).with(klamm_testkit::control::Fault::Swallow);
    job.world.cluster.with(|cluster| cluster.intercept(silent));
    for fail in ["true", "false"] {
        let options =
            [T, EARLIEST, ("failOnDataLoss", fail), ("kafkaConsumer.pollTimeoutMs", "600")];
        let error = job.drain(&options).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("Cannot fetch record for offset 0 in 600 milliseconds"), "{text}");
    }
}

#[tokio::test]
async fn b102_a_batch_that_failed_runs_again_although_partitions_were_added() {
    let job = Job::new(&[("t", 1)]).await;
    job.world.append("t", 0, 1, &["0", "1"]);
    let refuse = Intercept::on(ApiKey::Fetch)
        .fail(klamm_protocol::code::ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let rule = job.world.cluster.with(|cluster| cluster.intercept(refuse));
    job.drain(&[T, EARLIEST]).await.unwrap_err();
    let config = Config::new(&job.world.cluster.bootstrap()).unwrap();
    let client = Client::connect(config).await.unwrap();
    assert!(client.create_partitions(&[("t", 2)]).await[0].is_ok());
    job.world.append("t", 1, 1, &["10"]);
    // The same error again, and not one about partitions.
    let again = job.drain(&[T, EARLIEST]).await.unwrap_err();
    assert!(again.to_string().contains("t"), "{again}");
    assert_eq!(again.kind(), ErrorKind::Client, "{again}");
    job.world.cluster.with(|cluster| cluster.control().remove(rule));
    let progress = job.drain(&[T, EARLIEST]).await.unwrap();
    assert_eq!(progress.len(), 2);
    assert_eq!(job.values(), ["0", "1", "10"]);
}

#[tokio::test]
async fn b267_triggers_without_data_ask_only_for_the_ends_of_the_logs() {
    let job = Job::new(&[("t", 4)]).await;
    job.world.append("t", 0, 1, &["0"]);
    let mut query = job.start(Trigger::AsSoonAsData, &[T, EARLIEST]).await.unwrap();
    query.next().await.unwrap().unwrap();
    let rule = job.world.cluster.with(|cluster| cluster.intercept(Intercept::any()));
    let stopper = query.stopper();
    let (next, ()) = tokio::join!(query.next(), async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        stopper.stop();
    });
    assert!(next.is_none());
    let mut counts = std::collections::BTreeMap::new();
    job.world.cluster.with(|cluster| {
        for seen in cluster.control().observed(rule) {
            *counts.entry(seen.api_key).or_insert(0) += 1;
        }
    });
    // One request a trigger for each of the two leaders, and perhaps the metadata of the partitions.
    let asked = counts.remove(&ApiKey::ListOffsets).unwrap_or_default();
    let metadata = counts.remove(&ApiKey::Metadata).unwrap_or_default();
    assert!(
        asked >= 4 && metadata <= asked / 2 + 1 && counts.is_empty(),
        "{asked} {metadata} {counts:?}"
    );
}

#[test]
fn b104_b105_b106_b107_b157_triggers_that_are_not_batches_are_refused_by_name() {
    for trigger in ["continuous", "continuous:1s", "real-time"] {
        let error = trigger.parse::<Trigger>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(error.to_string().contains("micro-batches"), "{error}");
    }
}

#[test]
fn b108_progress_is_never_written_behind_the_batch() {
    let pairs = [("kafka.bootstrap.servers", "none:1"), ("asyncProgressTrackingEnabled", "true")];
    let error = SinkOptions::from_pairs(pairs).unwrap_err();
    assert!(error.to_string().contains("asyncProgressTrackingEnabled"), "{error}");
}
