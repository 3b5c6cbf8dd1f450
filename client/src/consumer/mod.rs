//! Reading: exact offset ranges, or topics that a group shares. In: what to read, and how; out:
//! batches, opened and ready to be walked, each partition in the order of its log (KIP-227, KIP-320,
//! KIP-392, KIP-951 on the way).
//!
//! Fetching is done by whoever awaits [`RangeReader::next`] or [`Consumer::next`]: no task of its
//! own, so dropping either ends it. The files, from the bottom up: `options` (what goes in and comes
//! out), `buffer` (what arrived and was not handed out yet), `leader` (one broker's fetches),
//! `facts` (questions beside fetching), `engine` (who joins these), `parts` and `reader` (exact
//! ranges), `group/` (a group's consumer).

mod buffer;
mod engine;
mod facts;
mod group;
mod leader;
mod options;
mod parts;
mod reader;

use crate::client::Client;

pub use group::{Acknowledger, Consumer, ConsumerOptions, Event, Receipt, Records};
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
