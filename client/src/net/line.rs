//! What the loop of a connection, the handles on it and its client have in common. In: requests as
//! they begin and end, a broker's wish to be left alone, a client's wish to end; out: what each side
//! has to know of the other without a message.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::ApiKey;
use klamm_protocol::session::connection::CloseReason;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::counters::Meter;

/// One connection, seen from both sides.
#[derive(Debug)]
pub(crate) struct Line {
    meter: Arc<Meter>,
    begun: Instant,
    /// The next correlation id. Ids wrap around after four billion requests, long after the answers
    /// to the first ones.
    next_id: AtomicI32,
    /// Requests whose end is not known yet.
    waiting: AtomicUsize,
    /// Until when the broker wants to hear nothing, in microseconds after `begun`.
    held: AtomicU64,
    /// Whether the broker has answered more than the handshake.
    served: AtomicBool,
    /// Why it ended.
    end: OnceLock<CloseReason>,
}

impl Line {
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self {
            meter,
            begun: Instant::now(),
            next_id: AtomicI32::new(0),
            waiting: AtomicUsize::new(0),
            held: AtomicU64::new(0),
            served: AtomicBool::new(false),
            end: OnceLock::new(),
        }
    }

    /// An id that no other request of this connection has.
    pub(crate) fn next_id(&self) -> i32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether all requests have ended.
    pub(crate) fn is_quiet(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// The broker wants to hear nothing for so long (KIP-219); what it says is believed up to a
    /// minute. The loop looks here before it writes a request, so that every request begun after
    /// this call waits.
    pub(crate) fn throttle(&self, time_ms: i32) {
        let time = Duration::from_millis(u64::try_from(time_ms).unwrap_or(0));
        if time.is_zero() {
            return;
        }
        self.meter.throttled(time);
        let until = self.begun.elapsed() + time.min(LONGEST_THROTTLE);
        let micros = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        self.held.fetch_max(micros, Ordering::Release);
        tracing::debug!(?time, "a quota holds requests back");
    }

    /// Until when nothing is to be written, as far as the broker ever said.
    pub(crate) fn held_until(&self) -> Instant {
        self.begun + Duration::from_micros(self.held.load(Ordering::Acquire))
    }

    /// Whether the broker has answered anything but the handshake.
    pub(crate) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// The connection has ended; the first reason stays.
    pub(crate) fn ended(&self, reason: CloseReason) {
        // Whoever was first knows best.
        let _ = self.end.set(reason);
    }

    /// Why the connection takes no more requests.
    pub(crate) fn end(&self) -> CloseReason {
        self.end.get().copied().unwrap_or(CloseReason::Asked)
    }
}

/// A response's frame, empty for a request without one, or how it was lost.
pub(crate) type Answer = Result<Bytes, Loss>;

/// How a request was lost.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// Why the connection ended; `None` if only the request's own time ran out in the queue.
    pub(crate) reason: Option<CloseReason>,
    /// Whether it may have been carried out.
    pub(crate) sent: bool,
    /// The stream's failure behind it.
    pub(crate) failure: Option<Arc<io::Error>>,
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct Opened(Arc<Line>);

impl Opened {
    pub(crate) fn new(line: Arc<Line>) -> Self {
        line.meter.opened();
        Self(line)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.meter.closed();
    }
}

/// One request on its way: who awaits its answer, and what is counted of it. A ticket that is
/// dropped counts as a request that was lost.
#[derive(Debug)]
pub(crate) struct Ticket {
    line: Arc<Line>,
    api: ApiKey,
    begun: Instant,
    reply: Option<oneshot::Sender<Answer>>,
}

impl Ticket {
    /// A request of so many bytes begins.
    pub(crate) fn new(
        line: Arc<Line>,
        api: ApiKey,
        bytes: usize,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        line.waiting.fetch_add(1, Ordering::AcqRel);
        line.meter.asked(api, bytes);
        (Self { line, api, begun: Instant::now(), reply: Some(reply) }, answer)
    }

    /// Whether nobody awaits the answer any more.
    pub(crate) fn is_deserted(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// The request's answer, empty for a request without one.
    pub(crate) fn answer(mut self, frame: Bytes) {
        let Some(reply) = self.reply.take() else { return };
        if self.api != ApiKey::ApiVersions {
            self.line.served.store(true, Ordering::Relaxed);
        }
        self.line.meter.answered(self.api, frame.len(), self.begun.elapsed());
        self.line.waiting.fetch_sub(1, Ordering::AcqRel);
        // A caller that has gone needs no answer.
        drop(reply.send(Ok(frame)));
    }

    /// How the request was lost.
    pub(crate) fn lose(mut self, loss: Loss) {
        if let Some(reply) = self.close() {
            drop(reply.send(Err(loss)));
        }
    }

    fn close(&mut self) -> Option<oneshot::Sender<Answer>> {
        let reply = self.reply.take()?;
        self.line.meter.lost(self.api);
        self.line.waiting.fetch_sub(1, Ordering::AcqRel);
        Some(reply)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        drop(self.close());
    }
}

/// All connections of one client, to end them together. Only their loops keep them alive: dropping
/// this ends nothing.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: Vec<Stop>,
    /// None may be opened any more.
    closed: bool,
}

/// The way to end one loop.
#[derive(Debug)]
pub(crate) struct Stop {
    /// Until when it may await answers.
    pub(crate) bound: oneshot::Sender<Instant>,
    pub(crate) task: JoinHandle<()>,
}

impl Lines {
    /// Takes a connection in. After [`Lines::close`] it ends at once.
    pub(crate) fn add(&self, line: Stop) {
        let mut state = self.state();
        state.open.retain(|line| !line.task.is_finished());
        if state.closed {
            // A loop that has ended already hears nothing.
            let _ = line.bound.send(Instant::now());
        } else {
            state.open.push(line);
        }
    }

    /// Has all connections of now end: they take no more requests, and await answers until `bound`.
    pub(crate) fn retire(&self, bound: Instant) -> Vec<JoinHandle<()>> {
        let open = std::mem::take(&mut self.state().open);
        let stop = |line: Stop| {
            let _ = line.bound.send(bound);
            line.task
        };
        open.into_iter().map(stop).collect()
    }

    /// As [`Lines::retire`], and there will be no others.
    pub(crate) fn close(&self, bound: Instant) -> Vec<JoinHandle<()>> {
        self.state().closed = true;
        self.retire(bound)
    }

    /// Whether [`Lines::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when all loops have ended that were to end by `bound`.
pub(crate) async fn all_ended(loops: Vec<JoinHandle<()>>, bound: Instant) {
    for mut task in loops {
        // A loop ends at the bound by itself; only the peer may hold up its last words.
        if timeout_at(bound + FAREWELL, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// How long ending a stream in order may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// As the machines have it: a broker that says more is not believed.
const LONGEST_THROTTLE: Duration = Duration::from_secs(60);
