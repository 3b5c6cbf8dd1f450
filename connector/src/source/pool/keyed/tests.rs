use super::*;

type Numbers = Pool<(&'static str, u32), u64>;

fn pool(capacity: usize, timeout_ms: u64, look_ms: u64) -> Numbers {
    let ms = |ms| Some(Duration::from_millis(ms)).filter(|time| !time.is_zero());
    let limits =
        Limits { capacity, idle_per_key: 3, timeout: ms(timeout_ms), look_every: ms(look_ms) };
    Pool::new(limits)
}

fn lease(pool: &Numbers, id: u32) -> Lease<(&'static str, u32), u64> {
    pool.lease(&("g", id), |_| Fit::Take, || 0).unwrap()
}

fn idle_and_active(pool: &Numbers) -> (usize, usize) {
    let counters = pool.counters();
    (counters.idle, counters.active)
}

#[test]
fn b195_of_one_key_three_are_kept() {
    let pool = pool(16, 0, 0);
    let mut four: Vec<_> = (0..4).map(|_| lease(&pool, 0)).collect();
    assert_eq!(idle_and_active(&pool), (0, 4));
    for expected in [1, 2, 3] {
        four.pop().unwrap().give_back();
        assert_eq!(pool.counters().idle, expected);
    }
    four.pop().unwrap().give_back();
    assert_eq!(idle_and_active(&pool), (3, 0));
    assert_eq!(pool.counters().total(), 3);
}

#[test]
fn b196_of_many_keys_one_each_is_kept() {
    let pool = pool(16, 0, 0);
    let leases: Vec<_> = (0..12).map(|id| lease(&pool, id)).collect();
    assert_eq!(idle_and_active(&pool), (0, 12));
    leases.into_iter().for_each(Lease::give_back);
    assert_eq!(idle_and_active(&pool), (12, 0));
}

#[test]
fn b197_a_full_pool_gives_more() {
    let pool = pool(16, 0, 0);
    let _all: Vec<_> = (0..17).map(|id| lease(&pool, id)).collect();
    assert_eq!(idle_and_active(&pool), (0, 17));
}

#[test]
fn b198_a_full_pool_closes_the_oldest_that_are_idle() {
    let pool = pool(16, 0, 0);
    let mut all: Vec<_> = (0..16).map(|id| lease(&pool, id)).collect();
    all.drain(..3).for_each(Lease::give_back);
    assert_eq!(idle_and_active(&pool), (3, 13));
    let _one = lease(&pool, 100);
    let counters = pool.counters();
    assert_eq!((counters.idle, counters.active), (2, 14));
    assert!(counters.total() > 14);
    // The first that was given back is gone, the others are not.
    let created = counters.created;
    drop((lease(&pool, 1), lease(&pool, 2)));
    assert_eq!(pool.counters().created, created);
    drop(lease(&pool, 0));
    assert_eq!(pool.counters().created, created + 1);
}

#[tokio::test(start_paused = true)]
async fn b199_what_is_idle_for_too_long_is_closed_by_the_pools_own_task() {
    let pool = pool(64, 3000, 500);
    let mut leases: Vec<_> = (0..10).map(|id| lease(&pool, id)).collect();
    leases.drain(..5).for_each(Lease::give_back);
    assert_eq!(idle_and_active(&pool), (5, 5));
    tokio::time::sleep(Duration::from_millis(2900)).await;
    assert_eq!(idle_and_active(&pool), (5, 5));
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert_eq!(idle_and_active(&pool), (0, 5));
    assert_eq!(pool.counters().evicted, 5);
}

#[tokio::test(start_paused = true)]
async fn b199_at_most_ten_are_looked_at_in_one_go() {
    let pool = pool(64, 1000, 0);
    let leases: Vec<_> = (0..25).map(|id| lease(&pool, id)).collect();
    leases.into_iter().for_each(Lease::give_back);
    tokio::time::advance(Duration::from_millis(1001)).await;
    for left in [15, 5, 0] {
        pool.evict();
        assert_eq!(pool.counters().idle, left);
    }
}

#[test]
fn b206_invalidating_a_key_forgets_what_is_idle_and_what_is_active_of_it() {
    let pool = pool(16, 0, 0);
    let (one, two, other) = (lease(&pool, 0), lease(&pool, 0), lease(&pool, 1));
    one.give_back();
    assert_eq!(pool.counters().total(), 3);
    pool.invalidate(&("g", 0));
    assert_eq!(idle_and_active(&pool), (0, 1));
    two.give_back();
    assert_eq!(idle_and_active(&pool), (0, 1), "it came too late and is closed");
    other.give_back();
    assert_eq!(idle_and_active(&pool), (1, 0));
    lease(&pool, 0).give_back();
    assert_eq!(pool.counters().created, 4);
}

#[test]
fn b270_a_closed_pool_takes_back_but_gives_nothing() {
    let pool = pool(16, 0, 0);
    let (one, two) = (lease(&pool, 0), lease(&pool, 1));
    one.give_back();
    pool.close();
    let refused = pool.lease(&("g", 0), |_| Fit::Take, || 0);
    assert_eq!(refused.unwrap_err().message(), "the pool is closed");
    two.give_back();
    assert_eq!(pool.counters().total(), 0);
}

#[test]
fn a_lease_that_is_dropped_brings_nothing_back() {
    let pool = pool(16, 0, 0);
    drop(lease(&pool, 0));
    assert_eq!(idle_and_active(&pool), (0, 0));
    assert_eq!(pool.counters().invalidated, 1);
}

#[test]
fn the_one_used_last_is_used_next_and_what_is_unfit_is_closed() {
    let pool = pool(16, 0, 0);
    let make = |value| pool.lease(&("g", 0), |_| Fit::Leave, || value).unwrap();
    let (one, two, three) = (make(1), make(2), make(3));
    one.give_back();
    three.give_back();
    two.give_back();
    let mut next = pool.lease(&("g", 0), |_| Fit::Take, || 9).unwrap();
    assert_eq!(next.value().copied(), Some(2));
    let odd = |value: &u64| if *value == 1 { Fit::Take } else { Fit::Close };
    let mut next = pool.lease(&("g", 0), odd, || 9).unwrap();
    assert_eq!(next.value().copied(), Some(1));
    assert_eq!(pool.counters().invalidated, 1);
}
