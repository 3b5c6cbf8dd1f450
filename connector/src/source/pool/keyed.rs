//! A pool of anything by key. In: things that are given back; out: those that fit the next who asks. The capacity is
//! soft: nobody waits and nobody is refused, only idle things are closed for it.
//!
//! | a thing is | until |
//! |---|---|
//! | active | it is given back, discarded, or its lease is dropped, which discards it |
//! | idle | it is leased again, is idle for too long, is among the oldest when the pool is full, or its key is invalidated |

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// Things by key. Cheap to clone; clones share.
pub struct Pool<K, V> {
    inner: Arc<Inner<K, V>>,
}

/// Whether an idle thing is what somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is.
    Take,
    /// It may be what another asks for.
    Leave,
    /// It is of no use any more.
    Close,
}

/// How a pool is used: a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolCounters {
    /// Things that somebody has.
    pub active: usize,
    /// Things that wait for somebody.
    pub idle: usize,
    /// How many were made.
    pub created: u64,
    /// How often one was used again.
    pub reused: u64,
    /// How many were closed because they were idle for too long, or too many.
    pub evicted: u64,
    /// How many were closed because something had failed.
    pub invalidated: u64,
}

impl PoolCounters {
    /// All things of the pool.
    pub fn total(&self) -> usize {
        self.active + self.idle
    }
}

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many things make it full.
    pub(super) capacity: usize,
    /// How many idle things of one key are kept.
    pub(super) idle_per_key: usize,
    /// How long a thing may be idle; `None` for ever.
    pub(super) timeout: Option<Duration>,
    /// How often that is looked at; `None` for never.
    pub(super) look_every: Option<Duration>,
}

struct Inner<K, V> {
    limits: Limits,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    slots: HashMap<K, Slot<V>>,
    counters: PoolCounters,
    closed: bool,
    evictor: Option<AbortHandle>,
}

/// The things of one key.
struct Slot<V> {
    /// Those that were idle for longest first.
    idle: Vec<Idle<V>>,
    active: usize,
    /// How often the key was invalidated: a lease from before that brings nothing back.
    epoch: u64,
    /// Leases from before.
    late: usize,
}

struct Idle<V> {
    value: V,
    since: Instant,
}

/// What became of a thing that was leased.
enum Return<V> {
    Whole(V),
    Broken,
    UsedUp,
}

/// A thing while somebody has it. Dropped, it is discarded: who was interrupted leaves it in an unknown state.
pub struct Lease<K: Eq + Hash + Clone, V> {
    key: K,
    value: Option<V>,
    epoch: u64,
    pool: Arc<Inner<K, V>>,
}

impl<K: Eq + Hash + Clone + Send + 'static, V: Send + 'static> Pool<K, V> {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            slots: HashMap::new(),
            counters: PoolCounters::default(),
            closed: false,
            evictor: None,
        };
        Self { inner: Arc::new(Inner { limits, state: Mutex::new(state) }) }
    }

    /// An idle thing of this key that fits, the one used last first, or a new one. A full pool first closes the idle
    /// ones that were not used for longest.
    ///
    /// # Errors
    /// `InvalidOption` once the pool is closed.
    pub(super) fn lease(
        &self,
        key: &K,
        fit: impl Fn(&V) -> Fit,
        make: impl FnOnce() -> V,
    ) -> Result<Lease<K, V>> {
        self.start_evictor();
        let mut state = self.inner.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::InvalidOption, "the pool is closed"));
        }
        let mut unfit = Vec::new();
        let found = state.take(key, &fit, &mut unfit);
        let old = if found.is_none() && state.counters.total() >= self.inner.limits.capacity {
            state.clear_oldest()
        } else {
            Vec::new()
        };
        let slot = state.slots.entry(key.clone()).or_default();
        slot.active += 1;
        let epoch = slot.epoch;
        state.counters.active += 1;
        match found {
            Some(_) => state.counters.reused += 1,
            None => state.counters.created += 1,
        }
        drop(state);
        // Outside of the lock: closing may take its time.
        drop((unfit, old));
        let value = Some(found.unwrap_or_else(make));
        Ok(Lease { key: key.clone(), value, epoch, pool: Arc::clone(&self.inner) })
    }

    /// An idle thing of this key that fits, or none.
    pub(super) fn lease_idle(&self, key: &K, fit: impl Fn(&V) -> Fit) -> Option<Lease<K, V>> {
        let mut state = self.inner.lock();
        let mut unfit = Vec::new();
        let found = state.take(key, &fit, &mut unfit)?;
        let slot = state.slots.entry(key.clone()).or_default();
        slot.active += 1;
        let epoch = slot.epoch;
        state.counters.active += 1;
        state.counters.reused += 1;
        drop(state);
        Some(Lease { key: key.clone(), value: Some(found), epoch, pool: Arc::clone(&self.inner) })
    }

    /// Closes what is idle of this key, and forgets what is active: it is closed when it comes back.
    pub fn invalidate(&self, key: &K) {
        let mut state = self.inner.lock();
        let State { slots, counters, .. } = &mut *state;
        let Some(slot) = slots.get_mut(key) else { return };
        let idle = std::mem::take(&mut slot.idle);
        counters.idle -= idle.len();
        counters.active -= slot.active;
        counters.invalidated += (idle.len() + slot.active) as u64;
        slot.late += std::mem::take(&mut slot.active);
        slot.epoch += 1;
        if slot.late == 0 {
            slots.remove(key);
        }
        drop(state);
        drop(idle);
    }

    /// Closes what has been idle for longer than the timeout, looking at ten things at most. Done by the pool's own
    /// task every now and then.
    pub fn evict(&self) {
        self.inner.evict(Instant::now());
    }

    /// Closes all that is idle, and lets nothing be leased any more. What comes back is closed.
    pub fn close(&self) {
        let mut state = self.inner.lock();
        state.closed = true;
        let idle: Vec<_> =
            state.slots.values_mut().map(|slot| std::mem::take(&mut slot.idle)).collect();
        state.counters.idle = 0;
        state.stop_evictor();
        drop(state);
        drop(idle);
    }

    /// How the pool is used.
    pub fn counters(&self) -> PoolCounters {
        self.inner.lock().counters
    }

    /// The one task that a pool has; it ends with the pool.
    fn start_evictor(&self) {
        let Inner { limits, .. } = &*self.inner;
        let Some(every) = limits.look_every.filter(|_| limits.timeout.is_some()) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let mut state = self.inner.lock();
        if state.closed || state.evictor.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let pool = Arc::downgrade(&self.inner);
        state.evictor = Some(runtime.spawn(keep_evicting(pool, every)).abort_handle());
    }
}

async fn keep_evicting<K: Eq + Hash + Clone, V>(pool: Weak<Inner<K, V>>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.evict(Instant::now());
    }
}

impl<K: Eq + Hash + Clone, V> Inner<K, V> {
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evict(&self, now: Instant) {
        let Some(timeout) = self.limits.timeout else { return };
        let mut closed = Vec::new();
        let mut state = self.lock();
        for _ in 0..LOOKED_AT {
            match state.oldest() {
                Some((key, since)) if now.saturating_duration_since(since) > timeout => {
                    closed.extend(state.close_oldest_of(&key));
                }
                _ => break,
            }
        }
    }

    /// Takes a thing back, or learns that it is gone.
    fn give_back(&self, key: &K, epoch: u64, back: Return<V>) {
        let mut state = self.lock();
        let State { slots, counters, closed, .. } = &mut *state;
        let Some(slot) = slots.get_mut(key) else { return };
        if slot.epoch != epoch {
            slot.late = slot.late.saturating_sub(1);
            if matches!(back, Return::Whole(_)) {
                tracing::warn!("something came back to a pool after its key had been invalidated");
            }
        } else {
            slot.active -= 1;
            counters.active -= 1;
            match back {
                Return::Whole(value) if !*closed && slot.idle.len() < self.limits.idle_per_key => {
                    slot.idle.push(Idle { value, since: Instant::now() });
                    counters.idle += 1;
                    return;
                }
                Return::Whole(_) => counters.evicted += 1,
                Return::Broken => counters.invalidated += 1,
                Return::UsedUp => {}
            }
        }
        if slot.is_empty() {
            slots.remove(key);
        }
    }
}

impl<K: Eq + Hash + Clone, V> State<K, V> {
    /// An idle thing that fits; those that are of no use go to `unfit`.
    fn take(&mut self, key: &K, fit: &impl Fn(&V) -> Fit, unfit: &mut Vec<V>) -> Option<V> {
        let slot = self.slots.get_mut(key)?;
        for index in (0..slot.idle.len()).rev() {
            let Some(idle) = slot.idle.get(index) else { continue };
            match fit(&idle.value) {
                Fit::Leave => {}
                Fit::Take => {
                    self.counters.idle -= 1;
                    return Some(slot.idle.remove(index).value);
                }
                Fit::Close => {
                    self.counters.idle -= 1;
                    self.counters.invalidated += 1;
                    unfit.push(slot.idle.remove(index).value);
                }
            }
        }
        None
    }

    /// Closes the oldest seventh of the idle things or so, as Spark's pool does when it is full.
    fn clear_oldest(&mut self) -> Vec<V> {
        let count = self.counters.idle * 15 / 100 + 1;
        let oldest = (0..count).map_while(|_| {
            let (key, _) = self.oldest()?;
            self.close_oldest_of(&key)
        });
        oldest.collect()
    }

    /// Where the thing is that was idle for longest.
    fn oldest(&self) -> Option<(K, Instant)> {
        let first =
            self.slots.iter().filter_map(|(key, slot)| Some((key, slot.idle.first()?.since)));
        first.min_by_key(|(_, since)| *since).map(|(key, since)| (key.clone(), since))
    }

    fn close_oldest_of(&mut self, key: &K) -> Option<V> {
        let slot = self.slots.get_mut(key)?;
        if slot.idle.is_empty() {
            return None;
        }
        let value = slot.idle.remove(0).value;
        self.counters.idle -= 1;
        self.counters.evicted += 1;
        if slot.is_empty() {
            self.slots.remove(key);
        }
        Some(value)
    }

    fn stop_evictor(&mut self) {
        if let Some(task) = self.evictor.take() {
            task.abort();
        }
    }
}

impl<V> Slot<V> {
    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.active == 0 && self.late == 0
    }
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { idle: Vec::new(), active: 0, epoch: 0, late: 0 }
    }
}

impl<K, V> Drop for State<K, V> {
    fn drop(&mut self) {
        if let Some(task) = self.evictor.take() {
            task.abort();
        }
    }
}

impl<K: Eq + Hash + Clone, V> Lease<K, V> {
    /// The thing.
    pub(super) fn value(&mut self) -> Option<&mut V> {
        self.value.as_mut()
    }

    /// Ends it: it is used up, and nothing has failed.
    pub(super) fn retire(mut self) {
        self.value = None;
        self.pool.give_back(&self.key, self.epoch, Return::UsedUp);
    }

    /// Gives it back, for the next who asks.
    pub fn give_back(mut self) {
        if let Some(value) = self.value.take() {
            self.pool.give_back(&self.key, self.epoch, Return::Whole(value));
        }
    }
}

impl<K: Eq + Hash + Clone, V> Drop for Lease<K, V> {
    fn drop(&mut self) {
        if self.value.is_some() {
            self.pool.give_back(&self.key, self.epoch, Return::Broken);
        }
    }
}

impl<K, V> Clone for Pool<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K: Eq + Hash + Clone, V> fmt::Debug for Pool<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("counters", &self.inner.lock().counters)
            .finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone, V> fmt::Debug for Lease<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// So many idle things are looked at in one go.
const LOOKED_AT: usize = 10;

#[cfg(test)]
mod tests;
