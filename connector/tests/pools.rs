//! What a query's micro-batches cost the brokers: readers that go on with their connections and sessions, batches that
//! are not fetched twice, and what becomes of both when something fails.

mod common;

use common::{World, collect, numbers, refs};
use klamm_client::consumer::{OffsetRange as Wanted, ReadOptions};
use klamm_client::{Client, Config};
use klamm_connector::error::{ErrorKind, Result};
use klamm_connector::offsets::TopicPartition;
use klamm_connector::offsets::range::OffsetRange;
use klamm_connector::options::{PoolOptions, ReadMode};
use klamm_connector::source::pool::{Pools, ReaderKey, ReaderLease, ReaderPool};
use klamm_connector::source::{KafkaSource, StreamSource as _};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::header::{decode_request, decode_request_header};
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_testkit::control::Intercept;

fn range(from: i64, until: i64) -> OffsetRange {
    OffsetRange::new(TopicPartition::new("t", 0), from, until)
}

async fn client(world: &World) -> Client {
    Client::connect(Config::new(&world.cluster.bootstrap()).unwrap()).await.unwrap()
}

async fn source(world: &World, client: &Client) -> KafkaSource {
    let options = world.options(ReadMode::Stream, &[("subscribe", "t")]).unwrap();
    KafkaSource::new(client.clone(), options)
}

async fn values(source: &mut KafkaSource, from: i64, until: i64) -> Result<Vec<String>> {
    let rows = collect(source.read(vec![range(from, until)])).await?;
    Ok(rows.into_iter().map(|(_, _, value)| value.unwrap()).collect())
}

fn fetches(client: &Client) -> u64 {
    let of = |api: &klamm_client::net::counters::ApiCounters| api.requests;
    let brokers = client.counters().brokers.into_iter();
    brokers.map(|broker| broker.apis.get(&ApiKey::Fetch).map_or(0, of)).sum()
}

fn opened(client: &Client) -> u64 {
    client.counters().brokers.iter().map(|broker| broker.opened).sum()
}

#[tokio::test]
async fn micro_batches_go_on_with_one_connection_and_one_session() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &["first"]);
    let client = client(&world).await;
    let mut source = source(&world, &client).await;
    assert_eq!(values(&mut source, 0, 1).await.unwrap(), ["first"]);
    let (before, connections) = (fetches(&client), opened(&client));
    for offset in 1..21 {
        let value = offset.to_string();
        world.append("t", 0, 1, &[&value]);
        assert_eq!(values(&mut source, offset, offset + 1).await.unwrap(), [value]);
    }
    assert_eq!(fetches(&client) - before, 20, "one request a batch");
    assert_eq!(opened(&client), connections);
    let readers = source.pools().readers.counters();
    assert_eq!((readers.created, readers.reused, readers.total()), (1, 20, 1));
}

#[tokio::test]
async fn what_was_fetched_and_not_asked_for_is_not_fetched_again() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 500)));
    let client = client(&world).await;
    let mut source = source(&world, &client).await;
    let mut all = Vec::new();
    for from in (0..500).step_by(5) {
        all.extend(values(&mut source, from, from + 5).await.unwrap());
    }
    assert_eq!(all, numbers(0, 500));
    assert_eq!(fetches(&client), 1, "a hundred batches of one record batch");
    let fetched = source.pools().fetched.counters();
    assert_eq!((fetched.created, fetched.reused, fetched.total()), (1, 99, 0));
}

#[tokio::test]
async fn b146_b200_after_a_failure_nothing_warm_is_used() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 10)));
    let client = client(&world).await;
    let mut source = source(&world, &client).await;
    values(&mut source, 0, 5).await.unwrap();
    assert_eq!(source.pools().fetched.counters().idle, 1);
    // An end that never comes: the read fails, and with it goes what was kept.
    let error = values(&mut source, 3, 12).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(source.pools().readers.counters().total(), 0);
    assert_eq!(source.pools().fetched.counters().total(), 0);
    assert_eq!(values(&mut source, 5, 10).await.unwrap(), numbers(5, 10));
    assert_eq!(source.pools().readers.counters().created, 2);
    // The same asked of the pool itself.
    let (pool, key) = (ReaderPool::new(&PoolOptions::default()), key("g"));
    let options = ReadOptions::default();
    pool.lease(&key, 0, (&client, &[]), &options).unwrap().give_back();
    pool.lease(&key, 0, (&client, &[]), &options).unwrap().give_back();
    assert_eq!(pool.counters().created, 1);
    pool.lease(&key, 1, (&client, &[]), &options).unwrap().give_back();
    assert_eq!((pool.counters().created, pool.counters().total()), (2, 1));
}

#[tokio::test]
async fn a_batch_that_is_given_up_leaves_no_half_read_range_behind() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 10)));
    let client = client(&world).await;
    let mut source = source(&world, &client).await;
    let mut rows = source.read(vec![range(0, 12)]);
    let first = klamm_connector::sink::next_rows(&mut rows).await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 10);
    drop(rows);
    assert_eq!(source.pools().readers.counters().total(), 0);
    assert_eq!(values(&mut source, 0, 10).await.unwrap(), numbers(0, 10));
}

#[tokio::test]
async fn a_reader_survives_a_lost_session_and_a_lost_connection() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 30)));
    let client = client(&world).await;
    let mut source = source(&world, &client).await;
    values(&mut source, 0, 1).await.unwrap();
    source.pools().fetched.close();
    let once = Intercept::on(ApiKey::Fetch).times(1);
    let lost = once.clone().fail(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    world.cluster.with(|cluster| cluster.intercept(lost));
    assert_eq!(values(&mut source, 1, 3).await.unwrap(), numbers(1, 3));
    let cut = once.with(klamm_testkit::control::Fault::Cut);
    world.cluster.with(|cluster| cluster.intercept(cut));
    assert_eq!(values(&mut source, 3, 5).await.unwrap(), numbers(3, 5));
    assert_eq!(source.pools().readers.counters().created, 1);
}

fn key(group: &str) -> ReaderKey {
    ReaderKey { group: group.into(), partition: Some(TopicPartition::new("t", 0)) }
}

#[tokio::test]
async fn b194_a_key_is_used_with_one_set_of_options_only() {
    let world = World::new(&[("t", 1)]).await;
    let (client, pool) = (client(&world).await, ReaderPool::new(&PoolOptions::default()));
    let set = |value: &str| vec![("sasl.password".to_owned(), value.to_owned())];
    let options = ReadOptions::default();
    let lease = |key: &ReaderKey, value| pool.lease(key, 0, (&client, &set(value)), &options);
    lease(&key("g"), "secret").unwrap().give_back();
    lease(&key("g"), "secret").unwrap().give_back();
    let error = lease(&key("g"), "other").unwrap_err();
    assert!(error.message().starts_with("Kafka parameters for same cache key should be equal."));
    assert!(error.message().ends_with("other values of: sasl.password"), "and never the values");
    lease(&key("another"), "other").unwrap().give_back();
    let of_partition =
        |partition| ReaderKey { partition: Some(TopicPartition::new("t", partition)), ..key("g") };
    lease(&of_partition(1), "other").unwrap().give_back();
    assert_eq!(pool.counters().total(), 3);
}

#[tokio::test]
async fn b201_readers_with_old_credentials_are_not_used_again() {
    let world = World::new(&[("t", 1)]).await;
    let (client, pool) = (client(&world).await, ReaderPool::new(&PoolOptions::default()));
    let options = ReadOptions::default();
    let lease = || pool.lease(&key("g"), 0, (&client, &[]), &options).unwrap();
    lease().give_back();
    lease().give_back();
    assert_eq!(pool.counters().created, 1);
    pool.renew();
    lease().give_back();
    assert_eq!((pool.counters().created, pool.counters().total()), (2, 1));
    lease().give_back();
    assert_eq!(pool.counters().created, 2);
}

#[tokio::test]
async fn b207_a_range_without_an_offset_is_refused() {
    let world = World::new(&[("t", 1)]).await;
    let (client, pool) = (client(&world).await, ReaderPool::new(&PoolOptions::default()));
    let options = ReadOptions::default();
    let mut lease = pool.lease(&key("g"), 0, (&client, &[]), &options).unwrap();
    for (start, stop) in [(5, 5), (6, 5)] {
        let error = lease.add(vec![wanted(start, stop)]).unwrap_err();
        let text = "offset must always be less than untilOffset";
        assert_eq!(error.message(), format!("{text} [offset: {start}, untilOffset: {stop}]"));
    }
}

#[tokio::test]
async fn b202_b262_many_at_once_read_each_what_they_ask_for() {
    let world = World::new(&[("t", 1)]).await;
    for n in 0..10 {
        world.append("t", 0, 1, &refs(&numbers(n * 100, n * 100 + 100)));
    }
    let (client, pools) = (client(&world).await, Pools::new(&PoolOptions::default()));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..100_u64 {
        let (client, pool) = (client.clone(), pools.readers.clone());
        tasks.spawn(async move {
            for turn in 0..500_u64 {
                let start = ((task * 7919 + turn * 104_729) % 990) as i64;
                let attempt = u32::from((task + turn) % 7 == 0);
                let options = ReadOptions::default();
                let mut lease = pool.lease(&key("g"), attempt, (&client, &[]), &options).unwrap();
                let read = offsets(&mut lease, start, start + 10).await;
                assert_eq!(read, (start..start + 10).collect::<Vec<_>>());
                lease.give_back();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let counters = pools.readers.counters();
    assert_eq!(counters.active, 0);
    assert_eq!(counters.created + counters.reused, 50_000);
    assert!(counters.idle <= 3);
}

async fn offsets(lease: &mut ReaderLease, start: i64, stop: i64) -> Vec<i64> {
    lease.add(vec![wanted(start, stop)]).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = lease.next().await {
        let batch = batch.unwrap();
        all.extend(batch.records().map(|record| record.unwrap().offset()));
    }
    all
}

fn wanted(start: i64, stop: i64) -> Wanted {
    Wanted { topic: "t".into(), partition: 0, start, stop }
}

#[tokio::test]
async fn a_kept_reader_opens_one_session_where_new_ones_open_one_each() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 30)));
    let client = client(&world).await;
    let rule = world.cluster.with(|cluster| cluster.intercept(Intercept::on(ApiKey::Fetch)));
    let mut seen = 0;
    let mut sessions = || {
        let frames: Vec<_> = world.cluster.with(|cluster| {
            let observed = cluster.control().observed(rule);
            observed.map(|one| (one.frame.clone(), one.api_version)).collect()
        });
        let epochs = frames.into_iter().skip(seen).map(|(frame, version)| {
            let (_, body) = decode_request_header(frame).unwrap();
            decode_request::<FetchRequest>(body, version).unwrap().session_epoch
        });
        let epochs: Vec<_> = epochs.collect();
        seen += epochs.len();
        (epochs.len(), epochs.iter().filter(|epoch| **epoch == 0).count())
    };
    for offset in 0..20 {
        let ranges = vec![wanted(offset, offset + 1)];
        let mut reader = client.read_ranges(ranges, ReadOptions::default());
        while let Some(batch) = reader.next().await {
            batch.unwrap();
        }
    }
    assert_eq!(sessions(), (20, 20), "requests, and sessions that they open");
    let mut source = source(&world, &client).await;
    source.pools().fetched.close();
    for offset in 0..20 {
        values(&mut source, offset, offset + 1).await.unwrap();
    }
    assert_eq!(sessions(), (20, 1));
}
