//! The direct API and the pools against real Apache Kafka, where the broker decides: who may commit to a group, what a
//! fetch session bears, where transactions leave offsets without a record.

use std::time::Duration;

use klamm_client::admin::NewTopic;
use klamm_client::consumer::ConsumerOptions;
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config};
use klamm_connector::direct::{
    DirectOptions, DirectStream, LocationStrategy, RangeRead, Subscribe,
};
use klamm_connector::error::ErrorKind;
use klamm_connector::offsets::TopicPartition;
use klamm_connector::offsets::range::OffsetRange;
use klamm_connector::options::{ReadMode, SourceOptions};
use klamm_connector::sink::next_rows;
use klamm_connector::source::{KafkaSource, StreamSource as _};
use klamm_protocol::api::ApiKey;
use klamm_protocol::records::RecordParts;
use klamm_testkit::apache;
use klamm_testkit::outside::Cluster as _;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(bootstrap: &str, topic: &str, partitions: i32) -> Client {
    let client = Client::connect(Config::new(bootstrap).unwrap()).await.unwrap();
    let new = NewTopic::new(topic).with_partitions(partitions).with_setting("retention.ms", "-1");
    client.create_topics(&[new]).await.remove(0).unwrap();
    client
}

/// Writes numbers, spread over the partitions.
async fn write(client: &Client, topic: &str, partitions: i32, numbers: std::ops::Range<i32>) {
    let producer = client.producer(ProducerOptions::default()).unwrap();
    for number in numbers {
        let value = number.to_string();
        let record = RecordParts::new(1, None, Some(value.as_bytes()));
        let _ = producer.append(topic, Some(number % partitions), record).await.unwrap();
    }
    producer.flush().await.unwrap();
    producer.close(PATIENCE).await.unwrap();
}

async fn stream(bootstrap: &str, reset: &str) -> DirectStream {
    let options = DirectOptions::from_pairs([
        ("bootstrap.servers", bootstrap),
        ("group.id", "report"),
        ("auto.offset.reset", reset),
        ("spark.streaming.kafka.maxRatePerPartition", "40"),
    ]);
    let (strategy, consistent) = (Subscribe::to(["d"]), LocationStrategy::PreferConsistent);
    let second = Duration::from_secs(1);
    DirectStream::connect(options.unwrap(), strategy, consistent, second).await.unwrap()
}

async fn commits_belong_to_the_group(bootstrap: &str) {
    let client = connect(bootstrap, "d", 3).await;
    write(&client, "d", 3, 0..300).await;
    let mut one = stream(bootstrap, "earliest").await;
    let mut numbers: Vec<i32> = Vec::new();
    let mut receipts = Vec::new();
    while numbers.len() < 300 {
        let batch = one.compute().await.unwrap();
        assert!(batch.ranges().iter().all(|range| range.size() <= 40));
        let values = batch.read().collect().await.unwrap().into_iter().filter_map(|one| one.value);
        numbers.extend(
            values.map(|value| std::str::from_utf8(&value).unwrap().parse::<i32>().unwrap()),
        );
        receipts.push(one.commit_async(batch.ranges()));
        one.complete(batch);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    assert!(one.close().await.is_empty());
    for receipt in receipts {
        receipt.await.unwrap();
    }
    // The next stream of the group needs no reset.
    write(&client, "d", 3, 300..330).await;
    let mut two = stream(bootstrap, "none").await;
    let batch = two.compute().await.unwrap();
    assert_eq!(batch.info().records, 30);
    let mut options = ConsumerOptions::from_config(client.config());
    options.group = Some("report".to_owned());
    let mut member = client.consumer(options).unwrap();
    member.subscribe(["d"]).unwrap();
    member.next().await.unwrap().unwrap();
    let refused = two.commit_async(batch.ranges());
    two.complete(batch);
    let again = two.compute().await.unwrap();
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Client, "{error}");
    member.close(PATIENCE).await.unwrap();
    two.complete(again);
    assert!(two.close().await.is_empty(), "it stayed queued, and the group is free again");
    let stored = client.committed_offsets("report", None).await.unwrap();
    assert_eq!(stored.values().map(|position| position.offset).collect::<Vec<_>>(), [110; 3]);
}

async fn markers_are_gaps(bootstrap: &str) {
    let client = connect(bootstrap, "x", 1).await;
    let mut options = ProducerOptions::default();
    options.transactional_id = Some("x".to_owned());
    let mut producer = client.transactional_producer(options).unwrap();
    let transaction = producer.begin().await.unwrap();
    for value in ["a", "b", "c"] {
        let record = RecordParts::new(1, None, Some(value.as_bytes()));
        let _ = transaction.append("x", Some(0), record).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let read = async |gaps: &str| {
        let options = DirectOptions::from_pairs([
            ("bootstrap.servers", bootstrap),
            ("isolation.level", "read_committed"),
            ("spark.streaming.kafka.allowNonConsecutiveOffsets", gaps),
        ]);
        let ranges = vec![OffsetRange::new(TopicPartition::new("x", 0), 0, 4)];
        let consistent = LocationStrategy::PreferConsistent;
        let read = RangeRead::connect(options.unwrap(), ranges, consistent).await.unwrap();
        (read.count().await.unwrap(), read.collect().await.map(|records| records.len()))
    };
    let (counted, read_strictly) = read("false").await;
    assert_eq!(counted, 4);
    let error = read_strictly.unwrap_err();
    assert!(
        error.message().starts_with("Failed to get records for spark-executor-null x 0 3"),
        "{error}"
    );
    let (counted, read_all) = read("true").await;
    assert_eq!((counted, read_all.unwrap()), (3, 3));
}

async fn micro_batches_stay_with_their_session(bootstrap: &str) {
    let client = connect(bootstrap, "m", 1).await;
    let pairs = [("kafka.bootstrap.servers", bootstrap), ("subscribe", "m")];
    let options = SourceOptions::from_pairs(ReadMode::Stream, pairs).unwrap();
    let reading = Client::connect(Config::new(bootstrap).unwrap()).await.unwrap();
    let mut source = KafkaSource::new(reading.clone(), options);
    for offset in 0..20 {
        write(&client, "m", 1, offset..offset + 1).await;
        let (from, until) = (i64::from(offset), i64::from(offset) + 1);
        let range = OffsetRange::new(TopicPartition::new("m", 0), from, until);
        let mut rows = source.read(vec![range]);
        assert_eq!(next_rows(&mut rows).await.unwrap().unwrap().num_rows(), 1);
        assert!(next_rows(&mut rows).await.is_none());
    }
    let brokers = reading.counters().brokers.into_iter();
    let fetches = brokers.map(|one| one.apis.get(&ApiKey::Fetch).map_or(0, |api| api.requests));
    assert_eq!(fetches.sum::<u64>(), 20);
    let readers = source.pools().readers.counters();
    assert_eq!((readers.created, readers.reused), (1, 19));
}

#[test]
fn b241_b256_real_brokers_agree_with_the_direct_api() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 1) else { return };
    let bootstrap = kafka.bootstrap();
    let all = async {
        commits_belong_to_the_group(&bootstrap).await;
        markers_are_gaps(&bootstrap).await;
        micro_batches_stay_with_their_session(&bootstrap).await;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { tokio::time::timeout(9 * PATIENCE, all).await.unwrap() });
}
