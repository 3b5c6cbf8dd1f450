//! The connection machine against a peer made of bytes: order, limits, ends, and random sequences
//! of everything at once.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn options() -> ConnectionOptions {
    ConnectionOptions { max_in_flight: 2, max_idle: Some(60 * SECOND), ..Default::default() }
}

fn open(now: Instant) -> Connection {
    let mut connection = Connection::new(now, options());
    connection.handle_ready();
    connection
}

/// A request of twelve bytes that is due in ten seconds.
fn request(now: Instant, correlation_id: i32) -> Outgoing {
    let mut frame = vec![0, 0, 0, 8, 0, 3, 0, 1];
    frame.extend(correlation_id.to_be_bytes());
    let bytes = Segments::from(Bytes::from(frame));
    Outgoing { correlation_id, bytes, deadline: now + 10 * SECOND, answered: true }
}

fn response(correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from(u32::try_from(4 + body.len()).unwrap().to_be_bytes());
    frame.extend(correlation_id.to_be_bytes());
    frame.extend(body);
    frame
}

fn send(connection: &mut Connection, now: Instant, id: i32) {
    connection.handle_request(now, request(now, id)).unwrap();
}

/// Hands out all that may go out and has the stream take it.
fn write_all(connection: &mut Connection) -> usize {
    let mut written = 0;
    while let Some(bytes) = connection.poll_transmit() {
        written += 1;
        connection.handle_written(bytes.remaining());
    }
    written
}

fn events(connection: &mut Connection) -> Vec<ConnectionEvent> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

fn closure(connection: &mut Connection) -> Closure {
    match events(connection).pop() {
        Some(ConnectionEvent::Closed(closure)) => closure,
        other => panic!("expected the end, got {other:?}"),
    }
}

#[test]
fn a_login_waits_for_what_is_in_flight_and_goes_before_what_is_not() {
    let now = Instant::now();
    let mut connection = open(now);
    for id in [1, 2, 3] {
        send(&mut connection, now, id);
    }
    assert_eq!(write_all(&mut connection), 2);
    connection.pause();
    assert!(connection.handle_login(request(now, 9)).is_err(), "two are in flight");
    connection.handle_bytes(now, &response(1, b""));
    assert_eq!(write_all(&mut connection), 0, "the third waits");
    connection.handle_bytes(now, &response(2, b""));
    assert_eq!(events(&mut connection).pop(), Some(ConnectionEvent::Paused));
    for id in [8, 9] {
        connection.handle_login(request(now, id)).unwrap();
        assert!(connection.handle_login(request(now, 10)).is_err(), "one at a time");
        assert_eq!(write_all(&mut connection), 1);
        connection.handle_bytes(now, &response(id, b""));
        assert_eq!(events(&mut connection).len(), 1);
    }
    assert_eq!(write_all(&mut connection), 0, "still paused");
    connection.resume();
    assert_eq!(write_all(&mut connection), 1);
    connection.handle_bytes(now, &response(3, b""));
    assert_eq!(events(&mut connection).len(), 1);
    assert!(connection.handle_login(request(now, 11)).is_err(), "nobody asked for a pause");
}

#[test]
fn logins_do_not_keep_a_connection_from_being_idle() {
    let now = Instant::now();
    let mut connection = open(now);
    let later = now + 59 * SECOND;
    connection.pause();
    connection.handle_login(request(later, 1)).unwrap();
    write_all(&mut connection);
    connection.handle_bytes(later, &response(1, b""));
    connection.resume();
    connection.handle_timeout(now + 60 * SECOND);
    assert_eq!(closure(&mut connection).reason, CloseReason::Idle);
}

#[test]
fn a_login_that_is_never_answered_ends_the_connection_and_what_waited_was_not_sent() {
    let now = Instant::now();
    let mut connection = open(now);
    connection.pause();
    connection.handle_login(request(now, 1)).unwrap();
    send(&mut connection, now + SECOND, 2);
    write_all(&mut connection);
    connection.handle_timeout(now + 10 * SECOND);
    let closure = closure(&mut connection);
    assert_eq!(closure.reason, CloseReason::TimedOut { correlation_id: 1 });
    assert_eq!((closure.sent, closure.unsent), (vec![1], vec![2]));
}

#[test]
fn answers_reach_requests_in_order_however_bytes_are_cut() {
    let now = Instant::now();
    let mut connection = open(now);
    send(&mut connection, now, 7);
    send(&mut connection, now, 8);
    assert_eq!(write_all(&mut connection), 2);
    let stream = [response(7, b"one"), response(8, b"two")].concat();
    for byte in stream {
        connection.handle_bytes(now, &[byte]);
    }
    let bodies: Vec<_> = events(&mut connection)
        .into_iter()
        .map(|event| match event {
            ConnectionEvent::Response { correlation_id, frame } => {
                (correlation_id, frame.slice(4..))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [(7, Bytes::from("one")), (8, Bytes::from("two"))]);
}

#[test]
fn only_so_many_requests_are_in_flight() {
    let now = Instant::now();
    let mut connection = open(now);
    for id in 0..4 {
        send(&mut connection, now, id);
    }
    assert_eq!(connection.capacity(), 0);
    assert_eq!(write_all(&mut connection), 2);
    connection.handle_bytes(now, &response(0, b""));
    assert_eq!(write_all(&mut connection), 1);
}

#[test]
fn until_the_handshake_is_over_one_request_goes_out_and_frames_are_small() {
    let now = Instant::now();
    let mut connection = Connection::new(now, options());
    send(&mut connection, now, 1);
    send(&mut connection, now, 2);
    assert_eq!(write_all(&mut connection), 1);
    connection.handle_bytes(now, &(2_u32 << 20).to_be_bytes());
    assert!(matches!(closure(&mut connection).reason, CloseReason::Decode(_)));

    let mut connection = open(now);
    send(&mut connection, now, 1);
    write_all(&mut connection);
    connection.handle_bytes(now, &(2_u32 << 20).to_be_bytes());
    assert!(events(&mut connection).is_empty());
}

#[test]
fn the_end_tells_what_may_have_been_carried_out_from_what_was_not() {
    let now = Instant::now();
    let mut connection = open(now);
    for id in 0..3 {
        send(&mut connection, now, id);
    }
    let first = connection.poll_transmit().unwrap();
    let second = connection.poll_transmit().unwrap();
    connection.handle_written(first.remaining() + second.remaining() - 1);
    connection.handle_end();
    let end = closure(&mut connection);
    assert_eq!(end.reason, CloseReason::Ended);
    assert_eq!((end.sent, end.unsent), (vec![0], vec![1, 2]));
    assert!(connection.poll_timeout().is_none());
    assert!(connection.handle_request(now, request(now, 9)).is_err());
}

#[test]
fn a_request_out_of_time_ends_the_connection() {
    let now = Instant::now();
    let mut connection = open(now);
    send(&mut connection, now, 5);
    write_all(&mut connection);
    assert_eq!(connection.poll_timeout(), Some(now + 10 * SECOND));
    connection.handle_timeout(now + 9 * SECOND);
    assert!(!connection.is_closed());
    connection.handle_timeout(now + 10 * SECOND);
    let end = closure(&mut connection);
    assert_eq!(end.reason, CloseReason::TimedOut { correlation_id: 5 });
    assert_eq!(end.sent, [5]);
}

#[test]
fn a_request_out_of_time_in_the_queue_costs_nothing_else() {
    let now = Instant::now();
    let mut connection = open(now);
    let mut hasty = request(now, 1);
    hasty.deadline = now + SECOND;
    connection.handle_request(now, hasty).unwrap();
    send(&mut connection, now, 2);
    connection.handle_timeout(now + SECOND);
    assert_eq!(events(&mut connection), [ConnectionEvent::Expired { correlation_id: 1 }]);
    assert_eq!(write_all(&mut connection), 1);
}

#[test]
fn an_answer_to_another_request_is_never_taken() {
    let now = Instant::now();
    for stray in [1, 9] {
        let mut connection = open(now);
        send(&mut connection, now, 0);
        send(&mut connection, now, 1);
        write_all(&mut connection);
        connection.handle_bytes(now, &response(stray, b""));
        let reason = closure(&mut connection).reason;
        assert_eq!(reason, CloseReason::StrayResponse { correlation_id: stray, awaited: Some(0) });
    }
    let mut connection = open(now);
    connection.handle_bytes(now, &response(3, b""));
    let reason = closure(&mut connection).reason;
    assert_eq!(reason, CloseReason::StrayResponse { correlation_id: 3, awaited: None });
}

#[test]
fn an_answer_before_the_request_is_written_is_no_answer() {
    let now = Instant::now();
    let mut connection = open(now);
    send(&mut connection, now, 0);
    connection.poll_transmit().unwrap();
    connection.handle_bytes(now, &response(0, b""));
    assert!(matches!(closure(&mut connection).reason, CloseReason::StrayResponse { .. }));
}

#[test]
fn an_unanswered_request_is_done_when_written_and_is_passed_over_by_answers() {
    let now = Instant::now();
    let mut connection = open(now);
    let silent = Outgoing { answered: false, ..request(now, 0) };
    connection.handle_request(now, silent).unwrap();
    send(&mut connection, now, 1);
    write_all(&mut connection);
    connection.handle_bytes(now, &response(1, b""));
    let happened = events(&mut connection);
    assert_eq!(happened[0], ConnectionEvent::Written { correlation_id: 0 });
    assert!(matches!(happened[1], ConnectionEvent::Response { correlation_id: 1, .. }));
}

#[test]
fn closing_awaits_the_answers_that_are_due() {
    let now = Instant::now();
    let mut connection = open(now);
    send(&mut connection, now, 0);
    connection.close(now);
    assert!(connection.handle_request(now, request(now, 1)).is_err());
    assert_eq!(write_all(&mut connection), 1);
    assert!(!connection.is_closed());
    connection.handle_bytes(now, &response(0, b""));
    assert_eq!(closure(&mut connection).reason, CloseReason::Asked);
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let now = Instant::now();
    let mut connection = open(now);
    assert_eq!(connection.poll_timeout(), Some(now + 60 * SECOND));
    send(&mut connection, now + SECOND, 0);
    write_all(&mut connection);
    connection.handle_bytes(now + 2 * SECOND, &response(0, b""));
    connection.handle_timeout(now + 61 * SECOND);
    assert!(!connection.is_closed());
    connection.handle_timeout(now + 62 * SECOND);
    assert_eq!(closure(&mut connection).reason, CloseReason::Idle);
}

#[test]
fn a_throttled_connection_hands_out_nothing_until_the_broker_listens_again() {
    let now = Instant::now();
    let mut connection = open(now);
    connection.hold_until(now + 3 * SECOND);
    connection.hold_until(now + 2 * SECOND);
    send(&mut connection, now, 0);
    assert_eq!(write_all(&mut connection), 0);
    assert_eq!(connection.poll_timeout(), Some(now + 3 * SECOND));
    connection.handle_timeout(now + 3 * SECOND);
    assert_eq!(write_all(&mut connection), 1);
    assert_eq!(connection.poll_timeout(), Some(now + 10 * SECOND), "nothing more to wait for");
}

#[test]
fn a_request_whose_time_ends_while_it_is_held_back_was_not_sent() {
    let now = Instant::now();
    let mut connection = open(now);
    connection.hold_until(now + 30 * SECOND);
    send(&mut connection, now, 0);
    connection.handle_timeout(now + 10 * SECOND);
    assert_eq!(events(&mut connection), [ConnectionEvent::Expired { correlation_id: 0 }]);
    send(&mut connection, now + 31 * SECOND, 1);
    assert_eq!(write_all(&mut connection), 1, "the time is over though nobody rang");
}

#[test]
fn a_bounded_close_ends_at_its_bound_and_says_what_was_sent() {
    let now = Instant::now();
    let mut connection = open(now);
    for id in 0..3 {
        send(&mut connection, now, id);
    }
    write_all(&mut connection);
    connection.close(now);
    connection.end_by(now + 4 * SECOND);
    assert_eq!(connection.poll_timeout(), Some(now + 4 * SECOND));
    connection.handle_bytes(now, &response(0, b""));
    connection.handle_timeout(now + 4 * SECOND);
    let end = closure(&mut connection);
    assert_eq!((end.reason, end.sent, end.unsent), (CloseReason::Asked, vec![1], vec![2]));
}

#[test]
fn peers_of_another_protocol_are_told_by_name() {
    let now = Instant::now();
    for (first, reason) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], CloseReason::Http),
        (b"<!DOCTYPE HTML>", CloseReason::Http),
        (b"\x15\x03\x03\x00\x02\x02\x50", CloseReason::Tls),
        (b"\x15\x03\x01\x00\x02\x02\x46", CloseReason::Tls),
    ] {
        let mut connection = Connection::new(now, options());
        send(&mut connection, now, 0);
        write_all(&mut connection);
        connection.handle_bytes(now, first);
        assert_eq!(closure(&mut connection).reason, reason);
    }
}

#[test]
fn hostile_lengths_end_the_connection_without_memory_for_them() {
    let now = Instant::now();
    for length in [i32::MAX, -1, i32::MIN] {
        let mut connection = open(now);
        connection.handle_bytes(now, &length.to_be_bytes());
        assert!(connection.is_closed());
        assert!(connection.receive_buffer().capacity() < 1 << 20);
    }
    let mut connection = open(now);
    connection.handle_bytes(now, &[0, 0, 0, 2, 1, 1]);
    assert!(matches!(closure(&mut connection).reason, CloseReason::Decode(_)));
}

#[test]
fn an_id_in_use_is_given_back() {
    let now = Instant::now();
    let mut connection = open(now);
    send(&mut connection, now, 4);
    let NotTaken(back) = connection.handle_request(now, request(now, 4)).unwrap_err();
    assert_eq!(back.correlation_id, 4);
}

#[derive(Clone, Debug)]
enum Op {
    Request { answered: bool, seconds: u64 },
    Write(usize),
    Answer,
    Garbage(Vec<u8>),
    Wait(u64),
    Ready,
    Hold(u64),
    Close,
    EndBy(u64),
    End,
    Pause,
    Login(u64),
    Resume,
}

fn op() -> impl Strategy<Value = Op> {
    let request = (any::<bool>(), 1..20_u64);
    prop_oneof![
        8 => request.prop_map(|(answered, seconds)| Op::Request { answered, seconds }),
        8 => (1..40_usize).prop_map(Op::Write),
        8 => Just(Op::Answer),
        1 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(Op::Garbage),
        2 => (0..8_u64).prop_map(Op::Wait),
        2 => Just(Op::Ready),
        1 => (0..8_u64).prop_map(Op::Hold),
        1 => Just(Op::Close),
        1 => (0..8_u64).prop_map(Op::EndBy),
        1 => Just(Op::End),
        2 => Just(Op::Pause),
        4 => (0..8_u64).prop_map(Op::Login),
        2 => Just(Op::Resume),
    ]
}

/// What a peer and a stream do, and what became of each request.
struct World {
    now: Instant,
    connection: Connection,
    outgoing: VecDeque<(i32, usize)>,
    whole: VecDeque<i32>,
    taken: BTreeSet<i32>,
    fully_written: BTreeSet<i32>,
    closed: bool,
}

impl World {
    fn apply(&mut self, op: Op, id: i32) {
        match op {
            Op::Request { answered, seconds } => {
                let deadline = self.now + Duration::from_secs(seconds);
                let request = Outgoing { answered, deadline, ..request(self.now, id) };
                if self.connection.handle_request(self.now, request).is_ok() {
                    self.taken.insert(id);
                }
            }
            Op::Write(count) => self.write(count),
            Op::Answer => {
                if let Some(id) = self.whole.pop_front() {
                    self.connection.handle_bytes(self.now, &response(id, b"x"));
                }
            }
            Op::Garbage(bytes) => self.connection.handle_bytes(self.now, &bytes),
            Op::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.connection.handle_timeout(self.now);
            }
            Op::Ready => self.connection.handle_ready(),
            Op::Hold(seconds) => {
                self.connection.hold_until(self.now + Duration::from_secs(seconds));
            }
            Op::Close => self.connection.close(self.now),
            Op::EndBy(seconds) => {
                self.connection.end_by(self.now + Duration::from_secs(seconds));
            }
            Op::End => self.connection.handle_end(),
            Op::Pause => self.connection.pause(),
            Op::Login(seconds) => {
                let deadline = self.now + Duration::from_secs(seconds);
                let request = Outgoing { deadline, ..request(self.now, id) };
                if self.connection.handle_login(request).is_ok() {
                    self.taken.insert(id);
                }
            }
            Op::Resume => self.connection.resume(),
        }
    }

    fn write(&mut self, mut count: usize) {
        while let Some(bytes) = self.connection.poll_transmit() {
            let frame = bytes.into_bytes();
            let id = i32::from_be_bytes(frame[8..12].try_into().unwrap());
            self.outgoing.push_back((id, frame.len()));
        }
        while let Some((id, left)) = self.outgoing.front_mut().filter(|_| count > 0) {
            let some = count.min(*left);
            *left -= some;
            count -= some;
            let (id, done) = (*id, *left == 0);
            if done {
                self.outgoing.pop_front();
                self.fully_written.insert(id);
                self.whole.push_back(id);
            }
            self.connection.handle_written(some);
        }
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        while let Some(event) = self.connection.poll_event() {
            prop_assert!(!self.closed, "an event after the end: {event:?}");
            match event {
                ConnectionEvent::Response { correlation_id, .. } => {
                    prop_assert!(self.taken.remove(&correlation_id));
                    prop_assert!(self.fully_written.contains(&correlation_id));
                }
                ConnectionEvent::Written { correlation_id } => {
                    prop_assert!(self.taken.remove(&correlation_id));
                    prop_assert!(self.fully_written.contains(&correlation_id));
                    self.whole.retain(|id| *id != correlation_id);
                }
                ConnectionEvent::Expired { correlation_id } => {
                    prop_assert!(self.taken.remove(&correlation_id));
                    prop_assert!(!self.fully_written.contains(&correlation_id));
                }
                ConnectionEvent::Paused => {
                    prop_assert!(self.connection.in_flight.is_empty());
                }
                ConnectionEvent::Closed(end) => {
                    self.closed = true;
                    for id in &end.sent {
                        prop_assert!(self.taken.remove(id) && self.fully_written.contains(id));
                    }
                    for id in &end.unsent {
                        prop_assert!(self.taken.remove(id) && !self.fully_written.contains(id));
                    }
                }
            }
        }
        prop_assert_eq!(self.closed, self.connection.is_closed());
        prop_assert!(!self.closed || self.taken.is_empty(), "forgotten: {:?}", self.taken);
        prop_assert!(self.connection.in_flight.len() <= 2);
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_request_has_exactly_one_end_and_it_is_true(
        ops in proptest::collection::vec(op(), 0..80),
    ) {
        let now = Instant::now();
        let mut world = World {
            now,
            connection: Connection::new(now, options()),
            outgoing: Default::default(),
            whole: Default::default(),
            taken: Default::default(),
            fully_written: Default::default(),
            closed: false,
        };
        for (id, op) in (0..).zip(ops) {
            world.apply(op, id);
            world.drain()?;
        }
        world.connection.handle_failure();
        world.drain()?;
    }

    #[test]
    fn no_bytes_from_a_peer_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ready: bool,
    ) {
        let now = Instant::now();
        let mut connection = Connection::new(now, options());
        if ready {
            connection.handle_ready();
        }
        send(&mut connection, now, 0);
        write_all(&mut connection);
        connection.handle_bytes(now, &bytes);
        prop_assert!(connection.receive_buffer().capacity() <= 64 << 10);
    }
}
