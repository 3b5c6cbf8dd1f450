//! What a source asks an embedded cluster for, and how often; limits that are cut and refused.

mod common;

use std::time::Duration;

use common::{World, collect, numbers, refs};
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};
use klamm_connector::options::ReadMode;
use klamm_connector::source::{KafkaSource, ReadOrder, StreamSource as _};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::control::Intercept;

const T: (&str, &str) = ("subscribe", "t");

async fn stream(world: &World, pairs: &[(&str, &str)]) -> KafkaSource {
    let options = world.options(ReadMode::Stream, pairs).unwrap();
    KafkaSource::connect(options).await.unwrap()
}

fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

/// Three partitions with values 0..10, 10..20 and 20..30.
async fn thirty() -> World {
    let world = World::new(&[("t", 3)]).await;
    for partition in 0..3 {
        let values = numbers(partition * 10, partition * 10 + 10);
        world.append("t", partition, 1000, &refs(&values));
    }
    world
}

#[tokio::test]
async fn b041_everything_is_read_by_default() {
    let world = thirty().await;
    assert_eq!(world.values(&[T]).await.unwrap(), numbers(0, 30));
}

#[tokio::test]
async fn b042_explicit_limits_cut_inside_of_batches() {
    let world = thirty().await;
    let pairs = [
        T,
        ("startingOffsets", r#"{"t":{"0":-2,"1":3,"2":0}}"#),
        ("endingOffsets", r#"{"t":{"0":-1,"1":5,"2":1}}"#),
    ];
    let mut expected = numbers(0, 10);
    expected.extend(["13", "14", "20"].map(String::from));
    assert_eq!(world.values(&pairs).await.unwrap(), expected);
}

#[tokio::test]
async fn b048_a_start_above_the_end_is_refused() {
    let world = World::new(&[("t", 1)]).await;
    let error = world.values(&[T, ("startingOffsets", r#"{"t":{"0":1}}"#)]).await.unwrap_err();
    assert!(error.message().starts_with(
        "The resolved start offset 1 is greater than the resolved end offset 0 for topic t partition 0"
    ));
}

#[tokio::test]
async fn b028_limits_have_to_name_all_partitions() {
    let world = thirty().await;
    let error = world.values(&[T, ("startingOffsets", r#"{"t":{"0":1}}"#)]).await.unwrap_err();
    assert_eq!(error.condition(), Some("KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED"));
}

#[tokio::test]
async fn a_stream_finds_where_to_start_and_where_its_topics_end() {
    let world = thirty().await;
    let tp = |partition| TopicPartition::new("t", partition);
    let start = ("startingOffsets", r#"{"t":{"0":-2,"1":-1,"2":4}}"#);
    let options = world.options(ReadMode::Stream, &[T, start]).unwrap();
    let mut source = KafkaSource::connect(options).await.unwrap();
    assert_eq!(source.description(), "KafkaV2[Subscribe[t]]");
    let initial = source.initial().await.unwrap();
    assert_eq!(initial.into_iter().collect::<Vec<_>>(), [(tp(0), 0), (tp(1), 10), (tp(2), 4)]);
    world.expire("t", 1, 3);
    let earliest = source.earliest(vec![tp(1), tp(9)]).await.unwrap();
    assert_eq!(earliest.into_iter().collect::<Vec<_>>(), [(tp(1), 3)]);
    let latest = source.latest(&Default::default()).await.unwrap();
    assert!(latest.values().all(|end| *end == 10));
}

#[tokio::test]
async fn a_wrong_option_of_the_client_is_refused_before_anything_is_contacted() {
    let options =
        World::new(&[]).await.options(ReadMode::Batch, &[T, ("kafka.fetch.min.byte", "1")]);
    let error = klamm_connector::source::batch_read(options.unwrap(), ReadOrder::AsTheyCome)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.to_string().contains("fetch.min.bytes"), "{error}");
}

#[tokio::test]
async fn b032_offsets_are_asked_for_as_often_as_the_option_says() {
    let refusals = |times| {
        Intercept::on(ApiKey::ListOffsets).times(times).fail(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
    };
    let start = ("startingTimestamp", "1");
    let world = thirty().await;
    let assign = ("assign", r#"{"t":[0]}"#);
    world.cluster.with(|cluster| cluster.intercept(refusals(2)));
    assert_eq!(world.values(&[assign, start]).await.unwrap(), numbers(0, 10));

    let world = thirty().await;
    let rule = world.cluster.with(|cluster| cluster.intercept(refusals(100)));
    world.values(&[assign, start]).await.unwrap_err();
    assert_eq!(world.cluster.with(|cluster| cluster.control().matched(rule)), 3);
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
async fn b144_a_topic_that_goes_while_its_end_is_asked_for_is_left_out() {
    let world = World::new(&[("p1", 1), ("p2", 1)]).await;
    let mut source = stream(&world, &[("subscribePattern", "p[12]")]).await;
    let none = PartitionOffsets::new();
    let late = Intercept::on(ApiKey::Metadata).times(2).delay(Duration::from_millis(150));
    world.cluster.with(|cluster| cluster.intercept(late));
    let (latest, ()) = tokio::join!(source.latest(&none), async {
        // The list of topics has come, and their partitions are on the way.
        tokio::time::sleep(Duration::from_millis(225)).await;
        world.delete("p1");
    });
    assert_eq!(latest.unwrap(), PartitionOffsets::from([(TopicPartition::new("p2", 0), 0)]));
}
