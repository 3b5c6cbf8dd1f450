//! The producer and the range reader against an embedded cluster: what is written is read back,
//! exactly, in spite of what happens on the way.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{client, cluster, config};
use klamm_client::consumer::{OffsetRange, RangeReader, ReadOptions};
use klamm_client::producer::{Delivery, Producer, ProducerOptions, Ticket};
use klamm_client::{Client, ErrorKind};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::records::{Compression, RecordParts};
use klamm_testkit::control::{Fault, Intercept};
use klamm_testkit::door::EmbeddedCluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_records_come_back_as_they_were_written() {
    let door = cluster(2).await;
    topic(&door, 4);
    let client = client(&door).await;
    let producer = producer(&client, |options| {
        options.compression = Compression::Lz4;
        options.batch_size = 128 << 10;
    });
    for number in 0..1_000_000 {
        let _ = append(&producer, (number % 4) as i32, number).await;
    }
    producer.flush().await.unwrap();
    assert_eq!(producer.buffered_bytes(), 0);
    let mut reader = client.read_ranges(whole(&door), ReadOptions::default());
    let mut next = [0, 1, 2, 3];
    while let Some(batch) = reader.next().await {
        let batch = batch.unwrap();
        let slot = &mut next[batch.partition as usize];
        for record in batch.records() {
            assert_eq!(number_in(record.unwrap().value()), *slot);
            *slot += 4;
        }
    }
    assert_eq!(next, [1_000_000, 1_000_001, 1_000_002, 1_000_003]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_cuts_and_moved_leaders_lose_nothing_and_repeat_nothing() {
    let door = cluster(3).await;
    topic(&door, 3);
    door.with(|cluster| {
        for (skip, fault) in
            [(7, Fault::DropResponse), (11, Fault::Cut), (23, Fault::CutAfter(3)), (31, Fault::Cut)]
        {
            for round in 0..3 {
                let rule = Intercept::on(ApiKey::Produce).skip(skip + 40 * round).times(1);
                cluster.intercept(rule.with(fault.clone()));
            }
        }
        let rule = Intercept::on(ApiKey::Produce).skip(50).times(3);
        cluster.intercept(rule.fail(ErrorCode::NOT_ENOUGH_REPLICAS));
    });
    let config = config(&door.bootstrap()).with_request_timeout(Duration::from_millis(500));
    let client = Client::connect(config).await.unwrap();
    let producer = producer(&client, |options| options.batch_size = 4096);
    let mut tickets = Vec::new();
    for number in 0..60_000 {
        let partition = (number % 3) as i32;
        if number % 10_000 == 5_000 {
            let node = 1 + (number / 10_000) as i32 % 3;
            door.with(|cluster| cluster.move_leader("t", partition, node));
        }
        tickets.push((number, append(&producer, partition, number).await));
    }
    producer.flush().await.unwrap();
    let mut offsets = [0; 3];
    for (number, ticket) in tickets {
        let slot = &mut offsets[(number % 3) as usize];
        let Delivery::Written { offset, .. } = ticket.delivered().await else {
            panic!("{number}: {:?}", ticket.poll())
        };
        assert_eq!(offset, Some(*slot), "record {number}");
        *slot += 1;
    }
    let read = read_all(&client, &door).await;
    for (partition, numbers) in read {
        let wanted: Vec<u64> = (0..20_000).map(|n| n * 3 + partition as u64).collect();
        assert!(numbers == wanted, "partition {partition} has {} records", numbers.len());
    }
}

#[tokio::test]
async fn a_killed_broker_hands_its_batches_to_the_next_leader() {
    let door = cluster(3).await;
    topic(&door, 2);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 2048);
    for number in 0..20_000 {
        let _ = append(&producer, (number % 2) as i32, number).await;
        if number == 10_000 {
            let leader = door.with(|cluster| cluster.leader("t", 0).map(|leader| leader.node));
            door.with(|cluster| cluster.kill(leader.unwrap()));
        }
    }
    producer.flush().await.unwrap();
    for (partition, numbers) in read_all(&client, &door).await {
        assert_eq!(numbers, (0..10_000).map(|n| n * 2 + partition as u64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn appending_waits_while_the_buffer_is_full_and_gives_up_in_time() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let rule =
        door.with(|cluster| cluster.intercept(Intercept::on(ApiKey::Produce).with(Fault::Swallow)));
    let producer = producer(&client, |options| {
        options.buffer_memory = 100_000;
        options.max_block = Duration::from_millis(200);
    });
    let value = [b'x'; 1000];
    let error = loop {
        if let Err(error) =
            producer.append("t", Some(0), RecordParts::new(0, None, Some(&value))).await
        {
            break error;
        }
        assert!(producer.buffered_bytes() <= 100_000 + 1_200);
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    door.with(|cluster| cluster.control().remove(rule));
    drop(producer);
}

#[tokio::test]
async fn keys_decide_as_javas_do_and_records_without_a_key_stick_together() {
    let door = cluster(1).await;
    topic(&door, 5);
    let client = client(&door).await;
    let producer = producer(&client, |_| {});
    for number in 0..100_u64 {
        let (key, value) = (format!("key-{number}"), number.to_be_bytes());
        let record = RecordParts::new(0, Some(key.as_bytes()), Some(&value));
        let _ = producer.append("t", None, record).await.unwrap();
    }
    producer.flush().await.unwrap();
    for (partition, numbers) in read_all(&client, &door).await {
        for number in numbers {
            let key = format!("key-{number}");
            let wanted = klamm_protocol::partition::partition_for_key(key.as_bytes(), 5);
            assert_eq!(wanted, Some(partition));
        }
    }
    let before = ends(&door);
    for number in 0..10_u64 {
        let value = number.to_be_bytes();
        let _ = producer.append("t", None, RecordParts::new(0, None, Some(&value))).await.unwrap();
    }
    producer.flush().await.unwrap();
    let grown: Vec<i64> = ends(&door).iter().zip(before).map(|(now, then)| now - then).collect();
    assert_eq!(grown.iter().filter(|grown| **grown > 0).count(), 1, "{grown:?}");
}

#[tokio::test]
async fn records_without_a_key_move_on_after_a_batchs_worth_of_bytes() {
    let door = cluster(1).await;
    topic(&door, 5);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 1 << 10);
    let value = [0; 100];
    for _ in 0..2000 {
        let _ = producer.append("t", None, RecordParts::new(0, None, Some(&value))).await.unwrap();
    }
    producer.flush().await.unwrap();
    // Some 200 draws: that one of five partitions is never drawn would be a wonder.
    assert!(ends(&door).iter().all(|end| *end > 0), "{:?}", ends(&door));
    assert_eq!(ends(&door).iter().sum::<i64>(), 2000);
}

#[tokio::test]
async fn errors_of_appending_name_what_is_wrong() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.max_block = Duration::from_secs(5));
    let error = producer.append("t", Some(7), RecordParts::new(0, None, None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    let large = vec![0; 2 << 20];
    let error =
        producer.append("t", Some(0), RecordParts::new(0, None, Some(&large))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let error = producer
        .append("not a topic name!", None, RecordParts::new(0, None, None))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION), "{error}");
    producer.close(Duration::from_secs(5)).await.unwrap();
    let error = producer.append("t", Some(0), RecordParts::new(0, None, None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
}

#[tokio::test]
async fn a_refused_batch_is_told_and_the_next_one_is_written() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |_| {});
    append(&producer, 0, 0).await.delivered().await;
    door.with(|cluster| {
        cluster
            .intercept(Intercept::on(ApiKey::Produce).times(1).fail(ErrorCode::MESSAGE_TOO_LARGE))
    });
    let refused = append(&producer, 0, 1).await.delivered().await;
    let Delivery::NotWritten(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
    let next = append(&producer, 0, 2).await.delivered().await;
    assert!(matches!(next, Delivery::Written { offset: Some(1), .. }), "{next:?}");
    assert_eq!(producer.flush().await.unwrap_err().code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
    producer.flush().await.unwrap();
}

#[tokio::test]
async fn a_batch_whose_answer_never_comes_ends_as_unknown_and_one_never_sent_as_not_written() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |options| {
        options.delivery_timeout = Duration::from_millis(700);
        options.linger = Duration::ZERO;
    });
    let rule = Intercept::on(ApiKey::Produce).with(Fault::Swallow);
    let rule = door.with(|cluster| cluster.intercept(rule));
    let sent = append(&producer, 0, 1).await;
    while door.with(|cluster| cluster.control().matched(rule)) == 0 {
        tokio::task::yield_now().await;
    }
    // The first batch of a partition travels alone, so this one stays at home.
    let unsent = append(&producer, 0, 2).await;
    let (sent, unsent) = (sent.delivered().await, unsent.delivered().await);
    assert!(
        matches!(&sent, Delivery::Unknown(error) if error.kind() == ErrorKind::OutcomeUnknown),
        "{sent:?}"
    );
    assert!(matches!(&unsent, Delivery::NotWritten(_)), "{unsent:?}");
}

#[tokio::test]
async fn closing_abandons_what_is_not_answered_in_time() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |_| {});
    append(&producer, 0, 0).await.delivered().await;
    door.with(|cluster| cluster.intercept(Intercept::on(ApiKey::Produce).with(Fault::Swallow)));
    let ticket = append(&producer, 0, 1).await;
    assert!(producer.close(Duration::from_millis(100)).await.is_err());
    assert!(matches!(ticket.poll(), Some(Delivery::Unknown(_))), "{ticket:?}");
}

#[tokio::test]
async fn dropping_the_producer_still_sends() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.linger = Duration::from_secs(60));
    let ticket = append(&producer, 0, 5).await;
    drop(producer);
    assert!(ticket.delivered().await.is_written());
}

#[tokio::test]
async fn without_acknowledgements_records_arrive_too() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |options| {
        options.acks = klamm_client::config::Acks::None;
        options.idempotent = false;
    });
    for number in 0..100 {
        let _ = append(&producer, 0, number).await;
    }
    producer.flush().await.unwrap();
    let numbers = read(client.read_ranges(vec![range(0, 0, 100)], ReadOptions::default())).await;
    assert_eq!(numbers[&0].len(), 100);
}

#[tokio::test]
async fn ranges_are_exact_also_inside_of_batches_and_several_of_one_partition() {
    let door = cluster(2).await;
    topic(&door, 2);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 1500);
    for number in 0..2000 {
        let _ = append(&producer, (number % 2) as i32, number).await;
    }
    producer.flush().await.unwrap();
    let ranges = vec![
        range(0, 703, 711),
        range(1, 0, 1),
        range(0, 5, 9),
        range(0, 999, 1000),
        range(1, 4, 4),
    ];
    let read = read(client.read_ranges(ranges, ReadOptions::default())).await;
    let wanted: Vec<u64> =
        (5..9).chain(703..711).chain(999..1000).map(|offset| offset * 2).collect();
    assert_eq!(read[&0], wanted);
    assert_eq!(read[&1], [1]);
}

#[tokio::test]
async fn a_reader_follows_leaders_and_survives_lost_fetches() {
    let door = cluster(3).await;
    topic(&door, 3);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 1024);
    for number in 0..30_000 {
        let _ = append(&producer, (number % 3) as i32, number).await;
    }
    producer.flush().await.unwrap();
    door.with(|cluster| {
        cluster.intercept(Intercept::on(ApiKey::Fetch).skip(4).times(1).with(Fault::Cut));
        cluster.intercept(Intercept::on(ApiKey::Fetch).skip(8).times(1).with(Fault::CutAfter(100)));
        cluster.intercept(
            Intercept::on(ApiKey::Fetch)
                .skip(12)
                .times(2)
                .fail(ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
        );
    });
    let mut options = ReadOptions::default();
    options.partition_max_bytes = 8 << 10;
    options.max_bytes = 64 << 10;
    let mut reader = client.read_ranges(whole(&door), options);
    let mut read: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    let mut batches = 0;
    while let Some(batch) = reader.next().await {
        collect(&mut read, batch.unwrap());
        batches += 1;
        if batches % 100 == 0 {
            let partition = (batches / 100) % 3;
            door.with(|cluster| {
                cluster.move_leader("t", partition, 1 + (batches / 300) % 3);
                cluster.forget_fetch_sessions(1 + partition);
            });
        }
    }
    for (partition, numbers) in read {
        assert!(numbers == (0..10_000).map(|n| n * 3 + partition as u64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn offsets_that_are_gone_are_an_error_with_the_facts() {
    let door = cluster(1).await;
    topic(&door, 2);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 500);
    for number in 0..2000 {
        let _ = append(&producer, (number % 2) as i32, number).await;
    }
    producer.flush().await.unwrap();
    door.with(|cluster| cluster.edit_log("t", 0, |log| log.delete_records(300))).unwrap();
    let mut reader =
        client.read_ranges(whole_from(&[(0, 100, 1000), (1, 0, 1000)]), ReadOptions::default());
    let (mut read, mut errors) = (BTreeMap::new(), Vec::new());
    while let Some(batch) = reader.next().await {
        match batch {
            Ok(batch) => collect(&mut read, batch),
            Err(error) => errors.push(error),
        }
    }
    assert_eq!(errors.len(), 1);
    let error = &errors[0];
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
    let facts = ["partition", "offset", "stop", "log_start", "log_end"]
        .map(|name| error.context(name).unwrap());
    assert_eq!(facts, ["0", "100", "1000", "300", "1000"]);
    assert_eq!(read[&1].len(), 1000, "the other partition goes on");
}

#[tokio::test]
async fn a_range_beyond_the_end_times_out_and_waits_again() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |_| {});
    append(&producer, 0, 0).await.delivered().await;
    let mut options = ReadOptions::default();
    options.poll_timeout = Duration::from_millis(300);
    options.max_wait = Duration::from_millis(50);
    let mut reader = client.read_ranges(vec![range(0, 0, 2)], options);
    assert!(reader.next().await.unwrap().is_ok());
    let error = reader.next().await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.context("offset")),
        (ErrorKind::TimedOut, Some("1")),
        "{error}"
    );
    append(&producer, 0, 1).await.delivered().await;
    assert!(reader.next().await.unwrap().is_ok());
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn a_recreated_topic_is_never_read_on_silently() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 500);
    for number in 0..100 {
        let _ = append(&producer, 0, number).await;
    }
    producer.flush().await.unwrap();
    let mut options = ReadOptions::default();
    options.partition_max_bytes = 500;
    options.max_bytes = 500;
    let mut reader = client.read_ranges(vec![range(0, 0, 200)], options);
    assert!(reader.next().await.unwrap().is_ok());
    door.with(|cluster| cluster.delete_topic("t"));
    topic(&door, 1);
    let error = loop {
        match reader.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn what_does_not_exist_or_makes_no_sense_is_an_error() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let nowhere = OffsetRange { topic: Arc::from("nowhere"), partition: 0, start: 0, stop: 1 };
    for wrong in [nowhere, range(9, 0, 1), range(0, 5, 2), range(0, -1, 2)] {
        let mut reader = client.read_ranges(vec![wrong], ReadOptions::default());
        let error = reader.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(reader.next().await.is_none());
    }
}

#[tokio::test]
async fn a_dropped_call_of_next_loses_nothing() {
    let door = cluster(1).await;
    topic(&door, 1);
    let client = client(&door).await;
    let producer = producer(&client, |options| options.batch_size = 500);
    for number in 0..2000 {
        let _ = append(&producer, 0, number).await;
    }
    producer.flush().await.unwrap();
    let mut options = ReadOptions::default();
    options.partition_max_bytes = 2000;
    options.max_bytes = 4000;
    let mut reader = client.read_ranges(vec![range(0, 0, 2000)], options);
    let (mut read, mut polls) = (BTreeMap::new(), 0);
    loop {
        polls += 1;
        // Polls a few times, then drops the future where it stands.
        match polled(polls % 4, reader.next()).await {
            None => tokio::task::yield_now().await,
            Some(Some(batch)) => collect(&mut read, batch.unwrap()),
            Some(None) => break,
        }
    }
    assert_eq!(read[&0], (0..2000).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_dropped_append_has_appended_nothing() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let producer = producer(&client, |_| {});
    let value = 1_u64.to_be_bytes();
    // The topic is new here, so the first poll has to wait for its metadata.
    for polls in 0..2 {
        let dropped =
            polled(polls, producer.append("t", Some(0), RecordParts::new(0, None, Some(&value))))
                .await;
        assert!(dropped.is_none());
    }
    let ticket = append(&producer, 0, 2).await;
    assert!(matches!(ticket.delivered().await, Delivery::Written { offset: Some(0), .. }));
}

#[test]
fn readers_and_producers_may_move_between_threads() {
    fn movable<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    movable::<RangeReader>();
    shared::<Producer>();
    shared::<Ticket>();
}

fn topic(door: &EmbeddedCluster, partitions: i32) {
    let brokers = door.addresses().len() as i16;
    door.with(|cluster| cluster.create_topic("t", partitions, brokers)).unwrap();
}

fn producer(client: &Client, change: impl FnOnce(&mut ProducerOptions)) -> Producer {
    let mut options = ProducerOptions::default();
    change(&mut options);
    client.producer(options).unwrap()
}

async fn append(producer: &Producer, partition: i32, number: u64) -> Ticket {
    let value = number.to_be_bytes();
    producer.append("t", Some(partition), RecordParts::new(0, None, Some(&value))).await.unwrap()
}

fn number_in(value: Option<&[u8]>) -> u64 {
    u64::from_be_bytes(value.unwrap().try_into().unwrap())
}

fn range(partition: i32, start: i64, stop: i64) -> OffsetRange {
    OffsetRange { topic: Arc::from("t"), partition, start, stop }
}

fn whole_from(ranges: &[(i32, i64, i64)]) -> Vec<OffsetRange> {
    ranges.iter().map(|(partition, start, stop)| range(*partition, *start, *stop)).collect()
}

/// The log ends of the topic's partitions.
fn ends(door: &EmbeddedCluster) -> Vec<i64> {
    door.with(|cluster| {
        let partitions = 0..cluster.partitions("t").unwrap() as i32;
        partitions.map(|partition| cluster.log("t", partition).unwrap().end_offset()).collect()
    })
}

fn whole(door: &EmbeddedCluster) -> Vec<OffsetRange> {
    ends(door)
        .into_iter()
        .enumerate()
        .map(|(partition, end)| range(partition as i32, 0, end))
        .collect()
}

fn collect(read: &mut BTreeMap<i32, Vec<u64>>, batch: klamm_client::consumer::FetchedBatch) {
    let numbers = batch.records().map(|record| number_in(record.unwrap().value()));
    read.entry(batch.partition).or_default().extend(numbers);
}

async fn read(mut reader: RangeReader) -> BTreeMap<i32, Vec<u64>> {
    let mut read = BTreeMap::new();
    while let Some(batch) = reader.next().await {
        collect(&mut read, batch.unwrap());
    }
    read
}

async fn read_all(client: &Client, door: &EmbeddedCluster) -> BTreeMap<i32, Vec<u64>> {
    read(client.read_ranges(whole(door), ReadOptions::default())).await
}

/// Polls a future so many times at most, then drops it.
async fn polled<F: Future>(times: u32, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = times;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        }
    })
    .await
}
