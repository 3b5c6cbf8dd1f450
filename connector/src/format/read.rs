//! Text in, record batches with the sink's columns out.

use std::io::{BufRead, Read as _};

use arrow_array::RecordBatch;

use super::csv_read::{CsvColumns, is_open};
use super::ingest::{Ingest, TextRow};
use super::{Binary, Format, FormatError, json_read};

/// Reads rows from text, a batch at a time.
///
/// Every batch has the columns `key`, `value`, `headers`, `topic` and `partition`, all nullable. Empty lines are
/// skipped in JSON and CSV; in [`Format::Raw`] an empty line is an empty value.
#[derive(Debug)]
pub struct RowReader<R> {
    input: R,
    format: Format,
    rows: Ingest,
    columns: Option<CsvColumns>,
    line: u64,
    buffer: Vec<u8>,
    failed: Option<FormatError>,
}

impl<R: BufRead> RowReader<R> {
    /// Reads `format` from `input`, with byte strings written as `binary` says.
    pub fn new(input: R, format: Format, binary: Binary) -> Self {
        Self {
            input,
            format,
            rows: Ingest::new(binary),
            columns: None,
            line: 0,
            buffer: Vec::new(),
            failed: None,
        }
    }

    /// The next rows: at most `max_rows`, and about 4 MiB; `None` at the end of the input.
    ///
    /// # Errors
    /// [`FormatError::Input`] names the line. The rows before it are handed out first, so that nothing that could
    /// be read is lost.
    pub fn next_batch(&mut self, max_rows: usize) -> Result<Option<RecordBatch>, FormatError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while self.rows.rows() < max_rows.max(1) && self.rows.bytes() < BATCH_BYTES {
            match self.read_row() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if self.rows.rows() == 0 => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        if self.rows.rows() == 0 { Ok(None) } else { Ok(Some(self.rows.take()?)) }
    }

    /// Reads one row; `false` at the end of the input.
    fn read_row(&mut self) -> Result<bool, FormatError> {
        loop {
            if !self.read_line()? {
                return Ok(false);
            }
            match self.format {
                Format::Raw => self.push_raw()?,
                _ if self.buffer.iter().all(u8::is_ascii_whitespace) => continue,
                Format::Json => json_read::read_row(&mut self.rows, &self.buffer, self.line)?,
                Format::Csv => {
                    let record = self.csv_record()?;
                    let Some(columns) = &self.columns else {
                        self.columns = Some(CsvColumns::parse(&record)?);
                        continue;
                    };
                    columns.read_row(&mut self.rows, &record, self.line)?;
                }
            }
            return Ok(true);
        }
    }

    fn push_raw(&mut self) -> Result<(), FormatError> {
        let value = text(&self.buffer, self.line)?;
        self.rows.push(&TextRow { value: Some(value), ..TextRow::default() }, false, self.line)
    }

    /// The record that starts with the line just read; a quoted field may hold line breaks.
    fn csv_record(&mut self) -> Result<String, FormatError> {
        let mut record = text(&self.buffer, self.line)?.to_owned();
        while is_open(&record) {
            if record.len() > MAX_LINE || !self.read_line()? {
                let reason = "a quoted field is never closed".to_owned();
                return Err(FormatError::Input { line: self.line, reason });
            }
            record.push('\n');
            record.push_str(text(&self.buffer, self.line)?);
        }
        Ok(record)
    }

    /// Reads one line without its line break into the buffer; `false` at the end.
    fn read_line(&mut self) -> Result<bool, FormatError> {
        self.buffer.clear();
        let limit = MAX_LINE as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut self.buffer)?;
        if read == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        } else if read as u64 == limit {
            let reason = format!("longer than {MAX_LINE} bytes");
            return Err(FormatError::Input { line: self.line, reason });
        }
        Ok(true)
    }
}

fn text(bytes: &[u8], line: u64) -> Result<&str, FormatError> {
    let reason = || "not UTF-8".to_owned();
    std::str::from_utf8(bytes).map_err(|_| FormatError::Input { line, reason: reason() })
}

/// About how much text one batch holds, in bytes.
pub(super) const BATCH_BYTES: usize = 4 << 20;

/// The longest line, in bytes: far above what a broker takes, so only a wrong file meets it.
const MAX_LINE: usize = 256 << 20;
