//! A bounded write: rows or plain records in, how many are safe out. What Spark's `df.write.format("kafka")` does.

use std::fmt;
use std::str::FromStr;

use arrow_array::RecordBatch;
use futures_core::Stream;
use klamm_client::producer::CustomPartitioner;

use super::pool::ProducerPool;
use super::records::PlainRecord;
use super::{KafkaSink, RowStream, Written};
use crate::error::{Error, Result};
use crate::options::SinkOptions;

/// What to do where there is something already, in Spark's words. A topic takes more records and nothing else, so two of
/// them mean the same and two are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveMode {
    /// Adds the rows.
    Append,
    /// Adds the rows: that a topic exists is no error.
    #[default]
    ErrorIfExists,
    /// Refused: what a topic holds is not replaced.
    Overwrite,
    /// Refused: that a topic exists says nothing about its rows.
    Ignore,
}

impl SaveMode {
    /// # Errors
    /// `InvalidOption` for a mode that a topic does not have.
    fn check(self) -> Result<()> {
        match self {
            Self::Append | Self::ErrorIfExists => Ok(()),
            Self::Overwrite | Self::Ignore => Err(Error::option(format!(
                "Save mode {self} not allowed for Kafka. Allowed save modes are Append and ErrorIfExists (default)."
            ))),
        }
    }
}

impl fmt::Display for SaveMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Reads the names that `DataFrameWriter.mode` takes, in any case.
impl FromStr for SaveMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "append" => Ok(Self::Append),
            "error" | "errorifexists" | "default" => Ok(Self::ErrorIfExists),
            "overwrite" => Ok(Self::Overwrite),
            "ignore" => Ok(Self::Ignore),
            _ => Err(Error::option(format!(
                "Unknown save mode: {text}. Accepted save modes are 'overwrite', 'append', 'ignore', 'error', \
                 'errorifexists', 'default'."
            ))),
        }
    }
}

/// Writes all of `rows` and ends when they are safe: [`BatchWrite`] with its defaults.
///
/// # Errors
/// As [`BatchWrite::rows`]. Dropping the future leaves what was sent by then.
pub async fn batch_write(options: &SinkOptions, rows: RowStream) -> Result<Written> {
    BatchWrite::new(options).rows(rows).await
}

/// One write of rows from any Arrow stream, or of plain records, at least once.
///
/// ```no_run
/// use klamm_connector::options::SinkOptions;
/// use klamm_connector::sink::{BatchWrite, PlainRecord, SaveMode};
///
/// # async fn write(orders: tokio::sync::mpsc::Receiver<klamm_connector::Result<PlainRecord>>) -> klamm_connector::Result<()> {
/// # struct Records(tokio::sync::mpsc::Receiver<klamm_connector::Result<PlainRecord>>);
/// # impl futures_core::Stream for Records {
/// #     type Item = klamm_connector::Result<PlainRecord>;
/// #     fn poll_next(
/// #         mut self: std::pin::Pin<&mut Self>,
/// #         context: &mut std::task::Context<'_>,
/// #     ) -> std::task::Poll<Option<Self::Item>> {
/// #         self.0.poll_recv(context)
/// #     }
/// # }
/// # let orders = Records(orders);
/// let options = SinkOptions::builder()
///     .with_client("bootstrap.servers", "localhost:9092")
///     .with_topic("orders")
///     .build()?;
/// let written = BatchWrite::new(&options).with_mode(SaveMode::Append).records(orders).await?;
/// println!("{} records, {} bytes", written.rows, written.bytes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BatchWrite {
    options: SinkOptions,
    mode: SaveMode,
    partitioner: Option<CustomPartitioner>,
    pool: Option<ProducerPool>,
}

impl BatchWrite {
    /// A write with these options. `checkpointLocation` and `exactlyOnceTasks` have no effect: they are a query's.
    pub fn new(options: &SinkOptions) -> Self {
        let options = options.clone();
        Self { options, mode: SaveMode::default(), partitioner: None, pool: None }
    }

    /// What to do where there is something already. Default [`SaveMode::ErrorIfExists`], which appends.
    #[must_use]
    pub fn with_mode(self, mode: SaveMode) -> Self {
        Self { mode, ..self }
    }

    /// Who chooses the partition of rows that name none. Default as Java's clients choose: by the key, and without one a
    /// partition for a while.
    #[must_use]
    pub fn with_partitioner(self, partitioner: impl Into<CustomPartitioner>) -> Self {
        Self { partitioner: Some(partitioner.into()), ..self }
    }

    /// Where its producer comes from and goes back to. Default a pool of its own, and so a producer of its own.
    #[must_use]
    pub fn with_pool(self, pool: &ProducerPool) -> Self {
        Self { pool: Some(pool.clone()), ..self }
    }

    /// Writes all of `rows`, Arrow batches with the columns that [`validate`](super::validate) lists, and ends when they
    /// are safe. Rows are read as fast as the brokers take them, and no faster: at most `buffer.memory` of them wait.
    ///
    /// # Errors
    /// `InvalidOption`, before anything is contacted; `Client` when nobody answers; the first error of the rows;
    /// `InvalidSchema`; `InvalidRow` or `Client` with the row's number, from 1; `OutcomeUnknown` if it can't be known
    /// whether a row was written. The context says how many were. Dropping the future leaves what was sent by then.
    pub async fn rows(
        self,
        rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Result<Written> {
        self.connect().await?.write(Box::pin(rows)).await
    }

    /// Writes all of `records`, and ends when they are safe.
    ///
    /// # Errors
    /// As [`BatchWrite::rows`], but for columns. Dropping the future leaves what was sent by then.
    pub async fn records(
        self,
        records: impl Stream<Item = Result<PlainRecord>> + Send + 'static,
    ) -> Result<Written> {
        self.connect().await?.write_records(Box::pin(records)).await
    }

    async fn connect(self) -> Result<KafkaSink> {
        self.mode.check()?;
        let pool = self.pool.unwrap_or_else(|| ProducerPool::new(&self.options.producer_pool()));
        let sink = KafkaSink::connect_in(&self.options, &pool).await?;
        Ok(match self.partitioner {
            Some(partitioner) => sink.with_partitioner(partitioner),
            None => sink,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn save_modes_have_sparks_names_and_refusals() {
        let check = |text: &str| text.parse::<SaveMode>().and_then(SaveMode::check);
        for taken in ["append", "Append", "error", "errorIfExists", "default"] {
            assert!(check(taken).is_ok(), "{taken}");
        }
        assert_eq!(SaveMode::default(), SaveMode::ErrorIfExists);
        assert_eq!(
            check("overwrite").unwrap_err().message(),
            "Save mode Overwrite not allowed for Kafka. Allowed save modes are Append and ErrorIfExists (default)."
        );
        assert!(check("ignore").unwrap_err().message().starts_with("Save mode Ignore not allowed"));
        assert!(check("upsert").unwrap_err().message().starts_with("Unknown save mode: upsert."));
    }
}
