//! Brokers, topics and partitions, asked for afresh each time.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use klamm_protocol::session::metadata::View;
use klamm_protocol::wire::Uuid;
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::{PROPAGATING, Repeat, Retry, no_topic};
use crate::error::{Error, Result};

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
