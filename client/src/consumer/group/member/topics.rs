//! Questions about topics that a member has: which match its pattern, how many partitions those
//! have that its group reads, what ids are called. One at a time; what is asked again and again is
//! asked every `metadata.max.age.ms`, and when the client's view of the cluster changes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{pending, poll_fn};
use std::sync::Arc;

use klamm_protocol::assign::{self, TopicLayout};
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use klamm_protocol::session::metadata::{Topic, View};
use klamm_protocol::wire::Uuid;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin;
use crate::client::Client;
use crate::consumer::group::pattern::{Interest, Pattern};
use crate::consumer::leader::Job;
use crate::error::{Error, ErrorKind, Result};

use super::machine::Machine;

/// The questions of one member.
pub(super) struct Topics {
    client: Client,
    views: watch::Receiver<Arc<View>>,
    pattern: Option<Pattern>,
    layouts: Option<Vec<String>>,
    names: Option<Vec<Uuid>>,
    /// When patterns and layouts are looked at again.
    look_at: Instant,
    job: Option<Job<Found>>,
}

/// An answer.
pub(super) enum Found {
    /// The topics that match the pattern.
    Matching(Result<BTreeSet<String>>),
    /// The partitions of topics.
    Layouts(Result<assign::Topics>),
    /// The names of topics; those that nobody knows are missing.
    Names(Result<BTreeMap<Uuid, Arc<str>>>),
    /// The client's view has changed, so it is worth to look again.
    ViewChanged,
}

impl Topics {
    pub(super) fn new(client: Client) -> Self {
        let mut views = client.cluster().watch();
        views.mark_unchanged();
        let look_at = Instant::now();
        Self { client, views, pattern: None, layouts: None, names: None, look_at, job: None }
    }

    /// The names that match this are wanted, now and always.
    pub(super) fn set_pattern(&mut self, interest: Option<Interest>) {
        self.pattern = match interest {
            Some(Interest::Pattern(pattern)) => Some(pattern),
            Some(Interest::Topics(_)) | None => None,
        };
        self.look_at = Instant::now();
    }

    pub(super) fn want_layouts(&mut self, topics: Vec<String>) {
        self.layouts = Some(topics);
    }

    pub(super) fn want_names(&mut self, ids: Vec<Uuid>) {
        self.names = Some(ids);
    }

    /// Begins the most urgent question, if none is under way.
    pub(super) fn begin(&mut self, machine: &Machine) {
        if self.job.is_some() {
            return;
        }
        let client = self.client.clone();
        if let Some(topics) = self.layouts.take() {
            self.job =
                Some(Box::pin(async move { Found::Layouts(layouts(&client, topics).await) }));
        } else if let Some(ids) = self.names.take() {
            self.job = Some(Box::pin(async move { Found::Names(names(&client, ids).await) }));
        } else if self.look_at <= Instant::now() {
            self.look_at = Instant::now() + *client.config().metadata_max_age();
            self.layouts = machine.led_topics();
            if let Some(pattern) = self.pattern.clone() {
                let look = async move { Found::Matching(matching(&client, &pattern).await) };
                self.job = Some(Box::pin(look));
            } else if self.layouts.is_some() {
                self.begin(machine);
            }
        }
    }

    /// The next answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn found(&mut self) -> Found {
        let found = match &mut self.job {
            Some(job) => poll_fn(|cx| job.as_mut().poll(cx)).await,
            None => match self.views.changed().await {
                Ok(()) => Found::ViewChanged,
                // The client is held by this very struct, so its views do not end before.
                Err(_) => return pending().await,
            },
        };
        match &found {
            Found::ViewChanged => self.look_at = Instant::now(),
            // What could not be found is looked for again before long.
            Found::Matching(Err(_)) | Found::Layouts(Err(_)) => {
                self.look_at = Instant::now() + *self.client.config().retry_backoff_max();
                self.job = None;
            }
            _ => self.job = None,
        }
        found
    }

    /// When something is to be looked at again.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.job.is_none().then_some(self.look_at)
    }
}

async fn matching(client: &Client, pattern: &Pattern) -> Result<BTreeSet<String>> {
    let names = client.topic_names().await?;
    Ok(names.into_iter().filter(|name| pattern.matches(name)).collect())
}

/// Topics that do not exist are left out.
async fn layouts(client: &Client, topics: Vec<String>) -> Result<assign::Topics> {
    if topics.is_empty() {
        return Ok(assign::Topics::new());
    }
    let view = client.metadata(admin::Topics::Named(topics)).await?;
    let rack = |node: &i32| view.brokers.get(node)?.rack.as_deref().map(Arc::from);
    let layout = |topic: &Topic| {
        let racks = |replicas: &[i32]| replicas.iter().filter_map(rack).collect();
        let racks = topic.partitions.iter().map(|partition| racks(&partition.replicas));
        TopicLayout::with_racks(racks.collect())
    };
    let known = view.topics.values().filter(|topic| !topic.partitions.is_empty());
    Ok(known.map(|topic| (Arc::clone(&topic.name), layout(topic))).collect())
}

async fn names(client: &Client, ids: Vec<Uuid>) -> Result<BTreeMap<Uuid, Arc<str>>> {
    let deadline = client.api_deadline();
    let handle = client.cluster().any(deadline).await?;
    let version = handle.version_of::<MetadataRequest>()?;
    if version < FIRST_BY_ID {
        let error = Error::new(ErrorKind::Unsupported, "the broker does not know topics by id");
        return Err(error.with("broker", handle.peer()));
    }
    let topic = |topic_id| MetadataRequestTopic { topic_id, name: None };
    let request = MetadataRequest {
        topics: Some(ids.into_iter().map(topic).collect()),
        ..MetadataRequest::default()
    };
    let response = handle.request_in(&request, version, deadline).await?;
    let named = response.topics.into_iter().filter_map(|topic| {
        let name = topic.name.filter(|_| topic.error_code.is_ok())?;
        Some((topic.topic_id, Arc::from(name)))
    });
    Ok(named.collect())
}

/// From this version on topics can be asked for by id (KIP-516).
const FIRST_BY_ID: i16 = 12;
