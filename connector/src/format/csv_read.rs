//! CSV (RFC 4180) in, sink columns out. The first line names the columns.
//!
//! An empty field is null and a quoted empty field (`""`) is the empty string: the distinction that general CSV
//! readers drop, and the reason why the splitting is done here. `headers` holds a JSON list.

use super::FormatError;
use super::ingest::{Ingest, TextRow};
use super::json_read::{JsonHeader, push_headers};

/// Which field holds which column.
#[derive(Debug, Default)]
pub(super) struct CsvColumns {
    key: Option<usize>,
    value: Option<usize>,
    topic: Option<usize>,
    partition: Option<usize>,
    headers: Option<usize>,
    count: usize,
}

impl CsvColumns {
    /// Reads the header line; columns that the sink doesn't know are ignored.
    pub(super) fn parse(record: &str) -> Result<Self, FormatError> {
        let bad = |reason: &str| FormatError::Input { line: 1, reason: reason.to_owned() };
        let mut columns = Self::default();
        for (at, name) in split(record, 1)?.iter().enumerate() {
            let slot = match name.as_deref().map(str::trim) {
                Some("key") => &mut columns.key,
                Some("value") => &mut columns.value,
                Some("topic") => &mut columns.topic,
                Some("partition") => &mut columns.partition,
                Some("headers") => &mut columns.headers,
                _ => continue,
            };
            if slot.replace(at).is_some() {
                return Err(bad("the header line names a column twice"));
            }
        }
        columns.count = split(record, 1)?.len();
        if columns.value.is_none() {
            return Err(bad("the header line names no value column"));
        }
        Ok(columns)
    }

    /// Parses one record into `rows`.
    pub(super) fn read_row(
        &self,
        rows: &mut Ingest,
        record: &str,
        line: u64,
    ) -> Result<(), FormatError> {
        let bad = |reason: String| FormatError::Input { line, reason };
        let fields = split(record, line)?;
        if fields.len() != self.count {
            return Err(bad(format!("{} fields where {} are named", fields.len(), self.count)));
        }
        let field = |at: Option<usize>| at.and_then(|at| fields.get(at)?.as_deref());
        let headers: Option<Vec<JsonHeader<'_>>> = match field(self.headers) {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| bad(format!("headers is not a JSON list: {error}")))?,
            None => None,
        };
        let partition = match field(self.partition) {
            Some(text) => Some(
                text.trim()
                    .parse::<i32>()
                    .map_err(|_| bad(format!("partition is not a whole number: {text}")))?,
            ),
            None => None,
        };
        push_headers(rows, headers.as_deref().unwrap_or_default(), line)?;
        let row = TextRow {
            key: field(self.key),
            value: field(self.value),
            topic: field(self.topic),
            partition,
        };
        rows.push(&row, headers.is_some(), line)
    }
}

/// Whether a line leaves a quoted field open, so that the record goes on in the next line.
pub(super) fn is_open(record: &str) -> bool {
    record.bytes().filter(|byte| *byte == b'"').count() % 2 == 1
}

/// The fields of a record: null where nothing stands, text (perhaps empty) otherwise.
fn split(record: &str, line: u64) -> Result<Vec<Option<String>>, FormatError> {
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = unquote(quoted, line)?;
                (Some(text), after)
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (text, after) = rest.split_at(end);
                ((!text.is_empty()).then(|| text.to_owned()), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => {
                let reason = "text follows a closing quote".to_owned();
                return Err(FormatError::Input { line, reason });
            }
        }
    }
}

/// Reads to the closing quote; a doubled quote stands for one.
fn unquote(quoted: &str, line: u64) -> Result<(String, &str), FormatError> {
    let mut text = String::new();
    let mut rest = quoted;
    loop {
        let Some(end) = rest.find('"') else {
            let reason = "a quoted field is never closed".to_owned();
            return Err(FormatError::Input { line, reason });
        };
        let (head, tail) = rest.split_at(end);
        text.push_str(head);
        let after = tail.strip_prefix('"').unwrap_or(tail);
        match after.strip_prefix('"') {
            Some(more) => {
                text.push('"');
                rest = more;
            }
            None => return Ok((text, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_field_is_null_and_a_quoted_empty_field_is_empty() {
        let fields = split(r#"a,,"","b,""c""""#, 1).expect("splits");
        let text: Vec<_> = fields.iter().map(Option::as_deref).collect();
        assert_eq!(text, [Some("a"), None, Some(""), Some("b,\"c\"")]);
    }

    #[test]
    fn a_quote_left_open_or_text_after_a_quote_is_refused() {
        assert!(split(r#""a"#, 7).is_err());
        assert!(split(r#""a"b"#, 7).is_err());
    }
}
