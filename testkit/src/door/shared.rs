//! The machine behind its lock, and the queues of what it has to send. In go frames, out come
//! queues filled and writers woken; the lock is held for the machine's own work only, never over
//! an await.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::wire::Segments;
use tokio::sync::{Notify, watch};

use super::DoorConfig;
use crate::broker::{Cluster, ConnId};

/// What all tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Tells the timekeeper that something is due earlier than it thinks.
    earlier: Notify,
    pub(crate) max_connections: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_queued_bytes: usize,
    pub(crate) max_idle: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

#[derive(Debug)]
struct State {
    cluster: Cluster,
    queues: HashMap<ConnId, Queue>,
}

/// What waits to be written to one connection.
#[derive(Debug)]
struct Queue {
    frames: VecDeque<Segments>,
    bytes: usize,
    /// The machine has closed the connection: write what is left, then close.
    closing: bool,
    bell: Arc<Bell>,
}

/// Wakes the two tasks of a connection.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// There is something to write, or to close.
    pub(crate) write: Notify,
    /// There is room again to read requests.
    pub(crate) read: Notify,
}

/// What a writer takes.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// These frames.
    Frames(VecDeque<Segments>),
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    Closed,
}

impl Shared {
    pub(crate) fn new(cluster: Cluster, config: &DoorConfig) -> Self {
        Self {
            state: Mutex::new(State { cluster, queues: HashMap::new() }),
            earlier: Notify::new(),
            max_connections: config.max_connections,
            max_request_bytes: config.max_request_bytes,
            max_queued_bytes: config.max_queued_bytes,
            max_idle: config.max_idle,
            #[cfg(feature = "tls")]
            tls: config.tls.clone(),
        }
    }

    /// Opens a connection; `None` if there are too many.
    pub(crate) fn connect(&self, node: i32, bell: &Arc<Bell>) -> Option<ConnId> {
        let mut state = self.lock();
        if state.queues.len() >= self.max_connections {
            return None;
        }
        let conn = state.cluster.connect(node);
        let queue = Queue { frames: VecDeque::new(), bytes: 0, closing: false, bell: bell.clone() };
        state.queues.insert(conn, queue);
        state.deliver();
        Some(conn)
    }

    /// Hands a request to the machine.
    pub(crate) fn handle_frame(&self, conn: ConnId, frame: Bytes) {
        self.change(|cluster| cluster.handle_frame(Instant::now(), conn, frame));
    }

    /// True if the connection may bring another request now.
    pub(crate) fn has_room(&self, conn: ConnId) -> bool {
        let state = self.lock();
        let queued = state.queues.get(&conn).map_or(0, |queue| queue.bytes);
        queued < self.max_queued_bytes && state.cluster.backlog(conn) < MAX_BACKLOG
    }

    /// Takes what waits to be written.
    pub(crate) fn take(&self, conn: ConnId) -> Outgoing {
        let mut state = self.lock();
        match state.queues.get_mut(&conn) {
            None => Outgoing::Closed,
            Some(queue) if !queue.frames.is_empty() => {
                Outgoing::Frames(std::mem::take(&mut queue.frames))
            }
            Some(queue) if queue.closing => Outgoing::Closed,
            Some(_) => Outgoing::Nothing,
        }
    }

    /// Notes that so many bytes were written, which may make room for requests.
    pub(crate) fn written(&self, conn: ConnId, bytes: usize) {
        if let Some(queue) = self.lock().queues.get_mut(&conn) {
            queue.bytes = queue.bytes.saturating_sub(bytes);
            queue.bell.read.notify_one();
        }
    }

    /// Makes a writer end once everything that waits is written.
    pub(crate) fn finish(&self, conn: ConnId) {
        if let Some(queue) = self.lock().queues.get_mut(&conn) {
            queue.closing = true;
            queue.bell.write.notify_one();
        }
    }

    /// Forgets a connection that has ended.
    pub(crate) fn disconnect(&self, conn: ConnId) {
        let mut state = self.lock();
        state.cluster.disconnect(conn);
        if let Some(queue) = state.queues.remove(&conn) {
            queue.bell.write.notify_one();
            queue.bell.read.notify_one();
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.lock().queues.len()
    }

    /// Looks into the machine, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Cluster) -> T) -> T {
        self.change(look)
    }

    /// Changes the machine, sends what came of it, and wakes the timekeeper if need be.
    fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        let mut state = self.lock();
        let before = state.cluster.poll_timeout();
        let outcome = change(&mut state.cluster);
        state.deliver();
        let after = state.cluster.poll_timeout();
        drop(state);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.earlier.notify_one();
        }
        outcome
    }

    /// A panic while the lock was held is a bug, but no reason to stop serving the others.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Moves what the machine has to send into the queues, and rings for each.
    fn deliver(&mut self) {
        while let Some((conn, frame)) = self.cluster.poll_transmit() {
            if let Some(queue) = self.queues.get_mut(&conn) {
                queue.bytes += frame.len();
                queue.frames.push_back(frame);
                queue.bell.write.notify_one();
                queue.bell.read.notify_one();
            }
        }
        while let Some(conn) = self.cluster.poll_close() {
            if let Some(queue) = self.queues.get_mut(&conn) {
                queue.closing = true;
                queue.bell.write.notify_one();
            }
        }
    }
}

/// Calls the machine when something is due, until `stopped`.
pub(crate) async fn keep_time(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    loop {
        let due = shared.with(|cluster| {
            let now = Instant::now();
            if cluster.poll_timeout().is_some_and(|due| due <= now) {
                cluster.handle_timeout(now);
            }
            cluster.poll_timeout()
        });
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = shared.earlier.notified() => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Requests of one connection that the machine may hold beside the one it serves.
const MAX_BACKLOG: usize = 16;
