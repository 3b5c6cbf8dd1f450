//! Record batches in, Arrow rows with the source's schema out: hop 8 of a record's way.
//!
//! Keys and values are views into the batch's inflated body, which the columns then share: nothing is copied but
//! values of up to twelve bytes, which live inside their view. Topic and partition are the same for every row of a
//! decoder, so they are built once and sliced.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringViewBuilder;
use arrow_array::{
    Array as _, ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, SchemaRef};
use klamm_protocol::error::DecodeError;
use klamm_protocol::records::{Batch, RecordRef, TimestampType};

use super::headers::HeadersBuilder;
use super::views::ViewColumn;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{UTC, source_schema};

/// Turns the record batches of one topic-partition into rows.
///
/// ```
/// use klamm_connector::rows::RowDecoder;
///
/// let mut decoder = RowDecoder::new("orders", 0, false);
/// assert_eq!(decoder.rows(), 0);
/// assert_eq!(decoder.finish()?.num_columns(), 7);
/// # Ok::<(), klamm_connector::Error>(())
/// ```
#[derive(Debug)]
pub struct RowDecoder {
    schema: SchemaRef,
    topic: String,
    partition: i32,
    keys: ViewColumn,
    values: ViewColumn,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    timestamp_types: Vec<i32>,
    headers: Option<HeadersBuilder>,
    bytes: usize,
    repeated: Repeated,
}

impl RowDecoder {
    /// A decoder for the records of `partition` of `topic`.
    pub fn new(topic: &str, partition: i32, include_headers: bool) -> Self {
        Self {
            schema: source_schema(include_headers),
            topic: topic.to_owned(),
            partition,
            keys: ViewColumn::new(),
            values: ViewColumn::new(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            timestamp_types: Vec::new(),
            headers: include_headers.then(HeadersBuilder::new),
            bytes: 0,
            repeated: Repeated::default(),
        }
    }

    /// How many rows wait to be finished.
    pub fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// How many bytes of record batches the waiting rows keep alive.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the records of `batch` whose offsets lie in `range`; the others of the batch are left out.
    ///
    /// # Errors
    /// [`ErrorKind::MalformedRecord`] names the offset where decoding stopped. The decoder must not be used after it.
    pub fn push(&mut self, batch: &Batch, range: Range<i64>) -> Result<()> {
        let block = self.share(batch)?;
        let timestamp_type = match batch.header().timestamp_type() {
            // Logs of format 0 have no timestamps.
            _ if batch.header().magic == 0 => -1,
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => 1,
        };
        self.reserve(batch);
        for record in batch.records() {
            let record = record.map_err(|error| self.malformed(batch, error))?;
            if record.offset() < range.start {
                continue;
            }
            if record.offset() >= range.end {
                break;
            }
            self.push_record(&record, block)?;
        }
        self.timestamp_types.resize(self.offsets.len(), timestamp_type);
        Ok(())
    }

    /// The rows so far; the decoder is empty again.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if Arrow refuses the columns, which would be a mistake in here.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let rows = self.offsets.len();
        self.bytes = 0;
        let (topic, partition) = self.repeated.columns(&self.topic, self.partition, rows);
        let timestamps = TimestampMicrosecondArray::from(std::mem::take(&mut self.timestamps));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish().map_err(internal)?),
            Arc::new(self.values.finish().map_err(internal)?),
            topic,
            partition,
            Arc::new(Int64Array::from(std::mem::take(&mut self.offsets))),
            Arc::new(timestamps.with_timezone(UTC)),
            Arc::new(Int32Array::from(std::mem::take(&mut self.timestamp_types))),
        ];
        if let Some(headers) = &mut self.headers {
            columns.push(headers.finish().map_err(internal)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)
    }

    #[inline]
    fn push_record(&mut self, record: &RecordRef<'_>, block: u32) -> Result<()> {
        self.keys.push(block, record.key().zip(record.key_range()));
        self.values.push(block, record.value().zip(record.value_range()));
        let micros = record.timestamp().checked_mul(1_000);
        self.timestamps.push(micros.ok_or_else(|| self.no_such_time(record))?);
        self.offsets.push(record.offset());
        if let Some(headers) = &mut self.headers {
            headers.push(record).map_err(|error| {
                Error::new(ErrorKind::MalformedRecord, "the headers of a record can't be read")
                    .with_context("topic", &self.topic)
                    .with_context("partition", self.partition)
                    .with_context("offset", record.offset())
                    .with_source(error)
            })?;
        }
        Ok(())
    }

    /// Lets both columns share the batch's body; the number by which views name it.
    fn share(&mut self, batch: &Batch) -> Result<u32> {
        let body = Buffer::from(batch.body().clone());
        if u32::try_from(body.len()).is_err() {
            let text = "a record batch of 4 GiB can't be shared by views";
            return Err(Error::new(ErrorKind::MalformedRecord, text));
        }
        self.bytes += body.len();
        self.keys.share(body.clone());
        Ok(self.values.share(body))
    }

    /// Makes room for the batch's records: as many as its bytes can hold, whatever its header claims.
    fn reserve(&mut self, batch: &Batch) {
        let most = batch.records().size_hint().1.unwrap_or_default().min(RESERVE_AHEAD);
        self.keys.reserve(most);
        self.values.reserve(most);
        self.offsets.reserve(most);
        self.timestamps.reserve(most);
    }

    #[cold]
    fn malformed(&self, batch: &Batch, error: DecodeError) -> Error {
        Error::new(ErrorKind::MalformedRecord, "a record batch can't be read")
            .with_context("topic", &self.topic)
            .with_context("partition", self.partition)
            .with_context("batch at offset", batch.header().base_offset)
            .with_source(error)
    }

    #[cold]
    fn no_such_time(&self, record: &RecordRef<'_>) -> Error {
        Error::new(ErrorKind::MalformedRecord, "the timestamp of a record has no microseconds")
            .with_condition("KAFKA_MALFORMED_RECORD_TIMESTAMP")
            .with_context("topic", &self.topic)
            .with_context("partition", self.partition)
            .with_context("offset", record.offset())
            .with_context("timestamp", record.timestamp())
    }
}

/// The columns that hold one value in every row, as long as they were ever needed.
#[derive(Debug, Default)]
struct Repeated(Option<(ArrayRef, ArrayRef)>);

impl Repeated {
    fn columns(&mut self, topic: &str, partition: i32, rows: usize) -> (ArrayRef, ArrayRef) {
        let long_enough = self.0.take().filter(|(topics, _)| topics.len() >= rows);
        let (topics, partitions) = long_enough.unwrap_or_else(|| {
            let rows = rows.next_power_of_two();
            let mut topics = StringViewBuilder::with_capacity(rows).with_deduplicate_strings();
            (0..rows).for_each(|_| topics.append_value(topic));
            (Arc::new(topics.finish()), Arc::new(Int32Array::from_value(partition, rows)))
        });
        let columns = (topics.slice(0, rows), partitions.slice(0, rows));
        self.0 = Some((topics, partitions));
        columns
    }
}

#[cold]
fn internal(error: ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "Arrow refused the decoded columns").with_source(error)
}

/// The most rows that one batch makes room for ahead of reading them.
const RESERVE_AHEAD: usize = 1 << 16;
