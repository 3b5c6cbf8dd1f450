//! Control records: the markers that end a transaction in a partition (KIP-98), read and written.
//!
//! In: the one record of a control batch. Out: what it says. They are no data and never reach a
//! reader of records.

use super::header::chunk;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// The transaction's records in this partition do not count.
    Abort,
    /// The transaction's records in this partition count.
    Commit,
    /// Something newer than this side; the records of Raft logs have such numbers, too.
    Other(i16),
}

impl ControlType {
    /// Reads the key of a control record: a version and a type. `None` if it is too short or its
    /// version negative.
    ///
    /// Later versions only append to the key, so any version is read alike.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let version = i16::from_be_bytes(chunk(key, 0)?);
        let kind = i16::from_be_bytes(chunk(key, 2)?);
        (version >= 0).then_some(match kind {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        })
    }

    /// Its number.
    pub const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::Other(id) => id,
        }
    }

    /// The key of such a control record.
    pub fn to_key(self) -> [u8; 4] {
        let [high, low] = self.id().to_be_bytes();
        [0, 0, high, low]
    }
}

/// The value of a marker: a version and the epoch of the transaction coordinator that wrote it.
pub fn marker_value(coordinator_epoch: i32) -> [u8; 6] {
    let [a, b, c, d] = coordinator_epoch.to_be_bytes();
    [0, 0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_read_back_and_unknown_types_keep_their_number() {
        for kind in [ControlType::Abort, ControlType::Commit, ControlType::Other(7)] {
            assert_eq!(ControlType::from_key(&kind.to_key()), Some(kind));
        }
        assert_eq!(ControlType::from_key(&[0, 9, 0, 1, 5]), Some(ControlType::Commit));
    }

    #[test]
    fn a_short_key_or_a_negative_version_says_nothing() {
        assert_eq!(ControlType::from_key(&[0, 0, 0]), None);
        assert_eq!(ControlType::from_key(&[0xff, 0xff, 0, 1]), None);
    }
}
