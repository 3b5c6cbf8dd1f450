//! One row in, one CSV record out: an empty field is null, a quoted empty field is empty.

use std::io::Write as _;

use super::columns::Columns;
use super::json_write::{append_base64, headers, timestamp};
use super::{Binary, FormatError};

/// Appends the line that names the columns.
pub(super) fn write_header(columns: &Columns<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"key,value,topic,partition,offset,timestamp,timestampType");
    out.extend_from_slice(if columns.has_headers() { b",headers\n" } else { b"\n" });
}

/// Appends row `row` and a line break to `out`.
pub(super) fn write_row(
    columns: &Columns<'_>,
    row: usize,
    binary: Binary,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    field(columns.key(row), binary, out, || columns.not_utf8(row, "key"))?;
    out.push(b',');
    field(columns.value(row), binary, out, || columns.not_utf8(row, "value"))?;
    out.push(b',');
    quoted(columns.topic(row), out);
    write!(out, ",{},{},", columns.partition(row), columns.offset(row))?;
    timestamp(columns.timestamp(row), out)?;
    write!(out, ",{}", columns.timestamp_type(row))?;
    if columns.has_headers() {
        out.push(b',');
        if columns.headers(row).is_some() {
            let mut json = Vec::new();
            headers(columns, row, binary, &mut json)?;
            quoted(&String::from_utf8_lossy(&json), out);
        }
    }
    out.push(b'\n');
    Ok(())
}

fn field(
    bytes: Option<&[u8]>,
    binary: Binary,
    out: &mut Vec<u8>,
    not_utf8: impl FnOnce() -> FormatError,
) -> Result<(), FormatError> {
    match (bytes, binary) {
        (None, _) => {}
        (Some([]), _) => out.extend_from_slice(b"\"\""),
        (Some(bytes), Binary::Utf8) => {
            quoted(std::str::from_utf8(bytes).map_err(|_| not_utf8())?, out);
        }
        (Some(bytes), Binary::Base64) => append_base64(bytes, out),
    }
    Ok(())
}

/// Appends text, quoted where a comma, a quote, a line break or space at an end asks for it.
fn quoted(text: &str, out: &mut Vec<u8>) {
    let special = |byte: u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !text.is_empty() && text.trim().len() == text.len() && !text.bytes().any(special) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}
