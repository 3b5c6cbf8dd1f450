//! `klamm stream`: a source, a sink and a checkpoint in, a micro-batch query until it is stopped or drained.

use std::path::PathBuf;

use klamm_connector::options::{ReadMode, SourceOptions};
use klamm_connector::query::{Query, QuerySettings, Trigger};
use klamm_connector::source::KafkaSource;

use crate::args::StreamArgs;
use crate::failure::{Failure, Status};
use crate::output::say;
use crate::pairs;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::signals::Stop;
use crate::sinks::Target;

pub(crate) async fn run(args: StreamArgs) -> Result<(), Failure> {
    let plan = Plan::new(&args)?;
    let mut stop = Stop::listen()?;
    let mut source = KafkaSource::connect(plan.source).await?;
    let sink = plan.sink.open(&mut source).await?;
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
    sink: Target,
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
        let pairs = file.sink()?;
        let chosen = |given: &Option<String>, file: Option<String>| given.clone().or(file);
        let delivery = chosen(&args.delivery, file.query.delivery);
        let kind = chosen(&args.sink, file.query.sink);
        let (delivery, kind) = (delivery.as_deref(), kind.as_deref());
        let sink = Target::new(kind, delivery, pairs, bootstrap, &args.sink_options)?;
        let trigger = chosen(&args.trigger, file.query.trigger);
        let checkpoint = args.checkpoint.clone().or(file.query.checkpoint);
        let checkpoint = checkpoint.or_else(|| sink.checkpoint());
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

const NO_CHECKPOINT: &str =
    "no checkpoint; give --checkpoint DIR, a folder that only this query uses";
