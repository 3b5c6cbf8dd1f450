//! One road to the loop of a connection. In: requests; out: the frames that answer them, or errors that
//! say whether a request may have been carried out. Handles ask by one road, logins by another.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Request};
use klamm_protocol::header::encode_request;
use klamm_protocol::session::connection::{CloseReason, Outgoing};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::credentials::Login;
use crate::error::{Error, ErrorKind};
use crate::net::counters::Meter;
use crate::net::driver::Command;
use crate::net::line::{Answer, Line, Lines, Loss, Ticket};
use crate::tls::failure_of;

type Result<T, E = Error> = std::result::Result<T, E>;

/// What asking takes.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) line: Arc<Line>,
    pub(crate) identity: Identity,
}

/// Who talks to whom, how long a request may take at most, and who keeps the books.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The broker, as a person would name it.
    pub(crate) peer: String,
    /// Its host's name, to which a ticket of Kerberos is bound.
    pub(crate) host: String,
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
    /// How to log in, where the listener asks for it.
    pub(crate) login: Option<Arc<Login>>,
}

impl Talk {
    /// One request and the frame that answers it.
    pub(crate) async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
        deadline: Instant,
        answered: bool,
    ) -> Result<Bytes> {
        let limit = Instant::now() + self.identity.request_timeout;
        self.exchange_until(request, version, deadline.min(limit), answered).await
    }

    /// As [`Talk::exchange`], for as long as the caller says.
    pub(crate) async fn exchange_until<R: Request>(
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
        // It greets everybody, and hangs up on who asks more without a login.
        let hangs_up = loss.reason == Some(CloseReason::Ended) && !self.line.has_served();
        let error = if hangs_up && self.identity.login.is_none() {
            error.with_hint(NO_LOGIN)
        } else {
            error
        };
        match (loss.failure, loss.reason) {
            (Some(failure), _) => error.with("detail", &failure).with_source(failure),
            (None, Some(reason)) => error.with_source(reason),
            (None, None) => error,
        }
    }
}
/// How a loss is to be understood while the peer has not yet shown to be a broker: nothing was
/// asked that could have had an effect, and a peer that breaks the protocol does not speak it.
pub(crate) fn first_words(error: Error) -> Error {
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

pub(crate) const NOT_KAFKA: &str =
    "check that host and port are a broker's, and that security.protocol is that of its listener";
const NO_LOGIN: &str = "if that listener asks for a login (SASL), set security.protocol, sasl.mechanism \
                        and sasl.jaas.config";
const TLS: &str =
    "set security.protocol=SSL (SASL_SSL with a login), or use a plaintext listener of the broker";
