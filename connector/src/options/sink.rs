//! The options of the sink.

use std::num::NonZeroU32;

use super::builder::SinkOptionsBuilder;
use super::pairs::Pairs;
use super::pools::ProducerPoolOptions;
use super::raw::RawOptions;
use super::table::SINK;
use super::tokens::TokenSettings;
use super::value;
use crate::error::{Error, Result};

/// What a write was asked to do, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkOptions {
    topic: Option<String>,
    checkpoint_location: Option<String>,
    tasks: NonZeroU32,
    producer_pool: ProducerPoolOptions,
    tokens: TokenSettings,
    login: Pairs,
    client: Pairs,
}

impl SinkOptions {
    /// Typed setters for the same options.
    pub fn builder() -> SinkOptionsBuilder {
        SinkOptionsBuilder::default()
    }

    /// Reads name and value pairs.
    ///
    /// # Errors
    /// `InvalidOption` for an unknown name, which comes with the nearest known one; for serialisers, since keys and
    /// values are bytes; and when `kafka.bootstrap.servers` is missing.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let raw = RawOptions::from_pairs(pairs, SINK)?;
        for (key, words) in SERIALIZERS {
            if raw.client(key).is_some() {
                return Err(Error::option(format!(
                    "Kafka option '{key}' is not supported as {words} serialized with ByteArraySerializer."
                )));
            }
        }
        if raw.parsed(ASYNC, false, value::mapped_boolean)? {
            return Err(Error::option(format!(
                "{ASYNC} is not supported: a plan and a commit are on the disk before the query goes on, so that a \
                 restart repeats as little as can be. Set it to false"
            )));
        }
        if raw.client("bootstrap.servers").is_none() {
            return Err(Error::option(
                "Kafka option bootstrap.servers is not set. Please make sure it is set and retry. \
                 Set kafka.bootstrap.servers to host:port of at least one broker",
            )
            .with_condition("MISSING_KAFKA_OPTION"));
        }
        Ok(Self {
            // An empty name stays: it is an invalid topic and not an option that was left out.
            topic: raw.get("topic").map(|topic| topic.trim().to_owned()),
            checkpoint_location: raw.get("checkpointLocation").map(str::to_owned),
            tasks: raw.parsed("exactlyOnceTasks", NonZeroU32::MIN, tasks)?,
            producer_pool: ProducerPoolOptions::from_raw(&raw)?,
            tokens: raw.login()?,
            login: raw.login_pairs().clone(),
            client: Pairs(raw.into_client()),
        })
    }

    /// The topic that every row goes to, stronger than the column `topic`.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// The folder of the checkpoint, if it was named among the sink's options.
    pub fn checkpoint_location(&self) -> Option<&str> {
        self.checkpoint_location.as_deref()
    }

    /// How many transactions write a batch side by side, with delivery exactly-once.
    pub fn exactly_once_tasks(&self) -> NonZeroU32 {
        self.tasks
    }

    /// How long producers are kept that nobody uses, with delivery at-least-once.
    pub fn producer_pool(&self) -> ProducerPoolOptions {
        self.producer_pool
    }

    /// Checks that nothing is set that only exactly-once delivery has a use for.
    ///
    /// # Errors
    /// `InvalidOption` if there is a transactional id: rows outside of transactions can't be sent under it.
    pub fn check_at_least_once(&self) -> Result<()> {
        if self.client.iter().any(|(name, _)| name == "transactional.id") {
            return Err(Error::option(
                "Kafka option 'kafka.transactional.id' names the transactions of exactly-once delivery; ask for that \
                 delivery, or leave the option out",
            ));
        }
        Ok(())
    }

    /// How to log in, beside what the options of the client say.
    pub fn tokens(&self) -> &TokenSettings {
        &self.tokens
    }

    /// Everything by which two connections could differ: the options of the client, and those of logins.
    pub(crate) fn connection(&self) -> impl Iterator<Item = (String, String)> {
        self.client.iter().chain(self.login.iter()).cloned()
    }

    /// The options of the client, without `kafka.`, ordered by name.
    pub fn client(&self) -> &[(String, String)] {
        &self.client
    }
}

impl SinkOptionsBuilder {
    /// Checks everything.
    ///
    /// # Errors
    /// As [`SinkOptions::from_pairs`].
    pub fn build(self) -> Result<SinkOptions> {
        SinkOptions::from_pairs(self.into_pairs())
    }
}

fn tasks(name: &str, text: &str) -> Result<NonZeroU32> {
    let tasks = text.trim().parse().ok().filter(|tasks: &NonZeroU32| tasks.get() <= MOST_TASKS);
    tasks.ok_or_else(|| {
        Error::option(format!("Invalid value '{text}' for option '{name}'; give 1 to {MOST_TASKS}"))
    })
}

const ASYNC: &str = "asyncProgressTrackingEnabled";
/// Each task has a producer with connections and memory of its own.
const MOST_TASKS: u32 = 128;

/// The serialisers that nobody may choose, and Spark's words about each.
const SERIALIZERS: [(&str, &str); 2] =
    [("key.serializer", "keys are"), ("value.serializer", "value are")];
