//! Rows as text: record batches in, JSON lines, CSV or raw values out, and back.
//!
//! Bytes are shown as UTF-8 or as base64, and never as anything else: a byte string that is not UTF-8 is an error
//! that names its record, since a replacement character would be silent corruption.

mod columns;
mod csv_read;
mod csv_write;
mod ingest;
mod json_read;
mod json_write;
mod read;
mod write;

pub use read::RowReader;
pub use write::RowWriter;

/// The text formats.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// A value a line, nothing else.
    Raw,
    /// RFC 4180 with a header line; an empty field is null, a quoted empty field is empty.
    Csv,
}

/// How byte strings look inside JSON and CSV.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Binary {
    /// As text. Bytes that are not UTF-8 are an error.
    #[default]
    Utf8,
    /// As base64 with padding, which is what Spark's `to_json` prints.
    Base64,
}

/// Why rows could not be read from text, or printed as text.
#[derive(Debug)]
#[non_exhaustive]
pub enum FormatError {
    /// A line of the input is not a row.
    Input {
        /// The line, counted from 1; of a record over several lines the last one.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A key, value or header is not UTF-8, and UTF-8 was asked for.
    NotUtf8 {
        /// The topic of the record.
        topic: String,
        /// The partition of the record.
        partition: i32,
        /// The offset of the record.
        offset: i64,
        /// The column: `key`, `value` or `headers`.
        column: &'static str,
    },
    /// The batch doesn't have the source's columns.
    Schema {
        /// The column that is missing or has another type.
        column: &'static str,
    },
    /// Arrow refused to build the batch.
    Arrow(arrow_schema::ArrowError),
    /// The input could not be read, or the output not written.
    Io(std::io::Error),
}

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input { line, reason } => write!(f, "line {line} of the input: {reason}"),
            Self::NotUtf8 { topic, partition, offset, column } => write!(
                f,
                "the {column} of the record at {topic}-{partition} offset {offset} is not UTF-8; \
                 print it with --binary base64 (Binary::Base64)"
            ),
            Self::Schema { column } => {
                write!(f, "the batch has no column {column} of the source's type")
            }
            Self::Arrow(error) => write!(f, "the rows make no Arrow batch: {error}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for FormatError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arrow(error) => Some(error),
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<std::io::Error> for FormatError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<arrow_schema::ArrowError> for FormatError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Arrow(error)
    }
}

#[cfg(test)]
mod tests;
