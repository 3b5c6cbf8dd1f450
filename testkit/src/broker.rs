//! A whole Kafka cluster as a pure machine: no clock, no sockets, no threads. In go frames with
//! the time they came at, out come frames, closed connections, and when to be called again.
//!
//! ```text
//!   connect, handle_frame, handle_timeout, disconnect  ──>  Cluster  ──>  poll_transmit
//!   admin verbs: create_topic, move_leader, kill, ..                      poll_close
//!                                                                         poll_timeout
//! ```
//!
//! After any call that goes in, drain `poll_transmit`, then `poll_close`, then ask
//! `poll_timeout`. Time must not run backwards. Equal calls give equal bytes: ids come from the
//! seed, timestamps from the wall clock that the configuration names.
//!
//! Several brokers live in it, each with its own connections; [`crate::door`] puts a TCP listener
//! in front of each. Frames are without their length on the way in, with it on the way out.
//!
//! ```
//! use std::time::Instant;
//! use klamm_protocol::header::{decode_response, encode_request};
//! use klamm_protocol::messages::metadata::MetadataRequest;
//! use klamm_testkit::broker::{Cluster, ClusterConfig};
//!
//! let mut cluster = Cluster::new(ClusterConfig { brokers: 3, ..ClusterConfig::default() });
//! let conn = cluster.connect(1);
//! let request = MetadataRequest::default();
//! let frame = encode_request(&request, 12, 7, Some("me"))?.into_bytes().split_off(4);
//! cluster.handle_frame(Instant::now(), conn, frame);
//! let (to, answer) = cluster.poll_transmit().ok_or("no answer")?;
//! assert_eq!(to, conn);
//! let answer = decode_response::<MetadataRequest>(answer.into_bytes().split_off(4), 12)?;
//! assert_eq!(answer.brokers.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
mod config;
mod configs;
mod connection;
mod dispatch;
mod epochs;
mod fetch;
mod group;
mod login;
mod metadata;
mod offsets;
mod outbox;
mod pattern;
mod produce;
mod producers;
mod records;
mod topic_config;
mod topics;
mod topology;
mod transaction;
mod verbs;
mod versions;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use klamm_protocol::header::{RequestHeader, decode_request_header};
use klamm_protocol::wire::Segments;

pub use config::ClusterConfig;
pub use login::{BearerCheck, LoginRules};
pub use outbox::ConnId;
pub use transaction::TransactionView;

use crate::control::{Control, Fault, Intercept, Observed, RuleId};
use connection::{Connection, cut, raw_frame};
use dispatch::{Incoming, Machine};
use outbox::{Answer, Context, Origin};

/// An embedded Kafka cluster.
#[derive(Debug)]
pub struct Cluster {
    machine: Machine,
    control: Control,
    connections: BTreeMap<ConnId, Connection>,
    next_connection: u64,
    transmits: VecDeque<(ConnId, Segments)>,
    closes: VecDeque<ConnId>,
    /// Answers that a rule delays, by when they leave.
    delayed: BTreeMap<(Instant, u64), (ConnId, Answer)>,
    next_delayed: u64,
    /// Connections whose next request may be served.
    ready: VecDeque<ConnId>,
    started: Option<Instant>,
    /// The newest time the cluster was told.
    now: Option<Instant>,
    wall_clock_ms: i64,
}

/// Who leads a partition, and since which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The leader's node id, or -1 if no replica lives.
    pub node: i32,
    /// The leader epoch; every change of leader raises it.
    pub epoch: i32,
}

impl Cluster {
    /// A cluster without topics, all brokers live.
    pub fn new(config: ClusterConfig) -> Self {
        Self {
            wall_clock_ms: config.wall_clock_ms,
            machine: Machine::new(config),
            control: Control::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
            transmits: VecDeque::new(),
            closes: VecDeque::new(),
            delayed: BTreeMap::new(),
            next_delayed: 0,
            ready: VecDeque::new(),
            started: None,
            now: None,
        }
    }

    /// Opens a connection to a node. One to a dead or unknown node is closed at once.
    pub fn connect(&mut self, node: i32) -> ConnId {
        let conn = ConnId(self.next_connection);
        self.next_connection += 1;
        if self.machine.topology.is_live(node) {
            self.connections.insert(conn, Connection::new(node));
        } else {
            self.closes.push_back(conn);
        }
        conn
    }

    /// Takes a request, without its length. It waits if one of this connection is being served.
    pub fn handle_frame(&mut self, now: Instant, conn: ConnId, frame: Bytes) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.backlog.push_back(frame);
            self.ready.push_back(conn);
            self.run(now);
        }
    }

    /// Does what is due. Calling it early or often is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let (conn, answer) = entry.remove();
            self.deliver(conn, answer);
        }
        let wall_ms = self.wall_ms(now);
        self.machine.handle_timeout(now, wall_ms);
        self.run(now);
    }

    /// The client has closed a connection. What it was waiting for is forgotten.
    pub fn disconnect(&mut self, conn: ConnId) {
        if self.connections.remove(&conn).is_some() {
            self.machine.forget_connection(conn);
        }
    }

    /// The next frame to send, length included.
    pub fn poll_transmit(&mut self) -> Option<(ConnId, Segments)> {
        self.transmits.pop_front()
    }

    /// The next connection that the broker closes, after everything polled before was sent. It is
    /// gone already: [`disconnect`](Self::disconnect) need not be called for it.
    pub fn poll_close(&mut self) -> Option<ConnId> {
        self.closes.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` if nothing is
    /// due before the next request.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let delayed = self.delayed.first_key_value().map(|((at, _), _)| *at);
        [delayed, self.machine.poll_timeout()].into_iter().flatten().min()
    }

    /// Requests of a connection that wait for the one being served. Whoever feeds the machine
    /// should stop reading from a connection whose backlog grows.
    pub fn backlog(&self, conn: ConnId) -> usize {
        self.connections.get(&conn).map_or(0, |connection| connection.backlog.len())
    }

    /// Open connections, of all nodes.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Sets what metadata says of a node's address.
    pub fn set_address(&mut self, node: i32, host: &str, port: u16) {
        self.machine.topology.set_address(node, host, port);
    }

    /// Sets a rule for requests to come; see [`crate::control`].
    pub fn intercept(&mut self, intercept: Intercept) -> RuleId {
        self.control.add(intercept)
    }

    /// The rules in force.
    pub fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// Serves what can be served, until every connection waits for its client or for time.
    fn run(&mut self, now: Instant) {
        self.now = Some(now);
        self.settle(now);
        while let Some(conn) = self.ready.pop_front() {
            let next = self.connections.get_mut(&conn).and_then(Connection::next_frame);
            if let Some(frame) = next {
                self.serve(now, conn, frame);
                self.settle(now);
                self.ready.push_back(conn);
            }
        }
    }

    /// Serves one request, as the rules have it.
    fn serve(&mut self, now: Instant, conn: ConnId, frame: Bytes) {
        let Some(node) = self.connections.get(&conn).map(|connection| connection.node) else {
            return;
        };
        let (header, body) = match decode_request_header(frame.clone()) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::debug!(%error, "a request without a header");
                return self.close(conn);
            }
        };
        let fault = self.judge(conn, node, &header, frame);
        let refusal = match &fault {
            Fault::Swallow => return,
            Fault::Cut => return self.close(conn),
            Fault::Answer(body) => {
                let frame = raw_frame(header.correlation_id, body);
                return self.transmits.push_back((conn, frame));
            }
            Fault::Fail(code) => Some(*code),
            _ => None,
        };
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.busy = Some(fault);
        }
        let origin = Origin {
            conn,
            node,
            key: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
        };
        if !self.machine.accepts(&header, &origin, now) {
            return;
        }
        let client_id = header.client_id.as_deref().unwrap_or_default();
        let context = Context { now, wall_ms: self.wall_ms(now), origin, client_id };
        if let Err(error) = self.machine.serve(Incoming { context, body, refusal }) {
            tracing::debug!(%error, api = %header.api_key, "a request cannot be decoded");
            self.close(conn);
        }
    }

    /// What the rules say about a request; without rules nothing is described to them.
    fn judge(&mut self, conn: ConnId, node: i32, header: &RequestHeader, frame: Bytes) -> Fault {
        if self.control.is_idle() {
            return Fault::Observe;
        }
        self.control.judge(&Observed {
            node,
            connection: conn.0,
            api_key: header.api_key,
            api_version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.clone(),
            frame,
        })
    }

    /// Sends answers on their way, as the rules have it.
    fn settle(&mut self, now: Instant) {
        while let Some((origin, answer)) = self.machine.outbox.pop() {
            let conn = origin.conn;
            let Some(connection) = self.connections.get_mut(&conn) else {
                continue;
            };
            match connection.busy.clone() {
                Some(Fault::Delay(by)) => {
                    self.delayed.insert((now + by, self.next_delayed), (conn, answer));
                    self.next_delayed += 1;
                }
                Some(Fault::DropResponse) => self.deliver(conn, Answer::Silence),
                Some(Fault::CutAfter(limit)) => {
                    if let Answer::Frame(frame) = answer {
                        self.transmits.push_back((conn, cut(frame, limit)));
                    }
                    self.close(conn);
                }
                _ => self.deliver(conn, answer),
            }
        }
    }

    /// Sends an answer and lets the connection's next request come.
    fn deliver(&mut self, conn: ConnId, answer: Answer) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        connection.busy = None;
        self.ready.push_back(conn);
        match answer {
            Answer::Frame(frame) => self.transmits.push_back((conn, frame)),
            Answer::Silence => {}
            Answer::Close => self.close(conn),
        }
    }

    fn close(&mut self, conn: ConnId) {
        if self.connections.remove(&conn).is_some() {
            self.machine.forget_connection(conn);
            self.closes.push_back(conn);
        }
    }

    /// Lets those who wait look again after an admin verb. Before the first request nobody waits,
    /// and there is no time yet.
    fn settle_change(&mut self) {
        let wall_ms = self.now.map_or(self.wall_clock_ms, |now| self.wall_ms(now));
        self.machine.changed((self.now, wall_ms));
        if let Some(now) = self.now {
            self.run(now);
        }
    }

    fn wall_ms(&mut self, now: Instant) -> i64 {
        let started = *self.started.get_or_insert(now);
        let passed = now.saturating_duration_since(started).as_millis();
        self.wall_clock_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests;
