//! JSON lines in, sink columns out: `{"key":…,"value":…,"headers":…,"topic":…,"partition":…}`.
//!
//! `value` must be there, and may be null: a missing value is a mistake, a null one a tombstone. Other fields are
//! ignored, so that what a read printed can be written back.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use super::FormatError;
use super::ingest::{Ingest, TextRow};

#[derive(Deserialize)]
struct JsonRow<'a> {
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<Option<Cow<'a, str>>>,
    #[serde(borrow, default)]
    topic: Option<Cow<'a, str>>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(borrow, default)]
    headers: Option<Vec<JsonHeader<'a>>>,
}

/// A header as text formats spell it.
#[derive(Deserialize)]
pub(super) struct JsonHeader<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<Cow<'a, str>>,
}

/// Parses one line into `rows`.
pub(super) fn read_row(rows: &mut Ingest, text: &[u8], line: u64) -> Result<(), FormatError> {
    let bad = |reason: String| FormatError::Input { line, reason };
    let row: JsonRow<'_> =
        serde_json::from_slice(text).map_err(|error| bad(format!("not a row: {error}")))?;
    let Some(value) = &row.value else {
        return Err(bad("the row has no value; write null for a tombstone".to_owned()));
    };
    let headers = row.headers.as_deref();
    push_headers(rows, headers.unwrap_or_default(), line)?;
    let text_row = TextRow {
        key: row.key.as_deref(),
        value: value.as_deref(),
        topic: row.topic.as_deref(),
        partition: row.partition,
    };
    rows.push(&text_row, headers.is_some(), line)
}

/// Pushes the headers of the row that comes next.
pub(super) fn push_headers(
    rows: &mut Ingest,
    headers: &[JsonHeader<'_>],
    line: u64,
) -> Result<(), FormatError> {
    headers
        .iter()
        .try_for_each(|header| rows.push_header(&header.key, header.value.as_deref(), line))
}

/// Tells an absent field (`None`) from a null one (`Some(None)`).
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
