//! The direct API: batches of offset ranges for services that keep their own offsets, as Spark's DStream guide has it.
//!
//! In come a strategy that says what to read and where to start, and the options `spark.streaming.kafka.*`; out come
//! batches that carry their ranges, one range a partition. Who processed a batch stores the ranges' ends where it
//! stores its results, or hands them to [`Committer::commit_async`].
//!
//! ```text
//!   ConsumerStrategy ──> partitions, starts ──┐
//!   committed offsets, auto.offset.reset ─────┤
//!                                             v
//!   rates, backpressure ──> DirectStream ──> DirectBatch ──> RangeRead ──> rows, records
//!                                ^               │ ranges, locations
//!                                └── completed ──┘
//! ```
//!
//! A stream is no member of its group: it reads every partition that its strategy names, nothing is taken away from it
//! by others, and commits go to the group from outside. From the bottom up: [`options`], [`location`], [`rate`],
//! [`record`] and `reading` (exact ranges, and what is missing from them), [`range_read`], [`strategy`], [`commit`],
//! [`state`], [`stream`].
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use klamm_connector::direct::{DirectOptions, DirectStream, LocationStrategy, Subscribe};
//!
//! # async fn example() -> klamm_connector::Result<()> {
//! let options = DirectOptions::from_pairs([
//!     ("bootstrap.servers", "localhost:9092"),
//!     ("group.id", "orders-report"),
//!     ("auto.offset.reset", "earliest"),
//!     ("spark.streaming.kafka.maxRatePerPartition", "1000"),
//! ])?;
//! let mut stream = DirectStream::connect(
//!     options,
//!     Subscribe::to(["orders"]),
//!     LocationStrategy::PreferConsistent,
//!     Duration::from_secs(1),
//! )
//! .await?;
//! for _ in 0..10 {
//!     let batch = stream.next().await?;
//!     println!("{} records", batch.read().collect().await?.len());
//!     stream.commit_async(batch.ranges());
//!     stream.complete(batch);
//! }
//! let unsent = stream.close().await;
//! assert!(unsent.is_empty());
//! # Ok(())
//! # }
//! ```

pub mod commit;
pub mod location;
mod lookup;
pub mod options;
pub mod range_read;
pub mod rate;
mod reading;
pub mod record;
pub mod state;
pub mod strategy;
pub mod stream;

pub use commit::{CommitReceipt, Committer, Unsent};
pub use location::{Executor, LocationStrategy};
pub use options::{DirectOptions, OffsetReset};
pub use range_read::RangeRead;
pub use rate::{BatchDone, PidEstimator, RateEstimator};
pub use record::Record;
pub use state::{StoredBatch, StreamState};
pub use strategy::{Assign, ConsumerStrategy, StrategyFuture, Subscribe, SubscribePattern};
pub use stream::{BatchInfo, DirectBatch, DirectStream};
