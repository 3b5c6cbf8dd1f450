//! The ranges of a reader by partition. In: ranges in any order; out: for each partition its
//! ranges one after another, and the errors that name their places.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use klamm_protocol::error::DecodeError;
use klamm_protocol::session::fetch::Cursor;
use klamm_protocol::wire::Uuid;

use crate::error::{Error, ErrorKind};

use super::options::OffsetRange;

/// One partition with its ranges.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The range being read, and those after it.
    pub(super) ranges: VecDeque<Range<i64>>,
    /// No more is to come; what is queued may still be handed out.
    pub(super) ended: bool,
    /// An error was handed out: what is queued behind it is not.
    pub(super) broken: bool,
}

impl Part {
    /// A cursor at the start of the present range; `None` if there is no range left.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        let range = self.ranges.front()?;
        Some(Cursor {
            topic: Arc::clone(&self.topic),
            topic_id: Uuid::ZERO,
            partition: self.partition,
            next: range.start,
            stop: range.end,
            leader_epoch: -1,
            last_epoch: -1,
        })
    }

    /// The error for a batch at this offset that cannot be read.
    pub(super) fn corrupt(&self, error: DecodeError, offset: i64) -> Error {
        Error::new(ErrorKind::Corrupt, "a batch of records is damaged")
            .at(&self.topic, self.partition)
            .with("offset", offset)
            .with("detail", error)
            .with_hint("read it with another client to tell a damaged log from a damaged transfer")
            .with_source(error)
    }
}

/// Sorts ranges by partition and start. Empty ones vanish; those that make no sense become errors.
pub(super) fn sort(ranges: Vec<OffsetRange>) -> (Vec<Part>, Vec<Error>) {
    let mut sorted: BTreeMap<(Arc<str>, i32), Vec<Range<i64>>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for OffsetRange { topic, partition, start, stop } in ranges {
        if start < 0 || stop < start {
            let what = "a range must not start below 0 or stop before it starts";
            let error = Error::new(ErrorKind::Usage, what).at(&topic, partition);
            wrong.push(error.with("start", start).with("stop", stop));
        } else if start < stop {
            sorted.entry((topic, partition)).or_default().push(start..stop);
        }
    }
    let part = |((topic, partition), mut ranges): (_, Vec<Range<i64>>)| {
        ranges.sort_by_key(|range| range.start);
        Part { topic, partition, ranges: ranges.into(), ended: false, broken: false }
    };
    (sorted.into_iter().map(part).collect(), wrong)
}

/// The error for records at a cursor's position that are there no more, or never were.
pub(super) fn lost(what: &'static str, cursor: &Cursor) -> Error {
    Error::new(ErrorKind::DataLoss, what)
        .at(&cursor.topic, cursor.partition)
        .with("offset", cursor.next)
        .with("stop", cursor.stop)
}
