//! Whether a broker keeps up with what waits for it (KIP-794). In: when there was something for it,
//! and whether it took it; out: whether its partitions had better not be drawn.

use std::time::{Duration, Instant};

/// How a broker keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// When there was last something for it.
    wanted: Instant,
    /// When it could last be sent.
    taken: Instant,
}

impl Pace {
    /// A broker that there is first something for.
    pub fn new(now: Instant) -> Self {
        Self { wanted: now, taken: now }
    }

    /// Says that there is something for the broker, and whether it can be sent: there is a
    /// connection, and not too much in flight on it.
    pub fn handle_ready(&mut self, now: Instant, can_send: bool) {
        self.wanted = now;
        if can_send {
            self.taken = now;
        }
    }

    /// Whether the broker takes what is for it within the time-out, that of
    /// `partitioner.availability.timeout.ms`; zero stands for no limit.
    pub fn keeps_up(&self, timeout: Duration) -> bool {
        timeout.is_zero() || self.wanted.saturating_duration_since(self.taken) <= timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_takes_nothing_for_longer_than_the_time_out_is_avoided_until_it_does() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(start);
        pace.handle_ready(start + second, false);
        assert!(pace.keeps_up(second));
        pace.handle_ready(start + 2 * second, false);
        assert!(!pace.keeps_up(second));
        assert!(pace.keeps_up(Duration::ZERO));
        pace.handle_ready(start + 3 * second, true);
        assert!(pace.keeps_up(second));
    }
}
