//! One connection without a socket: in go the bytes that either end writes, with the time; out come
//! the same bytes later, in other pieces, or the end of the stream. From a seed, so that what one
//! run saw every run sees.
//!
//! A cut is as bad as TCP allows: bytes that the near end's stream took are lost, those that are
//! under way may still arrive, and each end notices at its own time.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;

/// A connection between a client and a broker, both directions.
///
/// After [`write`](Self::write), [`close`](Self::close) or [`cut`](Self::cut), and at the time that
/// [`poll_timeout`](Self::poll_timeout) names, drain [`poll`](Self::poll) for both ends. Time must
/// not run backwards.
#[derive(Debug)]
pub struct Link {
    up: Pipe,
    down: Pipe,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker.
    Up,
    /// From the broker to the client.
    Down,
}

/// How a link carries bytes.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// How long a piece is under way; pieces never overtake each other. Default 0.2 to 3 ms.
    pub latency: Range<Duration>,
    /// The most bytes that one write takes; the rest has to be written a little later.
    /// Default 2,000.
    pub window: usize,
}

/// What comes out at an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Some of the bytes written at the other end.
    Bytes(Bytes),
    /// The stream is over. The last arrival.
    End,
}

impl Link {
    /// An open link. Equal generators give equal behaviour.
    pub fn new(rng: &mut Rng, options: &LinkOptions) -> Self {
        Self { up: Pipe::new(rng.fork(), options), down: Pipe::new(rng.fork(), options) }
    }

    /// Writes from the front of `bytes`, and returns how many of them the stream took: none while
    /// it is full. A stream that is over takes all and loses them.
    pub fn write(&mut self, now: Instant, direction: Direction, bytes: &[u8]) -> usize {
        let pipe = self.pipe(direction);
        let taken = pipe.write(now, bytes);
        if pipe.is_spent() {
            self.cut(now);
        }
        taken
    }

    /// The writer of this direction is done: the other end sees the end after all that was written.
    pub fn close(&mut self, now: Instant, direction: Direction) {
        self.pipe(direction).end(now);
    }

    /// Ends the connection for both ends, which lose some of what is under way.
    pub fn cut(&mut self, now: Instant) {
        self.up.lose_some();
        self.down.lose_some();
        self.up.end(now);
        self.down.end(now);
    }

    /// Cuts the connection as soon as so many more bytes were taken in this direction; the next one
    /// does not arrive.
    pub fn cut_after(&mut self, direction: Direction, bytes: u64) {
        let pipe = self.pipe(direction);
        pipe.cut_at = Some(pipe.taken.saturating_add(bytes));
    }

    /// Takes back [`cut_after`](Self::cut_after).
    pub fn spare(&mut self) {
        self.up.cut_at = None;
        self.down.cut_at = None;
    }

    /// What has arrived at the far end of a direction, oldest first.
    pub fn poll(&mut self, now: Instant, direction: Direction) -> Option<Arrival> {
        let arrivals = &mut self.pipe(direction).arrivals;
        arrivals.pop_front_if(|(at, _)| *at <= now).map(|(_, arrival)| arrival)
    }

    /// When something arrives, or a stream that was full has room again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.up.poll_timeout(), self.down.poll_timeout()].into_iter().flatten().min()
    }

    fn pipe(&mut self, direction: Direction) -> &mut Pipe {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { latency: Duration::from_micros(200)..Duration::from_millis(3), window: 2_000 }
    }
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    rng: Rng,
    options: LinkOptions,
    arrivals: VecDeque<(Instant, Arrival)>,
    /// Nothing arrives before what was written earlier.
    newest: Option<Instant>,
    taken: u64,
    cut_at: Option<u64>,
    full_until: Option<Instant>,
    ended: bool,
}

impl Pipe {
    fn new(rng: Rng, options: &LinkOptions) -> Self {
        Self {
            rng,
            options: options.clone(),
            arrivals: VecDeque::new(),
            newest: None,
            taken: 0,
            cut_at: None,
            full_until: None,
            ended: false,
        }
    }

    fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if self.ended || bytes.is_empty() {
            return bytes.len();
        }
        if self.full_until.is_some_and(|until| until > now) {
            return 0;
        }
        let taken = bytes.len().min(1 + self.rng.usize(..self.options.window.max(1)));
        let before_cut = self.cut_at.map_or(u64::MAX, |at| at.saturating_sub(self.taken));
        let carried = taken.min(usize::try_from(before_cut).unwrap_or(usize::MAX));
        self.carry(now, &bytes[..carried]);
        self.taken += taken as u64;
        self.full_until = (taken < bytes.len()).then(|| now + self.options.latency.start / 4);
        taken
    }

    fn carry(&mut self, now: Instant, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let most = if self.rng.u8(..4) == 0 { bytes.len().min(8) } else { bytes.len() };
            let (piece, rest) = bytes.split_at(1 + self.rng.usize(..most));
            self.send(now, Arrival::Bytes(Bytes::copy_from_slice(piece)));
            bytes = rest;
        }
    }

    fn send(&mut self, now: Instant, arrival: Arrival) {
        let Range { start, end } = self.options.latency;
        let at = now + start + end.saturating_sub(start).mul_f64(self.rng.f64());
        let at = self.newest.map_or(at, |newest| newest.max(at));
        self.newest = Some(at);
        self.arrivals.push_back((at, arrival));
    }

    /// Whether more was taken than a planned cut lets pass.
    fn is_spent(&self) -> bool {
        !self.ended && self.cut_at.is_some_and(|at| self.taken > at)
    }

    fn end(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.ended, true) {
            self.full_until = None;
            self.send(now, Arrival::End);
        }
    }

    /// A reset connection may forget what its far end has not read.
    fn lose_some(&mut self) {
        if !self.ended && self.rng.bool() {
            let kept = self.rng.usize(..=self.arrivals.len());
            self.arrivals.truncate(kept);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let arrival = self.arrivals.front().map(|(at, _)| *at);
        [arrival, self.full_until].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(seed: u64) -> Link {
        Link::new(&mut Rng::with_seed(seed), &LinkOptions::default())
    }

    /// Writes all, then collects what arrives and in how many pieces, until nothing is due.
    fn send(link: &mut Link, bytes: &[u8]) -> (Vec<u8>, usize, bool) {
        let (mut now, mut left) = (Instant::now(), bytes);
        let (mut arrived, mut pieces) = (Vec::new(), 0);
        loop {
            left = &left[link.write(now, Direction::Up, left)..];
            while let Some(arrival) = link.poll(now, Direction::Up) {
                match arrival {
                    Arrival::Bytes(bytes) => arrived.extend(bytes),
                    Arrival::End => return (arrived, pieces, true),
                }
                pieces += 1;
            }
            match link.up.poll_timeout() {
                Some(at) => now = now.max(at),
                None => return (arrived, pieces, false),
            }
        }
    }

    #[test]
    fn bytes_arrive_in_order_and_in_other_pieces() {
        let bytes: Vec<u8> = (0..20_000_u32).map(|at| (at % 251) as u8).collect();
        for seed in 0..50 {
            let (arrived, pieces, ended) = send(&mut link(seed), &bytes);
            assert_eq!(arrived, bytes);
            assert!(pieces > 10 && !ended);
        }
    }

    #[test]
    fn a_cut_lets_no_byte_pass_beyond_its_place() {
        for seed in 0..50 {
            let mut link = link(seed);
            link.cut_after(Direction::Up, 700);
            let (arrived, _, ended) = send(&mut link, &[7; 5_000]);
            assert!(arrived.len() <= 700 && ended, "seed {seed}: {} bytes", arrived.len());
            let late = Instant::now() + Duration::from_secs(1);
            assert_eq!(link.poll(late, Direction::Down), Some(Arrival::End));
        }
    }

    #[test]
    fn what_was_written_before_the_end_arrives_before_it() {
        let mut link = link(1);
        let now = Instant::now();
        assert_eq!(link.write(now, Direction::Down, b"x"), 1);
        link.close(now, Direction::Down);
        let late = now + Duration::from_secs(1);
        let arrived = link.poll(late, Direction::Down);
        assert_eq!(arrived, Some(Arrival::Bytes(Bytes::from_static(b"x"))));
        assert_eq!(link.poll(late, Direction::Down), Some(Arrival::End));
        assert_eq!(link.poll(late, Direction::Up), None);
    }
}
