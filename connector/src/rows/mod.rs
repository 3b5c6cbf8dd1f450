//! Records and rows: record batches become Arrow columns (`decode`), Arrow rows become records (`encode`).

mod columns;
mod decode;
mod encode;
mod headers;
mod views;

pub use decode::RowDecoder;
pub use encode::{Row, RowHeaders, RowSource};
pub(crate) use encode::{negative_partition, null_topic};

#[cfg(test)]
mod tests;
