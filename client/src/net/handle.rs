//! A broker, as those see it who ask it something. In: typed requests with a deadline; out: typed
//! responses, or an error that says whether the request may have been carried out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use klamm_protocol::api::{ApiKey, Message, Request};
use klamm_protocol::error::DecodeError;
use klamm_protocol::header::decode_response;
use klamm_protocol::session::connection::ConnectionOptions;
use klamm_protocol::session::handshake::{Handshake, HandshakeEvent, Versions};
use tokio::time::Instant;

use crate::credentials::Login;
use crate::error::{Error, ErrorKind, Result};
use crate::net::dial::Stream;
use crate::net::driver::{self, Command};
use crate::net::line::{Line, Opened};
use crate::net::login;
use crate::net::releases::remedy;
use crate::net::talk::{NOT_KAFKA, Talk, first_words};

pub(crate) use crate::net::talk::Identity;

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
    talk: Talk,
    /// What was negotiated; empty until then.
    versions: Versions,
}

impl Handle {
    /// Negotiates versions over a stream that has just been opened, logs in where the identity has
    /// a login, and keeps its loop running as a task; another one logs in anew where the broker
    /// wants that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotKafka`] where something else answers, [`ErrorKind::Disconnected`] where the
    /// peer hangs up, [`ErrorKind::Authentication`] where it does not let this client in,
    /// [`ErrorKind::TimedOut`] at `deadline`.
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
        let (commands, logins, stop) = driver::start(stream, options, Arc::clone(&line));
        identity.lines.add(stop);
        let talk = Talk { commands, line, identity };
        let mut shared = Shared { talk, versions: Versions::default() };
        shared.versions = shared.negotiate(deadline).await?;
        let lifetime = shared.log_in(deadline).await?;
        // The loop takes commands in order, so it is ready before any request; if it has ended, the
        // first request says why.
        let opened = Opened::new(Arc::clone(&shared.talk.line));
        drop(shared.talk.commands.send(Command::Ready(opened)).await);
        if let Some((login, lifetime)) = lifetime {
            let (line, identity) = (Arc::clone(&shared.talk.line), shared.talk.identity.clone());
            let talk = Talk { commands: logins, line, identity };
            tokio::spawn(login::renew(talk, shared.versions.clone(), login, lifetime));
        }
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
        let frame = shared.talk.exchange(request, version, deadline, true).await?;
        let response =
            decode_response::<R>(frame, version).map_err(|error| self.unreadable(R::KEY, error))?;
        shared.talk.line.throttle(response.throttle_time_ms());
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
        let frame = shared.talk.exchange_until(request, version, deadline, true).await?;
        let response =
            decode_response::<R>(frame, version).map_err(|error| self.unreadable(R::KEY, error))?;
        shared.talk.line.throttle(response.throttle_time_ms());
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
        self.shared().talk.exchange(request, version, deadline, false).await.map(drop)
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
        &self.shared().talk.identity.peer
    }

    /// Whether requests can still be sent. A `true` may be outdated when it is read.
    pub fn is_open(&self) -> bool {
        !self.shared().talk.commands.is_closed()
    }

    /// Returns when the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.shared().talk.commands.closed().await;
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
            && self.shared.talk.line.is_quiet()
            && !self.shared.talk.commands.is_closed()
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
                let frame = self.talk.exchange(&request, version, deadline, true).await;
                handshake.handle_response(frame.map_err(first_words)?);
            }
            match handshake.poll_event() {
                Some(HandshakeEvent::Ready(versions)) => {
                    self.talk.line.throttle(handshake.throttle_time_ms());
                    return Ok(versions);
                }
                Some(HandshakeEvent::Failed(error)) => {
                    return Err(Error::new(ErrorKind::NotKafka, error.to_string())
                        .with("broker", &self.talk.identity.peer)
                        .with_hint(NOT_KAFKA)
                        .with_source(error));
                }
                None => {}
            }
        }
    }

    /// Who has to log in now does, and learns how long that holds.
    async fn log_in(&self, deadline: Instant) -> Result<Option<(Arc<Login>, Duration)>> {
        let Some(login) = &self.talk.identity.login else { return Ok(None) };
        let lifetime = login::log_in(&self.talk, &self.versions, login, deadline).await?;
        Ok(lifetime.map(|lifetime| (Arc::clone(login), lifetime)))
    }
}
