//! Topic settings: in go names and values from CreateTopics, out come the log's rules and what
//! DescribeConfigs reports. Settings without an effect here (time retention, compaction) are
//! still kept and reported, since clients set and read them.

use std::collections::BTreeMap;

use klamm_protocol::code::ErrorCode;

use crate::log::{LogRules, Refusal};

/// The settings of one topic that differ from the defaults, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicConfig {
    values: BTreeMap<String, String>,
}

/// A setting that topics have.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
}

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Text,
    Int,
    Long,
    Double,
    List,
    OneOf(&'static [&'static str]),
}

impl TopicConfig {
    /// Takes one setting; `None` puts it back to its default.
    ///
    /// # Errors
    /// `INVALID_CONFIG` for a name that topics do not have, or a value of the wrong type.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .ok_or_else(|| invalid(format!("unknown topic config name: {name}")))?;
        let Some(value) = value else {
            self.values.remove(name);
            return Ok(());
        };
        if value.len() > LONGEST_VALUE || !setting.kind.accepts(value) {
            let shown: String = value.chars().take(LONGEST_VALUE).collect();
            return Err(invalid(format!("invalid value {shown} for configuration {name}")));
        }
        self.values.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// The value of a setting that was given for this topic.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The cluster's log rules, narrowed by this topic's settings.
    pub(crate) fn log_rules(&self, cluster: &LogRules) -> LogRules {
        let retention = self.number("retention.bytes").and_then(|n| usize::try_from(n).ok());
        LogRules {
            max_message_bytes: self
                .number("max.message.bytes")
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(cluster.max_message_bytes),
            max_bytes: match (retention, cluster.max_bytes) {
                (Some(topic), Some(all)) => Some(topic.min(all)),
                (topic, all) => topic.or(all),
            },
            append_time: self
                .given("message.timestamp.type")
                .map_or(cluster.append_time, |whose| whose == "LogAppendTime"),
            check_records: cluster.check_records,
        }
    }

    /// How many replicas must be in sync for `acks=all`.
    pub(crate) fn min_insync(&self) -> usize {
        let given = self.number("min.insync.replicas").and_then(|n| usize::try_from(n).ok());
        given.unwrap_or(1)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.given(name)?.parse().ok()
    }
}

impl Kind {
    pub(crate) fn accepts(self, value: &str) -> bool {
        match self {
            Self::Bool => matches!(value, "true" | "false"),
            Self::Text | Self::List => true,
            Self::Int => value.parse::<i32>().is_ok(),
            Self::Long => value.parse::<i64>().is_ok(),
            Self::Double => value.parse::<f64>().is_ok(),
            Self::OneOf(choices) => choices.contains(&value),
        }
    }

    /// The number that DescribeConfigs uses for the type.
    pub(crate) fn code(self) -> i8 {
        match self {
            Self::Bool => 1,
            Self::Text | Self::OneOf(_) => 2,
            Self::Int => 3,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ErrorCode::INVALID_CONFIG, message)
}

pub(crate) const fn setting(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    about: &'static str,
) -> Setting {
    Setting { name, default, kind, about }
}

/// No setting needs more, and each is kept as long as its topic.
pub(crate) const LONGEST_VALUE: usize = 256;
const FOREVER: &str = "9223372036854775807";

/// Every topic setting, with Kafka's defaults.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("cleanup.policy", "delete", Kind::List, "Kept and reported; logs are not compacted."),
    setting(
        "compression.type",
        "producer",
        Kind::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "Kept and reported; batches stay as the producer compressed them.",
    ),
    setting("delete.retention.ms", "86400000", Kind::Long, "Kept and reported."),
    setting("file.delete.delay.ms", "60000", Kind::Long, "Kept and reported."),
    setting("flush.messages", FOREVER, Kind::Long, "Kept and reported."),
    setting("flush.ms", FOREVER, Kind::Long, "Kept and reported."),
    setting("index.interval.bytes", "4096", Kind::Int, "Kept and reported."),
    setting("max.compaction.lag.ms", FOREVER, Kind::Long, "Kept and reported."),
    setting("max.message.bytes", "1048588", Kind::Int, "The largest batch that is taken."),
    setting("message.timestamp.after.max.ms", "3600000", Kind::Long, "Kept and reported."),
    setting("message.timestamp.before.max.ms", FOREVER, Kind::Long, "Kept and reported."),
    setting(
        "message.timestamp.type",
        "CreateTime",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "Whose time records carry: the producer's, or the append's.",
    ),
    setting("min.cleanable.dirty.ratio", "0.5", Kind::Double, "Kept and reported."),
    setting("min.compaction.lag.ms", "0", Kind::Long, "Kept and reported."),
    setting("min.insync.replicas", "1", Kind::Int, "Replicas in sync that acks=all asks for."),
    setting("preallocate", "false", Kind::Bool, "Kept and reported."),
    setting("remote.storage.enable", "false", Kind::Bool, "Kept and reported."),
    setting(
        "retention.bytes",
        "-1",
        Kind::Long,
        "Above it, the oldest batches of a partition are dropped.",
    ),
    setting("retention.ms", "604800000", Kind::Long, "Kept and reported."),
    setting("segment.bytes", "1073741824", Kind::Int, "Kept and reported."),
    setting("segment.index.bytes", "10485760", Kind::Int, "Kept and reported."),
    setting("segment.jitter.ms", "0", Kind::Long, "Kept and reported."),
    setting("segment.ms", "604800000", Kind::Long, "Kept and reported."),
    setting("unclean.leader.election.enable", "false", Kind::Bool, "Kept and reported."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_and_wrong_types_are_refused() {
        let mut config = TopicConfig::default();
        assert!(config.set("no.such.thing", Some("1")).is_err());
        assert!(config.set("max.message.bytes", Some("many")).is_err());
        assert!(config.set("message.timestamp.type", Some("Whenever")).is_err());
        assert!(config.set("max.message.bytes", Some("100")).is_ok());
        assert_eq!(config.log_rules(&LogRules::default()).max_message_bytes, 100);
    }

    #[test]
    fn the_smaller_of_the_topics_and_the_clusters_byte_limit_counts() {
        let mut config = TopicConfig::default();
        let cluster = LogRules { max_bytes: Some(500), ..LogRules::default() };
        assert_eq!(config.log_rules(&cluster).max_bytes, Some(500));
        assert!(config.set("retention.bytes", Some("100")).is_ok());
        assert_eq!(config.log_rules(&cluster).max_bytes, Some(100));
        assert_eq!(config.log_rules(&LogRules::default()).max_bytes, Some(100));
        assert!(config.set("retention.bytes", Some("-1")).is_ok());
        assert_eq!(config.log_rules(&cluster).max_bytes, Some(500));
    }

    #[test]
    fn the_settings_are_in_order_and_their_defaults_have_their_type() {
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.name));
        assert!(SETTINGS.iter().all(|setting| setting.kind.accepts(setting.default)));
    }
}
