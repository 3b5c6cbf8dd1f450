//! (to be written)
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod apache;
pub mod java;
pub mod outside;
