//! The producer's connection to one broker. In: produce requests, in order; out: their answers, or
//! how each failed. Requests are written in the order they were begun: each is polled once at once,
//! which puts it into the connection's queue.

use std::pin::Pin;
use std::task::{Context, Poll};

use klamm_protocol::messages::produce::{ProduceRequest, ProduceResponse};
use klamm_protocol::session::produce::{ProduceCall, RequestId};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::net::handle::Handle;

/// A future that the driver owns and polls.
pub(super) type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A broker that batches go to.
pub(super) struct Link {
    pub(super) node: i32,
    client: Client,
    handle: Option<Handle>,
    connecting: Option<Job<Result<Handle>>>,
    requests: Vec<(RequestId, Job<Result<Option<ProduceResponse>>>)>,
    /// An attempt to connect was begun and not yet polled.
    unheard: bool,
    /// The last attempt failed: the next one waits until then.
    not_before: Option<Instant>,
}

/// What became of a request.
pub(super) enum Answer {
    /// The broker's answer.
    Response(RequestId, ProduceResponse),
    /// Written, and no answer is to come (`acks=0`).
    Sent(RequestId),
    /// No answer will come; whether the broker may have got it.
    Lost(RequestId, bool, Error),
    /// No connection could be made.
    Unreachable(Error),
}

impl Link {
    pub(super) fn new(client: Client, node: i32) -> Self {
        Self {
            node,
            client,
            handle: None,
            connecting: None,
            requests: Vec::new(),
            unheard: false,
            not_before: None,
        }
    }

    /// Whether no answer is awaited here.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// The version to write requests in; `None` while there is no connection, which is then being
    /// made.
    pub(super) fn version(&mut self) -> Option<Result<i16>> {
        if let Some(handle) = self.handle.as_ref().filter(|handle| handle.is_open()) {
            return Some(handle.version_of::<ProduceRequest>());
        }
        if self.connecting.is_none() {
            let (cluster, node) = (self.client.cluster().clone(), self.node);
            let deadline = self.client.api_deadline();
            let pause = self.not_before.take();
            self.connecting = Some(Box::pin(async move {
                if let Some(until) = pause {
                    sleep_until(until).await;
                }
                cluster.dedicated(node, deadline).await
            }));
            self.unheard = true;
        }
        None
    }

    /// Whether an attempt to connect waits for its first poll.
    pub(super) fn is_new_attempt(&self) -> bool {
        self.unheard
    }

    /// Begins a request; it is written after all that were begun before it.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>, call: ProduceCall) -> Option<Answer> {
        let id = call.id;
        let Some(handle) = self.handle.clone() else {
            let error = Error::new(ErrorKind::Disconnected, "the connection is gone");
            return Some(Answer::Lost(id, false, error));
        };
        let deadline = Instant::now() + *self.client.config().request_timeout();
        let mut request: Job<_> = Box::pin(async move {
            if call.request.acks == 0 {
                return handle.send(&call.request, deadline).await.map(|()| None);
            }
            handle.request_in(&call.request, call.version, deadline).await.map(Some)
        });
        match request.as_mut().poll(cx) {
            Poll::Ready(done) => Some(self.done(id, done)),
            Poll::Pending => {
                self.requests.push((id, request));
                None
            }
        }
    }

    /// Moves everything on, and collects what ended. Returns whether a connection was made.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<Answer>) -> bool {
        let mut ended = Vec::new();
        self.requests.retain_mut(|(id, request)| match request.as_mut().poll(cx) {
            Poll::Ready(done) => {
                ended.push((*id, done));
                false
            }
            Poll::Pending => true,
        });
        out.extend(ended.into_iter().map(|(id, done)| self.done(id, done)));
        self.unheard = false;
        let Some(Poll::Ready(connected)) =
            self.connecting.as_mut().map(|job| job.as_mut().poll(cx))
        else {
            return false;
        };
        self.connecting = None;
        match connected {
            Ok(handle) => {
                self.handle = Some(handle);
                true
            }
            Err(error) => {
                // A broker that is not in the view fails at once, and would do so again.
                self.not_before = Some(Instant::now() + *self.client.config().retry_backoff());
                out.push(Answer::Unreachable(error));
                false
            }
        }
    }

    fn done(&mut self, id: RequestId, done: Result<Option<ProduceResponse>>) -> Answer {
        match done {
            Ok(Some(response)) => Answer::Response(id, response),
            Ok(None) => Answer::Sent(id),
            Err(error) => {
                // A connection that lost a request has ended, or is about to.
                self.handle = None;
                Answer::Lost(id, may_have_arrived(&error), error)
            }
        }
    }
}

/// Whether the broker may have got the request in spite of the error. Only what is certain counts
/// as no.
fn may_have_arrived(error: &Error) -> bool {
    let certainly_not = matches!(
        error.kind(),
        ErrorKind::Disconnected
            | ErrorKind::TimedOut
            | ErrorKind::Unsupported
            | ErrorKind::Unreachable
    );
    !certainly_not
}
