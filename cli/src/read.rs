//! `klamm read`: source options in, rows on stdout.

use std::io::{self, BufWriter, ErrorKind, Write as _};

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use klamm_connector::format::{self, FormatError, RowWriter};
use klamm_connector::options::ReadMode;
use klamm_connector::sink::next_rows;
use klamm_connector::source::{BatchRead, ReadOrder};

use crate::args::{Binary, Format, ReadArgs};
use crate::failure::Failure;
use crate::output::print_line;
use crate::pairs;

pub(crate) async fn run(args: ReadArgs) -> Result<(), Failure> {
    let options = pairs::source(Vec::new(), &args.cluster, args.topic.as_deref(), ReadMode::Batch)?;
    let read = BatchRead::plan(options).await?;
    // Counting needs no order, and limiting a defined one.
    let order = if args.count { ReadOrder::AsTheyCome } else { ReadOrder::ByPartition };
    let mut rows = read.rows(order);
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut out = if args.count { Output::Count(0) } else { Output::new(&args, &read.schema())? };
    // Without a row there are columns still.
    if !out.write(&RecordBatch::new_empty(read.schema()))? {
        return Ok(());
    }
    while left > 0 {
        let Some(batch) = next_rows(&mut rows).await else { break };
        let batch = batch?;
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(batch.num_rows());
        left -= wanted as u64;
        if !out.write(&batch.slice(0, wanted))? {
            return Ok(());
        }
    }
    out.finish()
}

/// Where rows go.
enum Output {
    Count(u64),
    Text(Box<RowWriter<io::Stdout>>),
    Arrow(Box<StreamWriter<BufWriter<io::Stdout>>>),
}

impl Output {
    fn new(args: &ReadArgs, schema: &SchemaRef) -> Result<Self, Failure> {
        let format = match args.format {
            Format::Json => format::Format::Json,
            Format::Raw => format::Format::Raw,
            Format::Csv => format::Format::Csv,
            Format::Arrow => {
                let out = BufWriter::new(io::stdout());
                let writer = StreamWriter::try_new(out, schema).map_err(FormatError::from)?;
                return Ok(Self::Arrow(Box::new(writer)));
            }
        };
        Ok(Self::Text(Box::new(RowWriter::new(io::stdout(), format, binary(args.binary)))))
    }

    /// Writes rows; `false` when whoever reads stdout has gone away, as `head` does.
    fn write(&mut self, rows: &RecordBatch) -> Result<bool, Failure> {
        let written = match self {
            Self::Count(count) => {
                *count += rows.num_rows() as u64;
                Ok(())
            }
            Self::Text(writer) => writer.write(rows),
            Self::Arrow(writer) => writer.write(rows).map_err(FormatError::from),
        };
        is_read(written)
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Count(count) => print_line(&count.to_string()),
            Self::Text(_) => Ok(()),
            Self::Arrow(mut writer) => {
                let finished = writer.finish().map_err(FormatError::from);
                is_read(finished.and_then(|()| Ok(writer.get_mut().flush()?))).map(drop)
            }
        }
    }
}

/// Whether there is still somebody who reads stdout.
fn is_read(written: Result<(), FormatError>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(FormatError::Io(error) | FormatError::Arrow(ArrowError::IoError(_, error)))
            if error.kind() == ErrorKind::BrokenPipe =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn binary(binary: Binary) -> format::Binary {
    match binary {
        Binary::Utf8 => format::Binary::Utf8,
        Binary::Base64 => format::Binary::Base64,
    }
}
