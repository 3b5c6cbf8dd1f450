//! Reading from an embedded cluster over real sockets: limits, ranges, transactions, and records that are gone.

mod common;

use common::{World, collect, numbers, refs};
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::{EARLIEST, LATEST, TopicPartition};
use klamm_connector::options::ReadMode;
use klamm_connector::source::{KafkaSource, ReadOrder, StreamSource as _};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::control::Intercept;

const T: (&str, &str) = ("subscribe", "t");

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
async fn b034_only_partitions_that_exist_are_assigned() {
    let world = thirty().await;
    let rows = world.read(&[("assign", r#"{"t":[1,7]}"#)]).await.unwrap();
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[3], (1, 3, Some("13".into())));
}

#[tokio::test]
async fn b022_b025_b026_timestamps_find_the_first_record_at_or_after() {
    let world = World::new(&[("t", 3)]).await;
    for (time, first) in [(100, 0), (200, 10), (300, 20)] {
        for partition in 0..3 {
            let values: Vec<String> =
                (first..first + 10).filter(|n| n % 3 == partition).map(|n| n.to_string()).collect();
            world.append("t", partition, time, &refs(&values));
        }
    }
    let read = async |pairs: &[(&str, &str)]| {
        let mut all = vec![T];
        all.extend(pairs);
        let values = world.values(&all).await.unwrap();
        let mut numbers: Vec<i32> = values.iter().map(|value| value.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    let range = |from: i32, to: i32| (from..to).collect::<Vec<_>>();
    assert_eq!(
        read(&[("startingTimestamp", "200"), ("endingTimestamp", "300")]).await,
        range(10, 20)
    );
    assert_eq!(read(&[("startingTimestamp", "150")]).await, range(10, 30));
    assert_eq!(read(&[("endingTimestamp", "300")]).await, range(0, 20));
    let each = r#"{"t":{"0":300,"1":300,"2":300}}"#;
    assert_eq!(read(&[("startingOffsetsByTimestamp", each)]).await, range(20, 30));
    // An end without a record at or after it is the end of the partition.
    assert_eq!(read(&[("endingTimestamp", "999")]).await, range(0, 30));
}

#[tokio::test]
async fn b023_a_start_without_a_match_is_refused_or_is_the_end() {
    let world = thirty().await;
    let error = world.values(&[T, ("startingTimestamp", "5000")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOffsets);
    assert!(error.message().starts_with("No offset matched from request of topic-partition t-"));
    assert!(error.message().contains("and timestamp 5000."));
    let latest = ("startingOffsetsByTimestampStrategy", "latest");
    assert!(world.values(&[T, ("startingTimestamp", "5000"), latest]).await.unwrap().is_empty());
}

#[tokio::test]
async fn b036_a_pattern_selects_by_a_search_and_never_internal_topics() {
    let world = World::new(&[("orders", 1), ("my-orders-v2", 1), ("other", 1)]).await;
    world.append("orders", 0, 1, &["a"]);
    world.append("my-orders-v2", 0, 1, &["b"]);
    world.append("other", 0, 1, &["c"]);
    let mut found = world.values(&[("subscribePattern", "orders")]).await.unwrap();
    found.sort();
    assert_eq!(found, ["a", "b"]);
    assert_eq!(world.values(&[("subscribePattern", "^orders$")]).await.unwrap(), ["a"]);
    assert!(world.values(&[("subscribePattern", "nothing")]).await.unwrap().is_empty());
}

#[tokio::test]
async fn b037_an_unknown_topic_is_an_error_even_when_losses_are_forgiven() {
    let world = thirty().await;
    let error =
        world.values(&[("subscribe", "t,missing"), ("failOnDataLoss", "false")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Client);
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn b039_a_plan_that_is_read_again_sees_new_records_but_keeps_explicit_ends() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &["0", "1", "2"]);
    let open = world.plan(&[T]).await.unwrap();
    let closed = world.plan(&[T, ("endingOffsets", r#"{"t":{"0":3}}"#)]).await.unwrap();
    assert_eq!((open.ranges()[0].from, open.ranges()[0].until), (EARLIEST, LATEST));
    world.append("t", 0, 1, &["3", "4"]);
    let count = async |plan: &klamm_connector::source::BatchRead| {
        collect(plan.rows(ReadOrder::AsTheyCome)).await.unwrap().len()
    };
    assert_eq!((count(&open).await, count(&closed).await), (5, 3));
}

#[tokio::test]
async fn b050_a_read_in_pieces_gives_every_row_once() {
    let world = thirty().await;
    let plan = world.plan(&[T, ("minPartitions", "9")]).await.unwrap();
    assert_eq!(plan.ranges().len(), 9);
    assert_eq!((plan.ranges()[0].from, plan.ranges()[2].until), (EARLIEST, LATEST));
    let mut rows = collect(plan.rows(ReadOrder::AsTheyCome)).await.unwrap();
    rows.sort();
    let values: Vec<_> = rows.into_iter().map(|(_, _, value)| value.unwrap()).collect();
    assert_eq!(values, numbers(0, 30));
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
async fn b053_what_expired_is_an_error_or_is_left_out() {
    let world = World::new(&[("t", 1)]).await;
    for n in 0..5 {
        let values = numbers(n * 10, n * 10 + 10);
        world.append("t", 0, 1, &refs(&values));
    }
    world.expire("t", 0, 25);
    let start = ("startingOffsets", r#"{"t":{"0":3}}"#);
    let error = world.values(&[T, start]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE"));
    assert!(
        error
            .message()
            .contains("Could not read records in offset [3, 50) for topic partition t-0")
    );
    let forgiven = [T, start, ("failOnDataLoss", "false")];
    assert_eq!(world.values(&forgiven).await.unwrap(), numbers(25, 50));
}

#[tokio::test]
async fn an_expired_partition_read_in_pieces_gives_what_is_left() {
    let world = thirty().await;
    world.expire("t", 1, 7);
    let pairs = [
        T,
        ("startingOffsets", r#"{"t":{"0":0,"1":0,"2":0}}"#),
        ("minPartitions", "9"),
        ("failOnDataLoss", "false"),
    ];
    let mut expected = numbers(0, 10);
    expected.extend(numbers(17, 30));
    assert_eq!(world.values(&pairs).await.unwrap(), expected);
}

#[tokio::test]
async fn an_end_beyond_the_log_is_a_loss_and_its_tail_is_left_out_if_forgiven() {
    let world = World::new(&[("t", 1)]).await;
    world.append("t", 0, 1, &["0", "1", "2"]);
    let end = ("endingOffsets", r#"{"t":{"0":9}}"#);
    let error = world.values(&[T, end]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let forgiven = [T, end, ("failOnDataLoss", "false")];
    assert_eq!(world.values(&forgiven).await.unwrap(), numbers(0, 3));
}

#[tokio::test]
async fn b153_only_committed_records_are_read_if_so_asked() {
    let world = World::new(&[("t", 1)]).await;
    let committed = [T, ("kafka.isolation.level", "read_committed")];
    world.append_open("t", 7, 0, &["1", "2", "3", "4", "5"]);
    assert!(world.values(&committed).await.unwrap().is_empty());
    assert_eq!(world.values(&[T]).await.unwrap().len(), 5);
    world.end_transaction("t", 7, true);
    assert_eq!(world.values(&committed).await.unwrap(), numbers(1, 6));
    world.append_open("t", 7, 5, &["6", "7", "8", "9", "10"]);
    world.end_transaction("t", 7, false);
    assert_eq!(world.values(&committed).await.unwrap(), numbers(1, 6));
    assert_eq!(world.values(&[T]).await.unwrap().len(), 10);
    world.append_open("t", 7, 10, &["11", "12"]);
    world.end_transaction("t", 7, true);
    let rows = world.read(&committed).await.unwrap();
    let offsets: Vec<i64> = rows.iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 12, 13]);
}

#[tokio::test]
async fn b154_a_range_without_a_visible_record_ends() {
    let world = World::new(&[("t", 1)]).await;
    world.append_open("t", 7, 0, &["1", "2", "3"]);
    world.end_transaction("t", 7, false);
    let pairs = [
        T,
        ("kafka.isolation.level", "read_committed"),
        ("startingOffsets", r#"{"t":{"0":1}}"#),
        ("endingOffsets", r#"{"t":{"0":4}}"#),
    ];
    assert!(world.values(&pairs).await.unwrap().is_empty());
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

/// Reads a plan whose topic is deleted before the reading begins.
async fn read_deleted(fail: &str) -> klamm_connector::Result<Vec<common::Row>> {
    let world = World::new(&[("t", 1), ("u", 1)]).await;
    world.append("t", 0, 1, &["0", "1"]);
    world.append("u", 0, 1, &["2"]);
    let pairs = [
        ("subscribe", "t,u"),
        ("startingOffsets", r#"{"t":{"0":0},"u":{"0":0}}"#),
        ("endingOffsets", r#"{"t":{"0":2},"u":{"0":1}}"#),
        ("failOnDataLoss", fail),
    ];
    let plan = world.plan(&pairs).await.unwrap();
    world.delete("t");
    collect(plan.rows(ReadOrder::ByPartition)).await
}

#[tokio::test]
async fn b143_a_topic_that_is_deleted_before_it_is_read_is_a_loss() {
    let error = read_deleted("true").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error:?}");
    assert!(error.message().contains("offset [0, 2) for topic partition t-0"), "{error}");
    assert_eq!(read_deleted("false").await.unwrap(), [(0, 0, Some("2".into()))]);
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
