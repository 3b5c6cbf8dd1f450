//! What a query tells about each of its batches, in the shape of Spark's `StreamingQueryProgress`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use serde_json::value::RawValue;

use crate::offsets::limit::offsets_behind;
use crate::offsets::{PartitionOffsets, json};

/// One batch, or one look that found nothing. Serialises to the JSON object that Spark's listeners get.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryProgress {
    /// The query's id, the same over restarts.
    pub id: String,
    /// The id of this run.
    pub run_id: String,
    /// The name that the user gave.
    pub name: Option<String>,
    /// When the trigger fired, since 1970.
    pub started: Duration,
    /// When the trigger before it fired.
    pub previous: Option<Duration>,
    /// The batch's number.
    pub batch_id: i64,
    /// The rows that were read.
    pub input_rows: u64,
    /// How long the parts took.
    pub durations: Durations,
    /// The source's part.
    pub source: SourceProgress,
    /// The sink, as it describes itself.
    pub sink: String,
    /// The rows that the sink has.
    pub output_rows: u64,
}

/// How long the parts of a batch took; all in milliseconds when printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Asking for the latest offsets.
    pub latest_offset: Duration,
    /// Finding the ranges.
    pub query_planning: Duration,
    /// Writing the plan.
    pub wal_commit: Duration,
    /// Reading and writing the rows.
    pub add_batch: Duration,
    /// Writing the commit.
    pub commit_offsets: Duration,
    /// All of it.
    pub trigger_execution: Duration,
}

/// What the source did for a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceProgress {
    /// Such as `KafkaV2[Subscribe[orders]]`.
    pub description: String,
    /// Where the batch began; `None` for a query's first.
    pub start: Option<PartitionOffsets>,
    /// Where it ended.
    pub end: Option<PartitionOffsets>,
    /// Where the topics ended when it was planned, before any limit.
    pub latest: Option<PartitionOffsets>,
}

impl QueryProgress {
    /// The rows that came in a second since the trigger before; 0 for the first.
    pub fn input_rows_per_second(&self) -> f64 {
        match self.previous {
            Some(previous) => rate(self.input_rows, self.started.saturating_sub(previous)),
            None => 0.0,
        }
    }

    /// The rows that were processed in a second of this batch.
    pub fn processed_rows_per_second(&self) -> f64 {
        rate(self.input_rows, self.durations.trigger_execution)
    }

    /// How many offsets the batch's end is behind the end of the topics: least, most, mean.
    pub fn offsets_behind(&self) -> Option<(i64, i64, f64)> {
        offsets_behind(self.source.end.as_ref()?, self.source.latest.as_ref()?)
    }

    /// The object as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for QueryProgress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("QueryProgress", 13)?;
        object.serialize_field("id", &self.id)?;
        object.serialize_field("runId", &self.run_id)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("timestamp", &iso(self.started))?;
        object.serialize_field("batchId", &self.batch_id)?;
        object.serialize_field("batchDuration", &millis(self.durations.trigger_execution))?;
        object.serialize_field("numInputRows", &self.input_rows)?;
        object.serialize_field("inputRowsPerSecond", &finite(self.input_rows_per_second()))?;
        object
            .serialize_field("processedRowsPerSecond", &finite(self.processed_rows_per_second()))?;
        object.serialize_field("durationMs", &self.durations)?;
        object.serialize_field("stateOperators", &[(); 0])?;
        object.serialize_field("sources", &[Source(self)])?;
        object.serialize_field(
            "sink",
            &Sink { description: &self.sink, num_output_rows: self.output_rows },
        )?;
        object.end()
    }
}

impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BTreeMap::from([
            ("addBatch", millis(self.add_batch)),
            ("commitOffsets", millis(self.commit_offsets)),
            ("latestOffset", millis(self.latest_offset)),
            ("queryPlanning", millis(self.query_planning)),
            ("triggerExecution", millis(self.trigger_execution)),
            ("walCommit", millis(self.wal_commit)),
        ])
        .serialize(serializer)
    }
}

/// The entry of `sources`.
struct Source<'a>(&'a QueryProgress);

impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (progress, source) = (self.0, &self.0.source);
        let mut object = serializer.serialize_struct("Source", 8)?;
        object.serialize_field("description", &source.description)?;
        object.serialize_field("startOffset", &raw(source.start.as_ref()))?;
        object.serialize_field("endOffset", &raw(source.end.as_ref()))?;
        object.serialize_field("latestOffset", &raw(source.latest.as_ref()))?;
        object.serialize_field("numInputRows", &progress.input_rows)?;
        object.serialize_field("inputRowsPerSecond", &finite(progress.input_rows_per_second()))?;
        object.serialize_field(
            "processedRowsPerSecond",
            &finite(progress.processed_rows_per_second()),
        )?;
        object.serialize_field("metrics", &metrics(progress))?;
        object.end()
    }
}

/// The entry `sink`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sink<'a> {
    description: &'a str,
    num_output_rows: u64,
}

/// Spark's three metrics, as texts.
fn metrics(progress: &QueryProgress) -> BTreeMap<&'static str, String> {
    match progress.offsets_behind() {
        None => BTreeMap::new(),
        Some((min, max, avg)) => BTreeMap::from([
            ("avgOffsetsBehindLatest", java_double(avg)),
            ("maxOffsetsBehindLatest", max.to_string()),
            ("minOffsetsBehindLatest", min.to_string()),
        ]),
    }
}

/// Offsets as the object that they are in the checkpoint, with its order of keys.
fn raw(offsets: Option<&PartitionOffsets>) -> Option<Box<RawValue>> {
    RawValue::from_string(json::write_offsets(offsets?)).ok()
}

fn rate(rows: u64, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64()
}

/// Spark leaves a rate out that is no number; so do we, as null.
fn finite(rate: f64) -> Option<f64> {
    rate.is_finite().then_some(rate)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-01-31T12:00:00.000Z`.
fn iso(since_1970: Duration) -> String {
    let millis = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A double as Java prints it: plain from a thousandth up to ten million, otherwise with an exponent; always a point.
fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::testing::offsets;

    fn progress() -> QueryProgress {
        QueryProgress {
            id: "i".into(),
            run_id: "r".into(),
            name: None,
            started: Duration::from_millis(1_700_000_001_000),
            previous: Some(Duration::from_millis(1_700_000_000_000)),
            batch_id: 3,
            input_rows: 50,
            durations: Durations {
                trigger_execution: Duration::from_millis(500),
                ..Durations::default()
            },
            source: SourceProgress {
                description: "KafkaV2[Subscribe[a, b]]".into(),
                start: None,
                end: Some(offsets(&[("a", 0, 1), ("b", 0, 2)])),
                latest: Some(offsets(&[("a", 0, 3), ("b", 0, 6)])),
            },
            sink: "kafka".into(),
            output_rows: 50,
        }
    }

    #[test]
    fn the_object_has_sparks_names() {
        let json: serde_json::Value = serde_json::from_str(&progress().to_json()).unwrap();
        assert_eq!(json["batchId"], 3);
        assert_eq!(json["timestamp"], "2023-11-14T22:13:21.000Z");
        assert_eq!(json["numInputRows"], 50);
        assert_eq!(json["inputRowsPerSecond"], 50.0);
        assert_eq!(json["processedRowsPerSecond"], 100.0);
        assert_eq!(json["durationMs"]["triggerExecution"], 500);
        assert_eq!(json["sink"]["numOutputRows"], 50);
        assert_eq!(json["sources"][0]["description"], "KafkaV2[Subscribe[a, b]]");
    }

    #[test]
    fn b266_offsets_are_objects_and_the_first_start_is_null() {
        let json: serde_json::Value = serde_json::from_str(&progress().to_json()).unwrap();
        assert!(json["sources"][0]["startOffset"].is_null());
        assert_eq!(json["sources"][0]["endOffset"]["b"]["0"], 2);
        assert_eq!(json["sources"][0]["latestOffset"]["b"]["0"], 6);
    }

    #[test]
    fn b093_how_far_behind_is_told_as_text() {
        let json: serde_json::Value = serde_json::from_str(&progress().to_json()).unwrap();
        let metrics = &json["sources"][0]["metrics"];
        assert_eq!(metrics["minOffsetsBehindLatest"], "2");
        assert_eq!(metrics["maxOffsetsBehindLatest"], "4");
        assert_eq!(metrics["avgOffsetsBehindLatest"], "3.0");
    }

    #[test]
    fn doubles_are_printed_as_java_does() {
        let cases = [
            (0.0, "0.0"),
            (3.0, "3.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.0001, "1.0E-4"),
        ];
        for (value, text) in cases {
            assert_eq!(java_double(value), text);
        }
    }

    #[test]
    fn a_rate_without_time_is_left_out() {
        let mut progress = progress();
        progress.durations.trigger_execution = Duration::ZERO;
        progress.previous = None;
        let json: serde_json::Value = serde_json::from_str(&progress.to_json()).unwrap();
        assert!(json["processedRowsPerSecond"].is_null());
        assert_eq!(json["inputRowsPerSecond"], 0.0);
    }
}
