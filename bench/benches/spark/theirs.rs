//! Spark's side. In: a workload; out: what the Java machine spent on it, seen from outside, as `/proc` tells.

use std::fs;
use std::time::{Duration, Instant};

use klamm_testkit::outside::Error;
use klamm_testkit::spark;
use serde_json::{Value, json};

use crate::measure::{Run, STIME, UTIME, peak, ticks};

/// A session on all cores.
pub(crate) struct Spark {
    session: spark::Spark,
    jvm: u64,
    copies: usize,
}

impl Spark {
    pub(crate) fn start() -> Result<Self, Error> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let mut session = spark::Spark::start(threads)?;
        session.set_limit(Duration::from_secs(600));
        let mut spark = Self { session, jvm: 0, copies: 0 };
        spark.jvm = spark.ask(&json!({"do": "hello"}))["jvm"].as_u64().unwrap();
        Ok(spark)
    }

    /// Reads a topic and sums its values' lengths.
    pub(crate) fn sum(&mut self, bootstrap: &str, topic: &str, count: usize) -> Run {
        let options = json!({"kafka.bootstrap.servers": bootstrap, "subscribe": topic});
        self.measured(|spark| {
            let answer = spark.ask(&json!({"do": "sum", "options": options}));
            assert_eq!(answer["rows"].as_u64(), Some(count as u64), "{answer}");
        })
    }

    /// Copies a topic in one batch, or as a stream of batches of at most `limit` records.
    pub(crate) fn copy(
        &mut self,
        bootstrap: &str,
        from: &str,
        to: &str,
        limit: Option<usize>,
    ) -> Run {
        let mut options = json!({"kafka.bootstrap.servers": bootstrap, "subscribe": from, "startingOffsets": "earliest"});
        // What was found to be fastest for Java's producer.
        let sink = json!({
            "kafka.bootstrap.servers": bootstrap, "topic": to, "kafka.linger.ms": "5", "kafka.batch.size": "262144",
        });
        let Some(limit) = limit else {
            return self.measured(|spark| {
                spark.ask(&json!({"do": "copy", "options": options, "sink": sink}));
            });
        };
        options["maxOffsetsPerTrigger"] = json!(limit.to_string());
        self.copies += 1;
        let name = format!("copy-{}", self.copies);
        let checkpoint = tempfile::tempdir().unwrap();
        self.measured(|spark| {
            spark.ask(&json!({
                "do": "start", "name": name, "options": options, "sink": sink,
                "checkpoint": checkpoint.path(), "trigger": "available-now",
            }));
            let ended = spark.ask(&json!({"do": "finish", "name": name, "seconds": 500}));
            assert_eq!(ended["ended"], json!(true));
        })
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        let answer: Value =
            serde_json::from_str(&self.session.ask(&request.to_string()).unwrap()).unwrap();
        assert!(answer.get("error").is_none(), "{request}: {answer}");
        answer
    }

    fn measured(&mut self, work: impl FnOnce(&mut Self)) -> Run {
        let (start, before) = (Instant::now(), self.stat());
        work(self);
        let (wall, after) = (start.elapsed().as_secs_f64(), self.stat());
        let status = fs::read_to_string(format!("/proc/{}/status", self.jvm)).unwrap();
        let spent = |field| ticks(&after, field) - ticks(&before, field);
        Run {
            wall,
            user: spent(UTIME),
            system: spent(STIME),
            peak: peak(&status),
            ..Run::default()
        }
    }

    fn stat(&self) -> String {
        fs::read_to_string(format!("/proc/{}/stat", self.jvm)).unwrap()
    }
}
