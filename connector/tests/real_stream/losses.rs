//! Records that are gone before they were read: refused by name, or left out, never read twice.

use std::error::Error as _;

use klamm_connector::error::{Error, ErrorKind, Result};
use klamm_connector::query::Trigger;
use klamm_connector::source::ReadOrder;

use crate::common::job::Job;
use crate::common::{Row, collect, numbers};
use crate::ground::{Ground, append, each};

const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");
const FORGIVING: (&str, &str) = ("failOnDataLoss", "false");

/// Whether it is the error of a range that can't be read, and of this one.
fn is_unreadable(error: &Error, range: &str, topic: &str) -> bool {
    let text = format!("Could not read records in offset {range} for topic partition {topic}-0");
    error.kind() == ErrorKind::DataLoss
        && error.condition() == Some("KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE")
        && error.message().contains(&text)
}

pub(crate) async fn b053_what_expired_is_an_error_or_is_left_out(ground: &Ground) {
    let t = ground.create("t", 1).await;
    for n in 0..5 {
        ground.write(&t, 0, 1, &numbers(n * 10, n * 10 + 10)).await;
    }
    // In the middle of a batch.
    ground.expire(&t, 0, 25).await;
    let start = each(&t, &[(0, 3)]);
    let strict = [("subscribe", &*t), ("startingOffsets", &*start)];
    let error = ground.values(&strict).await.unwrap_err();
    assert!(is_unreadable(&error, "[3, 50)", &t), "{error}");
    let forgiving = [strict[0], strict[1], FORGIVING];
    assert_eq!(ground.values(&forgiving).await.unwrap(), numbers(25, 50));
    // In pieces, some of which have nothing left.
    let pieces = [strict[0], strict[1], FORGIVING, ("minPartitions", "9")];
    assert_eq!(ground.values(&pieces).await.unwrap(), numbers(25, 50));
}

pub(crate) async fn b127_b133_what_is_gone_fails_the_query_and_names_the_range(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let strict = [("subscribe", &*t), EARLIEST];
    let job = Job::at(ground);
    ground.write(&t, 0, 1, &numbers(0, 4)).await;
    job.drain(&strict).await.unwrap();
    for first in [4, 8] {
        ground.write(&t, 0, 1, &numbers(first, first + 4)).await;
    }
    ground.expire(&t, 0, 8).await;
    let error = job.drain(&strict).await.unwrap_err();
    assert!(is_unreadable(&error, "[4, 12)", &t), "{error}");
    assert_eq!(job.offsets(), [vec![0, 1, 2, 3]]);
    job.drain(&[strict[0], EARLIEST, FORGIVING]).await.unwrap();
    assert_eq!(job.offsets(), [vec![8, 9, 10, 11]]);
}

pub(crate) async fn b132_a_start_beyond_the_end_is_a_changed_offset(ground: &Ground) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &numbers(0, 3)).await;
    let start = each(&t, &[(0, 9)]);
    let options = [("subscribe", &*t), ("startingOffsets", &*start)];
    let job = Job::at(ground);
    let error = job.drain(&options).await.unwrap_err();
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED"));
    assert!(error.message().contains("was changed from 9 to 3"), "{error}");
    job.drain(&[options[0], options[1], FORGIVING]).await.unwrap();
    ground.write(&t, 0, 1, &["3"]).await;
    job.drain(&[options[0], FORGIVING]).await.unwrap();
    assert_eq!(job.values(), ["3"]);
}

/// Plans `[from, until)` of a topic with twenty records, lets `change` happen, and reads.
async fn changed(
    ground: &Ground,
    name: &str,
    (from, until): (i64, i64),
    fail: &str,
    change: impl AsyncFn(&str),
) -> Result<Vec<i64>> {
    let t = ground.create(&format!("{name}-{fail}"), 1).await;
    ground.write(&t, 0, 1, &numbers(0, 20)).await;
    let (start, end) = (each(&t, &[(0, from)]), each(&t, &[(0, until)]));
    let options = [
        ("subscribe", &*t),
        ("startingOffsets", &*start),
        ("endingOffsets", &*end),
        ("failOnDataLoss", fail),
        ("kafkaConsumer.pollTimeoutMs", "1500"),
    ];
    let plan = ground.plan(&options).await.unwrap();
    change(&t).await;
    let rows = collect(plan.rows(ReadOrder::ByPartition)).await;
    if let Err(error) = &rows {
        assert!(is_unreadable(error, &format!("[{from}, {until})"), &t), "{error}");
    }
    rows.map(|rows| rows.into_iter().map(|(_, offset, _)| offset).collect())
}

pub(crate) async fn b134_b135_what_went_between_plan_and_reading_is_skipped_or_an_error(
    ground: &Ground,
) {
    for fail in ["true", "false"] {
        let expired = async |t: &str| ground.expire(t, 0, 8).await;
        let shorter = async |t: &str| {
            ground.make_anew(t, 1).await;
            ground.write(t, 0, 1, &numbers(0, 3)).await;
        };
        let head = changed(ground, "head", (2, 12), fail, expired).await;
        let all = changed(ground, "all", (2, 8), fail, expired).await;
        let none = changed(ground, "none", (10, 20), fail, shorter).await;
        if fail == "true" {
            assert!(head.is_err() && all.is_err() && none.is_err(), "{head:?} {all:?} {none:?}");
        } else {
            assert_eq!(head.unwrap(), [8, 9, 10, 11]);
            assert!(all.unwrap().is_empty() && none.unwrap().is_empty());
        }
    }
}

pub(crate) async fn b136_what_vanished_and_is_there_again_is_read(ground: &Ground) {
    for fail in ["true", "false"] {
        let made_anew = async |t: &str| {
            ground.make_anew(t, 1).await;
            ground.write(t, 0, 1, &numbers(0, 20)).await;
        };
        let again = changed(ground, "again", (10, 14), fail, made_anew).await;
        assert_eq!(again.unwrap(), [10, 11, 12, 13]);
    }
}

pub(crate) async fn b139_b142_a_head_that_expires_while_it_is_read_is_left_out_and_nothing_comes_twice(
    ground: &Ground,
) {
    let t = ground.create("t", 2).await;
    for first in (0..50).step_by(5) {
        for partition in 0..2 {
            ground.write(&t, partition, 1, &numbers(first, first + 5)).await;
        }
    }
    let options = [("subscribe", &*t), EARLIEST, FORGIVING, ("maxOffsetsPerTrigger", "20")];
    let job = Job::at(ground);
    let mut query = job.start(Trigger::AvailableNow, &options).await.unwrap();
    let mut expired = 0;
    while let Some(progress) = query.next().await {
        progress.unwrap();
        expired = (expired + 15).min(45);
        ground.expire(&t, 0, expired).await;
    }
    let rows = job.taken().concat();
    let mut seen: Vec<_> =
        rows.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), rows.len(), "nothing comes twice");
    let whole = seen.iter().filter(|(partition, _)| *partition == 1).count();
    assert!(whole == 50 && seen.len() > 50 && seen.len() < 100, "{} rows", seen.len());
}

pub(crate) async fn b141_an_end_that_does_not_come_is_a_loss_once_the_time_is_over(
    ground: &Ground,
) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &["0", "1", "2"]).await;
    let mut producer = ground.transactional("x");
    let transaction = producer.begin().await.unwrap();
    append(&transaction, &t, &["3", "4"]).await;
    let read = async |fail: &str, level: &str, until: i64| {
        let end = each(&t, &[(0, until)]);
        let options = [
            ("subscribe", &*t),
            ("endingOffsets", &*end),
            ("failOnDataLoss", fail),
            ("kafka.isolation.level", level),
            ("kafkaConsumer.pollTimeoutMs", "1000"),
        ];
        ground.values(&options).await
    };
    // Beyond the end of the log, and beyond its last stable offset.
    for (level, until, there) in [("read_uncommitted", 9, 5), ("read_committed", 5, 3)] {
        let error = read("true", level, until).await.unwrap_err();
        assert!(is_unreadable(&error, &format!("[{there}, {until})"), &t), "{error}");
        assert_eq!(read("false", level, until).await.unwrap(), numbers(0, there));
    }
    transaction.abort().await.unwrap();
}

/// A topic is deleted between the plan and its reading.
async fn read_deleted(ground: &Ground, fail: &str) -> (String, Result<Vec<Row>>) {
    let t = ground.create(&format!("t-{fail}"), 1).await;
    let u = ground.create(&format!("u-{fail}"), 1).await;
    ground.write(&t, 0, 1, &["0", "1"]).await;
    ground.write(&u, 0, 1, &["2"]).await;
    let (both, start, end) = (
        format!("{t},{u}"),
        format!(r#"{{"{t}":{{"0":0}},"{u}":{{"0":0}}}}"#),
        format!(r#"{{"{t}":{{"0":2}},"{u}":{{"0":1}}}}"#),
    );
    let options = [
        ("subscribe", &*both),
        ("startingOffsets", &*start),
        ("endingOffsets", &*end),
        ("failOnDataLoss", fail),
    ];
    let plan = ground.plan(&options).await.unwrap();
    ground.delete(&t).await;
    let rows = collect(plan.rows(ReadOrder::ByPartition)).await;
    (t, rows)
}

pub(crate) async fn b143_a_topic_that_is_deleted_before_it_is_read_is_a_loss(ground: &Ground) {
    let (t, rows) = read_deleted(ground, "true").await;
    let error = rows.unwrap_err();
    assert!(is_unreadable(&error, "[0, 2)", &t), "{error}");
    let (_, rows) = read_deleted(ground, "false").await;
    assert_eq!(rows.unwrap(), [(0, 0, Some("2".into()))]);
}

/// The reader that is kept knows the topic by an id that is another's now; one after a restart sees only offsets.
pub(crate) async fn b143_b268_a_running_query_notices_that_a_topic_was_made_anew(ground: &Ground) {
    for fail in ["true", "false"] {
        let t = ground.create(&format!("t-{fail}"), 1).await;
        ground.write(&t, 0, 1, &numbers(0, 3)).await;
        let job = Job::at(ground);
        let options = [("subscribe", &*t), EARLIEST, ("failOnDataLoss", fail)];
        let mut query = job.start(Trigger::AsSoonAsData, &options).await.unwrap();
        query.next().await.unwrap().unwrap();
        assert_eq!(job.values(), ["0", "1", "2"]);
        ground.make_anew(&t, 1).await;
        ground.write(&t, 0, 1, &numbers(100, 105)).await;
        let next = query.next().await.unwrap();
        if fail == "true" {
            let error = next.unwrap_err();
            assert!(is_unreadable(&error, "[3, 5)", &t), "{error}");
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains("the topic was deleted and made anew"), "{cause}");
            drop(query);
            job.drain(&options).await.unwrap();
        }
        assert_eq!(job.values(), ["103", "104"]);
    }
}
