//! The bytes of a checkpoint's files, as Spark writes them and as it reads them.
//!
//! Written: UTF-8, lines ended by a line feed except the last, version `v1` always, since that is what every Spark
//! takes. Read: also the forms of older versions. Whatever is torn, from a newer version or not ours is refused with
//! a reason; nothing is guessed.

use serde::Deserialize;
use serde_json::Value;

use crate::offsets::{PartitionOffsets, json};

/// Why a file can't be used: one sentence, to which the caller adds the path.
pub type Refusal = String;

/// One entry of the offsets log for a query of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetsEntry {
    /// Where the batch ends; `None` if the source had no offset, a line `-`.
    pub offsets: Option<PartitionOffsets>,
    /// The batch's watermark in milliseconds, 0 without one.
    pub watermark_ms: i64,
    /// When the batch was planned, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The settings of Spark that were in force, by name; kept as they were found.
    pub conf: Vec<(String, String)>,
}

impl OffsetsEntry {
    /// An entry with the settings that Spark 4.0 and 4.1 write by default.
    pub fn new(offsets: PartitionOffsets, timestamp_ms: i64) -> Self {
        let conf = CONF.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { offsets: Some(offsets), watermark_ms: 0, timestamp_ms, conf: conf.collect() }
    }
}

/// The file `metadata`.
pub fn write_metadata(id: &str) -> Vec<u8> {
    format!("{{\"id\":{}}}", Value::from(id)).into_bytes()
}

/// The id in `metadata`.
pub fn read_metadata(bytes: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Metadata {
        id: String,
    }
    let metadata: Metadata =
        serde_json::from_slice(bytes).map_err(|e| format!("no id in it: {e}"))?;
    match metadata.id.is_empty() {
        true => Err("the id is empty".to_owned()),
        false => Ok(metadata.id),
    }
}

/// The file `sources/0/0`. Its first byte makes Spark 2.1.0 see an empty text and not a wrong one (SPARK-19517).
pub fn write_initial(offsets: &PartitionOffsets) -> Vec<u8> {
    format!("\0v1\n{}", json::write_offsets(offsets)).into_bytes()
}

/// The offsets in `sources/0/0`, in today's form or in that of Spark 2.1.0, which had no version.
pub fn read_initial(bytes: &[u8]) -> Result<PartitionOffsets, Refusal> {
    let content = bytes.get(1..).filter(|content| !content.is_empty());
    let content = text(content.ok_or("the file is empty")?)?;
    if !content.starts_with('v') {
        return json::parse_recorded(content);
    }
    let (version, offsets) = content.split_once('\n').ok_or(NO_VERSION)?;
    at_most_v1(version)?;
    json::parse_recorded(offsets)
}

/// A file of the folder `offsets`.
pub fn write_offsets(entry: &OffsetsEntry) -> Vec<u8> {
    let conf: Vec<String> = entry
        .conf
        .iter()
        .map(|(name, value)| format!("{}:{}", Value::from(&**name), Value::from(&**value)))
        .collect();
    let line = entry.offsets.as_ref().map_or_else(|| NO_OFFSET.to_owned(), json::write_offsets);
    format!(
        "v1\n{{\"batchWatermarkMs\":{},\"batchTimestampMs\":{},\"conf\":{{{}}}}}\n{line}",
        entry.watermark_ms,
        entry.timestamp_ms,
        conf.join(",")
    )
    .into_bytes()
}

/// An entry of the offsets log of a query with one source.
pub fn read_offsets(bytes: &[u8]) -> Result<OffsetsEntry, Refusal> {
    let content = text(bytes)?;
    let mut lines = content.lines();
    at_most_v1(lines.next().ok_or("Log file was malformed: the file is empty.")?)?;
    let metadata = lines.next().ok_or("Log file was malformed: it ends after the version.")?;
    // Continuous queries leave the line empty.
    let metadata: EntryMetadata = match metadata {
        "" => EntryMetadata::default(),
        json => serde_json::from_str(json)
            .map_err(|e| format!("Log file was malformed: the second line is no metadata: {e}."))?,
    };
    let sources: Vec<&str> = lines.collect();
    let [source] = sources[..] else {
        return Err(format!(
            "There are [{}] sources in the checkpoint offsets and now there are [1] sources requested by the query. Cannot continue.",
            sources.len()
        ));
    };
    let offsets = match source {
        NO_OFFSET => None,
        json => Some(json::parse_recorded(json)?),
    };
    Ok(OffsetsEntry {
        offsets,
        watermark_ms: metadata.batch_watermark_ms,
        timestamp_ms: metadata.batch_timestamp_ms,
        conf: metadata.conf()?,
    })
}

/// A file of the folder `commits`.
pub fn write_commit(next_watermark_ms: i64) -> Vec<u8> {
    format!("v1\n{{\"nextBatchWatermarkMs\":{next_watermark_ms}}}").into_bytes()
}

/// The watermark in a file of the folder `commits`; 0 where the line is missing.
pub fn read_commit(bytes: &[u8]) -> Result<i64, Refusal> {
    #[derive(Default, Deserialize)]
    struct Commit {
        #[serde(default, rename = "nextBatchWatermarkMs")]
        watermark_ms: i64,
    }
    let content = text(bytes)?;
    let mut lines = content.lines();
    let version = lines.next().ok_or("Log file was malformed: the file is empty.")?;
    if log_version(version)? != 1 {
        return Err(format!("The only supported log version is v1, but encountered {version}."));
    }
    let commit: Commit = match lines.next() {
        None | Some("") => Commit::default(),
        Some(json) => serde_json::from_str(json)
            .map_err(|e| format!("Log file was malformed: the second line is no commit: {e}."))?,
    };
    match lines.next() {
        Some(_) => Err("Log file was malformed: lines after the commit.".to_owned()),
        None => Ok(commit.watermark_ms),
    }
}

/// The batch that a file of `offsets` or `commits` stands for; `None` for names that are no number.
pub fn batch_id(name: &str) -> Option<i64> {
    name.parse().ok()
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EntryMetadata {
    batch_watermark_ms: i64,
    batch_timestamp_ms: i64,
    conf: serde_json::Map<String, Value>,
}

impl EntryMetadata {
    fn conf(self) -> Result<Vec<(String, String)>, Refusal> {
        let pair = |(name, value)| match value {
            Value::String(value) => Ok((name, value)),
            other => Err(format!(
                "Log file was malformed: the setting {name} is {other} and not a text."
            )),
        };
        self.conf.into_iter().map(pair).collect()
    }
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|e| format!("Log file was malformed: it is no text: {e}."))
}

fn at_most_v1(line: &str) -> Result<(), Refusal> {
    match log_version(line)? {
        1 => Ok(()),
        _ => Err(format!(
            "maximum supported log version is v1, but encountered {line}. The log file was produced by a newer version of Spark and cannot be read by this version."
        )),
    }
}

/// The number in a version line, at least 1.
fn log_version(line: &str) -> Result<i32, Refusal> {
    let number = line.strip_prefix('v').ok_or(NO_VERSION)?;
    let version = number.parse().ok().filter(|version| *version > 0);
    version.ok_or_else(|| {
        format!("Log file was malformed: failed to read correct log version from {line}.")
    })
}

const NO_VERSION: &str = "Log file was malformed: failed to detect the log file version line.";
/// The line of a source that has no offset.
const NO_OFFSET: &str = "-";

/// What Spark 4.0 and 4.1 record by default, in their order. A reader takes a missing one for what it was before the
/// setting existed, so none may be left out.
const CONF: [(&str, &str); 11] = [
    (
        "spark.sql.streaming.stateStore.providerClass",
        "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",
    ),
    ("spark.sql.streaming.stateStore.rocksdb.formatVersion", "5"),
    ("spark.sql.streaming.stateStore.encodingFormat", "unsaferow"),
    ("spark.sql.streaming.statefulOperator.useStrictDistribution", "true"),
    ("spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion", "2"),
    ("spark.sql.streaming.multipleWatermarkPolicy", "min"),
    ("spark.sql.streaming.aggregation.stateFormatVersion", "2"),
    ("spark.sql.shuffle.partitions", "200"),
    ("spark.sql.streaming.join.stateFormatVersion", "2"),
    ("spark.sql.streaming.stateStore.compression.codec", "lz4"),
    ("spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan", "false"),
];

#[cfg(test)]
mod tests;
