//! Bytes to primitives and back: the lowest layer. In come `Bytes` of one frame, out come integers,
//! strings and slices (and the other way round). Nothing that the wire claims is believed before it
//! is checked against the bytes at hand.
//!
//! The formats are those of Kafka's protocol guide; the compact ones and the tagged fields are
//! KIP-482.

mod field;
mod read;
mod secret;
mod segments;
mod uuid;
pub mod varint;
mod write;

pub use field::{Field, Layout, Nullable, deepest};
pub use read::{MAX_ELEMENTS, MAX_STRING, MAX_TAGGED_FIELDS, Reader};
pub use secret::Secret;
pub use segments::Segments;
pub use uuid::{ParseUuidError, Uuid};
pub use write::{BY_REFERENCE, Writer};

/// How deep messages may nest. Kafka's deepest has five levels; a type that contains itself does
/// not compile.
pub const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests;
