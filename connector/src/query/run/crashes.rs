//! A query on a disk that fails at every step it can: a restart goes on exactly where the last run ended, whatever of
//! the unsynced a crash has left.

use std::path::PathBuf;

use tokio::runtime::Runtime;

use super::tests::{Kept, Memory, Shared, Topic};
use super::*;
use crate::checkpoint::disk::sim::{Fault, Lie, SimDisk, Survives};
use crate::offsets::testing::offsets;
use crate::options::{ReadMode, SourceOptions};

/// A checkpoint and what the sink has taken so far.
#[derive(Clone)]
struct World {
    disk: SimDisk,
    taken: Vec<(i64, Vec<i64>)>,
}

impl World {
    fn new() -> Self {
        Self { disk: SimDisk::new(), taken: Vec::new() }
    }

    /// The same world on a disk of its own.
    fn on(&self, disk: SimDisk) -> Self {
        Self { disk, taken: self.taken.clone() }
    }

    /// Runs the query until it has read up to `end`, `limit` records a batch.
    async fn run(&mut self, end: i64, limit: i64) -> Result<()> {
        let topic = Shared::<Topic>::default();
        *topic.lock().unwrap() =
            Topic { earliest: offsets(&[("t", 0, 0)]), latest: offsets(&[("t", 0, end)]) };
        let limit = limit.to_string();
        let pairs = [
            ("kafka.bootstrap.servers", "none:1"),
            ("subscribe", "t"),
            ("startingOffsets", "earliest"),
            ("maxOffsetsPerTrigger", &limit),
        ];
        let options = SourceOptions::from_pairs(ReadMode::Stream, pairs)?;
        let sink = Kept::default();
        *sink.batches.lock().unwrap() = std::mem::take(&mut self.taken);
        let done = self.drain(Memory { options, topic }, sink.clone()).await;
        self.taken = std::mem::take(&mut *sink.batches.lock().unwrap());
        done
    }

    async fn drain(&self, source: Memory, sink: Kept) -> Result<()> {
        let checkpoint = PathBuf::from("/checkpoints/query");
        let settings = QuerySettings { checkpoint, trigger: Trigger::AvailableNow, name: None };
        let disk = Box::new(self.disk.clone());
        let mut query = Query::start_on(disk, source, Box::new(sink), settings).await?;
        while let Some(progress) = query.next().await {
            progress?;
        }
        Ok(())
    }

    /// That the sink has all records up to `end`, each in one batch, and each batch always as it was first.
    fn check(&self, end: i64) -> std::result::Result<(), String> {
        let mut batches = std::collections::BTreeMap::new();
        for (id, rows) in &self.taken {
            if batches.insert(*id, rows).is_some_and(|before| before != rows) {
                return Err(format!("batch {id} came again with other rows"));
            }
        }
        let ids_follow = batches.keys().copied().eq(0..batches.len() as i64);
        let rows_follow = batches.into_values().flatten().copied().eq(0..end);
        match ids_follow && rows_follow {
            true => Ok(()),
            false => Err("rows are missing or come twice".into()),
        }
    }

    /// One batch with a fault, then a restart on `left_by` of the disk, which reads on with other limits.
    async fn survive(
        &self,
        step: u64,
        fault: Fault,
        left_by: impl Fn(&SimDisk) -> SimDisk,
    ) -> std::result::Result<(), String> {
        let told = |what: String| format!("{fault:?} at step {step}: {what}");
        let mut world = self.on(self.disk.copy());
        world.disk.fail_at(step, fault);
        let end = self.end() + BATCH;
        let first = world.run(end, BATCH).await;
        let named = [ErrorKind::CheckpointIo, ErrorKind::CheckpointInUse];
        if let Err(error) = first
            && !named.contains(&error.kind())
        {
            return Err(told(format!("it ended with {error}")));
        }
        world.disk = left_by(&world.disk);
        let end = end + 13;
        world
            .run(end, 7)
            .await
            .map_err(|error| told(format!("the restart was refused: {error}")))?;
        world.check(end).map_err(told)
    }

    fn end(&self) -> i64 {
        self.taken.last().and_then(|(_, rows)| rows.last()).map_or(0, |last| last + 1)
    }
}

/// Twenty places where a batch may fail: the first three, and seventeen with and without old batches to purge.
async fn places() -> Vec<World> {
    let (mut world, mut places) = (World::new(), Vec::new());
    for batch in 0..112 {
        if !(3..95).contains(&batch) {
            places.push(world.on(world.disk.copy()));
        }
        world.run((batch + 1) * BATCH, BATCH).await.unwrap();
    }
    places
}

/// How many steps the disk does for one batch from here, the start of the query included.
async fn steps(place: &World) -> u64 {
    let mut world = place.on(place.disk.copy());
    world.run(place.end() + BATCH, BATCH).await.unwrap();
    world.disk.steps()
}

/// What went wrong where each step of each place met each fault.
async fn matrix(
    places: &[World],
    faults: &[Fault],
    survives: impl Fn(u64) -> Vec<Survives>,
) -> Vec<String> {
    let (mut wrong, mut cases) = (Vec::new(), 0_u64);
    for place in places {
        for step in 1..=steps(place).await {
            for fault in faults {
                for left in survives(cases) {
                    cases += 1;
                    let left_by = |disk: &SimDisk| match fault {
                        Fault::Crash => disk.crashed(left),
                        _ => disk.copy(),
                    };
                    wrong.extend(place.survive(step, *fault, left_by).await.err());
                }
            }
        }
    }
    assert!(cases > 20 * places.len() as u64, "a batch takes more steps than that");
    wrong
}

fn run<T>(test: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(test)
}

fn everywhere(faults: &[Fault], survives: impl Fn(u64) -> Vec<Survives>) -> Vec<String> {
    run(async { matrix(&places().await, faults, survives).await })
}

const NONE: Vec<String> = Vec::new();

#[test]
fn a_crash_at_any_step_costs_nothing_and_repeats_nothing() {
    let survives = |seed| vec![Survives::Nothing, Survives::All, Survives::Some(seed)];
    assert_eq!(everywhere(&[Fault::Crash], survives), NONE);
}

#[test]
fn a_full_or_broken_disk_at_any_step_ends_the_query_by_name_and_a_restart_goes_on() {
    let faults = [Fault::FullOnce, Fault::Full, Fault::Broken];
    assert_eq!(everywhere(&faults, |_| vec![Survives::All]), NONE);
}

/// Planted bugs: the matrix sees a disk that does not sync.
#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    for lie in [Lie::Contents, Lie::Names] {
        let wrong = run(async {
            let mut place = World::new();
            place.disk.lie(lie);
            place.run(BATCH, BATCH).await.unwrap();
            matrix(&[place], &[Fault::Crash], |_| vec![Survives::Nothing]).await
        });
        assert!(!wrong.is_empty(), "{lie:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_triggers_without_data_touch_no_file() {
    let disk = SimDisk::new();
    let topic = Shared::<Topic>::default();
    *topic.lock().unwrap() =
        Topic { earliest: offsets(&[("t", 0, 0)]), latest: offsets(&[("t", 0, 5)]) };
    let pairs = [("kafka.bootstrap.servers", "none:1"), ("subscribe", "t")];
    let options = SourceOptions::from_pairs(ReadMode::Stream, pairs).unwrap();
    let settings = QuerySettings { checkpoint: PathBuf::from("/c"), ..QuerySettings::default() };
    let source = Memory { options, topic };
    let sink = Box::new(Kept::default());
    let mut query = Query::start_on(Box::new(disk.clone()), source, sink, settings).await.unwrap();
    query.next().await.unwrap().unwrap();
    let before = disk.steps();
    for _ in 0..1_000 {
        assert!(query.trigger().await.unwrap().is_none());
    }
    assert_eq!(disk.steps(), before);
}

/// Records in a batch.
const BATCH: i64 = 10;
