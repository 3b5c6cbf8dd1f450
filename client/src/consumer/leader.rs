//! One broker's fetches. In: cursors, and room for bytes; out: what its answers mean, as the fetch
//! machine says it. Holds the connection, which is its own: a broker that waits for records answers
//! nothing else on it meanwhile.

use std::pin::Pin;
use std::task::{Context, Poll};

use klamm_protocol::messages::fetch::{FetchRequest, FetchResponse};
use klamm_protocol::session::fetch::{FetchOptions, FetchSource};
use tokio::time::Instant;

use crate::client::Client;
use crate::error::Result;
use crate::net::handle::Handle;

/// A future that its owner polls.
pub(super) type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A broker that partitions are fetched from.
pub(super) struct Leader {
    pub(super) node: i32,
    pub(super) machine: FetchSource,
    client: Client,
    handle: Option<Handle>,
    job: Option<Job<Done>>,
    reserved: usize,
}

/// What a job ended with.
enum Done {
    Connected(Result<Handle>),
    Answered(Result<FetchResponse>),
}

impl Leader {
    pub(super) fn new(client: Client, node: i32, options: FetchOptions) -> Self {
        let machine = FetchSource::new(options);
        Self { node, machine, client, handle: None, job: None, reserved: 0 }
    }

    /// Closes the connection if nothing is read from this broker any more.
    pub(super) fn rest(&mut self) {
        if self.machine.is_empty() && self.job.is_none() {
            self.handle = None;
        }
    }

    /// Whether nothing is read here and no connection is open.
    pub(super) fn is_resting(&self) -> bool {
        self.machine.is_empty() && self.job.is_none() && self.handle.is_none()
    }

    /// How many bytes the outstanding request may bring.
    pub(super) fn reserved(&self) -> usize {
        self.reserved
    }

    /// When something is due here although nothing arrives.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let idle = self.job.is_none() && !self.machine.is_empty();
        self.machine.poll_timeout().filter(|_| idle).map(Instant::from_std)
    }

    /// Begins what is due: a connection, or a request for at most `room` bytes. Returns whether it
    /// did.
    ///
    /// Errors: the broker speaks no version of Fetch that we do.
    pub(super) fn begin(&mut self, room: usize) -> Result<bool> {
        if self.job.is_some() || self.machine.is_empty() {
            return Ok(false);
        }
        let now = Instant::now();
        let Some(handle) = self.handle.clone().filter(Handle::is_open) else {
            let (cluster, node) = (self.client.cluster().clone(), self.node);
            let deadline = self.client.api_deadline();
            let connect = async move { Done::Connected(cluster.dedicated(node, deadline).await) };
            self.job = Some(Box::pin(connect));
            return Ok(true);
        };
        let version = handle.version_of::<FetchRequest>()?;
        let Some(call) = self.machine.next_request(now.into_std(), version, room) else {
            return Ok(false);
        };
        self.reserved = usize::try_from(call.request.max_bytes).unwrap_or(0);
        let deadline = now + *self.client.config().request_timeout();
        let fetch = async move {
            Done::Answered(handle.request_in(&call.request, call.version, deadline).await)
        };
        self.job = Some(Box::pin(fetch));
        Ok(true)
    }

    /// Moves the job on. `Ok(true)`: it ended, and the machine may have events. An error ends the
    /// connection; the machine has been told, and its cursors wait.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let Some(job) = &mut self.job else { return Ok(false) };
        let Poll::Ready(done) = job.as_mut().poll(cx) else {
            return Ok(false);
        };
        self.job = None;
        self.reserved = 0;
        let now = Instant::now().into_std();
        match done {
            Done::Connected(Ok(handle)) => self.handle = Some(handle),
            Done::Answered(Ok(response)) => self.machine.handle_response(now, response),
            Done::Connected(Err(error)) | Done::Answered(Err(error)) => {
                self.machine.handle_failure(now);
                self.handle = None;
                return Err(error);
            }
        }
        Ok(true)
    }
}
