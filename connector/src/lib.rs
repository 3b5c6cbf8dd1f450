//! Spark's Kafka connector without Spark: sources that read exact offset ranges as Arrow, sinks that lose nothing,
//! queries whose checkpoints Spark can resume.
//!
//! The layers, each using only those above it: [`error`], [`schema`], [`offsets`], [`options`], [`checkpoint`],
//! [`rows`], [`format`], [`sink`], [`source`], [`query`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod checkpoint;
pub mod error;
pub mod format;
pub mod offsets;
pub mod options;
pub mod query;
pub mod rows;
pub mod schema;
pub mod sink;
pub mod source;

pub use error::{Error, ErrorKind, Result};
