//! Offsets without a record: markers, aborted and open transactions, and what the cleaner has removed.

use klamm_client::config::Isolation;
use klamm_client::producer::TransactionalProducer;
use klamm_connector::query::QueryProgress;
use klamm_protocol::records::RecordParts;

use crate::common::job::Job;
use crate::common::numbers;
use crate::ground::{COMPACT, Ground, append, each, now_ms, offsets};

const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");
const COMMITTED: (&str, &str) = ("kafka.isolation.level", "read_committed");
const THREE: (&str, &str) = ("maxOffsetsPerTrigger", "3");

/// A transaction whose values are the offsets from `first` on, with its marker.
async fn transact(
    ground: &Ground,
    producer: &mut TransactionalProducer,
    topic: &str,
    (first, until): (i32, i32),
    commit: bool,
) {
    let transaction = producer.begin().await.unwrap();
    append(&transaction, topic, &numbers(first, until)).await;
    if commit {
        transaction.commit().await.unwrap();
    } else {
        transaction.abort().await.unwrap();
    }
    ground.settled(topic, i64::from(until) + 1).await;
}

pub(crate) async fn b092_b147_a_marker_takes_an_offset_and_is_no_row(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let mut producer = ground.transactional("x");
    let mut ends = Vec::new();
    for (first, commit) in [(0, true), (6, false), (12, true)] {
        transact(ground, &mut producer, &t, (first, first + 5), commit).await;
        ends.push(ground.end(&t, 0, Isolation::ReadUncommitted).await);
    }
    assert_eq!(ends, [6, 12, 18]);
    for (options, rows) in [(&[COMMITTED][..], 10), (&[], 15)] {
        let all = [&[("subscribe", &*t), EARLIEST], options].concat();
        let progress = Job::at(ground).drain(&all).await.unwrap();
        assert_eq!(progress.len(), 1);
        assert_eq!(progress[0].source.end, Some(offsets(&t, &[(0, 18)])));
        assert_eq!(progress[0].input_rows, rows);
    }
}

/// The log of 25 offsets with markers, aborted and committed transactions; what batches of three offsets give after
/// each step.
async fn steps(ground: &Ground, options: &[(&str, &str)]) -> Vec<Vec<Vec<i64>>> {
    let t = ground.create("t", 1).await;
    let options = [&[("subscribe", &*t), EARLIEST, THREE], options].concat();
    let job = Job::at(ground);
    let mut seen = Vec::new();
    let mut read = async || {
        job.drain(&options).await.unwrap();
        seen.push(job.offsets());
    };
    let mut producer = ground.transactional("x");
    let transaction = producer.begin().await.unwrap();
    append(&transaction, &t, &numbers(0, 5)).await;
    read().await;
    transaction.commit().await.unwrap();
    ground.settled(&t, 6).await;
    read().await;
    for transactions in [
        &[((6, 11), false)][..],
        &[((12, 17), true)],
        &[((18, 19), true), ((20, 21), true), ((22, 24), true)],
    ] {
        for (offsets, commit) in transactions {
            transact(ground, &mut producer, &t, *offsets, *commit).await;
        }
        read().await;
    }
    seen
}

pub(crate) async fn b148_b149_b150_b151_only_committed_records_come_and_offsets_go_on_beyond_the_others(
    ground: &Ground,
) {
    let seen = steps(ground, &[COMMITTED]).await;
    // Nothing is stable yet: the first batch is empty.
    assert_eq!(seen[0], [NONE]);
    assert_eq!(seen[1], [vec![0, 1, 2], vec![3, 4]]);
    assert_eq!(seen[2], [NONE, NONE]);
    assert_eq!(seen[3], [vec![12, 13, 14], vec![15, 16]]);
    assert_eq!(seen[4], [vec![18, 20], vec![22, 23], NONE]);
}

pub(crate) async fn b152_uncommitted_records_come_too_but_never_markers(ground: &Ground) {
    let seen = steps(ground, &[]).await;
    assert_eq!(seen[0], [vec![0, 1, 2], vec![3, 4]]);
    assert_eq!(seen[1], [NONE]);
    assert_eq!(seen[2], [vec![6, 7, 8], vec![9, 10]]);
    assert_eq!(seen[3], [vec![12, 13, 14], vec![15, 16]]);
    assert_eq!(seen[4], [vec![18, 20], vec![22, 23], NONE]);
}

pub(crate) async fn b126_limits_count_offsets_and_not_rows(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let mut producer = ground.transactional("x");
    transact(ground, &mut producer, &t, (0, 5), false).await;
    transact(ground, &mut producer, &t, (6, 8), true).await;
    let job = Job::at(ground);
    let options = [("subscribe", &*t), EARLIEST, COMMITTED, ("maxOffsetsPerTrigger", "4")];
    let progress = job.drain(&options).await.unwrap();
    let rows = |batch: &QueryProgress| (batch.input_rows, batch.source.end.clone().unwrap());
    let at = |offset| offsets(&t, &[(0, offset)]);
    let expected = [(0, at(4)), (2, at(8)), (0, at(9))];
    assert_eq!(progress.iter().map(rows).collect::<Vec<_>>(), expected);
}

pub(crate) async fn b153_b154_a_batch_reads_what_counts_by_then(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let committed = [("subscribe", &*t), COMMITTED];
    let mut producer = ground.transactional("x");
    let mut counts = Vec::new();
    for (first, commit) in [(0, true), (6, false), (12, true)] {
        let transaction = producer.begin().await.unwrap();
        append(&transaction, &t, &numbers(first, first + 5)).await;
        let stable = ground.values(&committed).await.unwrap().len();
        let all = ground.values(&committed[..1]).await.unwrap().len();
        if commit {
            transaction.commit().await.unwrap();
        } else {
            transaction.abort().await.unwrap();
        }
        ground.settled(&t, i64::from(first) + 6).await;
        counts.push((stable, all, ground.values(&committed).await.unwrap().len()));
    }
    assert_eq!(counts, [(0, 5, 5), (5, 10, 5), (5, 15, 10)]);
    // Nothing but what was aborted.
    let (start, end) = (each(&t, &[(0, 7)]), each(&t, &[(0, 12)]));
    let hidden = [committed[0], COMMITTED, ("startingOffsets", &*start), ("endingOffsets", &end)];
    assert!(ground.values(&hidden).await.unwrap().is_empty());
}

/// Every cut of the log gives what is visible in it, and no neighbour.
async fn every_cut(ground: &Ground, topic: &str, end: i64, visible: &[i64]) {
    for from in 0..end {
        for until in from + 1..=end {
            let (start, stop) = (each(topic, &[(0, from)]), each(topic, &[(0, until)]));
            let limits = [("startingOffsets", &*start), ("endingOffsets", &*stop)];
            let options = [&[("subscribe", topic), COMMITTED], &limits[..]].concat();
            let rows = ground.read(&options).await.unwrap();
            let offsets: Vec<_> = rows.into_iter().map(|(_, offset, _)| offset).collect();
            let inside = visible.iter().filter(|at| (from..until).contains(at)).copied();
            assert_eq!(offsets, inside.collect::<Vec<_>>(), "[{from},{until})");
        }
    }
}

pub(crate) async fn b155_a_range_whose_first_or_last_offset_is_invisible_loses_no_neighbour(
    ground: &Ground,
) {
    let t = ground.create("t", 1).await;
    let mut producer = ground.transactional("x");
    transact(ground, &mut producer, &t, (0, 2), false).await;
    transact(ground, &mut producer, &t, (3, 5), true).await;
    ground.write(&t, 0, 1, &["6", "7"]).await;
    transact(ground, &mut producer, &t, (8, 9), false).await;
    every_cut(ground, &t, 10, &[3, 4, 6, 7]).await;
}

pub(crate) async fn b138_gaps_of_the_cleaner_are_no_loss(ground: &Ground) {
    let records =
        [("a", "0"), ("a", "1"), ("b", "2"), ("c", "3"), ("c", "4"), ("b", "5"), ("b", "6")];
    let t = ground.compacted("t", &records).await;
    every_cut(ground, &t, 8, &[1, 4, 6, 7]).await;
    let job = Job::at(ground);
    job.drain(&[("subscribe", &*t), EARLIEST, THREE]).await.unwrap();
    assert_eq!(job.offsets(), [vec![1], vec![4], vec![6, 7]]);
}

/// What the cleaner leaves of transactions: markers, batches without a record, and aborted records that nothing follows.
pub(crate) async fn b138_b149_gaps_of_the_cleaner_among_transactions_are_no_loss(ground: &Ground) {
    let t = ground.named("t");
    ground.make(&t, 1, &COMPACT).await;
    let mut producer = ground.transactional("x");
    for (keys, commit) in [("ab", true), ("ac", false), ("b", true), ("d", false), ("a", true)] {
        let transaction = producer.begin().await.unwrap();
        for key in keys.chars().map(String::from) {
            let record = RecordParts::new(1, Some(key.as_bytes()), Some(b"v"));
            let _ = transaction.append(&t, Some(0), record).await.unwrap();
        }
        transaction.flush().await.unwrap();
        if commit {
            transaction.commit().await.unwrap();
        } else {
            transaction.abort().await.unwrap();
        }
    }
    // 0 1 and their marker, 3 4 aborted, 6, 8 aborted, 10, 12 behind all: of keys and commits, 6 and 10 are left.
    ground.settled(&t, 12).await;
    ground.clean(&t, now_ms() + 100_000, 3).await;
    every_cut(ground, &t, 13, &[6, 10, 12]).await;
}

/// A compressed batch is stored and sent as one, wherever a range begins in it.
pub(crate) async fn b140_records_of_a_batch_outside_of_the_range_are_left_out(ground: &Ground) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &numbers(0, 10)).await;
    let (start, end) = (each(&t, &[(0, 3)]), each(&t, &[(0, 7)]));
    let limits = [("startingOffsets", &*start), ("endingOffsets", &*end)];
    let values = ground.values(&[("subscribe", &*t), limits[0], limits[1]]).await.unwrap();
    assert_eq!(values, numbers(3, 7));
}

pub(crate) async fn b156_what_was_fetched_beyond_a_batch_comes_in_the_next_and_only_there(
    ground: &Ground,
) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &numbers(0, 8)).await;
    let job = Job::at(ground);
    job.drain(&[("subscribe", &*t), EARLIEST, ("maxOffsetsPerTrigger", "4")]).await.unwrap();
    assert_eq!(job.offsets(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
}

pub(crate) async fn b158_nulls_inside_of_transactions_come_as_nulls(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let mut producer = ground.transactional("x");
    let transaction = producer.begin().await.unwrap();
    for (key, value) in [(None, None), (Some(&b"k"[..]), None), (None, Some(&b"v"[..]))] {
        let _ = transaction.append(&t, Some(0), RecordParts::new(1, key, value)).await.unwrap();
    }
    transaction.commit().await.unwrap();
    ground.settled(&t, 4).await;
    let rows = ground.read(&[("subscribe", &t), COMMITTED]).await.unwrap();
    assert_eq!(rows, [(0, 0, None), (0, 1, None), (0, 2, Some("v".into()))]);
}

/// A batch without rows.
const NONE: Vec<i64> = Vec::new();
