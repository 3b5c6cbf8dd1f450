//! Record sets to records and back: what fetch responses and produce requests carry for a
//! partition.
//!
//! Reading, in order: [`Batches`] walks a record set without touching a record; [`RawBatch::open`]
//! checks one batch's checksum and inflates it, once; [`Batch::records`] walks its records in
//! place. Writing: [`BatchBuilder`] takes records as borrowed parts and seals them into a
//! [`SealedBatch`]. Format 2 both ways (KIP-98), formats 0 and 1 read only.
//!
//! No number from the wire is believed: nothing is reserved for counts or sizes that a header
//! claims, compressed records are inflated up to the caller's bound, and every broken batch is an
//! error, never a panic.
//!
//! ```
//! use klamm_protocol::records::{BatchBuilder, BatchOptions, Batches, Compression};
//! use klamm_protocol::records::{Inflater, ProducerStamp, RecordParts};
//!
//! let options = BatchOptions { compression: Compression::Zstd, ..BatchOptions::default() };
//! let mut builder = BatchBuilder::new(options);
//! builder.try_push(&RecordParts::new(1_700_000_000_000, Some(b"key"), Some(b"value")))?;
//! let mut sealed = builder.seal();
//! sealed.stamp(ProducerStamp { producer_id: 7, epoch: 0, base_sequence: 0, transactional: false });
//!
//! let mut inflater = Inflater::new();
//! for raw in Batches::new(sealed.to_bytes()) {
//!     let batch = raw?.open(&mut inflater, 1 << 20)?;
//!     for record in batch.records() {
//!         assert_eq!(record?.value(), Some(&b"value"[..]));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod aborted;
mod batch;
mod build;
pub mod compress;
pub mod control;
mod header;
mod legacy;
mod parts;
mod record;
mod sealed;
mod split;
mod varint;

pub use aborted::AbortedFilter;
pub use batch::{Batch, Batches, RawBatch};
pub use build::{BatchBuilder, BatchOptions, PushError, Pushed};
pub use compress::{Compression, Deflater, Inflater};
pub use control::ControlType;
pub use header::{BatchHeader, TimestampType};
pub use parts::{HeaderParts, HeaderSlice, RecordParts};
pub use record::{HeaderRef, Headers, RecordRef, Records};
pub use sealed::{ProducerStamp, SealedBatch};

#[cfg(test)]
mod tests;
