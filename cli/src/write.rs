//! `klamm write`: rows from a file or from stdin in, records in Kafka out, and one line that says how many.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use futures_core::Stream;
use indicatif::{HumanBytes, HumanCount};
use klamm_connector::format::{self, RowReader};
use klamm_connector::sink::batch_write;
use klamm_connector::{Error, ErrorKind, Result};
use tokio::sync::mpsc;

use crate::args::{Format, WriteArgs};
use crate::failure::Failure;
use crate::output::say;
use crate::pairs;
use crate::read::binary;

pub(crate) async fn run(args: WriteArgs) -> std::result::Result<(), Failure> {
    let bootstrap = args.bootstrap.as_deref();
    let options = pairs::sink(Vec::new(), bootstrap, args.topic.as_deref(), &args.sink_options)?;
    let input = open(&args)?;
    let started = Instant::now();
    let (sender, rows) = mpsc::channel(QUEUE);
    // Reading a file or a pipe blocks, so it has a thread of its own. It ends when the receiver is gone.
    let reader = std::thread::spawn(move || feed(input, &args, &sender));
    let written = batch_write(&options, Box::pin(Rows(rows))).await?;
    let seconds = started.elapsed().as_secs_f64();
    let (rows, bytes) = (HumanCount(written.rows), HumanBytes(written.bytes));
    say(&format!("{rows} rows, {bytes}, {seconds:.2} s"));
    // The stream ended, so the thread has nothing left to do; a panic in it must not look like an end.
    reader.join().map_err(|_| Failure::failed("reading the input panicked"))
}

fn open(args: &WriteArgs) -> std::result::Result<Box<dyn BufRead + Send>, Failure> {
    match args.file.as_deref() {
        Some(path) if path.as_os_str() != "-" => {
            let file = File::open(path).map_err(|error| {
                Failure::usage(format!("{} can't be read: {error}", path.display())).because(error)
            })?;
            Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
        }
        _ => Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin()))),
    }
}

/// Reads the input to its end, to its first error, or until nobody wants more.
fn feed(
    input: Box<dyn BufRead + Send>,
    args: &WriteArgs,
    sender: &mpsc::Sender<Result<RecordBatch>>,
) {
    let format = match args.format {
        Format::Json => format::Format::Json,
        Format::Raw => format::Format::Raw,
        Format::Csv => format::Format::Csv,
        Format::Arrow => return feed_arrow(input, sender),
    };
    let mut reader = RowReader::new(input, format, binary(args.binary));
    while let Some(batch) = reader.next_batch(BATCH_ROWS).transpose() {
        let batch = batch.map_err(|error| {
            Error::new(ErrorKind::InvalidRow, error.to_string()).with_source(error)
        });
        if sender.blocking_send(batch).is_err() {
            return;
        }
    }
}

fn feed_arrow(input: Box<dyn BufRead + Send>, sender: &mpsc::Sender<Result<RecordBatch>>) {
    let bad = |error: arrow_schema::ArrowError| {
        let text = format!("the input is no Arrow stream: {error}");
        Error::new(ErrorKind::InvalidRow, text).with_source(error)
    };
    match StreamReader::try_new(input, None) {
        Ok(mut reader) => {
            let mut batches = reader.by_ref().map(|batch| batch.map_err(bad));
            // The first send that fails says that nobody wants more.
            let _ = batches.try_for_each(|batch| sender.blocking_send(batch));
        }
        Err(error) => drop(sender.blocking_send(Err(bad(error)))),
    }
}

/// The receiving end as a stream.
struct Rows(mpsc::Receiver<Result<RecordBatch>>);

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// How many batches may wait between the file and the sink.
const QUEUE: usize = 2;

/// The most rows of a batch: few enough that the first are on their way while the next are read.
const BATCH_ROWS: usize = 8_192;

/// How much of the input is read at once, in bytes.
const BUFFER: usize = 256 << 10;
