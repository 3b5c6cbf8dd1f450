//! Questions and orders beside reading and writing. In: names, filters, changes; out: one result
//! for each, in the order they were given. Each call retries what may pass by itself, until
//! `default.api.timeout.ms`.

mod by_topic;
mod each;
mod metadata;
mod offsets;
mod outcomes;
mod positions;
mod topics;

pub use metadata::Topics;
pub use offsets::{ListedOffset, OffsetSpec};
pub use positions::CommittedOffset;
pub use topics::{NewPartitions, NewTopic};
