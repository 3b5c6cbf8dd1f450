//! Kafka as the source of a query.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use klamm_client::Client;

use super::feed::Warm;
use super::group::executor_group;
use super::lookup::{Lookup, Side};
use super::pool::Pools;
use super::reader::{ReadOrder, RowReader};
use super::{StreamSource, stream};
use crate::error::Result;
use crate::offsets::range::OffsetRange;
use crate::offsets::{PartitionOffsets, TopicPartition, list};
use crate::options::{SourceOptions, Topics};
use crate::schema::source_schema;
use crate::sink::RowStream;
use crate::tokens::connect;

/// Topics of a cluster, read in micro-batches.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    client: Client,
    options: Arc<SourceOptions>,
    lookup: Lookup,
    warm: Warm,
}

impl KafkaSource {
    /// Connects to the cluster that the options name.
    ///
    /// # Errors
    /// `InvalidOption` for an option of the client, before anything is contacted; `Client` when nobody answers.
    /// Dropping the future leaves nothing behind.
    pub async fn connect(options: SourceOptions) -> Result<Self> {
        let client = connect(options.client(), options.tokens()).await?;
        Ok(Self::new(client, options))
    }

    /// A source on a client that is connected already.
    pub fn new(client: Client, options: SourceOptions) -> Self {
        let options = Arc::new(options);
        let lookup = Lookup::new(client.clone(), Arc::clone(&options));
        let warm = Warm { group: executor_group(&options), pools: Pools::new(&options.pools()) };
        Self { client, options, lookup, warm }
    }

    /// Shares pools with other sources, instead of having its own.
    #[must_use]
    pub fn with_pools(mut self, pools: Pools) -> Self {
        self.warm.pools = pools;
        self
    }

    /// What is kept from batch to batch, with its counters.
    pub fn pools(&self) -> &Pools {
        &self.warm.pools
    }
}

impl StreamSource for KafkaSource {
    fn options(&self) -> &SourceOptions {
        &self.options
    }

    fn description(&self) -> String {
        match self.options.topics() {
            Topics::Subscribe(topics) => format!("KafkaV2[Subscribe[{}]]", topics.join(", ")),
            Topics::Pattern(pattern) => format!("KafkaV2[SubscribePattern[{pattern}]]"),
            Topics::Assign(partitions) => format!("KafkaV2[Assign[{}]]", list(partitions)),
        }
    }

    fn schema(&self) -> SchemaRef {
        source_schema(self.options.include_headers())
    }

    async fn initial(&mut self) -> Result<PartitionOffsets> {
        let partitions = self.lookup.partitions().await?;
        let start = self.lookup.limit(self.options.starting(), &partitions, Side::Start).await?;
        self.lookup.bound(&start).await
    }

    async fn latest(&mut self, known: &PartitionOffsets) -> Result<PartitionOffsets> {
        self.lookup.latest(known).await
    }

    async fn earliest(&mut self, partitions: Vec<TopicPartition>) -> Result<PartitionOffsets> {
        self.lookup.earliest(partitions).await
    }

    fn read(&mut self, ranges: Vec<OffsetRange>) -> RowStream {
        let (client, options) = (self.client.clone(), Arc::clone(&self.options));
        let reader =
            RowReader::new(client, options, ranges, ReadOrder::AsTheyCome, self.warm.clone());
        stream::rows(reader)
    }
}
