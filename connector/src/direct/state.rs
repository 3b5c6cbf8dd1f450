//! What must survive a restart of a stream whose caller keeps checkpoints of its own: plain data, in and out.

use serde::{Deserialize, Serialize};

use crate::offsets::range::OffsetRange;
use crate::offsets::{PartitionOffsets, TopicPartition};

/// Where a stream stands, and which batches were given out and not completed.
///
/// ```
/// use klamm_connector::direct::StreamState;
///
/// let text = serde_json::to_string(&StreamState::default()).unwrap();
/// assert_eq!(serde_json::from_str::<StreamState>(&text).unwrap(), StreamState::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// The next offset of each partition, behind all batches that were given out.
    #[serde(with = "as_pairs")]
    pub positions: PartitionOffsets,
    /// The batches that were not completed, by time.
    pub unfinished: Vec<StoredBatch>,
}

/// A batch as it was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBatch {
    /// When it was made, in milliseconds since 1970; no two batches of a stream have the same.
    pub time: i64,
    /// Its ranges.
    pub ranges: Vec<OffsetRange>,
}

/// Maps with partitions as keys have no form in JSON; lists of pairs have.
mod as_pairs {
    use serde::{Deserializer, Serializer};

    use super::{Deserialize as _, PartitionOffsets, TopicPartition};

    pub(super) fn serialize<S: Serializer>(
        offsets: &PartitionOffsets,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(offsets)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PartitionOffsets, D::Error> {
        let pairs = Vec::<(TopicPartition, i64)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}
