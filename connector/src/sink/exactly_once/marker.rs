//! What a task leaves behind inside its transaction: the position of a group, whose metadata says which batch it was.
//!
//! A batch and where it ends go in, text comes out, and back. The text is the only thing that tells a restart what is
//! written already, so whatever is not exactly of this form is refused.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::offsets::{PartitionOffsets, json};
use crate::sink::Written;

/// The last batch that a task has committed, with what it was cut into and how many rows it has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    /// The version of this form.
    klamm: u32,
    pub(super) batch: i64,
    pub(super) tasks: NonZeroU32,
    /// The checksum of where the batch ends: another plan under the same number is found out.
    end: String,
    rows: u64,
    bytes: u64,
}

impl Marker {
    pub(super) fn new(
        batch: i64,
        tasks: NonZeroU32,
        end: &PartitionOffsets,
        written: Written,
    ) -> Self {
        let end = format!("{:08x}", crc32c::crc32c(json::write_offsets(end).as_bytes()));
        Self { klamm: VERSION, batch, tasks, end, rows: written.rows, bytes: written.bytes }
    }

    pub(super) fn written(&self) -> Written {
        Written { rows: self.rows, bytes: self.bytes }
    }

    /// Whether both are of one plan.
    pub(super) fn is_of_plan_of(&self, other: &Self) -> bool {
        (self.batch, self.tasks, &self.end) == (other.batch, other.tasks, &other.end)
    }

    pub(super) fn write(&self) -> String {
        // Plain fields can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// # Errors
    /// `CheckpointUntrusted` for whatever this version has not written.
    pub(super) fn read(text: &str) -> Result<Self> {
        let marker: Self = serde_json::from_str(text).map_err(|e| unreadable(e.to_string()))?;
        if marker.klamm != VERSION {
            return Err(unreadable(format!("it has version {}", marker.klamm)));
        }
        Ok(marker)
    }
}

fn unreadable(why: String) -> Error {
    Error::new(
        ErrorKind::CheckpointUntrusted,
        format!(
            "The marker of what was written exactly once can't be read: {why}. \
             Go on with the version that wrote it, or with delivery at-least-once"
        ),
    )
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::TopicPartition;

    fn end(offset: i64) -> PartitionOffsets {
        [(TopicPartition::new("t", 0), offset)].into()
    }

    fn marker(batch: i64, tasks: u32, offset: i64) -> Marker {
        let written = Written { rows: 3, bytes: 30 };
        Marker::new(batch, NonZeroU32::new(tasks).unwrap(), &end(offset), written)
    }

    #[test]
    fn a_marker_reads_as_it_was_written() {
        let text = marker(5, 2, 100).write();
        assert!(text.starts_with(r#"{"klamm":1,"batch":5,"tasks":2,"end":""#), "{text}");
        assert_eq!(Marker::read(&text).unwrap(), marker(5, 2, 100));
    }

    #[test]
    fn another_plan_under_the_same_number_is_told_apart() {
        assert!(marker(5, 2, 100).is_of_plan_of(&marker(5, 2, 100)));
        for other in [marker(4, 2, 100), marker(5, 3, 100), marker(5, 2, 101)] {
            assert!(!marker(5, 2, 100).is_of_plan_of(&other));
        }
    }

    #[test]
    fn whatever_is_no_marker_is_refused() {
        let newer = marker(5, 2, 100).write().replace(r#""klamm":1"#, r#""klamm":2"#);
        let zero = marker(5, 2, 100).write().replace(r#""tasks":2"#, r#""tasks":0"#);
        for text in ["", "{}", "null", "5", &newer, &zero] {
            let error = Marker::read(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CheckpointUntrusted, "{text}");
        }
    }
}
