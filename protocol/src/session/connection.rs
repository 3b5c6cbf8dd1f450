//! One connection: bytes in, frames out to whoever asked. In: whole requests with a correlation id
//! that the caller chose, received bytes, how much was written; out: bytes to write, answers by
//! correlation id, and at the end which requests were possibly sent.
//!
//! A broker answers in the order of the requests, so an answer belongs to the oldest request in
//! flight or to nobody. A request that runs out of time ends the connection: its late answer must
//! never be taken for another's.
//!
//! | state | on | next | out |
//! |---|---|---|---|
//! | handshaking | `handle_ready` | open | (until then one request at a time, small frames) |
//! | handshaking, open | answer of the oldest request | same | `Response` |
//! | handshaking, open | last byte written of a request without an answer | same | `Written` |
//! | handshaking, open | deadline of a request not yet handed out | same | `Expired` |
//! | handshaking, open | `close` | draining | (no new requests) |
//! | any but closed | the instant of `end_by` | closed | `Closed` |
//! | draining | nothing left to write or to be answered | closed | `Closed` |
//! | any but closed | `hold_until` | same | (nothing is handed out until then, KIP-219) |
//! | any but closed | `pause`, once nothing is in flight | same | `Paused` (only `handle_login` is handed out, until `resume`) |
//! | any but closed | deadline in flight, stray answer, bad frame, end of stream, idle | closed | `Closed` |

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind};
use crate::frame::FrameReader;
use crate::header::correlation_id;
use crate::wire::Segments;

/// The state of one connection. Make it when the stream is open; drive it as the module [`super`]
/// says.
#[derive(Debug)]
#[must_use]
pub struct Connection {
    options: ConnectionOptions,
    state: State,
    reader: FrameReader,
    /// Not handed out yet, so certainly not sent.
    queued: VecDeque<Outgoing>,
    /// Handed out, oldest first.
    in_flight: VecDeque<InFlight>,
    /// Bytes handed out, and bytes that the stream has accepted, since the beginning.
    handed: u64,
    written: u64,
    answered: bool,
    used: Instant,
    /// Until when the broker asked to be left alone.
    held: Option<Instant>,
    /// Whether ordinary requests wait for a login.
    pause: Pause,
    /// The request of a login that waits to be handed out.
    login: Option<Outgoing>,
    /// When it is over whatever is under way.
    end_at: Option<Instant>,
    events: VecDeque<ConnectionEvent>,
}

/// Limits of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// The largest answer accepted once the handshake is over, in bytes.
    pub max_frame: usize,
    /// The largest answer accepted before, from a peer that has not yet shown to be a broker and to
    /// know this client's password.
    pub max_handshake_frame: usize,
    /// How many requests may await an answer at a time.
    pub max_in_flight: usize,
    /// After how long without a request the connection is closed.
    pub max_idle: Option<Duration>,
}

/// A request ready to be written.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The id that `bytes` carry in their header; unique among the requests of this connection that
    /// are not answered yet.
    pub correlation_id: i32,
    /// The whole frame, its length included.
    pub bytes: Segments,
    /// When its answer is given up, and the connection with it.
    pub deadline: Instant,
    /// Whether the broker answers at all; a produce request with `acks=0` has no answer.
    pub answered: bool,
}

/// What happened on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The answer to a request: the whole frame from its correlation id on.
    Response {
        /// The request.
        correlation_id: i32,
        /// The frame without its length.
        frame: Bytes,
    },
    /// A request that has no answer was taken by the stream.
    Written {
        /// The request.
        correlation_id: i32,
    },
    /// The time of a request ran out before any byte of it was handed out; the connection goes on.
    Expired {
        /// The request.
        correlation_id: i32,
    },
    /// After [`Connection::pause`], nothing is in flight any more.
    Paused,
    /// The connection is over. The last event.
    Closed(Closure),
}

/// How a connection ended, and what became of the requests on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Closure {
    /// Why.
    pub reason: CloseReason,
    /// Requests without an answer whose last byte was taken by the stream: they may have been
    /// carried out.
    pub sent: Vec<i32>,
    /// Requests that did not leave whole: they were certainly not carried out.
    pub unsent: Vec<i32>,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side wished it.
    Asked,
    /// A frame cannot be read.
    Decode(DecodeError),
    /// The peer ended the stream.
    Ended,
    /// The stream failed, as its owner knows.
    Failed,
    /// The peer speaks HTTP.
    Http,
    /// There was no request for too long.
    Idle,
    /// The broker did not take a login anew.
    Login,
    /// An answer came that belongs to no request, or not to the oldest.
    StrayResponse {
        /// The id it carries.
        correlation_id: i32,
        /// The id of the oldest request in flight.
        awaited: Option<i32>,
    },
    /// A request got no answer in its time.
    TimedOut {
        /// The request.
        correlation_id: i32,
    },
    /// The peer speaks TLS.
    Tls,
}

/// The connection takes no more requests; the request is given back.
#[derive(Clone, Debug)]
pub struct NotTaken(pub Outgoing);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshaking,
    Open,
    Draining,
    Closed,
}

/// Ordinary requests go out, or they wait for those in flight, or for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    No,
    Wanted,
    Paused,
}

#[derive(Debug)]
struct InFlight {
    correlation_id: i32,
    deadline: Instant,
    answered: bool,
    /// Not a use of the connection, or one that logs in anew now and then would never be idle.
    login: bool,
    /// The stream position after its last byte.
    end: u64,
}

impl Connection {
    /// A connection whose stream is open and silent.
    pub fn new(now: Instant, options: ConnectionOptions) -> Self {
        Self {
            state: State::Handshaking,
            reader: FrameReader::new(options.max_handshake_frame),
            queued: VecDeque::new(),
            in_flight: VecDeque::new(),
            handed: 0,
            written: 0,
            answered: false,
            used: now,
            held: None,
            pause: Pause::No,
            login: None,
            end_at: None,
            events: VecDeque::new(),
            options,
        }
    }

    /// Takes a request; it is handed out in its turn.
    ///
    /// # Errors
    ///
    /// The request itself, after [`Connection::close`] or [`ConnectionEvent::Closed`], or when its
    /// id is in use.
    pub fn handle_request(&mut self, now: Instant, request: Outgoing) -> Result<(), NotTaken> {
        let id = request.correlation_id;
        let used = self.in_flight.iter().any(|other| other.correlation_id == id)
            || self.login.iter().chain(&self.queued).any(|other| other.correlation_id == id);
        if used || !matches!(self.state, State::Handshaking | State::Open) {
            return Err(NotTaken(request));
        }
        self.used = now;
        self.release(now);
        self.queued.push_back(request);
        Ok(())
    }

    /// How many more requests may usefully be queued; a driver that takes no more keeps its memory
    /// bounded.
    pub fn capacity(&self) -> usize {
        self.in_flight_limit().saturating_sub(self.queued.len())
    }

    /// The handshake is over, and the login where there is one: large frames and several requests
    /// at a time from now on.
    pub fn handle_ready(&mut self) {
        if self.state == State::Handshaking {
            self.state = State::Open;
            self.reader.limit(self.options.max_frame);
        }
    }

    /// Ends the connection as soon as all requests are written and answered.
    pub fn close(&mut self, now: Instant) {
        if self.state != State::Closed {
            self.state = State::Draining;
            self.used = now;
            self.finish_draining();
        }
    }

    /// Ends the connection at `deadline`, whatever is still under way then: the upper bound of a
    /// [`Connection::close`]. An earlier bound stays.
    pub fn end_by(&mut self, deadline: Instant) {
        self.end_at = Some(self.end_at.map_or(deadline, |at| at.min(deadline)));
    }

    /// Hands out nothing before `until`, as the broker asked (KIP-219): it would not read it
    /// sooner. Requests wait in the queue meanwhile, and may expire there. A later bound stays.
    pub fn hold_until(&mut self, until: Instant) {
        self.held = Some(self.held.map_or(until, |held| held.max(until)));
    }

    /// Hands out no more requests; those in flight are answered, and [`ConnectionEvent::Paused`]
    /// tells when. A login anew belongs there (KIP-368): a broker takes nothing else meanwhile.
    pub fn pause(&mut self) {
        if self.pause == Pause::No {
            self.pause = Pause::Wanted;
            self.finish_pausing();
        }
    }

    /// Takes a request of a login, after [`ConnectionEvent::Paused`]; it is handed out before all
    /// others, and does not count as a use of the connection.
    ///
    /// # Errors
    ///
    /// The request itself, at another time, or while there is another one.
    pub fn handle_login(&mut self, request: Outgoing) -> Result<(), NotTaken> {
        let free = self.login.is_none() && self.in_flight.is_empty();
        if !free || self.pause != Pause::Paused || self.state == State::Closed {
            return Err(NotTaken(request));
        }
        self.login = Some(request);
        Ok(())
    }

    /// The broker did not take a login anew, and so would take nothing else.
    pub fn handle_login_failure(&mut self) {
        self.end(CloseReason::Login);
    }

    /// The requests that have waited go out.
    pub fn resume(&mut self) {
        self.pause = Pause::No;
    }

    /// Whether it has been without a request for so long that it may be closed.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.state != State::Closed && self.idle_at().is_some_and(|at| at <= now)
    }

    /// Whether no request is waiting, here or at the broker.
    pub fn is_quiet(&self) -> bool {
        self.queued.is_empty() && self.in_flight.is_empty() && self.login.is_none()
    }

    /// The buffer to append received bytes to, with room for what is expected; call
    /// [`Connection::handle_received`] after. Large frames are received into one allocation of
    /// their size, once the peer has shown to send them.
    pub fn receive_buffer(&mut self) -> &mut BytesMut {
        self.reader.spare()
    }

    /// Reads the frames in what was appended to the buffer.
    pub fn handle_received(&mut self, now: Instant) {
        while self.state != State::Closed {
            match self.reader.next() {
                Ok(Some(frame)) => self.take_frame(now, frame.0),
                Ok(None) => return,
                Err(error) => self.end(self.reason_of(error)),
            }
        }
    }

    /// [`Connection::receive_buffer`] and [`Connection::handle_received`] in one, at the cost of a
    /// copy.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if self.state != State::Closed {
            self.reader.push(bytes);
            self.handle_received(now);
        }
    }

    /// The stream has accepted `count` more of the bytes that were handed out.
    pub fn handle_written(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.written = self.written.saturating_add(count).min(self.handed);
        let (written, events) = (self.written, &mut self.events);
        self.in_flight.retain(|request| {
            let silent = !request.answered && request.end <= written;
            if silent {
                events
                    .push_back(ConnectionEvent::Written { correlation_id: request.correlation_id });
            }
            !silent
        });
        self.finish_pausing();
        self.finish_draining();
    }

    /// The peer has ended the stream.
    pub fn handle_end(&mut self) {
        self.end(CloseReason::Ended);
    }

    /// Reading or writing has failed.
    pub fn handle_failure(&mut self) {
        self.end(CloseReason::Failed);
    }

    /// The time that [`Connection::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.release(now);
        let events = &mut self.events;
        if let Some(late) = self.login.take_if(|request| request.deadline <= now) {
            events.push_back(ConnectionEvent::Expired { correlation_id: late.correlation_id });
        }
        self.queued.retain(|request| {
            let late = request.deadline <= now;
            if late {
                events
                    .push_back(ConnectionEvent::Expired { correlation_id: request.correlation_id });
            }
            !late
        });
        if let Some(late) = self.in_flight.iter().find(|request| request.deadline <= now) {
            self.end(CloseReason::TimedOut { correlation_id: late.correlation_id });
        } else if self.end_at.is_some_and(|at| at <= now) {
            self.end(CloseReason::Asked);
        } else if self.is_idle(now) {
            self.end(CloseReason::Idle);
        }
        self.finish_draining();
    }

    /// The next bytes to write, all of one request. Report by [`Connection::handle_written`] how
    /// many were accepted.
    pub fn poll_transmit(&mut self) -> Option<Segments> {
        let full = self.in_flight.len() >= self.in_flight_limit();
        if self.state == State::Closed || full || self.held.is_some() {
            return None;
        }
        let login = self.login.take();
        let is_login = login.is_some();
        let next = match self.pause {
            Pause::No => login.or_else(|| self.queued.pop_front()),
            Pause::Wanted | Pause::Paused => login,
        };
        let Outgoing { correlation_id, bytes, deadline, answered } = next?;
        self.handed =
            self.handed.saturating_add(u64::try_from(bytes.remaining()).unwrap_or(u64::MAX));
        let end = self.handed;
        let request = InFlight { correlation_id, deadline, answered, login: is_login, end };
        self.in_flight.push_back(request);
        Some(bytes)
    }

    /// When to call [`Connection::handle_timeout`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let queued = self.queued.iter().chain(&self.login).map(|request| request.deadline);
        let in_flight = self.in_flight.iter().map(|request| request.deadline);
        let held = self.held.filter(|_| !self.queued.is_empty() || self.login.is_some());
        queued.chain(in_flight).chain(held).chain(self.idle_at()).chain(self.end_at).min()
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        self.events.pop_front()
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn in_flight_limit(&self) -> usize {
        if self.state == State::Handshaking { 1 } else { self.options.max_in_flight }
    }

    /// Lets requests out again once the broker's time is over.
    fn release(&mut self, now: Instant) {
        self.held = self.held.filter(|until| *until > now);
    }

    fn idle_at(&self) -> Option<Instant> {
        self.options
            .max_idle
            .filter(|_| self.is_quiet())
            .and_then(|idle| self.used.checked_add(idle))
    }

    fn take_frame(&mut self, now: Instant, frame: Bytes) {
        let correlation_id = match correlation_id(&frame) {
            Ok(id) => id,
            Err(error) => return self.end(CloseReason::Decode(error)),
        };
        let awaited = self.in_flight.iter().position(|request| request.answered);
        let oldest =
            awaited.and_then(|index| self.in_flight.get(index).map(|request| (index, request)));
        match oldest {
            // No broker can have read a request that is not written to its end.
            Some((index, request))
                if request.correlation_id == correlation_id && request.end <= self.written =>
            {
                if !request.login {
                    self.used = now;
                }
                self.in_flight.remove(index);
                self.answered = true;
                self.events.push_back(ConnectionEvent::Response { correlation_id, frame });
                self.finish_pausing();
                self.finish_draining();
            }
            other => {
                let awaited = other.map(|(_, request)| request.correlation_id);
                self.end(CloseReason::StrayResponse { correlation_id, awaited });
            }
        }
    }

    /// A first frame of an impossible size is what another protocol looks like.
    fn reason_of(&self, error: DecodeError) -> CloseReason {
        let first = match error.what {
            DecodeErrorKind::FrameTooLarge { length, .. } => u32::try_from(length).ok(),
            DecodeErrorKind::NegativeLength { length } => Some(length.cast_unsigned()),
            _ => None,
        };
        match first.map(u32::to_be_bytes) {
            Some(head) if !self.answered && HTTP.contains(&&head) => CloseReason::Http,
            Some([0x15 | 0x16, 3, 0..=4, _]) if !self.answered => CloseReason::Tls,
            _ => CloseReason::Decode(error),
        }
    }

    fn finish_pausing(&mut self) {
        let open = self.state != State::Closed;
        if open && self.pause == Pause::Wanted && self.in_flight.is_empty() {
            self.pause = Pause::Paused;
            self.events.push_back(ConnectionEvent::Paused);
        }
    }

    fn finish_draining(&mut self) {
        if self.state == State::Draining && self.is_quiet() {
            self.end(CloseReason::Asked);
        }
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let mut closure = Closure { reason, sent: Vec::new(), unsent: Vec::new() };
        for request in self.in_flight.drain(..) {
            let sent = request.end <= self.written;
            let list = if sent { &mut closure.sent } else { &mut closure.unsent };
            list.push(request.correlation_id);
        }
        let waiting = self.login.take().into_iter().chain(self.queued.drain(..));
        closure.unsent.extend(waiting.map(|request| request.correlation_id));
        self.events.push_back(ConnectionEvent::Closed(closure));
    }
}

impl Default for ConnectionOptions {
    /// 100 MiB a frame, 1 MiB before the handshake, five requests in flight, nine minutes idle.
    fn default() -> Self {
        Self {
            max_frame: 100 << 20,
            max_handshake_frame: 1 << 20,
            max_in_flight: 5,
            max_idle: Some(Duration::from_secs(540)),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("the connection was closed by this side"),
            Self::Decode(error) => write!(f, "the broker sent bytes that cannot be read: {error}"),
            Self::Ended => f.write_str("the broker closed the connection"),
            Self::Failed => f.write_str("the connection failed"),
            Self::Http => f.write_str("the port answers HTTP, not Kafka"),
            Self::Idle => f.write_str("the connection was idle and closed by this side"),
            Self::Login => {
                f.write_str("logging in anew failed, so this side closed the connection")
            }
            Self::StrayResponse { correlation_id, awaited: Some(awaited) } => {
                write!(f, "an answer to request {correlation_id} came where {awaited} was due")
            }
            Self::StrayResponse { correlation_id, awaited: None } => {
                write!(f, "an answer to request {correlation_id} came, and none was due")
            }
            Self::TimedOut { .. } => f.write_str("the broker did not answer in time"),
            Self::Tls => f.write_str("the port answers TLS, not plain Kafka"),
        }
    }
}

impl Error for CloseReason {}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection takes no request {} any more", self.0.correlation_id)
    }
}

impl Error for NotTaken {}

/// How answers of web servers begin, those without a status line included.
const HTTP: &[&[u8; 4]] = &[b"HTTP", b"<!DO", b"<!do", b"<htm", b"<HTM"];

#[cfg(test)]
mod tests;
