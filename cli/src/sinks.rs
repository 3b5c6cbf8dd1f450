//! What `--sink` and `--delivery` ask for in; a sink that a query can be given out.

use std::io::{Stdout, stdout};
use std::path::PathBuf;
use std::time::Duration;

use klamm_client::Client;
use klamm_connector::format::Binary;
use klamm_connector::offsets::PartitionOffsets;
use klamm_connector::options::SinkOptions;
use klamm_connector::sink::{
    ConsoleSink, ExactlyOnceSettings, ExactlyOnceSink, FileKind, FileSink, KafkaSink, Sink,
    WithoutColumn,
};
use klamm_connector::source::{KafkaSource, StreamSource as _, connect};

use crate::failure::Failure;
use crate::output::say;
use crate::pairs::{self, Pairs};

/// Where the rows go, checked; nothing has been contacted.
#[derive(Debug)]
pub(crate) enum Target {
    AtLeastOnce(SinkOptions),
    ExactlyOnce(SinkOptions),
    Console,
    Files(PathBuf, FileKind),
}

impl Target {
    /// `sink` and `delivery` as the command line or a pipeline file names them.
    pub(crate) fn new(
        sink: Option<&str>,
        delivery: Option<&str>,
        base: Pairs,
        bootstrap: Option<&str>,
        options: &[(String, String)],
    ) -> Result<Self, Failure> {
        let exactly_once = match delivery.unwrap_or("at-least-once") {
            "at-least-once" => false,
            "exactly-once" => true,
            other => {
                let line = format!("--delivery {other}: give at-least-once or exactly-once");
                return Err(Failure::usage(line));
            }
        };
        let sink = sink.unwrap_or("kafka");
        let binary = Binary::Utf8;
        let target = match sink.split_once(':') {
            _ if sink == "kafka" => {
                let options = pairs::sink(base, bootstrap, None, options)?;
                if exactly_once {
                    return Ok(Self::ExactlyOnce(options));
                }
                options.check_at_least_once()?;
                return Ok(Self::AtLeastOnce(options));
            }
            _ if sink == "console" => Self::Console,
            Some(("json", folder)) if !folder.is_empty() => {
                Self::Files(folder.into(), FileKind::Json(binary))
            }
            Some(("arrow", folder)) if !folder.is_empty() => {
                Self::Files(folder.into(), FileKind::Arrow)
            }
            _ => {
                let line = format!("--sink {sink}: give kafka, console, json:DIR or arrow:DIR");
                return Err(Failure::usage(line));
            }
        };
        match base.iter().chain(options).next() {
            None => {}
            Some((name, _)) => {
                let line = format!("--sink {sink} takes no sink options; leave out {name}");
                return Err(Failure::usage(line));
            }
        }
        match (&target, exactly_once) {
            (Self::Console, true) => Err(Failure::usage(CONSOLE_REPEATS)),
            // A batch that runs again replaces its file: nothing is there twice anyway.
            _ => Ok(target),
        }
    }

    /// The folder of the checkpoint, if an option of the sink names it, as Spark's users write it.
    pub(crate) fn checkpoint(&self) -> Option<PathBuf> {
        let (Self::AtLeastOnce(options) | Self::ExactlyOnce(options)) = self else { return None };
        options.checkpoint_location().map(PathBuf::from)
    }

    /// The sink for the rows of `source`.
    pub(crate) async fn open(self, source: &mut KafkaSource) -> Result<Box<dyn Sink>, Failure> {
        Ok(match self {
            Self::AtLeastOnce(options) => {
                let client = connect(options.client()).await?;
                let sink = KafkaSink::on(client.clone(), &options);
                fitted(Box::new(sink), source, &client, options.topic()).await?
            }
            Self::ExactlyOnce(options) => {
                let client = connect(options.client()).await?;
                let settings = ExactlyOnceSettings::from_options(&options);
                let sink = ExactlyOnceSink::new(client.clone(), options.topic(), settings);
                fitted(Box::new(sink), source, &client, options.topic()).await?
            }
            Self::Console => Box::new(ConsoleSink::<Stdout>::new(stdout(), Binary::Utf8)),
            Self::Files(folder, kind) => Box::new(FileSink::new(folder, kind)?),
        })
    }
}

/// A row goes to the partition that its column names, as in Spark: a copy keeps its partitions. Where the target has
/// fewer, that would fail every row beyond, so the partitioner chooses instead, and that is said.
async fn fitted(
    sink: Box<dyn Sink>,
    source: &mut KafkaSource,
    client: &Client,
    topic: Option<&str>,
) -> Result<Box<dyn Sink>, Failure> {
    let Some(topic) = topic else { return Ok(sink) };
    let there = source.latest(&PartitionOffsets::new()).await?;
    let wanted = there.keys().map(|partition| partition.partition + 1).max().unwrap_or_default();
    let has = partitions(client, topic).await?;
    if wanted <= has {
        return Ok(sink);
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

const CONSOLE_REPEATS: &str = "--sink console prints a batch that runs again once more; exactly-once needs kafka, json:DIR or arrow:DIR";
