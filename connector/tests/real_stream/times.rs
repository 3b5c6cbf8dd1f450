//! Where reads start and end by what the broker says: timestamps, the ends of logs, and what counts as the latest
//! offset while transactions are open.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use klamm_client::producer::ProducerOptions;
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::PartitionOffsets;
use klamm_connector::options::ReadMode;
use klamm_connector::query::Trigger;
use klamm_connector::sink::next_rows;
use klamm_connector::source::{KafkaSource, ReadOrder, StreamSource as _};
use klamm_protocol::records::RecordParts;

use crate::common::job::Job;
use crate::common::{collect, numbers};
use crate::ground::{Ground, append, each, offsets};

const COMMITTED: (&str, &str) = ("kafka.isolation.level", "read_committed");
const OR_LATEST: (&str, &str) = ("startingOffsetsByTimestampStrategy", "latest");

async fn source(ground: &Ground, pairs: &[(&str, &str)]) -> KafkaSource {
    let options = ground.options(ReadMode::Stream, pairs).unwrap();
    KafkaSource::connect(options).await.unwrap()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

pub(crate) async fn b022_b025_b026_timestamps_find_the_first_record_at_or_after(ground: &Ground) {
    let t = ground.create("t", 3).await;
    for (time, first) in [(100, 0), (200, 10), (300, 20)] {
        for partition in 0..3 {
            let values: Vec<String> =
                (first..first + 10).filter(|n| n % 3 == partition).map(|n| n.to_string()).collect();
            ground.write(&t, partition, time, &values).await;
        }
    }
    let read = async |pairs: &[(&str, &str)]| {
        let values = ground.values(&[&[("subscribe", &*t)], pairs].concat()).await.unwrap();
        let mut numbers: Vec<i32> = values.iter().map(|value| value.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    let range = |from: i32, to: i32| (from..to).collect::<Vec<_>>();
    let both = [("startingTimestamp", "200"), ("endingTimestamp", "300")];
    assert_eq!(read(&both).await, range(10, 20));
    assert_eq!(read(&[("startingTimestamp", "150")]).await, range(10, 30));
    assert_eq!(read(&[("endingTimestamp", "300")]).await, range(0, 20));
    let each_at = each(&t, &[(0, 300), (1, 300), (2, 300)]);
    assert_eq!(read(&[("startingOffsetsByTimestamp", &*each_at)]).await, range(20, 30));
    // An end without a record at or after it is the end of the partition.
    assert_eq!(read(&[("endingTimestamp", "999")]).await, range(0, 30));
    let ends = each(&t, &[(0, -1), (1, -1), (2, 1)]);
    let mixed = [("startingTimestamp", "100"), ("endingOffsets", &*ends)];
    let expected: Vec<_> = (0..30).filter(|n| n % 3 < 2 || *n == 2).collect();
    assert_eq!(read(&mixed).await, expected);
}

pub(crate) async fn b023_a_start_without_a_match_is_refused_or_is_the_end(ground: &Ground) {
    let t = ground.create("t", 2).await;
    ground.write(&t, 0, 9000, &["0"]).await;
    ground.write(&t, 1, 1000, &["1"]).await;
    let late = [("subscribe", &*t), ("startingTimestamp", "5000")];
    let error = ground.values(&late).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOffsets);
    let text =
        format!("No offset matched from request of topic-partition {t}-1 and timestamp 5000.");
    assert!(error.message().starts_with(&text), "{error}");
    assert_eq!(ground.values(&[&late[..], &[OR_LATEST]].concat()).await.unwrap(), ["0"]);
}

pub(crate) async fn b024_a_partition_without_a_match_starts_at_its_end_if_so_asked(
    ground: &Ground,
) {
    let t = ground.create("t", 2).await;
    ground.write(&t, 0, 100, &["0"]).await;
    ground.write(&t, 0, 200, &["1"]).await;
    ground.write(&t, 1, 100, &["10"]).await;
    let options = [("subscribe", &*t), ("startingTimestamp", "150"), OR_LATEST];
    let job = Job::at(ground);
    job.drain(&options).await.unwrap();
    assert_eq!(job.values(), ["1"]);
    // What comes later is read, whatever its time.
    ground.write(&t, 1, 100, &["11"]).await;
    job.drain(&options).await.unwrap();
    assert_eq!(job.values(), ["11"]);
}

pub(crate) async fn b029_the_protocols_own_numbers_pass_as_timestamps(ground: &Ground) {
    let t = ground.create("t", 2).await;
    for (time, value) in [(100, "a"), (300, "b"), (200, "c")] {
        ground.write(&t, 0, time, &[value]).await;
        ground.write(&t, 1, time, &[value]).await;
    }
    let start = each(&t, &[(0, -2), (1, -1)]);
    let read = async |name, value| ground.values(&[("subscribe", &*t), (name, value)]).await;
    let starts = read("startingOffsetsByTimestamp", &start).await.unwrap();
    assert_eq!(starts, ["a", "b", "c"]);
    let ends = each(&t, &[(0, -1), (1, -2)]);
    assert_eq!(read("endingOffsetsByTimestamp", &ends).await.unwrap(), ["a", "b", "c"]);
    // From the record with the largest timestamp on.
    assert_eq!(read("startingTimestamp", "-3").await.unwrap(), ["b", "c", "b", "c"]);
    let empty = ground.create("empty", 1).await;
    let read = ground.values(&[("subscribe", &*empty), ("startingTimestamp", "-3")]).await;
    let text = format!("No offset matched from request of topic-partition {empty}-0");
    assert!(read.unwrap_err().message().starts_with(&text));
}

pub(crate) async fn b009_b011_who_sets_the_time_is_told_and_found_by(ground: &Ground) {
    let (stamped, own) = (ground.named("stamped"), ground.create("own", 1).await);
    ground.make(&stamped, 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    // Not every broker's clock is this one to the millisecond.
    let before = now_ms() - 100;
    let producer = ground.client.producer(ProducerOptions::default()).unwrap();
    for topic in [&stamped, &own] {
        let _ = producer.append(topic, None, RecordParts::new(5, None, Some(b"v"))).await.unwrap();
    }
    producer.flush().await.unwrap();
    let read = async |topic: &str| {
        let mut rows =
            ground.plan(&[("subscribe", topic)]).await.unwrap().rows(ReadOrder::ByPartition);
        let batch = next_rows(&mut rows).await.unwrap().unwrap();
        assert_eq!(crate::common::plain(&batch), [(0, 0, Some("v".into()))]);
        assert!(batch.column_by_name("key").unwrap().is_null(0));
        let times = batch.column_by_name("timestamp").unwrap();
        let kinds = batch.column_by_name("timestampType").unwrap();
        let time = times.as_primitive::<TimestampMicrosecondType>().value(0);
        (time, kinds.as_primitive::<Int32Type>().value(0))
    };
    assert_eq!(read(&own).await, (5000, 0));
    let (time, kind) = read(&stamped).await;
    assert!(kind == 1 && time >= before * 1000, "{kind} {time}");
    let found = async |topic: &str, at: i64| {
        ground.values(&[("subscribe", topic), ("startingTimestamp", &at.to_string())]).await
    };
    assert_eq!(found(&stamped, before).await.unwrap(), ["v"]);
    found(&stamped, before + 3_600_000).await.unwrap_err();
    found(&own, before).await.unwrap_err();
}

pub(crate) async fn b030_b265_an_offset_is_the_one_to_read_next(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let subscribe = ("subscribe", &*t);
    let mut stream = source(ground, &[subscribe, ("startingOffsets", "earliest")]).await;
    let at = |offset| offsets(&t, &[(0, offset)]);
    assert_eq!(stream.initial().await.unwrap(), at(0));
    assert_eq!(stream.latest(&PartitionOffsets::new()).await.unwrap(), at(0));
    assert!(ground.values(&[subscribe]).await.unwrap().is_empty());
    let error = ground.values(&[subscribe, ("startingTimestamp", "1")]).await.unwrap_err();
    assert!(error.message().starts_with("No offset matched from request"), "{error}");
    ground.write(&t, 0, 1, &numbers(0, 6)).await;
    assert_eq!(stream.latest(&at(0)).await.unwrap(), at(6));
    assert_eq!(ground.read(&[subscribe]).await.unwrap().last().unwrap().1, 5);
}

pub(crate) async fn b031_b159_the_latest_offset_is_the_last_stable_one_if_only_committed_records_count(
    ground: &Ground,
) {
    let t = ground.create("t", 1).await;
    let (all, committed) = ([("subscribe", &*t)], [("subscribe", &*t), COMMITTED]);
    ground.write(&t, 0, 1, &["0", "1"]).await;
    let mut producer = ground.transactional("x");
    let transaction = producer.begin().await.unwrap();
    append(&transaction, &t, &["2", "3"]).await;
    let latest = async |pairs: &[(&str, &str)]| {
        let mut source = source(ground, pairs).await;
        source.latest(&PartitionOffsets::new()).await.unwrap()
    };
    assert_eq!(latest(&all).await, offsets(&t, &[(0, 4)]));
    assert_eq!(latest(&committed).await, offsets(&t, &[(0, 2)]));
    // A plan whose end is the latest offset finds it when it is read, by the same rule.
    let plan = ground.plan(&committed).await.unwrap();
    let rows = async || collect(plan.rows(ReadOrder::ByPartition)).await.unwrap().len();
    assert_eq!(rows().await, 2);
    // So does what is looked up by time: the records of the transaction are not there yet.
    let later = ("startingTimestamp", "500");
    assert_eq!(ground.values(&[all[0], later]).await.unwrap(), ["2", "3"]);
    let error = ground.values(&[all[0], COMMITTED, later]).await.unwrap_err();
    assert!(error.message().starts_with("No offset matched from request"), "{error}");
    transaction.commit().await.unwrap();
    ground.settled(&t, 5).await;
    assert_eq!(rows().await, 4);
    assert_eq!(ground.values(&[all[0], COMMITTED, later]).await.unwrap(), ["2", "3"]);
    let wrong = [all[0], ("kafka.isolation.level", "read_everything")];
    let wrong = ground.plan(&wrong).await.err().unwrap();
    assert_eq!(wrong.kind(), ErrorKind::InvalidOption);
    assert!(wrong.to_string().contains("read_everything"), "{wrong}");
}

/// A marker bears the time at which the transaction ended, so it is what a later time finds.
pub(crate) async fn b022_b155_a_timestamp_may_find_a_marker(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let mut producer = ground.transactional("x");
    let transaction = producer.begin().await.unwrap();
    append(&transaction, &t, &["0", "1"]).await;
    transaction.commit().await.unwrap();
    ground.settled(&t, 3).await;
    for level in ["read_committed", "read_uncommitted"] {
        let options = [("subscribe", &*t), ("kafka.isolation.level", level)];
        let with = |name| [options[0], options[1], (name, "2000")];
        assert!(ground.values(&with("startingTimestamp")).await.unwrap().is_empty());
        assert_eq!(ground.values(&with("endingTimestamp")).await.unwrap(), ["0", "1"]);
        let mut source = source(ground, &with("startingTimestamp")).await;
        assert_eq!(source.initial().await.unwrap(), offsets(&t, &[(0, 2)]));
    }
    let job = Job::at(ground);
    let options = [("subscribe", &*t), ("startingTimestamp", "2000")];
    job.drain(&options).await.unwrap();
    ground.write(&t, 0, 1, &["next"]).await;
    job.drain(&options).await.unwrap();
    assert_eq!(job.offsets(), [vec![], vec![3]]);
}

pub(crate) async fn b040_the_earliest_offset_is_that_of_the_reading(ground: &Ground) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &numbers(0, 10)).await;
    let plan = ground.plan(&[("subscribe", &*t)]).await.unwrap();
    ground.write(&t, 0, 1, &numbers(10, 20)).await;
    ground.expire(&t, 0, 10).await;
    let rows = collect(plan.rows(ReadOrder::ByPartition)).await.unwrap();
    let values: Vec<_> = rows.into_iter().filter_map(|(_, _, value)| value).collect();
    assert_eq!(values, numbers(10, 20));
}

pub(crate) async fn b083_a_stream_reads_what_comes_after_its_start(ground: &Ground) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &["before"]).await;
    let job = Job::at(ground);
    let mut query = job.start(Trigger::AsSoonAsData, &[("subscribe", &*t)]).await.unwrap();
    assert_eq!(query.next().await.unwrap().unwrap().input_rows, 0);
    ground.write(&t, 0, 1, &["after"]).await;
    let progress = tokio::time::timeout(Duration::from_secs(20), query.next()).await.unwrap();
    assert_eq!(progress.unwrap().unwrap().source.start, Some(offsets(&t, &[(0, 1)])));
    assert_eq!(job.values(), ["after"]);
}
