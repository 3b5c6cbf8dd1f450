//! The way to one broker. In: how attempts at a connection ended; out: when the next may begin, and
//! how long it may take. One attempt at a time, spaced by a pause that doubles from failure to
//! failure, as does the time for an attempt (KIP-601).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use klamm_protocol::session::backoff::Backoff;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::{Address, Config};
use crate::error::Error;
use crate::net::counters::Meter;
use crate::net::handle::Handle;

/// What a client has with one broker or bootstrap server.
#[derive(Debug)]
pub(super) struct Slot {
    /// Attempts that have failed, readable without the lock.
    failed: AtomicU64,
    /// Held while a connection is opened, so that callers share the attempt.
    pub(super) way: Mutex<Way>,
    pub(super) meter: Arc<Meter>,
}

impl Slot {
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        let (failed, way) = Default::default();
        Self { failed, way, meter }
    }

    /// How many attempts have failed so far, to be compared later.
    pub(super) fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether there is a connection, or one is being opened.
    pub(super) fn is_in_use(&self) -> bool {
        self.way.try_lock().map_or(true, |way| way.open.is_some())
    }

    /// An attempt has failed for all who wait for it.
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The shared connection, and the score of attempts at this and others.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) open: Option<(Address, Handle)>,
    /// Where the attempts went that are counted here.
    address: Option<Address>,
    /// Failures in a row, and the last of them.
    failures: u32,
    pub(super) last: Option<Error>,
    /// When the last attempt was begun.
    begun: Option<Instant>,
    /// Set by a failure.
    not_before: Option<Instant>,
}

impl Way {
    /// The open connection, if it is one and the broker has not moved since.
    pub(super) fn usable(&self, address: &Address) -> Option<Handle> {
        let open = self.open.as_ref().filter(|(to, handle)| to == address && handle.is_open());
        open.map(|(_, handle)| handle.clone())
    }

    /// When an attempt at this address may begin; failures elsewhere do not count. A connection
    /// that was lost is not opened again in a hurry either: a broker that greets and then hangs up
    /// would be called as fast as it answers.
    pub(super) fn turn(&mut self, address: &Address, config: &Config) -> Option<Instant> {
        if self.address.as_ref() != Some(address) {
            *self = Self { address: Some(address.clone()), ..Self::default() };
        }
        let lost = self.open.as_ref().is_some_and(|(_, handle)| !handle.is_open());
        let again = self.begun.filter(|_| lost).map(|begun| begun + pauses(config).pause(1, 0.5));
        again.max(self.not_before)
    }

    /// How long the attempt that begins now may take.
    pub(super) fn patience(&mut self, config: &Config, random: f64) -> Duration {
        self.begun = Some(Instant::now());
        let times = Backoff::new(*config.connect_timeout(), *config.connect_timeout_max());
        times.pause(self.failures.saturating_add(1), random)
    }

    /// The attempt has brought a connection.
    pub(super) fn succeed(&mut self) {
        (self.failures, self.last, self.not_before) = (0, None, None);
    }

    /// The attempt has failed, by the broker's fault.
    pub(super) fn fail(&mut self, error: &Error, config: &Config, random: f64) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some(error.clone());
        self.not_before = Some(Instant::now() + pauses(config).pause(self.failures, random));
    }
}

fn pauses(config: &Config) -> Backoff {
    Backoff::new(*config.reconnect_backoff(), *config.reconnect_backoff_max())
}
