//! Connections by broker. In: a view, a broker's id or "any"; out: a handle that is ready. One
//! attempt at a time for each broker, spaced by a growing pause after failures.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use klamm_protocol::session::backoff::Backoff;
use klamm_protocol::session::connection::{CloseReason, ConnectionOptions};
use klamm_protocol::session::metadata::View;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::config::{Address, Config};
use crate::error::{Error, ErrorKind, Result};
use crate::net::dial::Dial;
use crate::net::handle::{Handle, Identity};
use crate::net::probe::speaks_http;

use super::race::race;

/// All connections of one client.
#[derive(Debug)]
pub(super) struct Brokers {
    config: Arc<Config>,
    dial: Arc<dyn Dial>,
    slots: StdMutex<HashMap<i32, Arc<Slot>>>,
    /// The known brokers are not to be trusted: start anew from the bootstrap servers.
    rebootstrap: AtomicBool,
}

/// The way to one broker. Its lock is held while a connection is opened, so that callers share
/// the attempt.
#[derive(Debug, Default)]
struct Slot {
    /// Attempts that have failed, readable without the lock.
    failed: AtomicU64,
    way: Mutex<Way>,
}

#[derive(Debug, Default)]
struct Way {
    open: Option<(Address, Handle)>,
    /// Failures in a row, and the last of them.
    failures: u32,
    last: Option<Error>,
    not_before: Option<Instant>,
}

impl Brokers {
    pub(super) fn new(config: Arc<Config>, dial: Arc<dyn Dial>) -> Self {
        Self { config, dial, slots: StdMutex::default(), rebootstrap: AtomicBool::new(false) }
    }

    /// The connection that everybody shares.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next caller makes the attempt.
    pub(super) async fn shared(&self, view: &View, node: i32, deadline: Instant) -> Result<Handle> {
        let address = address_of(view, node)?;
        let slot = self.slot(view, node);
        let failed = slot.failed.load(Ordering::Relaxed);
        let Ok(mut way) = timeout_at(deadline, slot.way.lock()).await else {
            return Err(too_late(&address));
        };
        if let Some(handle) = way.usable(&address) {
            return Ok(handle);
        }
        // An attempt that failed while this call waited for it has failed for this call, too.
        let shared = slot.failed.load(Ordering::Relaxed) > failed;
        if let Some(error) = way.last.as_ref().filter(|_| shared) {
            return Err(error.clone());
        }
        let opened = self.open_in_turn(&mut way, node, &address, deadline).await;
        if let Err(error) = &opened {
            way.last = Some(error.clone());
            slot.failed.fetch_add(1, Ordering::Relaxed);
        }
        let handle = opened?;
        way.open = Some((address, handle.clone()));
        Ok(handle)
    }

    /// A connection of the caller's own.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn dedicated(
        &self,
        view: &View,
        node: i32,
        deadline: Instant,
    ) -> Result<Handle> {
        let address = address_of(view, node)?;
        let slot = self.slot(view, node);
        let Ok(mut way) = timeout_at(deadline, slot.way.lock()).await else {
            return Err(too_late(&address));
        };
        self.open_in_turn(&mut way, node, &address, deadline).await
    }

    /// An open connection, or whichever broker or bootstrap server answers first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn any(
        self: &Arc<Self>,
        view: &Arc<View>,
        deadline: Instant,
    ) -> Result<Handle> {
        let nobody = Arc::default();
        let view = if self.rebootstrap.swap(false, Ordering::Relaxed) { &nobody } else { view };
        if let Some(handle) = self.some_open(view) {
            return Ok(handle);
        }
        let attempts = self.attempts(view);
        race(attempts, deadline, |attempt, tasks: &mut JoinSet<Result<Handle>>| {
            let (brokers, view) = (Arc::clone(self), Arc::clone(view));
            tasks.spawn(async move {
                match attempt {
                    Attempt::Broker(node) => brokers.shared(&view, node, deadline).await,
                    Attempt::Bootstrap(address) => brokers.bootstrap(&address, deadline).await,
                }
            });
        })
        .await
    }

    /// Has the next [`Brokers::any`] turn to the bootstrap servers alone (KIP-1102).
    pub(super) fn rebootstrap(&self) {
        self.rebootstrap.store(true, Ordering::Relaxed);
    }

    /// Ways into the cluster: its brokers, or some of very many, then the bootstrap servers that are
    /// none of them.
    fn attempts(&self, view: &View) -> Vec<Attempt> {
        let mut brokers: Vec<_> = view.brokers.keys().map(|node| Attempt::Broker(*node)).collect();
        fastrand::shuffle(&mut brokers);
        brokers.truncate(MOST_ATTEMPTS);
        let known = |address: &Address| {
            view.brokers.values().any(|one| one.host == address.host && one.port == address.port)
        };
        let strangers = self.config.bootstrap().iter().filter(|address| !known(address));
        let mut bootstrap: Vec<_> = strangers.cloned().map(Attempt::Bootstrap).collect();
        fastrand::shuffle(&mut bootstrap);
        brokers.append(&mut bootstrap);
        brokers
    }

    /// The way to this broker, made on first use. Ways to brokers that have left the view are given
    /// up then, with their connections, and where there are very many, those without one, too.
    fn slot(&self, view: &View, node: i32) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(&node) {
            let few = slots.len() < MOST_SLOTS;
            slots.retain(|id, slot| view.brokers.contains_key(id) && (few || slot.is_in_use()));
        }
        Arc::clone(slots.entry(node).or_default())
    }

    /// Any open connection to a broker that is still in the view; a slot that is being opened is
    /// passed over.
    fn some_open(&self, view: &View) -> Option<Handle> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let open: Vec<Handle> = slots
            .iter()
            .filter_map(|(node, slot)| {
                slot.way.try_lock().ok()?.usable(&address_of(view, *node).ok()?)
            })
            .collect();
        fastrand::choice(open)
    }

    /// Waits for the pause after earlier failures, opens, and keeps the score.
    async fn open_in_turn(
        &self,
        way: &mut Way,
        node: i32,
        address: &Address,
        deadline: Instant,
    ) -> Result<Handle> {
        if let Some(turn) = way.not_before {
            sleep_until(turn.min(deadline)).await;
        }
        let peer = format!("{address} (id {node})");
        let opened = self.open(address, peer, ADVERTISED_HINT, deadline).await;
        way.failures = if opened.is_ok() { 0 } else { way.failures.saturating_add(1) };
        let backoff =
            Backoff::new(*self.config.reconnect_backoff(), *self.config.reconnect_backoff_max());
        way.not_before = Some(Instant::now() + backoff.pause(way.failures, fastrand::f64()));
        opened
    }

    /// An attempt at a bootstrap server, which may be anything that a user's typing error hit.
    async fn bootstrap(&self, address: &Address, deadline: Instant) -> Result<Handle> {
        let peer = format!("{address} (bootstrap)");
        let error = match self.open(address, peer.clone(), BOOTSTRAP_HINT, deadline).await {
            Err(error) if error.kind() == ErrorKind::TimedOut => error,
            done => return done,
        };
        if !speaks_http(&*self.dial, &address.host, address.port).await {
            return Err(error);
        }
        Err(Error::new(ErrorKind::NotKafka, CloseReason::Http.to_string())
            .with("broker", peer)
            .with_hint(error.hint().unwrap_or(BOOTSTRAP_HINT).to_owned())
            .with_source(error))
    }

    /// One attempt: a stream, then the handshake, both within the time for setting up a connection.
    async fn open(
        &self,
        address: &Address,
        peer: String,
        hint: &'static str,
        deadline: Instant,
    ) -> Result<Handle> {
        let config = &self.config;
        let limit = deadline.min(Instant::now() + *config.connect_timeout());
        let cannot = |detail: String| {
            Error::new(ErrorKind::Unreachable, "cannot connect to the broker")
                .with("broker", &peer)
                .with("detail", detail)
                .with_hint(hint)
        };
        let stream = match timeout_at(limit, self.dial.dial(&address.host, address.port)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(cannot(error.to_string()).with_source(error)),
            Err(late) => {
                return Err(cannot("connecting took too long".to_owned()).with_source(late));
            }
        };
        let mut options = ConnectionOptions::default();
        options.max_frame = *config.max_frame();
        options.max_handshake_frame = options.max_handshake_frame.min(options.max_frame);
        options.max_in_flight = usize::try_from(*config.max_in_flight()).unwrap_or(usize::MAX);
        options.max_idle = *config.max_idle();
        let identity = Identity {
            peer,
            client_id: config.client_id().clone(),
            request_timeout: *config.request_timeout(),
        };
        Handle::establish(stream, options, identity, limit).await
    }
}

impl Slot {
    /// Whether there is a connection, or one is being opened.
    fn is_in_use(&self) -> bool {
        self.way.try_lock().map_or(true, |way| way.open.is_some())
    }
}

impl Way {
    /// The open connection, if it is one and the broker has not moved since.
    fn usable(&self, address: &Address) -> Option<Handle> {
        let open = self.open.as_ref().filter(|(to, handle)| to == address && handle.is_open());
        open.map(|(_, handle)| handle.clone())
    }
}

/// One way to reach the cluster.
enum Attempt {
    /// A broker of the view, whose connection is then shared.
    Broker(i32),
    /// A server from the options, whose connection serves for one caller.
    Bootstrap(Address),
}

/// Where the view says that this broker listens.
fn address_of(view: &View, node: i32) -> Result<Address> {
    let broker = view.brokers.get(&node).ok_or_else(|| {
        Error::new(ErrorKind::Unreachable, "the broker is not among the living ones")
            .with("broker", format!("id {node}"))
            .with_hint("start it, or wait until another leads its partitions")
    })?;
    Ok(Address { host: broker.host.clone(), port: broker.port })
}

fn too_late(address: &Address) -> Error {
    Error::new(ErrorKind::TimedOut, "the time ran out while a connection was being opened")
        .with("broker", address)
}

/// Brokers that are tried before the bootstrap servers; a cluster that claims more than that is not
/// asked one by one.
const MOST_ATTEMPTS: usize = 100;

/// Ways that are remembered although nothing is open.
const MOST_SLOTS: usize = 1_000;

const BOOTSTRAP_HINT: &str =
    "start the broker, or check that bootstrap.servers names its listener for clients";
const ADVERTISED_HINT: &str = "the cluster advertises this address (advertised.listeners); make \
                               sure that it can be reached from here";
