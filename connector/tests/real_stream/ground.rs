//! What a scenario stands on: a cluster, embedded or Apache Kafka, that is filled and changed by Kafka's own requests.
//!
//! In: a scenario. Out: a test of it on either cluster. Topics bear the ground's name, since all tests of this process
//! share one Apache Kafka.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::admin::{CommittedOffset, DeleteBefore, NewTopic, OffsetSpec, Topics};
use klamm_client::config::Isolation;
use klamm_client::producer::{ProducerOptions, Transaction, TransactionalProducer};
use klamm_client::{Client, Config, TopicPartition as Asked};
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};
use klamm_protocol::records::RecordParts;
use klamm_testkit::apache::{self, Kafka};
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::outside::Cluster as _;

use crate::common::{Place, World};

/// A cluster and a client that orders.
pub(crate) struct Ground {
    pub(crate) client: Client,
    place: Place,
    /// What the names of this ground's topics begin with.
    name: String,
    /// The cluster itself, if it is the embedded one.
    embedded: Option<World>,
}

/// Runs a scenario on a cluster of its own that, like Kafka by default, makes topics that are written to.
pub(crate) fn on_embedded(scenario: impl AsyncFnOnce(&Ground)) {
    run(async {
        let world = World::start(ClusterConfig { brokers: 1, ..ClusterConfig::default() }).await;
        let place = (*world).clone();
        scenario(&Ground::new(place, Some(world)).await).await;
    });
}

/// Runs a scenario on the Apache Kafka that all share; skips it where there is none.
pub(crate) fn on_apache(scenario: impl AsyncFnOnce(&Ground)) {
    let Some(kafka) = apache::shared(apache::NEWEST) else { return };
    let kafka: Arc<Kafka> = kafka;
    run(async {
        let place = Place { bootstrap: kafka.bootstrap() };
        scenario(&Ground::new(place, None).await).await;
    });
}

fn run(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, scenario).await.expect("in time") });
}

impl Ground {
    async fn new(place: Place, embedded: Option<World>) -> Self {
        static GROUNDS: AtomicU32 = AtomicU32::new(0);
        let name = format!("g{}", GROUNDS.fetch_add(1, Ordering::Relaxed));
        let client = Client::connect(Config::new(&place.bootstrap).unwrap()).await.unwrap();
        Self { client, place, name, embedded }
    }

    /// A name that nobody else uses.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Makes a topic that keeps old records; its full name.
    pub(crate) async fn create(&self, name: &str, partitions: i32) -> String {
        let name = self.named(name);
        self.make(&name, partitions, &[]).await;
        name
    }

    /// Makes a topic by its full name.
    pub(crate) async fn make(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut new =
            NewTopic::new(topic).with_partitions(partitions).with_setting("retention.ms", "-1");
        for (name, value) in settings {
            new = new.with_setting(*name, *value);
        }
        self.client.create_topics(&[new]).await.remove(0).unwrap();
        self.until_there(topic, partitions).await;
    }

    /// Adds partitions up to so many.
    pub(crate) async fn grow(&self, topic: &str, partitions: i32) {
        self.client.create_partitions(&[(topic, partitions)]).await.remove(0).unwrap();
        self.until_there(topic, partitions).await;
    }

    pub(crate) async fn delete(&self, topic: &str) {
        self.client.delete_topics(&[topic]).await.remove(0).unwrap();
        self.until_there(topic, 0).await;
    }

    /// Another topic of the same name.
    pub(crate) async fn make_anew(&self, topic: &str, partitions: i32) {
        self.delete(topic).await;
        self.make(topic, partitions, &[]).await;
    }

    /// A broker may learn of a change after it was acknowledged.
    async fn until_there(&self, topic: &str, partitions: i32) {
        loop {
            let view = self.client.metadata(Topics::Named(vec![topic.to_owned()])).await.unwrap();
            let there = view.topics.get(topic).filter(|topic| topic.error.is_ok());
            let led = there.map_or(0, |topic| {
                topic.partitions.iter().filter(|partition| partition.leader.is_some()).count()
            });
            if led == partitions as usize {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes one batch with these values, all at `timestamp`, each under the key `k` and itself.
    pub(crate) async fn write(
        &self,
        topic: &str,
        partition: i32,
        timestamp: i64,
        values: &[impl AsRef<str>],
    ) {
        let records: Vec<_> =
            values.iter().map(|value| (format!("k{}", value.as_ref()), value.as_ref())).collect();
        self.write_keyed(topic, partition, timestamp, &records).await;
    }

    /// Writes one batch of keys and values.
    pub(crate) async fn write_keyed(
        &self,
        topic: &str,
        partition: i32,
        timestamp: i64,
        records: &[(impl AsRef<str>, &str)],
    ) {
        let mut options = ProducerOptions::default();
        // One batch, whatever holds up the test between two records.
        options.linger = PATIENCE;
        let producer = self.client.producer(options).unwrap();
        for (key, value) in records {
            let key = key.as_ref().as_bytes();
            let record = RecordParts::new(timestamp, Some(key), Some(value.as_bytes()));
            let _ = producer.append(topic, Some(partition), record).await.unwrap();
        }
        producer.flush().await.unwrap();
        producer.close(PATIENCE).await.unwrap();
    }

    /// A producer of transactions.
    pub(crate) fn transactional(&self, name: &str) -> TransactionalProducer {
        let mut options = ProducerOptions::default();
        options.transactional_id = Some(self.named(name));
        self.client.transactional_producer(options).unwrap()
    }

    /// Waits until the log's last stable offset is `end`: markers are written after a transaction was acknowledged.
    pub(crate) async fn settled(&self, topic: &str, end: i64) {
        while self.end(topic, 0, Isolation::ReadCommitted).await != end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn end(&self, topic: &str, partition: i32, isolation: Isolation) -> i64 {
        let asked = [(Asked::new(topic, partition), OffsetSpec::Latest)];
        let (_, found) = self.client.list_offsets(&asked, isolation).await.remove(0);
        found.unwrap().offset.unwrap()
    }

    /// Removes the records below `offset`.
    pub(crate) async fn expire(&self, topic: &str, partition: i32, offset: i64) {
        let before = [(Asked::new(topic, partition), DeleteBefore::Offset(offset))];
        assert_eq!(self.client.delete_records(&before).await.remove(0).unwrap(), offset);
    }

    /// Has the brokers keep an offset for somebody, in their own topic.
    pub(crate) async fn keep_offset(&self, topic: &str) {
        if let Some(world) = &self.embedded {
            return world.create("__consumer_offsets", 1);
        }
        let offset = CommittedOffset { offset: 1, ..Default::default() };
        let commit = [(Asked::new(topic, 0), offset)];
        self.client.commit_offsets(&self.named("group"), &commit).await.remove(0).unwrap();
    }

    /// A topic with these keys and values, one a batch, of which the cleaner has left the last of each key; then one
    /// more record, with which the cleaner did not begin.
    pub(crate) async fn compacted(&self, name: &str, records: &[(&str, &str)]) -> String {
        let last: BTreeMap<&str, i64> = (0..).zip(records).map(|(at, one)| (one.0, at)).collect();
        let (end, name) = (records.len() as i64, self.named(name));
        if let Some(world) = &self.embedded {
            world.create(&name, 1);
            for (at, (key, value)) in (0..).zip(records) {
                if last[key] == at {
                    world.append_at(&name, 0, at, value);
                }
            }
            world.append_at(&name, 0, end, "behind");
            return name;
        }
        self.make(&name, 1, &COMPACT).await;
        for record in records {
            self.write_keyed(&name, 0, 1, &[*record]).await;
        }
        self.clean(&name, 100_000, last.len() + 1).await;
        name
    }

    /// Waits until the cleaner has left so many rows of a topic, with the one that is written here: a segment is
    /// cleaned once a later record has closed it.
    pub(crate) async fn clean(&self, topic: &str, timestamp: i64, rows: usize) {
        self.write(topic, 0, timestamp, &["behind"]).await;
        while self.read(&[("subscribe", topic)]).await.unwrap().len() != rows {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Deref for Ground {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

/// Appends these values to the first partition, and waits until they are written.
pub(crate) async fn append(transaction: &Transaction<'_>, topic: &str, values: &[impl AsRef<str>]) {
    for value in values {
        let record = RecordParts::new(1000, None, Some(value.as_ref().as_bytes()));
        let _ = transaction.append(topic, Some(0), record).await.unwrap();
    }
    transaction.flush().await.unwrap();
}

/// An offset or a timestamp for each partition of a topic, as options have it.
pub(crate) fn each(topic: &str, places: &[(i32, i64)]) -> String {
    let places: Vec<_> = places.iter().map(|(id, at)| format!(r#""{id}":{at}"#)).collect();
    format!(r#"{{"{topic}":{{{}}}}}"#, places.join(","))
}

/// The same as a map.
pub(crate) fn offsets(topic: &str, places: &[(i32, i64)]) -> PartitionOffsets {
    places.iter().map(|(id, at)| (TopicPartition::new(topic, *id), *at)).collect()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// The settings of a topic that is cleaned as soon as the cleaner comes.
pub(crate) const COMPACT: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01"), ("segment.ms", "1000")];

const PATIENCE: Duration = Duration::from_secs(60);
