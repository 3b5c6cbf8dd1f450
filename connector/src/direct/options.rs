//! The options of the direct API: Kafka's own without a prefix, as in Spark's `kafkaParams`, and `spark.streaming.*`
//! as in its configuration. Text in; checked values out, or a refusal before anything is contacted.

use std::str::FromStr;
use std::time::Duration;

use super::rate::PidGains;
use crate::error::{Error, Result, nearest};
use crate::options::TokenSettings;
use crate::options::pairs::Pairs;
use crate::options::time_in_seconds;

/// Where a partition starts that has no position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// At its end.
    #[default]
    Latest,
    /// At the first record that it still has.
    Earliest,
    /// Nowhere: it is an error.
    None,
}

/// How batches are kept as large as their processing bears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackpressureOptions {
    /// Records a second until the estimator has a rate; 0 for no limit.
    pub initial_rate: i64,
    /// The estimator's gains.
    pub pid: PidGains,
}

/// How readers are kept for the next batch (`spark.streaming.kafka.consumer.cache.*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// Whether they are kept at all.
    pub enabled: bool,
    /// How many are kept.
    pub max_capacity: usize,
}

/// The options of a direct stream, or of ranges that are read on demand.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectOptions {
    client: Pairs,
    tokens: TokenSettings,
    group_id: Option<String>,
    reset: OffsetReset,
    max_rate: i64,
    min_rate: i64,
    cache: CacheOptions,
    poll_timeout: Duration,
    allow_gaps: bool,
    backpressure: Option<BackpressureOptions>,
}

impl DirectOptions {
    /// Reads names and values; a later value of the same name wins. A name may have the prefix `kafka.` or not.
    ///
    /// # Errors
    /// `InvalidOption` for a value of the wrong form, an unknown name that starts with `spark.`, a deserializer other
    /// than that for bytes, and automatic commits. Options of the client are checked when it connects, before it
    /// contacts anybody.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut given = Given::default();
        for (name, value) in pairs {
            given.add(name.as_ref(), value.into())?;
        }
        given.check_client()?;
        let backpressure =
            given.parsed(ENABLED, false)?.then(|| given.backpressure()).transpose()?;
        let cache = given.cache()?;
        let poll: u64 = given.parsed(POLL, given.network_timeout()?)?;
        let options = Self {
            max_rate: given.parsed(MAX_RATE, 0)?,
            min_rate: given.parsed(MIN_RATE, 1)?,
            allow_gaps: given.parsed(GAPS, false)?,
            reset: given.reset()?,
            group_id: given.client("group.id").map(str::to_owned),
            poll_timeout: Duration::from_millis(poll),
            cache,
            backpressure,
            tokens: TokenSettings::from_pairs(std::mem::take(&mut given.login))?,
            client: Pairs(given.into_client()),
        };
        Ok(options)
    }

    /// The options of the client, without those that the stream keeps for itself.
    pub fn client(&self) -> &[(String, String)] {
        &self.client
    }

    /// How to log in, beside what the options of the client say.
    pub fn tokens(&self) -> &TokenSettings {
        &self.tokens
    }

    /// `group.id`: whose committed offsets are read and written. Default: none, and then there are no commits.
    pub fn group_id(&self) -> Option<&str> {
        self.group_id.as_deref()
    }

    /// The name under which workers read, as Spark's executors have it: it appears in messages and keys the pool.
    pub fn executor_group(&self) -> String {
        format!("spark-executor-{}", self.group_id().unwrap_or("null"))
    }

    /// `auto.offset.reset`. Default: latest.
    pub fn reset(&self) -> OffsetReset {
        self.reset
    }

    /// `spark.streaming.kafka.maxRatePerPartition`, in records a second. Default: 0, no limit.
    pub fn max_rate(&self) -> i64 {
        self.max_rate
    }

    /// `spark.streaming.kafka.minRatePerPartition`, in records a batch. Default: 1.
    pub fn min_rate(&self) -> i64 {
        self.min_rate
    }

    /// Which readers are kept.
    pub fn cache(&self) -> CacheOptions {
        self.cache
    }

    /// How long a read waits for records that should be there (`spark.streaming.kafka.consumer.poll.ms`). Default:
    /// 120 s.
    pub fn poll_timeout(&self) -> Duration {
        self.poll_timeout
    }

    /// `spark.streaming.kafka.allowNonConsecutiveOffsets`: whether offsets without a record are fine, as in compacted
    /// topics and behind transactions. Default: false.
    pub fn allow_gaps(&self) -> bool {
        self.allow_gaps
    }

    /// How batches follow the speed of their processing; `None` unless `spark.streaming.backpressure.enabled`.
    pub fn backpressure(&self) -> Option<BackpressureOptions> {
        self.backpressure
    }
}

/// Options as they were given.
#[derive(Default)]
struct Given {
    spark: Vec<(&'static str, String)>,
    client: Vec<(String, String)>,
    login: Vec<(String, String)>,
}

impl Given {
    fn add(&mut self, name: &str, value: String) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        if let Some(known) = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            self.spark.push((known, value));
        } else if TokenSettings::knows(name) {
            self.login.push((name.to_owned(), value));
        } else if lower.starts_with("spark.") {
            let hint = nearest(name, KNOWN.iter().copied()).map_or_else(
                || "take it away".to_owned(),
                |near| format!("did you mean '{near}'?"),
            );
            return Err(Error::option(format!("Unknown option '{name}'; {hint}")));
        } else {
            let key = lower.strip_prefix("kafka.").unwrap_or(&lower).to_owned();
            self.client.retain(|(known, _)| *known != key);
            self.client.push((key, value));
        }
        Ok(())
    }

    /// What the guide's parameters may hold and a stream can't honour.
    fn check_client(&self) -> Result<()> {
        for key in ["key.deserializer", "value.deserializer"] {
            if self.client(key).is_some_and(|class| !class.ends_with("ByteArrayDeserializer")) {
                return Err(Error::option(format!(
                    "Kafka option '{key}' is not supported: records come as bytes. Take it away and decode them"
                )));
            }
        }
        match self.client("enable.auto.commit") {
            Some(text) if text != "false" => Err(Error::option(
                "enable.auto.commit must be false: a position would be committed before its records are processed. \
                 Commit the ranges of a batch with commit_async",
            )),
            _ => Ok(()),
        }
    }

    fn backpressure(&self) -> Result<BackpressureOptions> {
        if let Some(name) = self.get(ESTIMATOR).filter(|name| *name != "pid") {
            return Err(Error::option(format!(
                "Unknown rate estimator: {name}. Only pid has a name; hand any other to DirectStream::with_estimator"
            )));
        }
        let pid = PidGains {
            proportional: self.parsed(PROPORTIONAL, 1.0)?,
            integral: self.parsed(INTEGRAL, 0.2)?,
            derived: self.parsed(DERIVED, 0.0)?,
            min_rate: self.parsed(PID_MIN_RATE, 100.0)?,
        };
        Ok(BackpressureOptions { initial_rate: self.parsed(INITIAL_RATE, 0)?, pid: pid.checked()? })
    }

    fn cache(&self) -> Result<CacheOptions> {
        // Java's hash table wants these two; there is nothing that they could change here.
        self.parsed::<usize>(INITIAL_CAPACITY, 16)?;
        self.parsed::<f64>(LOAD_FACTOR, 0.75)?;
        Ok(CacheOptions {
            enabled: self.parsed(CACHE, true)?,
            max_capacity: self.parsed(MAX_CAPACITY, 64)?,
        })
    }

    /// How long a read waits if nothing else is said, in milliseconds: whole seconds, as in Spark.
    fn network_timeout(&self) -> Result<u64> {
        let timeout = self.get(NETWORK).map(|text| time_in_seconds(NETWORK, text)).transpose()?;
        Ok(timeout.map_or(POLL_TIMEOUT, |timeout| timeout.as_secs().saturating_mul(1000)))
    }

    fn reset(&self) -> Result<OffsetReset> {
        match self.client("auto.offset.reset") {
            None | Some("latest") => Ok(OffsetReset::Latest),
            Some("earliest") => Ok(OffsetReset::Earliest),
            Some("none") => Ok(OffsetReset::None),
            Some(other) => Err(Error::option(format!(
                "auto.offset.reset is '{other}'; set it to latest, earliest or none"
            ))),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.spark.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn client(&self, key: &str) -> Option<&str> {
        self.client.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn parsed<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        let Some(text) = self.get(name) else { return Ok(default) };
        // Scala reads its booleans in any case.
        text.trim().to_ascii_lowercase().parse().map_err(|_| {
            Error::option(format!("For input string: \"{text}\". {name} has another form"))
        })
    }

    fn into_client(self) -> Vec<(String, String)> {
        self.client.into_iter().filter(|(key, _)| !OWN.contains(&key.as_str())).collect()
    }
}

/// Options of the client that the stream keeps for itself.
const OWN: [&str; 5] = [
    "group.id",
    "auto.offset.reset",
    "enable.auto.commit",
    "key.deserializer",
    "value.deserializer",
];
const MAX_RATE: &str = "spark.streaming.kafka.maxRatePerPartition";
const MIN_RATE: &str = "spark.streaming.kafka.minRatePerPartition";
const CACHE: &str = "spark.streaming.kafka.consumer.cache.enabled";
const INITIAL_CAPACITY: &str = "spark.streaming.kafka.consumer.cache.initialCapacity";
const MAX_CAPACITY: &str = "spark.streaming.kafka.consumer.cache.maxCapacity";
const LOAD_FACTOR: &str = "spark.streaming.kafka.consumer.cache.loadFactor";
const POLL: &str = "spark.streaming.kafka.consumer.poll.ms";
const NETWORK: &str = "spark.network.timeout";
pub(super) const GAPS: &str = "spark.streaming.kafka.allowNonConsecutiveOffsets";
const ENABLED: &str = "spark.streaming.backpressure.enabled";
const INITIAL_RATE: &str = "spark.streaming.backpressure.initialRate";
const ESTIMATOR: &str = "spark.streaming.backpressure.rateEstimator";
const PROPORTIONAL: &str = "spark.streaming.backpressure.pid.proportional";
const INTEGRAL: &str = "spark.streaming.backpressure.pid.integral";
const DERIVED: &str = "spark.streaming.backpressure.pid.derived";
const PID_MIN_RATE: &str = "spark.streaming.backpressure.pid.minRate";
const KNOWN: &[&str] = &[
    MAX_RATE,
    MIN_RATE,
    CACHE,
    INITIAL_CAPACITY,
    MAX_CAPACITY,
    LOAD_FACTOR,
    POLL,
    NETWORK,
    GAPS,
    ENABLED,
    INITIAL_RATE,
    ESTIMATOR,
    PROPORTIONAL,
    INTEGRAL,
    DERIVED,
    PID_MIN_RATE,
];
/// Without `spark.network.timeout`, in milliseconds.
const POLL_TIMEOUT: u64 = 120_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sparks() {
        let options = DirectOptions::from_pairs([("bootstrap.servers", "h:1")]).unwrap();
        assert_eq!((options.max_rate(), options.min_rate()), (0, 1));
        assert_eq!(options.cache(), CacheOptions { enabled: true, max_capacity: 64 });
        assert_eq!(options.poll_timeout(), Duration::from_secs(120));
        assert!(!options.allow_gaps());
        let network = DirectOptions::from_pairs([(NETWORK, "30")]).unwrap();
        assert_eq!(network.poll_timeout(), Duration::from_secs(30));
        assert_eq!(options.backpressure(), None);
        assert_eq!(options.reset(), OffsetReset::Latest);
        let on = DirectOptions::from_pairs([(ENABLED, "true")]).unwrap().backpressure().unwrap();
        assert_eq!(on.initial_rate, 0);
        assert_eq!((on.pid.proportional, on.pid.integral), (1.0, 0.2));
        assert_eq!((on.pid.derived, on.pid.min_rate), (0.0, 100.0));
    }

    #[test]
    fn b261_the_stream_keeps_its_own_options_and_never_commits_by_itself() {
        let options = DirectOptions::from_pairs([
            ("bootstrap.servers", "h:1"),
            ("kafka.group.id", "g"),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer"),
        ])
        .unwrap();
        assert_eq!(options.client(), [("bootstrap.servers".to_owned(), "h:1".to_owned())]);
        assert_eq!((options.group_id(), options.reset()), (Some("g"), OffsetReset::Earliest));
        assert_eq!(options.executor_group(), "spark-executor-g");
        let error = DirectOptions::from_pairs([("enable.auto.commit", "true")]).unwrap_err();
        assert!(error.message().starts_with("enable.auto.commit must be false"));
        let string = "org.apache.kafka.common.serialization.StringDeserializer";
        let error = DirectOptions::from_pairs([("value.deserializer", string)]).unwrap_err();
        assert!(error.message().contains("not supported"));
    }

    #[test]
    fn wrong_names_and_values_are_refused() {
        let refused = |name, value| DirectOptions::from_pairs([(name, value)]).unwrap_err();
        let error = refused("spark.streaming.kafka.maxRatePerPartitions", "1");
        assert!(
            error.message().ends_with("did you mean 'spark.streaming.kafka.maxRatePerPartition'?")
        );
        assert!(refused(MAX_RATE, "many").message().starts_with("For input string: \"many\""));
        assert!(
            refused("auto.offset.reset", "never").message().contains("latest, earliest or none")
        );
        let unknown = [(ENABLED, "true"), (ESTIMATOR, "mine")];
        let error = DirectOptions::from_pairs(unknown).unwrap_err();
        assert!(error.message().starts_with("Unknown rate estimator: mine"));
    }
}
