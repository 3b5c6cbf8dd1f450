//! The cluster and every connection to it. In: requests and the time; out: answers, or how each was
//! lost. Wires the connection and the handshake machine to a [`Link`], as the client's driver wires
//! them to a socket.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use fastrand::Rng;
use klamm_protocol::api::Request;
use klamm_protocol::frame::FrameReader;
use klamm_protocol::header::encode_request;
use klamm_protocol::session::connection::{
    Connection, ConnectionEvent, ConnectionOptions, Outgoing,
};
use klamm_protocol::session::handshake::{Handshake, HandshakeEvent, Versions};

use crate::broker::{Cluster, ConnId};
use crate::link::{Arrival, Direction, Link, LinkOptions};

use super::checks::{Rule, Violation};

/// The cluster with its connections.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) cluster: Cluster,
    options: ConnectionOptions,
    link: LinkOptions,
    wires: BTreeMap<WireId, Wire>,
    rng: Rng,
    /// New connections may be cut at a byte chosen beforehand.
    hostile: bool,
    next: u64,
}

/// Names a connection as the clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WireId(u64);

/// Names a request: connection and correlation id.
pub(super) type CallId = (WireId, i32);

/// What became of a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) call: CallId,
    pub(super) outcome: Result<Bytes, Lost>,
}

/// No answer will come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// Whether the broker may have got the request.
    pub(super) sent: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Opening,
    Ready,
    Closed,
}

impl Network {
    pub(super) fn new(
        cluster: Cluster,
        options: ConnectionOptions,
        link: LinkOptions,
        rng: Rng,
    ) -> Self {
        let wires = BTreeMap::new();
        Self { cluster, options, link, wires, rng, hostile: true, next: 0 }
    }

    /// Opens a connection to a node.
    pub(super) fn dial(&mut self, now: Instant, node: i32) -> WireId {
        let id = WireId(self.next);
        self.next += 1;
        let mut link = Link::new(&mut self.rng, &self.link);
        if self.hostile && self.rng.u8(..8) == 0 {
            let direction = if self.rng.bool() { Direction::Up } else { Direction::Down };
            link.cut_after(direction, self.rng.u64(..6_000));
        }
        let conn = self.cluster.connect(node);
        let mut wire = Wire::new(now, conn, self.options.clone(), link);
        // A dead node refuses, and nothing else can have closed meanwhile.
        wire.broker_closes = self.cluster.poll_close() == Some(conn);
        self.wires.insert(id, wire);
        id
    }

    pub(super) fn stage(&self, id: WireId) -> Stage {
        self.wires.get(&id).map_or(Stage::Closed, |wire| match (&wire.versions, wire.is_closed) {
            (_, true) => Stage::Closed,
            (Some(_), _) => Stage::Ready,
            (None, _) => Stage::Opening,
        })
    }

    /// The highest version of an API on this connection.
    pub(super) fn version<R: Request>(&self, id: WireId) -> Result<i16, Violation> {
        let versions = self.wires.get(&id).and_then(|wire| wire.versions.as_ref());
        let picked = versions.map(Versions::pick::<R>);
        picked
            .and_then(Result::ok)
            .ok_or_else(|| Violation::new(Rule::FramesWhole, format!("{} unsupported", R::KEY)))
    }

    /// The level of a feature that the broker of this connection told, 0 for none.
    pub(super) fn feature(&self, id: WireId, name: &str) -> i16 {
        let versions = self.wires.get(&id).and_then(|wire| wire.versions.as_ref());
        versions.and_then(|versions| versions.feature(name)).unwrap_or(0)
    }

    /// Sends a request. `None`: the connection takes no more.
    pub(super) fn request<R: Request>(
        &mut self,
        now: Instant,
        id: WireId,
        (request, version): (&R, i16),
    ) -> Result<Option<CallId>, Violation> {
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(None) };
        Ok(wire.request(now, request, version)?.map(|correlation_id| (id, correlation_id)))
    }

    /// What became of requests on this connection.
    pub(super) fn answers(&mut self, id: WireId) -> Vec<Answer> {
        let Some(wire) = self.wires.get_mut(&id) else { return Vec::new() };
        let inbox = wire.inbox.drain(..);
        inbox
            .map(|(correlation_id, outcome)| Answer { call: (id, correlation_id), outcome })
            .collect()
    }

    /// Moves everything that is due.
    pub(super) fn advance(&mut self, now: Instant) -> Result<(), Violation> {
        if self.cluster.poll_timeout().is_some_and(|due| due <= now) {
            self.cluster.handle_timeout(now);
        }
        self.collect();
        let ids: Vec<WireId> = self.wires.keys().copied().collect();
        for id in ids {
            let Some(wire) = self.wires.get_mut(&id) else { continue };
            wire.send(now)?;
            let conn = wire.conn;
            while let Some(arrival) = self.wires.get_mut(&id).and_then(|wire| wire.at_broker(now)) {
                match arrival? {
                    Some(frame) => self.cluster.handle_frame(now, conn, frame),
                    None => self.cluster.disconnect(conn),
                }
                self.collect();
            }
        }
        for wire in self.wires.values_mut() {
            wire.receive(now)?;
            wire.send(now)?;
        }
        self.wires.retain(|_, wire| !wire.is_over());
        Ok(())
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let wires = self.wires.values().filter_map(Wire::poll_timeout);
        wires.chain(self.cluster.poll_timeout()).min()
    }

    /// Cuts some open connection, now or after some more bytes.
    pub(super) fn cut_one(&mut self, now: Instant, rng: &mut Rng) -> Option<WireId> {
        let open: Vec<WireId> =
            self.wires.iter().filter(|(_, wire)| !wire.is_closed).map(|(id, _)| *id).collect();
        let id = rng.choice(open)?;
        let link = &mut self.wires.get_mut(&id)?.link;
        match rng.u8(..3) {
            0 => link.cut(now),
            1 => link.cut_after(Direction::Up, rng.u64(..1_000)),
            _ => link.cut_after(Direction::Down, rng.u64(..1_000)),
        }
        Some(id)
    }

    /// No connection is cut any more.
    pub(super) fn calm(&mut self) {
        self.hostile = false;
        self.wires.values_mut().for_each(|wire| wire.link.spare());
    }

    /// Hands what the cluster sends and closes to the connections.
    pub(super) fn collect(&mut self) {
        while let Some((conn, frame)) = self.cluster.poll_transmit() {
            if let Some(wire) = self.wires.values_mut().find(|wire| wire.conn == conn) {
                for part in frame {
                    wire.to_client.extend_from_slice(&part);
                }
            }
        }
        while let Some(conn) = self.cluster.poll_close() {
            if let Some(wire) = self.wires.values_mut().find(|wire| wire.conn == conn) {
                wire.broker_closes = true;
            }
        }
    }
}

/// One connection, both ends of it.
#[derive(Debug)]
struct Wire {
    conn: ConnId,
    link: Link,
    machine: Connection,
    handshake: Handshake,
    greeting: Option<i32>,
    versions: Option<Versions>,
    to_broker: BytesMut,
    at_broker: FrameReader,
    to_client: BytesMut,
    broker_closes: bool,
    /// The broker has seen the end of the client's stream.
    broker_saw_end: bool,
    is_closed: bool,
    next: i32,
    inbox: VecDeque<(i32, Result<Bytes, Lost>)>,
}

impl Wire {
    fn new(now: Instant, conn: ConnId, options: ConnectionOptions, link: Link) -> Self {
        Self {
            conn,
            link,
            machine: Connection::new(now, options),
            handshake: Handshake::new(),
            greeting: None,
            versions: None,
            to_broker: BytesMut::new(),
            at_broker: FrameReader::new(1 << 20),
            to_client: BytesMut::new(),
            broker_closes: false,
            broker_saw_end: false,
            is_closed: false,
            next: 0,
            inbox: VecDeque::new(),
        }
    }

    fn request<R: Request>(
        &mut self,
        now: Instant,
        request: &R,
        version: i16,
    ) -> Result<Option<i32>, Violation> {
        let correlation_id = self.next;
        self.next += 1;
        let bytes = encode_request(request, version, correlation_id, Some("sim"))
            .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
        let deadline = now + REQUEST_TIMEOUT;
        let outgoing = Outgoing { correlation_id, bytes, deadline, answered: true };
        Ok(self.machine.handle_request(now, outgoing).is_ok().then_some(correlation_id))
    }

    /// The client's end writes what it has.
    fn send(&mut self, now: Instant) -> Result<(), Violation> {
        if let Some((request, version)) = self.handshake.poll_transmit() {
            self.greeting = self.request(now, &request, version)?;
        }
        while let Some(bytes) = self.machine.poll_transmit() {
            for part in bytes {
                self.to_broker.extend_from_slice(&part);
            }
        }
        if !self.to_broker.is_empty() && !self.is_closed {
            let count = self.link.write(now, Direction::Up, &self.to_broker);
            self.to_broker.advance(count);
            self.machine.handle_written(count);
        }
        Ok(())
    }

    /// The next frame at the broker's end, or the end of the stream as `None`.
    fn at_broker(&mut self, now: Instant) -> Option<Result<Option<Bytes>, Violation>> {
        loop {
            match self.at_broker.next() {
                Ok(Some(frame)) => return Some(Ok(Some(frame.0))),
                Ok(None) => {}
                Err(error) => return Some(Err(Violation::new(Rule::FramesWhole, error))),
            }
            match self.link.poll(now, Direction::Up)? {
                Arrival::Bytes(bytes) => self.at_broker.push(bytes),
                Arrival::End => {
                    self.broker_saw_end = true;
                    // A broker that hears the end hangs up too.
                    self.link.close(now, Direction::Down);
                    return Some(Ok(None));
                }
            }
        }
    }

    /// The broker's end writes, the client's end reads, and what is due is told to the machine.
    fn receive(&mut self, now: Instant) -> Result<(), Violation> {
        let count = self.link.write(now, Direction::Down, &self.to_client);
        self.to_client.advance(count);
        if self.broker_closes && self.to_client.is_empty() {
            self.link.close(now, Direction::Down);
        }
        while let Some(arrival) = self.link.poll(now, Direction::Down) {
            match arrival {
                Arrival::Bytes(bytes) => self.machine.handle_bytes(now, &bytes),
                Arrival::End => self.machine.handle_end(),
            }
        }
        if self.machine.poll_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now);
        }
        if let Some(due) = self.machine.poll_timeout().filter(|due| *due <= now) {
            let late = now.saturating_duration_since(due);
            return Err(Violation::new(Rule::NoBusyLoop, format!("a connection, {late:?} ago")));
        }
        self.drain(now)
    }

    fn drain(&mut self, now: Instant) -> Result<(), Violation> {
        while let Some(event) = self.machine.poll_event() {
            match event {
                ConnectionEvent::Response { correlation_id, frame }
                    if self.greeting == Some(correlation_id) =>
                {
                    self.handshake.handle_response(frame);
                }
                ConnectionEvent::Response { correlation_id, frame } => {
                    self.inbox.push_back((correlation_id, Ok(frame)));
                }
                // Nobody logs in here.
                ConnectionEvent::Written { .. } | ConnectionEvent::Paused => {}
                ConnectionEvent::Expired { correlation_id } => {
                    self.inbox.push_back((correlation_id, Err(Lost { sent: false })));
                }
                ConnectionEvent::Closed(closure) => {
                    let sent = closure.sent.into_iter().map(|id| (id, true));
                    let unsent = closure.unsent.into_iter().map(|id| (id, false));
                    let lost = sent.chain(unsent).map(|(id, sent)| (id, Err(Lost { sent })));
                    self.inbox.extend(lost);
                    self.inbox.retain(|(id, _)| Some(*id) != self.greeting);
                    self.is_closed = true;
                    self.link.close(now, Direction::Up);
                }
            }
        }
        match self.handshake.poll_event() {
            Some(HandshakeEvent::Ready(versions)) => {
                self.versions = Some(versions);
                self.machine.handle_ready();
            }
            Some(HandshakeEvent::Failed(_)) => self.machine.close(now),
            None => return Ok(()),
        }
        self.drain(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.link.poll_timeout(), self.machine.poll_timeout()].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        self.is_closed && self.broker_saw_end && self.inbox.is_empty()
    }
}

/// After how long a request is given up.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
