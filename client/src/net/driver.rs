//! The only loop that owns a byte stream. In: requests from any number of handles; out: their
//! answers, or how each was lost.
//!
//! ```text
//!  Handle --Command--> [ Connection machine ] --bytes, vectored--> stream
//!  Handle <--Answer--- [   frames, ids      ] <--bytes------------ stream
//! ```
//!
//! A caller that goes away leaves a whole request on the wire or none: the loop writes on, and the
//! answer finds nobody. A connection that has been idle for too long first stops taking requests,
//! and ends only if none had slipped in: no request is lost to it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use klamm_protocol::session::connection::{
    CloseReason, Connection, ConnectionEvent, ConnectionOptions, Outgoing,
};
use klamm_protocol::wire::Segments;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::net::dial::Stream;
use crate::net::line::{FAREWELL, Line, Loss, Opened, Stop, Ticket};

/// Starts the loop on a stream that is open and silent, as a task of the current runtime. The second
/// sender is for logins anew, which go before other requests; it may be dropped. The connection ends when the sender and all its clones are gone and the last request is answered,
/// when it is stopped, or when the stream ends.
pub(crate) fn start(
    stream: impl Stream,
    options: ConnectionOptions,
    line: Arc<Line>,
) -> (mpsc::Sender<Command>, mpsc::Sender<Command>, Stop) {
    let (sender, commands) = mpsc::channel(QUEUE);
    let (login, logins) = mpsc::channel(1);
    let (bound, stop) = oneshot::channel();
    let now = Instant::now();
    let driver = Driver {
        stream,
        commands,
        logins: Some(logins),
        pausing: None,
        stop: Some(stop),
        held: line.held_until(),
        line,
        opened: None,
        connection: Connection::new(now.into_std(), options),
        waiting: HashMap::new(),
        outgoing: Segments::new(),
        flushed: true,
        asked_to_close: false,
        failure: None,
        closed: CloseReason::Asked,
        alarm: Box::pin(sleep_until(now)),
    };
    (sender, login, Stop { bound, task: tokio::spawn(driver.run()) })
}

/// What handles ask of the loop.
#[derive(Debug)]
pub(crate) enum Command {
    /// Write a request and answer when its response is there, or when it is written if it has none.
    Request(Outgoing, Ticket),
    /// The handshake is over, and the login.
    Ready(Opened),
    /// Hold other requests back, and tell when none is in flight. Of a login, as are those below.
    Pause(oneshot::Sender<()>),
    /// Let them out again.
    Resume,
    /// The broker did not take the login: nothing can be asked any more.
    GiveUp,
}

/// The loop's own state, which no lock guards: only its task touches it.
struct Driver<S> {
    stream: S,
    commands: mpsc::Receiver<Command>,
    /// Logins anew; `None` once there will be none.
    logins: Option<mpsc::Receiver<Command>>,
    /// Whoever waits for the last answers before a login.
    pausing: Option<oneshot::Sender<()>>,
    /// Brings the instant by which to end; `None` once it came, or nobody is left to send it.
    stop: Option<oneshot::Receiver<Instant>>,
    line: Arc<Line>,
    /// Until when the machine was told to hold requests back.
    held: Instant,
    /// Counts as open, from the handshake on.
    opened: Option<Opened>,
    connection: Connection,
    /// Who awaits the answer to which request. As bounded as the machine's own lists.
    waiting: HashMap<i32, Ticket>,
    /// Bytes handed out by the machine that the stream has not taken yet.
    outgoing: Segments,
    /// Whether the stream has been told to pass on all that it has taken.
    flushed: bool,
    /// All handles are gone; the channel is not looked at again.
    asked_to_close: bool,
    /// The stream's own error, for those whose requests it cost.
    failure: Option<Arc<io::Error>>,
    /// Why the connection ended, for those whose requests never reached the machine.
    closed: CloseReason,
    /// Rings when the machine wants to be called, or a little too early.
    alarm: Pin<Box<Sleep>>,
}

/// One thing that happened.
enum Step {
    /// A handle asks for something; `None` once nobody can any more.
    Command(Option<Command>),
    /// A login asks for something; `None` once there will be none.
    Login(Option<Command>),
    /// The client wants it to end by then.
    Stop(Instant),
    /// The stream took so many bytes.
    Wrote(usize),
    /// So many bytes came; none means that the peer has ended the stream.
    Read(usize),
    /// Everything taken is on its way.
    Flushed,
    /// The alarm rang.
    Woken,
    /// Reading, writing or flushing failed.
    Failed(io::Error),
}

impl<S: Stream> Driver<S> {
    /// One step after another, until the connection has ended and everybody knows how.
    async fn run(mut self) {
        while !self.connection.is_closed() {
            let step = poll_fn(|cx| self.poll_step(cx)).await;
            let now = Instant::now().into_std();
            self.take(step, now);
            self.look_at_clock(now);
            self.deliver();
        }
        self.refuse_rest();
        // The other side is told at once that nothing more comes; whatever comes of that.
        let _ = timeout(FAREWELL, self.stream.shutdown()).await;
        self.refuse_rest();
    }

    /// The first of: the wish to end, a login, a new request if there is room, progress in writing, bytes,
    /// the alarm. In this order nothing starves: room and output are bounded, and what is due is
    /// looked at after each step.
    ///
    /// While nothing is under way, bytes come first: a broker that has ended an idle connection is
    /// to be noticed before a request is lost to it.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(Poll::Ready(bound)) = self.stop.as_mut().map(|stop| Pin::new(stop).poll(cx)) {
            self.stop = None;
            if let Ok(bound) = bound {
                return Poll::Ready(Step::Stop(bound));
            }
        }
        if let Some(Poll::Ready(command)) = self.logins.as_mut().map(|login| login.poll_recv(cx)) {
            return Poll::Ready(Step::Login(command));
        }
        if self.connection.is_quiet()
            && let Poll::Ready(step) = self.poll_read(cx)
        {
            return Poll::Ready(step);
        }
        if self.connection.capacity() > 0
            && !self.asked_to_close
            && let Poll::Ready(command) = self.commands.poll_recv(cx)
        {
            return Poll::Ready(Step::Command(command));
        }
        if let Poll::Ready(step) = self.poll_write(cx) {
            return Poll::Ready(step);
        }
        if let Poll::Ready(step) = self.poll_read(cx) {
            return Poll::Ready(step);
        }
        self.poll_alarm(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let read = pin!(self.stream.read_buf(self.connection.receive_buffer()));
        read.poll(cx).map(|result| result.map_or_else(Step::Failed, Step::Read))
    }

    /// Hands the stream what the machine wants written, many pieces in one call. Whatever is written
    /// is passed on at once, since a stream may keep bytes back (TLS does).
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let held = self.line.held_until();
        if held > self.held {
            self.held = held;
            self.connection.hold_until(held.into_std());
        }
        while self.outgoing.remaining() < GATHER {
            match self.connection.poll_transmit() {
                Some(request) => request.into_iter().for_each(|part| self.outgoing.push(part)),
                None => break,
            }
        }
        let stream = Pin::new(&mut self.stream);
        if self.outgoing.is_empty() {
            return match ready!(if self.flushed { Poll::Pending } else { stream.poll_flush(cx) }) {
                Ok(()) => Poll::Ready(Step::Flushed),
                Err(error) => Poll::Ready(Step::Failed(error)),
            };
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = self.outgoing.chunks_vectored(&mut slices);
        match ready!(stream.poll_write_vectored(cx, &slices[..filled])) {
            Ok(0) => Poll::Ready(Step::Failed(io::ErrorKind::WriteZero.into())),
            Ok(count) => Poll::Ready(Step::Wrote(count)),
            Err(error) => Poll::Ready(Step::Failed(error)),
        }
    }

    /// The alarm is moved only forward to an earlier instant: one that rings too early costs less
    /// than a reset per request.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(due) = self.connection.poll_timeout().map(Instant::from_std) else {
            return Poll::Pending;
        };
        if due < self.alarm.deadline() || self.alarm.is_elapsed() {
            self.alarm.as_mut().reset(due);
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Step::Woken)
    }

    /// Tells the machine what happened.
    fn take(&mut self, step: Step, now: std::time::Instant) {
        match step {
            Step::Command(Some(command)) => self.take_command(command, now),
            Step::Command(None) => {
                self.asked_to_close = true;
                // An idle one ends for that reason, by the look at the clock.
                if !self.connection.is_idle(now) {
                    self.connection.close(now);
                }
            }
            Step::Login(Some(command)) => self.take_login(command),
            // One that was broken off must not hold up the others.
            Step::Login(None) => {
                self.logins = None;
                self.connection.resume();
            }
            // Requests that have been handed over are still carried out.
            Step::Stop(bound) => {
                self.commands.close();
                self.connection.end_by(bound.into_std());
            }
            Step::Wrote(count) => {
                self.outgoing.advance(count);
                self.flushed = false;
                self.connection.handle_written(count);
            }
            Step::Read(0) => self.connection.handle_end(),
            Step::Read(_) => self.connection.handle_received(now),
            Step::Flushed => self.flushed = true,
            Step::Woken => {}
            Step::Failed(error) => {
                self.failure = Some(Arc::new(error));
                self.connection.handle_failure();
            }
        }
    }

    /// What is due happens. An idle connection goes in two steps: what was handed over before the
    /// channel closed is still carried out, and takes its idleness away.
    fn look_at_clock(&mut self, now: std::time::Instant) {
        if self.connection.is_idle(now) && !self.asked_to_close {
            self.commands.close();
        } else if self.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.connection.handle_timeout(now);
        }
    }

    fn take_command(&mut self, command: Command, now: std::time::Instant) {
        match command {
            Command::Ready(opened) => {
                self.opened = Some(opened);
                self.connection.handle_ready();
            }
            // Whoever asked has gone already; nothing need be sent.
            Command::Request(_, ticket) if ticket.is_deserted() => {}
            Command::Request(request, ticket) => {
                let id = request.correlation_id;
                match self.connection.handle_request(now, request) {
                    Ok(()) => drop(self.waiting.insert(id, ticket)),
                    Err(_) => ticket.lose(self.loss(CloseReason::Asked, false)),
                }
            }
            // Only logins say these.
            Command::Pause(_) | Command::Resume | Command::GiveUp => {}
        }
    }

    fn take_login(&mut self, command: Command) {
        match command {
            Command::Pause(waiting) => {
                self.pausing = Some(waiting);
                self.connection.pause();
            }
            Command::Request(request, ticket) => {
                let id = request.correlation_id;
                match self.connection.handle_login(request) {
                    Ok(()) => drop(self.waiting.insert(id, ticket)),
                    Err(_) => ticket.lose(self.loss(CloseReason::Asked, false)),
                }
            }
            Command::Resume => self.connection.resume(),
            Command::GiveUp => self.connection.handle_login_failure(),
            // The handshake's.
            Command::Ready(_) => {}
        }
    }

    /// Passes the machine's events to those who wait for them.
    fn deliver(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                ConnectionEvent::Response { correlation_id, frame } => {
                    self.answer(correlation_id, frame);
                }
                ConnectionEvent::Written { correlation_id } => {
                    self.answer(correlation_id, Bytes::new());
                }
                ConnectionEvent::Expired { correlation_id } => {
                    let loss = Loss { reason: None, sent: false, failure: None };
                    self.lose(correlation_id, loss);
                }
                ConnectionEvent::Paused => {
                    // A login that has gone away lets go of the connection, too.
                    let told = self.pausing.take().is_some_and(|waiting| waiting.send(()).is_ok());
                    if !told {
                        self.connection.resume();
                    }
                }
                ConnectionEvent::Closed(closure) => {
                    tracing::debug!(reason = %closure.reason, "connection closed");
                    self.line.ended(closure.reason);
                    // Counted before anybody hears of it.
                    self.opened = None;
                    let (sent, unsent) = (closure.sent.into_iter(), closure.unsent.into_iter());
                    for (id, sent) in sent.map(|id| (id, true)).chain(unsent.map(|id| (id, false)))
                    {
                        let loss = self.loss(closure.reason, sent);
                        self.lose(id, loss);
                    }
                    self.closed = closure.reason;
                }
            }
        }
    }

    fn answer(&mut self, id: i32, frame: Bytes) {
        if let Some(ticket) = self.waiting.remove(&id) {
            ticket.answer(frame);
        }
    }

    fn lose(&mut self, id: i32, loss: Loss) {
        if let Some(ticket) = self.waiting.remove(&id) {
            ticket.lose(loss);
        }
    }

    /// How a request was lost, with what is known of the stream.
    fn loss(&self, reason: CloseReason, sent: bool) -> Loss {
        Loss { reason: Some(reason), sent, failure: self.failure.clone() }
    }

    /// Requests that waited in the channel when the connection ended: none of their bytes went out.
    fn refuse_rest(&mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Request(_, ticket) = command {
                ticket.lose(self.loss(self.closed, false));
            }
        }
    }
}

/// Requests that wait for the loop. Those behind them wait in their callers.
const QUEUE: usize = 16;

/// Bytes gathered for one write; more would only hold memory, as a socket takes less.
const GATHER: usize = 1 << 20;

/// Pieces handed to one vectored write.
const SLICES: usize = 64;
