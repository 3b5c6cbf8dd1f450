//! One Spark, one broker and a client that fills topics, shared by all tests of this binary, which take turns.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config};
use klamm_protocol::records::RecordParts;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, Error, Service, in_test};
use klamm_testkit::spark::Spark;
use serde_json::Value;
use tokio::runtime::Runtime;

/// What a test here stands on.
pub(super) struct Scene {
    spark: Option<Spark>,
    pub(super) kafka: Kafka,
    pub(super) runtime: Runtime,
    pub(super) client: Client,
}

/// A record to be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) partition: i32,
    pub(super) at: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(&'static str, Option<&'static [u8]>)>,
}

/// The scene, for one test at a time; `None` after saying why the test is skipped.
pub(super) fn scene() -> Option<MutexGuard<'static, Scene>> {
    static SCENE: OnceLock<Result<Mutex<Scene>, String>> = OnceLock::new();
    let started = SCENE.get_or_init(|| match Spark::start(2) {
        Ok(spark) => Ok(Mutex::new(Scene::start(spark))),
        Err(Error::Missing { reason, .. }) => Err(reason),
        Err(error) => panic!("{error}"),
    });
    match started {
        // A test that failed is no reason to keep the scene from the others.
        Ok(scene) => Some(scene.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(reason) => {
            in_test(Err(Error::Missing { service: Service::Spark, reason: reason.clone() }))
        }
    }
}

impl Scene {
    fn start(spark: Spark) -> Self {
        // The cleaner is to come soon, and one replica of it is enough.
        let config = KafkaConfig::version(apache::NEWEST).property("log.cleaner.backoff.ms", "100");
        let kafka = Kafka::start(config).expect("a broker");
        let runtime = Runtime::new().expect("a runtime");
        let config = Config::new(&kafka.bootstrap()).expect("an address");
        let client = runtime.block_on(Client::connect(config)).expect("the broker answers");
        Self { spark: Some(spark), kafka, runtime, client }
    }

    /// Asks Spark; what it refuses is an `Err`.
    pub(super) fn spark(&mut self, request: &Value) -> Result<Value, String> {
        let spark = self.spark.get_or_insert_with(|| Spark::start(2).expect("Spark starts again"));
        let answer = spark.ask(&request.to_string()).expect("Spark answers");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
            None => Ok(answer),
        }
    }

    /// Forgets a Spark that was killed; the next request starts another.
    pub(super) fn spark_is_gone(&mut self) {
        self.spark = None;
    }

    pub(super) fn bootstrap(&self) -> String {
        self.kafka.bootstrap()
    }

    /// Writes records and waits until they are there.
    pub(super) fn write(&self, topic: &str, records: &[Record]) {
        self.write_with(topic, records, ProducerOptions::default());
    }

    pub(super) fn write_with(&self, topic: &str, records: &[Record], options: ProducerOptions) {
        self.runtime.block_on(async {
            let producer = self.client.producer(options).expect("a producer");
            for record in records {
                let parts =
                    RecordParts::new(record.at, record.key.as_deref(), record.value.as_deref());
                let parts = parts.with_headers(record.headers.iter().copied());
                let _ = producer.append(topic, Some(record.partition), parts).await.expect("room");
            }
            producer.flush().await.expect("it is written");
        });
    }
}

impl Record {
    /// A record whose key and value are text.
    pub(super) fn text(partition: i32, at: i64, key: &str, value: &str) -> Self {
        let (key, value) = (Some(key.into()), Some(value.into()));
        Self { partition, at, key, value, headers: Vec::new() }
    }
}
