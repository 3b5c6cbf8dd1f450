//! The loop of a query, one step at a time.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use futures_core::Stream;
use tokio::sync::watch;

use super::plan::{self, BatchPlanner};
use super::progress::{Durations, QueryProgress, SourceProgress};
use super::trigger::{Idle, Trigger};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::disk::{Disk, LocalDisk};
use crate::checkpoint::format::OffsetsEntry;
use crate::checkpoint::recovery::Resume;
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::PartitionOffsets;
use crate::offsets::loss::check_available_now;
use crate::options::OffsetsLimit;
use crate::sink::{Batch, QueryStart, RowStream, Sink};
use crate::source::StreamSource;

/// What a query is told besides its source and its sink.
#[derive(Clone, Debug, Default)]
pub struct QuerySettings {
    /// The folder of the checkpoint, required.
    pub checkpoint: PathBuf,
    /// When batches run.
    pub trigger: Trigger,
    /// A name for progress.
    pub name: Option<String>,
}

/// A running query. It holds the lock of its checkpoint until it is dropped.
pub struct Query<S> {
    source: S,
    sink: Box<dyn Sink>,
    checkpoint: Arc<Checkpoint>,
    trigger: Trigger,
    name: Option<String>,
    run_id: String,
    planner: BatchPlanner,
    /// The batch that runs next, and where it starts.
    batch: i64,
    start: PartitionOffsets,
    /// Up to this batch there are plans that were not committed.
    planned: Option<i64>,
    /// Where the topics ended when a query with the available-now trigger started.
    captured: Option<PartitionOffsets>,
    /// Settings and watermark that go from plan to plan.
    carried: OffsetsEntry,
    last_start: Option<Duration>,
    idle: Idle,
    ended: bool,
    stop: (watch::Sender<bool>, watch::Receiver<bool>),
}

/// Asks a query to stop. Cheap to clone; outlives the query.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Lets the running batch come to its end, and no other begin.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// A batch that is about to run.
struct Planned {
    started: Duration,
    clock: Instant,
    end: PartitionOffsets,
    latest: Option<PartitionOffsets>,
    /// The first offsets of partitions that the query has not seen yet.
    initial: PartitionOffsets,
    is_rerun: bool,
    durations: Durations,
}

impl<S: StreamSource> Query<S> {
    /// Opens the checkpoint and finds out where to go on. A new query looks up where its source starts and records it.
    ///
    /// # Errors
    /// `InvalidSchema` if the sink can't take the source's rows; `CheckpointInUse`, `CheckpointUntrusted` or
    /// `CheckpointIo`; whatever the source fails with.
    ///
    /// Dropping the future may leave a new checkpoint without a plan, which the next start takes up.
    pub async fn start(source: S, sink: Box<dyn Sink>, settings: QuerySettings) -> Result<Self> {
        Self::start_on(Box::new(LocalDisk), source, sink, settings).await
    }

    /// As [`Query::start`], with the checkpoint on another disk.
    async fn start_on(
        disk: Box<dyn Disk>,
        mut source: S,
        mut sink: Box<dyn Sink>,
        settings: QuerySettings,
    ) -> Result<Self> {
        sink.check(&source.schema())?;
        for warning in source.options().warnings() {
            tracing::warn!("{warning}");
        }
        let folder = settings.checkpoint;
        if folder.as_os_str().is_empty() {
            return Err(Error::option(
                "checkpointLocation must be specified: a query keeps its offsets in a folder of its own",
            ));
        }
        let new_id = uuid::Uuid::new_v4().to_string();
        let checkpoint = blocking(move || Checkpoint::open_on(disk, &folder, &new_id)).await?;
        let checkpoint = Arc::new(checkpoint);
        let (start, carried) = starting_point(&mut source, &checkpoint).await?;
        let query = query_start(&checkpoint, &carried).await?;
        let planned = query.planned;
        sink.start(query).await?;
        let captured = match settings.trigger {
            Trigger::AvailableNow => Some(source.latest(&start).await?),
            _ => None,
        };
        let resume = checkpoint.resume();
        Ok(Self {
            planner: BatchPlanner::new(source.options(), settings.trigger),
            batch: resume.batch(),
            planned,
            source,
            sink,
            checkpoint,
            trigger: settings.trigger,
            name: settings.name,
            run_id: uuid::Uuid::new_v4().to_string(),
            start,
            captured,
            carried,
            last_start: None,
            idle: Idle::default(),
            ended: false,
            stop: watch::channel(false),
        })
    }

    /// The query's id, the same over restarts.
    pub fn id(&self) -> &str {
        self.checkpoint.id()
    }

    /// The id of this run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// What asks this query to stop.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.0.clone())
    }

    /// Waits for the trigger and for data, runs one batch, commits it, and returns its progress; `None` once the query
    /// has ended: after a stop, or when a trigger that ends by itself finds nothing more.
    ///
    /// After an error the query has ended; a new start on the same checkpoint runs the batch again.
    ///
    /// Dropping the future gives up a batch that has begun, without committing it; this query must then not be asked
    /// again, and a new start runs the batch again.
    pub async fn next(&mut self) -> Option<Result<QueryProgress>> {
        while !self.ended && !*self.stop.1.borrow() {
            self.ended = true;
            let progress = match self.trigger().await {
                Ok(progress) => progress,
                Err(error) => return Some(Err(error)),
            };
            self.ended = match progress {
                Some(_) => self.trigger == Trigger::Once,
                None => self.trigger.ends_when_drained(),
            };
            if let Some(progress) = progress {
                return Some(Ok(progress));
            }
        }
        self.ended = true;
        None
    }

    /// One trigger: a batch, or a look that found nothing.
    async fn trigger(&mut self) -> Result<Option<QueryProgress>> {
        let mut stopped = self.stop.1.clone();
        let planned = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return Ok(None),
            planned = self.plan() => planned?,
        };
        match planned {
            Some(planned) => self.run(planned).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the trigger's time, then for the end of the next batch. Nothing is changed if this is dropped.
    async fn plan(&mut self) -> Result<Option<Planned>> {
        let wait = self.trigger.wait(since_1970(), self.last_start);
        if !wait.is_zero() {
            // Even a sleep of nothing lasts until the timer's next millisecond.
            tokio::time::sleep(wait).await;
        }
        let (started, clock) = (since_1970(), Instant::now());
        let mut durations = Durations::default();
        if self.planned.is_some_and(|last| self.batch <= last) {
            let (end, initial) = self.logged_end().await?;
            let (latest, is_rerun) = (None, true);
            return Ok(Some(Planned { started, clock, end, latest, initial, is_rerun, durations }));
        }
        let fresh = self.source.latest(&self.start).await?;
        if let Some(captured) = &self.captured {
            check_available_now(captured, &fresh).map_err(|loss| loss.into_error())?;
        }
        let latest = self.captured.clone().unwrap_or(fresh);
        let new = plan::new_partitions(&self.start, &latest);
        let initial = if new.is_empty() {
            PartitionOffsets::new()
        } else {
            self.source.earliest(new).await?
        };
        durations.latest_offset = clock.elapsed();
        let end = self.planner.end(started, &self.start, &latest, &initial);
        // The first batch runs even when it is empty, so that its commit says where the query stands. A map without
        // partitions is never planned: Spark could not tell it from a query that has not begun (SPARK-41375).
        if latest.is_empty() || end.is_empty() || (self.batch > 0 && end == self.start) {
            self.last_start = Some(started);
            if self.trigger == Trigger::AsSoonAsData {
                tokio::time::sleep(self.idle.pause()).await;
            }
            return Ok(None);
        }
        let (latest, is_rerun) = (Some(latest), false);
        Ok(Some(Planned { started, clock, end, latest, initial, is_rerun, durations }))
    }

    /// The end of a batch that was planned by an earlier run.
    async fn logged_end(&mut self) -> Result<(PartitionOffsets, PartitionOffsets)> {
        let batch = self.batch;
        let entry = on_disk(&self.checkpoint, move |c| c.offsets(batch)).await?;
        let entry = entry.ok_or_else(|| vanished(batch))?;
        // A line without an offset: the source had nothing yet.
        let end = entry.offsets.clone().unwrap_or_else(|| self.start.clone());
        self.carried = entry;
        let new = plan::new_partitions(&self.start, &end);
        let initial = if new.is_empty() {
            PartitionOffsets::new()
        } else {
            self.source.earliest(new).await?
        };
        Ok((end, initial))
    }

    /// Writes the plan, moves the rows, writes the commit.
    async fn run(&mut self, planned: Planned) -> Result<QueryProgress> {
        let Planned { started, clock, end, latest, initial, is_rerun, mut durations } = planned;
        let batch = self.batch;
        let step = Instant::now();
        let options = self.source.options();
        let retained = options.retained_batches();
        let pieces = plan::pieces(options, &self.start, &end, &initial)?;
        durations.query_planning = step.elapsed();

        let step = Instant::now();
        if !is_rerun {
            self.carried.offsets = Some(end.clone());
            plan_tasks(&mut self.carried, self.sink.tasks());
            self.carried.timestamp_ms = i64::try_from(started.as_millis()).unwrap_or(i64::MAX);
            let entry = self.carried.clone();
            on_disk(&self.checkpoint, move |c| c.write_offsets(batch, &entry)).await?;
        }
        on_disk(&self.checkpoint, move |c| c.purge(batch, retained)).await?;
        durations.wal_commit = step.elapsed();

        let step = Instant::now();
        let read = Arc::new(AtomicU64::new(0));
        let tasks = planned_tasks(&self.carried).unwrap_or(NonZeroU32::MIN);
        let (source, counter) = (&mut self.source, Arc::clone(&read));
        let open = move |ranges| -> RowStream {
            Box::pin(Counted { rows: source.read(ranges), read: Arc::clone(&counter) })
        };
        let rows = Batch::new(batch, &end, pieces, open).with_tasks(tasks);
        let written = self.sink.write_batch(rows).await;
        let written = written.map_err(|e| e.with_context("batch", batch))?;
        durations.add_batch = step.elapsed();

        let step = Instant::now();
        let watermark = self.carried.watermark_ms;
        on_disk(&self.checkpoint, move |c| c.write_commit(batch, watermark)).await?;
        durations.commit_offsets = step.elapsed();
        durations.trigger_execution = clock.elapsed();

        let start = std::mem::replace(&mut self.start, end.clone());
        self.idle = Idle::default();
        self.batch += 1;
        let source = SourceProgress {
            description: self.source.description(),
            start: (batch > 0).then_some(start),
            end: Some(end),
            latest,
        };
        Ok(QueryProgress {
            id: self.id().to_owned(),
            run_id: self.run_id.clone(),
            name: self.name.clone(),
            started,
            previous: self.last_start.replace(started),
            batch_id: batch,
            input_rows: read.load(Ordering::Relaxed),
            durations,
            source,
            sink: self.sink.description(),
            output_rows: written.rows,
        })
    }
}

impl<S> std::fmt::Debug for Query<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Query");
        debug.field("checkpoint", &self.checkpoint).field("batch", &self.batch);
        debug.field("trigger", &self.trigger).finish_non_exhaustive()
    }
}

/// Where the first batch of this run starts, and what its plan carries on.
async fn starting_point<S: StreamSource>(
    source: &mut S,
    checkpoint: &Arc<Checkpoint>,
) -> Result<(PartitionOffsets, OffsetsEntry)> {
    let batch = checkpoint.resume().batch();
    if batch == 0 {
        let start = initial(source, checkpoint).await?;
        return Ok((start, OffsetsEntry::new(PartitionOffsets::new(), 0)));
    }
    let before = batch - 1;
    let entry = on_disk(checkpoint, move |c| c.offsets(before)).await?;
    let mut entry = entry.ok_or_else(|| vanished(before))?;
    let commit = on_disk(checkpoint, move |c| c.commit(before)).await?;
    entry.watermark_ms = entry.watermark_ms.max(commit.unwrap_or_default());
    let start = match entry.offsets.clone() {
        Some(start) => start,
        None => initial(source, checkpoint).await?,
    };
    Ok((start, entry))
}

/// What the sink is told: where the query stands, and how many tasks may still be on their way.
async fn query_start(checkpoint: &Arc<Checkpoint>, before: &OffsetsEntry) -> Result<QueryStart> {
    let (id, resume) = (checkpoint.id().to_owned(), checkpoint.resume());
    let (batch, mut tasks) = (resume.batch(), planned_tasks(before));
    let planned = match resume {
        Resume::Rerun { last, .. } => Some(last),
        _ => None,
    };
    for again in batch..=planned.unwrap_or(batch - 1) {
        let plan = on_disk(checkpoint, move |c| c.offsets(again)).await?;
        tasks = tasks.max(plan.as_ref().and_then(planned_tasks));
    }
    Ok(QueryStart { id, batch, planned, tasks })
}

/// How many tasks a plan cuts its batch into, if it says so.
fn planned_tasks(plan: &OffsetsEntry) -> Option<NonZeroU32> {
    plan.conf.iter().find(|(name, _)| name == TASKS)?.1.parse().ok()
}

fn plan_tasks(plan: &mut OffsetsEntry, tasks: Option<NonZeroU32>) {
    plan.conf.retain(|(name, _)| name != TASKS);
    plan.conf.extend(tasks.map(|tasks| (TASKS.to_owned(), tasks.to_string())));
}

/// The recorded start of the source, or the one of now, which is then recorded.
async fn initial<S: StreamSource>(
    source: &mut S,
    checkpoint: &Arc<Checkpoint>,
) -> Result<PartitionOffsets> {
    if let Some(recorded) = on_disk(checkpoint, |c| c.initial()).await? {
        return Ok(recorded);
    }
    // Another start than the one of the plan would skip rows, and the latest offset has moved since.
    let moves = *source.options().starting() == OffsetsLimit::Latest;
    if moves && checkpoint.resume() != Resume::Fresh {
        return Err(Error::new(
            ErrorKind::CheckpointUntrusted,
            "The checkpoint can't be trusted: sources/0/0 is missing while batch 0 has to run again from it, and with \
             startingOffsets=latest it can't be found out anew. Restore it, or set startingOffsets",
        )
        .with_context("checkpoint", checkpoint.root().display()));
    }
    let start = source.initial().await?;
    let recorded = start.clone();
    on_disk(checkpoint, move |c| c.write_initial(&recorded)).await?;
    Ok(start)
}

/// Does something with the checkpoint where blocking is allowed. Once begun it is done, even if the future is dropped.
async fn on_disk<T: Send + 'static>(
    checkpoint: &Arc<Checkpoint>,
    work: impl FnOnce(&Checkpoint) -> Result<T> + Send + 'static,
) -> Result<T> {
    let checkpoint = Arc::clone(checkpoint);
    blocking(move || work(&checkpoint)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "A file operation broke off").with_source(error))
    })
}

fn vanished(batch: i64) -> Error {
    Error::new(
        ErrorKind::CheckpointUntrusted,
        format!(
            "batch {batch} doesn't exist in offsets any more: somebody else changes the checkpoint"
        ),
    )
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Rows that are counted as they pass.
struct Counted {
    rows: RowStream,
    read: Arc<AtomicU64>,
}

impl Stream for Counted {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.rows.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            self.read.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        }
        polled
    }
}

/// Beside the settings of Spark, which leaves alone what it does not know.
const TASKS: &str = "klamm.sink.tasks";

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
