//! The exactly-once sink over an embedded cluster: what a reader of committed records sees, whatever becomes of the
//! query in between.

mod common;

use std::num::NonZeroU32;
use std::path::Path;

use common::{World, numbers, refs};
use klamm_client::{Client, Config};
use klamm_connector::error::{ErrorKind, Result};
use klamm_connector::options::ReadMode;
use klamm_connector::query::{Query, QueryProgress, QuerySettings, Trigger};
use klamm_connector::sink::{ExactlyOnceSettings, ExactlyOnceSink, Sink, WithoutColumn};
use klamm_connector::source::KafkaSource;

const T: (&str, &str) = ("subscribe", "t");
const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");

async fn client(world: &World) -> Client {
    let config = Config::new(&world.cluster.bootstrap()).unwrap();
    Client::connect(config).await.unwrap()
}

async fn sink(world: &World, tasks: u32) -> ExactlyOnceSink {
    let tasks = NonZeroU32::new(tasks).unwrap();
    let settings = ExactlyOnceSettings { tasks, ..ExactlyOnceSettings::default() };
    ExactlyOnceSink::new(client(world).await, Some("copy"), settings)
}

async fn start(
    world: &World,
    checkpoint: &Path,
    sink: impl Sink + 'static,
    limit: &str,
) -> Result<Query<KafkaSource>> {
    let options = [T, EARLIEST, ("maxOffsetsPerTrigger", limit)];
    let source = KafkaSource::connect(world.options(ReadMode::Stream, &options)?).await?;
    let trigger = Trigger::AvailableNow;
    let settings = QuerySettings { checkpoint: checkpoint.to_owned(), trigger, name: None };
    Query::start(source, Box::new(WithoutColumn::new(sink, "partition")), settings).await
}

async fn drain(
    world: &World,
    checkpoint: &Path,
    sink: impl Sink + 'static,
    limit: &str,
) -> Result<Vec<QueryProgress>> {
    let mut query = start(world, checkpoint, sink, limit).await?;
    let mut all = Vec::new();
    while let Some(progress) = query.next().await {
        all.push(progress?);
    }
    Ok(all)
}

/// Three partitions with a hundred records each.
async fn world() -> World {
    let world = World::new(&[("t", 3), ("copy", 2)]).await;
    for partition in 0..3 {
        let values = numbers(partition * 100, partition * 100 + 100);
        world.append("t", partition, 1000, &refs(&values));
    }
    world
}

/// What a reader of committed records finds, in numbers, sorted.
async fn committed(world: &World) -> Vec<i32> {
    let options = [("subscribe", "copy"), ("kafka.isolation.level", "read_committed")];
    let values = world.values(&options).await.unwrap();
    let mut values: Vec<i32> = values.iter().map(|value| value.parse().unwrap()).collect();
    values.sort_unstable();
    values
}

/// Takes a batch's commit back, as if the process had ended between its transaction and its commit.
fn uncommit(checkpoint: &Path, batch: i64) {
    std::fs::remove_file(checkpoint.join(format!("commits/{batch}"))).unwrap();
}

#[tokio::test]
async fn a_copy_is_there_once_in_one_task_and_in_several() {
    for tasks in [1, 3, 5] {
        let world = world().await;
        let dir = tempfile::tempdir().unwrap();
        let progress = drain(&world, dir.path(), sink(&world, tasks).await, "60").await.unwrap();
        assert_eq!(progress.len(), 5);
        assert!(progress.iter().all(|batch| batch.output_rows == 60));
        assert_eq!(committed(&world).await, (0..300).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_batch_that_is_written_and_not_committed_is_not_written_again() {
    for tasks in [1, 2] {
        let world = world().await;
        let dir = tempfile::tempdir().unwrap();
        drain(&world, dir.path(), sink(&world, tasks).await, "60").await.unwrap();
        uncommit(dir.path(), 4);
        let again = drain(&world, dir.path(), sink(&world, tasks).await, "60").await.unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].batch_id, again[0].output_rows, again[0].input_rows), (4, 60, 0));
        assert_eq!(committed(&world).await, (0..300).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_batch_that_runs_again_keeps_the_tasks_it_was_planned_with() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    drain(&world, dir.path(), sink(&world, 3).await, "60").await.unwrap();
    uncommit(dir.path(), 4);
    world.append("t", 1, 1000, &refs(&numbers(300, 350)));
    let again = drain(&world, dir.path(), sink(&world, 1).await, "60").await.unwrap();
    assert_eq!(again.len(), 2);
    assert_eq!(committed(&world).await, (0..350).collect::<Vec<_>>());
}

#[tokio::test]
async fn markers_of_slots_that_are_not_used_any_more_are_removed() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    drain(&world, dir.path(), sink(&world, 3).await, "60").await.unwrap();
    let client = client(&world).await;
    let groups = async || {
        let listed = client.list_groups(&Default::default()).await.unwrap();
        let mut names: Vec<_> =
            listed.complete().unwrap().into_iter().map(|group| group.id).collect();
        names.sort();
        names
    };
    assert_eq!(groups().await.len(), 3);
    world.append("t", 1, 1000, &refs(&numbers(300, 350)));
    let progress = drain(&world, dir.path(), sink(&world, 1).await, "60").await.unwrap();
    let left = groups().await;
    assert_eq!(left, [format!("klamm-{}-0", progress[0].id)]);
    assert_eq!(committed(&world).await, (0..350).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_checkpoint_that_is_older_than_what_was_written_is_refused() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    drain(&world, dir.path(), sink(&world, 1).await, "60").await.unwrap();
    uncommit(dir.path(), 4);
    std::fs::remove_file(dir.path().join("offsets/4")).unwrap();
    let refused = drain(&world, dir.path(), sink(&world, 1).await, "60").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CheckpointUntrusted);
    assert!(
        refused.message().contains("batch 4 is committed, and batch 3 is the last"),
        "{refused}"
    );
    assert_eq!(committed(&world).await, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_plan_that_was_changed_under_a_committed_batch_is_refused() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    drain(&world, dir.path(), sink(&world, 1).await, "60").await.unwrap();
    uncommit(dir.path(), 4);
    let plan = dir.path().join("offsets/4");
    let text = std::fs::read_to_string(&plan).unwrap();
    std::fs::write(&plan, text.replace(r#""0":100"#, r#""0":99"#)).unwrap();
    let refused = drain(&world, dir.path(), sink(&world, 1).await, "60").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CheckpointUntrusted);
    assert!(refused.message().contains("another plan than the checkpoint's"), "{refused}");
}

#[tokio::test]
async fn a_query_that_was_taken_over_writes_nothing_more() {
    let world = world().await;
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = start(&world, old.path(), sink(&world, 2).await, "60").await.unwrap();
    first.next().await.unwrap().unwrap();
    copy(old.path(), new.path());
    let mut second = start(&world, new.path(), sink(&world, 2).await, "60").await.unwrap();
    second.next().await.unwrap().unwrap();
    let fenced = first.next().await.unwrap().unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced, "{fenced}");
    while let Some(progress) = second.next().await {
        progress.unwrap();
    }
    assert_eq!(committed(&world).await, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_that_name_their_topic_are_there_once_in_each() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    // No topic option: the column of the source says t, so the copy goes where it came from.
    let settings = ExactlyOnceSettings::default();
    let by_column = |client| ExactlyOnceSink::new(client, None, settings.clone());
    let first = by_column(client(&world).await);
    let progress = drain(&world, dir.path(), first, "1000").await.unwrap();
    assert_eq!(progress.len(), 1);
    uncommit(dir.path(), 0);
    let second = by_column(client(&world).await);
    let mut query = start(&world, dir.path(), second, "1000").await.unwrap();
    let again = query.next().await.unwrap().unwrap();
    assert_eq!((again.input_rows, again.output_rows), (0, 300));
    let options = [("subscribe", "t"), ("kafka.isolation.level", "read_committed")];
    assert_eq!(world.values(&options).await.unwrap().len(), 600);
}

/// Copies a checkpoint.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
