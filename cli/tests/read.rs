//! `klamm read`: every form of output, what it promises about order and null, and what it refuses.

mod common;

use std::process::{Command, Stdio};

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use common::{Embedded, klamm, klamm_bytes, klamm_fed};
use klamm_protocol::records::{BatchBuilder, BatchOptions, RecordParts};

/// A record of `orders`: key, value and headers.
type Given<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a [(&'a str, Option<&'a [u8]>)]);

/// Appends one batch, at 1970-01-01T00:00:01.234 and one second more for each record.
fn append(embedded: &Embedded, partition: i32, records: &[Given<'_>]) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (at, (key, value, headers)) in records.iter().enumerate() {
        let timestamp = 1_234 + 1_000 * at as i64;
        let headers = headers.iter().copied();
        builder.try_push(&RecordParts { timestamp, key: *key, value: *value, headers }).unwrap();
    }
    let bytes = builder.seal().to_bytes();
    embedded
        .with(|cluster| cluster.edit_log("orders", partition, |log| log.append(&bytes, 0, 1)))
        .unwrap();
}

/// Two partitions; nulls, empties, headers, and what CSV and JSON have to escape.
fn orders() -> Embedded {
    let embedded = Embedded::start();
    embedded.topic("orders", 2);
    append(&embedded, 1, &[(Some(b"k"), Some("gr\u{fc}n, \"x\"\ny".as_bytes()), &[])]);
    let headers: &[(&str, Option<&[u8]>)] = &[("a", Some(b"1")), ("a", Some(b"")), ("n", None)];
    append(
        &embedded,
        0,
        &[(None, Some(b""), &[]), (Some(b""), None, headers), (Some(b"k"), Some(b"v"), &[])],
    );
    embedded
}

fn read(embedded: &Embedded, more: &[&str]) -> common::Ran {
    klamm(&[&["read", "-b", &embedded.server, "-t", "orders"], more].concat())
}

const ROWS: [&str; 4] = [
    r#"{"key":null,"value":"","topic":"orders","partition":0,"offset":0,"timestamp":"1970-01-01T00:00:01.234Z","timestampType":0}"#,
    r#"{"key":"","value":null,"topic":"orders","partition":0,"offset":1,"timestamp":"1970-01-01T00:00:02.234Z","timestampType":0}"#,
    r#"{"key":"k","value":"v","topic":"orders","partition":0,"offset":2,"timestamp":"1970-01-01T00:00:03.234Z","timestampType":0}"#,
    r#"{"key":"k","value":"grün, \"x\"\ny","topic":"orders","partition":1,"offset":0,"timestamp":"1970-01-01T00:00:01.234Z","timestampType":0}"#,
];

#[test]
fn json_is_the_default_with_sparks_columns_in_sparks_order() {
    let embedded = orders();
    let text = read(&embedded, &[]).ok();
    assert_eq!(text.lines().collect::<Vec<_>>(), ROWS);
    assert_eq!(read(&embedded, &["--format", "json", "--binary", "utf8"]).ok(), text);
    let with = read(&embedded, &["-o", "includeHeaders=true"]).ok();
    let ends = [
        r#","headers":null}"#,
        r#","headers":[{"key":"a","value":"1"},{"key":"a","value":""},{"key":"n","value":null}]}"#,
    ];
    for (at, line) in with.lines().enumerate() {
        let end = ends[usize::from(at == 1)];
        assert_eq!(line, format!("{}{end}", ROWS[at].strip_suffix('}').unwrap()));
    }
}

#[test]
fn base64_prints_key_value_and_header_values_as_sparks_to_json_does() {
    let embedded = orders();
    let all = ["--binary", "base64", "-o", "includeHeaders=true"];
    let text = read(&embedded, &all).ok();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(r#"{"key":null,"value":"","topic""#), "{text}");
    assert!(lines[1].contains(r#""headers":[{"key":"a","value":"MQ=="},"#), "{text}");
    assert!(lines[2].starts_with(r#"{"key":"aw==","value":"dg==","topic""#), "{text}");
}

#[test]
fn bytes_that_are_no_text_end_the_read_by_name_and_never_print_as_something_else() {
    let embedded = orders();
    append(&embedded, 0, &[(Some(b"k"), Some(b"\xff\xfe"), &[]), (None, Some(b"later"), &[])]);
    for format in ["json", "csv"] {
        let run = read(&embedded, &["--format", format]);
        run.refused(1, "--binary base64");
        assert!(run.stderr.contains("orders") && run.stderr.contains('3'), "{}", run.stderr);
        assert!(
            !run.stdout.contains('\u{fffd}') && !run.stdout.contains("later"),
            "{}",
            run.stdout
        );
        assert!(run.stdout.ends_with('\n'), "whole rows only: {}", run.stdout);
        assert!(read(&embedded, &["--format", format, "--binary", "base64"]).ok().contains("//4="));
    }
    let raw = ["read", "-b", &embedded.server, "-t", "orders", "--format", "raw"];
    let (status, bytes, _) = klamm_bytes(&raw);
    assert_eq!(status, 0);
    assert!(bytes.windows(3).any(|part| part == b"\xff\xfe\n"), "raw is the bytes themselves");
}

#[test]
fn raw_is_a_value_and_a_newline() {
    let embedded = orders();
    assert_eq!(read(&embedded, &["--format", "raw"]).ok(), "\n\nv\ngr\u{fc}n, \"x\"\ny\n");
}

#[test]
fn csv_tells_null_from_empty_and_quotes_what_it_must() {
    let embedded = orders();
    let text = read(&embedded, &["--format", "csv", "-o", "includeHeaders=true"]).ok();
    let expected = "key,value,topic,partition,offset,timestamp,timestampType,headers\n\
        ,\"\",orders,0,0,1970-01-01T00:00:01.234Z,0,\n\
        \"\",,orders,0,1,1970-01-01T00:00:02.234Z,0,\"[{\"\"key\"\":\"\"a\"\",\"\"value\"\":\"\"1\"\"},{\"\"key\"\":\"\"a\"\",\"\"value\"\":\"\"\"\"},{\"\"key\"\":\"\"n\"\",\"\"value\"\":null}]\"\n\
        k,v,orders,0,2,1970-01-01T00:00:03.234Z,0,\n\
        k,\"gr\u{fc}n, \"\"x\"\"\ny\",orders,1,0,1970-01-01T00:00:01.234Z,0,\n";
    assert_eq!(text, expected);
}

#[test]
fn a_topic_without_rows_still_has_its_columns() {
    let embedded = Embedded::start();
    embedded.topic("orders", 1);
    let csv = read(&embedded, &["--format", "csv"]).ok();
    assert_eq!(csv, "key,value,topic,partition,offset,timestamp,timestampType\n");
    assert!(arrow(&embedded, &[]).iter().all(|batch| batch.num_rows() == 0));
    assert_eq!(read(&embedded, &[]).ok(), "");
    assert_eq!(read(&embedded, &["--format", "raw"]).ok(), "");
    assert_eq!(read(&embedded, &["--count"]).ok(), "0\n");
}

/// What `--format arrow` prints.
fn arrow(embedded: &Embedded, more: &[&str]) -> Vec<RecordBatch> {
    let start = ["read", "-b", &embedded.server, "-t", "orders", "--format", "arrow"];
    let (status, bytes, stderr) = klamm_bytes(&[&start, more].concat());
    assert_eq!(status, 0, "{stderr}");
    let reader = arrow_ipc::reader::StreamReader::try_new(&bytes[..], None).expect("a stream");
    let names: Vec<String> =
        reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let first = ["key", "value", "topic", "partition", "offset", "timestamp", "timestampType"];
    assert_eq!(names[..7], first);
    reader.map(|batch| batch.expect("a batch")).collect()
}

#[test]
fn arrow_is_an_ipc_stream_that_needs_no_text() {
    let embedded = orders();
    append(&embedded, 0, &[(None, Some(b"\xff"), &[])]);
    let batches = arrow(&embedded, &["-o", "includeHeaders=true"]);
    let mut values = Vec::new();
    for batch in &batches {
        assert_eq!(batch.num_columns(), 8);
        let column = batch.column_by_name("value").unwrap().as_binary_view();
        values.extend(
            (0..column.len()).map(|row| column.is_valid(row).then(|| column.value(row).to_vec())),
        );
    }
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let last = text("gr\u{fc}n, \"x\"\ny");
    assert_eq!(values, [text(""), None, text("v"), Some(vec![0xff]), last]);
}

#[test]
fn what_is_read_in_a_form_can_be_written_in_it_again() {
    let embedded = orders();
    append(&embedded, 1, &[(Some(b"\x00\xff"), Some(b"  spaces  "), &[("h", Some(b"\xff"))])]);
    let columns = ["-o", "includeHeaders=true", "--binary", "base64"];
    let expected = read(&embedded, &columns).ok();
    for format in ["json", "csv", "arrow"] {
        let copy = format!("copy-{format}");
        embedded.topic(&copy, 2);
        let form = ["--format", format, "--binary", "base64"];
        let start = ["read", "-b", &embedded.server, "-t", "orders", "-o", "includeHeaders=true"];
        let (status, rows, stderr) = klamm_bytes(&[&start[..], &form].concat());
        assert_eq!(status, 0, "{stderr}");
        let write = ["write", "-b", &embedded.server, "-t", &copy];
        let said = klamm_fed(&[&write[..], &form].concat(), &rows);
        assert!(said.stderr.starts_with("5 rows, "), "{format}: {}", said.stderr);
        said.ok();
        let start = ["read", "-b", &embedded.server, "-t", &copy];
        let there = klamm(&[&start[..], &columns].concat()).ok();
        let there = there.replace(&format!("\"topic\":\"{copy}\""), "\"topic\":\"orders\"");
        // Text has no time of its own to the sink, as in Spark; a copied Arrow row keeps its time.
        match format {
            "arrow" => assert_eq!(there, expected),
            _ => assert_eq!(without_times(&there), without_times(&expected), "{format}"),
        }
    }
}

fn without_times(rows: &str) -> Vec<String> {
    let row = |line: &str| {
        let (start, rest) = line.split_once("\"timestamp\":").unwrap();
        format!("{start}{}", rest.split_once(',').unwrap().1)
    };
    rows.lines().map(row).collect()
}

#[test]
fn a_limit_and_a_count_are_kept_to_and_order_is_by_partition() {
    let embedded = orders();
    assert_eq!(read(&embedded, &["--count"]).ok(), "4\n");
    assert_eq!(read(&embedded, &["--count", "--limit", "3"]).ok(), "3\n");
    assert_eq!(read(&embedded, &["--limit", "0"]).ok(), "");
    for limit in 1..=5 {
        let text = read(&embedded, &["--limit", &limit.to_string()]).ok();
        assert_eq!(text.lines().collect::<Vec<_>>(), ROWS[..limit.min(4)], "{limit}");
    }
    let rows: usize = arrow(&embedded, &["--limit", "2"]).iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 2);
}

#[test]
fn topics_come_one_after_the_other_and_offsets_rise_in_each_partition() {
    let embedded = Embedded::start();
    for (topic, partitions) in [("b", 3), ("a", 2)] {
        embedded.topic(topic, partitions);
        let rows: String =
            (0..200).map(|n| format!("{{\"key\":\"{n}\",\"value\":\"{n}\"}}\n")).collect();
        klamm_fed(&["write", "-b", &embedded.server, "-t", topic], rows.as_bytes()).ok();
    }
    let text = klamm(&["read", "-b", &embedded.server, "-t", "b,a"]).ok();
    let places: Vec<(String, i64, i64)> = text
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = |name| row[name].as_i64().unwrap();
            (row["topic"].as_str().unwrap().to_owned(), number("partition"), number("offset"))
        })
        .collect();
    assert_eq!(places.len(), 400);
    assert!(places.is_sorted());
}

#[test]
fn offsets_bound_a_read_on_both_sides() {
    let embedded = orders();
    let bounds = [
        "-o",
        r#"startingOffsets={"orders":{"0":1,"1":-2}}"#,
        "-o",
        r#"endingOffsets={"orders":{"0":2,"1":0}}"#,
    ];
    assert_eq!(read(&embedded, &bounds).ok().lines().collect::<Vec<_>>(), ROWS[1..2]);
    let times = ["-o", "startingTimestamp=2000", "-o", "startingOffsetsByTimestampStrategy=latest"];
    assert_eq!(read(&embedded, &times).ok().lines().collect::<Vec<_>>(), ROWS[1..3]);
    read(&embedded, &["-o", "startingOffsets=latest"])
        .refused(2, "starting offset can't be latest");
}

#[test]
fn an_option_that_a_read_ignores_is_said_and_the_rows_stay_alone_on_stdout() {
    let embedded = orders();
    let run = read(&embedded, &["-o", "maxOffsetsPerTrigger=1"]);
    assert_eq!(run.stderr.trim(), "WARN maxOffsetsPerTrigger has no effect in a batch");
    assert_eq!(run.ok().lines().count(), 4);
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let embedded = Embedded::start();
    klamm(&["read", "-b", &embedded.server, "-t", "missing"]).refused(1, "missing");
}

#[test]
fn a_reader_that_goes_away_as_head_does_is_no_failure() {
    let embedded = Embedded::start();
    embedded.topic("orders", 1);
    let rows: String = (0..50_000).map(|n| format!("value {n} and some more text\n")).collect();
    let write = ["write", "-b", &embedded.server, "-t", "orders", "--format", "raw"];
    klamm_fed(&write, rows.as_bytes()).ok();
    for format in ["json", "raw", "csv", "arrow"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_klamm"))
            .args(["read", "-b", &embedded.server, "-t", "orders", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // More is on its way than a pipe holds.
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("ends");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*stderr), (Some(0), ""), "{format}");
    }
}
