//! Input and output topics on real brokers, filled, counted and compared.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::admin::NewTopic;
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config};
use klamm_protocol::records::RecordParts;
use klamm_testkit::apache::Kafka;
use klamm_testkit::outside::Cluster as _;
use tokio::runtime::Runtime;

use super::job::Plan;

/// A topic to be copied into another, with as many partitions.
pub(super) struct World<'a> {
    pub(super) kafka: &'a Kafka,
    pub(super) runtime: Runtime,
    pub(super) client: Client,
    name: String,
    /// How many records were written so far; their values are their numbers.
    written: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(kafka: &'a Kafka, name: &str, replicas: i16) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let config = Config::new(&kafka.bootstrap()).expect("an address");
        let config = config.with_api_timeout(Duration::from_secs(60));
        let client = runtime.block_on(Client::connect(config)).expect("brokers answer");
        for topic in [format!("{name}-in"), format!("{name}-out")] {
            let topic = NewTopic::new(topic).with_partitions(PARTITIONS).with_replication(replicas);
            runtime.block_on(client.create_topics(&[topic])).remove(0).expect("a topic");
        }
        Self { kafka, runtime, client, name: name.to_owned(), written: 0 }
    }

    pub(super) fn plan(&self, checkpoint: &Path) -> Plan {
        Plan {
            server: self.kafka.bootstrap(),
            from: format!("{}-in", self.name),
            to: self.output(),
            checkpoint: checkpoint.to_owned(),
            limit: 2_000,
            tasks: 2,
            transaction_ms: 60_000,
        }
    }

    pub(super) fn output(&self) -> String {
        format!("{}-out", self.name)
    }

    /// Appends the next `count` records, each to the partition of its number.
    pub(super) fn append(&mut self, count: u64) {
        let topic = format!("{}-in", self.name);
        let numbers = self.written..self.written + count;
        self.runtime.block_on(async {
            let producer = self.client.producer(ProducerOptions::default()).expect("a producer");
            for number in numbers {
                let value = format!("{number:012}");
                let record = RecordParts::new(now_ms(), None, Some(value.as_bytes()));
                let _ = producer
                    .append(&topic, Some(partition_of(number)), record)
                    .await
                    .expect("room");
            }
            producer.flush().await.expect("it is written");
        });
        self.written += count;
    }

    /// Compares what Java reads of the output with the input.
    #[track_caller]
    pub(super) fn check(&self) {
        // Each reader waits a while for more than there should be: side by side, that is one wait.
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..PARTITIONS)
                .map(|partition| scope.spawn(move || self.same(partition)))
                .collect();
            readers.into_iter().for_each(|reader| reader.join().expect("the same"));
        });
    }

    fn same(&self, partition: i32) {
        let wanted: Vec<u64> =
            (0..self.written).filter(|number| partition_of(*number) == partition).collect();
        let seen = self.java_reads(partition, wanted.len());
        let part = seen.iter().zip(&wanted).position(|(seen, wanted)| seen != wanted);
        let at = part.unwrap_or(seen.len().min(wanted.len()));
        let around =
            |list: &[u64]| list.iter().skip(at.saturating_sub(2)).take(5).copied().collect();
        let (found, expected): (Vec<_>, Vec<_>) = (around(&seen), around(&wanted));
        assert!(
            part.is_none() && seen.len() == wanted.len(),
            "partition {partition}: {} records instead of {}, at {at} {found:?} instead of {expected:?}",
            seen.len(),
            wanted.len(),
        );
    }

    /// The values of a partition of the output, by a committed read.
    fn java_reads(&self, partition: i32, most: usize) -> Vec<u64> {
        // One more than there should be: the consumer then ends by its patience.
        let (partition, most) = (partition.to_string(), (most + 1).to_string());
        let topic = self.output();
        let where_and_what = ["--topic", &topic, "--partition", &partition, "--offset", "earliest"];
        let how = ["--isolation-level", "read_committed", "--max-messages", &most];
        let arguments = [&where_and_what[..], &how, &["--timeout-ms", "6000"]].concat();
        let printed = self.kafka.run_tool("ConsoleConsumer", &arguments, b"").expect("Java reads");
        let text = String::from_utf8(printed).expect("digits");
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// How many times as often things happen: `KLAMM_ROUNDS`.
pub(super) fn rounds(of_default: u32) -> u32 {
    let asked = std::env::var("KLAMM_ROUNDS").ok().and_then(|text| text.parse::<u32>().ok());
    of_default * asked.unwrap_or(1).max(1)
}

fn partition_of(number: u64) -> i32 {
    (number % PARTITIONS as u64) as i32
}

/// Records of today: retention would delete older ones.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

pub(super) const PARTITIONS: i32 = 4;
