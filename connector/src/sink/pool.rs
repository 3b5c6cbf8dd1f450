//! Producers that are shared and kept: whoever writes with the same options writes with the same producer, its batches,
//! memory and connections. In: a whole configuration; out: the producer that has it, or a new one.
//!
//! | a producer is | until |
//! |---|---|
//! | in use | the last who holds it has dropped it; it is never closed before |
//! | idle | somebody asks for it again, or the timeout has passed, which closes it |
//! | forgotten | whoever still holds it drops it, which closes it |
//!
//! The pool holds no threads: one task that lives as long as the pool looks for what is idle for too long.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use klamm_client::producer::{CustomPartitioner, Producer};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::options::{ProducerPoolOptions, SinkOptions};

/// What a producer was made with: every option of the client, sorted by name, where its logins and tokens come from,
/// and the partitioner. Two that differ in anything are two producers; so another login in the options gets a new one.
///
/// `Debug` shows names only: a value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ProducerKey {
    settings: Arc<[(String, String)]>,
    partitioner: Option<CustomPartitioner>,
}

impl ProducerKey {
    /// The key of these options of the client, in any order. Of a name that comes twice the later value counts.
    pub fn new<N, V>(settings: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let settings = settings.into_iter().map(|(name, value)| (name.into(), value.into()));
        let settings: BTreeMap<String, String> = settings.collect();
        Self { settings: settings.into_iter().collect(), partitioner: None }
    }

    /// The key of a sink's options.
    pub fn of(options: &SinkOptions) -> Self {
        Self::new(options.connection())
    }

    /// With a partitioner of one's own. It is the same only if it is the same one.
    #[must_use]
    pub fn with_partitioner(self, partitioner: Option<CustomPartitioner>) -> Self {
        Self { partitioner, ..self }
    }
}

/// Producers by their configuration. Cheap to clone; clones share.
///
/// Nothing is global: a sink has a pool of its own unless it is given one. All who share one have to run in the same
/// runtime, since that is where a producer's task runs.
#[derive(Clone)]
pub struct ProducerPool(Arc<Inner>);

struct Inner {
    options: ProducerPoolOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<ProducerKey, Entry>,
    made: u64,
    evictor: Option<AbortHandle>,
}

/// A producer that the pool knows.
struct Entry {
    shared: Arc<Shared>,
    references: usize,
    /// Since when nobody holds it, or when it was made.
    idle_since: Instant,
}

struct Shared {
    id: u64,
    producer: Producer,
}

/// A producer while somebody holds it. Dropping it gives it back; that it can be given back only once is the type's
/// doing.
pub struct PooledProducer {
    key: ProducerKey,
    shared: Arc<Shared>,
    pool: Arc<Inner>,
}

impl ProducerPool {
    /// An empty pool with the times of `spark.kafka.producer.cache.*`.
    pub fn new(options: &ProducerPoolOptions) -> Self {
        Self(Arc::new(Inner { options: *options, state: Mutex::default() }))
    }

    /// The producer of this key, made by `make` if there is none that still takes records.
    ///
    /// # Errors
    /// Whatever `make` says; the pool is then as it was.
    pub fn acquire(
        &self,
        key: &ProducerKey,
        make: impl FnOnce() -> klamm_client::Result<Producer>,
    ) -> klamm_client::Result<PooledProducer> {
        self.start_evictor();
        let mut state = self.0.lock();
        let State { entries, made, .. } = &mut *state;
        // One that was refused for good, or that somebody has closed, would never write again.
        let dead =
            entries.extract_if(|known, entry| known == key && entry.shared.producer.is_closed());
        let dead: Vec<_> = dead.collect();
        let entry = match entries.entry(key.clone()) {
            MapEntry::Occupied(there) => there.into_mut(),
            MapEntry::Vacant(free) => {
                // Making one contacts nothing, so the lock is held only for a moment.
                let shared = Arc::new(Shared { id: *made, producer: make()? });
                *made += 1;
                free.insert(Entry { shared, references: 0, idle_since: Instant::now() })
            }
        };
        entry.references += 1;
        let shared = Arc::clone(&entry.shared);
        drop(state);
        drop(dead);
        Ok(PooledProducer { key: key.clone(), shared, pool: Arc::clone(&self.0) })
    }

    /// How many hold the producer of this key; `None` if there is none.
    pub fn references(&self, key: &ProducerKey) -> Option<usize> {
        self.0.lock().entries.get(key).map(|entry| entry.references)
    }

    /// How many producers there are, idle or in use.
    pub fn len(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// Whether there is no producer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many producers were ever made.
    pub fn made(&self) -> u64 {
        self.0.lock().made
    }

    /// Closes what has been idle for longer than the timeout; how many those were. The pool's own task does it every now
    /// and then.
    pub fn evict(&self) -> usize {
        self.0.evict(Instant::now())
    }

    /// Forgets all producers. Those that are idle are closed now, those in use once nobody holds them any more.
    pub fn clear(&self) {
        let entries = std::mem::take(&mut self.0.lock().entries);
        // Outside of the lock: what nobody holds is closed.
        drop(entries);
    }

    /// The one task that a pool has; it ends with the pool.
    fn start_evictor(&self) {
        let Some(every) = self.0.options.look_every else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let mut state = self.0.lock();
        if state.evictor.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let pool = Arc::downgrade(&self.0);
        state.evictor = Some(runtime.spawn(keep_evicting(pool, every)).abort_handle());
    }
}

async fn keep_evicting(pool: Weak<Inner>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.evict(Instant::now());
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evict(&self, now: Instant) -> usize {
        let timeout = self.options.timeout;
        let is_expired = |entry: &Entry| {
            entry.references == 0 && now.saturating_duration_since(entry.idle_since) > timeout
        };
        let mut state = self.lock();
        let expired = state.entries.extract_if(|_, entry| is_expired(entry));
        let expired: Vec<_> = expired.collect();
        drop(state);
        // Outside of the lock they are dropped, and so closed.
        expired.len()
    }

    /// Takes back what was held.
    fn release(&self, key: &ProducerKey, shared: &Shared) {
        let mut state = self.lock();
        match state.entries.get_mut(key).filter(|entry| entry.shared.id == shared.id) {
            Some(entry) => {
                entry.references = entry.references.saturating_sub(1);
                if entry.references == 0 {
                    entry.idle_since = Instant::now();
                }
            }
            None => tracing::warn!(
                "a producer came back that its pool does not know; it is closed once nobody holds it"
            ),
        }
    }
}

/// Whoever drops it last closes it. What was appended is still sent.
impl Drop for Shared {
    fn drop(&mut self) {
        // Outside of a runtime nobody could wait for its end; dropping the last handle ends it, too.
        if let Ok(runtime) = Handle::try_current() {
            let producer = self.producer.clone();
            runtime.spawn(async move { producer.close(CLOSING).await });
        }
    }
}

impl PooledProducer {
    /// The producer.
    pub fn producer(&self) -> &Producer {
        &self.shared.producer
    }

    /// Which one of the pool's it is, counted from 0 as they were made.
    pub fn id(&self) -> u64 {
        self.shared.id
    }
}

impl Drop for PooledProducer {
    fn drop(&mut self) {
        self.pool.release(&self.key, &self.shared);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(task) = self.evictor.take() {
            task.abort();
        }
    }
}

impl Hash for ProducerKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The rest seldom differs where these agree, and equality tells it apart.
        self.settings.hash(state);
    }
}

impl fmt::Debug for ProducerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.settings.iter().map(|(name, _)| name).collect();
        f.debug_struct("ProducerKey").field("settings", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for ProducerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerPool").field("producers", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PooledProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledProducer").field("key", &self.key).finish_non_exhaustive()
    }
}

/// How long a producer that is not used any more may take to send what is left.
const CLOSING: Duration = Duration::from_secs(10);
