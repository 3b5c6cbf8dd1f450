//! A broker, as those see it who ask it something. In: typed requests with a deadline; out: typed
//! responses, or an error that says whether the request may have been carried out.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Message, Request};
use klamm_protocol::error::DecodeError;
use klamm_protocol::header::{decode_response, encode_request};
use klamm_protocol::session::connection::{CloseReason, ConnectionOptions, Outgoing};
use klamm_protocol::session::handshake::{Handshake, HandshakeEvent, Versions};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::error::{Error, ErrorKind, Result};
use crate::net::counters::Meter;
use crate::net::dial::Stream;
use crate::net::driver::{self, Command};
use crate::net::line::{Answer, Line, Lines, Loss, Opened, Ticket};
use crate::net::releases::remedy;
use crate::tls::failure_of;

/// A connection that is ready for requests. Clones share it; requests are pipelined in the order of
/// the calls. When the last clone is dropped, the connection closes after the answers it still
/// awaits, unless it goes back to where it was lent from.
///
/// Each request runs in a `tracing` span named `request` of level debug, with the API's name, its
/// version, the broker and its id, the correlation id, the bytes both ways and the time in
/// microseconds. No span or event has a payload.
#[derive(Clone)]
pub struct Handle(Arc<Loan>);

/// A connection, and who wants it back.
struct Loan {
    shared: Arc<Shared>,
    home: Option<Home>,
}

/// Takes in a connection that nobody uses any more.
pub(crate) type Home = Box<dyn Fn(Handle) + Send + Sync>;

struct Shared {
    commands: mpsc::Sender<Command>,
    line: Arc<Line>,
    /// What was negotiated; empty until then.
    versions: Versions,
    identity: Identity,
}

/// Who talks to whom, how long a request may take at most, and who keeps the books.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The broker, as a person would name it.
    pub(crate) peer: String,
    /// The broker's id, where it is known.
    pub(crate) node: Option<i32>,
    /// The name by which brokers know this client.
    pub(crate) client_id: String,
    /// The longest time for one request.
    pub(crate) request_timeout: Duration,
    /// What is counted for this broker.
    pub(crate) meter: Arc<Meter>,
    /// All connections of the client.
    pub(crate) lines: Arc<Lines>,
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
        let line = Arc::new(Line::new(Arc::clone(&identity.meter)));
        let (commands, stop) = driver::start(stream, options, Arc::clone(&line));
        identity.lines.add(stop);
        let mut shared = Shared { commands, line, versions: Versions::default(), identity };
        shared.versions = shared.negotiate(deadline).await?;
        // The loop takes commands in order, so it is ready before any request; if it has ended, the
        // first request says why.
        let opened = Opened::new(Arc::clone(&shared.line));
        drop(shared.commands.send(Command::Ready(opened)).await);
        Ok(Self(Arc::new(Loan { shared: Arc::new(shared), home: None })))
    }

    /// The same connection, which goes back when the last clone of the result is dropped: if it is
    /// open and nothing is under way on it, `home` gets it.
    pub(crate) fn lent(self, home: Home) -> Self {
        Self(Arc::new(Loan { shared: Arc::clone(&self.0.shared), home: Some(home) }))
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Sends a request and awaits its response, until `deadline` or for `request.timeout.ms`,
    /// whichever is shorter. A request that gets no answer in its time costs the connection, since
    /// a late answer could be taken for another's. Where an answer tells of a quota, this
    /// connection's next requests wait for as long as the broker asks, at most a minute (KIP-219);
    /// that counts for their deadlines.
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
        let shared = self.shared();
        let frame = shared.exchange(request, version, deadline, true).await?;
        let response =
            decode_response::<R>(frame, version).map_err(|error| self.unreadable(R::KEY, error))?;
        shared.line.throttle(response.throttle_time_ms());
        Ok(response)
    }

    /// As [`Handle::request`], for what a broker may take longer to answer than
    /// `request.timeout.ms`: it waits for others. Only `deadline` bounds it.
    pub(crate) async fn request_patiently<R: Request>(
        &self,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Response> {
        let (shared, version) = (self.shared(), self.version_of::<R>()?);
        let frame = shared.exchange_until(request, version, deadline, true).await?;
        let response =
            decode_response::<R>(frame, version).map_err(|error| self.unreadable(R::KEY, error))?;
        shared.line.throttle(response.throttle_time_ms());
        Ok(response)
    }

    /// Sends a request that the broker does not answer (`Produce` with `acks=0`); returns when the
    /// stream has taken it.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Handle::request`].
    pub async fn send<R: Request>(&self, request: &R, deadline: Instant) -> Result<()> {
        let version = self.version_of::<R>()?;
        self.shared().exchange(request, version, deadline, false).await.map(drop)
    }

    /// The highest version of `R` that both sides speak; [`Handle::request`] uses it.
    pub fn version_of<R: Request>(&self) -> Result<i16> {
        self.shared().versions.pick::<R>().map_err(|error| {
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
        &self.shared().versions
    }

    /// The broker, as a person would name it.
    pub fn peer(&self) -> &str {
        &self.shared().identity.peer
    }

    /// Whether requests can still be sent. A `true` may be outdated when it is read.
    pub fn is_open(&self) -> bool {
        !self.shared().commands.is_closed()
    }

    /// Returns when the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.shared().commands.closed().await;
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

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(home) = self.home.take()
            && self.shared.line.is_quiet()
            && !self.shared.commands.is_closed()
        {
            home(Handle(Arc::new(Self { shared: Arc::clone(&self.shared), home: None })));
        }
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
                Some(HandshakeEvent::Ready(versions)) => {
                    self.line.throttle(handshake.throttle_time_ms());
                    return Ok(versions);
                }
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
        let limit = Instant::now() + self.identity.request_timeout;
        self.exchange_until(request, version, deadline.min(limit), answered).await
    }

    /// As [`Shared::exchange`], for as long as the caller says.
    async fn exchange_until<R: Request>(
        &self,
        request: &R,
        version: i16,
        deadline: Instant,
        answered: bool,
    ) -> Result<Bytes> {
        let correlation_id = self.line.next_id();
        let client_id = Some(self.identity.client_id.as_str());
        let bytes =
            encode_request(request, version, correlation_id, client_id).map_err(|error| {
                Error::new(ErrorKind::Unsupported, error.to_string())
                    .with("broker", &self.identity.peer)
                    .with("api", R::KEY)
                    .with_source(error)
            })?;
        let span = tracing::debug_span!(
            "request",
            api = R::KEY.name(),
            version,
            broker = %self.identity.peer,
            node = self.identity.node,
            correlation_id,
            bytes_out = bytes.len(),
            bytes_in = Empty,
            micros = Empty,
        );
        let deadline = deadline.into_std();
        let outgoing = Outgoing { correlation_id, bytes, deadline, answered };
        let answer = self.carry(R::KEY, outgoing, span.clone()).instrument(span).await;
        answer.map_err(|loss| self.lost(R::KEY, loss))
    }

    /// One request on its way, within the span that tells of it.
    async fn carry(&self, api: ApiKey, request: Outgoing, span: Span) -> Answer {
        let begun = Instant::now();
        let permit = self.room(Instant::from_std(request.deadline)).await?;
        let (ticket, answer) = Ticket::new(Arc::clone(&self.line), api, request.bytes.len());
        permit.send(Command::Request(request, ticket));
        // The loop was dropped with its runtime, at a point nobody knows.
        let dropped = |_| Loss { reason: Some(CloseReason::Asked), sent: true, failure: None };
        let answer = answer.await.map_err(dropped).flatten();
        span.record("micros", u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        match &answer {
            Ok(frame) => {
                span.record("bytes_in", frame.len());
                tracing::trace!("answered");
            }
            Err(Loss { reason: Some(reason), sent, .. }) => {
                tracing::debug!(%reason, sent, "lost");
            }
            Err(Loss { reason: None, .. }) => tracing::debug!("its time ran out in the queue"),
        }
        answer
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
            Err(TrySendError::Closed(())) => Err(lost(Some(self.line.end()))),
            Err(TrySendError::Full(())) => {
                match timeout_at(deadline, self.commands.reserve()).await {
                    Ok(Ok(permit)) => Ok(permit),
                    Ok(Err(_)) => Err(lost(Some(self.line.end()))),
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
    let stream = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    if let Some(tls) = stream.and_then(|failure: &Arc<io::Error>| failure_of(failure)) {
        let (kind, hint) = (tls.kind(), tls.hint());
        return Error::new(kind, tls.to_string())
            .with("broker", error.context("broker").unwrap_or_default())
            .with_hint(hint)
            .with_source(error);
    }
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

const NOT_KAFKA: &str =
    "check that host and port are a broker's, and that security.protocol is that of its listener";
const TLS: &str = "set security.protocol=SSL, or use a plaintext listener of the broker";
