//! What can't be written: each error names the row or the topic, and says how much was written; the topic holds just
//! that.

use std::num::NonZeroU32;

use klamm_client::admin::{Acl, AclFilter, AclOperation, AclResource};
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::TopicPartition;
use klamm_connector::offsets::range::OffsetRange;
use klamm_connector::sink::{Batch, ExactlyOnceSettings, ExactlyOnceSink, QueryStart, Sink as _};

use super::common::{numbers, refs};
use super::*;

/// So many rows of a topic are those that an error says were written.
async fn written_is(real: &Real, topic: &str, error: &Error) -> usize {
    let said: usize = told(error, "rows written").expect("it says how many").parse().unwrap();
    assert_eq!(real.read(topic).await.len(), said, "{error}");
    said
}

#[test]
fn b170_a_partition_out_of_range_names_the_row_and_those_before_it_are_written() {
    on_kafka(async |real| {
        real.topic("narrow", 3).await;
        let columns = |partition| {
            vec![
                ("value", text(&["1", "2", "3"])),
                ("partition", ints(&[Some(0), Some(partition), Some(0)])),
            ]
        };
        let pairs = [("topic", "narrow"), ("kafka.max.block.ms", "5000")];
        let (error, line) = real.refused(&pairs, columns(9)).await;
        assert_eq!(error.kind(), ErrorKind::InvalidRow, "{line}");
        for words in ["narrow", "partition 9", "partitions 3", "row: 2", "rows written: 1"] {
            assert!(line.contains(words), "{words}: {line}");
        }
        let (error, line) = real.refused(&pairs, columns(-1)).await;
        assert_eq!(error.kind(), ErrorKind::InvalidRow, "{line}");
        assert!(line.starts_with("Invalid partition: -1. Partition number should"), "{line}");
        assert!(line.contains("row: 2") && line.contains("rows written: 1"), "{line}");
        assert_eq!(real.values("narrow").await, ["1", "1"]);
    });
}

#[test]
fn b171_a_topic_that_is_not_there_is_named_after_max_block_ms() {
    on_kafka(async |real| {
        let started = std::time::Instant::now();
        let pairs = [("topic", "missing"), ("kafka.max.block.ms", "5000")];
        let (error, line) = real.refused(&pairs, vec![("value", text(&["1", "2"]))]).await;
        assert_eq!(error.kind(), ErrorKind::Client, "{line}");
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        for words in ["missing", "row: 1", "rows written: 0"] {
            assert!(line.contains(words), "{words}: {line}");
        }
        let made = real.client.describe_topics(&["missing"]).await.remove(0);
        assert!(made.is_err(), "nobody has made it");
        // By the column, in the middle of others.
        real.topic("there", 1).await;
        let topics = text(&["there", "missing", "there"]);
        let columns = vec![("topic", topics), ("value", text(&["1", "2", "3"]))];
        let (error, line) = real.refused(&[("kafka.max.block.ms", "2000")], columns).await;
        assert!(line.contains("missing") && line.contains("row: 2"), "{line}");
        assert_eq!(written_is(&real, "there", &error).await, 1);
    });
}

#[test]
fn a_row_above_the_clients_limit_is_named_before_it_is_sent() {
    on_kafka(async |real| {
        real.topic("client-limit", 1).await;
        let large = "x".repeat(20_000);
        let pairs = [("topic", "client-limit"), ("kafka.max.request.size", "10000")];
        let (error, line) = real.refused(&pairs, vec![("value", text(&["1", &large, "3"]))]).await;
        assert_eq!(error.kind(), ErrorKind::InvalidRow, "{line}");
        for words in ["max.request.size", "row: 2", "rows written: 1"] {
            assert!(line.contains(words), "{words}: {line}");
        }
        assert_eq!(real.values("client-limit").await, ["1"]);
    });
}

#[test]
fn b172_a_row_above_the_brokers_limit_is_named_and_what_is_there_is_counted() {
    on_kafka(async |real| {
        let topic = NewTopic::new("broker-limit").with_setting("max.message.bytes", "5000");
        real.topic_with(topic).await;
        let (large, mut values) = ("x".repeat(20_000), numbers(0, 2_000));
        values[1_200] = large;
        let pairs = [("topic", "broker-limit"), ("kafka.batch.size", "2000")];
        let (error, line) = real.refused(&pairs, vec![("value", text(&refs(&values)))]).await;
        assert_eq!(error.kind(), ErrorKind::InvalidRow, "{line}");
        for words in ["broker-limit", "max.message.bytes", "row: 1201"] {
            assert!(line.contains(words), "{words}: {line}");
        }
        let written = written_is(&real, "broker-limit", &error).await;
        assert!((1_200..2_000).contains(&written), "{written}");
        // A batch of many small rows that is too large together is cut and written whole.
        let small = numbers(0, 3_000);
        let pairs =
            [("topic", "broker-limit"), ("kafka.batch.size", "100000"), ("kafka.linger.ms", "500")];
        let rows = real.write(&pairs, vec![("value", text(&refs(&small)))]).await.unwrap().rows;
        assert_eq!((rows, real.read("broker-limit").await.len()), (3_000, written + 3_000));
    });
}

#[test]
fn b174_b176_a_batch_that_failed_stays_as_far_as_it_came_and_is_written_again_whole() {
    on_kafka(async |real| {
        real.topic("again", 1).await;
        let pairs = [("topic", "again"), ("kafka.max.block.ms", "1000")];
        let columns = || {
            vec![
                ("value", text(&["1", "2", "3"])),
                ("partition", ints(&[Some(0), Some(0), Some(7)])),
            ]
        };
        for _ in 0..2 {
            let (error, _) = real.refused(&pairs, columns()).await;
            assert_eq!(told(&error, "rows written"), Some("2"));
        }
        assert_eq!(real.values("again").await, ["1", "2", "1", "2"]);
    });
}

#[test]
fn a_value_column_of_nulls_writes_tombstones_and_none_at_all_is_refused() {
    on_kafka(async |real| {
        real.topic("tombstones", 1).await;
        let null = arrow_array::NullArray::new(2);
        let columns = vec![("key", text(&["a", "b"])), ("value", Arc::new(null) as ArrayRef)];
        assert_eq!(real.write(&[("topic", "tombstones")], columns).await.unwrap().rows, 2);
        assert_eq!(real.read("tombstones").await, [(0, 0, None), (0, 1, None)]);
        // A topic that is compacted wants keys, and says which row has none.
        let compacted = NewTopic::new("compacted").with_setting("cleanup.policy", "compact");
        real.topic_with(compacted).await;
        let columns = vec![("key", nullable(&[Some("a"), None])), ("value", text(&["1", "2"]))];
        let pairs = [("topic", "compacted"), ("kafka.linger.ms", "0"), ("kafka.batch.size", "1")];
        let (error, line) = real.refused(&pairs, columns).await;
        assert!(line.contains("compacted") && line.contains("row: 2"), "{line}");
        assert_eq!(written_is(&real, "compacted", &error).await, 1);
    });
}

#[test]
fn a_sink_without_rights_names_the_topic_and_nothing_of_it_is_written() {
    on_kafka(async |real| {
        real.topic("read-only", 1).await;
        real.topic("hidden", 1).await;
        // Whoever has not logged in, as the tests have not.
        let user = "User:ANONYMOUS";
        let rules = [
            Acl::deny(user, AclOperation::Write, AclResource::Topic, "read-only"),
            Acl::allow(user, AclOperation::Describe, AclResource::Topic, "read-only"),
            Acl::allow(user, AclOperation::Read, AclResource::Topic, "read-only"),
            Acl::deny(user, AclOperation::All, AclResource::Topic, "hidden"),
        ];
        assert!(real.client.create_acls(&rules).await.iter().all(Result::is_ok));
        // Asked of the broker that will judge by them, which learns of them a moment later.
        while real.client.describe_acls(&AclFilter::any()).await.unwrap().len() < rules.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for topic in ["read-only", "hidden"] {
            let pairs = [("topic", topic), ("kafka.max.block.ms", "5000")];
            let (error, line) = real.refused(&pairs, vec![("value", text(&["1", "2"]))]).await;
            assert_eq!(error.kind(), ErrorKind::Client, "{line}");
            for words in ["TOPIC_AUTHORIZATION_FAILED", topic, "row: 1", "rows written: 0"] {
                assert!(line.contains(words), "{words}: {line}");
            }
        }
        assert!(real.read("read-only").await.is_empty());
        // In transactions it is the same, and nothing of those with rights becomes visible either.
        real.topic("open", 1).await;
        let topics = text(&["open", "read-only"]);
        let error =
            exactly_once(&real, vec![("topic", topics), ("value", text(&["1", "2"]))], None).await;
        let line = error.to_string();
        assert!(
            line.contains("TOPIC_AUTHORIZATION_FAILED") && line.contains("read-only"),
            "{line}"
        );
        assert!(line.contains("rows written: 0"), "{line}");
        let committed = [("kafka.isolation.level", "read_committed")];
        assert!(real.batches("open", &committed).await.is_empty());
    });
}

/// The error of one batch that is written exactly once.
async fn exactly_once(real: &Real, columns: Columns<'_>, topic: Option<&str>) -> Error {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let config = [("bootstrap.servers", real.bootstrap.as_str()), ("max.block.ms", "3000")];
    let client = Client::connect(Config::from_properties(config).unwrap()).await.unwrap();
    let mut sink = ExactlyOnceSink::new(client, topic, ExactlyOnceSettings::default());
    let id = uuid::Uuid::new_v4().to_string();
    let tasks = Some(NonZeroU32::MIN);
    sink.start(QueryStart { id, batch: 0, planned: None, tasks }).await.unwrap();
    let place = TopicPartition::new("source", 0);
    let end = [(place.clone(), 10)].into();
    let batch =
        Batch::new(0, &end, vec![OffsetRange::new(place, 0, 10)], |_| common::once(rows.clone()));
    sink.write_batch(batch).await.unwrap_err()
}

#[test]
fn exactly_once_a_bad_row_leaves_nothing_visible_and_is_named() {
    on_kafka(async |real| {
        let topic = NewTopic::new("whole").with_setting("max.message.bytes", "5000");
        real.topic_with(topic).await;
        let large = "x".repeat(20_000);
        let values = || ("value", text(&["1", &large, "3"]));
        let bad: [(Columns<'_>, &[&str]); 3] = [
            (vec![values()], &["row: 2", "max.message.bytes", "whole"]),
            (
                vec![
                    ("value", text(&["1", "2", "3"])),
                    ("partition", ints(&[None, Some(9), None])),
                ],
                &["row: 2", "partition 9"],
            ),
            (
                vec![("value", text(&["1", "2"])), ("partition", ints(&[None, Some(-1)]))],
                &["row: 2", "Invalid partition: -1"],
            ),
        ];
        for (columns, words) in bad {
            let line = exactly_once(&real, columns, Some("whole")).await.to_string();
            assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
            assert!(line.contains("rows written: 0"), "{line}");
            let committed = [("kafka.isolation.level", "read_committed")];
            assert!(real.batches("whole", &committed).await.is_empty());
        }
    });
}
