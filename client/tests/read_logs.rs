//! The range reader over particular logs: transactions, markers, gaps, holes, damage, truncation.

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{client, cluster};
use klamm_client::config::Isolation;
use klamm_client::consumer::{OffsetRange, RangeReader, ReadOptions};
use klamm_client::{Client, Error, ErrorKind};
use klamm_protocol::api::{ApiKey, Message};
use klamm_protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use klamm_protocol::records::{
    BatchBuilder, BatchOptions, Compression, ProducerStamp, RawBatch, RecordParts,
};
use klamm_protocol::wire::Writer;
use klamm_testkit::control::{Fault, Intercept};
use klamm_testkit::door::EmbeddedCluster;

/// One step of a random log.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Records of no transaction.
    Plain(u16),
    /// Records of an open transaction of this producer.
    Transactional(i64, u16),
    /// The end of that transaction.
    Marker(i64, bool),
    /// Offsets that the cleaner removed with their batch.
    Gap(i64),
    /// A batch whose last records the cleaner removed.
    Cleaned(u16, u16),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_start_offset_of_a_log_with_transactions_gives_what_a_naive_reader_gives() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    let (records, committed) = write_log(&door, &random_steps(7, 60));
    let end = door.with(|cluster| cluster.log("t", 0).unwrap().end_offset());
    let client = client(&door).await;
    for start in 0..end {
        let from = |offsets: &[i64]| {
            offsets.iter().copied().filter(|offset| *offset >= start).collect::<Vec<_>>()
        };
        let all = read(&client, start, end, Isolation::ReadUncommitted).await.unwrap();
        assert_eq!(all, from(&records), "from {start}");
        let seen = read(&client, start, end, Isolation::ReadCommitted).await.unwrap();
        assert_eq!(seen, from(&committed), "committed, from {start}");
    }
}

/// What a reader gives until it has read all it has: offsets by partition, and the errors.
async fn drain(reader: &mut RangeReader) -> (Vec<(i32, i64)>, Vec<ErrorKind>) {
    let (mut offsets, mut errors) = (Vec::new(), Vec::new());
    while let Some(batch) = reader.next().await {
        match batch {
            Ok(batch) => offsets
                .extend(batch.records().map(|record| (batch.partition, record.unwrap().offset()))),
            Err(error) => errors.push(error.kind()),
        }
    }
    offsets.sort_unstable();
    (offsets, errors)
}

#[tokio::test]
async fn a_reader_that_has_read_all_goes_on_with_added_ranges_on_its_connection() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 2, 1)).unwrap();
    write_log(&door, &[Step::Plain(10), Step::Plain(10)]);
    let client = client(&door).await;
    let range = |partition, start, stop| OffsetRange { topic: "t".into(), partition, start, stop };
    let offsets = |range: std::ops::Range<i64>| range.map(|at| (0, at)).collect::<Vec<_>>();
    let mut reader = client.read_ranges(Vec::new(), ReadOptions::default());
    assert_eq!(drain(&mut reader).await, (vec![], vec![]));
    for start in 0..6 {
        reader.add(vec![range(0, start, start + 2)]);
        assert_eq!(drain(&mut reader).await, (offsets(start..start + 2), vec![]));
    }
    let open = || client.counters().brokers.iter().map(|one| one.opened).sum::<u64>();
    let before = open();
    // While it reads, more of the same partition, and what makes no sense.
    reader.add(vec![range(0, 0, 5)]);
    reader.add(vec![range(0, 5, 12), range(0, 9, 3), range(1, 0, 0)]);
    assert_eq!(drain(&mut reader).await, (offsets(0..12), vec![ErrorKind::Usage]));
    // After an error of the same partition.
    reader.add(vec![range(0, 100, 101)]);
    assert_eq!(drain(&mut reader).await, (vec![], vec![ErrorKind::DataLoss]));
    reader.add(vec![range(0, 18, 20)]);
    assert_eq!(drain(&mut reader).await, (offsets(18..20), vec![]));
    door.with(|cluster| cluster.edit_log("t", 0, |log| Ok(log.damage_newest()))).unwrap();
    reader.add(vec![range(0, 15, 20)]);
    assert_eq!(drain(&mut reader).await, (vec![], vec![ErrorKind::Corrupt]));
    reader.add(vec![range(0, 3, 5)]);
    assert_eq!(drain(&mut reader).await, (offsets(3..5), vec![]));
    assert_eq!(open(), before);
}

#[tokio::test]
async fn a_range_ends_on_markers_aborted_records_and_gaps() {
    let tails: [&[Step]; 5] = [
        &[Step::Transactional(5, 3), Step::Marker(5, true)],
        &[Step::Transactional(5, 3), Step::Marker(5, false)],
        &[
            Step::Transactional(5, 40),
            Step::Marker(5, false),
            Step::Marker(6, false),
            Step::Marker(7, true),
        ],
        &[Step::Cleaned(1, 30)],
        &[Step::Cleaned(0, 30)],
    ];
    for tail in tails {
        let door = cluster(1).await;
        door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
        let steps: Vec<Step> = [Step::Plain(4)].iter().chain(tail).copied().collect();
        let (_, committed) = write_log(&door, &steps);
        let end = door.with(|cluster| cluster.log("t", 0).unwrap().end_offset());
        let client = client(&door).await;
        let seen = read(&client, 0, end, Isolation::ReadCommitted).await.unwrap();
        assert_eq!(seen, committed, "{tail:?}");
        assert_eq!(read(&client, 4, end, Isolation::ReadCommitted).await.unwrap(), committed[4..]);
    }
}

#[tokio::test]
async fn a_gap_across_the_stop_ends_the_range() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    write_log(&door, &[Step::Plain(4), Step::Gap(50), Step::Plain(4)]);
    let client = client(&door).await;
    assert_eq!(read(&client, 0, 30, Isolation::ReadUncommitted).await.unwrap(), [0, 1, 2, 3]);
    assert_eq!(read(&client, 20, 55, Isolation::ReadUncommitted).await.unwrap(), [54]);
}

#[tokio::test]
async fn an_open_transaction_holds_a_committed_reader_back() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    write_log(&door, &[Step::Plain(4), Step::Transactional(5, 3), Step::Plain(2)]);
    let client = client(&door).await;
    let error = read(&client, 0, 9, Isolation::ReadCommitted).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.context("offset")),
        (ErrorKind::TimedOut, Some("4")),
        "{error}"
    );
    assert_eq!(read(&client, 0, 9, Isolation::ReadUncommitted).await.unwrap().len(), 9);
}

#[tokio::test]
async fn a_damaged_batch_is_an_error_with_its_place_and_nothing_after_it_is_handed_out() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    write_log(&door, &[Step::Plain(10), Step::Plain(10), Step::Plain(10)]);
    let client = client(&door).await;
    let mut records = BytesMut::new();
    for base in [0, 10, 20] {
        let mut batch = BytesMut::from(&batch(base, 10, 0, None)[..]);
        if base == 10 {
            *batch.last_mut().unwrap() ^= 1;
        }
        records.extend_from_slice(&batch);
    }
    let records = Some(records.freeze());
    let data = PartitionData { high_watermark: 30, records, ..PartitionData::default() };
    answer_fetch(&door, data, Some(1));
    let mut reader = client.read_ranges(vec![range(0, 30)], options(Isolation::ReadUncommitted));
    assert_eq!(reader.next().await.unwrap().unwrap().range, 0..10);
    let error = reader.next().await.unwrap().unwrap_err();
    let place = ["topic", "partition", "offset"].map(|name| error.context(name).unwrap());
    assert_eq!((error.kind(), place), (ErrorKind::Corrupt, ["t", "0", "10"]), "{error}");
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn a_hole_up_to_the_end_of_the_log_ends_the_range() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    write_log(&door, &[Step::Plain(4)]);
    let client = client(&door).await;
    let (high_watermark, last_stable_offset) = (10, 10);
    let empty = PartitionData { high_watermark, last_stable_offset, ..PartitionData::default() };
    answer_fetch(&door, empty, None);
    assert_eq!(read(&client, 4, 10, Isolation::ReadUncommitted).await.unwrap(), Vec::<i64>::new());
    let error = read(&client, 4, 11, Isolation::ReadUncommitted).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "beyond the end is no hole: {error}");
}

#[tokio::test]
async fn a_truncated_log_is_noticed_before_another_record_of_it_is_read() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    write_log(&door, &[Step::Plain(10); 10]);
    let client = client(&door).await;
    let mut options = options(Isolation::ReadUncommitted);
    (options.partition_max_bytes, options.max_bytes) = (200, 200);
    let mut reader = client.read_ranges(vec![range(0, 100)], options);
    for _ in 0..5 {
        reader.next().await.unwrap().unwrap();
    }
    door.with(|cluster| {
        cluster.truncate("t", 0, 20);
        let other: Vec<Bytes> = (0..8).map(|n| batch(20 + 10 * n, 10, 9, None)).collect();
        cluster.edit_log("t", 0, |log| other.iter().try_for_each(|batch| log.append_as_is(batch)))
    })
    .unwrap();
    let error = loop {
        match reader.next().await.unwrap() {
            Ok(batch) => {
                assert_ne!(batch.batch.header().partition_leader_epoch, 9, "read on in another log")
            }
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error.kind(), error.context("log_end")),
        (ErrorKind::DataLoss, Some("20")),
        "{error}"
    );
}

#[tokio::test]
async fn compressed_batches_of_every_codec_are_read() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (index, compression) in codecs.into_iter().enumerate() {
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        for _ in 0..100 {
            builder
                .try_push(&RecordParts::new(0, None, Some(b"the same again and again")))
                .unwrap();
        }
        let batch = in_log(builder, 100 * index as i64, 0, None);
        door.with(|cluster| cluster.edit_log("t", 0, |log| log.append_as_is(&batch))).unwrap();
    }
    let client = client(&door).await;
    assert_eq!(
        read(&client, 0, 400, Isolation::ReadUncommitted).await.unwrap(),
        (0..400).collect::<Vec<_>>()
    );
}

/// Has fetches of the partition answered with this, so many times or always.
fn answer_fetch(door: &EmbeddedCluster, data: PartitionData, times: Option<u32>) {
    let topic_id = door.with(|cluster| cluster.topic_id("t")).unwrap();
    let partitions = vec![data];
    let topic = FetchableTopicResponse { topic_id, partitions, ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    let mut writer = Writer::new();
    response.encode(&mut writer, 17).unwrap();
    // The flexible header has a count of tagged fields after the correlation id.
    let mut answer = BytesMut::from(&[0_u8][..]);
    answer.extend_from_slice(&writer.finish().unwrap().into_bytes());
    let rule = Intercept::on(ApiKey::Fetch).with(Fault::Answer(answer.freeze()));
    let rule = match times {
        Some(times) => rule.times(times),
        None => rule,
    };
    door.with(|cluster| cluster.intercept(rule));
}

/// Steps from a seed; every transaction is ended at the end.
fn random_steps(seed: u64, count: usize) -> Vec<Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut open = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..count {
        let producer = random.i64(1..5);
        steps.push(match random.u8(..8) {
            0 => Step::Plain(random.u16(1..4)),
            1 => Step::Gap(random.i64(1..4)),
            2 => Step::Cleaned(random.u16(1..3), random.u16(1..3)),
            3..6 => {
                open.push(producer);
                Step::Transactional(producer, random.u16(1..4))
            }
            _ => {
                open.retain(|one| *one != producer);
                Step::Marker(producer, random.bool())
            }
        });
    }
    open.sort_unstable();
    open.dedup();
    steps.extend(open.into_iter().map(|producer| Step::Marker(producer, random.bool())));
    steps
}

/// Writes the steps; returns the offsets of all records, and of those that a committed reader sees.
fn write_log(door: &EmbeddedCluster, steps: &[Step]) -> (Vec<i64>, Vec<i64>) {
    let (mut end, mut all, mut open) = (0, Vec::new(), Vec::<(i64, i64)>::new());
    let mut aborted = Vec::new();
    for step in steps {
        match *step {
            Step::Plain(count) | Step::Transactional(_, count) | Step::Cleaned(count, _) => {
                let producer = if let Step::Transactional(producer, _) = *step {
                    Some(producer)
                } else {
                    None
                };
                let cleaned = if let Step::Cleaned(_, cleaned) = *step { cleaned } else { 0 };
                let bytes = batch_with(end, count, 0, producer, cleaned);
                door.with(|cluster| cluster.edit_log("t", 0, |log| log.append_as_is(&bytes)))
                    .unwrap();
                let offsets = end..end + i64::from(count);
                open.extend(offsets.clone().filter_map(|offset| Some((producer?, offset))));
                all.extend(offsets);
                end += i64::from(count) + i64::from(cleaned);
            }
            Step::Marker(producer, commit) => {
                door.with(|cluster| {
                    cluster.edit_log("t", 0, |log| {
                        // A gap before it cannot be told to `append_marker`.
                        if log.end_offset() < end {
                            log.append_as_is(&batch(end, 1, 0, None))?;
                        }
                        log.append_marker(producer, 0, commit, 0, 0)
                    })
                })
                .unwrap();
                let marker = door.with(|cluster| cluster.log("t", 0).unwrap().end_offset()) - 1;
                all.extend(end..marker);
                end = marker + 1;
                let ended = open.iter().filter(|(one, _)| *one == producer && !commit);
                aborted.extend(ended.map(|(_, offset)| *offset));
                open.retain(|(one, _)| *one != producer);
            }
            Step::Gap(offsets) => end += offsets,
        }
    }
    let committed = all.iter().copied().filter(|offset| !aborted.contains(offset)).collect();
    (all, committed)
}

fn batch(base: i64, count: u16, epoch: i32, producer: Option<i64>) -> Bytes {
    batch_with(base, count, epoch, producer, 0)
}

fn batch_with(base: i64, count: u16, epoch: i32, producer: Option<i64>, cleaned: u16) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..count {
        builder.try_push(&RecordParts::new(0, None, Some(b"value"))).unwrap();
    }
    builder.skip_offsets(cleaned);
    in_log(builder, base, epoch, producer)
}

fn in_log(builder: BatchBuilder, base: i64, epoch: i32, producer: Option<i64>) -> Bytes {
    let mut sealed = builder.seal();
    if let Some(producer_id) = producer {
        sealed.stamp(ProducerStamp {
            producer_id,
            epoch: 0,
            base_sequence: 0,
            transactional: true,
        });
    }
    RawBatch::read(sealed.to_bytes()).unwrap().appended(base, epoch, None).bytes().clone()
}

fn range(start: i64, stop: i64) -> OffsetRange {
    OffsetRange { topic: Arc::from("t"), partition: 0, start, stop }
}

fn options(isolation: Isolation) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.isolation = isolation;
    options.max_wait = Duration::from_millis(50);
    options.poll_timeout = Duration::from_secs(1);
    options
}

/// The offsets of all records of a range.
async fn read(
    client: &Client,
    start: i64,
    stop: i64,
    isolation: Isolation,
) -> Result<Vec<i64>, Error> {
    let mut reader = client.read_ranges(vec![range(start, stop)], options(isolation));
    let mut offsets = Vec::new();
    while let Some(batch) = reader.next().await {
        offsets.extend(batch?.records().map(|record| record.unwrap().offset()));
    }
    Ok(offsets)
}
