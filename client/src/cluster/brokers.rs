//! Connections by broker. In: a view, a broker's id or "any"; out: a handle that is ready. One
//! attempt at a time for each broker, spaced by a growing pause after failures.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use klamm_protocol::session::connection::{CloseReason, ConnectionOptions};
use klamm_protocol::session::metadata::View;
use tokio::sync::MutexGuard;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::config::{Address, Config, MetadataRecovery};
use crate::credentials::Login;
use crate::error::{Error, ErrorKind, Result};
use crate::net::counters::{BrokerCounters, Meter};
use crate::net::dial::Dial;
use crate::net::handle::{Handle, Identity};
use crate::net::line::Lines;
use crate::net::probe::speaks_http;
use crate::tls::failure_of;

use super::race::race;
use super::spares::Spares;
use super::way::{Slot, Way};

/// All connections of one client.
#[derive(Debug)]
pub(super) struct Brokers {
    config: Arc<Config>,
    dial: Arc<dyn Dial>,
    login: Option<Arc<Login>>,
    slots: StdMutex<HashMap<Peer, Arc<Slot>>>,
    /// Outlive the slots: what was counted stays counted.
    meters: StdMutex<BTreeMap<Peer, Arc<Meter>>>,
    lines: Arc<Lines>,
    spares: Arc<Spares>,
}

/// Whom a connection goes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Peer {
    /// A server from the options, whose connection serves for one caller.
    Bootstrap(Address),
    /// A broker of the view, whose connection is shared.
    Broker(i32),
}

impl Brokers {
    pub(super) fn new(config: Arc<Config>, dial: Arc<dyn Dial>, login: Option<Arc<Login>>) -> Self {
        let (slots, meters, lines, spares) = Default::default();
        Self { config, dial, login, slots, meters, lines, spares }
    }

    /// The connection that everybody shares.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next caller makes the attempt.
    pub(super) async fn shared(
        self: &Arc<Self>,
        view: &Arc<View>,
        node: i32,
        deadline: Instant,
    ) -> Result<Handle> {
        if let Some(handle) = self.open_to(view, node) {
            return Ok(handle);
        }
        let (brokers, view) = (Arc::clone(self), Arc::clone(view));
        apart(async move { brokers.share(&view, node, deadline).await }).await
    }

    async fn share(&self, view: &View, node: i32, deadline: Instant) -> Result<Handle> {
        let address = self.address_of(view, node, deadline).await?;
        let slot = self.slot(view, &Peer::Broker(node), &address);
        let failed = slot.failures();
        let mut way = lock(&slot, &address, deadline).await?;
        if let Some(handle) = way.usable(&address) {
            return Ok(handle);
        }
        // An attempt that failed while this call waited for it has failed for this call, too.
        let shared = slot.failures() > failed;
        if let Some(error) = way.last.as_ref().filter(|_| shared) {
            return Err(error.clone());
        }
        let handle = self.open_in_turn(&slot, &mut way, Some(node), &address, deadline).await?;
        way.open = Some((address, handle.clone()));
        Ok(handle)
    }

    /// A connection of the caller's own: an idle one that was another's, or a new one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn dedicated(
        self: &Arc<Self>,
        view: &Arc<View>,
        node: i32,
        deadline: Instant,
    ) -> Result<Handle> {
        let (brokers, view) = (Arc::clone(self), Arc::clone(view));
        apart(async move { brokers.dedicate(&view, node, deadline).await }).await
    }

    async fn dedicate(&self, view: &View, node: i32, deadline: Instant) -> Result<Handle> {
        let address = self.address_of(view, node, deadline).await?;
        let slot = self.slot(view, &Peer::Broker(node), &address);
        let handle = match self.spares.take(node, &address) {
            Some(spare) => {
                slot.meter.reused();
                spare
            }
            None => {
                let mut way = lock(&slot, &address, deadline).await?;
                self.open_in_turn(&slot, &mut way, Some(node), &address, deadline).await?
            }
        };
        Ok(self.spares.lend(handle, node, address))
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
        self.ensure_open()?;
        if let Some(handle) = self.some_open(view) {
            return Ok(handle);
        }
        let attempts = self.attempts(view);
        race(attempts, deadline, |attempt, tasks: &mut JoinSet<Result<Handle>>| {
            let (brokers, view) = (Arc::clone(self), Arc::clone(view));
            tasks.spawn(async move {
                match attempt {
                    Peer::Broker(node) => brokers.share(&view, node, deadline).await,
                    Peer::Bootstrap(address) => brokers.bootstrap(&view, address, deadline).await,
                }
            });
        })
        .await
    }

    /// Forgets all brokers (KIP-899): new requests need new connections, those under way may still
    /// be answered.
    pub(super) fn start_over(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.spares.clear();
        // The loops end by themselves.
        drop(self.lines.retire(Instant::now() + *self.config.request_timeout()));
    }

    /// Has all connections end after the answers that come until `deadline`, and lets none be
    /// opened any more. The tasks returned end with them.
    pub(super) fn close(&self, deadline: Instant) -> Vec<JoinHandle<()>> {
        let ending = self.lines.close(deadline);
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.spares.clear();
        ending
    }

    /// # Errors
    ///
    /// [`ErrorKind::Usage`] after [`Brokers::close`].
    pub(super) fn ensure_open(&self) -> Result<()> {
        if self.lines.is_closed() {
            return Err(Error::new(ErrorKind::Usage, "the client is closed")
                .with_hint("connect another, or close it later"));
        }
        Ok(())
    }

    /// What was counted so far: bootstrap servers, then brokers.
    pub(super) fn counters(&self) -> Vec<BrokerCounters> {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.values().map(|meter| meter.snapshot()).collect()
    }

    /// Ways into the cluster: its brokers, or some of very many, then the bootstrap servers that are
    /// none of them. Who never starts over turns to the bootstrap servers only while no broker is known.
    fn attempts(&self, view: &View) -> Vec<Peer> {
        let mut brokers: Vec<_> = view.brokers.keys().map(|node| Peer::Broker(*node)).collect();
        fastrand::shuffle(&mut brokers);
        brokers.truncate(MOST_ATTEMPTS);
        if !brokers.is_empty() && *self.config.metadata_recovery() == MetadataRecovery::None {
            return brokers;
        }
        let known = |address: &Address| {
            view.brokers.values().any(|one| one.host == address.host && one.port == address.port)
        };
        let strangers = self.config.bootstrap().iter().filter(|address| !known(address));
        let mut bootstrap: Vec<_> = strangers.cloned().map(Peer::Bootstrap).collect();
        fastrand::shuffle(&mut bootstrap);
        brokers.append(&mut bootstrap);
        brokers
    }

    /// The way to this peer, made on first use. Ways to brokers that have left the view are given
    /// up then, with their connections, and where there are very many, those without one, too.
    fn slot(&self, view: &View, peer: &Peer, address: &Address) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slots.get(peer) {
            return Arc::clone(known);
        }
        let few = slots.len() < MOST_SLOTS;
        slots.retain(|peer, slot| match peer {
            Peer::Broker(id) => view.brokers.contains_key(id) && (few || slot.is_in_use()),
            Peer::Bootstrap(_) => true,
        });
        let slot = Arc::new(Slot::new(self.meter(peer, address)));
        slots.insert(peer.clone(), Arc::clone(&slot));
        slot
    }

    /// What is counted for this peer. Of very many peers, those are forgotten that nobody counts
    /// for.
    fn meter(&self, peer: &Peer, address: &Address) -> Arc<Meter> {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= MOST_SLOTS && !meters.contains_key(peer) {
            meters.retain(|_, meter| Arc::strong_count(meter) > 1);
        }
        let new = || {
            let id = if let Peer::Broker(node) = peer { Some(*node) } else { None };
            Arc::new(Meter::new(id, address.to_string()))
        };
        Arc::clone(meters.entry(peer.clone()).or_insert_with(new))
    }

    /// Any open connection to a broker that is still in the view; a slot that is being opened is
    /// passed over.
    fn some_open(&self, view: &View) -> Option<Handle> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let open = slots.iter().filter_map(|(peer, slot)| match peer {
            Peer::Broker(node) => slot.way.try_lock().ok()?.usable(&address_in(view, *node)?),
            Peer::Bootstrap(_) => None,
        });
        let open: Vec<Handle> = open.collect();
        fastrand::choice(open)
    }

    /// The open connection to this broker; one that is being opened is none.
    fn open_to(&self, view: &View, node: i32) -> Option<Handle> {
        let address = address_in(view, node)?;
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(&Peer::Broker(node))?.way.try_lock().ok()?.usable(&address)
    }

    /// Where the view says that this broker listens. A refusal takes a moment: who tries again at
    /// once must not spin.
    async fn address_of(&self, view: &View, node: i32, deadline: Instant) -> Result<Address> {
        let error = match (self.ensure_open(), address_in(view, node)) {
            (Ok(()), Some(address)) => return Ok(address),
            (Ok(()), None) => {
                Error::new(ErrorKind::Unreachable, "the broker is not among the living ones")
                    .with("broker", format!("id {node}"))
                    .with_hint("start it, or wait until another leads its partitions")
            }
            (Err(closed), _) => closed,
        };
        sleep_until(deadline.min(Instant::now() + *self.config.reconnect_backoff())).await;
        Err(error)
    }

    /// Waits for the pause after earlier failures, opens, and keeps the score.
    async fn open_in_turn(
        &self,
        slot: &Slot,
        way: &mut Way,
        node: Option<i32>,
        address: &Address,
        deadline: Instant,
    ) -> Result<Handle> {
        if let Some(turn) = way.turn(address, &self.config) {
            sleep_until(turn.min(deadline)).await;
            if turn >= deadline {
                return Err(too_late(address, way.last.clone()));
            }
        }
        slot.meter.moved(address.to_string());
        let patience = way.patience(&self.config, fastrand::f64());
        let limit = deadline.min(Instant::now() + patience);
        let error = match self.open(&slot.meter, node, address, limit).await {
            Ok(handle) => {
                way.succeed();
                return Ok(handle);
            }
            Err(error) => error,
        };
        slot.meter.failed();
        // A caller in a hurry is no proof against a broker.
        if limit < deadline || Instant::now() < deadline {
            way.fail(&error, &self.config, fastrand::f64());
            slot.fail();
        }
        Err(error)
    }

    /// An attempt at a bootstrap server, which may be anything that a user's typing error hit.
    async fn bootstrap(&self, view: &View, address: Address, deadline: Instant) -> Result<Handle> {
        let slot = self.slot(view, &Peer::Bootstrap(address.clone()), &address);
        let mut way = lock(&slot, &address, deadline).await?;
        let opened = self.open_in_turn(&slot, &mut way, None, &address, deadline).await;
        drop(way);
        let error = match opened {
            Err(error) if error.kind() == ErrorKind::TimedOut => error,
            done => return done,
        };
        if !speaks_http(&*self.dial, &address.host, address.port).await {
            return Err(error);
        }
        Err(Error::new(ErrorKind::NotKafka, CloseReason::Http.to_string())
            .with("broker", error.context("broker").unwrap_or_default())
            .with_hint(error.hint().unwrap_or(BOOTSTRAP_HINT).to_owned())
            .with_source(error))
    }

    /// One attempt: a stream, then the handshake, both until `limit`.
    async fn open(
        &self,
        meter: &Arc<Meter>,
        node: Option<i32>,
        address: &Address,
        limit: Instant,
    ) -> Result<Handle> {
        let (peer, hint) = match node {
            Some(node) => (format!("{address} (id {node})"), ADVERTISED_HINT),
            None => (format!("{address} (bootstrap)"), BOOTSTRAP_HINT),
        };
        let cannot = |detail: String| {
            Error::new(ErrorKind::Unreachable, "cannot connect to the broker")
                .with("broker", &peer)
                .with("detail", detail)
                .with_hint(hint)
        };
        let patience = limit.saturating_duration_since(Instant::now());
        let dialling = self.dial.dial_within(&address.host, address.port, patience);
        let stream = match timeout_at(limit, dialling).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let failed = match failure_of(&error) {
                    Some(tls) => Error::new(tls.kind(), tls.to_string())
                        .with("broker", &peer)
                        .with_hint(tls.hint()),
                    None => cannot(error.to_string()),
                };
                return Err(failed.with_source(error));
            }
            Err(late) => {
                return Err(cannot("connecting took too long".to_owned()).with_source(late));
            }
        };
        Handle::establish(stream, self.options(), self.identity(peer, address, node, meter), limit)
            .await
    }

    fn options(&self) -> ConnectionOptions {
        let config = &self.config;
        let mut options = ConnectionOptions::default();
        options.max_frame = *config.max_frame();
        let first = options.max_handshake_frame.min(options.max_frame);
        options.max_handshake_frame =
            if self.login.is_some() { first.min(LOGIN_FRAME) } else { first };
        options.max_in_flight = usize::try_from(*config.max_in_flight()).unwrap_or(usize::MAX);
        options.max_idle = *config.max_idle();
        options
    }

    fn identity(
        &self,
        peer: String,
        address: &Address,
        node: Option<i32>,
        meter: &Arc<Meter>,
    ) -> Identity {
        Identity {
            peer,
            host: address.host.clone(),
            node,
            client_id: self.config.client_id().clone(),
            request_timeout: *self.config.request_timeout(),
            meter: Arc::clone(meter),
            lines: Arc::clone(&self.lines),
            login: self.login.clone(),
        }
    }
}

async fn lock<'a>(
    slot: &'a Slot,
    address: &Address,
    deadline: Instant,
) -> Result<MutexGuard<'a, Way>> {
    timeout_at(deadline, slot.way.lock()).await.map_err(|_| too_late(address, None))
}

/// Makes an attempt in a task of its own, which ends with this future. The way to a broker is locked
/// meanwhile, or waited for in a queue, and whoever is asked for it next must not depend on a caller
/// that polls something else for now.
async fn apart(attempt: impl Future<Output = Result<Handle>> + Send + 'static) -> Result<Handle> {
    let mut task = JoinSet::new();
    task.spawn(attempt);
    match task.join_next().await {
        Some(Ok(outcome)) => outcome,
        Some(Err(lost)) => {
            Err(Error::new(ErrorKind::Internal, "an attempt was lost").with_source(lost))
        }
        None => Err(Error::new(ErrorKind::Internal, "an attempt was never made")),
    }
}

fn address_in(view: &View, node: i32) -> Option<Address> {
    let broker = view.brokers.get(&node)?;
    Some(Address { host: broker.host.clone(), port: broker.port })
}

/// Where there was a failure before, it says why.
fn too_late(address: &Address, last: Option<Error>) -> Error {
    let what = "the time ran out while a connection was being opened";
    match last {
        Some(last) => last.retold(ErrorKind::TimedOut, what),
        None => Error::new(ErrorKind::TimedOut, what).with("broker", address),
    }
}

/// Enough for the versions of all APIs and for every mechanism's words, from a peer that has not yet
/// shown to be the right one.
const LOGIN_FRAME: usize = 64 << 10;

/// Brokers that are tried before the bootstrap servers; a cluster that claims more than that is not
/// asked one by one.
const MOST_ATTEMPTS: usize = 100;

/// Ways that are remembered although nothing is open, and peers that are counted for.
const MOST_SLOTS: usize = 1_000;

const BOOTSTRAP_HINT: &str =
    "start the broker, or check that bootstrap.servers names its listener for clients";
const ADVERTISED_HINT: &str = "the cluster advertises this address (advertised.listeners); make \
                               sure that it can be reached from here";
