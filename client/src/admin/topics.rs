//! Topics: made, grown, deleted. Orders go to the controller, and are not repeated when their
//! outcome is unknown.

use klamm_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use klamm_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use klamm_protocol::wire::Uuid;

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};

use super::each::{Call, Each, Item, Named, Node, To, Told, about, verdict};

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
    /// The replicas of each partition, the preferred leader first, in place of the two numbers;
    /// empty lets the controller place them.
    pub assignment: Vec<Vec<i32>>,
}

/// The number of partitions that a topic shall have.
///
/// ```
/// use klamm_client::admin::NewPartitions;
///
/// let anywhere = NewPartitions::from(("orders", 12));
/// let here = NewPartitions::new("orders", 12).with_assignment(vec![vec![1, 2], vec![2, 3]]);
/// assert_eq!((anywhere.total, here.assignment.len()), (12, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewPartitions {
    /// The topic's name.
    pub topic: String,
    /// How many partitions it has afterwards.
    pub total: i32,
    /// The replicas of each *new* partition, the preferred leader first; empty lets the controller
    /// place them.
    pub assignment: Vec<Vec<i32>>,
}

impl NewTopic {
    /// A topic with the brokers' defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: None,
            replication: None,
            settings: Vec::new(),
            assignment: Vec::new(),
        }
    }

    /// Sets the replicas of each partition, and by that their number.
    #[must_use]
    pub fn with_assignment(mut self, assignment: Vec<Vec<i32>>) -> Self {
        self.assignment = assignment;
        self
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

impl NewPartitions {
    /// `total` partitions, the new ones wherever the controller places them.
    pub fn new(topic: impl Into<String>, total: i32) -> Self {
        Self { topic: topic.into(), total, assignment: Vec::new() }
    }

    /// Sets the replicas of each new partition.
    #[must_use]
    pub fn with_assignment(mut self, assignment: Vec<Vec<i32>>) -> Self {
        self.assignment = assignment;
        self
    }
}

impl<T: Into<String>> From<(T, i32)> for NewPartitions {
    fn from((topic, total): (T, i32)) -> Self {
        Self::new(topic, total)
    }
}

impl Client {
    /// Makes topics. The results stand in the order of the topics; `TOPIC_ALREADY_EXISTS` is an
    /// error. Other brokers may learn of a new topic a moment later.
    ///
    /// # Errors
    ///
    /// For each: the broker's code with its own words, or
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) where the request got no answer, or none
    /// that can be read; that is never repeated, so look before ordering again.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: topics may or may not be made.
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Vec<Result<()>> {
        self.order(topics, |call| create(self, call)).await
    }

    /// Deletes topics with all their records.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Client::create_topics`].
    pub async fn delete_topics(&self, topics: &[&str]) -> Vec<Result<()>> {
        let topics: Vec<_> = topics.iter().map(|topic| Named("topic", topic)).collect();
        self.order(&topics, |call| delete(self, call)).await
    }

    /// Raises the number of partitions of topics to the totals given.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Client::create_topics`].
    pub async fn create_partitions<T>(&self, totals: &[T]) -> Vec<Result<()>>
    where
        T: Clone + Into<NewPartitions>,
    {
        let totals: Vec<NewPartitions> = totals.iter().cloned().map(Into::into).collect();
        self.order(&totals, |call| grow(self, call)).await
    }

    /// Gives the controller an order about each topic until each is carried out, refused, or out of
    /// time.
    async fn order<'a, I, F>(
        &'a self,
        items: &'a [I],
        ask: impl Fn(Call<'a, I>) -> F,
    ) -> Vec<Result<()>>
    where
        I: Item,
        F: Future<Output = Told<I::Key, ()>>,
    {
        let to = To::Node(|_| Node::Controller);
        let done = Each { client: self, items, to, repeat: Repeat::Harmful }.ask(ask).await;
        // The view must not go on with topics as they were.
        self.cluster().mark_stale();
        done
    }
}

impl Item for NewTopic {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn named(&self, error: Error) -> Error {
        about(error, "topic", &self.name)
    }
}

impl Item for NewPartitions {
    type Key = String;

    fn key(&self) -> String {
        self.topic.clone()
    }

    fn named(&self, error: Error) -> Error {
        about(error, "topic", &self.topic)
    }
}

async fn create(client: &Client, call: Call<'_, NewTopic>) -> Told<String, ()> {
    let request = CreateTopicsRequest {
        topics: call.items.iter().map(|topic| creatable(topic)).collect(),
        timeout_ms: client.order_timeout(),
        validate_only: false,
    };
    let told = call.request(&request).await?.topics.into_iter();
    Ok(told.map(|topic| (topic.name, verdict(topic.error_code, topic.error_message))).collect())
}

async fn delete(client: &Client, call: Call<'_, Named<'_>>) -> Told<String, ()> {
    let names = call.items.iter().map(|topic| topic.1.to_owned());
    let state = |name| DeleteTopicState { name: Some(name), topic_id: Uuid::ZERO };
    let mut request =
        DeleteTopicsRequest { timeout_ms: client.order_timeout(), ..Default::default() };
    if call.handle.version_of::<DeleteTopicsRequest>()? >= BY_STATE {
        request.topics = names.map(state).collect();
    } else {
        request.topic_names = names.collect();
    }
    let told = call.request(&request).await?.responses.into_iter();
    Ok(told
        .filter_map(|topic| Some((topic.name?, verdict(topic.error_code, topic.error_message))))
        .collect())
}

async fn grow(client: &Client, call: Call<'_, NewPartitions>) -> Told<String, ()> {
    let replicas =
        |broker_ids: &Vec<i32>| CreatePartitionsAssignment { broker_ids: broker_ids.clone() };
    let topic = |topic: &&NewPartitions| CreatePartitionsTopic {
        name: topic.topic.clone(),
        count: topic.total,
        assignments: Some(topic.assignment.iter().map(replicas).collect::<Vec<_>>())
            .filter(|assignment| !assignment.is_empty()),
    };
    let request = CreatePartitionsRequest {
        topics: call.items.iter().map(topic).collect(),
        timeout_ms: client.order_timeout(),
        validate_only: false,
    };
    let told = call.request(&request).await?.results.into_iter();
    Ok(told.map(|topic| (topic.name, verdict(topic.error_code, topic.error_message))).collect())
}

/// The topic as requests describe it; -1 leaves a number to the brokers, or to the assignment.
fn creatable(topic: &NewTopic) -> CreatableTopic {
    let setting = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    let replicas = |(partition_index, brokers): (i32, &Vec<i32>)| CreatableReplicaAssignment {
        partition_index,
        broker_ids: brokers.clone(),
    };
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.partitions.unwrap_or(-1),
        replication_factor: topic.replication.unwrap_or(-1),
        assignments: (0..).zip(&topic.assignment).map(replicas).collect(),
        configs: topic.settings.iter().map(setting).collect(),
    }
}

/// From this version on topics to delete are structs, by name or by id.
const BY_STATE: i16 = 6;
