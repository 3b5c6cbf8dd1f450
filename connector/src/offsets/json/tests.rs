use proptest::prelude::*;

use super::*;
use crate::offsets::testing::offsets;

fn refused(text: &str) {
    let error = parse_offsets(text).expect_err(text);
    assert_eq!(
        error.message(),
        format!(r#"Expected e.g. {{"topicA":{{"0":23,"1":-1}},"topicB":{{"0":-2}}}}, got {text}"#)
    );
}

fn single(text: &str) -> i64 {
    let map = parse_offsets(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(map.len(), 1, "{text}");
    *map.values().next().unwrap()
}

#[test]
fn b012_offsets_parse_with_latest_and_earliest() {
    assert_eq!(
        parse_offsets(r#"{"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}"#).unwrap(),
        offsets(&[("topicA", 0, 23), ("topicA", 1, -1), ("topicB", 0, -2)])
    );
}

#[test]
fn b013_partitions_keep_the_order_of_the_text() {
    let text = |json| -> Vec<String> {
        parse_partitions(json).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        text(r#"{"topicA":[0,1],"topicB":[4,6]}"#),
        ["topicA-0", "topicA-1", "topicB-4", "topicB-6"]
    );
    assert_eq!(text(r#"{"b":[1],"a":[0]}"#), ["b-1", "a-0"]);
}

#[test]
fn b016_what_spark_refuses_is_refused_with_its_words() {
    for text in [
        "",
        "   ",
        "[]",
        "latest",
        r#"{"t":5}"#,
        r#"{"t":[1]}"#,
        r#"{"t":{"x":5}}"#,
        r#"{"t":{" 0":5}}"#,
        r#"{"t":{"0":"5"}}"#,
        r#"{"t":{"0":true}}"#,
        r#"{t:{"0":5}}"#,
        r#"{'t':{'0':5}}"#,
        r#"{"t":{"0":5,}}"#,
        r#"{"t":{"0":01}}"#,
        r#"{"t":{"0":+1}}"#,
        r#"{"t":/*c*/{"0":1}}"#,
        r#"{"t":{"2147483648":1}}"#,
    ] {
        refused(text);
    }
}

#[test]
fn b017_what_spark_takes_is_taken() {
    for empty in ["null", r#"{"t":{}}"#, r#"{"t":null}"#, "{}"] {
        assert!(parse_offsets(empty).unwrap().is_empty(), "{empty}");
    }
    assert_eq!(single(r#"{"t":{"0":null}}"#), 0);
    assert_eq!(single(r#"{"t":{"0":5.9}}"#), 5);
    assert_eq!(single(r#"{"t":{"0":1e3}}"#), 1000);
    assert_eq!(single(r#"{"t":{"0":9223372036854775808}}"#), i64::MIN);
    assert_eq!(single(r#"{"t":{"0":1,"0":2}}"#), 2);
    assert_eq!(single(r#"{"t":{"0":7}} and more"#), 7);
    assert_eq!(single(r#"{"":{"0":7}}"#), 7);
    assert_eq!(parse_offsets(r#"{"t":{"00":7}}"#).unwrap(), offsets(&[("t", 0, 7)]));
    assert_eq!(parse_offsets(r#"{"t":{"+1":7}}"#).unwrap(), offsets(&[("t", 1, 7)]));
    assert_eq!(parse_offsets(r#"{"t":{"-1":7}}"#).unwrap(), offsets(&[("t", -1, 7)]));
    assert_eq!(
        parse_offsets(r#"{"t":{"0":1,"1":2},"t":{"2":3}}"#).unwrap(),
        offsets(&[("t", 2, 3)])
    );
}

#[test]
fn b018_partition_lists_narrow_numbers_as_java_does() {
    let one = |text: &str| parse_partitions(text).unwrap()[0].partition;
    assert_eq!(one(r#"{"t":[0.5]}"#), 0);
    assert_eq!(one(r#"{"t":[null]}"#), 0);
    assert_eq!(one(r#"{"t":[-1]}"#), -1);
    assert_eq!(one(r#"{"t":[2147483648]}"#), i32::MIN);
    assert_eq!(parse_partitions(r#"{"t":[0,0]}"#).unwrap().len(), 2);
    for text in [r#"{"t":["0"]}"#, r#"{"t":{"0":1}}"#, r#"{"t":5}"#] {
        let error = parse_partitions(text).unwrap_err();
        assert_eq!(
            error.message(),
            format!(r#"Expected e.g. {{"topicA":[0,1],"topicB":[0,1]}}, got {text}"#)
        );
    }
}

#[test]
fn b019_other_negative_offsets_are_literal() {
    assert_eq!(single(r#"{"t":{"0":-3}}"#), -3);
}

#[test]
fn b264_names_are_written_raw_and_escapes_are_read() {
    assert_eq!(parse_offsets(r#"{"\u0074":{"0":1}}"#).unwrap(), offsets(&[("t", 0, 1)]));
    assert_eq!(
        write_offsets(&offsets(&[("ü\"\\\u{1}", 0, 1)])),
        "{\"ü\\\"\\\\\\u0001\":{\"0\":1}}"
    );
}

#[test]
fn timestamps_are_refused_in_one_line() {
    let error = parse_timestamps("x").unwrap_err();
    assert!(error.message().starts_with(r#"Expected e.g. {"topicA": {"0": 123456789, "#));
    assert!(!error.message().contains('\n'));
}

#[test]
fn written_text_has_no_spaces_and_the_order_of_the_hash_tables() {
    let map = offsets(&[("t", 17, 4), ("t", 0, 1), ("t", 16, 2), ("t", 1, 3)]);
    assert_eq!(write_offsets(&map), r#"{"t":{"0":1,"16":2,"1":3,"17":4}}"#);
    assert_eq!(write_offsets(&PartitionOffsets::new()), "{}");
}

#[test]
fn a_checkpoint_is_read_strictly() {
    for text in [
        "",
        "null x",
        r#"{"t":{"0":1}} x"#,
        r#"{"t":{"0":1.0}}"#,
        r#"{"t":{"00":1}}"#,
        r#"{"t":{"0":-1}}"#,
        r#"{"t":{"0":1,"0":1}}"#,
        r#"{"t":{"0":1"#,
        r#"{"t":{"-1":1}}"#,
        r#"{"t":{"0":9223372036854775808}}"#,
    ] {
        assert!(parse_recorded(text).is_err(), "{text}");
    }
    // Spark 2.4 on Scala 2.12 wrote another key order, which still has to be read.
    let old = r#"{"spark-test-topic":{"2":0,"4":0,"1":0,"3":0,"0":0}}"#;
    assert_eq!(parse_recorded(old).unwrap().len(), 5);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        entries in prop::collection::btree_map(("[a-zA-Z0-9._-]{1,12}", 0..3000_i32), 0..i64::MAX, 0..200)
    ) {
        let map: PartitionOffsets =
            entries.into_iter().map(|((t, p), o)| (TopicPartition::new(t, p), o)).collect();
        let text = write_offsets(&map);
        prop_assert_eq!(&parse_recorded(&text).unwrap(), &map);
        prop_assert_eq!(&parse_offsets(&text).unwrap(), &map);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,200}") {
        let _ = parse_offsets(&text);
        let _ = parse_partitions(&text);
        let _ = parse_recorded(&text);
    }
}
