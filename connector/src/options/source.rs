//! The options of the source, parsed in the order in which Spark finds fault.

use std::num::NonZeroU32;
use std::time::Duration;

use super::builder::SourceOptionsBuilder;
use super::engine::Engine;
use super::limits::{self, NoMatch, OffsetsLimit};
use super::pairs::Pairs;
use super::pattern::TopicPattern;
use super::pools::PoolOptions;
use super::raw::RawOptions;
use super::table::{SOURCE, Scope};
use super::tokens::TokenSettings;
use super::value::{self, ReadMode};
use crate::error::{Error, Result};
use crate::offsets::range::RangeSplit;
use crate::offsets::{TopicPartition, json};

/// What to read.
#[derive(Clone, Debug, PartialEq)]
pub enum Topics {
    /// These topics with all their partitions, each once, in the order given.
    Subscribe(Vec<String>),
    /// Every topic in whose name the pattern is found, internal ones aside.
    Pattern(TopicPattern),
    /// These partitions, as far as they exist.
    Assign(Vec<TopicPartition>),
}

/// How often offsets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRetry {
    /// The attempts in all, at least one.
    pub attempts: u32,
    /// The pause after each failed one.
    pub interval: Duration,
}

/// What a read was asked to do, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOptions {
    mode: ReadMode,
    topics: Topics,
    starting: OffsetsLimit,
    ending: OffsetsLimit,
    no_match: NoMatch,
    fail_on_data_loss: bool,
    include_headers: bool,
    split: RangeSplit,
    max_offsets: Option<i64>,
    min_offsets: Option<i64>,
    max_trigger_delay: Duration,
    poll_timeout: Duration,
    fetch_retry: FetchRetry,
    group_id_prefix: Option<String>,
    pools: PoolOptions,
    engine: Engine,
    tokens: TokenSettings,
    client: Pairs,
    warnings: Vec<String>,
}

impl SourceOptions {
    /// Typed setters for the same options.
    pub fn builder() -> SourceOptionsBuilder {
        SourceOptionsBuilder::default()
    }

    /// Reads name and value pairs.
    ///
    /// # Errors
    /// `InvalidOption` with Spark's words, for the first fault in Spark's order: what a stream may not set or what a
    /// batch may not start and end with, then the choice of topics, then the rest. Before all of them comes an unknown
    /// name, which Spark ignores; the message has the nearest known one.
    pub fn from_pairs<N, V>(mode: ReadMode, pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let raw = RawOptions::from_pairs(pairs, SOURCE)?;
        let batch = match mode {
            ReadMode::Batch => {
                let no_match = limits::no_match(&raw)?;
                Some((limits::starting(&raw, mode)?, limits::ending(&raw)?, no_match))
            }
            ReadMode::Stream => refuse_ends(&raw).map(|()| None)?,
        };
        let (topics, split, min_offsets, max_offsets) = general(&raw)?;
        let engine = Engine::from_raw(&raw)?;
        let (starting, ending, no_match) = match batch {
            Some(limits) => limits,
            None => {
                let no_match = limits::no_match(&raw)?;
                (limits::starting(&raw, mode)?, OffsetsLimit::Latest, no_match)
            }
        };
        if mode == ReadMode::Batch {
            limits::check_batch(&starting, &ending)?;
        }
        Ok(Self {
            mode,
            topics,
            starting,
            ending,
            no_match,
            fail_on_data_loss: raw.parsed("failOnDataLoss", true, value::boolean)?,
            include_headers: raw.parsed("includeHeaders", false, value::mapped_boolean)?,
            split,
            max_offsets,
            min_offsets,
            max_trigger_delay: raw.parsed("maxTriggerDelay", MAX_TRIGGER_DELAY, value::time)?,
            poll_timeout: raw.parsed(POLL, engine.network_timeout, value::millis)?,
            fetch_retry: fetch_retry(&raw)?,
            group_id_prefix: raw.get("groupIdPrefix").map(str::to_owned),
            pools: PoolOptions::from_raw(&raw)?,
            engine,
            warnings: warnings(&raw, mode),
            tokens: raw.login()?,
            client: Pairs(raw.into_client()),
        })
    }

    /// Whether this is a batch or a stream.
    pub fn mode(&self) -> ReadMode {
        self.mode
    }

    /// What to read.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Where to start.
    pub fn starting(&self) -> &OffsetsLimit {
        &self.starting
    }

    /// Where a batch ends; `Latest` for a stream, which has no end.
    pub fn ending(&self) -> &OffsetsLimit {
        &self.ending
    }

    /// What becomes of a partition without a record at or after its starting timestamp.
    pub fn no_match(&self) -> NoMatch {
        self.no_match
    }

    /// Whether lost records are an error.
    pub fn fail_on_data_loss(&self) -> bool {
        self.fail_on_data_loss
    }

    /// Whether rows carry headers.
    pub fn include_headers(&self) -> bool {
        self.include_headers
    }

    /// How ranges are cut into pieces.
    pub fn split(&self) -> RangeSplit {
        self.split
    }

    /// `maxOffsetsPerTrigger`; may be zero or negative, as in Spark.
    pub fn max_offsets_per_trigger(&self) -> Option<i64> {
        self.max_offsets
    }

    /// `minOffsetsPerTrigger`.
    pub fn min_offsets_per_trigger(&self) -> Option<i64> {
        self.min_offsets
    }

    /// How long a micro-batch waits for its minimum at most.
    pub fn max_trigger_delay(&self) -> Duration {
        self.max_trigger_delay
    }

    /// How long a read may wait for records that should be there.
    pub fn poll_timeout(&self) -> Duration {
        self.poll_timeout
    }

    /// How often offsets are asked for.
    pub fn fetch_retry(&self) -> FetchRetry {
        self.fetch_retry
    }

    /// What generated groups are named after: `groupIdPrefix`, or Spark's name for this mode.
    pub fn group_id_prefix(&self) -> &str {
        self.group_id_prefix.as_deref().unwrap_or(match self.mode {
            ReadMode::Batch => "spark-kafka-relation",
            ReadMode::Stream => "spark-kafka-source",
        })
    }

    /// `kafka.group.id`, if it was given.
    pub fn group_id(&self) -> Option<&str> {
        self.client.iter().find(|(key, _)| key == "group.id").map(|(_, group)| group.as_str())
    }

    /// How many batches stay in the logs of a query's checkpoint.
    pub fn retained_batches(&self) -> NonZeroU32 {
        self.engine.retained_batches
    }

    /// What is kept from one read to the next.
    pub fn pools(&self) -> PoolOptions {
        self.pools
    }

    /// How to log in, beside what the options of the client say.
    pub fn tokens(&self) -> &TokenSettings {
        &self.tokens
    }

    /// The options of the client, without `kafka.`, ordered by name.
    pub fn client(&self) -> &[(String, String)] {
        &self.client
    }

    /// What was accepted and has no effect, or a doubtful one; for whoever keeps a log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl SourceOptionsBuilder {
    /// Checks everything.
    ///
    /// # Errors
    /// As [`SourceOptions::from_pairs`].
    pub fn build(self, mode: ReadMode) -> Result<SourceOptions> {
        SourceOptions::from_pairs(mode, self.into_pairs())
    }
}

/// A stream has no end, so nothing may set one.
fn refuse_ends(raw: &RawOptions) -> Result<()> {
    if raw.get("endingOffsets").is_some() {
        return Err(Error::option("ending offset not valid in streaming queries"));
    }
    if raw.get("endingOffsetsByTimestamp").is_some() {
        return Err(Error::option("ending timestamp not valid in streaming queries"));
    }
    Ok(())
}

/// What is checked alike for batches and streams, in Spark's order.
fn general(raw: &RawOptions) -> Result<(Topics, RangeSplit, Option<i64>, Option<i64>)> {
    let topics = topics(raw)?;
    let min_partitions = raw.optional("minPartitions", value::int)?;
    RangeSplit::new(min_partitions, None)?;
    let max_records = raw.optional("maxRecordsPerPartition", value::long)?;
    let split = RangeSplit::new(min_partitions, max_records)?;
    for (key, advice) in REJECTED {
        if raw.client(key).is_some() {
            return Err(Error::option(format!("Kafka option '{key}' is not supported{advice}")));
        }
    }
    if raw.client("bootstrap.servers").is_none() {
        return Err(Error::option(
            "Option 'kafka.bootstrap.servers' must be specified for configuring Kafka consumer: \
             host:port of at least one broker",
        ));
    }
    let min = raw.optional("minOffsetsPerTrigger", value::long)?;
    let max = raw.optional("maxOffsetsPerTrigger", value::long)?;
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(Error::option(format!(
            "The value of minOffsetPerTrigger({min}) is higher than the maxOffsetsPerTrigger({max})."
        ))),
        _ => Ok((topics, split, min, max)),
    }
}

/// The one of three options that says what to read.
fn topics(raw: &RawOptions) -> Result<Topics> {
    let given = ["subscribe", "subscribePattern", "assign"].map(|name| raw.get(name));
    match given {
        [Some(names), None, None] => subscribed(names),
        [None, Some(pattern), None] => TopicPattern::new(pattern).map(Topics::Pattern),
        [None, None, Some(partitions)] => assigned(partitions),
        [None, None, None] => Err(Error::option(
            "One of the following options must be specified for Kafka source: \
             subscribe, subscribepattern, assign. See the docs for more details.",
        )),
        _ => Err(Error::option(
            "Only one of the following options can be specified for Kafka source: \
             subscribe, subscribepattern, assign. See the docs for more details.",
        )),
    }
}

fn subscribed(text: &str) -> Result<Topics> {
    let mut topics: Vec<String> = Vec::new();
    for topic in text.split(',').map(str::trim).filter(|topic| !topic.is_empty()) {
        if !topics.iter().any(|known| known == topic) {
            topics.push(topic.to_owned());
        }
    }
    if topics.is_empty() {
        return Err(Error::option(format!(
            "No topics to subscribe to as specified value for option 'subscribe' is '{text}'"
        )));
    }
    Ok(Topics::Subscribe(topics))
}

fn assigned(text: &str) -> Result<Topics> {
    if !text.trim().starts_with('{') {
        return Err(Error::option(format!(
            "No topicpartitions to assign as specified value for option 'assign' is '{text}'"
        )));
    }
    let mut partitions: Vec<TopicPartition> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for partition in json::parse_partitions(text)? {
        if seen.insert(partition.clone()) {
            partitions.push(partition);
        }
    }
    Ok(Topics::Assign(partitions))
}

fn fetch_retry(raw: &RawOptions) -> Result<FetchRetry> {
    let attempts = raw.parsed("fetchOffset.numRetries", FETCH_ATTEMPTS, value::int)?;
    // Spark would then never ask, and fail without a reason.
    let attempts =
        u32::try_from(attempts).ok().filter(|attempts| *attempts > 0).ok_or_else(|| {
            Error::option("fetchOffset.numRetries counts all attempts: it must be at least 1")
        })?;
    let interval = raw.parsed("fetchOffset.retryIntervalMs", FETCH_INTERVAL, value::millis)?;
    Ok(FetchRetry { attempts, interval })
}

fn warnings(raw: &RawOptions, mode: ReadMode) -> Vec<String> {
    let mut warnings = Vec::new();
    for row in SOURCE.iter().filter(|row| raw.get(row.name).is_some()) {
        match (mode, row.scope) {
            (ReadMode::Batch, Scope::Stream) => {
                warnings.push(format!("{} has no effect in a batch", row.name));
            }
            (ReadMode::Stream, Scope::Batch) => {
                warnings.push(format!("{} has no effect in a stream", row.name));
            }
            (_, Scope::Nowhere) => warnings.push(format!("{} has no effect", row.name)),
            _ => {}
        }
    }
    warnings.extend(Engine::warnings(raw));
    if raw.client("group.id").is_some() {
        warnings.push(
            "kafka.group.id is shared with whoever else uses that group; two queries of one group may disturb each other"
                .to_owned(),
        );
        if raw.get("groupIdPrefix").is_some() {
            warnings.push("groupIdPrefix has no effect when kafka.group.id is set".to_owned());
        }
    }
    warnings
}

/// Options of the client that a source may not be given, each with what to do instead.
const REJECTED: [(&str, &str); 5] = [
    (
        "auto.offset.reset",
        ": a query keeps its own offsets. Set the source option 'startingoffsets' to 'earliest' or 'latest' instead",
    ),
    (
        "key.deserializer",
        " as keys are deserialized as byte arrays. Decode the column 'key' instead",
    ),
    (
        "value.deserializer",
        " as values are deserialized as byte arrays. Decode the column 'value' instead",
    ),
    ("enable.auto.commit", " as no offsets are committed: the checkpoint holds them. Take it away"),
    ("interceptor.classes", " as interceptors could change what is read. Take it away"),
];
const POLL: &str = "kafkaConsumer.pollTimeoutMs";
const MAX_TRIGGER_DELAY: Duration = Duration::from_secs(15 * 60);
const FETCH_ATTEMPTS: i32 = 3;
const FETCH_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
