//! The name of a partition, as calls take and give it.

pub use klamm_protocol::assign::TopicPartition;
