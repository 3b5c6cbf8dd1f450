//! Where a read starts and ends: the three spellings of each, their precedence, and what a batch may not say.

use super::raw::RawOptions;
use super::value::ReadMode;
use crate::error::{Error, Result};
use crate::offsets::{EARLIEST, LATEST, PartitionOffsets, json};

/// Where a read starts or ends, before the cluster was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsLimit {
    /// The first records that there are.
    Earliest,
    /// The end.
    Latest,
    /// An offset for each partition, where -1 is the latest and -2 the earliest.
    Specific(PartitionOffsets),
    /// In every partition the first record of this timestamp, in milliseconds, or later.
    Timestamp(i64),
    /// A timestamp in milliseconds for each partition.
    Timestamps(PartitionOffsets),
}

/// What becomes of a partition without a record at or after its starting timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// The read is refused.
    Error,
    /// The partition is read from its end.
    Latest,
}

/// The starting limit: a timestamp for all, timestamps for each, offsets, in this precedence.
pub(super) fn starting(raw: &RawOptions, mode: ReadMode) -> Result<OffsetsLimit> {
    let default = match mode {
        ReadMode::Stream => OffsetsLimit::Latest,
        ReadMode::Batch => OffsetsLimit::Earliest,
    };
    let names = ["startingTimestamp", "startingOffsetsByTimestamp", "startingOffsets"];
    let limit = limit(raw, names, default)?;
    if mode == ReadMode::Stream {
        return Ok(limit);
    }
    match &limit {
        OffsetsLimit::Latest => {
            Err(Error::option("starting offset can't be latest for batch queries on Kafka"))
        }
        OffsetsLimit::Specific(offsets) => match offsets.iter().find(|(_, o)| **o == LATEST) {
            Some((tp, _)) => Err(Error::option(format!(
                "startingOffsets for {tp} can't be latest for batch queries on Kafka"
            ))),
            None => Ok(limit),
        },
        _ => Ok(limit),
    }
}

/// The ending limit of a batch, with the same precedence.
pub(super) fn ending(raw: &RawOptions) -> Result<OffsetsLimit> {
    let names = ["endingTimestamp", "endingOffsetsByTimestamp", "endingOffsets"];
    let limit = limit(raw, names, OffsetsLimit::Latest)?;
    match &limit {
        OffsetsLimit::Earliest => {
            Err(Error::option("ending offset can't be earliest for batch queries on Kafka"))
        }
        OffsetsLimit::Specific(offsets) => match offsets.iter().find(|(_, o)| **o == EARLIEST) {
            Some((tp, _)) => Err(Error::option(format!(
                "ending offset for {tp} can't be earliest for batch queries on Kafka"
            ))),
            None => Ok(limit),
        },
        _ => Ok(limit),
    }
}

/// The strategy for starting timestamps; parsed even where there is none.
pub(super) fn no_match(raw: &RawOptions) -> Result<NoMatch> {
    match raw.get("startingOffsetsByTimestampStrategy") {
        None => Ok(NoMatch::Error),
        Some(text) if text.eq_ignore_ascii_case("error") => Ok(NoMatch::Error),
        Some(text) if text.eq_ignore_ascii_case("latest") => Ok(NoMatch::Latest),
        Some(text) => Err(Error::option(format!(
            "No value found for '{}'. Set startingOffsetsByTimestampStrategy to error or latest",
            text.to_uppercase()
        ))),
    }
}

/// Checks of a batch that need no cluster: limits of the same kind have to name the same partitions, and no start may
/// lie above its end. Symbolic offsets are left alone.
pub(super) fn check_batch(starting: &OffsetsLimit, ending: &OffsetsLimit) -> Result<()> {
    let (start, end, word) = match (starting, ending) {
        (OffsetsLimit::Specific(start), OffsetsLimit::Specific(end)) => (start, end, "offset"),
        (OffsetsLimit::Timestamps(start), OffsetsLimit::Timestamps(end)) => {
            (start, end, "timestamp")
        }
        _ => return Ok(()),
    };
    if !start.keys().eq(end.keys()) {
        return Err(Error::option(format!(
            "The specified start {word} and end {word} should have the same topic-partitions."
        )));
    }
    for ((tp, start), end) in start.iter().zip(end.values()) {
        if *start >= 0 && *end >= 0 && start > end {
            return Err(Error::option(format!(
                "The specified start {word} {start} is greater than the end {word} {end} for topic {} partition {}.",
                tp.topic, tp.partition
            )));
        }
    }
    Ok(())
}

/// The first of `[timestamp, timestamps, offsets]` that was given.
fn limit(raw: &RawOptions, names: [&str; 3], default: OffsetsLimit) -> Result<OffsetsLimit> {
    let [timestamp, timestamps, offsets] = names.map(|name| raw.get(name));
    if let Some(text) = timestamp {
        let millis = text
            .trim()
            .parse()
            .map_err(|_| Error::option(format!("Expected a single long value, got {text}")))?;
        return Ok(OffsetsLimit::Timestamp(millis));
    }
    if let Some(text) = timestamps {
        return Ok(OffsetsLimit::Timestamps(json::parse_timestamps(text)?));
    }
    match offsets.map(str::trim) {
        None => Ok(default),
        Some(text) if text.eq_ignore_ascii_case("earliest") => Ok(OffsetsLimit::Earliest),
        Some(text) if text.eq_ignore_ascii_case("latest") => Ok(OffsetsLimit::Latest),
        Some(text) => Ok(OffsetsLimit::Specific(json::parse_offsets(text)?)),
    }
}
