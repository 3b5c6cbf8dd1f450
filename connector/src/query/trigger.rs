//! When a micro-batch starts: a pure choice from the time and from what has happened.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;

/// When batches run, and when a query ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger {
    /// One batch after another, as soon as there is data.
    #[default]
    AsSoonAsData,
    /// At every multiple of an interval, counted from 1970; a batch that takes longer delays the next to the multiple
    /// after it.
    ProcessingTime(Duration),
    /// One batch with all there is, whatever the limits say; then the query ends.
    Once,
    /// All that is there when the query starts, in as many batches as the limits ask for; then the query ends.
    AvailableNow,
}

impl Trigger {
    /// How long to wait at `now`, the time since 1970, before the next batch may start.
    ///
    /// `last` is when the last one started, `None` before the first, which never waits.
    pub fn wait(self, now: Duration, last: Option<Duration>) -> Duration {
        let (Self::ProcessingTime(interval), Some(last)) = (self, last) else {
            return Duration::ZERO;
        };
        let interval = interval.as_millis();
        if interval == 0 {
            return Duration::ZERO;
        }
        let next = (last.as_millis() / interval + 1) * interval;
        let wait = next.saturating_sub(now.as_millis());
        // A clock that was set back must not make a query sleep for longer than its interval.
        Duration::from_millis(u64::try_from(wait.min(interval)).unwrap_or(u64::MAX))
    }

    /// Whether the limits on a batch's size count.
    pub fn honours_limits(self) -> bool {
        self != Self::Once
    }

    /// Whether the query ends when a look finds nothing new.
    pub fn ends_when_drained(self) -> bool {
        matches!(self, Self::Once | Self::AvailableNow)
    }
}

impl FromStr for Trigger {
    type Err = Error;

    /// Reads `available-now`, `once`, or an interval such as `200ms`, `10s`, `5m`, `1h`; `0` is as soon as there is
    /// data.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "available-now" => return Ok(Self::AvailableNow),
            "once" => return Ok(Self::Once),
            other if other.starts_with("continuous") || other.starts_with("real-time") => {
                return Err(Error::option(format!(
                    "'{other}': a query runs in micro-batches here; use 0 for one as soon as there is data"
                )));
            }
            _ => {}
        }
        let interval = interval(text.trim()).ok_or_else(|| {
            Error::option(format!(
                "'{text}' is no trigger: use available-now, once, or an interval such as 200ms, 10s, 5m"
            ))
        })?;
        Ok(if interval.is_zero() { Self::AsSoonAsData } else { Self::ProcessingTime(interval) })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsSoonAsData => f.write_str("as soon as there is data"),
            Self::ProcessingTime(interval) => write!(f, "{interval:?}"),
            Self::Once => f.write_str("once"),
            Self::AvailableNow => f.write_str("available-now"),
        }
    }
}

/// The pauses of a query without a trigger, after looks that found nothing. They grow from 1 ms, so that what comes soon
/// after a batch is not kept waiting, to 20 ms, so that an idle query asks no more often than Spark's, which pauses 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Idle {
    looks: u32,
}

impl Idle {
    /// How long to wait after another look in a row that found nothing.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.looks.min(10));
        self.looks = self.looks.saturating_add(1);
        pause.min(LONGEST_PAUSE)
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A whole number and its unit; only 0 may go without.
fn interval(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let millis: u64 = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read() {
        let read = |text: &str| text.parse::<Trigger>();
        assert_eq!(read("available-now").unwrap(), Trigger::AvailableNow);
        assert_eq!(read("once").unwrap(), Trigger::Once);
        assert_eq!(read("200ms").unwrap(), Trigger::ProcessingTime(Duration::from_millis(200)));
        assert_eq!(read("10s").unwrap(), Trigger::ProcessingTime(Duration::from_secs(10)));
        assert_eq!(read("5 min").unwrap(), Trigger::ProcessingTime(Duration::from_secs(300)));
        assert_eq!(read("0s").unwrap(), Trigger::AsSoonAsData);
        for text in ["", "10", "s", "-1s", "1.5s", "now", "99999999999999999999h"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn intervals_are_multiples_counted_from_1970() {
        let ms = Duration::from_millis;
        let trigger = Trigger::ProcessingTime(ms(1000));
        assert_eq!(trigger.wait(ms(5300), None), Duration::ZERO);
        assert_eq!(trigger.wait(ms(5400), Some(ms(5300))), ms(600));
        assert_eq!(trigger.wait(ms(6000), Some(ms(5300))), Duration::ZERO);
        assert_eq!(trigger.wait(ms(9100), Some(ms(5300))), Duration::ZERO);
        assert_eq!(Trigger::AsSoonAsData.wait(ms(1), Some(ms(1))), Duration::ZERO);
    }

    #[test]
    fn pauses_grow_to_twenty_milliseconds_and_begin_anew_after_a_batch() {
        let mut idle = Idle::default();
        let pauses: Vec<_> = (0..7).map(|_| idle.pause().as_millis()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 20, 20]);
        idle.looks = u32::MAX;
        assert_eq!(idle.pause().as_millis(), 20);
        assert_eq!(Idle::default().pause().as_millis(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_delays_by_one_interval_at_most() {
        let trigger = Trigger::ProcessingTime(Duration::from_secs(1));
        let wait = trigger.wait(Duration::from_secs(10), Some(Duration::from_secs(5000)));
        assert_eq!(wait, Duration::from_secs(1));
    }
}
