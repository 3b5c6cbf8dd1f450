//! One bounded read: options in, a plan of ranges, and their rows.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use klamm_client::Client;

use super::feed::Warm;
use super::group::executor_group;
use super::lookup::{Lookup, Side, check_order};
use super::pool::Pools;
use super::reader::{ReadOrder, RowReader};
use super::stream;
use crate::error::Result;
use crate::offsets::range::{OffsetRange, between};
use crate::options::SourceOptions;
use crate::schema::source_schema;
use crate::sink::RowStream;
use crate::tokens::connect;

/// A planned read. Plain ranges, so it can be read more than once; where a limit is earliest or latest, each reading
/// finds it anew.
#[derive(Clone, Debug)]
pub struct BatchRead {
    client: Client,
    options: Arc<SourceOptions>,
    ranges: Vec<OffsetRange>,
    warm: Warm,
}

/// Reads what `options` ask for: plans at once, contacts the partitions' leaders when the stream is polled.
///
/// # Errors
/// As [`BatchRead::plan`]; the stream gives the errors of reading. Dropping the future leaves nothing behind.
pub async fn batch_read(options: SourceOptions, order: ReadOrder) -> Result<RowStream> {
    Ok(BatchRead::plan(options).await?.rows(order))
}

impl BatchRead {
    /// Connects and finds the ranges, cut as `minPartitions` and `maxRecordsPerPartition` say.
    ///
    /// # Errors
    /// `InvalidOption` for an option of the client, before anything is contacted; `InvalidOffsets` when the limits
    /// don't fit the partitions or each other; `Client` when a topic does not exist or nobody answers.
    pub async fn plan(options: SourceOptions) -> Result<Self> {
        let client = connect(options.client(), options.tokens()).await?;
        Self::plan_on(client, options).await
    }

    /// As [`BatchRead::plan`], with a client that is connected already.
    pub async fn plan_on(client: Client, options: SourceOptions) -> Result<Self> {
        for warning in options.warnings() {
            tracing::warn!("{warning}");
        }
        let options = Arc::new(options);
        let lookup = Lookup::new(client.clone(), Arc::clone(&options));
        let partitions = lookup.partitions().await?;
        let start = lookup.limit(options.starting(), &partitions, Side::Start).await?;
        let end = lookup.limit(options.ending(), &partitions, Side::End).await?;
        let mut ranges = between(&start, &end)?;
        check_order(&start, &end)?;
        if options.split().cuts_unresolved(&ranges) {
            let (start, end) = (lookup.bound(&start).await?, lookup.bound(&end).await?);
            check_order(&start, &end)?;
            ranges = options.split().split_late_bound(&ranges, between(&start, &end)?)?;
        }
        let warm = Warm { group: executor_group(&options), pools: Pools::new(&options.pools()) };
        Ok(Self { client, options, ranges, warm })
    }

    /// The ranges, in the order of their partitions. A start may be -2 for the earliest offset, an end -1 for the
    /// latest.
    pub fn ranges(&self) -> &[OffsetRange] {
        &self.ranges
    }

    /// The schema of the rows.
    pub fn schema(&self) -> SchemaRef {
        source_schema(self.options.include_headers())
    }

    /// The rows of all ranges.
    pub fn rows(&self, order: ReadOrder) -> RowStream {
        let (client, options) = (self.client.clone(), Arc::clone(&self.options));
        let reader = RowReader::new(client, options, self.ranges.clone(), order, self.warm.clone());
        stream::rows(reader)
    }
}
