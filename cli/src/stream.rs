//! `klamm stream`: a source, a sink and a checkpoint in, a micro-batch query until it is stopped or drained.

use std::path::PathBuf;
use std::time::Duration;

use klamm_client::Client;
use klamm_connector::offsets::PartitionOffsets;
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};
use klamm_connector::query::{Query, QuerySettings, Trigger};
use klamm_connector::sink::{KafkaSink, Sink, WithoutColumn};
use klamm_connector::source::{KafkaSource, StreamSource as _, connect};

use crate::args::StreamArgs;
use crate::failure::{Failure, Status};
use crate::output::say;
use crate::pairs;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::signals::Stop;

pub(crate) async fn run(args: StreamArgs) -> Result<(), Failure> {
    let plan = Plan::new(&args)?;
    let mut stop = Stop::listen()?;
    let mut source = KafkaSource::connect(plan.source).await?;
    let sink = sink(&mut source, &plan.sink).await?;
    let settings =
        QuerySettings { checkpoint: plan.checkpoint, trigger: plan.trigger, name: plan.name };
    let mut query = Query::start(source, sink, settings).await?;
    let mut progress = Progress::new(args.progress);
    let mut left = plan.max_batches.unwrap_or(u64::MAX);
    let stopper = query.stopper();
    let mut asked = false;
    while left > 0 {
        // The batch's future must outlive a first signal: the running batch is finished.
        let mut next = Box::pin(query.next());
        let done = loop {
            tokio::select! {
                done = &mut next => break done,
                () = stop.asked() => {
                    if asked {
                        let line = "stopped at once; the running batch was not committed and runs \
                                    again on the next start";
                        return Err(Failure::new(Status::Failed, line));
                    }
                    asked = true;
                    say("klamm: finishing the running batch; once more to stop at once");
                    stopper.stop();
                }
            }
        };
        drop(next);
        let Some(batch) = done else { break };
        let batch = batch?;
        progress.show(&batch);
        left -= 1;
    }
    Ok(())
}

/// The command line and the pipeline file, joined and checked; nothing has been contacted.
struct Plan {
    source: SourceOptions,
    sink: SinkOptions,
    checkpoint: PathBuf,
    trigger: Trigger,
    name: Option<String>,
    max_batches: Option<u64>,
}

impl Plan {
    fn new(args: &StreamArgs) -> Result<Self, Failure> {
        let file = args.file.as_deref().map(Pipeline::read).transpose()?.unwrap_or_default();
        let topic = args.topic.as_deref();
        let source = pairs::source(file.source()?, &args.cluster, topic, ReadMode::Stream)?;
        let bootstrap = args.cluster.bootstrap.as_deref();
        let sink = pairs::sink(file.sink()?, bootstrap, None, &args.sink_options)?;
        let chosen = |given: &Option<String>, file: Option<String>| given.clone().or(file);
        refuse_what_is_missing(
            chosen(&args.delivery, file.query.delivery).as_deref(),
            chosen(&args.sink, file.query.sink).as_deref(),
        )?;
        let trigger = chosen(&args.trigger, file.query.trigger);
        let checkpoint = args.checkpoint.clone().or(file.query.checkpoint);
        Ok(Self {
            source,
            sink,
            checkpoint: checkpoint.ok_or_else(|| Failure::usage(NO_CHECKPOINT))?,
            trigger: trigger.as_deref().map_or(Ok(Trigger::default()), str::parse)?,
            name: chosen(&args.query_name, file.query.query_name),
            max_batches: args.max_batches.or(file.query.max_batches),
        })
    }
}

/// Guarantees and sinks that are named in the help, and not there yet.
fn refuse_what_is_missing(delivery: Option<&str>, sink: Option<&str>) -> Result<(), Failure> {
    match delivery.unwrap_or("at-least-once") {
        "at-least-once" => {}
        "exactly-once" => {
            let line = "--delivery exactly-once needs transactions, which this version does not \
                        have yet; at-least-once works";
            return Err(Failure::usage(line));
        }
        other => {
            let line = format!("--delivery {other}: give at-least-once or exactly-once");
            return Err(Failure::usage(line));
        }
    }
    match sink.unwrap_or("kafka") {
        "kafka" => Ok(()),
        other
            if other == "console" || other.starts_with("json:") || other.starts_with("arrow:") =>
        {
            let line = format!("--sink {other} is not there in this version yet; kafka is");
            Err(Failure::usage(line))
        }
        other => Err(Failure::usage(format!(
            "--sink {other}: give kafka, console, json:DIR or arrow:DIR"
        ))),
    }
}

/// The sink for the rows of `source`.
///
/// A row goes to the partition that its column names, as in Spark: a copy keeps its partitions. Where the target has
/// fewer, that would fail every row beyond, so the partitioner chooses instead, and that is said.
async fn sink(source: &mut KafkaSource, options: &SinkOptions) -> Result<Box<dyn Sink>, Failure> {
    let client = connect(options.client()).await?;
    let sink = KafkaSink::new(client.clone(), options.topic());
    let Some(topic) = options.topic() else { return Ok(Box::new(sink)) };
    let there = source.latest(&PartitionOffsets::new()).await?;
    let wanted = there.keys().map(|partition| partition.partition + 1).max().unwrap_or_default();
    let has = partitions(&client, topic).await?;
    if wanted <= has {
        return Ok(Box::new(sink));
    }
    say(&format!(
        "klamm: topic {topic} has {has} partitions and the source {wanted}: records go where their \
         key says, not to the partition they came from"
    ));
    Ok(Box::new(WithoutColumn::new(sink, "partition")))
}

/// How many partitions the target has; a cluster that makes topics by itself makes it now.
async fn partitions(client: &Client, topic: &str) -> Result<i32, Failure> {
    let deadline = tokio::time::Instant::now() + TARGET_PATIENCE;
    let topic = client.cluster().topic_to_write(topic, deadline).await?;
    Ok(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))
}

/// How long the target topic may take to appear.
const TARGET_PATIENCE: Duration = Duration::from_secs(10);

const NO_CHECKPOINT: &str =
    "no checkpoint; give --checkpoint DIR, a folder that only this query uses";
