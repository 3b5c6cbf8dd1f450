//! What others say is in the logs. In: a cluster and a partition; out: the numbers that Java's
//! console consumer reads, and the batches that `DumpLogSegments` finds in a broker's files.

use std::time::{SystemTime, UNIX_EPOCH};

use klamm_testkit::apache::Kafka;

/// A batch as it lies in a broker's file.
#[derive(Debug)]
pub(super) struct Batch {
    base_offset: i64,
    last_offset: i64,
    count: i64,
    base_sequence: i64,
    valid: bool,
}

/// The values of a partition from its beginning, as numbers, in order, by a committed read.
pub(super) fn java_reads(kafka: &Kafka, topic: &str, partition: i32, most: usize) -> Vec<u64> {
    let (partition, most) = (partition.to_string(), (most + 1).to_string());
    let arguments = [
        "--topic",
        topic,
        "--partition",
        &partition,
        "--offset",
        "earliest",
        "--isolation-level",
        "read_committed",
        // One more than there should be: the consumer then ends by its patience.
        "--max-messages",
        &most,
        "--timeout-ms",
        "8000",
    ];
    let printed = kafka.run_tool("ConsoleConsumer", &arguments, b"").expect("Java reads");
    let text = String::from_utf8(printed).expect("digits");
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The batches of a partition in one broker's files.
pub(super) fn dump(kafka: &Kafka, node: i32, topic: &str, partition: i32) -> Vec<Batch> {
    let folder = kafka.data_folder(node).unwrap().join(format!("{topic}-{partition}"));
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .map(|path| path.to_str().expect("a plain path").to_owned())
        .collect();
    // Segments are named after their first offset.
    files.sort();
    let printed = kafka
        .tools()
        .succeed("DumpLogSegments", &["--files", &files.join(",")], b"")
        .expect("Java reads the files");
    let text = String::from_utf8_lossy(&printed);
    text.lines().filter(|line| line.starts_with("baseOffset: ")).map(Batch::of).collect()
}

impl Batch {
    /// A line such as `baseOffset: 0 lastOffset: 9 count: 10 baseSequence: 0 … isvalid: true`.
    fn of(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |name: &str| {
            let at = words.iter().position(|word| *word == name);
            at.and_then(|at| words.get(at + 1).copied())
                .unwrap_or_else(|| panic!("no {name} in {line}"))
        };
        let number = |name| after(name).parse().unwrap_or_else(|_| panic!("{name} in {line}"));
        Self {
            base_offset: number("baseOffset:"),
            last_offset: number("lastOffset:"),
            count: number("count:"),
            base_sequence: number("baseSequence:"),
            valid: after("isvalid:") == "true",
        }
    }
}

/// Whether the batches of idempotent producers follow upon each other, up to `end`.
pub(super) fn unbroken(node: i32, partition: i32, batches: &[Batch], end: i64) {
    let mut next = 0;
    for batch in batches {
        assert!(batch.valid && batch.base_sequence >= 0, "broker {node}, {partition}: {batch:?}");
        assert_eq!(batch.base_offset, next, "broker {node}, {partition}: {batch:?}");
        assert_eq!(batch.last_offset - batch.base_offset + 1, batch.count, "{batch:?}");
        next = batch.last_offset + 1;
    }
    assert_eq!(next, end, "broker {node} holds another number of records of {partition}");
}

/// Compares what was read with what was written, and says where they part.
pub(super) fn same(partition: i32, seen: &[u64], wanted: &[u64]) {
    let part = seen.iter().zip(wanted).position(|(seen, wanted)| seen != wanted);
    let at = part.unwrap_or(seen.len().min(wanted.len()));
    let around = |list: &[u64]| list.iter().skip(at.saturating_sub(2)).take(5).copied().collect();
    let (seen_here, wanted_here): (Vec<_>, Vec<_>) = (around(seen), around(wanted));
    assert!(
        part.is_none() && seen.len() == wanted.len(),
        "partition {partition}: {} records instead of {}, at {at} {seen_here:?} instead of {wanted_here:?}",
        seen.len(),
        wanted.len(),
    );
}

/// Records of today: retention would delete older ones.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
