//! Brokers by id. In: requests for a leader, a coordinator, the controller or any broker; out:
//! typed responses, and a view of the cluster that everybody shares. Connections open lazily and
//! come back by themselves; metadata is refreshed by one task.
//!
//! What a consumer or producer builds on:
//!
//! | wanted | call |
//! |---|---|
//! | who leads a partition, now | [`Cluster::view`], then [`View::leader`](klamm_protocol::session::metadata::View::leader) |
//! | to be told of changes | [`Cluster::watch`]: `changed().await`, then `borrow_and_update()` |
//! | a topic that may not be known yet | [`Cluster::topic`], [`Cluster::topic_to_write`] |
//! | a request to a broker | [`Cluster::broker`] or [`Cluster::dedicated`], then [`Handle::request`] |
//! | "a broker told me that my view is stale" | [`Cluster::mark_stale`], [`Cluster::learn_leader`] (KIP-951) |
//! | try again, as the options say | [`Retry`] |
//! | what went over the wires so far | [`Cluster::counters`] |

mod brokers;
mod cache;
mod race;
mod retry;
mod spares;
mod way;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use klamm_protocol::session::metadata::{LeaderHint, Topic, View};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Config;
use crate::credentials::Login;
use crate::error::{Error, Result};
use crate::net::counters::Counters;
use crate::net::dial::Dial;
use crate::net::handle::Handle;
use crate::net::line::all_ended;

use brokers::Brokers;
use cache::Cache;

pub(crate) use cache::{PROPAGATING, no_topic};
pub use retry::{Repeat, Retry};

/// A handle on one Kafka cluster; clones share everything. When the last clone is dropped, the
/// refresh task ends, and so does each connection nobody holds a [`Handle`] of.
#[derive(Clone)]
pub struct Cluster(Arc<Owner>);

/// What a coordinator coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CoordinatorKind {
    /// Consumer groups and their offsets.
    Group,
    /// Transactional ids.
    Transaction,
}

impl Cluster {
    /// Connects to any of the bootstrap servers and learns who is in the cluster. Every connection
    /// begins with the login, if there is one.
    ///
    /// All servers are tried side by side.
    ///
    /// # Errors
    ///
    /// [`Unreachable`](crate::ErrorKind::Unreachable), [`NotKafka`](crate::ErrorKind::NotKafka) or
    /// [`TimedOut`](crate::ErrorKind::TimedOut) within `socket.connection.setup.timeout.ms` plus three seconds (eight seconds by default),
    /// at once when every server has refused.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped early, nothing is left behind.
    pub(crate) async fn connect(
        config: Arc<Config>,
        dial: Arc<dyn Dial>,
        login: Option<Arc<Login>>,
    ) -> Result<Self> {
        let brokers = Arc::new(Brokers::new(Arc::clone(&config), dial, login));
        let cache = Cache::start(Arc::clone(&config), Arc::clone(&brokers)).await?;
        Ok(Self(Arc::new(Owner { config, brokers, cache })))
    }

    /// The options this cluster was connected with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The newest view of brokers, topics, partitions and leaders. Never blocks. Topics appear once
    /// somebody asked for them.
    pub fn view(&self) -> Arc<View> {
        self.0.cache.view()
    }

    /// A receiver that is notified of each change of the view.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.0.cache.watch()
    }

    /// The topic by name, waiting until the metadata knows it. From then on each refresh includes
    /// it.
    ///
    /// # Errors
    ///
    /// The broker's code when the topic does not exist (asked for two seconds, since a topic just
    /// created is not known everywhere at once), is not allowed, or has no valid name;
    /// [`TimedOut`](crate::ErrorKind::TimedOut) at `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>> {
        self.0.cache.topic(name, false, deadline).await
    }

    /// As [`Cluster::topic`], and lets a broker that is set up so create a topic that does not
    /// exist.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn topic_to_write(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>> {
        self.0.cache.topic(name, true, deadline).await
    }

    /// As [`Cluster::topic_to_write`] without waiting: what is to be written there has found the
    /// topic, or its leader, gone. Never blocks.
    pub fn want_to_write(&self, name: &str) {
        self.0.cache.want(name, true);
    }

    /// Waits for a view that was asked for after this call, and returns it. Calls at the same time
    /// share one request.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](crate::ErrorKind::TimedOut) with the last failure as source.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn refresh(&self, deadline: Instant) -> Result<Arc<View>> {
        self.0.cache.refresh(deadline).await
    }

    /// Says that a broker's answer proved the view wrong: it is refreshed as soon as the backoff
    /// allows. Never blocks.
    pub fn mark_stale(&self) {
        self.0.cache.mark_stale();
    }

    /// Takes in who leads a partition, as produce and fetch responses tell beside an error
    /// (KIP-951). An older leader epoch than the known one is ignored. Returns whether the view
    /// changed. Never blocks.
    pub fn learn_leader(&self, hint: LeaderHint) -> bool {
        self.0.cache.learn_leader(hint)
    }

    /// The shared connection to this broker, opened if there is none. Requests of all users are
    /// pipelined on it, so nothing that makes the broker wait belongs here. After a failure,
    /// attempts are spaced by `reconnect.backoff.ms`.
    ///
    /// # Errors
    ///
    /// They are retriable while the broker may come back;
    /// [`Unreachable`](crate::ErrorKind::Unreachable) also for an id the view does not know.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; callers at the same time share one attempt, and another takes over when one
    /// goes.
    pub async fn broker(&self, node: i32, deadline: Instant) -> Result<Handle> {
        self.0.brokers.shared(&self.view(), node, deadline).await
    }

    /// A connection of the caller's own to this broker: for long polls, and for large requests that
    /// would hold up others.
    ///
    /// When the last clone of the handle is dropped, the connection closes after the answers that
    /// are still due. One that is idle then is kept for the next call of this function, up to four
    /// of them a broker and 64 in all, each for `connections.max.idle.ms`; a short read need not
    /// open its own.
    ///
    /// # Errors
    ///
    /// As [`Cluster::broker`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn dedicated(&self, node: i32, deadline: Instant) -> Result<Handle> {
        self.0.brokers.dedicated(&self.view(), node, deadline).await
    }

    /// A connection to some broker: an open one if there is, else whichever answers first, the
    /// bootstrap servers included unless `metadata.recovery.strategy` is `none` (KIP-899).
    ///
    /// # Errors
    ///
    /// [`Unreachable`](crate::ErrorKind::Unreachable) when all have failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn any(&self, deadline: Instant) -> Result<Handle> {
        self.0.brokers.any(&self.view(), deadline).await
    }

    /// A connection to the controller, or to any broker where the view names none (KRaft brokers
    /// forward).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn controller(&self, deadline: Instant) -> Result<Handle> {
        match self.view().controller {
            Some(node) => self.broker(node, deadline).await,
            None => self.any(deadline).await,
        }
    }

    /// A connection to the coordinator of this group or transactional id. It is looked up each
    /// time; callers keep the handle.
    ///
    /// # Errors
    ///
    /// Retriable broker codes while the coordinator is being elected.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
        deadline: Instant,
    ) -> Result<Handle> {
        let node = self.coordinator_node(kind, key, deadline).await?;
        self.broker(node, deadline).await
    }

    /// The broker that coordinates this group or transactional id, for a connection of one's own.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Cluster::coordinator`].
    pub async fn coordinator_node(
        &self,
        kind: CoordinatorKind,
        key: &str,
        deadline: Instant,
    ) -> Result<i32> {
        let handle = self.any(deadline).await?;
        let single = handle.version_of::<FindCoordinatorRequest>()? < BATCHED_LOOKUP;
        let request = FindCoordinatorRequest {
            key: if single { key.to_owned() } else { String::new() },
            key_type: kind as i8,
            coordinator_keys: if single { Vec::new() } else { vec![key.to_owned()] },
        };
        coordinator_of(handle.request(&request, deadline).await?)
            .map_err(|error| error.with("coordinator of", key))
    }

    /// What went over the connections so far, by broker and kind of request.
    pub fn counters(&self) -> Counters {
        let (rebootstraps, cluster_changes) = self.0.cache.upheavals();
        Counters { brokers: self.0.brokers.counters(), rebootstraps, cluster_changes }
    }

    /// Ends all connections and tasks of this cluster, as [`Client::close`](crate::Client::close)
    /// says.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the connections still end at `deadline`.
    pub async fn close(&self, deadline: Instant) {
        let mut ending = self.0.brokers.close(deadline);
        ending.extend(self.0.cache.close());
        all_ended(ending, deadline).await;
    }
}

impl Cluster {
    /// The brokers that coordinate these groups or transactional ids, in the order of the keys: in
    /// one request where the broker can take them together (KIP-699).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn coordinators(
        &self,
        kind: CoordinatorKind,
        keys: &[&str],
        deadline: Instant,
    ) -> Vec<Result<i32>> {
        match self.look_up(kind, keys, deadline).await {
            Ok(found) => found,
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn look_up(
        &self,
        kind: CoordinatorKind,
        keys: &[&str],
        deadline: Instant,
    ) -> Result<Vec<Result<i32>>> {
        let handle = self.any(deadline).await?;
        if handle.version_of::<FindCoordinatorRequest>()? < BATCHED_LOOKUP {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                let request = FindCoordinatorRequest {
                    key: (*key).to_owned(),
                    key_type: kind as i8,
                    coordinator_keys: Vec::new(),
                };
                let answer = handle.request(&request, deadline).await;
                found.push(answer.and_then(coordinator_of));
            }
            return Ok(found);
        }
        let mut distinct: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let request = FindCoordinatorRequest {
            key: String::new(),
            key_type: kind as i8,
            coordinator_keys: distinct,
        };
        let answer = handle.request(&request, deadline).await?;
        let told: HashMap<String, Result<i32>> = answer
            .coordinators
            .into_iter()
            .map(|one| (one.key, Error::check(one.error_code).map(|()| one.node_id)))
            .collect();
        let left_out = || Error::broker(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        Ok(keys
            .iter()
            .map(|key| told.get(*key).cloned().unwrap_or_else(|| Err(left_out())))
            .collect())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("view", &self.view()).finish_non_exhaustive()
    }
}

struct Owner {
    config: Arc<Config>,
    brokers: Arc<Brokers>,
    cache: Cache,
}

fn coordinator_of(response: FindCoordinatorResponse) -> Result<i32> {
    match response.coordinators.into_iter().next() {
        Some(found) => Error::check(found.error_code).map(|()| found.node_id),
        None => Error::check(response.error_code).map(|()| response.node_id),
    }
}

/// From this version on a lookup names several keys, and the single key is gone.
const BATCHED_LOOKUP: i16 = 4;

#[cfg(test)]
mod tests;
