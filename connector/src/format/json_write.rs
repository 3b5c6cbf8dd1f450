//! One row in, one JSON object out, with Spark's columns in Spark's order.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::columns::Columns;
use super::{Binary, FormatError};

/// Appends row `row` and a line break to `out`.
pub(super) fn write_row(
    columns: &Columns<'_>,
    row: usize,
    binary: Binary,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let not_utf8 = |column| move || columns.not_utf8(row, column);
    out.extend_from_slice(b"{\"key\":");
    bytes(columns.key(row), binary, out, not_utf8("key"))?;
    out.extend_from_slice(b",\"value\":");
    bytes(columns.value(row), binary, out, not_utf8("value"))?;
    out.extend_from_slice(b",\"topic\":");
    string(columns.topic(row), out)?;
    write!(
        out,
        ",\"partition\":{},\"offset\":{},\"timestamp\":\"",
        columns.partition(row),
        columns.offset(row)
    )?;
    timestamp(columns.timestamp(row), out)?;
    write!(out, "\",\"timestampType\":{}", columns.timestamp_type(row))?;
    if columns.has_headers() {
        out.extend_from_slice(b",\"headers\":");
        headers(columns, row, binary, out)?;
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// Appends the headers of a row as a JSON list, or null.
pub(super) fn headers(
    columns: &Columns<'_>,
    row: usize,
    binary: Binary,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let Some(list) = columns.headers(row) else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    out.push(b'[');
    for (at, (key, value)) in list.enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"key\":" } else { b",{\"key\":" });
        string(key, out)?;
        out.extend_from_slice(b",\"value\":");
        bytes(value, binary, out, || columns.not_utf8(row, "headers"))?;
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}

/// Appends ISO 8601 in UTC with milliseconds, such as `2026-01-31T08:15:00.250Z`.
///
/// A time that no calendar holds (a producer may write any 64-bit number) is printed as its milliseconds since
/// 1970: a strange timestamp must not make a record unreadable.
pub(super) fn timestamp(micros: i64, out: &mut Vec<u8>) -> Result<(), FormatError> {
    match jiff::Timestamp::from_millisecond(micros.div_euclid(1_000)) {
        Ok(time) => write!(out, "{time:.3}")?,
        Err(_) => write!(out, "{}", micros.div_euclid(1_000))?,
    }
    Ok(())
}

fn bytes(
    bytes: Option<&[u8]>,
    binary: Binary,
    out: &mut Vec<u8>,
    not_utf8: impl FnOnce() -> FormatError,
) -> Result<(), FormatError> {
    match (bytes, binary) {
        (None, _) => out.extend_from_slice(b"null"),
        (Some(bytes), Binary::Utf8) => {
            string(std::str::from_utf8(bytes).map_err(|_| not_utf8())?, out)?;
        }
        (Some(bytes), Binary::Base64) => {
            out.push(b'"');
            append_base64(bytes, out);
            out.push(b'"');
        }
    }
    Ok(())
}

/// Appends base64 without a buffer between.
pub(super) fn append_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The room is exact, so encoding can't fail; if it ever did, the text would be cut, not the process.
    let written = out.get_mut(start..).and_then(|room| STANDARD.encode_slice(bytes, room).ok());
    out.truncate(start + written.unwrap_or(0));
}

fn string(text: &str, out: &mut Vec<u8>) -> Result<(), FormatError> {
    serde_json::to_writer(&mut *out, text).map_err(|error| FormatError::Io(error.into()))
}
