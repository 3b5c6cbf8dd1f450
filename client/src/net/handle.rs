//! A broker, as those see it who ask it something. In: typed requests with a deadline; out: typed
//! responses, or an error that says whether the request may have been carried out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Request};
use klamm_protocol::error::DecodeError;
use klamm_protocol::header::{decode_response, encode_request};
use klamm_protocol::session::connection::{CloseReason, ConnectionOptions, Outgoing};
use klamm_protocol::session::handshake::{Handshake, HandshakeEvent, Versions};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::error::{Error, ErrorKind, Result};
use crate::net::dial::Stream;
use crate::net::driver::{self, Command, Loss};
use crate::net::releases::remedy;

/// A connection that is ready for requests. Clones share it; requests are pipelined in the order of
/// the calls. When the last clone is dropped, the connection closes after the answers it still
/// awaits.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    commands: mpsc::Sender<Command>,
    /// The next correlation id. Ids wrap around after four billion requests, long after the
    /// answers to the first ones.
    next_id: AtomicI32,
    /// What was negotiated; empty until then.
    versions: Versions,
    identity: Identity,
}

/// Who talks to whom, and how long a request may take at most.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The broker, as a person would name it.
    pub(crate) peer: String,
    /// The name by which brokers know this client.
    pub(crate) client_id: String,
    /// The longest time for one request.
    pub(crate) request_timeout: Duration,
}

impl Handle {
    /// Negotiates versions over a stream that has just been opened, and keeps its loop running as a
    /// task.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotKafka`] where something else answers, [`ErrorKind::Disconnected`] where the
    /// peer hangs up, [`ErrorKind::TimedOut`] at `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped early, the stream is closed.
    pub(crate) async fn establish(
        stream: impl Stream,
        options: ConnectionOptions,
        identity: Identity,
        deadline: Instant,
    ) -> Result<Self> {
        let commands = driver::start(stream, options);
        let mut shared = Shared {
            commands,
            next_id: AtomicI32::new(0),
            versions: Versions::default(),
            identity,
        };
        shared.versions = shared.negotiate(deadline).await?;
        // The loop takes commands in order, so it is ready before any request; if it has ended, the
        // first request says why.
        drop(shared.commands.send(Command::Ready).await);
        Ok(Self(Arc::new(shared)))
    }

    /// Sends a request and awaits its response, until `deadline` or for `request.timeout.ms`,
    /// whichever is shorter. A request that gets no answer in its time costs the connection, since
    /// a late answer could be taken for another's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if the broker lacks the API or cannot be told what is asked;
    /// [`ErrorKind::Disconnected`] and [`ErrorKind::TimedOut`] if the request was certainly not
    /// carried out; [`ErrorKind::OutcomeUnknown`] if it may have been; [`ErrorKind::Protocol`] if
    /// the answer cannot be read. Error codes inside the response are the caller's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call leaves a whole request on the wire or none, and its answer is
    /// thrown away.
    pub async fn request<R: Request>(&self, request: &R, deadline: Instant) -> Result<R::Response> {
        self.request_in(request, self.version_of::<R>()?, deadline).await
    }

    /// As [`Handle::request`], in a version that the caller chose by [`Handle::version_of`] or
    /// [`Handle::version_up_to`].
    pub async fn request_in<R: Request>(
        &self,
        request: &R,
        version: i16,
        deadline: Instant,
    ) -> Result<R::Response> {
        let span =
            tracing::debug_span!("request", api = R::KEY.name(), broker = %self.0.identity.peer);
        async {
            let frame = self.0.exchange(request, version, deadline, true).await?;
            decode_response::<R>(frame, version).map_err(|error| self.unreadable(R::KEY, error))
        }
        .instrument(span)
        .await
    }

    /// Sends a request that the broker does not answer (`Produce` with `acks=0`); returns when the
    /// stream has taken it.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Handle::request`].
    pub async fn send<R: Request>(&self, request: &R, deadline: Instant) -> Result<()> {
        let version = self.version_of::<R>()?;
        self.0.exchange(request, version, deadline, false).await.map(drop)
    }

    /// The highest version of `R` that both sides speak; [`Handle::request`] uses it.
    pub fn version_of<R: Request>(&self) -> Result<i16> {
        self.0.versions.pick::<R>().map_err(|error| {
            Error::new(ErrorKind::Unsupported, error.to_string())
                .with("api", R::KEY)
                .with("broker", self.peer())
                .with_hint(remedy(&error))
        })
    }

    /// The highest version of `R` that both sides speak and that is not above `limit`.
    pub fn version_up_to<R: Request>(&self, limit: i16) -> Result<i16> {
        let highest = self.version_of::<R>()?;
        let lowest = self.versions().range(R::KEY).map_or(0, |range| range.min);
        if limit >= lowest {
            return Ok(highest.min(limit));
        }
        Err(Error::new(ErrorKind::Unsupported, "the broker speaks only newer versions of an API")
            .with("broker", self.peer())
            .with("api", R::KEY)
            .with_hint("use a newer version of this client"))
    }

    /// What the broker speaks.
    pub fn versions(&self) -> &Versions {
        &self.0.versions
    }

    /// The broker, as a person would name it.
    pub fn peer(&self) -> &str {
        &self.0.identity.peer
    }

    /// Whether requests can still be sent. A `true` may be outdated when it is read.
    pub fn is_open(&self) -> bool {
        !self.0.commands.is_closed()
    }

    /// Returns when the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.0.commands.closed().await;
    }

    fn unreadable(&self, api: ApiKey, error: DecodeError) -> Error {
        Error::new(ErrorKind::Protocol, "the broker's answer cannot be read")
            .with("broker", self.peer())
            .with("api", api)
            .with("detail", error)
            .with_source(error)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("peer", &self.peer()).field("open", &self.is_open()).finish()
    }
}

impl Shared {
    /// The first words on the connection; the loop lets nothing else out before they are over.
    async fn negotiate(&self, deadline: Instant) -> Result<Versions> {
        let mut handshake = Handshake::new();
        loop {
            if let Some((request, version)) = handshake.poll_transmit() {
                let frame = self.exchange(&request, version, deadline, true).await;
                handshake.handle_response(frame.map_err(first_words)?);
            }
            match handshake.poll_event() {
                Some(HandshakeEvent::Ready(versions)) => return Ok(versions),
                Some(HandshakeEvent::Failed(error)) => {
                    return Err(Error::new(ErrorKind::NotKafka, error.to_string())
                        .with("broker", &self.identity.peer)
                        .with_hint(NOT_KAFKA)
                        .with_source(error));
                }
                None => {}
            }
        }
    }

    /// One request and the frame that answers it.
    async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
        deadline: Instant,
        answered: bool,
    ) -> Result<Bytes> {
        let correlation_id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let client_id = Some(self.identity.client_id.as_str());
        let bytes =
            encode_request(request, version, correlation_id, client_id).map_err(|error| {
                Error::new(ErrorKind::Unsupported, error.to_string())
                    .with("broker", &self.identity.peer)
                    .with("api", R::KEY)
                    .with_source(error)
            })?;
        let limit = Instant::now() + self.identity.request_timeout;
        let deadline = deadline.min(limit);
        let permit = self.room(deadline).await.map_err(|loss| self.lost(R::KEY, loss))?;
        let (reply, answer) = oneshot::channel();
        let deadline = deadline.into_std();
        permit
            .send(Command::Request(Outgoing { correlation_id, bytes, deadline, answered }, reply));
        match answer.await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(loss)) => Err(self.lost(R::KEY, loss)),
            // The loop was dropped with its runtime, at a point nobody knows.
            Err(_) => {
                let loss = Loss { reason: Some(CloseReason::Asked), sent: true, failure: None };
                Err(self.lost(R::KEY, loss))
            }
        }
    }

    /// Room for one command. Requests get it in the order in which they were first polled, which
    /// producers rely on: those who wait are served in turn, and nobody finds room before them.
    async fn room(
        &self,
        deadline: Instant,
    ) -> std::result::Result<mpsc::Permit<'_, Command>, Loss> {
        let lost = |reason| Loss { reason, sent: false, failure: None };
        match self.commands.try_reserve() {
            Ok(permit) => Ok(permit),
            Err(TrySendError::Closed(())) => Err(lost(Some(CloseReason::Ended))),
            Err(TrySendError::Full(())) => {
                match timeout_at(deadline, self.commands.reserve()).await {
                    Ok(Ok(permit)) => Ok(permit),
                    Ok(Err(_)) => Err(lost(Some(CloseReason::Ended))),
                    Err(_) => Err(lost(None)),
                }
            }
        }
    }

    /// A lost request as its caller sees it. The kind says whether it may have been carried out.
    fn lost(&self, api: ApiKey, loss: Loss) -> Error {
        let kind = match (loss.reason, loss.sent) {
            (None, _) => ErrorKind::TimedOut,
            (Some(CloseReason::Http | CloseReason::Tls), _) => ErrorKind::NotKafka,
            (_, true) => ErrorKind::OutcomeUnknown,
            (_, false) => ErrorKind::Disconnected,
        };
        let what = match loss.reason {
            None => "the time of a request ran out before it could be sent".to_owned(),
            Some(reason) => reason.to_string(),
        };
        let error = Error::new(kind, what).with("broker", &self.identity.peer).with("api", api);
        match (loss.failure, loss.reason) {
            (Some(failure), _) => error.with("detail", &failure).with_source(failure),
            (None, Some(reason)) => error.with_source(reason),
            (None, None) => error,
        }
    }
}

/// How a loss is to be understood while the peer has not yet shown to be a broker: nothing was
/// asked that could have had an effect, and a peer that breaks the protocol does not speak it.
fn first_words(error: Error) -> Error {
    let reason =
        std::error::Error::source(&error).and_then(|source| source.downcast_ref::<CloseReason>());
    let (kind, hint) = match reason {
        Some(CloseReason::TimedOut { .. }) => (ErrorKind::TimedOut, NOT_KAFKA),
        Some(CloseReason::Tls) => (ErrorKind::NotKafka, TLS),
        Some(CloseReason::Http | CloseReason::Decode(_) | CloseReason::StrayResponse { .. }) => {
            (ErrorKind::NotKafka, NOT_KAFKA)
        }
        _ if error.kind() == ErrorKind::TimedOut => (ErrorKind::TimedOut, NOT_KAFKA),
        _ => (ErrorKind::Disconnected, NOT_KAFKA),
    };
    error.as_kind(kind).with_hint(hint)
}

const NOT_KAFKA: &str = "check that host and port are those of a broker's plaintext listener";
const TLS: &str = "TLS is not supported in this version; use the broker's plaintext listener";
