//! How a read is cut: pieces, limits for each trigger, and triggers that end by themselves.

use klamm_connector::query::{QueryProgress, Trigger};
use klamm_connector::source::{BatchRead, ReadOrder};

use crate::common::job::{Job, rest};
use crate::common::{collect, numbers};
use crate::ground::{Ground, each, offsets};

const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");

/// The values of a plan in order of partition and offset, each row once.
async fn values(plan: &BatchRead) -> Vec<String> {
    let mut rows = collect(plan.rows(ReadOrder::AsTheyCome)).await.unwrap();
    rows.sort();
    rows.into_iter().map(|(_, _, value)| value.unwrap()).collect()
}

pub(crate) async fn b039_b050_a_plan_that_is_read_again_sees_new_records_but_keeps_explicit_ends(
    ground: &Ground,
) {
    let t = ground.create("t", 2).await;
    ground.write(&t, 0, 1, &numbers(10, 20)).await;
    ground.write(&t, 1, 1, &numbers(20, 30)).await;
    let ends = each(&t, &[(0, 10), (1, 10)]);
    let subscribe = ("subscribe", &*t);
    let open = ground.plan(&[subscribe]).await.unwrap();
    let pieces = ground.plan(&[subscribe, ("minPartitions", "6")]).await.unwrap();
    let closed = ground.plan(&[subscribe, ("endingOffsets", &*ends)]).await.unwrap();
    assert_eq!((open.ranges().len(), pieces.ranges().len()), (2, 6));
    for plan in [&open, &pieces, &closed] {
        assert_eq!(values(plan).await, numbers(10, 30));
    }
    ground.write(&t, 1, 1, &numbers(30, 40)).await;
    for (plan, end) in [(&open, 40), (&pieces, 40), (&closed, 30)] {
        assert_eq!(values(plan).await, numbers(10, end));
    }
}

pub(crate) async fn b047_a_start_above_the_end_that_a_time_stands_for_is_refused(ground: &Ground) {
    let t = ground.create("t", 1).await;
    for (time, value) in [(100, "0"), (200, "1"), (300, "2"), (400, "3")] {
        ground.write(&t, 0, time, &[value]).await;
    }
    let start = each(&t, &[(0, 3)]);
    let options = [("subscribe", &*t), ("startingOffsets", &start), ("endingTimestamp", "200")];
    let error = ground.values(&options).await.unwrap_err();
    let text = format!(
        "The resolved start offset 3 is greater than the resolved end offset 1 for topic {t} partition 0."
    );
    assert!(error.message().starts_with(&text), "{error}");
}

pub(crate) async fn b085_a_stream_starts_in_each_partition_where_it_is_told(ground: &Ground) {
    let t = ground.create("t", 5).await;
    for partition in 0..5 {
        ground.write(&t, partition, 1, &numbers(partition * 10, partition * 10 + 3)).await;
    }
    let start = each(&t, &[(0, -2), (1, -1), (2, 0), (3, 1), (4, 2)]);
    let job = Job::at(ground);
    job.drain(&[("subscribe", &t), ("startingOffsets", &start)]).await.unwrap();
    assert_eq!(job.values(), ["0", "1", "2", "20", "21", "22", "31", "32", "42"]);
}

pub(crate) async fn b097_b098_a_run_over_what_is_available_does_not_see_what_comes_meanwhile(
    ground: &Ground,
) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &numbers(10, 25)).await;
    let options = [("subscribe", &*t), EARLIEST, ("maxOffsetsPerTrigger", "5")];
    let job = Job::at(ground);
    let mut query = job.start(Trigger::AvailableNow, &options).await.unwrap();
    query.next().await.unwrap().unwrap();
    ground.write(&t, 0, 1, &numbers(25, 30)).await;
    assert_eq!(rest(query).await.unwrap().len(), 2);
    assert_eq!(job.values(), numbers(10, 25));
    job.drain(&options).await.unwrap();
    assert_eq!(job.values(), numbers(25, 30));
}

pub(crate) async fn b103_b125_one_batch_with_all_there_is_knows_no_limit(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let job = Job::at(ground);
    let limits = [("maxOffsetsPerTrigger", "2"), ("minOffsetsPerTrigger", "1")];
    let options = [("subscribe", &*t), EARLIEST, limits[0], limits[1]];
    for first in [10, 20] {
        ground.write(&t, 0, 1, &numbers(first, first + 10)).await;
        let query = job.start(Trigger::Once, &options).await.unwrap();
        assert_eq!(rest(query).await.unwrap().len(), 1);
        assert_eq!(job.values(), numbers(first, first + 10));
    }
}

pub(crate) async fn b093_b112_b113_a_limit_is_shared_by_what_waits_in_each_partition(
    ground: &Ground,
) {
    let t = ground.create("t", 3).await;
    for (partition, count) in [(0, 101), (1, 11), (2, 1)] {
        ground.write(&t, partition, 1, &numbers(100, 100 + count)).await;
    }
    let options = [("subscribe", &*t), EARLIEST, ("maxOffsetsPerTrigger", "10")];
    let job = Job::at(ground);
    let ends = |batch: &QueryProgress| batch.source.end.clone().unwrap();
    let mut query = job.start(Trigger::AsSoonAsData, &options).await.unwrap();
    let first = query.next().await.unwrap().unwrap();
    assert_eq!(ends(&first), offsets(&t, &[(0, 8), (1, 1), (2, 1)]));
    assert_eq!(first.source.latest, Some(offsets(&t, &[(0, 101), (1, 11), (2, 1)])));
    assert_eq!(first.offsets_behind(), Some((0, 93, 103.0 / 3.0)));
    drop(query);
    let mut query = job.start(Trigger::AsSoonAsData, &options).await.unwrap();
    for expected in [[(0, 17), (1, 2), (2, 1)], [(0, 26), (1, 3), (2, 1)]] {
        assert_eq!(ends(&query.next().await.unwrap().unwrap()), offsets(&t, &expected));
    }
    drop(query);
    let last = job.drain(&options).await.unwrap().pop().unwrap();
    assert_eq!(last.offsets_behind(), Some((0, 0, 0.0)));
    assert_eq!(job.taken().concat().len(), 113);
}

pub(crate) async fn b118_a_new_partition_waits_with_what_it_still_has(ground: &Ground) {
    let first = ground.create("p-1", 1).await;
    let pattern = format!("^{}-", ground.named("p"));
    let options = [
        ("subscribePattern", &*pattern),
        EARLIEST,
        ("failOnDataLoss", "false"),
        ("maxOffsetsPerTrigger", "10"),
    ];
    let job = Job::at(ground);
    job.drain(&options).await.unwrap();
    let second = ground.create("p-2", 1).await;
    ground.write(&first, 0, 1, &numbers(0, 10)).await;
    ground.write(&second, 0, 1, &numbers(0, 60)).await;
    ground.expire(&second, 0, 50).await;
    let progress = job.drain(&options).await.unwrap();
    let mut end = offsets(&first, &[(0, 5)]);
    end.extend(offsets(&second, &[(0, 55)]));
    assert_eq!(progress[0].source.end, Some(end));
    assert_eq!(progress.iter().map(|batch| batch.input_rows).sum::<u64>(), 20);
}

pub(crate) async fn b191_as_many_batches_stay_in_the_logs_as_the_option_says(ground: &Ground) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &numbers(0, 5)).await;
    let one = ("maxOffsetsPerTrigger", "1");
    let retain = ("spark.sql.streaming.minBatchesToRetain", "2");
    let job = Job::at(ground);
    job.drain(&[("subscribe", &*t), EARLIEST, one, retain]).await.unwrap();
    assert_eq!(job.offsets().len(), 5);
    for log in ["offsets", "commits"] {
        let files = std::fs::read_dir(job.checkpoint().join(log)).unwrap();
        let mut batches: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        batches.sort();
        assert_eq!(batches, ["2", "3", "4"], "{log}");
    }
}
