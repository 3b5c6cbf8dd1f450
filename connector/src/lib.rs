//! Spark's Kafka connector without Spark: sources that read exact offset ranges as Arrow, sinks that lose nothing,
//! queries whose checkpoints Spark can resume.
//!
//! ```text
//!   options ──> source ──> rows (Arrow) ──> sink ──> topics
//!                 │  ranges      ^           │ written
//!                 v              │           v
//!              offsets ─────── query ──── checkpoint
//! ```
//!
//! | module | in | out |
//! |---|---|---|
//! | [`error`] | | one error type, by what a caller would do about it |
//! | [`schema`] | | the fixed columns |
//! | [`offsets`] | offsets that were looked up | ranges, limits, losses: pure decisions |
//! | [`options`] | names and values as in Spark's guides | checked options, or Spark's refusal |
//! | [`checkpoint`] | plans and commits | files that are whole or absent; what to do on a restart |
//! | [`tokens`] | how to log in | delegation tokens, obtained and renewed; clients that are logged in |
//! | [`rows`] | Kafka's batches; Arrow rows | Arrow columns over the same bytes; records to send |
//! | [`mod@format`] | rows; text | JSON, CSV and raw text; rows |
//! | [`sink`] | rows | rows that are safe |
//! | [`source`] | options, ranges | offsets, rows |
//! | [`query`] | a source, a sink, a checkpoint | one batch after another, and its progress |
//! | [`direct`] | a strategy, rates | batches of ranges, for who keeps offsets elsewhere |
//!
//! A module uses those above it in the table, never one below.
//!
//! # A query
//!
//! ```no_run
//! use klamm_connector::options::{Offsets, ReadMode, SinkOptions, SourceOptions};
//! use klamm_connector::query::{Query, QuerySettings, Trigger};
//! use klamm_connector::sink::KafkaSink;
//! use klamm_connector::source::KafkaSource;
//!
//! # async fn copy() -> klamm_connector::Result<()> {
//! let source = SourceOptions::builder()
//!     .with_client("bootstrap.servers", "localhost:9092")
//!     .with_subscribe(&["orders"])
//!     .with_starting_offsets(&Offsets::Earliest)
//!     .build(ReadMode::Stream)?;
//! let sink = SinkOptions::builder()
//!     .with_client("bootstrap.servers", "localhost:9092")
//!     .with_topic("copy")
//!     .build()?;
//! let settings = QuerySettings {
//!     checkpoint: "/var/lib/orders-copy".into(),
//!     trigger: Trigger::AvailableNow,
//!     name: None,
//! };
//! let (source, sink) = (KafkaSource::connect(source).await?, KafkaSink::connect(&sink).await?);
//! let mut query = Query::start(source, Box::new(sink), settings).await?;
//! while let Some(progress) = query.next().await {
//!     println!("{}", progress?.to_json());
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod checkpoint;
pub mod direct;
pub mod error;
pub mod format;
pub mod offsets;
pub mod options;
pub mod query;
mod regex;
pub mod rows;
pub mod schema;
pub mod sink;
pub mod source;
pub mod tokens;

pub use error::{Error, ErrorKind, Result};
