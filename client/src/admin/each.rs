//! Many items, few requests. In: items, where each belongs, and how a broker is asked about some of
//! them; out: one result an item, in the order of the items. Brokers are asked side by side, each
//! item is tried again for itself, and every error names its item.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::Pin;
use std::task::Poll;

use klamm_protocol::api::Request;
use klamm_protocol::code::ErrorCode;
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::{CoordinatorKind, PROPAGATING, Repeat, Retry, no_topic};
use crate::error::{Error, ErrorKind, Result};
use crate::net::handle::Handle;
use crate::partition::TopicPartition;

use super::outcomes::Outcomes;

/// Something that a call is about.
pub(super) trait Item {
    /// What answers call it by.
    type Key: Eq + Hash;

    /// The key of this item.
    fn key(&self) -> Self::Key;

    /// Says in an error that it is about this item.
    fn named(&self, error: Error) -> Error;
}

/// The broker that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Node {
    /// Whichever is at hand.
    Any,
    /// The controller, or who forwards to it.
    Controller,
    /// The one of this id.
    Id(i32),
}

/// Where items belong.
pub(super) enum To<I> {
    /// To a broker that the item itself tells.
    Node(fn(&I) -> Node),
    /// To the leader of a partition.
    Leader(fn(&I) -> &TopicPartition),
    /// To the coordinator of a name.
    Coordinator(CoordinatorKind, fn(&I) -> &str),
}

/// One call's question.
pub(super) struct Each<'a, I> {
    pub(super) client: &'a Client,
    pub(super) items: &'a [I],
    pub(super) to: To<I>,
    pub(super) repeat: Repeat,
}

/// One request to be made: to this broker, about these items. No two of them have the same key.
pub(super) struct Call<'a, I> {
    pub(super) handle: Handle,
    pub(super) items: Vec<&'a I>,
    pub(super) deadline: Instant,
}

/// What one request brought, by key.
pub(super) type Told<K, T> = Result<Vec<(K, Result<T>)>>;

/// A request goes to one broker and names a key once; repetitions go in requests of their own.
type Batches = BTreeMap<(Node, usize), Vec<usize>>;

impl<'a, I: Item> Each<'a, I> {
    /// Has `ask` make requests until each item has its result.
    pub(super) async fn ask<T, F>(self, ask: impl Fn(Call<'a, I>) -> F) -> Vec<Result<T>>
    where
        T: Clone,
        F: Future<Output = Told<I::Key, T>>,
    {
        let deadline = self.client.api_deadline();
        let patience = deadline.min(Instant::now() + PROPAGATING);
        let mut retry = Retry::new(self.client.cluster(), deadline, self.repeat);
        let mut outcomes = Outcomes::new(self.items.len(), self.repeat);
        loop {
            let pending = outcomes.begin();
            if pending.is_empty() {
                break;
            }
            let late = Instant::now() >= patience;
            let batches = self.batches(&pending, late, deadline, &mut outcomes).await;
            let calls = batches.iter().map(|((node, _), batch)| {
                let items = batch.iter().filter_map(|index| self.items.get(*index)).collect();
                let ask = &ask;
                async move {
                    let handle = self.client.node(*node, deadline).await?;
                    ask(Call { handle, items, deadline }).await
                }
            });
            let told = together(calls).await;
            for (((node, _), batch), told) in batches.iter().zip(told) {
                self.take(*node, batch, told, late, &mut outcomes);
            }
            if !outcomes.another(&mut retry).await {
                break;
            }
        }
        let named = outcomes.finish().zip(self.items);
        named.map(|(result, item)| result.map_err(|error| item.named(error))).collect()
    }

    /// Puts the results of one request where they belong.
    fn take<T: Clone>(
        &self,
        node: Node,
        batch: &[usize],
        told: Told<I::Key, T>,
        late: bool,
        outcomes: &mut Outcomes<T>,
    ) {
        let certain = node == Node::Controller || node == Node::Any && late;
        let told = match told {
            Ok(told) => told,
            Err(error) => {
                let error = self.understood(error, certain);
                return batch.iter().for_each(|index| outcomes.settle(*index, Err(error.clone())));
            }
        };
        let keys = batch.iter().filter_map(|index| Some((self.items.get(*index)?.key(), *index)));
        let places: HashMap<I::Key, usize> = keys.collect();
        for (key, result) in told {
            if let Some(index) = places.get(&key) {
                outcomes.settle(*index, result.map_err(|error| self.understood(error, certain)));
            }
        }
    }

    /// What a code means for whoever gave the order. `certain` says that who answered knows what
    /// exists.
    fn understood(&self, error: Error, certain: bool) -> Error {
        match error.code() {
            // The controller goes on with an order whose time ran out.
            Some(ErrorCode::REQUEST_TIMED_OUT) if self.repeat == Repeat::Harmful => {
                error.as_kind(ErrorKind::OutcomeUnknown)
            }
            // To ask again would find the same.
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID)
                if certain =>
            {
                error.as_kind(ErrorKind::Usage)
            }
            _ => error,
        }
    }

    /// The pending items by the broker to ask. Those that belong nowhere stay pending, or fail
    /// where a fresh view proves it.
    async fn batches<T>(
        &self,
        pending: &[usize],
        late: bool,
        deadline: Instant,
        outcomes: &mut Outcomes<T>,
    ) -> Batches {
        let some: Vec<(usize, &I)> =
            pending.iter().filter_map(|index| Some((*index, self.items.get(*index)?))).collect();
        let routes = match &self.to {
            To::Node(node) => some.iter().map(|(_, item)| Ok(node(item))).collect(),
            To::Leader(of) => {
                let partitions: Vec<_> = some.iter().map(|(_, item)| of(item)).collect();
                self.client.leaders(&partitions, late, deadline).await
            }
            To::Coordinator(kind, of) => {
                let keys: Vec<_> = some.iter().map(|(_, item)| of(item)).collect();
                self.client
                    .cluster()
                    .coordinators(*kind, &keys, deadline)
                    .await
                    .into_iter()
                    .map(|found| found.map(Node::Id))
                    .collect()
            }
        };
        let view = self.client.view();
        let (mut batches, mut turns) = (Batches::new(), HashMap::new());
        for ((index, item), route) in some.into_iter().zip(routes) {
            match route {
                Ok(Node::Id(node)) if late && !view.brokers.contains_key(&node) => {
                    outcomes.end(index, Err(no_broker(node)));
                }
                Ok(node) => {
                    let turn = turns.entry((node, item.key())).or_insert(0_usize);
                    batches.entry((node, *turn)).or_default().push(index);
                    *turn += 1;
                }
                Err(error) => outcomes.settle(index, Err(error)),
            }
        }
        batches
    }
}

impl<I> Call<'_, I> {
    /// Makes a request in the newest version that both sides speak.
    pub(super) async fn request<R: Request>(&self, request: &R) -> Result<R::Response> {
        self.handle.request(request, self.deadline).await
    }

    /// Makes a request in this version.
    pub(super) async fn request_in<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<R::Response> {
        self.handle.request_in(request, version, self.deadline).await
    }
}

impl Client {
    /// A connection to this broker.
    pub(super) async fn node(&self, node: Node, deadline: Instant) -> Result<Handle> {
        match node {
            Node::Any => self.cluster().any(deadline).await,
            Node::Controller => self.cluster().controller(deadline).await,
            Node::Id(id) => self.cluster().broker(id, deadline).await,
        }
    }

    /// Asks one broker one question until it is answered. `attempt` gets a connection and the time
    /// at which the whole call ends.
    pub(super) async fn question<T, F>(
        &self,
        node: Node,
        repeat: Repeat,
        attempt: impl Fn(Handle, Instant) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let deadline = self.api_deadline();
        let mut retry = Retry::new(self.cluster(), deadline, repeat);
        loop {
            let outcome = match self.node(node, deadline).await {
                Ok(handle) => attempt(handle, deadline).await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) => retry.after(error).await?,
                done => return done,
            }
        }
    }

    /// The leaders of these partitions. Those of topics that are not in use yet are looked up.
    async fn leaders(
        &self,
        partitions: &[&TopicPartition],
        late: bool,
        deadline: Instant,
    ) -> Vec<Result<Node>> {
        let names: BTreeMap<&str, ()> =
            partitions.iter().map(|one| (one.topic.as_ref(), ())).collect();
        let topics = together(names.keys().map(|name| self.cluster().topic(name, deadline))).await;
        let topics: HashMap<&str, _> = names.into_keys().zip(topics).collect();
        let leader = |one: &&TopicPartition| {
            let topic = match topics.get(one.topic.as_ref()) {
                Some(Ok(topic)) => topic,
                Some(Err(error)) => return Err(error.clone()),
                None => return Err(Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            };
            match topic.partition(one.partition).map(|found| found.leader) {
                Some(Some(leader)) => Ok(Node::Id(leader)),
                Some(None) => Err(Error::broker(ErrorCode::LEADER_NOT_AVAILABLE)),
                None if late => Err(no_topic(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, &one.topic)),
                None => Err(Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            }
        };
        partitions.iter().map(leader).collect()
    }

    /// How long the controller may take, in milliseconds: as long as a request may.
    pub(super) fn order_timeout(&self) -> i32 {
        i32::try_from(self.config().request_timeout().as_millis()).unwrap_or(i32::MAX)
    }
}

/// Something with a name, and what errors call it.
pub(super) struct Named<'a>(pub(super) &'static str, pub(super) &'a str);

impl Item for Named<'_> {
    type Key = String;

    fn key(&self) -> String {
        self.1.to_owned()
    }

    fn named(&self, error: Error) -> Error {
        about(error, self.0, self.1)
    }
}

/// A broker that is asked about itself.
pub(super) struct Broker(pub(super) i32);

impl Item for Broker {
    type Key = i32;

    fn key(&self) -> i32 {
        self.0
    }

    fn named(&self, error: Error) -> Error {
        about(error, "broker", format!("id {}", self.0))
    }
}

impl Item for TopicPartition {
    type Key = Self;

    fn key(&self) -> Self {
        self.clone()
    }

    fn named(&self, error: Error) -> Error {
        about(about(error, "topic", &self.topic), "partition", self.partition)
    }
}

impl<T> Item for (TopicPartition, T) {
    type Key = TopicPartition;

    fn key(&self) -> TopicPartition {
        self.0.clone()
    }

    fn named(&self, error: Error) -> Error {
        self.0.named(error)
    }
}

/// Adds a context pair where it is missing.
pub(super) fn about(error: Error, name: &'static str, value: impl std::fmt::Display) -> Error {
    if error.context(name).is_some() { error } else { error.with(name, value) }
}

/// What a code says, with the broker's own words.
pub(super) fn verdict(code: ErrorCode, words: Option<String>) -> Result<()> {
    Error::check(code).map_err(|error| match words.filter(|words| !words.is_empty()) {
        Some(words) => error.with("broker says", words),
        None => error,
    })
}

/// The error for something that this broker is too old for.
pub(super) fn too_old(handle: &Handle, api: impl std::fmt::Display, what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, what)
        .with("api", api)
        .with("broker", handle.peer())
        .with_hint("use a newer broker")
}

/// Drives all futures side by side; the results are in their order. With as many futures as there
/// are brokers it costs nothing that each is polled whenever one has news.
///
/// # Cancel safety
///
/// As the futures.
pub(super) async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut all = true;
        let unfinished = running.iter_mut().zip(&mut outputs).filter(|(_, done)| done.is_none());
        for (future, output) in unfinished {
            match future.as_mut().poll(context) {
                Poll::Ready(done) => *output = Some(done),
                Poll::Pending => all = false,
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

fn no_broker(node: i32) -> Error {
    Error::new(ErrorKind::Unreachable, "the broker is not among the living ones")
        .with("broker", format!("id {node}"))
        .with_hint("start it, or check the id")
}
