//! Where rows come from: what a query needs of a source, and Kafka as one.
//!
//! Offsets are asked for, ranges are planned from them by the pure functions of [`crate::offsets`], and a range is
//! read as a stream of Arrow batches.

mod batch;
mod feed;
mod group;
mod lookup;
mod micro_batch;
pub mod pool;
mod reader;
pub(crate) mod stream;

use std::future::Future;

use arrow_schema::SchemaRef;

use crate::error::Result;
use crate::offsets::range::OffsetRange;
use crate::offsets::{PartitionOffsets, TopicPartition};
use crate::options::SourceOptions;
use crate::sink::RowStream;

pub use batch::{BatchRead, batch_read};
pub use micro_batch::KafkaSource;
pub use reader::ReadOrder;

/// A source of micro-batches. The query decides which ranges make a batch; the source only knows offsets and rows.
///
/// Dropping any of the futures leaves the source as it was.
pub trait StreamSource: Send {
    /// The options that it was made from.
    fn options(&self) -> &SourceOptions;

    /// What progress shows, such as `KafkaV2[Subscribe[orders]]`.
    fn description(&self) -> String;

    /// The schema of the rows.
    fn schema(&self) -> SchemaRef;

    /// Where a new query starts, in every partition that there is.
    fn initial(&mut self) -> impl Future<Output = Result<PartitionOffsets>> + Send;

    /// Where every partition ends now. `known` is where the query stands: an end below it is asked for again, since a
    /// broker that lags behind may have answered.
    fn latest(
        &mut self,
        known: &PartitionOffsets,
    ) -> impl Future<Output = Result<PartitionOffsets>> + Send;

    /// The first offsets of these partitions, without those that no longer exist.
    fn earliest(
        &mut self,
        partitions: Vec<TopicPartition>,
    ) -> impl Future<Output = Result<PartitionOffsets>> + Send;

    /// The rows of these ranges. Reading begins when the stream is polled.
    fn read(&mut self, ranges: Vec<OffsetRange>) -> RowStream;
}
