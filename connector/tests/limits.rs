//! Where a read starts and ends, on an embedded cluster: limits that are looked up, topics that are chosen, plans that
//! are read again.

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{World, collect, numbers, refs};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config};
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};
use klamm_connector::options::ReadMode;
use klamm_connector::source::{KafkaSource, ReadOrder, StreamSource as _};
use klamm_protocol::api::ApiKey;
use klamm_protocol::records::RecordParts;
use klamm_testkit::control::Intercept;

const T: (&str, &str) = ("subscribe", "t");
const COMMITTED: (&str, &str) = ("kafka.isolation.level", "read_committed");

async fn stream(world: &World, pairs: &[(&str, &str)]) -> KafkaSource {
    let options = world.options(ReadMode::Stream, pairs).unwrap();
    KafkaSource::connect(options).await.unwrap()
}

fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

#[tokio::test]
async fn b011_a_record_without_a_key_has_a_null_key_and_the_time_of_its_sending() {
    let world = World::new(&[("t", 1)]).await;
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let client = Client::connect(Config::new(&world.cluster.bootstrap()).unwrap()).await.unwrap();
    let producer = client.producer(ProducerOptions::from_config(client.config())).unwrap();
    let record = RecordParts::new(before, None, Some(b"v"));
    let _ = producer.append("t", None, record).await.unwrap();
    producer.flush().await.unwrap();
    let mut rows = world.plan(&[T]).await.unwrap().rows(ReadOrder::ByPartition);
    let batch = klamm_connector::sink::next_rows(&mut rows).await.unwrap().unwrap();
    assert_eq!(common::plain(&batch), [(0, 0, Some("v".into()))]);
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    assert!(batch.column_by_name("key").unwrap().is_null(0));
    let times = batch.column_by_name("timestamp").unwrap();
    let times = times.as_primitive::<arrow_array::types::TimestampMicrosecondType>();
    assert_eq!(times.value(0), before * 1000);
}

#[tokio::test]
async fn b019_other_negative_offsets_are_no_place_to_read_from() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &["0"]);
    for fail in ["true", "false"] {
        let pairs = [T, ("startingOffsets", r#"{"t":{"0":-3}}"#), ("failOnDataLoss", fail)];
        let error = world.values(&pairs).await.unwrap_err();
        assert!(error.to_string().contains("-3"), "{error}");
    }
}

#[tokio::test]
async fn b024_a_partition_without_a_match_starts_at_its_end_if_so_asked() {
    let world = World::new(&[("t", 2)]).await;
    world.append("t", 0, 100, &["0"]);
    world.append("t", 0, 200, &["1"]);
    world.append("t", 1, 100, &["10"]);
    let strategy = ("startingOffsetsByTimestampStrategy", "latest");
    let mut source = stream(&world, &[T, ("startingTimestamp", "150"), strategy]).await;
    let start = source.initial().await.unwrap();
    assert_eq!(start, PartitionOffsets::from([(t(0), 1), (t(1), 1)]));
    // What comes later is read, whatever its time.
    world.append("t", 1, 100, &["11"]);
    assert_eq!(source.latest(&start).await.unwrap()[&t(1)], 2);
}

#[tokio::test]
async fn b030_an_offset_is_the_one_to_read_next() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 6)));
    let mut source = stream(&world, &[T]).await;
    assert_eq!(source.latest(&PartitionOffsets::new()).await.unwrap()[&t(0)], 6);
    let rows = world.read(&[T]).await.unwrap();
    assert_eq!(rows.last().unwrap().1, 5);
}

#[tokio::test]
async fn b031_b159_the_latest_offset_is_the_last_stable_one_if_only_committed_records_count() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &["0", "1"]);
    world.append_open("t", 7, 0, &["2", "3"]);
    let none = PartitionOffsets::new();
    let mut all = stream(&world, &[T]).await;
    let mut committed = stream(&world, &[T, COMMITTED]).await;
    assert_eq!(all.latest(&none).await.unwrap()[&t(0)], 4);
    assert_eq!(committed.latest(&none).await.unwrap()[&t(0)], 2);
    // A plan whose end is the latest offset finds it when it is read, by the same rule.
    let plan = world.plan(&[T, COMMITTED]).await.unwrap();
    assert_eq!(collect(plan.rows(ReadOrder::ByPartition)).await.unwrap().len(), 2);
    world.end_transaction("t", 7, true);
    assert_eq!(collect(plan.rows(ReadOrder::ByPartition)).await.unwrap().len(), 4);
    let wrong = world.plan(&[T, ("kafka.isolation.level", "read_everything")]).await.err().unwrap();
    assert_eq!(wrong.kind(), ErrorKind::InvalidOption);
    assert!(wrong.to_string().contains("read_everything"), "{wrong}");
}

#[tokio::test]
async fn b033_an_end_below_what_is_known_is_asked_for_again_and_then_believed() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &["0", "1"]);
    let mut source = stream(&world, &[T, ("fetchOffset.numRetries", "4")]).await;
    let rule = Intercept::on(ApiKey::ListOffsets);
    let rule = world.cluster.with(|cluster| cluster.intercept(rule));
    let asked = || world.cluster.with(|cluster| cluster.control().matched(rule));
    let latest = source.latest(&PartitionOffsets::from([(t(0), 9)])).await.unwrap();
    assert_eq!((latest[&t(0)], asked()), (2, 4));
    source.latest(&PartitionOffsets::from([(t(0), 2)])).await.unwrap();
    assert_eq!(asked(), 5);
}

#[tokio::test]
async fn b035_b036_kafkas_own_topics_are_never_read_not_even_by_name_or_pattern() {
    let own = "__consumer_offsets";
    let world = World::new(&[("t", 2), ("u", 1), ("v", 1), (own, 1)]).await;
    for topic in ["t", "u", "v", own] {
        world.append(topic, 0, 1, &[topic]);
    }
    let all = ("subscribePattern", ".*");
    let named = ("subscribe", "t,__consumer_offsets");
    let assigned = ("assign", r#"{"__consumer_offsets":[0],"v":[0]}"#);
    let mut found = world.values(&[all]).await.unwrap();
    found.sort();
    assert_eq!(found, ["t", "u", "v"]);
    assert_eq!(world.values(&[named]).await.unwrap(), ["t"]);
    assert_eq!(world.values(&[assigned]).await.unwrap(), ["v"]);
    let mut source = stream(&world, &[("subscribe", "t,v")]).await;
    let ends = source.latest(&PartitionOffsets::new()).await.unwrap();
    assert_eq!(ends.into_keys().collect::<Vec<_>>(), [t(0), t(1), TopicPartition::new("v", 0)]);
}

#[tokio::test]
async fn b040_the_earliest_offset_is_that_of_the_reading() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 10)));
    let plan = world.plan(&[T]).await.unwrap();
    world.append("t", 0, 1, &refs(&numbers(10, 20)));
    world.expire("t", 0, 10);
    let rows = collect(plan.rows(ReadOrder::ByPartition)).await.unwrap();
    let values: Vec<_> = rows.into_iter().filter_map(|(_, _, value)| value).collect();
    assert_eq!(values, numbers(10, 20));
}

#[tokio::test]
async fn b043_two_readings_of_one_plan_give_every_row_twice() {
    let world = World::new(&[("t", 2)]).await;
    world.append("t", 0, 1, &refs(&numbers(0, 5)));
    world.append("t", 1, 1, &refs(&numbers(5, 10)));
    let plan = world.plan(&[T]).await.unwrap();
    let read = || collect(plan.rows(ReadOrder::ByPartition));
    let (once, again) = tokio::join!(read(), read());
    assert_eq!(once.unwrap(), again.unwrap());
    assert_eq!(read().await.unwrap().len(), 10);
}

#[tokio::test]
async fn b049_a_range_that_ends_where_it_starts_asks_for_nothing() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &["0", "1", "2"]);
    let rule = Intercept::on(ApiKey::Fetch);
    let rule = world.cluster.with(|cluster| cluster.intercept(rule));
    let one = r#"{"t":{"0":1}}"#;
    let rows = world.values(&[T, ("startingOffsets", one), ("endingOffsets", one)]).await.unwrap();
    assert!(rows.is_empty());
    assert_eq!(world.cluster.with(|cluster| cluster.control().matched(rule)), 0);
}

#[tokio::test]
async fn b265_a_topic_without_records_begins_and_ends_at_zero() {
    let world = World::new(&[("t", 1)]).await;
    let mut source = stream(&world, &[T, ("startingOffsets", "earliest")]).await;
    let none = PartitionOffsets::new();
    assert_eq!(source.initial().await.unwrap(), PartitionOffsets::from([(t(0), 0)]));
    assert_eq!(source.latest(&none).await.unwrap(), PartitionOffsets::from([(t(0), 0)]));
    assert!(world.values(&[T]).await.unwrap().is_empty());
    let error = world.values(&[T, ("startingTimestamp", "1")]).await.unwrap_err();
    assert!(error.message().starts_with("No offset matched from request"), "{error}");
    tokio::time::timeout(Duration::from_secs(20), world.values(&[T])).await.unwrap().unwrap();
}
