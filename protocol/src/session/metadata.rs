//! What a client knows of a cluster, and when to ask again. In: topics somebody uses, answers,
//! failures, proofs that something is stale, leaders learnt by the way (KIP-951); out: the next
//! request, a view, and what changed in it.
//!
//! At most one request is out. A wish while one is out counts for the next, since the answer may be
//! older than the wish.
//!
//! | state | on | next | out |
//! |---|---|---|---|
//! | current | a new topic | due now | |
//! | current | `mark_stale` | due after the pause | |
//! | current | the view's age reaches its limit | due | |
//! | due | `poll_transmit` | awaiting | a request |
//! | awaiting | answer with brokers | current | `Refreshed`, perhaps `TopicReplaced` |
//! | awaiting | answer without brokers, or `handle_failure` | due after the pause | `Failed` |
//! | awaiting | as before, and so for too long (KIP-1102) | due after the pause | `Failed`, `StartedOver` |
//! | awaiting | `REBOOTSTRAP_REQUIRED`, or a broker of another cluster answers | due after the pause | `Failed`, `StartedOver` |
//! | awaiting, started over | answer with brokers of another cluster | current | `ClusterReplaced`, `Refreshed` |
//!
//! To start over is to forget where brokers are and who leads what: whoever sends the next request
//! has to turn to where it once began (KIP-899). Topics in use and their epochs stay.
//!
//! The pause grows while refreshes fail or bring nothing new, and a new topic does not wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::code::ErrorCode;
use crate::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use crate::session::backoff::Backoff;
use crate::wire::Uuid;

mod view;

pub use view::{Broker, Leader, Partition, Topic, View};

/// Keeps the view and decides when to refresh it.
#[derive(Debug)]
#[must_use]
pub struct Metadata {
    options: MetadataOptions,
    view: Arc<View>,
    /// The topics in use, and whether a broker may create them.
    wanted: BTreeMap<Arc<str>, bool>,
    state: State,
    /// Somebody wants news that the answer under way may not have.
    stale: bool,
    /// A topic was added: the pause does not hold it back.
    urgent: bool,
    not_before: Instant,
    /// Refreshes in a row that failed or brought nothing new.
    fruitless: u32,
    /// When the first refresh since the last usable answer was begun.
    trying_since: Option<Instant>,
    events: VecDeque<MetadataEvent>,
}

/// When to refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataOptions {
    /// How old a view may grow.
    pub max_age: Duration,
    /// Pauses between refreshes that are wished for.
    pub backoff: Backoff,
    /// After how long without a usable answer the brokers are forgotten
    /// (`metadata.recovery.rebootstrap.trigger.ms`); `None` never forgets them, whatever brokers
    /// say (`metadata.recovery.strategy=none`).
    pub recovery: Option<Duration>,
}

/// What became of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataEvent {
    /// An answer was taken in.
    Refreshed {
        /// Whether the view is another than before.
        changed: bool,
    },
    /// No usable answer came.
    Failed,
    /// The view has no brokers any more: the next request goes to where the first one went.
    StartedOver {
        /// Why.
        why: StartOver,
    },
    /// Who answers now is another cluster; nothing of the old one is left in the view.
    ClusterReplaced {
        /// The id that was known.
        old: String,
        /// The id that answers now.
        new: String,
    },
    /// A topic was deleted and made anew under its name; offsets of the old one mean nothing in the
    /// new one.
    TopicReplaced {
        /// Its name.
        topic: Arc<str>,
        /// The id of the one that is gone.
        old: Uuid,
        /// The id of the one that is there.
        new: Uuid,
    },
}

/// Why the brokers were forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartOver {
    /// No usable answer came for so long.
    Failing,
    /// A broker asked for it (`REBOOTSTRAP_REQUIRED`).
    Asked,
    /// A broker that was known answered as one of another cluster, so that the others are in doubt.
    OtherCluster {
        /// The id that it told.
        found: String,
    },
}

/// A leader told beside an error of another request (KIP-951).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// Its leader.
    pub leader: i32,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// Where the leader listens, if the response said so.
    pub endpoint: Option<Broker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing usable came yet, or not the last time.
    Due,
    /// As of then.
    Current { since: Instant },
    /// A request is out.
    Awaiting,
}

impl Metadata {
    /// Knows nothing, and is due at once.
    pub fn new(now: Instant, options: MetadataOptions) -> Self {
        Self {
            options,
            view: Arc::default(),
            wanted: BTreeMap::new(),
            state: State::Due,
            stale: false,
            urgent: false,
            not_before: now,
            fruitless: 0,
            trying_since: None,
            events: VecDeque::new(),
        }
    }

    /// What is known.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Includes a topic in every refresh from now on, the first one at once. With `create` a broker
    /// that is set up so may create it if it does not exist, until an answer has shown it to exist.
    pub fn want(&mut self, topic: &str, create: bool) {
        match self.wanted.get_mut(topic) {
            Some(known) if *known || !create => {}
            Some(known) => {
                *known = true;
                // One that was there is asked for again after the usual pause.
                self.urgent |= !self.view.topics.contains_key(topic);
            }
            None => {
                self.wanted.insert(Arc::from(topic), create);
                self.urgent = true;
            }
        }
    }

    /// Asks for a topic no more, and drops it from the view.
    pub fn forget(&mut self, topic: &str) {
        self.wanted.remove(topic);
        if self.view.topics.contains_key(topic) {
            Arc::make_mut(&mut self.view).topics.remove(topic);
        }
    }

    /// An answer of a broker proved the view wrong, or somebody waits for news.
    pub fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Takes in a leader learnt by the way, unless it is older than the one known, or the brokers
    /// have been forgotten since. Returns whether the view changed.
    pub fn handle_leader(&mut self, hint: LeaderHint) -> bool {
        if self.view.brokers.is_empty() {
            return false;
        }
        let Some(topic) = self.view.topics.get(&hint.topic) else { return false };
        let Some(known) = topic.partition(hint.partition) else { return false };
        if hint.leader < 0 || hint.leader_epoch <= known.leader_epoch.unwrap_or(-1) {
            return false;
        }
        let mut topic = Topic::clone(topic);
        for partition in topic.partitions.iter_mut().filter(|one| one.index == hint.partition) {
            partition.leader = Some(hint.leader);
            partition.leader_epoch = Some(hint.leader_epoch);
            partition.error = ErrorCode::NONE;
        }
        let view = Arc::make_mut(&mut self.view);
        view.topics.insert(Arc::clone(&hint.topic), Arc::new(topic));
        if let Some(broker) = hint.endpoint.filter(|broker| broker.id == hint.leader) {
            view.brokers.insert(broker.id, broker);
        }
        true
    }

    /// The answer to the request that is out; without one it is ignored, as is one that knows no
    /// broker. Returns whether it was believed.
    pub fn handle_response(&mut self, now: Instant, response: &MetadataResponse) -> bool {
        if self.state != State::Awaiting {
            return false;
        }
        match self.judge(response) {
            Ok(view) => {
                self.take_in(now, view);
                true
            }
            Err(reason) => {
                self.handle_failure(now, 0.5);
                reason.into_iter().for_each(|why| self.start_over(why));
                false
            }
        }
    }

    /// The view after this answer, unless it is not to be believed: then perhaps why to start over.
    fn judge(&self, response: &MetadataResponse) -> Result<View, Option<StartOver>> {
        if response.error_code == ErrorCode::REBOOTSTRAP_REQUIRED {
            return Err(Some(StartOver::Asked));
        }
        let stranger = self.stranger(response);
        let before = stranger.map_or_else(|| View::clone(&self.view), |_| View::default());
        let mut view = before.updated(response);
        // A broker that tells of topics nobody asked for must not make the view grow.
        view.topics.retain(|name, _| self.wanted.contains_key(name));
        if view.brokers.is_empty() || !response.error_code.is_ok() {
            return Err(None);
        }
        // An address may have gone to somebody else's broker. Only who answers where the client
        // began decides which cluster it is in.
        match stranger.filter(|_| !self.view.brokers.is_empty() && self.options.recovery.is_some())
        {
            Some(found) => Err(Some(StartOver::OtherCluster { found: found.clone() })),
            None => Ok(view),
        }
    }

    fn take_in(&mut self, now: Instant, view: View) {
        if let (Some(old), Some(new)) = (&self.view.cluster_id, &view.cluster_id)
            && old != new
        {
            let (old, new) = (old.clone(), new.clone());
            self.events.push_back(MetadataEvent::ClusterReplaced { old, new });
        }
        for (name, old) in &self.view.topics {
            let new = view.topics.get(name).map_or(old.id, |topic| topic.id);
            if old.is_replaced_by(new) {
                let (topic, old) = (Arc::clone(name), old.id);
                self.events.push_back(MetadataEvent::TopicReplaced { topic, old, new });
            }
        }
        // A topic that was there and is deleted must not rise again by a refresh, unless somebody
        // wants it anew.
        for (name, create) in &mut self.wanted {
            let there = |topic: &Arc<Topic>| topic.error.is_ok() && !topic.partitions.is_empty();
            *create &= !view.topics.get(name).is_some_and(there);
        }
        let changed = *self.view != view;
        if changed {
            self.view = Arc::new(view);
        }
        self.fruitless = if changed { 1 } else { self.fruitless.saturating_add(1) };
        self.state = State::Current { since: now };
        self.trying_since = None;
        self.hold(now, 0.5);
        self.events.push_back(MetadataEvent::Refreshed { changed });
    }

    /// The request that is out came to nothing. `random` in `0.0..1.0` spreads the pause.
    pub fn handle_failure(&mut self, now: Instant, random: f64) {
        if self.state == State::Awaiting {
            self.fruitless = self.fruitless.saturating_add(1);
            self.state = State::Due;
            self.hold(now, random);
            self.events.push_back(MetadataEvent::Failed);
            let trying = self.trying_since.map(|since| now.saturating_duration_since(since));
            if self.options.recovery.is_some_and(|limit| trying.is_some_and(|time| time >= limit)) {
                self.start_over(StartOver::Failing);
            }
        }
    }

    /// The request to send to any broker now.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<MetadataRequest> {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return None;
        }
        let missing: Vec<_> = self.missing_to_create().cloned().collect();
        let create = !missing.is_empty();
        let names = if create { missing } else { self.wanted.keys().cloned().collect() };
        // What was not asked for now is asked for next.
        self.urgent = create && self.wanted.len() > names.len();
        self.stale = false;
        self.state = State::Awaiting;
        self.trying_since.get_or_insert(now);
        Some(request(&names, create))
    }

    /// When a refresh is due; `None` while one is out. A past instant means now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Awaiting => None,
            State::Due => Some(self.not_before),
            State::Current { since } if self.urgent => Some(since),
            State::Current { .. } if self.stale => Some(self.not_before),
            State::Current { since } => since.checked_add(self.options.max_age),
        }
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<MetadataEvent> {
        self.events.pop_front()
    }

    /// Forgets brokers and leaders, if it may. Without brokers there is nothing to forget.
    fn start_over(&mut self, why: StartOver) {
        if self.options.recovery.is_some() && !self.view.brokers.is_empty() {
            self.trying_since = None;
            Arc::make_mut(&mut self.view).forget_brokers();
            self.events.push_back(MetadataEvent::StartedOver { why });
        }
    }

    /// The cluster that answers, if it is another than the one known.
    fn stranger<'a>(&self, response: &'a MetadataResponse) -> Option<&'a String> {
        let known = self.view.cluster_id.as_ref()?;
        response.cluster_id.as_ref().filter(|found| *found != known)
    }

    fn hold(&mut self, now: Instant, random: f64) {
        let pause = self.options.backoff.pause(self.fruitless, random);
        self.not_before = now.checked_add(pause).unwrap_or(now);
    }

    /// Topics to be created that no answer has yet shown to exist; other topics must not travel
    /// with them, or they would be created too.
    fn missing_to_create(&self) -> impl Iterator<Item = &Arc<str>> {
        let exists =
            |name: &Arc<str>| self.view.topics.get(name).is_some_and(|topic| topic.error.is_ok());
        self.wanted
            .iter()
            .filter(|(_, create)| **create)
            .map(|(name, _)| name)
            .filter(move |name| !exists(name))
    }
}

/// Asks for these topics by name, for the brokers alone if there are none.
fn request(names: &[Arc<str>], create: bool) -> MetadataRequest {
    let topic = |name: &Arc<str>| MetadataRequestTopic {
        topic_id: Uuid::ZERO,
        name: Some(name.to_string()),
    };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: create,
        include_cluster_authorized_operations: false,
        include_topic_authorized_operations: false,
    }
}

#[cfg(test)]
mod tests;
