//! Kafka's wire protocol without I/O: bytes to messages and back, record batches, and the pure
//! machines that decide what to do next. No socket, no task, no clock and no randomness: whoever
//! drives this passes bytes, time and nonces in.
//!
//! From the bottom to the top; a module names only those above it in this list:
//!
//! 1. [`error`], [`wire`]: bytes to primitives, every count bounded.
//! 2. [`code`], [`api`]: broker error codes; which requests there are.
//! 3. [`frame`], [`header`]: a stream to frames, frames to headers.
//! 4. [`messages`]: requests and responses, one file per API. [`records`]: record sets to records.
//!    [`partition`]: which partition a record goes to. [`assign`]: which member of a group reads
//!    which partition.
//! 5. [`session`]: what to do next, as pure machines.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// A test needs some instant to begin with; the library itself is linted without this.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

// The derive writes absolute paths, which must also be right inside this crate.
extern crate self as klamm_protocol;

pub mod api;
pub mod assign;
pub mod code;
pub mod error;
pub mod frame;
pub mod header;
pub mod messages;
pub mod partition;
pub mod records;
pub mod session;
pub mod wire;
