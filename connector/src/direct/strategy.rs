//! What a stream reads, and where it is to start: topics, a pattern over their names, partitions, or a caller's own
//! way to find them. Asked again before each batch, so that new partitions join.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use klamm_client::Client;

use super::lookup::partitions_of;
use crate::error::{Error, Result};
use crate::offsets::{PartitionOffsets, TopicPartition};
use crate::options::TopicPattern;

/// The partitions that a strategy finds.
pub type StrategyFuture<'a> =
    Pin<Box<dyn Future<Output = Result<BTreeSet<TopicPartition>>> + Send + 'a>>;

/// Says what to read. Implement it for partitions that are found by other means than the three that are here.
pub trait ConsumerStrategy: Send + Sync {
    /// The partitions to read now. A partition that was named once and no more is an error of the stream.
    ///
    /// Dropping the future must leave nothing behind.
    fn partitions<'a>(&'a self, client: &'a Client) -> StrategyFuture<'a>;

    /// Where to start in some of the partitions. Default: nowhere in particular.
    fn starts(&self) -> PartitionOffsets {
        PartitionOffsets::new()
    }
}

/// All partitions of some topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    topics: Vec<String>,
    starts: PartitionOffsets,
}

impl Subscribe {
    /// These topics, which have to exist.
    pub fn to<T: Into<String>>(topics: impl IntoIterator<Item = T>) -> Self {
        let topics = topics.into_iter().map(Into::into).collect();
        Self { topics, starts: PartitionOffsets::new() }
    }

    /// Starts at these offsets, in the partitions that are named.
    #[must_use]
    pub fn starting_at(self, starts: PartitionOffsets) -> Self {
        Self { starts, ..self }
    }
}

impl ConsumerStrategy for Subscribe {
    fn partitions<'a>(&'a self, client: &'a Client) -> StrategyFuture<'a> {
        Box::pin(async move {
            if self.topics.is_empty() {
                return Err(Error::option("a stream needs at least one topic to subscribe to"));
            }
            partitions_of(client, &self.topics).await
        })
    }

    fn starts(&self) -> PartitionOffsets {
        self.starts.clone()
    }
}

/// All partitions of the topics whose whole name matches a pattern, Kafka's own aside.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscribePattern {
    pattern: TopicPattern,
    starts: PartitionOffsets,
}

impl SubscribePattern {
    /// The topics that match this Java regular expression from the first letter to the last.
    ///
    /// # Errors
    /// `InvalidOption` when it is empty, malformed, or too large.
    pub fn new(pattern: &str) -> Result<Self> {
        // First alone, so that the refusal has the pattern as it was given.
        TopicPattern::new(pattern)?;
        let pattern = TopicPattern::new(&format!("^(?:{})$", pattern.trim()))?;
        Ok(Self { pattern, starts: PartitionOffsets::new() })
    }

    /// Starts at these offsets, in the partitions that are named.
    #[must_use]
    pub fn starting_at(self, starts: PartitionOffsets) -> Self {
        Self { starts, ..self }
    }
}

impl ConsumerStrategy for SubscribePattern {
    fn partitions<'a>(&'a self, client: &'a Client) -> StrategyFuture<'a> {
        Box::pin(async move {
            let mut names = Vec::new();
            for name in client.topic_names().await? {
                if self.pattern.matches(&name)? {
                    names.push(name);
                }
            }
            partitions_of(client, &names).await
        })
    }

    fn starts(&self) -> PartitionOffsets {
        self.starts.clone()
    }
}

/// Some partitions, whatever else there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assign {
    partitions: BTreeSet<TopicPartition>,
    starts: PartitionOffsets,
}

impl Assign {
    /// These partitions, which have to exist.
    pub fn of(partitions: impl IntoIterator<Item = TopicPartition>) -> Self {
        Self { partitions: partitions.into_iter().collect(), starts: PartitionOffsets::new() }
    }

    /// Starts at these offsets, in the partitions that are named.
    #[must_use]
    pub fn starting_at(self, starts: PartitionOffsets) -> Self {
        Self { starts, ..self }
    }
}

impl ConsumerStrategy for Assign {
    fn partitions<'a>(&'a self, _: &'a Client) -> StrategyFuture<'a> {
        Box::pin(async move {
            if self.partitions.is_empty() {
                return Err(Error::option("a stream needs at least one partition to be assigned"));
            }
            Ok(self.partitions.clone())
        })
    }

    fn starts(&self) -> PartitionOffsets {
        self.starts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b237_a_pattern_has_to_match_the_whole_name() {
        let matches = |pattern: &str, name: &str| {
            SubscribePattern::new(pattern).unwrap().pattern.matches(name).unwrap()
        };
        assert!(matches(r"pat\d", "pat1"));
        assert!(!matches(r"pat\d", "advanced3"));
        assert!(!matches(r"pat\d", "pat11"));
        assert!(!matches(r"pat\d", "my-pat1"));
        // An alternative must not slip out of the anchors.
        assert!(!matches("a|b", "ab"));
        assert!(matches("a|ab", "ab"));
        let error = SubscribePattern::new("(").unwrap_err();
        assert!(error.message().contains("'('"), "{error}");
    }
}
