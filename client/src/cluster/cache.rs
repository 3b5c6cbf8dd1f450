//! The view that a client shares, and the one task that refreshes it. In: topics that somebody
//! uses, proofs of staleness; out: the newest view, and news of it. The pure machine decides when;
//! this file asks brokers and wakes those who wait.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use klamm_protocol::session::backoff::Backoff;
use klamm_protocol::session::connection::CloseReason;
use klamm_protocol::session::metadata::{
    LeaderHint, Metadata, MetadataEvent, MetadataOptions, StartOver, Topic, View,
};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::config::{Config, MetadataRecovery};
use crate::error::{Error, ErrorKind, Result};

use super::brokers::Brokers;

/// The view and its task, which ends with the cache.
#[derive(Debug)]
pub(super) struct Cache {
    shared: Arc<Shared>,
    /// `None` once somebody waits for its end.
    task: Mutex<Option<JoinHandle<()>>>,
    abort: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    brokers: Arc<Brokers>,
    /// Locked for moments only, never across a wait.
    machine: Mutex<Metadata>,
    /// The machine's view, for readers who must not wait for its lock.
    view: watch::Sender<Arc<View>>,
    rounds: watch::Sender<Rounds>,
    /// Wakes the task when a wish has made a refresh due earlier.
    wake: Notify,
    /// How often the brokers were forgotten, and how often another cluster was found.
    rebootstraps: AtomicU64,
    cluster_changes: AtomicU64,
}

/// Refreshes that have begun and ended, so that a waiter can tell news asked for after its call
/// from older ones.
#[derive(Clone, Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    error: Option<Error>,
}

impl Cache {
    /// Makes the first refresh, then leaves the others to a task. Fails as
    /// [`super::Cluster::connect`] says.
    pub(super) async fn start(config: Arc<Config>, brokers: Arc<Brokers>) -> Result<Self> {
        let deadline = Instant::now() + *config.connect_timeout() + GRACE;
        let shared = Arc::new(Shared::new(config, brokers));
        while let Err(error) = shared.first(deadline).await {
            // A cluster that has just started names its brokers once they have joined it.
            if error.what() != NOBODY || Instant::now() >= deadline {
                return Err(while_connecting(error));
            }
        }
        let task = tokio::spawn(Arc::clone(&shared).run());
        Ok(Self { shared, abort: task.abort_handle(), task: Mutex::new(Some(task)) })
    }

    /// The newest view.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.shared.view.borrow())
    }

    /// Receives each view that differs from the one before.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.shared.view.subscribe()
    }

    /// Has a refresh made as soon as the pause after the last one is over.
    pub(super) fn mark_stale(&self) {
        self.shared.machine().mark_stale();
        self.shared.wake.notify_one();
    }

    /// Takes in a leader learnt by the way; `false` if nothing new was learnt.
    pub(super) fn learn_leader(&self, hint: LeaderHint) -> bool {
        let mut machine = self.shared.machine();
        let changed = machine.handle_leader(hint);
        if changed {
            self.shared.view.send_replace(Arc::clone(machine.view()));
        }
        changed
    }

    /// Waits for a refresh that begins after this call, however many fail before.
    pub(super) async fn refresh(&self, deadline: Instant) -> Result<Arc<View>> {
        let mut last = None;
        loop {
            let news = self.news()?;
            self.mark_stale();
            match news.come(deadline).await {
                Some(Ok(())) => return Ok(self.view()),
                Some(Err(error)) => last = Some(error),
                None => return Err(no_news(last)),
            }
        }
    }

    /// Waits until the topic is known, or is known not to exist.
    pub(super) async fn topic(
        &self,
        name: &str,
        create: bool,
        deadline: Instant,
    ) -> Result<Arc<Topic>> {
        if let Some(known) = usable(&self.view(), name) {
            return Ok(known);
        }
        let patience = if create { CREATING } else { PROPAGATING };
        let patience = deadline.min(Instant::now() + patience);
        let mut last = None;
        loop {
            let news = self.news()?;
            self.want(name, create);
            match news.come(deadline).await {
                None => return Err(no_news(last).with("topic", name)),
                Some(Err(error)) => last = Some(error),
                Some(Ok(())) => match self.judge(name, Instant::now() >= patience) {
                    Ok(known) => return Ok(known),
                    Err(error) if error.is_retriable() => last = Some(error),
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// What the newest view says of a topic: a retriable error if it is to be asked for again. One
    /// that never existed is forgotten; of one that did, partitions and epochs are kept.
    fn judge(&self, name: &str, late: bool) -> Result<Arc<Topic>> {
        let view = self.view();
        if let Some(known) = usable(&view, name) {
            return Ok(known);
        }
        let topic = view.topics.get(name).filter(|topic| !topic.error.is_ok());
        let code = topic.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |topic| topic.error);
        if code.is_retriable() && !(late && code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) {
            return Err(Error::broker(code));
        }
        if topic.is_none_or(|topic| topic.partitions.is_empty()) {
            self.shared.machine().forget(name);
        }
        Err(no_topic(code, name))
    }

    /// What comes of refreshes that begin from now on; to be called before what makes one begin.
    /// An error once there will be none.
    fn news(&self) -> Result<News> {
        let rounds = self.shared.rounds.subscribe();
        let begun = rounds.borrow().begun;
        // In this order: who closes says so first, and then wakes those who wait.
        self.shared.brokers.ensure_open()?;
        Ok(News { rounds, begun })
    }

    /// Ends the task, which is returned, and the waits of those who hope for it; the brokers are
    /// closed already.
    pub(super) fn close(&self) -> Option<JoinHandle<()>> {
        self.abort.abort();
        self.shared.rounds.send_modify(|rounds| {
            rounds.begun += 1;
            rounds.ended = rounds.begun;
            rounds.error = self.shared.brokers.ensure_open().err();
        });
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How often the brokers were forgotten, and how often another cluster was found.
    pub(super) fn upheavals(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.shared.rebootstraps), read(&self.shared.cluster_changes))
    }

    /// Has the next refresh include the topic, also where an earlier answer said that it does not
    /// exist.
    fn want(&self, name: &str, create: bool) {
        let mut machine = self.shared.machine();
        machine.want(name, create);
        machine.mark_stale();
        drop(machine);
        self.shared.wake.notify_one();
    }
}

/// A wait for a refresh that begins after the wait did.
struct News {
    rounds: watch::Receiver<Rounds>,
    begun: u64,
}

impl News {
    /// How the refresh ended; `None` at the deadline.
    async fn come(mut self, deadline: Instant) -> Option<Result<()>> {
        let ended = self.rounds.wait_for(|rounds| rounds.ended > self.begun);
        let error = timeout_at(deadline, ended).await.ok()?.ok()?.error.clone();
        Some(error.map_or(Ok(()), Err))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Shared {
    fn new(config: Arc<Config>, brokers: Arc<Brokers>) -> Self {
        let backoff = Backoff::new(*config.retry_backoff(), *config.retry_backoff_max());
        let recovery = match config.metadata_recovery() {
            MetadataRecovery::Rebootstrap => Some(*config.rebootstrap_trigger()),
            MetadataRecovery::None => None,
        };
        let options = MetadataOptions { max_age: *config.metadata_max_age(), backoff, recovery };
        let machine = Metadata::new(Instant::now().into_std(), options);
        Self {
            config,
            brokers,
            view: watch::Sender::new(Arc::clone(machine.view())),
            machine: Mutex::new(machine),
            rounds: watch::Sender::default(),
            wake: Notify::new(),
            rebootstraps: AtomicU64::new(0),
            cluster_changes: AtomicU64::new(0),
        }
    }

    fn machine(&self) -> MutexGuard<'_, Metadata> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task: sleeps until a refresh is due or wished for, makes it, and again.
    async fn run(self: Arc<Self>) {
        loop {
            let due = self.machine().poll_timeout().map(Instant::from_std);
            tokio::select! {
                () = at(due) => {}
                () = self.wake.notified() => {}
            }
            if let Some(request) = self.due() {
                let deadline = Instant::now() + *self.config.request_timeout();
                if let Err(error) = self.round(request, deadline).await {
                    tracing::debug!(%error, "metadata could not be refreshed");
                }
            }
        }
    }

    /// One refresh while connecting, as soon as it is due.
    async fn first(&self, deadline: Instant) -> Result<()> {
        let due = self.machine().poll_timeout().map(Instant::from_std);
        at(due.map(|due| due.min(deadline))).await;
        let request = self.due().ok_or_else(nobody)?;
        self.round(request, deadline).await
    }

    /// The request to send now. From here on the round counts as begun.
    fn due(&self) -> Option<MetadataRequest> {
        let request = self.machine().poll_transmit(Instant::now().into_std())?;
        self.rounds.send_modify(|rounds| rounds.begun += 1);
        Some(request)
    }

    /// One refresh, from the request to those who wait for its end.
    async fn round(&self, request: MetadataRequest, deadline: Instant) -> Result<()> {
        let outcome = self.ask(&request, deadline).await;
        self.publish();
        let error = outcome.as_ref().err().cloned();
        self.rounds.send_modify(|rounds| {
            rounds.ended += 1;
            rounds.error = error;
        });
        outcome
    }

    /// Asks any broker and tells the machine what came of it.
    async fn ask(&self, request: &MetadataRequest, deadline: Instant) -> Result<()> {
        let view = Arc::clone(&self.view.borrow());
        let answer =
            async { self.brokers.any(&view, deadline).await?.request(request, deadline).await };
        let answer = answer.await;
        let now = Instant::now().into_std();
        let mut machine = self.machine();
        match answer {
            Ok(response) => {
                if machine.handle_response(now, &response) {
                    Ok(())
                } else {
                    Err(disbelieved(&view, &response))
                }
            }
            Err(error) => {
                machine.handle_failure(now, fastrand::f64());
                Err(error)
            }
        }
    }

    /// Passes the machine's events on.
    fn publish(&self) {
        let mut machine = self.machine();
        while let Some(event) = machine.poll_event() {
            match event {
                MetadataEvent::Refreshed { changed: true } => {
                    self.view.send_replace(Arc::clone(machine.view()));
                }
                MetadataEvent::StartedOver { why } => {
                    self.view.send_replace(Arc::clone(machine.view()));
                    self.start_over(&why);
                }
                MetadataEvent::ClusterReplaced { old, new } => {
                    self.cluster_changes.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%old, %new, "another cluster answers than before");
                }
                MetadataEvent::TopicReplaced { topic, old, new } => {
                    tracing::warn!(%topic, %old, %new, "a topic was deleted and made anew");
                }
                MetadataEvent::Refreshed { changed: false } | MetadataEvent::Failed => {}
            }
        }
    }

    /// The view has no brokers any more; neither have those who open connections.
    fn start_over(&self, why: &StartOver) {
        self.rebootstraps.fetch_add(1, Ordering::Relaxed);
        match why {
            StartOver::OtherCluster { found } => {
                tracing::warn!(%found, "a broker answers as one of another cluster; starting over");
            }
            why => tracing::info!(?why, "starting over from the bootstrap servers"),
        }
        self.brokers.start_over();
    }
}

/// What is asked while connecting has no effect, so that it may have been carried out is no news:
/// only why there is no answer is.
fn while_connecting(error: Error) -> Error {
    if error.kind() != ErrorKind::OutcomeUnknown {
        return error;
    }
    let reason =
        std::error::Error::source(&error).and_then(|source| source.downcast_ref::<CloseReason>());
    let kind = match reason {
        Some(CloseReason::Decode(_) | CloseReason::StrayResponse { .. }) => ErrorKind::Protocol,
        Some(CloseReason::TimedOut { .. }) => ErrorKind::TimedOut,
        _ => ErrorKind::Disconnected,
    };
    // Whoever lost it may know better.
    let hint = error.hint().unwrap_or(LOG_HINT).to_owned();
    error.as_kind(kind).with_hint(hint)
}

const NOBODY: &str = "the cluster names no broker that could be reached";

/// The answer was readable and led nowhere.
fn nobody() -> Error {
    Error::new(ErrorKind::Unreachable, NOBODY)
        .with_hint("wait until brokers have joined it, or check their advertised.listeners")
}

/// Returns when that instant has come; never if there is none.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// The topic, if the last answer described it.
fn usable(view: &View, name: &str) -> Option<Arc<Topic>> {
    let known = view.topics.get(name)?;
    (known.error.is_ok() && !known.partitions.is_empty()).then(|| Arc::clone(known))
}

/// Why an answer was put aside by who knew `view`.
fn disbelieved(view: &View, response: &MetadataResponse) -> Error {
    let (known, told) = (view.cluster_id.as_deref(), response.cluster_id.as_deref());
    match (Error::check(response.error_code), known.zip(told)) {
        (Err(error), _) => error,
        (Ok(()), Some((known, told))) if known != told => {
            Error::new(ErrorKind::Unreachable, "a broker of another cluster answered")
                .with("cluster", told)
                .with_hint("check what bootstrap.servers names")
        }
        (Ok(()), _) => nobody(),
    }
}

/// An answer rather than a failure: asking again would find the same.
pub(crate) fn no_topic(code: ErrorCode, name: &str) -> Error {
    Error::broker(code).as_kind(ErrorKind::Usage).with("topic", name)
}

/// The deadline passed; the failure before it says why.
fn no_news(last: Option<Error>) -> Error {
    match last {
        Some(error) => {
            let what = format!("no metadata came in time: {}", error.what());
            error.retold(ErrorKind::TimedOut, what)
        }
        None => Error::new(ErrorKind::TimedOut, "no metadata came in time"),
    }
}

/// Beyond the time for setting up a connection, so much is left for the first answer.
const GRACE: Duration = Duration::from_secs(3);

/// For so long a topic or partition that one broker does not know may just have been created by
/// another.
pub(crate) const PROPAGATING: Duration = Duration::from_secs(2);

/// For so long a broker may take to create a topic that was asked for.
const CREATING: Duration = Duration::from_secs(5);

const LOG_HINT: &str = "check the broker's log for what became of the connection";
