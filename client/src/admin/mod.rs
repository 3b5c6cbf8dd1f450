//! Questions and orders beside reading and writing: topics, offsets, groups. In: names; out: one
//! result for each, in the order they were given. Each call retries what may pass by itself, until
//! `default.api.timeout.ms`.

mod groups;
mod metadata;
mod offsets;
mod outcomes;
mod topics;

pub use groups::CommittedOffset;
pub use metadata::Topics;
pub use offsets::{ListedOffset, OffsetSpec};
pub use topics::NewTopic;
