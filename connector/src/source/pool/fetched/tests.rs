use std::time::Duration;

use klamm_protocol::records::{BatchBuilder, BatchOptions, Inflater, RawBatch, RecordParts};

use super::*;

fn pool(timeout_ms: u64) -> FetchedPool {
    FetchedPool::new(&PoolOptions {
        fetched_timeout: Duration::from_millis(timeout_ms),
        fetched_look_every: None,
        ..PoolOptions::default()
    })
}

fn key(partition: i32) -> FetchedKey {
    FetchedKey { group: "g".into(), partition: TopicPartition::new("t", partition) }
}

/// A batch of ten records from `base` on, of which those before `until` were handed out.
fn fetched(base: i64, until: i64) -> FetchedBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..10 {
        builder.try_push(&RecordParts::new(1, None, Some(b"v"))).unwrap();
    }
    let raw = RawBatch::read(builder.seal().to_bytes()).unwrap().appended(base, 0, None);
    let batch = raw.open(&mut Inflater::new(), 1 << 20).unwrap();
    FetchedBatch { topic: "t".into(), partition: 0, batch, range: base..until }
}

/// Reads up to `until`, and keeps the rest.
fn read(pool: &FetchedPool, start: i64, until: i64) {
    match pool.acquire(&key(0), start) {
        Some(mut lease) => {
            let part = lease.part(until).unwrap();
            assert_eq!(part.range, start..until);
            lease.release(until);
        }
        None => pool.keep(&key(0), &fetched(start, until)),
    }
}

#[test]
fn b203_two_who_read_side_by_side_find_each_their_own_again() {
    let pool = pool(60_000);
    for (a, b) in [(0, 300), (5, 305)] {
        read(&pool, a, a + 4);
        read(&pool, b, b + 4);
        read(&pool, a + 4, a + 5);
        read(&pool, b + 4, b + 5);
    }
    let counters = pool.counters();
    assert_eq!((counters.created, counters.total()), (2, 0), "and at their ends they are used up");
    read(&pool, 20, 25);
    assert_eq!(pool.counters().total(), 1);
}

#[test]
fn b204_what_is_in_use_is_not_shared_and_what_is_idle_goes_to_whoever_asks() {
    let pool = pool(60_000);
    pool.keep(&key(0), &fetched(0, 5));
    let first = pool.acquire(&key(0), 5).unwrap();
    assert!(pool.acquire(&key(0), 5).is_none());
    pool.keep(&key(0), &fetched(0, 5));
    assert_eq!(pool.counters().created, 2);
    first.release(7);
    assert!(pool.acquire(&key(0), 7).is_some());
    assert!(pool.acquire(&key(1), 7).is_none(), "another partition");
    assert_eq!(pool.counters().created, 2);
}

#[tokio::test(start_paused = true)]
async fn b205_what_waits_for_longer_than_the_timeout_is_forgotten() {
    let pool = pool(2000);
    for id in 0..7 {
        pool.keep(&key(id), &fetched(0, 5));
    }
    let mut in_use: Vec<_> = (0..7).map(|id| pool.acquire(&key(id), 5).unwrap()).collect();
    let wait = async |ms| tokio::time::advance(Duration::from_millis(ms)).await;
    for _ in 0..3 {
        in_use.pop().unwrap().release(6);
        wait(500).await;
    }
    // Released at 0, 0.5 and 1 s; it is 1.5 s now.
    wait(600).await;
    for left in [6, 5, 4] {
        pool.0.evict();
        assert_eq!(pool.counters().total(), left);
        wait(500).await;
    }
    assert_eq!((pool.counters().created, pool.counters().evicted), (7, 3));
    in_use.into_iter().for_each(|lease| lease.release(6));
    assert_eq!(pool.counters().total(), 4, "coming back closes nothing by itself");
}

#[test]
fn nothing_is_kept_of_a_batch_that_was_handed_out_whole() {
    let pool = pool(60_000);
    pool.keep(&key(0), &fetched(0, 10));
    assert_eq!(pool.counters().created, 0);
}
