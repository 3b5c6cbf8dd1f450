//! How long to wait before trying again. In: how often it failed, and a random number from the
//! caller; out: a pause that doubles from failure to failure up to a limit (KIP-580), spread so
//! that many clients do not come back at the same instant.

use std::time::Duration;

/// Exponential pauses with jitter. A value without state: the caller counts failures and draws the
/// random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses from `first` (after one failure) to `longest`; `first` is cut down to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first: first.min(longest), longest }
    }

    /// The pause after `failures` failures in a row, zero after none. `random` lies in `0.0..1.0`
    /// and moves the pause by up to a fifth either way, never above the longest; anything else
    /// counts as the nearest bound.
    pub fn pause(&self, failures: u32, random: f64) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doubled = 2_u32.saturating_pow(failures - 1);
        let middle = self.first.saturating_mul(doubled).min(self.longest);
        let random = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        middle.mul_f64(1.0 - JITTER + 2.0 * JITTER * random).min(self.longest)
    }
}

/// The share of a pause by which it is moved at most, as in Java's clients.
const JITTER: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(ms(100), ms(1000));
        let pauses: Vec<_> = (0..6).map(|failures| backoff.pause(failures, 0.5)).collect();
        assert_eq!(pauses, [ms(0), ms(100), ms(200), ms(400), ms(800), ms(1000)]);
        assert_eq!(backoff.pause(u32::MAX, 0.5), ms(1000));
    }

    #[test]
    fn jitter_moves_a_pause_by_a_fifth() {
        let backoff = Backoff::new(ms(100), ms(1000));
        assert_eq!(backoff.pause(1, 0.0), ms(80));
        assert_eq!(backoff.pause(1, 1.0), ms(120));
    }

    proptest! {
        #[test]
        fn no_input_leaves_the_bounds(
            first in 0..10_000_u64,
            longest in 0..10_000_u64,
            failures in any::<u32>(),
            random in any::<f64>(),
        ) {
            let pause = Backoff::new(ms(first), ms(longest)).pause(failures, random);
            prop_assert!(pause <= ms(longest));
            prop_assert!(failures == 0 || pause >= ms(first.min(longest)).mul_f64(0.79));
        }
    }
}
