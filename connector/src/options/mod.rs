//! Options as Spark's Kafka guides name them: string pairs or typed setters in, [`SourceOptions`] or [`SinkOptions`]
//! out, checked in Spark's order and refused with Spark's reasons.
//!
//! Both ways go through one table ([`table`]), so each name is spelt, explained and given its default once. Names
//! count without regard to case. Of several values for one name the last is taken. What starts with `kafka.` is for
//! the client. Nothing here contacts anything.

mod builder;
mod engine;
mod limits;
pub(crate) mod pairs;
mod pattern;
mod pools;
mod raw;
mod sink;
mod source;
pub mod table;
mod tokens;
mod value;

pub use builder::{SinkOptionsBuilder, SourceOptionsBuilder};
pub use limits::{NoMatch, OffsetsLimit};
pub use pattern::TopicPattern;
pub use pools::{PoolOptions, ProducerPoolOptions};
pub use sink::SinkOptions;
pub use source::{FetchRetry, SourceOptions, Topics};
pub use tokens::{ClusterSettings, StoreFile, TokenSettings};
pub(crate) use value::time_in_seconds;
pub use value::{Offsets, ReadMode};
