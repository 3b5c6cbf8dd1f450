//! Producers that are shared and kept between batches: one for each configuration, never closed while somebody holds it.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use common::{World, numbers, once, pair_options};
use klamm_client::producer::{Producer, ProducerOptions};
use klamm_client::{Client, Config, ErrorKind};
use klamm_connector::offsets::PartitionOffsets;
use klamm_connector::options::{ProducerPoolOptions, SinkOptions};
use klamm_connector::sink::{
    Batch, BatchWrite, KafkaSink, PooledProducer, ProducerKey, ProducerPool, RowStream, Sink,
};
use klamm_protocol::api::ApiKey;
use klamm_protocol::records::RecordParts;
use klamm_testkit::control::Intercept;

async fn client(world: &World) -> Client {
    Client::connect(Config::new(&world.cluster.bootstrap()).unwrap()).await.unwrap()
}

/// A pool that nobody looks at but the test.
fn pool(timeout: Duration) -> ProducerPool {
    ProducerPool::new(&ProducerPoolOptions { timeout, look_every: None })
}

fn key(pairs: &[(&str, &str)]) -> ProducerKey {
    ProducerKey::new(pairs.iter().copied())
}

fn acquire(pool: &ProducerPool, client: &Client, key: &ProducerKey) -> PooledProducer {
    pool.acquire(key, || client.producer(ProducerOptions::default())).unwrap()
}

/// Whether a producer was closed; one that was not gets a record.
async fn is_closed(producer: &Producer) -> bool {
    // Closing has a task of its own, which has to have its turn first.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    match producer.append("a", None, RecordParts::new(1, None, Some(b"x"))).await {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            true
        }
    }
}

const NEVER: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(300);
const ALL: &[(&str, &str)] = &[("bootstrap.servers", "h:1"), ("acks", "all")];

#[tokio::test]
async fn b208_the_same_options_in_any_order_are_the_same_producer() {
    let world = World::new(&[("a", 1)]).await;
    let (client, pool) = (client(&world).await, pool(NEVER));
    let (one, other) = (key(ALL), key(&[("acks", "all"), ("bootstrap.servers", "h:1")]));
    assert_eq!(pool.references(&one), None);
    let first = acquire(&pool, &client, &one);
    assert_eq!(pool.references(&one), Some(1));
    let second = acquire(&pool, &client, &other);
    assert_eq!((pool.references(&one), pool.len()), (Some(2), 1));
    assert_eq!(first.id(), second.id());
    let id = first.id();
    drop(first);
    assert_eq!(pool.references(&one), Some(1));
    drop(second);
    assert_eq!(pool.references(&one), Some(0));
    assert_eq!(acquire(&pool, &client, &one).id(), id, "the same one again");
}

#[tokio::test]
async fn b209_another_value_of_any_option_is_another_producer() {
    let world = World::new(&[("a", 1)]).await;
    let (client, pool) = (client(&world).await, pool(NEVER));
    let all = acquire(&pool, &client, &key(ALL));
    let one = acquire(&pool, &client, &key(&[("bootstrap.servers", "h:1"), ("acks", "1")]));
    assert_ne!(all.id(), one.id());
    assert_eq!(pool.len(), 2);
}

#[tokio::test]
async fn a_producer_that_takes_no_record_any_more_is_not_handed_out_again() {
    let world = World::new(&[("a", 1)]).await;
    let (client, pool, key) = (client(&world).await, pool(NEVER), key(ALL));
    let first = acquire(&pool, &client, &key);
    first.producer().close(Duration::from_secs(5)).await.unwrap();
    let second = acquire(&pool, &client, &key);
    assert!(first.id() != second.id() && !second.producer().is_closed());
    drop(first);
    assert_eq!((pool.len(), pool.references(&key)), (1, Some(1)), "the old one is nobody's");
}

#[tokio::test]
async fn b210_what_is_in_use_is_never_closed_and_what_is_idle_for_too_long_is() {
    let world = World::new(&[("a", 1)]).await;
    let (client, pool, key) = (client(&world).await, pool(SHORT), key(ALL));
    let held = acquire(&pool, &client, &key);
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(pool.evict(), 0);
    assert_eq!(pool.references(&key), Some(1));
    let producer = held.producer().clone();
    drop(held);
    assert_eq!(pool.evict(), 0, "it is idle since now");
    assert!(!is_closed(&producer).await);
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(pool.evict(), 1);
    assert!(pool.is_empty());
    assert!(is_closed(&producer).await);
    // The pool's own task does the same.
    let options = ProducerPoolOptions { timeout: SHORT, look_every: Some(SHORT) };
    let pool = ProducerPool::new(&options);
    drop(acquire(&pool, &client, &key));
    let emptied = async {
        while !pool.is_empty() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(60 * SHORT, emptied).await.unwrap();
}

#[test]
fn b211_a_hundred_threads_share_one_producer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new(&[("a", 1)]));
    let (client, key) = (runtime.block_on(client(&world)), key(ALL));
    let options = ProducerPoolOptions { timeout: Duration::ZERO, look_every: None };
    let pool = ProducerPool::new(&options);
    // Somebody holds it all the time, and nothing that is in use is closed.
    let first = {
        let _inside = runtime.enter();
        acquire(&pool, &client, &key)
    };
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let _inside = runtime.enter();
                for _ in 0..500 {
                    let held = acquire(&pool, &client, &key);
                    assert!(pool.references(&key).unwrap() > 0);
                    assert_eq!((held.id(), pool.evict()), (0, 0));
                }
            });
        }
    });
    assert_eq!((pool.made(), pool.references(&key)), (1, Some(1)));
    drop(first);
    assert_eq!((pool.made(), pool.references(&key)), (1, Some(0)));
}

#[tokio::test]
async fn b212_what_the_pool_does_not_know_is_closed_when_nobody_holds_it() {
    let world = World::new(&[("a", 1)]).await;
    let (client, pool, key) = (client(&world).await, pool(NEVER), key(ALL));
    let (held, also) = (acquire(&pool, &client, &key), acquire(&pool, &client, &key));
    pool.clear();
    assert!(pool.is_empty());
    let next = acquire(&pool, &client, &key);
    assert_ne!(next.id(), held.id());
    let producer = held.producer().clone();
    drop(held);
    assert!(!is_closed(&producer).await, "somebody holds it still");
    drop(also);
    assert!(is_closed(&producer).await);
    assert_eq!(pool.references(&key), Some(1), "what was forgotten does not count");
    assert!(!is_closed(next.producer()).await);
}

#[tokio::test]
async fn b213_a_renewed_token_is_another_producer_and_the_old_one_ages_out() {
    let world = World::new(&[("a", 1)]).await;
    let (client, pool) = (client(&world).await, pool(SHORT));
    let login = |token: &str| {
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        format!(
            "{module} required tokenauth=true username=\"{token}\" password=\"secret-{token}\";"
        )
    };
    let key = |token: &str| {
        let login = login(token);
        let pairs = [("kafka.bootstrap.servers", "h:1"), ("kafka.sasl.jaas.config", &login)];
        ProducerKey::of(&SinkOptions::from_pairs(pairs).unwrap())
    };
    let (old, renewed) = (key("t1"), key("t2"));
    assert!(!format!("{old:?}").contains("secret"), "{old:?}");
    let first = acquire(&pool, &client, &old);
    let second = acquire(&pool, &client, &renewed);
    assert_ne!(first.id(), second.id());
    // Where tokens come from counts, too.
    let server = ("kafka.bootstrap.servers", "h:1");
    let without = ProducerKey::of(&SinkOptions::from_pairs([server]).unwrap());
    let auth = ("spark.kafka.clusters.one.auth.bootstrap.servers", "h:2");
    assert_ne!(without, ProducerKey::of(&SinkOptions::from_pairs([server, auth]).unwrap()));
    let producer = first.producer().clone();
    drop(first);
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(pool.evict(), 1);
    assert_eq!((pool.references(&old), pool.references(&renewed)), (None, Some(1)));
    assert!(is_closed(&producer).await);
}

fn rows(value: &str) -> RowStream {
    let values: ArrayRef = Arc::new(StringArray::from(vec![value]));
    once(RecordBatch::try_from_iter([("value", values)]).unwrap())
}

async fn write(sink: &mut KafkaSink, id: i64) {
    let end = PartitionOffsets::new();
    let batch = Batch::new(id, &end, Vec::new(), |_| rows(&id.to_string()));
    assert_eq!(sink.write_batch(batch).await.unwrap().rows, 1);
}

#[tokio::test]
async fn a_sink_goes_on_with_its_producer_until_it_was_idle_for_too_long() {
    let world = World::new(&[("a", 1)]).await;
    let count = |key| world.cluster.with(|cluster| cluster.intercept(Intercept::on(key)));
    let made = count(ApiKey::InitProducerId);
    let options =
        pair_options(&world, &[("topic", "a"), ("spark.kafka.producer.cache.timeout", "300ms")]);
    let mut sink = KafkaSink::connect(&options).await.unwrap();
    write(&mut sink, 0).await;
    write(&mut sink, 1).await;
    assert_eq!(sink.pool().evict(), 0);
    assert_eq!(world.cluster.with(|cluster| cluster.control().matched(made)), 1);
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(sink.pool().evict(), 1);
    write(&mut sink, 2).await;
    assert_eq!(world.cluster.with(|cluster| cluster.control().matched(made)), 2);
    assert_eq!(world.values(&[("subscribe", "a")]).await.unwrap(), numbers(0, 3));
}

#[tokio::test]
async fn sinks_of_one_pool_with_the_same_options_share_a_producer() {
    let world = World::new(&[("a", 1), ("b", 1)]).await;
    let pool = pool(NEVER);
    for (topic, linger) in [("a", "0"), ("b", "0"), ("a", "1")] {
        let options = pair_options(&world, &[("topic", topic), ("kafka.linger.ms", linger)]);
        let write = BatchWrite::new(&options).with_pool(&pool);
        assert_eq!(write.rows(rows("1")).await.unwrap().rows, 1);
    }
    assert_eq!((pool.made(), pool.len()), (2, 2));
    let ids: BTreeSet<_> =
        world.values(&[("subscribe", "a,b")]).await.unwrap().into_iter().collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_write_that_is_given_up_gives_its_producer_back() {
    let world = World::new(&[("a", 1)]).await;
    let pool = pool(NEVER);
    let options = pair_options(&world, &[("topic", "a")]);
    let (sender, endless) = common::channel();
    sender
        .send(Ok(RecordBatch::try_from_iter([(
            "value",
            Arc::new(StringArray::from(vec!["1"])) as ArrayRef,
        )])
        .unwrap()))
        .await
        .unwrap();
    let mut write = Box::pin(BatchWrite::new(&options).with_pool(&pool).rows(endless));
    let key = ProducerKey::of(&options);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while pool.references(&key) != Some(1) {
        assert!(std::time::Instant::now() < until, "no producer is taken");
        tokio::select! {
            _ = &mut write => panic!("its rows have no end"),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    drop(write);
    assert_eq!(pool.references(&key), Some(0));
}
