//! What may be written, where it goes, and what a reader finds.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, BinaryArray, LargeStringArray, StringViewArray};
use klamm_client::producer::Partitioner;
use klamm_connector::error::ErrorKind;
use klamm_connector::sink::{BatchWrite, PlainRecord};

use super::common::{Given, numbers, refs};
use super::*;

#[test]
fn b161_b162_b163_the_topic_is_the_options_or_the_rows() {
    on_kafka(async |real| {
        real.topic("routed-a", 1).await;
        real.topic("routed-b", 1).await;
        let columns =
            || vec![("topic", text(&["routed-a", "routed-b"])), ("value", text(&["1", "2"]))];
        assert_eq!(real.write(&[], columns()).await.unwrap().rows, 2);
        // The option is stronger, and nobody asks for a topic that is not there.
        let odd = || vec![("topic", text(&["foo", "foo"])), ("value", text(&["3", "4"]))];
        let _ = real.write(&[("topic", "routed-b")], odd()).await.unwrap();
        assert_eq!(real.values("routed-a").await, ["1"]);
        assert_eq!(real.values("routed-b").await, ["2", "3", "4"]);
        let (_, line) = real.refused(&[], vec![("value", text(&["5"]))]).await;
        assert!(
            line.starts_with("topic option required when no 'topic' attribute is present."),
            "{line}"
        );
        let (_, line) = real.refused(&[("topic", "routed-a")], vec![("key", text(&["5"]))]).await;
        assert!(line.starts_with("Required attribute 'value' not found"), "{line}");
        assert_eq!(real.values("routed-a").await, ["1"]);
    });
}

#[test]
fn b165_a_null_topic_fails_its_row_and_those_before_it_are_written() {
    on_kafka(async |real| {
        real.topic("nulls", 1).await;
        let topics = nullable(&[Some("nulls"), Some("nulls"), None, Some("nulls")]);
        let columns = vec![("topic", topics), ("value", text(&["1", "2", "3", "4"]))];
        let (error, line) = real.refused(&[], columns).await;
        assert_eq!(error.condition(), Some("KAFKA_NULL_TOPIC_IN_DATA"));
        assert!(line.ends_with("[row: 3, rows written: 2]"), "{line}");
        assert_eq!(real.values("nulls").await, ["1", "2"]);
    });
}

#[test]
fn b166_b178_text_and_bytes_of_every_arrow_type_come_back_as_bytes_and_null_as_null() {
    on_kafka(async |real| {
        real.topic("types", 1).await;
        let columns: [ArrayRef; 5] = [
            text(&["gr\u{fc}n"]),
            Arc::new(LargeStringArray::from(vec![""])),
            Arc::new(StringViewArray::from(vec!["3"])),
            Arc::new(BinaryArray::from_vec(vec![b"\xff\x00"])),
            nullable(&[None]),
        ];
        for column in columns {
            let _ = real.write(&[("topic", "types")], vec![("value", column)]).await.unwrap();
        }
        let batches = real.batches("types", &[]).await;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for batch in &batches {
            let bytes = |name| batch.column_by_name(name).unwrap().as_binary_view().clone();
            keys.extend(bytes("key").iter().map(|key| key.map(<[u8]>::to_vec)));
            values.extend(bytes("value").iter().map(|value| value.map(<[u8]>::to_vec)));
        }
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        let expected =
            [some("gr\u{fc}n".as_bytes()), some(b""), some(b"3"), some(b"\xff\x00"), None];
        assert_eq!(values, expected);
        assert_eq!(keys, vec![None; 5], "without a column");
    });
}

#[test]
fn b167_headers_keep_their_order_and_their_nulls_and_an_empty_list_is_null() {
    on_kafka(async |real| {
        real.topic("headers", 1).await;
        real.topic("headers-copy", 1).await;
        let with = |headers: Vec<(&str, Option<&str>)>| PlainRecord {
            headers: headers
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.map(|v| v.to_owned().into())))
                .collect(),
            ..PlainRecord::of("1").with_timestamp(1_234)
        };
        let records = vec![
            with(vec![("h", Some("1")), ("h", None), ("h", Some("")), ("a", Some("2"))]),
            with(vec![]),
        ];
        let write = BatchWrite::new(&real.options(&[("topic", "headers")]));
        assert_eq!(write.records(Given::new(records)).await.unwrap().rows, 2);
        let there = real.batches("headers", &[]).await;
        let headers = there[0].column_by_name("headers").unwrap();
        assert_eq!(headers.as_list::<i32>().value_length(0), 4);
        assert!(headers.is_null(1));
        // What was read is written as it was.
        let options = real.options(&[("topic", "headers-copy")]);
        let _ = batch_write(&options, common::once(there[0].clone())).await.unwrap();
        let copied = real.batches("headers-copy", &[]).await;
        for column in ["value", "headers", "timestamp"] {
            assert_eq!(
                copied[0].column_by_name(column),
                there[0].column_by_name(column),
                "{column}"
            );
        }
    });
}

/// Sends everything to the first partition.
struct First;

impl Partitioner for First {
    fn partition(
        &self,
        _: &str,
        _: Option<&[u8]>,
        _: Option<&[u8]>,
        _: i32,
        _: &[i32],
    ) -> Option<i32> {
        Some(0)
    }
}

#[test]
fn b168_the_column_is_stronger_than_a_partitioner_and_that_than_the_key() {
    on_kafka(async |real| {
        for topic in ["placed", "placed-null", "placed-none", "placed-own"] {
            real.topic(topic, 4).await;
        }
        let keys = numbers(0, 40);
        let rows = || vec![("key", text(&refs(&keys))), ("value", text(&refs(&keys)))];
        let with = |partition: Option<i32>| {
            let mut columns = rows();
            columns.push(("partition", ints(&[partition; 40])));
            columns
        };
        let _ = real.write(&[("topic", "placed")], with(Some(2))).await.unwrap();
        let _ = real.write(&[("topic", "placed-null")], with(None)).await.unwrap();
        let _ = real.write(&[("topic", "placed-none")], rows()).await.unwrap();
        assert!(real.read("placed").await.iter().all(|(partition, ..)| *partition == 2));
        let by_key = real.read("placed-none").await;
        assert_eq!(real.read("placed-null").await, by_key, "a null is no column");
        let used: std::collections::BTreeSet<_> = by_key.iter().map(|(p, ..)| *p).collect();
        assert_eq!(used.len(), 4);
        let own = |columns| {
            let rows = common::once(RecordBatch::try_from_iter(columns).unwrap());
            let options = real.options(&[("topic", "placed-own")]);
            BatchWrite::new(&options).with_partitioner(First).rows(rows)
        };
        let _ = own(rows()).await.unwrap();
        let _ = own(with(Some(3))).await.unwrap();
        let placed: Vec<_> = real.read("placed-own").await.into_iter().map(|(p, ..)| p).collect();
        assert_eq!(placed, [vec![0; 40], vec![3; 40]].concat());
    });
}

#[test]
fn b169_a_key_goes_where_javas_producer_sends_it() {
    let Some(kafka) = kafka() else { return };
    on_kafka(async |real| {
        real.topic("keyed", 7).await;
        real.topic("keyed-java", 7).await;
        let keys: Vec<String> = (0..200).map(|n| format!("key-{}", n * 7919)).collect();
        let _ = real
            .write(
                &[("topic", "keyed")],
                vec![("key", text(&refs(&keys))), ("value", text(&refs(&keys)))],
            )
            .await
            .unwrap();
        let input: String = keys.iter().map(|key| format!("{key}:{key}\n")).collect();
        let arguments = [
            "--topic",
            "keyed-java",
            "--property",
            "parse.key=true",
            "--property",
            "key.separator=:",
        ];
        kafka.run_tool("ConsoleProducer", &arguments, input.as_bytes()).expect("Java writes");
        let places = async |topic| {
            let rows = real.read(topic).await.into_iter();
            let mut places: Vec<_> = rows.map(|(partition, _, value)| (value, partition)).collect();
            places.sort();
            places
        };
        let ours = places("keyed").await;
        assert_eq!(ours.len(), 200);
        assert_eq!(ours, places("keyed-java").await);
    });
}

#[test]
fn b173_a_full_buffer_makes_the_sink_wait_and_never_fail() {
    on_kafka(async |real| {
        real.topic("full", 1).await;
        let long = "x".repeat(15_000);
        let values = vec![long.as_str(); 1_000];
        let pairs = [("topic", "full"), ("kafka.buffer.memory", "16384")];
        let written = real.write(&pairs, vec![("value", text(&values))]).await.unwrap();
        assert_eq!((written.rows, written.bytes), (1_000, 15_000_000));
        assert_eq!(real.read("full").await.len(), 1_000);
    });
}

#[test]
fn b177_a_write_without_rows_sends_nothing_and_needs_no_topic() {
    on_kafka(async |real| {
        let written = real.write(&[("topic", "never-made")], vec![("value", text(&[]))]).await;
        assert_eq!(written.unwrap(), Written::default());
        let error = real.client.describe_topics(&["never-made"]).await.remove(0);
        assert!(error.is_err(), "nobody has made it");
        let (error, _) = real.refused(&[("topic", "never-made")], vec![("key", text(&[]))]).await;
        assert_eq!(error.kind(), ErrorKind::InvalidSchema);
    });
}
