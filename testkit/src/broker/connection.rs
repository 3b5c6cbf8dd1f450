//! One client's connection to one node: requests are served one at a time and in order, as
//! Kafka's brokers do, so that a parked fetch holds back what comes after it.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use klamm_protocol::wire::Segments;

use crate::control::Fault;

/// What the cluster knows of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) node: i32,
    /// Requests that have not been looked at.
    pub(crate) backlog: VecDeque<Bytes>,
    /// A request is being served; what shall happen to its answer.
    pub(crate) busy: Option<Fault>,
}

impl Connection {
    pub(crate) fn new(node: i32) -> Self {
        Self { node, backlog: VecDeque::new(), busy: None }
    }

    /// The next request, if none is being served.
    pub(crate) fn next_frame(&mut self) -> Option<Bytes> {
        if self.busy.is_some() {
            return None;
        }
        self.backlog.pop_front()
    }
}

/// The first `limit` bytes of a frame.
pub(crate) fn cut(mut frame: Segments, limit: usize) -> Segments {
    let mut head = Segments::new();
    let mut left = limit.min(frame.len());
    while left > 0 {
        let part = frame.chunk().len().min(left);
        head.push(frame.copy_to_bytes(part));
        left -= part;
    }
    head
}

/// A frame made of a correlation id and arbitrary bytes.
pub(crate) fn raw_frame(correlation_id: i32, body: &Bytes) -> Segments {
    let length = i32::try_from(body.len() + 4).unwrap_or(i32::MAX);
    let mut frame = Segments::new();
    let head = [length.to_be_bytes(), correlation_id.to_be_bytes()].concat();
    frame.push(head.into());
    frame.push(body.clone());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_frame_is_a_prefix_across_pieces() {
        let mut frame = Segments::new();
        frame.push(Bytes::from_static(b"abc"));
        frame.push(Bytes::from_static(b"defg"));
        assert_eq!(cut(frame.clone(), 5).into_bytes(), "abcde");
        assert_eq!(cut(frame.clone(), 0).into_bytes(), "");
        assert_eq!(cut(frame, 100).into_bytes(), "abcdefg");
    }
}
