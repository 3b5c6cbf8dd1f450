//! Queries: micro-batches from a source into a sink, with a checkpoint that Spark can resume.
//!
//! ```text
//!            latest offsets ──> end of the batch ──> offsets/N ──> rows to the sink ──> commits/N
//!                  ^                                                                      │
//!                  └──────────────────────────── the next trigger <──────────────────────┘
//! ```
//!
//! A query is driven by whoever holds it: [`Query::next`] waits for the trigger, runs one batch and returns its
//! progress. Nothing runs when nobody asks.

mod plan;
pub mod progress;
mod run;
pub mod trigger;

pub use progress::QueryProgress;
pub use run::{Query, QuerySettings, Stopper};
pub use trigger::Trigger;
