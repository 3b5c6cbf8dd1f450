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
// NOTE from the lead (remove when done): rows/ is done (RowDecoder, RowSource), so is format/; both are mine, use them.
// I write cli/ next. Go on with checkpoint/, sink/validate, query/{trigger,progress}, then the I/O parts.
