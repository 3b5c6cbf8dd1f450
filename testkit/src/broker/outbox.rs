//! Where answers wait to be sent: in go typed responses with the request they belong to, out come
//! encoded frames. Handlers that answer later (long polls, joins) keep the [`Origin`] and come
//! back to it.

use std::collections::VecDeque;
use std::time::Instant;

use klamm_protocol::api::{ApiKey, Message};
use klamm_protocol::error::EncodeError;
use klamm_protocol::header::response_header_version;
use klamm_protocol::wire::{Segments, Writer};

/// Names a client's connection to one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Which request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) conn: ConnId,
    pub(crate) node: i32,
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
}

/// Everything a handler may know of a request besides its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: i64,
    pub(crate) origin: Origin,
    pub(crate) client_id: &'a str,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// These bytes, length included.
    Frame(Segments),
    /// No answer was asked for (`acks=0`).
    Silence,
    /// The connection has to end.
    Close,
}

/// Answers that wait to be sent, in the order they were given.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    answers: VecDeque<(Origin, Answer)>,
}

impl Outbox {
    /// Answers a request. A response that its version cannot carry ends the connection.
    pub(crate) fn send(&mut self, origin: &Origin, response: &impl Message) {
        let answer = match frame(origin, response) {
            Ok(frame) => Answer::Frame(frame),
            Err(error) => {
                tracing::error!(%error, api = %origin.key, "a response cannot be encoded");
                Answer::Close
            }
        };
        self.push(origin, answer);
    }

    /// Ends a request in another way than by a response.
    pub(crate) fn push(&mut self, origin: &Origin, answer: Answer) {
        self.answers.push_back((*origin, answer));
    }

    pub(crate) fn pop(&mut self) -> Option<(Origin, Answer)> {
        self.answers.pop_front()
    }
}

/// A response with its header and length. The protocol crate's own function takes the plain
/// response types only, and a fetch is answered with another (see `fetch::answer`).
fn frame(origin: &Origin, response: &impl Message) -> Result<Segments, EncodeError> {
    let mut w = Writer::framed();
    w.put_i32(origin.correlation_id);
    if response_header_version(origin.key, origin.version) >= 1 {
        w.put_unsigned_varint(0);
    }
    response.encode(&mut w, origin.version)?;
    w.finish()
}
