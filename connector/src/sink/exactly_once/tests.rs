//! Each scenario runs twice: as the sink is, and with the bug that it is there to catch.

use arrow_array::{ArrayRef, StringArray};
use futures_core::Stream;
use klamm_client::Config;
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::EmbeddedCluster;

use super::script::{Plant, Script, Step};
use super::*;
use crate::offsets::range::OffsetRange;
use crate::offsets::{PartitionOffsets, TopicPartition};
use crate::options::{ReadMode, SourceOptions};
use crate::sink::{RowStream, next_rows};
use crate::source::{ReadOrder, batch_read};

struct World {
    cluster: EmbeddedCluster,
    end: PartitionOffsets,
}

impl World {
    async fn new() -> Self {
        let cluster = EmbeddedCluster::start(ClusterConfig::default()).await.unwrap();
        cluster.with(|cluster| cluster.create_topic("copy", 1, 1)).unwrap();
        Self { cluster, end: [(TopicPartition::new("t", 0), 3)].into() }
    }

    /// The sink of a process that belongs to the worker of this name, or to none.
    async fn process(&self, plant: Plant, worker: Option<&str>) -> ExactlyOnceSink {
        let client = Client::connect(Config::new(&self.cluster.bootstrap()).unwrap());
        let prefix = worker.unwrap_or("klamm").to_owned();
        let settings = ExactlyOnceSettings { prefix, ..ExactlyOnceSettings::default() };
        let mut sink = ExactlyOnceSink::new(client.await.unwrap(), Some("copy"), settings);
        sink.script = Script::with(plant);
        sink
    }

    /// Begins where batch 0 is planned and not committed.
    async fn start(&self, sink: &mut ExactlyOnceSink) -> Result<()> {
        let tasks = Some(NonZeroU32::MIN);
        sink.start(QueryStart { id: "q".to_owned(), batch: 0, planned: Some(0), tasks }).await
    }

    async fn write(&self, sink: &mut ExactlyOnceSink) -> Result<Written> {
        let range = OffsetRange::new(TopicPartition::new("t", 0), 0, 3);
        sink.write_batch(Batch::new(0, &self.end, vec![range], rows)).await
    }

    /// The values that a reader of committed records finds.
    async fn committed(&self) -> Vec<String> {
        let bootstrap = self.cluster.bootstrap();
        let options = [
            ("kafka.bootstrap.servers", bootstrap.as_str()),
            ("subscribe", "copy"),
            ("kafka.isolation.level", "read_committed"),
        ];
        let options = SourceOptions::from_pairs(ReadMode::Batch, options).unwrap();
        let mut rows = batch_read(options, ReadOrder::ByPartition).await.unwrap();
        let mut found = Vec::new();
        while let Some(batch) = next_rows(&mut rows).await {
            use arrow_array::cast::AsArray as _;
            let batch = batch.unwrap();
            let values = batch.column_by_name("value").unwrap().as_binary_view().clone();
            found.extend(values.iter().flatten().map(|v| String::from_utf8(v.to_vec()).unwrap()));
        }
        found
    }
}

/// Three rows, the same however often they are read.
fn rows(ranges: Vec<OffsetRange>) -> RowStream {
    struct Once(Option<arrow_array::RecordBatch>);
    impl Stream for Once {
        type Item = Result<arrow_array::RecordBatch>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.take().map(Ok))
        }
    }
    assert_eq!(ranges.len(), 1);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["0", "1", "2"]));
    Box::pin(Once(Some(arrow_array::RecordBatch::try_from_iter([("value", values)]).unwrap())))
}

const ONCE: [&str; 3] = ["0", "1", "2"];

/// What is there after a process has died at `step` and another has done its work.
async fn after_a_death_at(step: Step, plant: Plant) -> Vec<String> {
    let world = World::new().await;
    let mut first = world.process(plant, None).await;
    world.start(&mut first).await.unwrap();
    first.script.die_at(step);
    world.write(&mut first).await.unwrap_err();
    drop(first);
    let mut second = world.process(plant, None).await;
    world.start(&mut second).await.unwrap();
    assert!(world.write(&mut second).await.is_ok());
    world.committed().await
}

#[tokio::test]
async fn whatever_step_a_process_dies_at_its_rows_are_there_once() {
    for step in [Step::Begun, Step::Marked, Step::Ended] {
        assert_eq!(after_a_death_at(step, Plant::None).await, ONCE, "{step:?}");
    }
}

#[tokio::test]
async fn planted_a_marker_outside_of_the_transaction_loses_rows() {
    assert!(after_a_death_at(Step::Marked, Plant::MarkerOutside).await.is_empty());
}

/// What is there after a process that was about to commit goes on in the middle of another's start.
async fn after_a_commit_during_a_start(plant: Plant, workers: [Option<&str>; 2]) -> Vec<String> {
    let world = Arc::new(World::new().await);
    let mut old = world.process(plant, workers[0]).await;
    world.start(&mut old).await.unwrap();
    let about_to_commit = old.script.wait_at(Step::Marked);
    let there = Arc::clone(&world);
    let old = tokio::spawn(async move { there.write(&mut old).await });
    about_to_commit.reached.notified().await;

    let mut new = world.process(plant, workers[1]).await;
    let between = new.script.wait_at(Step::Between);
    let there = Arc::clone(&world);
    let starting = tokio::spawn(async move {
        there.start(&mut new).await.unwrap();
        new
    });
    between.reached.notified().await;
    about_to_commit.open.notify_one();
    let outcome = old.await.unwrap();
    if plant == Plant::None && workers[0] == workers[1] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Fenced);
    }
    between.open.notify_one();
    let mut new = starting.await.unwrap();
    assert!(world.write(&mut new).await.is_ok());
    world.committed().await
}

#[tokio::test]
async fn a_process_that_is_fenced_in_the_middle_of_its_work_commits_nothing() {
    let found = after_a_commit_during_a_start(Plant::None, [None, None]).await;
    assert_eq!(found, ONCE);
}

#[tokio::test]
async fn planted_a_marker_that_is_read_before_its_writer_is_fenced_doubles_rows() {
    let found = after_a_commit_during_a_start(Plant::ReadBeforeFencing, [None, None]).await;
    assert_eq!(found.len(), 6);
}

#[tokio::test]
async fn planted_slots_that_are_named_by_worker_double_rows() {
    let workers = [Some("worker-1"), Some("worker-2")];
    assert_eq!(after_a_commit_during_a_start(Plant::None, workers).await.len(), 6);
}
