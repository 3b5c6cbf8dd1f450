//! Arrow rows with the sink's columns in, borrowed records out: hop 10 of a record's way. Nothing is copied here;
//! the producer copies each record once, into its batch.
//!
//! | column | type | absent or null |
//! |---|---|---|
//! | `value` | string or binary | must be there; null is a tombstone |
//! | `key` | string or binary | no key |
//! | `topic` | string | must be there where no topic is given; null fails the row |
//! | `partition` | int | the partitioner chooses |
//! | `headers` | list of (key string, value binary) | no headers |
//! | `timestamp` | timestamp | the time of writing |
//!
//! `timestamp` goes beyond Spark's sink, which ignores it: a copied record keeps its time.

use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{Array, Int32Array, ListArray, RecordBatch};
use bytes::Bytes;
use klamm_protocol::records::RecordParts;

use super::columns::{BytesColumn, TextColumn, TimeColumn};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{HEADERS, KEY, PARTITION, TIMESTAMP, TOPIC, VALUE};

/// The rows of one batch, as the sink sees them.
#[derive(Debug)]
pub struct RowSource<'a> {
    rows: usize,
    topic: TopicColumn<'a>,
    key: BytesColumn<'a>,
    value: BytesColumn<'a>,
    partition: Option<&'a Int32Array>,
    headers: Option<HeadersColumn<'a>>,
    timestamp: Option<TimeColumn<'a>>,
}

/// One record to be written.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Where it goes.
    pub topic: &'a str,
    /// Its partition, or `None` to leave that to the partitioner.
    pub partition: Option<i32>,
    /// Milliseconds since 1970, or `None` for the time of writing.
    pub timestamp: Option<i64>,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: RowHeaders<'a>,
}

impl<'a> RowSource<'a> {
    /// The rows of `batch`; `topic`, where it is given, overrides the column.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSchema`] if a column is missing or has a type that the sink does not take.
    pub fn new(batch: &'a RecordBatch, topic: Option<&'a str>) -> Result<Self> {
        let column = |name| batch.column_by_name(name).map(AsRef::as_ref);
        let topic = match (topic, column(TOPIC)) {
            (Some(topic), _) => TopicColumn::Fixed(topic),
            (None, Some(array)) => {
                TopicColumn::ByRow(TextColumn::of(array).ok_or_else(|| unfit(TOPIC, array))?)
            }
            (None, None) => return Err(missing(TOPIC)),
        };
        let bytes = |name| match column(name) {
            Some(array) => BytesColumn::of(array).ok_or_else(|| unfit(name, array)).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            rows: batch.num_rows(),
            topic,
            key: bytes(KEY)?.unwrap_or(BytesColumn::Null),
            value: bytes(VALUE)?.ok_or_else(|| missing(VALUE))?,
            partition: column(PARTITION).map(partitions).transpose()?.flatten(),
            headers: column(HEADERS).map(HeadersColumn::of).transpose()?.flatten(),
            timestamp: column(TIMESTAMP).and_then(TimeColumn::of),
        })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Row `row`, counted from 0; the caller stays below [`RowSource::len`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRow`] for a null topic, a negative partition or a null header key.
    #[inline]
    pub fn row(&self, row: usize) -> Result<Row<'a>> {
        let topic = match self.topic {
            TopicColumn::Fixed(topic) => topic,
            TopicColumn::ByRow(column) => column.get(row).ok_or_else(null_topic)?,
        };
        let partition = self.partition.and_then(|p| p.is_valid(row).then(|| p.value(row)));
        if let Some(negative) = partition.filter(|partition| *partition < 0) {
            return Err(negative_partition(negative));
        }
        Ok(Row {
            topic,
            partition,
            timestamp: self.timestamp.and_then(|column| column.get(row)),
            key: self.key.get(row),
            value: self.value.get(row),
            headers: match &self.headers {
                Some(column) => column.row(row)?,
                None => RowHeaders::none(),
            },
        })
    }
}

impl<'a> Row<'a> {
    /// The record as a producer takes it; `now`, in milliseconds since 1970, where the row has no time of its own.
    #[inline]
    pub fn parts(&self, now: i64) -> RecordParts<'a, RowHeaders<'a>> {
        let timestamp = self.timestamp.unwrap_or(now);
        RecordParts { timestamp, key: self.key, value: self.value, headers: self.headers.clone() }
    }
}

/// The headers of one row.
#[derive(Clone, Debug)]
pub struct RowHeaders<'a>(Headers<'a>);

#[derive(Clone, Debug)]
enum Headers<'a> {
    /// Some of all headers of a batch.
    Columns(TextColumn<'a>, BytesColumn<'a>, Range<usize>),
    /// Those of a record that is in no batch.
    Plain(std::slice::Iter<'a, (String, Option<Bytes>)>),
}

impl<'a> RowHeaders<'a> {
    fn none() -> Self {
        Self::plain(&[])
    }

    /// Headers that are in no batch.
    pub(crate) fn plain(headers: &'a [(String, Option<Bytes>)]) -> Self {
        Self(Headers::Plain(headers.iter()))
    }
}

impl<'a> Iterator for RowHeaders<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Headers::Columns(keys, values, range) => {
                let at = range.next()?;
                Some((keys.get(at)?, values.get(at)))
            }
            Headers::Plain(headers) => {
                headers.next().map(|(key, value)| (key.as_str(), value.as_deref()))
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum TopicColumn<'a> {
    Fixed(&'a str),
    ByRow(TextColumn<'a>),
}

#[derive(Clone, Copy, Debug)]
struct HeadersColumn<'a> {
    list: &'a ListArray,
    items: &'a dyn Array,
    keys: TextColumn<'a>,
    values: BytesColumn<'a>,
    /// Whether a header or its key may be null, which is looked at row by row only then.
    may_be_null: bool,
}

impl<'a> HeadersColumn<'a> {
    fn of(array: &'a dyn Array) -> Result<Option<Self>> {
        if array.null_count() == array.len() {
            return Ok(None);
        }
        let typed = array.as_list_opt::<i32>().and_then(|list| {
            let item = list.values().as_struct_opt()?;
            let (keys, values) = (item.column_by_name(KEY)?, item.column_by_name(VALUE)?);
            Some(Self {
                list,
                items: list.values().as_ref(),
                keys: TextColumn::of(keys.as_ref())?,
                values: BytesColumn::of(values.as_ref())?,
                may_be_null: item.null_count() > 0 || keys.null_count() > 0,
            })
        });
        typed.map(Some).ok_or_else(|| unfit(HEADERS, array))
    }

    fn row(&self, row: usize) -> Result<RowHeaders<'a>> {
        if self.list.is_null(row) {
            return Ok(RowHeaders::none());
        }
        let offsets = self.list.value_offsets();
        let at = |row: usize| offsets.get(row).map_or(0, |at| (*at).max(0) as usize);
        let range = at(row)..at(row + 1);
        let null = |at: usize| self.items.is_null(at) || self.keys.get(at).is_none();
        if self.may_be_null && range.clone().any(null) {
            let text = "a header has no key; Kafka's header keys are never null";
            return Err(Error::new(ErrorKind::InvalidRow, text));
        }
        Ok(RowHeaders(Headers::Columns(self.keys, self.values, range)))
    }
}

fn partitions(array: &dyn Array) -> Result<Option<&Int32Array>> {
    if array.null_count() == array.len() {
        return Ok(None);
    }
    array.as_primitive_opt::<Int32Type>().map(Some).ok_or_else(|| unfit(PARTITION, array))
}

#[cold]
fn missing(name: &'static str) -> Error {
    Error::new(ErrorKind::InvalidSchema, format!("the rows have no column {name}"))
}

#[cold]
fn unfit(name: &'static str, array: &dyn Array) -> Error {
    let text = format!("the sink can't write a column {name} of type {}", array.data_type());
    Error::new(ErrorKind::InvalidSchema, text)
}

#[cold]
pub(crate) fn null_topic() -> Error {
    let text = "null topic present in the data. Use the topic option for setting a default topic.";
    Error::new(ErrorKind::InvalidRow, text).with_condition("KAFKA_NULL_TOPIC_IN_DATA")
}

#[cold]
pub(crate) fn negative_partition(partition: i32) -> Error {
    let text = format!(
        "Invalid partition: {partition}. Partition number should always be non-negative or null."
    );
    Error::new(ErrorKind::InvalidRow, text)
}
