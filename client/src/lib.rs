//! A Kafka client on tokio: typed requests in, answers and record batches out. No C library, no unbounded queue, a deadline on
//! everything.
//!
//! From the bottom to the top; a module names only those above it in this list:
//!
//! 1. [`error`], [`config`] (string keys in [`mod@config`]): one error, one table of options.
//! 2. [`net`]: byte streams, and the loop that owns each.
//! 3. [`cluster`]: brokers by id, metadata, retries.
//! 4. [`Client`], which all of the above is behind.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
mod client;
pub mod cluster;
pub mod config;
pub mod consumer;
pub mod error;
mod keys;
pub mod net;
mod partition;
pub mod producer;

pub use client::Client;
pub use config::Config;
pub use error::{Error, ErrorKind, Fault, Result};
pub use partition::TopicPartition;
