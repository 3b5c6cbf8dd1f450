//! The topics that both read: whatever a log can hold.

use std::time::{Duration, Instant};

use klamm_client::TopicPartition;
use klamm_client::admin::{DeleteBefore, NewTopic};
use klamm_client::producer::ProducerOptions;
use klamm_protocol::records::{Compression, RecordParts};

use super::common::klamm;
use super::scene::{Record, Scene};

/// Three times, an hour apart.
pub(super) const TIMES: [i64; 3] = [1_750_000_000_000, 1_750_003_600_000, 1_750_007_200_000];

/// Makes and fills all topics.
pub(super) fn fill(scene: &Scene) {
    plain(scene);
    late(scene);
    headers(scene);
    stamped(scene);
    transactions(scene);
    open_transaction(scene);
    codecs(scene);
    expired(scene);
    many(scene);
    create(scene, "empty", 2, &[]);
    compacted(scene);
}

/// Makes a topic that keeps old records.
pub(super) fn create(scene: &Scene, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut topic =
        NewTopic::new(name).with_partitions(partitions).with_setting("retention.ms", "-1");
    for (name, value) in settings {
        topic = topic.with_setting(*name, *value);
    }
    scene.runtime.block_on(scene.client.create_topics(&[topic])).remove(0).expect("a topic");
}

/// Ten records in each of three partitions: four at the first time, three at each of the others; nulls, empty ones and
/// bytes that are no text among them.
fn plain(scene: &Scene) {
    for name in ["plain", "pat-a", "pat-b", "my-pat-a"] {
        create(scene, name, 3, &[]);
        let records: Vec<_> = (0..30).map(|n| plain_record(n % 3, n / 3)).collect();
        scene.write(name, &records);
    }
}

fn plain_record(partition: i32, number: i32) -> Record {
    let at = TIMES[(number.max(1) as usize - 1) / 3] + i64::from(number);
    let mut record =
        Record::text(partition, at, &format!("k{number}"), &format!("v{partition}-{number}"));
    match number {
        2 => record.key = None,
        3 => record.value = None,
        4 => (record.key, record.value) = (None, None),
        5 => record.value = Some(Vec::new()),
        6 => record.value = Some(vec![0xff, 0, 0xfe, b'x']),
        _ => {}
    }
    record
}

/// The second partition has nothing after the first time.
fn late(scene: &Scene) {
    create(scene, "late", 2, &[]);
    let records = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 0)];
    let records: Vec<_> =
        records.iter().map(|(p, t)| Record::text(*p, TIMES[*t], "k", "v")).collect();
    scene.write("late", &records);
}

fn headers(scene: &Scene) {
    create(scene, "headers", 1, &[]);
    let mut records = vec![Record::text(0, TIMES[0], "k", "v"); 4];
    records[0].headers = vec![("e", Some(b"f")), ("e", Some(b"g"))];
    records[1].headers = vec![("null", None), ("empty", Some(b"")), ("", Some(b"no key"))];
    records[3].headers = vec![("\u{e9}\"\\", Some(&[0xff, 0]))];
    scene.write("headers", &records);
}

/// The broker sets the time.
fn stamped(scene: &Scene) {
    create(scene, "stamped", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let records: Vec<_> = (0..5).map(|n| Record::text(0, TIMES[0], "k", &n.to_string())).collect();
    scene.write("stamped", &records);
}

/// Committed and aborted transactions, markers among the records and at the ends.
fn transactions(scene: &Scene) {
    create(scene, "txn", 3, &[]);
    scene.runtime.block_on(async {
        let mut options = ProducerOptions::default();
        options.transactional_id = Some("filler".to_owned());
        let mut producer = scene.client.transactional_producer(options).expect("a producer");
        let steps =
            [(0, 5, true), (0, 5, false), (0, 3, true), (1, 4, false), (2, 2, false), (2, 3, true)];
        for (number, (partition, count, commit)) in (0..).zip(steps) {
            let transaction = producer.begin().await.expect("a transaction");
            for record in 0..count {
                let value = format!("{number}-{record}");
                let parts = RecordParts::new(TIMES[0], Some(b"k"), Some(value.as_bytes()));
                let _ = transaction.append("txn", Some(partition), parts).await.expect("room");
            }
            if commit {
                transaction.commit().await.expect("committed");
            } else {
                transaction.flush().await.expect("written");
                transaction.abort().await.expect("aborted");
            }
        }
    });
    // Behind the first partition's last marker, and before nothing.
    scene.write(
        "txn",
        &[Record::text(0, TIMES[1], "k", "plain"), Record::text(0, TIMES[1], "k", "plain")],
    );
}

/// Four records that count, and three of a transaction that stays open for as long as the tests run.
fn open_transaction(scene: &Scene) {
    create(scene, "open", 1, &[]);
    let records: Vec<_> = (0..4).map(|n| Record::text(0, TIMES[0], "k", &n.to_string())).collect();
    scene.write("open", &records);
    let client = scene.client.clone();
    let (written, wait) = std::sync::mpsc::channel();
    scene.runtime.spawn(async move {
        let mut options = ProducerOptions::default();
        options.transactional_id = Some("never ends".to_owned());
        options.transaction_timeout = Duration::from_secs(900);
        let mut producer = client.transactional_producer(options).expect("a producer");
        let transaction = producer.begin().await.expect("a transaction");
        for _ in 0..3 {
            let parts = RecordParts::new(TIMES[1], None, Some(b"open"));
            let _ = transaction.append("open", Some(0), parts).await.expect("room");
        }
        transaction.flush().await.expect("written");
        written.send(()).expect("the test waits");
        std::future::pending::<()>().await;
    });
    wait.recv().expect("the open transaction is written");
}

/// A partition for each codec.
fn codecs(scene: &Scene) {
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    create(scene, "codecs", 4, &[]);
    for (partition, codec) in (0..).zip(codecs) {
        let mut options = ProducerOptions::default();
        options.compression = codec;
        let value = |n: i64| format!("value {n} {}", "again and ".repeat(50));
        let records: Vec<_> =
            (0..20).map(|n| Record::text(partition, TIMES[0] + n, "k", &value(n))).collect();
        scene.write_with("codecs", &records, options);
    }
}

/// Twenty records, of which the first seven are gone.
fn expired(scene: &Scene) {
    create(scene, "expired", 1, &[]);
    let records: Vec<_> = (0..20).map(|n| Record::text(0, TIMES[0], "k", &n.to_string())).collect();
    scene.write("expired", &records);
    let before = [(TopicPartition::new("expired", 0), DeleteBefore::Offset(7))];
    scene.runtime.block_on(scene.client.delete_records(&before)).remove(0).expect("deleted");
}

/// Enough to be split.
fn many(scene: &Scene) {
    create(scene, "many", 2, &[]);
    let record = |n: i64| Record::text(i32::from(n % 5 == 0), TIMES[0] + n, "k", &n.to_string());
    scene.write("many", &(0..500).map(record).collect::<Vec<_>>());
}

/// Rewritten by the broker's cleaner: what is left has gaps, also before its last record.
fn compacted(scene: &Scene) {
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "200"),
        ("delete.retention.ms", "0"),
    ];
    create(scene, "compacted", 1, &settings);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut written = 0;
    loop {
        // A segment is cleaned once a later record has closed it.
        for _ in 0..20 {
            let key = format!("k{}", written % 7);
            scene.write("compacted", &[Record::text(0, now_ms(), &key, &written.to_string())]);
            written += 1;
        }
        std::thread::sleep(Duration::from_millis(300));
        let count = klamm(&["read", "-b", &scene.bootstrap(), "-t", "compacted", "--count"]).ok();
        if count.trim().parse::<usize>().expect("a number") < written / 2 {
            break;
        }
        assert!(Instant::now() < deadline, "the cleaner never came");
    }
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a clock").as_millis() as i64
}
