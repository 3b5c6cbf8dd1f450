//! A Kafka client on tokio: typed requests in, answers and record batches out. No C library, no
//! unbounded queue, a deadline on everything.
//!
//! ```text
//!  Client ── admin ──┐   questions and orders: topics, offsets, groups
//!         ── consumer ┤   exact offset ranges to record batches
//!         ── producer ┤   records to batches, written once
//!                     v
//!                 Cluster            brokers by id, one shared view, one retry policy
//!                     v
//!                 Handle ── driver   one task owns each stream; pure machines decide
//!                              v
//!                            Dial    opens a byte stream and knows nothing
//! ```
//!
//! From the bottom to the top; a module names only those above it in this list:
//!
//! 1. [`error`], [`kerberos`], [`credentials`], [`mod@config`]: one error, Kerberos without a network,
//!    who this client is, one table of options with Kafka's spellings.
//! 2. [`tls`]: keys and certificates, and what each failure of TLS means.
//! 3. [`net`]: byte streams, the loop that owns each, and logging in over it.
//! 4. [`login`]: where credentials come from, as the options say.
//! 5. [`cluster`]: brokers by id, metadata, retries.
//! 6. [`Client`], which all of the above is behind.
//! 7. [`admin`], [`consumer`], [`producer`]: what a client is asked for, as methods of it.
//!
//! Three promises hold everywhere. An error says whether the request may have been carried out
//! ([`ErrorKind::OutcomeUnknown`]), and nothing of that kind is repeated behind the caller's back
//! unless repeating is harmless. A future that is dropped leaves a whole request on the wire or
//! none. What a peer sends is believed only as far as it was checked: no length, count or address
//! from the network takes memory or time without a bound.
//!
//! ```no_run
//! # async fn example() -> klamm_client::Result<()> {
//! use klamm_client::{Client, Config, ErrorKind};
//!
//! let options = [("bootstrap.servers", "localhost:9092"), ("client.id", "example")];
//! match Client::connect(Config::from_properties(options)?).await {
//!     Ok(client) => println!("{} topics", client.topic_names().await?.len()),
//!     Err(error) if error.kind() == ErrorKind::Unreachable => println!("not there: {error}"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
mod big_endian;
mod client;
pub mod cluster;
pub mod config;
pub mod consumer;
pub mod credentials;
mod der;
pub mod error;
mod jwt;
pub mod kerberos;
mod keys;
pub mod login;
pub mod net;
mod partition;
pub mod producer;
mod secret;
pub mod tls;

pub use client::Client;
pub use config::Config;
pub use error::{Error, ErrorKind, Fault, Result};
pub use partition::TopicPartition;
pub use secret::Secret;
