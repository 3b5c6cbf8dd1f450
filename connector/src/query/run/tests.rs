use std::sync::Mutex;

use arrow_array::Int64Array;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::*;
use crate::offsets::TopicPartition;
use crate::offsets::range::OffsetRange;
use crate::offsets::testing::offsets;
use crate::options::{ReadMode, SourceOptions};
use crate::sink::{SinkFuture, Written, next_rows};

/// A topic as two lists of limits, shared with the test.
#[derive(Default)]
pub(super) struct Topic {
    pub(super) earliest: PartitionOffsets,
    pub(super) latest: PartitionOffsets,
}

pub(super) type Shared<T> = Arc<Mutex<T>>;

/// A source whose rows are their offsets.
pub(super) struct Memory {
    pub(super) options: SourceOptions,
    pub(super) topic: Shared<Topic>,
}

impl StreamSource for Memory {
    fn options(&self) -> &SourceOptions {
        &self.options
    }

    fn description(&self) -> String {
        "memory".into()
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("offset", DataType::Int64, false)]))
    }

    async fn initial(&mut self) -> Result<PartitionOffsets> {
        let topic = self.topic.lock().unwrap();
        Ok(match self.options.starting() {
            OffsetsLimit::Latest => topic.latest.clone(),
            _ => topic.earliest.clone(),
        })
    }

    async fn latest(&mut self, _known: &PartitionOffsets) -> Result<PartitionOffsets> {
        Ok(self.topic.lock().unwrap().latest.clone())
    }

    async fn earliest(&mut self, partitions: Vec<TopicPartition>) -> Result<PartitionOffsets> {
        let topic = self.topic.lock().unwrap();
        let found =
            |tp: TopicPartition| topic.earliest.get(&tp).copied().map(|offset| (tp, offset));
        Ok(partitions.into_iter().filter_map(found).collect())
    }

    fn read(&mut self, ranges: Vec<OffsetRange>) -> RowStream {
        let schema = self.schema();
        let batches = ranges.into_iter().map(move |range| {
            let column = Int64Array::from_iter_values(range.from..range.until);
            Ok(RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).unwrap())
        });
        Box::pin(Batches(batches.collect::<Vec<_>>().into_iter()))
    }
}

struct Batches(std::vec::IntoIter<Result<RecordBatch>>);

impl Stream for Batches {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// Keeps the offsets of each batch; fails as often as it is told to, after it has taken the rows.
#[derive(Clone, Default)]
pub(super) struct Kept {
    pub(super) batches: Shared<Vec<(i64, Vec<i64>)>>,
    failures: Shared<usize>,
}

impl Sink for Kept {
    fn description(&self) -> String {
        "kept".into()
    }

    fn check(&self, _schema: &SchemaRef) -> Result<()> {
        Ok(())
    }

    fn write_batch<'a>(&'a mut self, mut batch: Batch<'a>) -> SinkFuture<'a> {
        Box::pin(async move {
            let (batch_id, mut rows) = (batch.id(), batch.rows());
            let mut taken = Vec::new();
            while let Some(batch) = next_rows(&mut rows).await {
                let batch = batch?;
                let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
                taken.extend(column.values().iter().copied());
            }
            let written = Written { rows: taken.len() as u64, bytes: 0 };
            self.batches.lock().unwrap().push((batch_id, taken));
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(Error::new(ErrorKind::Client, "the sink is down"));
            }
            Ok(written)
        })
    }
}

struct World {
    dir: tempfile::TempDir,
    topic: Shared<Topic>,
    sink: Kept,
}

impl World {
    fn new(latest: &[(&str, i32, i64)]) -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            topic: Shared::default(),
            sink: Kept::default(),
        };
        world.set(latest);
        world
    }

    /// Moves the end of the topic; partitions begin at 0.
    fn set(&self, latest: &[(&str, i32, i64)]) {
        let mut topic = self.topic.lock().unwrap();
        topic.latest = offsets(latest);
        topic.earliest = topic.latest.keys().map(|tp| (tp.clone(), 0)).collect();
    }

    async fn start(&self, trigger: Trigger, options: &[(&str, &str)]) -> Result<Query<Memory>> {
        let mut pairs = vec![
            ("kafka.bootstrap.servers", "none:1"),
            ("subscribe", "t"),
            ("startingOffsets", "earliest"),
        ];
        pairs.extend(options);
        let options = SourceOptions::from_pairs(ReadMode::Stream, pairs)?;
        let source = Memory { options, topic: Arc::clone(&self.topic) };
        let checkpoint = self.dir.path().join("checkpoint");
        let settings = QuerySettings { checkpoint, trigger, name: None };
        Query::start(source, Box::new(self.sink.clone()), settings).await
    }

    /// Runs to the end.
    async fn drain(
        &self,
        trigger: Trigger,
        options: &[(&str, &str)],
    ) -> Result<Vec<QueryProgress>> {
        let mut query = self.start(trigger, options).await?;
        let mut all = Vec::new();
        while let Some(progress) = query.next().await {
            all.push(progress?);
        }
        Ok(all)
    }

    fn batches(&self) -> Vec<(i64, Vec<i64>)> {
        self.sink.batches.lock().unwrap().clone()
    }

    fn has(&self, file: &str) -> bool {
        self.dir.path().join("checkpoint").join(file).exists()
    }
}

fn ids(batches: &[(i64, Vec<i64>)]) -> Vec<i64> {
    batches.iter().map(|(id, _)| *id).collect()
}

#[tokio::test]
async fn b097_available_now_takes_all_there_is_in_limited_batches() {
    let world = World::new(&[("t", 0, 15)]);
    let progress =
        world.drain(Trigger::AvailableNow, &[("maxOffsetsPerTrigger", "5")]).await.unwrap();
    assert_eq!(progress.len(), 3);
    let rows: Vec<_> = world.batches().into_iter().flat_map(|(_, rows)| rows).collect();
    assert_eq!(rows, (0..15).collect::<Vec<_>>());
    assert_eq!(progress[0].source.start, None);
    assert_eq!(progress[1].source.start, Some(offsets(&[("t", 0, 5)])));
    assert_eq!(progress[1].source.latest, Some(offsets(&[("t", 0, 15)])));
    assert_eq!((progress[2].input_rows, progress[2].output_rows), (5, 5));
}

#[tokio::test]
async fn b084_a_restart_goes_on_where_the_last_run_ended() {
    let world = World::new(&[("t", 0, 3)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    world.set(&[("t", 0, 5)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![0, 1, 2]), (1, vec![3, 4])]);
    // Nothing new: no batch, no file.
    assert!(world.drain(Trigger::AvailableNow, &[]).await.unwrap().is_empty());
    assert!(world.has("commits/1") && !world.has("offsets/2"));
}

#[tokio::test]
async fn b098_available_now_leaves_what_came_later() {
    let world = World::new(&[("t", 0, 4)]);
    let mut query =
        world.start(Trigger::AvailableNow, &[("maxOffsetsPerTrigger", "2")]).await.unwrap();
    query.next().await.unwrap().unwrap();
    world.set(&[("t", 0, 9)]);
    query.next().await.unwrap().unwrap();
    assert!(query.next().await.is_none());
    assert_eq!(world.batches(), [(0, vec![0, 1]), (1, vec![2, 3])]);
}

#[tokio::test]
async fn b103_once_ignores_limits_and_runs_one_batch() {
    let world = World::new(&[("t", 0, 15)]);
    let limits = [("maxOffsetsPerTrigger", "5")];
    assert_eq!(world.drain(Trigger::Once, &limits).await.unwrap().len(), 1);
    world.set(&[("t", 0, 20)]);
    assert_eq!(world.drain(Trigger::Once, &limits).await.unwrap().len(), 1);
    assert_eq!(world.batches()[1], (1, (15..20).collect()));
}

#[tokio::test]
async fn b185_a_batch_that_failed_runs_again_to_its_logged_end() {
    let world = World::new(&[("t", 0, 3)]);
    *world.sink.failures.lock().unwrap() = 1;
    let error = world.drain(Trigger::AvailableNow, &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "the sink is down [batch: 0]");
    assert!(world.has("offsets/0") && !world.has("commits/0"));
    world.set(&[("t", 0, 7)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![0, 1, 2]), (0, vec![0, 1, 2]), (1, vec![3, 4, 5, 6])]);
}

#[tokio::test]
async fn b083_the_first_batch_runs_even_when_it_is_empty() {
    let world = World::new(&[("t", 0, 3)]);
    let options = [("startingOffsets", "latest")];
    let progress = world.drain(Trigger::AvailableNow, &options).await.unwrap();
    assert_eq!((progress.len(), progress[0].input_rows), (1, 0));
    world.set(&[("t", 0, 5)]);
    world.drain(Trigger::AvailableNow, &options).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![]), (1, vec![3, 4])]);
}

#[tokio::test]
async fn b038_b088_a_query_without_partitions_plans_nothing() {
    let world = World::new(&[]);
    assert!(world.drain(Trigger::AvailableNow, &[]).await.unwrap().is_empty());
    assert!(world.has("sources/0/0") && !world.has("offsets/0"));
    world.set(&[("t", 0, 2)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![0, 1])]);
}

#[tokio::test]
async fn b086_added_partitions_are_read_from_their_beginning() {
    let world = World::new(&[("t", 0, 2)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    world.set(&[("t", 0, 2), ("t", 1, 3)]);
    world.drain(Trigger::AvailableNow, &[("startingOffsets", "latest")]).await.unwrap();
    assert_eq!(world.batches()[1], (1, vec![0, 1, 2]));
}

#[tokio::test]
async fn b089_b131_a_shorter_topic_fails_or_is_forgiven() {
    let world = World::new(&[("t", 0, 2)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    world.set(&[("t", 0, 1)]);
    let error = world.drain(Trigger::AvailableNow, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(error.message().contains("was changed from 2 to 1"));
    assert!(!world.has("offsets/1"));
    let forgiven = [("failOnDataLoss", "false")];
    world.drain(Trigger::AvailableNow, &forgiven).await.unwrap();
    world.set(&[("t", 0, 4)]);
    world.drain(Trigger::AvailableNow, &forgiven).await.unwrap();
    assert_eq!(world.batches()[1..], [(1, vec![]), (2, vec![1, 2, 3])]);
}

#[tokio::test]
async fn b099_available_now_fails_when_planned_partitions_vanish() {
    let world = World::new(&[("t", 0, 4), ("t", 1, 4)]);
    let options = [("maxOffsetsPerTrigger", "2"), ("failOnDataLoss", "false")];
    let mut query = world.start(Trigger::AvailableNow, &options).await.unwrap();
    query.next().await.unwrap().unwrap();
    world.set(&[("t", 0, 4)]);
    let error = query.next().await.unwrap().unwrap_err();
    assert!(error.message().contains("Trigger.AvailableNow"));
    assert!(query.next().await.is_none());
}

#[tokio::test]
async fn a_stopped_query_finishes_its_batch_and_begins_no_other() {
    let world = World::new(&[("t", 0, 4)]);
    let mut query =
        world.start(Trigger::AsSoonAsData, &[("maxOffsetsPerTrigger", "2")]).await.unwrap();
    let stopper = query.stopper();
    query.next().await.unwrap().unwrap();
    stopper.stop();
    assert!(query.next().await.is_none());
    assert_eq!(ids(&world.batches()), [0]);
    assert!(world.has("commits/0") && !world.has("offsets/1"));
}

#[tokio::test]
async fn b090_a_query_that_waits_for_data_stops_at_once() {
    let world = World::new(&[("t", 0, 1)]);
    let mut query = world.start(Trigger::AsSoonAsData, &[]).await.unwrap();
    query.next().await.unwrap().unwrap();
    let stopper = query.stopper();
    let (next, ()) = tokio::join!(query.next(), async {
        tokio::task::yield_now().await;
        stopper.stop();
    });
    assert!(next.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_query_without_a_trigger_waits_for_data() {
    let world = World::new(&[("t", 0, 1)]);
    let mut query = world.start(Trigger::AsSoonAsData, &[]).await.unwrap();
    query.next().await.unwrap().unwrap();
    let (next, ()) = tokio::join!(query.next(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.set(&[("t", 0, 3)]);
    });
    assert_eq!(next.unwrap().unwrap().input_rows, 2);
}

#[tokio::test]
async fn a_second_query_on_the_same_checkpoint_is_refused() {
    let world = World::new(&[("t", 0, 1)]);
    let _first = world.start(Trigger::AsSoonAsData, &[]).await.unwrap();
    let error = world.start(Trigger::AsSoonAsData, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CheckpointInUse);
}

#[tokio::test]
async fn b184_lost_initial_offsets_are_found_anew_only_where_that_is_safe() {
    let world = World::new(&[("t", 0, 3)]);
    *world.sink.failures.lock().unwrap() = 1;
    world.drain(Trigger::AvailableNow, &[]).await.unwrap_err();
    std::fs::remove_file(world.dir.path().join("checkpoint/sources/0/0")).unwrap();
    let latest = [("startingOffsets", "latest")];
    let error = world.drain(Trigger::AvailableNow, &latest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CheckpointUntrusted);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![0, 1, 2]), (0, vec![0, 1, 2])]);
}

#[tokio::test]
async fn settings_and_watermark_of_spark_are_carried_on() {
    let world = World::new(&[("t", 0, 3)]);
    let root = world.dir.path().join("checkpoint");
    for folder in ["offsets", "commits", "sources/0"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("metadata"), br#"{"id":"spark"}"#).unwrap();
    let plan = "v1\n{\"batchWatermarkMs\":5,\"batchTimestampMs\":1,\"conf\":{\"a\":\"b\"}}\n{\"t\":{\"0\":2}}";
    std::fs::write(root.join("offsets/0"), plan).unwrap();
    std::fs::write(root.join("commits/0"), b"v1\n{\"nextBatchWatermarkMs\":9}").unwrap();
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(1, vec![2])]);
    let text = std::fs::read_to_string(root.join("offsets/1")).unwrap();
    assert!(text.starts_with("v1\n{\"batchWatermarkMs\":9,"));
    assert!(text.contains("\"conf\":{\"a\":\"b\"}"));
    assert_eq!(std::fs::read(root.join("commits/1")).unwrap(), b"v1\n{\"nextBatchWatermarkMs\":9}");
}

#[tokio::test]
async fn b121_b122_a_minimum_skips_a_trigger_without_a_batch() {
    let world = World::new(&[("t", 0, 21), ("t", 1, 11), ("t", 2, 1)]);
    let options = [("minOffsetsPerTrigger", "15"), ("maxOffsetsPerTrigger", "20")];
    let progress = world.drain(Trigger::AvailableNow, &options).await.unwrap();
    // 12, 6 and 1 are taken; the 14 that are left are too few, so this run ends with them unread.
    assert_eq!(progress.iter().map(|batch| batch.input_rows).collect::<Vec<_>>(), [19]);
    assert!(world.has("commits/0") && !world.has("offsets/1"));
    // The delay lives in memory: the first trigger of the next run fires.
    let progress = world.drain(Trigger::AvailableNow, &options).await.unwrap();
    assert_eq!(progress[0].input_rows, 14);
}

#[tokio::test]
async fn b087_a_vanished_topic_is_dropped_and_a_new_one_read_if_losses_are_forgiven() {
    let world = World::new(&[("p-seems", 0, 3)]);
    let forgiven = [("failOnDataLoss", "false")];
    world.drain(Trigger::AvailableNow, &forgiven).await.unwrap();
    world.set(&[("p-bad", 0, 2)]);
    let error = world.drain(Trigger::AvailableNow, &[]).await.unwrap_err();
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.PARTITIONS_DELETED"));
    world.drain(Trigger::AvailableNow, &forgiven).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![0, 1, 2]), (1, vec![0, 1])]);
}

#[tokio::test]
async fn b128_an_added_partition_that_lost_its_head_is_a_loss() {
    let world = World::new(&[("t", 0, 1)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    world.set(&[("t", 0, 1), ("t", 1, 9)]);
    world.topic.lock().unwrap().earliest.insert(TopicPartition::new("t", 1), 7);
    let error = world.drain(Trigger::AvailableNow, &[]).await.unwrap_err();
    assert!(error.message().contains("Added partition t-1 starts from 7 instead of 0."));
    world.drain(Trigger::AvailableNow, &[("failOnDataLoss", "false")]).await.unwrap();
    assert_eq!(world.batches()[1], (1, vec![7, 8]));
}

/// A checkpoint as another engine left it.
fn left_behind(world: &World, files: &[(&str, &str)]) {
    let root = world.dir.path().join("checkpoint");
    for folder in ["offsets", "commits", "sources/0"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (name, content) in files {
        std::fs::write(root.join(name), content).unwrap();
    }
}

#[tokio::test]
async fn b180_initial_offsets_of_spark_2_1_0_are_stronger_than_the_option() {
    let world = World::new(&[("t", 0, 3)]);
    left_behind(&world, &[("metadata", r#"{"id":"i"}"#), ("sources/0/0", r#"2{"t":{"0":1}}"#)]);
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![1, 2])]);
}

#[tokio::test]
async fn b188_another_order_of_keys_is_understood() {
    let world = World::new(&[("t", 0, 2), ("t", 1, 2)]);
    left_behind(
        &world,
        &[
            ("metadata", r#"{"id":"i"}"#),
            ("offsets/0", "v1\n\n{\"t\":{\"1\":1,\"0\":2}}"),
            ("commits/0", "v1"),
        ],
    );
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(1, vec![1])]);
}

#[tokio::test]
async fn all_batches_behind_the_last_commit_run_again_to_their_own_ends() {
    let world = World::new(&[("t", 0, 9)]);
    left_behind(
        &world,
        &[
            ("metadata", r#"{"id":"i"}"#),
            ("offsets/3", "v1\n{}\n{\"t\":{\"0\":2}}"),
            ("offsets/4", "v1\n{}\n{\"t\":{\"0\":5}}"),
            ("offsets/5", "v1\n{}\n{\"t\":{\"0\":6}}"),
            ("commits/3", "v1\n{}"),
        ],
    );
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(4, vec![2, 3, 4]), (5, vec![5]), (6, vec![6, 7, 8])]);
}

#[tokio::test]
async fn b189_a_plan_of_two_sources_is_refused() {
    let world = World::new(&[("t", 0, 9)]);
    left_behind(
        &world,
        &[("metadata", r#"{"id":"i"}"#), ("offsets/0", "v1\n{}\n{}\n{}"), ("commits/0", "v1")],
    );
    let error = world.drain(Trigger::AvailableNow, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CheckpointUntrusted);
    assert!(error.message().contains("There are [2] sources in the checkpoint offsets"));
    assert!(world.batches().is_empty());
}

/// Takes the rows of its first batch and then never answers.
#[derive(Clone, Default)]
struct Hangs {
    behind: Kept,
    reached: Arc<tokio::sync::Notify>,
}

impl Sink for Hangs {
    fn description(&self) -> String {
        "hangs".into()
    }

    fn check(&self, _schema: &SchemaRef) -> Result<()> {
        Ok(())
    }

    fn write_batch<'a>(&'a mut self, batch: Batch<'a>) -> SinkFuture<'a> {
        Box::pin(async move {
            let _ = self.behind.write_batch(batch).await;
            self.reached.notify_one();
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_batch_that_is_given_up_is_not_committed_and_runs_again() {
    let world = World::new(&[("t", 0, 3)]);
    let options = [
        ("kafka.bootstrap.servers", "none:1"),
        ("subscribe", "t"),
        ("startingOffsets", "earliest"),
    ];
    let options = SourceOptions::from_pairs(ReadMode::Stream, options).unwrap();
    let source = Memory { options, topic: Arc::clone(&world.topic) };
    let checkpoint = world.dir.path().join("checkpoint");
    let settings = QuerySettings { checkpoint, trigger: Trigger::AvailableNow, name: None };
    let sink = Hangs::default();
    let reached = Arc::clone(&sink.reached);
    let mut query = Query::start(source, Box::new(sink), settings).await.unwrap();
    tokio::select! {
        _ = query.next() => panic!("the batch can't end"),
        () = reached.notified() => {}
    }
    // A query whose batch was given up does not pretend to go on.
    assert!(query.next().await.is_none());
    drop(query);
    assert!(world.has("offsets/0") && !world.has("commits/0"));
    world.drain(Trigger::AvailableNow, &[]).await.unwrap();
    assert_eq!(world.batches(), [(0, vec![0, 1, 2])]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_with_an_interval_runs_one_batch_for_each() {
    let world = World::new(&[("t", 0, 1)]);
    let trigger = Trigger::ProcessingTime(Duration::from_secs(10));
    let mut query = world.start(trigger, &[]).await.unwrap();
    query.next().await.unwrap().unwrap();
    world.set(&[("t", 0, 2)]);
    let second = query.next().await.unwrap().unwrap();
    assert_eq!((second.batch_id, second.input_rows), (1, 1));
    assert!(second.previous.is_some());
}
