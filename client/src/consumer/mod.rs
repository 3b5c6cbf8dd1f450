//! Reading exact offset ranges. In: ranges, and how to read them; out: their batches, opened and
//! ready to be walked, each partition in the order of its log (KIP-227, KIP-320, KIP-951 on the
//! way).
//!
//! [`RangeReader`] is polled by whoever awaits [`RangeReader::next`]: no task of its own, so
//! dropping it ends everything it does. The files, from the bottom up: `options` (what goes in and
//! comes out), `buffer` (what arrived and was not handed out yet), `leader` (one broker's fetches),
//! `facts` (questions beside fetching), `reader` (who joins them).

mod buffer;
mod engine;
mod facts;
mod leader;
mod options;
mod parts;
mod reader;

use crate::client::Client;

pub use options::{FetchedBatch, OffsetRange, ReadOptions};
pub use reader::RangeReader;

impl Client {
    /// Reads exact ranges. Nothing is contacted before the first [`RangeReader::next`].
    ///
    /// Several ranges of one partition are read one after another, in the order of their starts. An
    /// empty range gives nothing; one with a negative start, or that ends before it starts, gives
    /// an error of kind [`crate::ErrorKind::Usage`].
    pub fn read_ranges(&self, ranges: Vec<OffsetRange>, options: ReadOptions) -> RangeReader {
        RangeReader::new(self.clone(), ranges, options)
    }
}
