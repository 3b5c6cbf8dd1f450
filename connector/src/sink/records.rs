//! Records as plain values, for who wants no Arrow. In: key, value, headers and where they go; out: rows as the
//! sink sees them, borrowed.

use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::error::Result;
use crate::rows::{Row, RowHeaders, negative_partition, null_topic};

/// One record to be written: the sink's columns without a table.
///
/// ```
/// use klamm_connector::sink::PlainRecord;
///
/// let record = PlainRecord::of("paid").with_key("order-7").with_header("trace", "4711");
/// assert_eq!(record.key.as_deref(), Some(&b"order-7"[..]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainRecord {
    /// Where it goes, unless the option `topic` says so for all.
    pub topic: Option<String>,
    /// Its partition; `None` leaves that to the partitioner.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None` for the time of writing.
    pub timestamp: Option<i64>,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value; null is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, written in this order; a name may come twice.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Records on their way, ended by the first error.
pub(super) type RecordStream = Pin<Box<dyn Stream<Item = Result<PlainRecord>> + Send>>;

impl PlainRecord {
    /// A record with this value and nothing else.
    pub fn of(value: impl Into<Bytes>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// The same with a key.
    #[must_use]
    pub fn with_key(self, key: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same for a topic of its own.
    #[must_use]
    pub fn with_topic(self, topic: impl Into<String>) -> Self {
        Self { topic: Some(topic.into()), ..self }
    }

    /// The same for a partition, counted from 0.
    #[must_use]
    pub fn with_partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// The same with a time in milliseconds since 1970.
    #[must_use]
    pub fn with_timestamp(self, timestamp: i64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), Some(value.into())));
        self
    }

    /// As the sink sees a row; `topic`, where it is given, is stronger than its own.
    ///
    /// # Errors
    /// `InvalidRow` for a record without a topic, or for a negative partition.
    pub(super) fn row<'a>(&'a self, topic: Option<&'a str>) -> Result<Row<'a>> {
        if let Some(negative) = self.partition.filter(|partition| *partition < 0) {
            return Err(negative_partition(negative));
        }
        Ok(Row {
            topic: topic.or(self.topic.as_deref()).ok_or_else(null_topic)?,
            partition: self.partition,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: RowHeaders::plain(&self.headers),
        })
    }
}
