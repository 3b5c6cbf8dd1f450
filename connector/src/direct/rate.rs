//! How many records a batch takes: limits a partition, and a rate that follows the speed of processing. Pure functions
//! of lags, options and times.

use std::collections::BTreeMap;
use std::time::Duration;

use super::options::{BackpressureOptions, DirectOptions};
use crate::error::{Error, Result};
use crate::offsets::{PartitionOffsets, TopicPartition};

/// What an estimator learns of a batch that was processed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchDone {
    /// When it was done, in milliseconds since 1970.
    pub time: i64,
    /// How many records it had.
    pub records: u64,
    /// How long it took.
    pub processing_delay: Duration,
    /// How long it had waited before.
    pub scheduling_delay: Duration,
}

/// Learns from batches how many records a second can be processed.
pub trait RateEstimator: Send {
    /// The new rate in records a second, over all partitions; `None` to keep the last one.
    fn compute(&mut self, done: &BatchDone) -> Option<f64>;
}

/// The gains of the PID estimator (`spark.streaming.backpressure.pid.*`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PidGains {
    /// How much the present error counts. Default 1.
    pub proportional: f64,
    /// How much what has piled up counts. Default 0.2.
    pub integral: f64,
    /// How much the change of the error counts. Default 0.
    pub derived: f64,
    /// The least rate that is ever given, in records a second. Default 100.
    pub min_rate: f64,
}

impl PidGains {
    /// # Errors
    /// `InvalidOption` for what would not regulate anything: a negative gain, or a minimum that is not positive.
    pub(super) fn checked(self) -> Result<Self> {
        let gains = [self.proportional, self.integral, self.derived];
        if gains.iter().any(|gain| !gain.is_finite() || *gain < 0.0) {
            return Err(Error::option(
                "spark.streaming.backpressure.pid.proportional, integral and derived must be 0 or more",
            ));
        }
        if !self.min_rate.is_finite() || self.min_rate <= 0.0 {
            return Err(Error::option("spark.streaming.backpressure.pid.minRate must be positive"));
        }
        Ok(self)
    }
}

/// Spark's estimator: a regulator that is proportional, integral and derivative.
#[derive(Clone, Debug)]
pub struct PidEstimator {
    gains: PidGains,
    interval: Duration,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    time: i64,
    rate: f64,
    error: f64,
}

impl PidEstimator {
    /// An estimator for batches that begin every `interval`.
    pub fn new(interval: Duration, gains: PidGains) -> Self {
        Self { gains, interval, last: None }
    }
}

impl RateEstimator for PidEstimator {
    fn compute(&mut self, done: &BatchDone) -> Option<f64> {
        let processing = done.processing_delay.as_millis() as f64;
        let after = self.last.map_or(-1, |last| last.time);
        if done.time <= after || done.records == 0 || processing <= 0.0 {
            return None;
        }
        let speed = done.records as f64 / processing * MS;
        let Some(last) = self.last else {
            self.last = Some(Last { time: done.time, rate: speed, error: 0.0 });
            return None;
        };
        let elapsed = (done.time - last.time) as f64 / MS;
        let error = last.rate - speed;
        let waited = done.scheduling_delay.as_millis() as f64;
        let piled_up = waited * speed / self.interval.as_millis().max(1) as f64;
        let change = (error - last.error) / elapsed;
        let PidGains { proportional, integral, derived, min_rate } = self.gains;
        let rate = last.rate - proportional * error - integral * piled_up - derived * change;
        let rate = rate.max(min_rate);
        self.last = Some(Last { time: done.time, rate, error });
        Some(rate)
    }
}

/// The rate that an estimator has found, and the one before that.
pub(super) struct Backpressure {
    estimator: Box<dyn RateEstimator>,
    initial: i64,
    latest: i64,
}

impl Backpressure {
    pub(super) fn new(options: BackpressureOptions, interval: Duration) -> Self {
        let estimator = Box::new(PidEstimator::new(interval, options.pid));
        Self { estimator, initial: options.initial_rate, latest: 0 }
    }

    pub(super) fn set_estimator(&mut self, estimator: Box<dyn RateEstimator>) {
        self.estimator = estimator;
    }

    /// Records a second for the next batch; 0 for no limit.
    pub(super) fn rate(&self) -> i64 {
        if self.latest > 0 { self.latest } else { self.initial }
    }

    pub(super) fn learn(&mut self, done: &BatchDone) {
        if let Some(rate) = self.estimator.compute(done) {
            // Spark hands the rate on as a whole number.
            self.latest = rate as i64;
        }
    }
}

/// The limits of one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Records a second that backpressure allows over all partitions; `None` or 0 for no such limit.
    pub(super) rate: Option<i64>,
    /// Records a second and partition; 0 for no limit.
    pub(super) max: i64,
    /// Records a batch and partition that are always allowed.
    pub(super) min: i64,
    /// How often batches begin.
    pub(super) interval: Duration,
}

impl Limits {
    pub(super) fn new(options: &DirectOptions, rate: Option<i64>, interval: Duration) -> Self {
        Self { rate, max: options.max_rate(), min: options.min_rate(), interval }
    }

    /// Where the next batch ends in each partition of `latest`: never beyond it.
    pub(super) fn ends(
        &self,
        from: &PartitionOffsets,
        latest: &PartitionOffsets,
    ) -> PartitionOffsets {
        let start = |tp: &TopicPartition, end: i64| from.get(tp).copied().unwrap_or(end);
        let lags = latest.iter().map(|(tp, end)| (tp.clone(), (end - start(tp, *end)).max(0)));
        let counts = self.counts(&lags.collect());
        let end = |(tp, latest): (&TopicPartition, &i64)| {
            let most = |counts: &BTreeMap<_, i64>| counts.get(tp).copied().unwrap_or_default();
            let limit =
                counts.as_ref().map(|counts| start(tp, *latest).saturating_add(most(counts)));
            (tp.clone(), limit.unwrap_or(*latest).min(*latest))
        };
        latest.iter().map(end).collect()
    }

    /// How many records each partition may give, `None` for no limit.
    fn counts(&self, lags: &PartitionOffsets) -> Option<BTreeMap<TopicPartition, i64>> {
        let max = self.max as f64;
        let total: f64 = lags.values().map(|lag| *lag as f64).sum();
        let rate_of = |lag: i64| match self.rate.filter(|rate| *rate > 0) {
            // Without any lag this is no number, and then there is no limit.
            Some(rate) if max > 0.0 => match lag as f64 / total * rate as f64 {
                share if share.is_nan() => share,
                share => share.min(max),
            },
            Some(rate) => lag as f64 / total * rate as f64,
            None => max,
        };
        let rates: BTreeMap<_, _> =
            lags.iter().map(|(tp, lag)| (tp.clone(), rate_of(*lag))).collect();
        let limited = rates.values().sum::<f64>() > 0.0;
        // In milliseconds, as Spark's durations are.
        let seconds = self.interval.as_millis() as f64 / MS;
        let count = |rate: f64| ((seconds * rate) as i64).max(self.min);
        limited.then(|| rates.into_iter().map(|(tp, rate)| (tp, count(rate))).collect())
    }
}

const MS: f64 = 1000.0;

#[cfg(test)]
mod tests;
