use super::*;

fn by_partition(values: &[i64]) -> PartitionOffsets {
    (0..).zip(values).map(|(id, value)| (TopicPartition::new("t", id), *value)).collect()
}

/// The ends of a batch that starts at 0 everywhere, where the partitions end at `latest`.
fn ends(limits: Limits, latest: &[i64]) -> Vec<i64> {
    let from = by_partition(&vec![0; latest.len()]);
    limits.ends(&from, &by_partition(latest)).into_values().collect()
}

fn limits(rate: Option<i64>, max: i64, min: i64, ms: u64) -> Limits {
    Limits { rate, max, min, interval: Duration::from_millis(ms) }
}

#[test]
fn b242_without_backpressure_the_rate_of_a_partition_times_the_interval_counts() {
    assert_eq!(ends(limits(None, 100, 1, 100), &[1000, 1000]), [10, 10]);
    assert_eq!(ends(limits(None, 0, 1, 100), &[1000, 7]), [1000, 7]);
}

#[test]
fn b243_without_any_lag_there_is_no_limit() {
    let limits = limits(Some(100), 50, 5, 100);
    assert_eq!(limits.counts(&by_partition(&[0, 0])), None);
    assert_eq!(ends(limits, &[0, 0]), [0, 0]);
}

#[test]
fn b244_the_rate_is_shared_by_lag_and_the_partitions_limit_counts_too() {
    assert_eq!(ends(limits(Some(1000), 50, 1, 100), &[1000, 1000]), [5, 5]);
    assert_eq!(ends(limits(Some(1000), 100, 1, 100), &[1000, 1000]), [10, 10]);
}

#[test]
fn b245_the_initial_rate_counts_until_there_is_another() {
    let pid = PidGains { proportional: 1.0, integral: 0.2, derived: 0.0, min_rate: 100.0 };
    let batch = |initial_rate, max| {
        let options = BackpressureOptions { initial_rate, pid };
        let backpressure = Backpressure::new(options, Duration::from_millis(500));
        ends(limits(Some(backpressure.rate()), max, 1, 500), &[1000])
    };
    assert_eq!(batch(500, 1000), [250]);
    assert_eq!(batch(1000, 300), [150]);
}

#[test]
fn b246_every_partition_gets_its_minimum_even_without_lag() {
    let limits = limits(Some(1), 100, 5, 60_000);
    let counts = limits.counts(&by_partition(&[0, 100, 200, 300])).unwrap();
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [5, 10, 20, 30]);
    assert_eq!(ends(limits, &[0, 100, 200, 300]), [0, 10, 20, 30]);
}

#[test]
fn b247_batches_follow_the_estimated_rate() {
    struct Says(Vec<f64>);
    impl RateEstimator for Says {
        fn compute(&mut self, _: &BatchDone) -> Option<f64> {
            self.0.pop()
        }
    }
    let pid = PidGains { proportional: 1.0, integral: 0.2, derived: 0.0, min_rate: 100.0 };
    let options = BackpressureOptions { initial_rate: 0, pid };
    let estimator = Box::new(Says(vec![20.0, 50.0, 100.0]));
    let mut backpressure = Backpressure::new(options, Duration::from_millis(500));
    backpressure.set_estimator(estimator);
    assert_eq!(backpressure.rate(), 0);
    let done = BatchDone {
        time: 1,
        records: 1,
        processing_delay: Duration::from_millis(1),
        scheduling_delay: Duration::ZERO,
    };
    for expected in [50, 25, 10] {
        backpressure.learn(&done);
        assert_eq!(ends(limits(Some(backpressure.rate()), 1000, 1, 500), &[1000]), [expected]);
    }
}

#[test]
fn b248_a_batch_never_ends_beyond_the_latest_offset() {
    assert_eq!(ends(limits(None, 100, 1, 1000), &[30, 300]), [30, 100]);
    // The part of a record that a rate leaves is cut off, but the minimum stays.
    assert_eq!(ends(limits(None, 19, 1, 100), &[300]), [1]);
    assert_eq!(ends(limits(None, 5, 3, 100), &[300, 2]), [3, 2]);
    let from = by_partition(&[20]);
    let ends = limits(None, 10, 1, 1000).ends(&from, &by_partition(&[100]));
    assert_eq!(ends.into_values().collect::<Vec<_>>(), [30]);
}

#[test]
fn b251_the_pid_estimator_needs_two_batches_and_ignores_those_that_tell_nothing() {
    let gains = PidGains { proportional: 1.0, integral: 0.2, derived: 0.5, min_rate: 10.0 };
    let mut pid = PidEstimator::new(Duration::from_millis(1000), gains);
    let done = |time, records, processing, waited| BatchDone {
        time,
        records,
        processing_delay: Duration::from_millis(processing),
        scheduling_delay: Duration::from_millis(waited),
    };
    assert_eq!(pid.compute(&done(1000, 0, 100, 0)), None, "no records");
    assert_eq!(pid.compute(&done(1000, 100, 0, 0)), None, "no time");
    assert_eq!(pid.compute(&done(1000, 100, 1000, 0)), None, "the first valid one: 100 a second");
    assert_eq!(pid.compute(&done(1000, 500, 1000, 0)), None, "no later than the last");
    // 50 a second: error 50, piled up 200 ms * 50 / 1000 ms = 10, change (50 - 0) / 2 s = 25.
    let rate = pid.compute(&done(3000, 50, 1000, 200)).unwrap();
    assert!((rate - (100.0 - 50.0 - 0.2 * 10.0 - 0.5 * 25.0)).abs() < 1e-9, "{rate}");
    // Far behind: never below the minimum.
    assert_eq!(pid.compute(&done(4000, 1, 1000, 100_000)), Some(10.0));
    assert!(PidGains { min_rate: 0.0, ..gains }.checked().is_err());
    assert!(PidGains { integral: -1.0, ..gains }.checked().is_err());
}
