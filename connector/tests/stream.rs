//! What a micro-batch query reads, batch by batch, on an embedded cluster: starts, transactions, losses, and topics that
//! change while it runs.

mod common;

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use common::{Row, World, numbers, plain, refs};
use klamm_client::{Client, Config};
use klamm_connector::error::{ErrorKind, Result};
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};
use klamm_connector::options::{ReadMode, SinkOptions};
use klamm_connector::query::{Query, QueryProgress, QuerySettings, Trigger};
use klamm_connector::sink::{ForeachBatch, Written, next_rows};
use klamm_connector::source::KafkaSource;
use klamm_protocol::api::ApiKey;
use klamm_testkit::control::Intercept;

const T: (&str, &str) = ("subscribe", "t");
const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");
const COMMITTED: (&str, &str) = ("kafka.isolation.level", "read_committed");
const FORGIVING: (&str, &str) = ("failOnDataLoss", "false");

/// The number of a batch, and its rows in order.
type Taken = (i64, Vec<Row>);

/// A query that is started again and again on one checkpoint, and what came out of it.
struct Job {
    world: World,
    checkpoint: tempfile::TempDir,
    taken: Arc<Mutex<Vec<Taken>>>,
    /// The next sequence number of producer 7.
    sequence: Cell<i32>,
}

impl Job {
    async fn new(topics: &[(&str, i32)]) -> Self {
        let checkpoint = tempfile::tempdir().unwrap();
        Self {
            world: World::new(topics).await,
            checkpoint,
            taken: Arc::default(),
            sequence: Cell::default(),
        }
    }

    async fn start(
        &self,
        trigger: Trigger,
        options: &[(&str, &str)],
    ) -> Result<Query<KafkaSource>> {
        let options = self.world.options(ReadMode::Stream, options)?;
        let source = KafkaSource::connect(options).await?;
        let taken = Arc::clone(&self.taken);
        let sink = ForeachBatch::new(move |batch, mut rows| {
            let taken = Arc::clone(&taken);
            async move {
                let mut all = Vec::new();
                while let Some(rows) = next_rows(&mut rows).await {
                    all.extend(plain(&rows?));
                }
                all.sort();
                let written = Written { rows: all.len() as u64, bytes: 0 };
                taken.lock().unwrap().push((batch, all));
                Ok(written)
            }
        });
        let checkpoint = self.checkpoint.path().to_owned();
        let settings = QuerySettings { checkpoint, trigger, name: None };
        Query::start(source, Box::new(sink), settings).await
    }

    /// One run over all that is there.
    async fn drain(&self, options: &[(&str, &str)]) -> Result<Vec<QueryProgress>> {
        let mut query = self.start(Trigger::AvailableNow, options).await?;
        let mut all = Vec::new();
        while let Some(progress) = query.next().await {
            all.push(progress?);
        }
        Ok(all)
    }

    /// The offsets of the rows of each batch that came since the last call.
    fn offsets(&self) -> Vec<Vec<i64>> {
        let taken = std::mem::take(&mut *self.taken.lock().unwrap());
        let offsets = |rows: Vec<Row>| rows.into_iter().map(|(_, offset, _)| offset).collect();
        taken.into_iter().map(|(_, rows)| offsets(rows)).collect()
    }

    /// The values of all batches that came since the last call, sorted.
    fn values(&self) -> Vec<String> {
        let taken = std::mem::take(&mut *self.taken.lock().unwrap());
        let rows = taken.into_iter().flat_map(|(_, rows)| rows);
        let mut values: Vec<_> = rows.map(|(_, _, value)| value.unwrap()).collect();
        values.sort();
        values
    }

    /// A transaction of producer 7 whose values are the offsets from `first` on.
    fn open(&self, first: i32, until: i32) {
        let sequence = self.sequence.replace(self.sequence.get() + until - first);
        self.world.append_open("t", 7, sequence, &refs(&numbers(first, until)));
    }

    fn end(&self, commit: bool) {
        self.world.end_transaction("t", 7, commit);
    }

    /// How many requests of a kind come while `work` runs.
    async fn requests(&self, key: ApiKey, work: impl Future<Output = ()>) -> u32 {
        let cluster = &self.world.cluster;
        let rule = cluster.with(|cluster| cluster.intercept(Intercept::on(key)));
        work.await;
        cluster.with(|cluster| cluster.control().matched(rule))
    }
}

fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

#[tokio::test]
async fn b085_a_stream_starts_in_each_partition_where_it_is_told() {
    let job = Job::new(&[("t", 5)]).await;
    for partition in 0..5 {
        let first = partition * 10;
        job.world.append("t", partition, 1, &refs(&numbers(first, first + 3)));
    }
    let start = ("startingOffsets", r#"{"t":{"0":-2,"1":-1,"2":0,"3":1,"4":2}}"#);
    job.drain(&[T, start]).await.unwrap();
    assert_eq!(job.values(), ["0", "1", "2", "20", "21", "22", "31", "32", "42"]);
}

#[tokio::test]
async fn b109_an_added_topic_starts_at_its_beginning_and_a_removed_one_is_told() {
    let job = Job::new(&[("t", 1), ("u", 1)]).await;
    job.world.append("t", 0, 1, &["1"]);
    job.world.append("u", 0, 1, &["2"]);
    job.drain(&[T, EARLIEST]).await.unwrap();
    let latest = ("startingOffsets", "latest");
    job.drain(&[("subscribe", "t,u"), latest]).await.unwrap();
    assert_eq!(job.values(), ["1", "2"]);
    let error = job.drain(&[("subscribe", "u"), latest]).await.unwrap_err();
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.PARTITIONS_DELETED"));
    assert!(error.message().contains("t-0"), "{error}");
    job.world.append("u", 0, 1, &["3"]);
    job.drain(&[("subscribe", "u"), latest, FORGIVING]).await.unwrap();
    assert_eq!(job.values(), ["3"]);
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
async fn b092_rows_are_counted_and_not_offsets() {
    let job = Job::new(&[("t", 1)]).await;
    job.open(0, 3);
    job.end(true);
    let progress = job.drain(&[T, EARLIEST]).await.unwrap();
    assert_eq!(progress[0].input_rows, 3);
    assert_eq!(progress[0].source.end, Some(PartitionOffsets::from([(t(0), 4)])));
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
async fn b147_a_marker_takes_an_offset() {
    let job = Job::new(&[("t", 1)]).await;
    let mut ends = Vec::new();
    for (first, commit) in [(0, true), (5, false), (10, true)] {
        job.open(first, first + 5);
        job.end(commit);
        ends.push(job.world.cluster.with(|cluster| cluster.log("t", 0).unwrap().end_offset()));
    }
    assert_eq!(ends, [6, 12, 18]);
    let progress = job.drain(&[T, EARLIEST, COMMITTED]).await.unwrap();
    assert_eq!(progress[0].source.end, Some(PartitionOffsets::from([(t(0), 18)])));
    assert_eq!(progress[0].input_rows, 10);
}

/// The log of 25 offsets with markers, aborted and committed transactions; `read` is called after each step.
async fn transactions(
    job: &Job,
    mut read: impl AsyncFnMut() -> Vec<Vec<i64>>,
) -> Vec<Vec<Vec<i64>>> {
    let mut seen = Vec::new();
    job.open(0, 5);
    seen.push(read().await);
    job.end(true);
    seen.push(read().await);
    job.open(6, 11);
    job.end(false);
    seen.push(read().await);
    job.open(12, 17);
    job.end(true);
    seen.push(read().await);
    for (first, until) in [(18, 19), (20, 21), (22, 24)] {
        job.open(first, until);
        job.end(true);
    }
    seen.push(read().await);
    seen
}

#[tokio::test]
async fn b148_b149_b150_b151_only_committed_records_come_and_offsets_go_on_beyond_the_others() {
    let job = Job::new(&[("t", 1)]).await;
    let options = [T, EARLIEST, COMMITTED, ("maxOffsetsPerTrigger", "3")];
    let seen = transactions(&job, async || {
        job.drain(&options).await.unwrap();
        job.offsets()
    })
    .await;
    // Nothing is stable yet: the first batch is empty.
    assert_eq!(seen[0], [NONE]);
    assert_eq!(seen[1], [vec![0, 1, 2], vec![3, 4]]);
    assert_eq!(seen[2], [NONE, NONE]);
    assert_eq!(seen[3], [vec![12, 13, 14], vec![15, 16]]);
    assert_eq!(seen[4], [vec![18, 20], vec![22, 23], NONE]);
}

#[tokio::test]
async fn b152_uncommitted_records_come_too_but_never_markers() {
    let job = Job::new(&[("t", 1)]).await;
    let options = [T, EARLIEST, ("maxOffsetsPerTrigger", "3")];
    let seen = transactions(&job, async || {
        job.drain(&options).await.unwrap();
        job.offsets()
    })
    .await;
    assert_eq!(seen[0], [vec![0, 1, 2], vec![3, 4]]);
    assert_eq!(seen[1], [NONE]);
    assert_eq!(seen[2], [vec![6, 7, 8], vec![9, 10]]);
    assert_eq!(seen[3], [vec![12, 13, 14], vec![15, 16]]);
    assert_eq!(seen[4], [vec![18, 20], vec![22, 23], NONE]);
}

#[tokio::test]
async fn b155_b138_a_range_whose_first_or_last_offset_is_invisible_loses_no_neighbour() {
    let job = Job::new(&[("t", 1)]).await;
    // 0..3 aborted, 3 marker, 4..6 committed, 6 marker, 7..9 plain, then a gap as of compaction.
    job.open(0, 3);
    job.end(false);
    job.open(4, 6);
    job.end(true);
    job.world.append("t", 0, 1, &["7", "8"]);
    job.world.append_at("t", 0, 20, "20");
    let committed = [T, COMMITTED];
    for from in 0..21_i64 {
        for until in from + 1..22 {
            let start = format!(r#"{{"t":{{"0":{from}}}}}"#);
            let end = format!(r#"{{"t":{{"0":{until}}}}}"#);
            let limits = [("startingOffsets", &*start), ("endingOffsets", &*end)];
            let rows = job.world.read(&[&committed[..], &limits[..]].concat()).await.unwrap();
            let offsets: Vec<_> = rows.into_iter().map(|(_, offset, _)| offset).collect();
            let visible = [4, 5, 7, 8, 20].into_iter().filter(|at| (from..until).contains(at));
            assert_eq!(offsets, visible.collect::<Vec<_>>(), "[{from},{until})");
        }
    }
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
async fn b127_b133_what_is_gone_fails_the_query_and_names_the_range() {
    let job = Job::new(&[("t", 1)]).await;
    job.world.append("t", 0, 1, &refs(&numbers(0, 4)));
    job.drain(&[T, EARLIEST]).await.unwrap();
    for first in [4, 8] {
        job.world.append("t", 0, 1, &refs(&numbers(first, first + 4)));
    }
    job.world.expire("t", 0, 8);
    let error = job.drain(&[T]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE"));
    let text = error.to_string();
    assert!(
        text.contains("Could not read records in offset [4, 12) for topic partition t-0"),
        "{text}"
    );
    assert_eq!(job.offsets(), [vec![0, 1, 2, 3]]);
    job.drain(&[T, FORGIVING]).await.unwrap();
    assert_eq!(job.offsets(), [vec![8, 9, 10, 11]]);
}

#[tokio::test]
async fn b139_b142_a_head_that_expires_while_it_is_read_is_left_out_and_nothing_comes_twice() {
    let job = Job::new(&[("t", 2)]).await;
    for first in (0..50).step_by(5) {
        for partition in 0..2 {
            job.world.append("t", partition, 1, &refs(&numbers(first, first + 5)));
        }
    }
    let options = [T, EARLIEST, FORGIVING, ("maxOffsetsPerTrigger", "20")];
    let mut query = job.start(Trigger::AvailableNow, &options).await.unwrap();
    let mut expired = 0;
    while let Some(progress) = query.next().await {
        progress.unwrap();
        expired = (expired + 15).min(45);
        job.world.expire("t", 0, expired);
    }
    let mut seen = Vec::new();
    for (_, rows) in job.taken.lock().unwrap().iter() {
        seen.extend(rows.iter().map(|(partition, offset, _)| (*partition, *offset)));
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all, "nothing comes twice");
    let whole = seen.iter().filter(|(partition, _)| *partition == 1).count();
    assert!(whole == 50 && all > 50 && all < 100, "{all} rows");
}

#[tokio::test]
async fn b132_b268_only_offsets_tell_that_a_topic_was_made_anew() {
    let job = Job::new(&[("t", 1)]).await;
    job.world.append("t", 0, 1, &refs(&numbers(0, 3)));
    // A start beyond the end is found where it is read.
    let beyond = ("startingOffsets", r#"{"t":{"0":9}}"#);
    assert!(job.drain(&[T, beyond]).await.is_err());
    let job = Job::new(&[("t", 1)]).await;
    job.world.append("t", 0, 1, &refs(&numbers(0, 3)));
    job.drain(&[T, EARLIEST]).await.unwrap();
    job.world.delete("t");
    job.world.create("t", 1);
    job.world.append("t", 0, 1, &refs(&numbers(100, 105)));
    // More records than before: the first three of the new topic are not missed by anybody.
    job.drain(&[T]).await.unwrap();
    assert_eq!(job.values(), ["0", "1", "103", "104", "2"]);
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
async fn b143_b144_topics_that_come_and_go_never_fail_a_forgiving_query() {
    let job = Job::new(&[("t0", 1)]).await;
    job.world.append("t0", 0, 1, &["0"]);
    let options = [("subscribePattern", "t[0-9]"), EARLIEST, FORGIVING];
    job.drain(&options).await.unwrap();
    let mut value = 0;
    for round in 0..24 {
        let topic = format!("t{}", round * 7 % 4);
        let there = job.world.cluster.with(|cluster| cluster.log(&topic, 0).is_some());
        match (there, round % 3) {
            (true, 0) => job.world.delete(&topic),
            (false, _) => job.world.create(&topic, 1 + round % 2),
            _ => {}
        }
        if job.world.cluster.with(|cluster| cluster.log(&topic, 0).is_some()) {
            value += 1;
            job.world.append(&topic, 0, 1, &[&value.to_string()]);
        }
        job.drain(&options).await.unwrap();
    }
    let values = job.values();
    let mut once = values.clone();
    once.dedup();
    assert!(values.len() > 5 && values == once, "{values:?}");
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
async fn b158_nulls_inside_of_transactions_come_as_nulls() {
    let job = Job::new(&[("t", 1)]).await;
    use klamm_protocol::records::{BatchBuilder, BatchOptions, ProducerStamp, RecordParts};
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (key, value) in [(None, None), (Some(&b"k"[..]), None), (None, Some(&b"v"[..]))] {
        builder.try_push(&RecordParts::new(1, key, value)).unwrap();
    }
    let mut batch = builder.seal();
    let stamp = ProducerStamp { producer_id: 7, epoch: 0, base_sequence: 0, transactional: true };
    batch.stamp(stamp);
    let bytes = batch.to_bytes();
    let append = |log: &mut klamm_testkit::log::PartitionLog| log.append(&bytes, 0, 1);
    job.world.cluster.with(|cluster| cluster.edit_log("t", 0, append)).unwrap();
    job.end(true);
    let rows = job.world.read(&[T, COMMITTED]).await.unwrap();
    assert_eq!(rows, [(0, 0, None), (0, 1, None), (0, 2, Some("v".into()))]);
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

/// A batch without rows.
const NONE: Vec<i64> = Vec::new();
