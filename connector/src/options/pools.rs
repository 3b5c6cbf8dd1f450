//! The options of the pools (`spark.kafka.consumer.cache.*`, `spark.kafka.consumer.fetchedData.cache.*`,
//! `spark.kafka.producer.cache.*`).

use std::time::Duration;

use super::raw::RawOptions;
use super::value;
use crate::error::{Error, Result};

/// How many readers and fetched batches are kept from one read to the next, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// How many are kept before idle ones are closed for new ones. Soft: as many as are needed may be in use. Default
    /// 64.
    pub capacity: usize,
    /// How long a reader may be idle; `None` for ever. Default 5 minutes.
    pub timeout: Option<Duration>,
    /// How often readers that are idle for too long are looked for; `None` for never. Default 1 minute.
    pub look_every: Option<Duration>,
    /// How long a fetched batch may wait. Default 5 minutes.
    pub fetched_timeout: Duration,
    /// How often batches that wait for too long are looked for; `None` for never. Default 1 minute.
    pub fetched_look_every: Option<Duration>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            capacity: 64,
            timeout: Some(FIVE_MINUTES),
            look_every: Some(MINUTE),
            fetched_timeout: FIVE_MINUTES,
            fetched_look_every: Some(MINUTE),
        }
    }
}

impl PoolOptions {
    /// # Errors
    /// A value of the wrong form, or a negative capacity.
    pub(super) fn from_raw(raw: &RawOptions) -> Result<Self> {
        let default = Self::default();
        let capacity = match raw.optional(CAPACITY, value::int)? {
            None => raw.optional(OLD_CAPACITY, value::int)?,
            given => given,
        };
        let capacity = capacity.map(|given| {
            let refused = || Error::option(format!("{CAPACITY} must not be negative"));
            usize::try_from(given).map_err(|_| refused())
        });
        let positive = |time: Duration| Some(time).filter(|time| !time.is_zero());
        let time = |name, default| raw.parsed(name, default, value::time);
        Ok(Self {
            capacity: capacity.transpose()?.unwrap_or(default.capacity),
            timeout: positive(time(TIMEOUT, FIVE_MINUTES)?),
            look_every: positive(time(LOOK, MINUTE)?),
            fetched_timeout: time(FETCHED_TIMEOUT, FIVE_MINUTES)?,
            fetched_look_every: positive(time(FETCHED_LOOK, MINUTE)?),
        })
    }
}

/// How long producers are kept that nobody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerPoolOptions {
    /// How long a producer may be idle. Default 10 minutes.
    pub timeout: Duration,
    /// How often producers that are idle for too long are looked for; `None` for never. Default 1 minute.
    pub look_every: Option<Duration>,
}

impl Default for ProducerPoolOptions {
    fn default() -> Self {
        Self { timeout: TEN_MINUTES, look_every: Some(MINUTE) }
    }
}

impl ProducerPoolOptions {
    /// # Errors
    /// A value of the wrong form.
    pub(super) fn from_raw(raw: &RawOptions) -> Result<Self> {
        let look_every = raw.parsed(PRODUCER_LOOK, MINUTE, value::time)?;
        Ok(Self {
            timeout: raw.parsed(PRODUCER_TIMEOUT, TEN_MINUTES, value::time)?,
            look_every: Some(look_every).filter(|time| !time.is_zero()),
        })
    }
}

const CAPACITY: &str = "spark.kafka.consumer.cache.capacity";
const OLD_CAPACITY: &str = "spark.sql.kafkaConsumerCache.capacity";
const TIMEOUT: &str = "spark.kafka.consumer.cache.timeout";
const LOOK: &str = "spark.kafka.consumer.cache.evictorThreadRunInterval";
const FETCHED_TIMEOUT: &str = "spark.kafka.consumer.fetchedData.cache.timeout";
const FETCHED_LOOK: &str = "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval";
const PRODUCER_TIMEOUT: &str = "spark.kafka.producer.cache.timeout";
const PRODUCER_LOOK: &str = "spark.kafka.producer.cache.evictorThreadRunInterval";
const TEN_MINUTES: Duration = Duration::from_secs(600);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ReadMode, SinkOptions, SourceOptions};

    fn pools(pairs: &[(&str, &str)]) -> Result<PoolOptions> {
        let mut all = vec![("subscribe", "t"), ("kafka.bootstrap.servers", "h:1")];
        all.extend(pairs);
        SourceOptions::from_pairs(ReadMode::Stream, all).map(|options| options.pools())
    }

    #[test]
    fn the_pools_options_have_sparks_names_and_defaults() {
        assert_eq!(pools(&[]).unwrap(), PoolOptions::default());
        let given = pools(&[
            (CAPACITY, "7"),
            (OLD_CAPACITY, "9"),
            (TIMEOUT, "10s"),
            (LOOK, "-1"),
            (FETCHED_TIMEOUT, "250"),
            (FETCHED_LOOK, "0"),
        ])
        .unwrap();
        assert_eq!(given.capacity, 7, "the new name wins");
        assert_eq!((given.timeout, given.look_every), (Some(Duration::from_secs(10)), None));
        assert_eq!(given.fetched_timeout, Duration::from_millis(250));
        assert_eq!(given.fetched_look_every, None);
        assert_eq!(pools(&[(OLD_CAPACITY, "9")]).unwrap().capacity, 9);
        assert_eq!(pools(&[(TIMEOUT, "0")]).unwrap().timeout, None, "never");
        assert!(pools(&[(CAPACITY, "-1")]).is_err());
    }

    #[test]
    fn the_producers_pool_has_sparks_names_and_defaults() {
        let options = |pairs: &[(&str, &str)]| {
            let all = [&[("kafka.bootstrap.servers", "h:1")], pairs].concat();
            SinkOptions::from_pairs(all).map(|options| options.producer_pool())
        };
        assert_eq!(options(&[]).unwrap(), ProducerPoolOptions::default());
        let given = options(&[(PRODUCER_TIMEOUT, "3s"), (PRODUCER_LOOK, "-1")]).unwrap();
        assert_eq!(
            given,
            ProducerPoolOptions { timeout: Duration::from_secs(3), look_every: None }
        );
        assert!(options(&[(PRODUCER_TIMEOUT, "soon")]).is_err());
    }
}
