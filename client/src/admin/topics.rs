//! Topics: made, grown, deleted. Orders go to the controller, and are not repeated when their
//! outcome is unknown.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use klamm_protocol::wire::Uuid;
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::{Repeat, Retry};
use crate::error::{Error, ErrorKind, Result};

use super::outcomes::Outcomes;

/// A topic to be made.
///
/// ```
/// use klamm_client::admin::NewTopic;
///
/// let topic = NewTopic::new("orders").with_partitions(6).with_setting("cleanup.policy", "compact");
/// assert_eq!((topic.partitions, topic.replication), (Some(6), None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the brokers' default (KIP-464).
    pub partitions: Option<i32>,
    /// How many replicas; `None` for the brokers' default (KIP-464).
    pub replication: Option<i16>,
    /// Settings that differ from the brokers'.
    pub settings: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with the brokers' defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, replication: None, settings: Vec::new() }
    }

    /// Sets the number of partitions.
    #[must_use]
    pub fn with_partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Sets the number of replicas.
    #[must_use]
    pub fn with_replication(mut self, replication: i16) -> Self {
        self.replication = Some(replication);
        self
    }

    /// Adds a setting, such as `cleanup.policy`.
    #[must_use]
    pub fn with_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// What one topic of an answer says: its name, the code, the broker's words.
type Told = (Option<String>, ErrorCode, Option<String>);

impl Client {
    /// Makes topics. The results stand in the order of the topics; `TOPIC_ALREADY_EXISTS` is an
    /// error. Other brokers may learn of a new topic a moment later.
    ///
    /// # Errors
    ///
    /// For each: the broker's code with its own words, or [`ErrorKind::OutcomeUnknown`] where the
    /// request got no answer, or none that can be read; that is never repeated, so look before
    /// ordering again.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: topics may or may not be made.
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Vec<Result<()>> {
        self.order(
            topics,
            |topic| topic.name.as_str(),
            async |client: &Self, some: &[&NewTopic], deadline| {
                let request = CreateTopicsRequest {
                    topics: some.iter().map(|topic| creatable(topic)).collect(),
                    timeout_ms: client.order_timeout(),
                    validate_only: false,
                };
                let response = client
                    .cluster()
                    .controller(deadline)
                    .await?
                    .request(&request, deadline)
                    .await?;
                let told = response.topics.into_iter();
                Ok(told
                    .map(|topic| (Some(topic.name), topic.error_code, topic.error_message))
                    .collect())
            },
        )
        .await
    }

    /// Deletes topics with all their records.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Client::create_topics`].
    pub async fn delete_topics(&self, topics: &[&str]) -> Vec<Result<()>> {
        self.order(
            topics,
            |topic| topic,
            async |client: &Self, some: &[&&str], deadline| {
                let handle = client.cluster().controller(deadline).await?;
                let by_state = handle.version_of::<DeleteTopicsRequest>()? >= BY_STATE;
                let names = some.iter().map(|name| (**name).to_owned());
                let state = |name| DeleteTopicState { name: Some(name), topic_id: Uuid::ZERO };
                let mut request = DeleteTopicsRequest {
                    timeout_ms: client.order_timeout(),
                    ..Default::default()
                };
                if by_state {
                    request.topics = names.map(state).collect();
                } else {
                    request.topic_names = names.collect();
                }
                let response = handle.request(&request, deadline).await?;
                let told = response.responses.into_iter();
                Ok(told.map(|topic| (topic.name, topic.error_code, topic.error_message)).collect())
            },
        )
        .await
    }

    /// Raises the number of partitions of topics to the totals given.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Client::create_topics`].
    pub async fn create_partitions(&self, totals: &[(&str, i32)]) -> Vec<Result<()>> {
        self.order(
            totals,
            |(topic, _)| topic,
            async |client: &Self, some: &[&(&str, i32)], deadline| {
                let topic = |(name, count): &&(&str, i32)| CreatePartitionsTopic {
                    name: (*name).to_owned(),
                    count: *count,
                    assignments: None,
                };
                let request = CreatePartitionsRequest {
                    topics: some.iter().map(topic).collect(),
                    timeout_ms: client.order_timeout(),
                    validate_only: false,
                };
                let response = client
                    .cluster()
                    .controller(deadline)
                    .await?
                    .request(&request, deadline)
                    .await?;
                let told = response.results.into_iter();
                Ok(told
                    .map(|topic| (Some(topic.name), topic.error_code, topic.error_message))
                    .collect())
            },
        )
        .await
    }

    /// Gives an order about each item until each is carried out, refused, or out of time.
    async fn order<T>(
        &self,
        items: &[T],
        name: impl Fn(&T) -> &str,
        attempt: impl AsyncFn(&Self, &[&T], Instant) -> Result<Vec<Told>>,
    ) -> Vec<Result<()>> {
        let deadline = self.api_deadline();
        let mut retry = Retry::new(self.cluster(), deadline, Repeat::Harmful);
        let mut outcomes = Outcomes::new(items.len(), Repeat::Harmful);
        loop {
            let pending = outcomes.begin();
            if pending.is_empty() {
                break;
            }
            let some: Vec<&T> = pending.iter().filter_map(|index| items.get(*index)).collect();
            match attempt(self, &some, deadline).await {
                Err(error) => outcomes.fail(&pending, &error),
                Ok(answers) => {
                    for (told, code, words) in answers {
                        let named =
                            |index: &&usize| items.get(**index).map(&name) == told.as_deref();
                        if let Some(index) = pending.iter().find(named) {
                            let topic = told.as_deref().unwrap_or_default();
                            outcomes.settle(*index, refusal(code, words, topic));
                        }
                    }
                }
            }
            if !outcomes.another(&mut retry).await {
                break;
            }
        }
        // The view must not go on with topics as they were.
        self.cluster().mark_stale();
        outcomes.finish().collect()
    }

    /// How long the controller may take, in milliseconds: as long as a request may.
    fn order_timeout(&self) -> i32 {
        i32::try_from(self.config().request_timeout().as_millis()).unwrap_or(i32::MAX)
    }
}

/// The topic as requests describe it; -1 leaves a number to the brokers.
fn creatable(topic: &NewTopic) -> CreatableTopic {
    let setting = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.partitions.unwrap_or(-1),
        replication_factor: topic.replication.unwrap_or(-1),
        assignments: Vec::new(),
        configs: topic.settings.iter().map(setting).collect(),
    }
}

/// What a code about one topic means for whoever gave the order.
fn refusal(code: ErrorCode, words: Option<String>, topic: &str) -> Result<()> {
    Error::check(code).map_err(|error| {
        let error = error.with("topic", topic);
        let error = match code {
            // The controller goes on with an order whose time ran out.
            ErrorCode::REQUEST_TIMED_OUT => error.as_kind(ErrorKind::OutcomeUnknown),
            // The controller knows best what exists; to ask again would find the same.
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => error.as_kind(ErrorKind::Usage),
            _ => error,
        };
        match words {
            Some(words) => error.with("broker says", words),
            None => error,
        }
    })
}

/// From this version on topics to delete are structs, by name or by id.
const BY_STATE: i16 = 6;
