//! A stream of text as a sink: rows in, a line of JSON for each out, as `klamm read` prints them.

use std::io::Write;

use arrow_schema::SchemaRef;

use super::{Batch, RowStream, Sink, SinkFuture, Written, next_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Binary, Format, RowWriter};

/// Prints the rows of every batch. One that runs again is printed again.
#[derive(Debug)]
pub struct ConsoleSink<W> {
    output: W,
    binary: Binary,
}

impl<W: Write + Send> ConsoleSink<W> {
    /// Prints to `output`, with byte strings shown as `binary` says.
    pub fn new(output: W, binary: Binary) -> Self {
        Self { output, binary }
    }

    async fn print(&mut self, mut rows: RowStream) -> Result<Written> {
        let mut writer = RowWriter::new(&mut self.output, Format::Json, self.binary);
        let mut written = Written::default();
        while let Some(rows) = next_rows(&mut rows).await {
            let rows = rows?;
            let printed = writer.write(&rows);
            printed.map_err(|e| unprinted(e).with_context("rows written", written.rows))?;
            written.rows += rows.num_rows() as u64;
        }
        Ok(written)
    }
}

impl<W: Write + Send> Sink for ConsoleSink<W> {
    fn description(&self) -> String {
        "console".to_owned()
    }

    fn check(&self, _schema: &SchemaRef) -> Result<()> {
        Ok(())
    }

    /// Errors: the first of the rows; `InvalidRow` for bytes that are no UTF-8 where they are to be; `SinkIo`.
    fn write_batch<'a>(&'a mut self, mut batch: Batch<'a>) -> SinkFuture<'a> {
        Box::pin(self.print(batch.rows()))
    }
}

/// A row that could not be printed.
pub(super) fn unprinted(error: crate::format::FormatError) -> Error {
    use crate::format::FormatError;
    let kind = match error {
        FormatError::Io(_) => ErrorKind::SinkIo,
        FormatError::Schema { .. } => ErrorKind::InvalidSchema,
        _ => ErrorKind::InvalidRow,
    };
    Error::new(kind, error.to_string()).with_source(error)
}
