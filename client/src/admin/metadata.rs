//! Brokers, topics and partitions, asked for afresh each time.

use std::sync::Arc;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use klamm_protocol::session::metadata::{Topic, View};
use klamm_protocol::wire::Uuid;
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::{PROPAGATING, Repeat, Retry, no_topic};
use crate::error::{Error, Result};

use super::acls::{AclOperation, allowed};
use super::each::{Call, Each, Named, Node, To, Told};

/// A topic with its partitions and the caller's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name, id and partitions.
    pub topic: Arc<Topic>,
    /// What the caller may do with it; `None` from brokers before 2.3 (KIP-430).
    pub authorized: Option<Vec<AclOperation>>,
}

/// Which topics a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// All that the caller may see.
    All,
    /// These, by name. An empty list asks about brokers alone.
    Named(Vec<String>),
}

impl Client {
    /// Asks a broker for the cluster and these topics, past the view that the client keeps. Nothing
    /// is created by asking.
    ///
    /// A topic that does not exist is in the answer, with its error.
    ///
    /// # Errors
    ///
    /// Whatever outlasts `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn metadata(&self, topics: Topics) -> Result<View> {
        self.metadata_until(topics, self.api_deadline()).await
    }

    /// The names of all topics that the caller may see, in order, without Kafka's own.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Client::metadata`].
    pub async fn topic_names(&self) -> Result<Vec<String>> {
        let view = self.metadata(Topics::All).await?;
        let visible = view.topics.values().filter(|topic| !topic.internal && topic.error.is_ok());
        Ok(visible.map(|topic| topic.name.to_string()).collect())
    }

    /// The numbers of a topic's partitions, rising, asked for afresh so that new ones are seen.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Usage`] with the broker's code if the topic does not exist or is not
    /// allowed; one that was just created is waited for two seconds.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let deadline = self.api_deadline();
        let patience = deadline.min(Instant::now() + PROPAGATING);
        let mut retry = Retry::new(self.cluster(), deadline, Repeat::Harmless);
        loop {
            let view = self.metadata_until(Topics::Named(vec![topic.to_owned()]), deadline).await?;
            let found = view.topics.get(topic);
            let code = found.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |topic| topic.error);
            if let Some(found) = found.filter(|_| code.is_ok()) {
                return Ok(found.partitions.iter().map(|partition| partition.index).collect());
            }
            if !code.is_retriable() || Instant::now() >= patience {
                return Err(no_topic(code, topic));
            }
            retry.after(Error::broker(code)).await?;
        }
    }

    /// Describes topics, with what the caller may do with them. The results stand in the order of
    /// the topics.
    ///
    /// ```no_run
    /// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
    /// use klamm_client::admin::AclOperation;
    ///
    /// let orders = client.describe_topics(&["orders"]).await.remove(0)?;
    /// let may_write = orders.authorized.is_none_or(|may| may.contains(&AclOperation::Write));
    /// println!("{} partitions, may write: {may_write}", orders.topic.partitions.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// For each: [`Usage`](crate::ErrorKind::Usage) if the topic does not exist (new ones are
    /// waited for two seconds), or another code of the broker's;
    /// [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_topics(&self, topics: &[&str]) -> Vec<Result<TopicDescription>> {
        let items: Vec<_> = topics.iter().map(|topic| Named("topic", topic)).collect();
        let to = To::Node(|_: &Named<'_>| Node::Any);
        Each { client: self, items: &items, to, repeat: Repeat::Harmless }.ask(describe).await
    }

    async fn metadata_until(&self, topics: Topics, deadline: Instant) -> Result<View> {
        let by_name = |name| MetadataRequestTopic { topic_id: Uuid::ZERO, name: Some(name) };
        let request = MetadataRequest {
            topics: match topics {
                Topics::All => None,
                Topics::Named(names) => Some(names.into_iter().map(by_name).collect()),
            },
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let mut retry = Retry::new(self.cluster(), deadline, Repeat::Harmless);
        loop {
            match self.ask_metadata(&request, deadline).await {
                Ok(view) => return Ok(view),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn ask_metadata(&self, request: &MetadataRequest, deadline: Instant) -> Result<View> {
        let response = self.cluster().any(deadline).await?.request(request, deadline).await?;
        Error::check(response.error_code)?;
        Ok(View::of(&response))
    }
}

async fn describe(call: Call<'_, Named<'_>>) -> Told<String, TopicDescription> {
    let version = call.handle.version_of::<MetadataRequest>()?;
    let by_name = |topic: &&Named<'_>| MetadataRequestTopic {
        name: Some(topic.1.to_owned()),
        ..Default::default()
    };
    let request = MetadataRequest {
        topics: Some(call.items.iter().map(by_name).collect()),
        allow_auto_topic_creation: false,
        include_topic_authorized_operations: version >= RIGHTS,
        ..MetadataRequest::default()
    };
    let response = call.request(&request).await?;
    Error::check(response.error_code)?;
    let view = View::of(&response);
    let told = response.topics.into_iter().filter_map(|told| {
        let name = told.name?;
        let known = view.topics.get(name.as_str()).map(Arc::clone);
        let outcome = Error::check(told.error_code).and_then(|()| {
            let topic = known.ok_or_else(|| Error::broker(told.error_code))?;
            Ok(TopicDescription { topic, authorized: allowed(told.topic_authorized_operations) })
        });
        Some((name, outcome))
    });
    Ok(told.collect())
}

/// From this version on a request may ask for the caller's rights (KIP-430).
const RIGHTS: i16 = 8;
