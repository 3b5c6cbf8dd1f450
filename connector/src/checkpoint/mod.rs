//! The checkpoint of a query, in the bytes that Spark reads and writes.
//!
//! ```text
//! metadata          the query's id
//! sources/0/0       where the source started, for a first batch that has to be planned again
//! offsets/<batch>   where a batch ends, written before it runs
//! commits/<batch>   that it ran to its end
//! .klamm.lock       held while a query runs; Spark does not see it
//! ```
//!
//! In come decisions of the query, out come files that are whole or absent, and, at the start, what to do next.
//! [`mod@format`] knows the bytes, [`disk`] is the only code that touches files, [`recovery`] decides.

pub mod disk;
pub mod format;
pub mod recovery;
mod store;

pub use store::{Checkpoint, Contents};
