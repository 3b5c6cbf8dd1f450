//! (to be written)
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod apache;
pub mod broker;
pub mod conformance;
pub mod control;
pub mod door;
pub mod java;
pub mod log;
pub mod oracle;
pub mod outside;
pub mod redpanda;
