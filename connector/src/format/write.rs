//! Record batches with the source's columns in, text out.

use std::io::Write;

use arrow_array::RecordBatch;

use super::columns::Columns;
use super::{Binary, Format, FormatError, csv_write, json_write};

/// Prints batches as text into `W`, which need not be buffered.
#[derive(Debug)]
pub struct RowWriter<W> {
    output: W,
    format: Format,
    binary: Binary,
    started: bool,
    buffer: Vec<u8>,
}

impl<W: Write> RowWriter<W> {
    /// Prints `format` to `output`, with byte strings shown as `binary` says.
    pub fn new(output: W, format: Format, binary: Binary) -> Self {
        Self { output, format, binary, started: false, buffer: Vec::new() }
    }

    /// Prints every row of `batch`, which has the source's schema.
    ///
    /// # Errors
    /// [`FormatError::NotUtf8`] names the record; the rows before it have been printed.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), FormatError> {
        let columns = Columns::of(batch)?;
        if !std::mem::replace(&mut self.started, true) && self.format == Format::Csv {
            csv_write::write_header(&columns, &mut self.buffer);
        }
        for row in 0..batch.num_rows() {
            let whole = self.buffer.len();
            if let Err(error) = self.write_row(&columns, row) {
                self.buffer.truncate(whole);
                self.flush()?;
                return Err(error);
            }
            if self.buffer.len() >= FLUSH_AT {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn write_row(&mut self, columns: &Columns<'_>, row: usize) -> Result<(), FormatError> {
        let out = &mut self.buffer;
        match self.format {
            Format::Json => json_write::write_row(columns, row, self.binary, out),
            Format::Csv => csv_write::write_row(columns, row, self.binary, out),
            Format::Raw => {
                out.extend_from_slice(columns.value(row).unwrap_or_default());
                out.push(b'\n');
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<(), FormatError> {
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(self.output.flush()?)
    }
}

/// How much text is gathered before it is written, in bytes.
const FLUSH_AT: usize = 256 << 10;
