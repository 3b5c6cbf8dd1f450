//! What Spark has in its own configuration and not among the connector's options (`spark.sql.*`,
//! `spark.network.timeout`), as far as it says how the connector reads.
//!
//! What has a meaning here is taken; what would change rows or files in a way that there is not is refused.

use std::num::NonZeroU32;
use std::time::Duration;

use super::raw::RawOptions;
use super::value;
use crate::error::{Error, Result};

/// The settings that have a meaning, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Engine {
    /// `spark.network.timeout`, how long a read waits if nothing else is said.
    pub(super) network_timeout: Duration,
    /// `spark.sql.streaming.minBatchesToRetain`.
    pub(super) retained_batches: NonZeroU32,
}

impl Engine {
    /// # Errors
    /// A value of the wrong form, no batch to retain, another format of the logs than the one that is written, and a
    /// pattern together with the deprecated way to find topics, which matches whole names.
    pub(super) fn from_raw(raw: &RawOptions) -> Result<Self> {
        for name in FORMATS {
            let version = raw.parsed(name, 1, value::int)?;
            if version != 1 {
                return Err(Error::option(format!(
                    "{name} {version} is not supported: the checkpoint's logs are written as v1, which every Spark \
                     reads. Set it to 1"
                )));
            }
        }
        raw.parsed(VERIFY, true, value::boolean)?;
        if is_deprecated(raw)? && raw.get("subscribePattern").is_some() {
            return Err(Error::option(format!(
                "{DEPRECATED} is not supported with subscribePattern, which then means whole names. Set it to false, \
                 and anchor the pattern as in ^(?:orders)$"
            )));
        }
        Ok(Self { network_timeout: network_timeout(raw)?, retained_batches: retained(raw)? })
    }

    /// What was set and changes nothing, by name, each with the reason.
    pub(super) fn warnings(raw: &RawOptions) -> Vec<String> {
        let mut warnings = Vec::new();
        if is_deprecated(raw).unwrap_or_default() {
            warnings.push(format!(
                "{DEPRECATED} has no effect: offsets are asked for with the right Describe alone"
            ));
        }
        if !raw.parsed(VERIFY, true, value::boolean).unwrap_or(true) {
            warnings.push(format!(
                "{VERIFY} has no effect: a new query never starts on the files of another"
            ));
        }
        warnings
    }
}

fn is_deprecated(raw: &RawOptions) -> Result<bool> {
    raw.parsed(DEPRECATED, false, value::boolean)
}

/// Whole seconds, as Spark takes them from its setting.
fn network_timeout(raw: &RawOptions) -> Result<Duration> {
    let timeout = raw.parsed(NETWORK, NETWORK_TIMEOUT, value::time_in_seconds)?;
    Ok(Duration::from_secs(timeout.as_secs()))
}

fn retained(raw: &RawOptions) -> Result<NonZeroU32> {
    let retained = raw.parsed(RETAIN, RETAINED, value::int)?;
    let positive = u32::try_from(retained).ok().and_then(NonZeroU32::new);
    positive.ok_or_else(|| Error::option(format!("{RETAIN} has to be positive")))
}

pub(super) const NETWORK: &str = "spark.network.timeout";
const RETAIN: &str = "spark.sql.streaming.minBatchesToRetain";
const DEPRECATED: &str = "spark.sql.streaming.kafka.useDeprecatedOffsetFetching";
const VERIFY: &str = "spark.sql.streaming.verifyCheckpointDirectoryEmptyOnStart";
/// What says in which version Spark writes the commits and the plans.
const FORMATS: [&str; 2] = [
    "spark.sql.streaming.stateStore.checkpointFormatVersion",
    "spark.sql.streaming.offsetLog.formatVersion",
];
const NETWORK_TIMEOUT: Duration = Duration::from_secs(120);
const RETAINED: i32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ReadMode, SinkOptions, SourceOptions};

    fn read(pairs: &[(&str, &str)]) -> Result<SourceOptions> {
        let mut all = vec![("kafka.bootstrap.servers", "h:1")];
        if pairs.iter().all(|(name, _)| *name != "subscribePattern") {
            all.push(("subscribe", "t"));
        }
        all.extend(pairs);
        SourceOptions::from_pairs(ReadMode::Stream, all)
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        read(pairs).unwrap_err().message().to_owned()
    }

    #[test]
    fn the_networks_timeout_is_that_of_a_poll_if_nothing_else_is() {
        let timeout = |pairs| read(pairs).unwrap().poll_timeout();
        assert_eq!(timeout(&[]), Duration::from_secs(120));
        assert_eq!(timeout(&[(NETWORK, "30")]), Duration::from_secs(30));
        assert_eq!(timeout(&[(NETWORK, "1500ms")]), Duration::from_secs(1));
        let both = [(NETWORK, "2m"), ("kafkaConsumer.pollTimeoutMs", "512")];
        assert_eq!(timeout(&both), Duration::from_millis(512));
        assert!(refused(&[(NETWORK, "soon")]).starts_with("Failed to parse time string: soon."));
    }

    #[test]
    fn at_least_one_batch_is_retained() {
        let retained = |pairs| read(pairs).unwrap().retained_batches().get();
        assert_eq!((retained(&[]), retained(&[(RETAIN, "2")])), (100, 2));
        for text in ["0", "-1"] {
            assert!(refused(&[(RETAIN, text)]).ends_with("minBatchesToRetain has to be positive"));
        }
    }

    #[test]
    fn b036_the_deprecated_way_to_find_topics_is_refused_where_it_finds_others() {
        let deprecated = (DEPRECATED, "TRUE");
        let options = read(&[deprecated]).unwrap();
        assert_eq!(options.warnings().len(), 1);
        assert!(options.warnings()[0].starts_with(DEPRECATED));
        let text = refused(&[deprecated, ("subscribePattern", "orders")]);
        assert!(text.contains("is not supported with subscribePattern"), "{text}");
        assert!(read(&[(DEPRECATED, "false"), ("subscribePattern", "o")]).is_ok());
    }

    #[test]
    fn logs_are_written_as_version_1() {
        for name in FORMATS {
            assert!(read(&[(name, "1")]).unwrap().warnings().is_empty());
            assert!(refused(&[(name, "2")]).starts_with(&format!("{name} 2 is not supported")));
        }
        assert_eq!(read(&[(VERIFY, "false")]).unwrap().warnings().len(), 1);
        assert!(read(&[(VERIFY, "true")]).unwrap().warnings().is_empty());
    }

    #[test]
    fn which_of_sparks_readers_and_writers_is_used_makes_no_difference() {
        let (old, readers) = (
            "spark.sql.sources.useV1SourceList",
            "spark.sql.streaming.disabledV2MicroBatchReaders",
        );
        let options = read(&[(old, "kafka"), (readers, "")]).unwrap();
        assert_eq!(options.warnings().len(), 2);
        let sink = |name, value| {
            SinkOptions::from_pairs([("kafka.bootstrap.servers", "h:1"), (name, value)])
        };
        assert!(sink(old, "kafka").is_ok());
        assert!(sink("spark.sql.streaming.disabledV2Writers", "").is_ok());
        assert!(sink("asyncProgressTrackingEnabled", "false").is_ok());
        assert!(sink("asyncProgressTrackingCheckpointIntervalMs", "1000").is_ok());
        let error = sink("asyncProgressTrackingEnabled", "true").unwrap_err();
        assert!(error.message().starts_with("asyncProgressTrackingEnabled is not supported"));
    }
}
