//! The direct API: where its streams start, how they follow topics, and what ranges give.

use klamm_client::TopicPartition as Asked;
use klamm_client::admin::CommittedOffset;
use klamm_connector::direct::{Assign, StreamState, Subscribe, SubscribePattern};
use klamm_connector::error::ErrorKind;

use crate::common::direct::{
    EARLIEST, GAPS, GROUP, NONE, limits, ranges, starts, stream, tp, values,
};
use crate::common::numbers;
use crate::ground::{Ground, append};

/// A topic with one partition and so many records.
async fn filled(ground: &Ground, name: &str, count: i32) -> String {
    let topic = ground.create(name, 1).await;
    ground.write(&topic, 0, 1, &numbers(0, count)).await;
    topic
}

pub(crate) async fn b236_a_stream_starts_where_it_is_told_and_else_at_the_earliest(
    ground: &Ground,
) {
    let mut topics = Vec::new();
    for name in ["a", "b", "c"] {
        topics.push(filled(ground, name, 16).await);
    }
    let strategy = Subscribe::to(topics.clone()).starting_at(starts(&[(&topics[1], 0, 2)]));
    let mut stream = stream(ground, strategy, &[EARLIEST]).await;
    let batch = stream.compute().await.unwrap();
    assert_eq!(batch.ranges().len(), 3);
    assert_eq!(batch.read().collect().await.unwrap().len(), 46);
    for (index, range) in batch.ranges().iter().enumerate() {
        let part = batch.read().range(index).unwrap();
        assert_eq!(part.collect().await.unwrap().len() as i64, range.size());
    }
}

pub(crate) async fn b237_a_pattern_selects_topics_by_their_whole_name(ground: &Ground) {
    for name in ["pat1", "pat2", "pat3", "pat4s"] {
        filled(ground, name, 16).await;
    }
    let named = |name| ground.named(name);
    let strategy = SubscribePattern::new(&format!(r"{}\d", named("pat"))).unwrap();
    let (two, three) = (named("pat2"), named("pat3"));
    let strategy = strategy.starting_at(starts(&[(&two, 0, 3), (&three, 0, 4)]));
    let mut stream = stream(ground, strategy, &[EARLIEST]).await;
    let batch = stream.compute().await.unwrap();
    assert_eq!(values(batch.read()).await.len(), 41);
}

pub(crate) async fn b238_latest_gives_only_what_is_new_and_an_explicit_start_needs_no_reset(
    ground: &Ground,
) {
    let t = filled(ground, "t", 16).await;
    let mut latest = stream(ground, Subscribe::to([&*t]), &[]).await;
    assert_eq!(limits(&latest.compute().await.unwrap()), [(16, 16)]);
    ground.write(&t, 0, 1, &["new"]).await;
    let batch = latest.compute().await.unwrap();
    assert_eq!(values(batch.read()).await, ["new"]);
    let strategy = Assign::of([tp(&t, 0)]).starting_at(starts(&[(&t, 0, 11)]));
    let mut assigned = stream(ground, strategy, &[NONE]).await;
    assert_eq!(limits(&assigned.compute().await.unwrap()), [(11, 17)]);
}

pub(crate) async fn b239_a_state_comes_before_given_starts_committed_offsets_and_the_reset(
    ground: &Ground,
) {
    let t = filled(ground, "t", 16).await;
    let group = ground.named("group");
    let first = async |strategy: Subscribe, state: Option<i64>| {
        let positions = state.map(|at| starts(&[(&t, 0, at)])).unwrap_or_default();
        let state = StreamState { positions, unfinished: Vec::new() };
        let pairs = [EARLIEST, ("group.id", &*group)];
        let mut stream = stream(ground, strategy, &pairs).await.with_state(state);
        limits(&stream.compute().await.unwrap())[0].0
    };
    let subscribe = || Subscribe::to([&*t]);
    assert_eq!(first(subscribe(), None).await, 0, "the reset");
    let position = CommittedOffset { offset: 3, ..Default::default() };
    let commit = [(Asked::new(&*t, 0), position)];
    ground.client.commit_offsets(&group, &commit).await.remove(0).unwrap();
    assert_eq!(first(subscribe(), None).await, 3, "the group");
    let given = || subscribe().starting_at(starts(&[(&t, 0, 5)]));
    assert_eq!(first(given(), None).await, 5, "the strategy");
    assert_eq!(first(given(), Some(7)).await, 7, "the state");
    let mut lost = stream(ground, subscribe(), &[NONE]).await;
    let error = lost.compute().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOffsets);
    let text = format!("Undefined offset with no reset policy for partitions: [{t}-0]");
    assert!(error.message().starts_with(&text), "{error}");
}

pub(crate) async fn b249_new_partitions_join_and_lost_ones_are_an_error(ground: &Ground) {
    let first = filled(ground, "t1", 3).await;
    let pattern = SubscribePattern::new(&format!("{}[0-9]", ground.named("t"))).unwrap();
    let mut stream = stream(ground, pattern, &[EARLIEST]).await;
    assert_eq!(limits(&stream.compute().await.unwrap()), [(0, 3)]);
    let second = ground.create("t2", 2).await;
    ground.write(&second, 1, 1, &["x"]).await;
    assert_eq!(limits(&stream.compute().await.unwrap()), [(3, 3), (0, 0), (0, 1)]);
    ground.grow(&second, 3).await;
    ground.write(&second, 2, 1, &["y"]).await;
    assert_eq!(limits(&stream.compute().await.unwrap()), [(3, 3), (0, 0), (1, 1), (0, 1)]);
    ground.delete(&first).await;
    let error = stream.compute().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let text = format!("Previously tracked partitions [{first}-0]");
    assert!(error.message().starts_with(&text), "{error}");
}

pub(crate) async fn b253_ranges_are_counted_taken_and_collected(ground: &Ground) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &["the", "quick", "brown", "fox"]).await;
    let read = ranges(ground, &t, &[(0, 4)], &[]).await.unwrap();
    assert_eq!(values(&read).await, ["the", "quick", "brown", "fox"]);
    assert_eq!(read.count().await.unwrap(), 4);
    assert!(!read.is_empty().await.unwrap());
    let taken = read.take(1).await.unwrap();
    assert_eq!(taken[0].value.as_deref(), Some(&b"the"[..]));
    assert_eq!(taken[0].key.as_deref(), Some(&b"kthe"[..]));
    assert_eq!((taken.len(), read.take(14).await.unwrap().len()), (1, 4));
    let empty = ranges(ground, &t, &[(0, 0)], &[]).await.unwrap();
    assert!(empty.is_empty().await.unwrap());
    let beyond = ranges(ground, &t, &[(0, 5)], &[GROUP]).await.unwrap();
    let text = format!("Failed to get records for spark-executor-g {t} 0 4 after polling for 1500");
    assert_eq!(beyond.collect().await.unwrap_err().message(), text);
    // Two ranges of one partition, in any order.
    let read = ranges(ground, &t, &[(2, 4), (0, 1)], &[]).await.unwrap();
    assert_eq!(values(&read).await, ["brown", "fox", "the"]);
}

pub(crate) async fn b255_b256_a_compacted_topic_is_read_where_offsets_may_be_missing(
    ground: &Ground,
) {
    let records =
        [("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1"), ("c", "c2"), ("b", "b2"), ("b", "b3")];
    let t = ground.compacted("t", &records).await;
    let read = ranges(ground, &t, &[(0, 7)], &[GAPS]).await.unwrap();
    assert_eq!(values(&read).await, ["a2", "c2", "b3"]);
    assert_eq!(read.count().await.unwrap(), 3);
    assert!(ranges(ground, &t, &[(0, 9)], &[GAPS]).await.unwrap().collect().await.is_err());
    let strict = ranges(ground, &t, &[(0, 7)], &[GROUP]).await.unwrap();
    let error = strict.collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let text = format!(
        "Got wrong record for spark-executor-g {t} 0 even after seeking to offset 0 got offset 1 instead. If this is a \
         compacted topic, consider enabling spark.streaming.kafka.allowNonConsecutiveOffsets"
    );
    assert!(error.message().starts_with(&text), "{error}");
}

pub(crate) async fn b256_a_range_that_ends_in_a_marker_needs_the_flag_too(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let mut producer = ground.transactional("x");
    let transaction = producer.begin().await.unwrap();
    append(&transaction, &t, &["a"]).await;
    transaction.commit().await.unwrap();
    ground.settled(&t, 2).await;
    let error = ranges(ground, &t, &[(0, 2)], &[]).await.unwrap().collect().await.unwrap_err();
    let text = format!("Failed to get records for spark-executor-null {t} 0 1");
    assert!(error.message().starts_with(&text), "{error}");
    let all = ranges(ground, &t, &[(0, 2)], &[GAPS]).await.unwrap();
    assert_eq!(values(&all).await, ["a"]);
}

pub(crate) async fn b257_a_range_gives_exactly_its_offsets_whatever_arrives(ground: &Ground) {
    let t = filled(ground, "t", 18).await;
    let read = ranges(ground, &t, &[(0, 18)], &[]).await.unwrap();
    let records = read.collect().await.unwrap();
    let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (0..18).collect::<Vec<_>>());
    let empty = ranges(ground, &t, &[(18, 18)], &[]).await.unwrap();
    assert_eq!(values(&empty).await, [""; 0]);
    ground.write(&t, 0, 1, &["next", "later"]).await;
    assert_eq!(values(&empty).await, [""; 0]);
    let next = ranges(ground, &t, &[(18, 19)], &[]).await.unwrap();
    assert_eq!(values(&next).await, ["next"]);
}

pub(crate) async fn b258_a_range_that_ends_before_it_starts_is_refused(ground: &Ground) {
    let t = filled(ground, "t", 6).await;
    let error = ranges(ground, &t, &[(5, 3)], &[]).await.unwrap_err();
    let text = format!(
        "Beginning offset 5 is after the ending offset 3 for topic {t} partition 0. You either provided an invalid \
         fromOffset, or the Kafka topic has been damaged"
    );
    assert!(error.message().starts_with(&text), "{error}");
    // The same when a topic has less than was read of it.
    let start = Subscribe::to([&*t]).starting_at(starts(&[(&t, 0, 9)]));
    let error = stream(ground, start, &[]).await.compute().await.unwrap_err();
    let text = "Beginning offset 9 is after the ending offset 6";
    assert!(error.message().starts_with(text), "{error}");
}
