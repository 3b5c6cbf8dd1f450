//! The direct API on an embedded cluster: what a stream's batches hold, where partitions start, what is committed, and
//! what ranges give that are read on demand.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::direct::{EARLIEST, GAPS, GROUP, SECOND, limits, options, starts, stream, tp, values};
use common::{World, collect, numbers, refs};
use klamm_client::{Client, Config, TopicPartition as Asked};
use klamm_connector::direct::{
    ConsumerStrategy, DirectStream, Executor, LocationStrategy, RangeRead, StrategyFuture,
    Subscribe,
};
use klamm_connector::offsets::range::OffsetRange;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::control::Intercept;

/// A world whose topics have one partition with `count` records each.
async fn filled(topics: &[&str], count: i32) -> World {
    let sizes: Vec<_> = topics.iter().map(|topic| (*topic, 1)).collect();
    let world = World::new(&sizes).await;
    for topic in topics {
        world.append(topic, 0, 1, &refs(&numbers(0, count)));
    }
    world
}

#[tokio::test]
async fn b240_a_restored_stream_gives_unfinished_batches_again_as_they_were() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(1, 11)));
    let mut one = stream(&world, Subscribe::to(["t"]), &[EARLIEST]).await;
    let batch = one.compute().await.unwrap();
    let first = values(batch.read()).await;
    one.complete(batch);
    world.append("t", 0, 1, &refs(&numbers(11, 16)));
    let given_out = one.compute().await.unwrap();
    let text = serde_json::to_string(&one.state()).unwrap();
    drop(one);
    world.append("t", 0, 1, &refs(&numbers(16, 21)));
    let state = serde_json::from_str(&text).unwrap();
    let mut two = stream(&world, Subscribe::to(["t"]), &[EARLIEST]).await.with_state(state);
    let again = two.compute().await.unwrap();
    assert_eq!(again.info().time, given_out.info().time);
    assert_eq!(again.ranges(), given_out.ranges());
    let next = two.compute().await.unwrap();
    assert!(next.info().time > again.info().time);
    let sum = |values: &[String]| values.iter().map(|n| n.parse::<i32>().unwrap()).sum::<i32>();
    let all = [first, values(again.read()).await, values(next.read()).await].concat();
    assert_eq!((all.len(), sum(&all)), (20, 210));
}

#[tokio::test]
async fn b241_commits_wait_for_the_next_batch_and_go_to_the_streams_own_group() {
    let world = filled(&["t"], 16).await;
    let client = Client::connect(Config::new(&world.cluster.bootstrap()).unwrap()).await.unwrap();
    let stored = async || {
        let found = client.committed_offsets("g", None).await.unwrap();
        found.get(&Asked::new("t", 0)).map(|position| position.offset)
    };
    let mut stream = stream(&world, Subscribe::to(["t"]), &[EARLIEST, GROUP]).await;
    let batch = stream.compute().await.unwrap();
    let receipt = stream.commit_async(batch.ranges());
    let lower = stream.committer().commit_async(&[OffsetRange::new(tp("t", 0), 0, 4)]);
    assert_eq!(stored().await, None, "only queued so far");
    let second = stream.compute().await.unwrap();
    assert_eq!(receipt.await.unwrap(), starts(&[("t", 0, 16)]));
    assert!(lower.await.is_ok());
    assert_eq!(stored().await, Some(16));
    // What fails is told, stays queued, and is reported or stored in the end.
    world.append("t", 0, 1, &["more"]);
    let third = stream.compute().await.unwrap();
    let denied = ErrorCode::GROUP_AUTHORIZATION_FAILED;
    let refusal = Intercept::on(ApiKey::OffsetCommit).times(1).fail(denied);
    world.cluster.with(|cluster| cluster.intercept(refusal));
    let refused = stream.commit_async(third.ranges());
    let fourth = stream.compute().await.unwrap();
    assert!(refused.await.is_err());
    assert_eq!(stored().await, Some(16));
    assert!(stream.close().await.is_empty());
    assert_eq!(stored().await, Some(17));
    drop((second, fourth));
}

#[tokio::test]
async fn b241_what_was_queued_and_not_sent_is_reported_at_the_end() {
    let world = filled(&["t"], 4).await;
    let mut stream = stream(&world, Subscribe::to(["t"]), &[EARLIEST, GROUP]).await;
    let batch = stream.compute().await.unwrap();
    let dropped = stream.commit_async(batch.ranges());
    drop(stream);
    let error = dropped.await.unwrap_err();
    assert!(error.message().contains("t-0"), "{error}");
}

#[tokio::test]
async fn b242_b248_a_rate_limits_every_partition_of_a_batch() {
    let world = filled(&["a", "b"], 30).await;
    let rate = ("spark.streaming.kafka.maxRatePerPartition", "20");
    let mut stream = stream(&world, Subscribe::to(["a", "b"]), &[EARLIEST, rate]).await;
    assert_eq!(limits(&stream.compute().await.unwrap()), [(0, 20), (0, 20)]);
    assert_eq!(limits(&stream.compute().await.unwrap()), [(20, 30), (20, 30)]);
    assert_eq!(limits(&stream.compute().await.unwrap()), [(30, 30), (30, 30)]);
}

#[tokio::test]
async fn b247_completed_batches_set_the_rate_of_the_next() {
    let world = filled(&["t"], 500).await;
    let pairs = [
        EARLIEST,
        ("spark.streaming.backpressure.enabled", "true"),
        ("spark.streaming.backpressure.initialRate", "100"),
        ("spark.streaming.backpressure.pid.minRate", "1"),
    ];
    let mut stream = stream(&world, Subscribe::to(["t"]), &pairs).await;
    let mut sizes = Vec::new();
    for ms in [2000, 4000, 1000] {
        let batch = stream.compute().await.unwrap();
        sizes.push(batch.info().records);
        tokio::time::sleep(Duration::from_millis(3)).await;
        stream.complete_after(batch, Duration::from_millis(ms));
    }
    // 100 in 2 s are 50 a second, known only after the second batch: 100 in 4 s are 25 a second.
    assert_eq!(sizes, [100, 100, 25]);
}

#[tokio::test]
async fn b250_a_batch_tells_the_same_count_from_beginning_to_end() {
    let world = filled(&["t"], 16).await;
    let mut stream = stream(&world, Subscribe::to(["t"]), &[EARLIEST]).await;
    let batch = stream.next().await.unwrap();
    let submitted = batch.info().clone();
    assert_eq!((submitted.records, submitted.processing_delay), (16, None));
    assert_eq!(submitted.description, "topic: t\tpartition: 0\toffsets: 0 to 16");
    let read = batch.read().collect().await.unwrap().len();
    let completed = stream.complete(batch);
    assert_eq!((read, completed.records), (16, 16));
    assert!(completed.processing_delay.is_some());
    assert_eq!(completed.time, submitted.time);
}

#[tokio::test]
async fn b252_the_ranges_belong_to_the_batch_and_rows_have_none() {
    let world = filled(&["t"], 5).await;
    let mut stream = stream(&world, Subscribe::to(["t"]), &[EARLIEST]).await;
    let batch = stream.compute().await.unwrap();
    assert_eq!(batch.ranges(), [OffsetRange::new(tp("t", 0), 0, 5)]);
    let rows = collect(batch.read().rows(false)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn b254_ranges_are_counted_without_reading_unless_offsets_may_be_missing() {
    let world = filled(&["t"], 4).await;
    let rule = world.cluster.with(|cluster| cluster.intercept(Intercept::on(ApiKey::Fetch)));
    let fetches = || world.cluster.with(|cluster| cluster.control().matched(rule));
    let read = common::direct::ranges(&world, "t", &[(0, 4)], &[]).await.unwrap();
    assert_eq!((read.count().await.unwrap(), read.is_empty().await.unwrap()), (4, false));
    assert_eq!(read.take(0).await.unwrap(), []);
    assert_eq!(fetches(), 0);
    let read = common::direct::ranges(&world, "t", &[(0, 4)], &[GAPS]).await.unwrap();
    assert_eq!((read.count().await.unwrap(), read.is_empty().await.unwrap()), (4, false));
    assert!(fetches() > 0);
}

#[tokio::test]
async fn b259_ranges_on_demand_cannot_prefer_brokers() {
    let world = filled(&["t"], 1).await;
    let brokers = LocationStrategy::PreferBrokers;
    let error = RangeRead::connect(options(&world, &[]), Vec::new(), brokers).await.unwrap_err();
    assert!(error.message().contains("Use PreferFixed"), "{error}");
}

#[tokio::test]
async fn b260_a_partition_keeps_its_worker_and_follows_its_host() {
    let world = World::new(&[("t", 4)]).await;
    let workers: Vec<_> = ["1", "2"].iter().map(|id| Executor::new("127.0.0.1", *id)).collect();
    let elsewhere = Executor::new("far", "1");
    let all = [workers.clone(), vec![elsewhere.clone()]].concat();
    let make = async |location| {
        let options = options(&world, &[EARLIEST]);
        DirectStream::connect(options, Subscribe::to(["t"]), location, SECOND).await.unwrap()
    };
    let mut consistent = make(LocationStrategy::PreferConsistent).await;
    let one = consistent.compute().await.unwrap();
    let two = consistent.compute().await.unwrap();
    assert_eq!(one.locations(&all), two.locations(&all));
    assert!(one.locations(&[]).iter().all(Option::is_none));
    let brokers = make(LocationStrategy::PreferBrokers).await.compute().await.unwrap();
    assert!(brokers.locations(&all).iter().all(|worker| worker.unwrap().host == "127.0.0.1"));
    let fixed = BTreeMap::from([(tp("t", 2), "far".to_owned())]);
    let fixed = make(LocationStrategy::PreferFixed(fixed)).await.compute().await.unwrap();
    assert_eq!(fixed.locations(&all)[2], Some(&elsewhere));
}

#[tokio::test]
async fn b262_readers_are_kept_while_they_are_idle_and_never_for_another_attempt() {
    let world = filled(&["t"], 16).await;
    let read = common::direct::ranges(&world, "t", &[(0, 8), (8, 16)], &[]).await.unwrap();
    let first = read.range(0).unwrap();
    let used = || {
        let counters = read.readers().unwrap();
        (counters.created, counters.reused, counters.idle)
    };
    first.collect().await.unwrap();
    assert_eq!(used(), (1, 0, 1));
    read.range(1).unwrap().collect().await.unwrap();
    first.take(3).await.unwrap();
    assert_eq!(used(), (1, 2, 1), "of one partition, whatever the offsets");
    first.again().collect().await.unwrap();
    assert_eq!(used(), (2, 2, 0), "the kept one is closed, and the new one not kept");
    let (one, two) = tokio::join!(first.collect(), first.collect());
    assert_eq!((one.unwrap().len(), two.unwrap().len()), (8, 8));
    assert_eq!(used(), (4, 2, 2), "one is busy, so there are two");
    let off = ("spark.streaming.kafka.consumer.cache.enabled", "false");
    let uncached = common::direct::ranges(&world, "t", &[(0, 8)], &[off]).await.unwrap();
    assert_eq!(uncached.collect().await.unwrap().len(), 8);
    assert_eq!(uncached.readers(), None);
}

#[tokio::test]
async fn b262_over_the_capacity_idle_readers_are_closed() {
    let world = World::new(&[("t", 6)]).await;
    (0..6).for_each(|id| world.append("t", id, 1, &["v"]));
    let capacity = ("spark.streaming.kafka.consumer.cache.maxCapacity", "4");
    let all = (0..6).map(|id| OffsetRange::new(tp("t", id), 0, 1)).collect();
    let consistent = LocationStrategy::PreferConsistent;
    let read = RangeRead::connect(options(&world, &[capacity]), all, consistent).await.unwrap();
    for index in 0..6 {
        assert_eq!(read.range(index).unwrap().collect().await.unwrap().len(), 1);
    }
    let counters = read.readers().unwrap();
    assert_eq!((counters.total(), counters.evicted), (4, 2));
}

#[test]
fn b263_ranges_are_equal_by_all_four_fields_and_print_as_sparks() {
    let range = OffsetRange::new(tp("t", 0), 0, 10);
    assert_eq!(range, OffsetRange::new(tp("t", 0), 0, 10));
    for other in [
        OffsetRange::new(tp("u", 0), 0, 10),
        OffsetRange::new(tp("t", 1), 0, 10),
        OffsetRange::new(tp("t", 0), 1, 10),
        OffsetRange::new(tp("t", 0), 0, 11),
    ] {
        assert_ne!(range, other);
    }
    assert_eq!(range.spark_text(), "OffsetRange(topic: 't', partition: 0, range: [0 -> 10])");
    assert_eq!(range.size(), 10);
}

#[tokio::test]
async fn ranges_travel_as_plain_data_to_workers_with_clients_of_their_own() {
    let world = World::new(&[("t", 6)]).await;
    (0..6).for_each(|id| world.append("t", id, 1, &refs(&numbers(10 * id, 10 * id + 10))));
    let batch = stream(&world, Subscribe::to(["t"]), &[EARLIEST]).await.compute().await.unwrap();
    let workers: Vec<_> = ["1", "2", "3"].iter().map(|id| Executor::new("h", *id)).collect();
    let mut tasks: BTreeMap<String, Vec<&OffsetRange>> = BTreeMap::new();
    for (range, worker) in batch.ranges().iter().zip(batch.locations(&workers)) {
        tasks.entry(worker.unwrap().to_string()).or_default().push(range);
    }
    assert_eq!(tasks.len(), 3);
    let mut all = Vec::new();
    for ranges in tasks.values().map(|ranges| serde_json::to_string(ranges).unwrap()) {
        let ranges = serde_json::from_str(&ranges).unwrap();
        let consistent = LocationStrategy::PreferConsistent;
        let worker = RangeRead::connect(options(&world, &[]), ranges, consistent).await.unwrap();
        all.extend(values(&worker).await.iter().map(|value| value.parse::<i32>().unwrap()));
    }
    all.sort_unstable();
    assert_eq!(all, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_strategy_of_ones_own_finds_partitions_as_it_likes() {
    struct Even;
    impl ConsumerStrategy for Even {
        fn partitions<'a>(&'a self, client: &'a Client) -> StrategyFuture<'a> {
            Box::pin(async move {
                let ids = client.partitions("t").await?.into_iter();
                Ok(ids.filter(|id| id % 2 == 0).map(|id| tp("t", id)).collect())
            })
        }
    }
    let world = World::new(&[("t", 5)]).await;
    let batch = stream(&world, Even, &[EARLIEST]).await.compute().await.unwrap();
    let ids: Vec<_> = batch.ranges().iter().map(|range| range.topic_partition.partition).collect();
    assert_eq!(ids, [0, 2, 4]);
}
