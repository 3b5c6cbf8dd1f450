//! What was moved between whom while partitions are balanced. In: one movement after the other; out:
//! which partition to move instead of another, so that two of the same topic do not change places.

use std::collections::BTreeMap;

use crate::assign::group::Group;
use crate::assign::java::{HashOrder, partition_hash};
use crate::assign::table::{MemberNo, PartNo, TopicNo};

/// From whom to whom.
type Pair = (MemberNo, MemberNo);

/// Movements so far; one that is undone leaves no trace.
#[derive(Debug, Default)]
pub(super) struct Movements {
    of: BTreeMap<PartNo, Pair>,
    between: BTreeMap<(TopicNo, Pair), HashOrder<PartNo>>,
}

impl Movements {
    /// Notes that a partition was moved.
    pub(super) fn note(&mut self, group: &Group<'_>, part: PartNo, from: MemberNo, to: MemberNo) {
        let mut pair = (from, to);
        if let Some(earlier) = self.forget(group, part) {
            if earlier.0 == to {
                return;
            }
            pair = (earlier.0, to);
        }
        let (topic, hash) = key(group, part);
        self.of.insert(part, pair);
        self.between.entry((topic, pair)).or_default().insert(part, hash);
    }

    /// The partition to move from one member to another where `part` was to be moved: one of the
    /// same topic that went the opposite way before, if there is one.
    pub(super) fn instead(
        &self,
        group: &Group<'_>,
        part: PartNo,
        from: MemberNo,
        to: MemberNo,
    ) -> PartNo {
        let from = self.of.get(&part).map_or(from, |(origin, _)| *origin);
        let opposite = self.between.get(&(group.part(part).topic, (to, from)));
        opposite.and_then(|parts| parts.iter().next()).unwrap_or(part)
    }

    fn forget(&mut self, group: &Group<'_>, part: PartNo) -> Option<Pair> {
        let pair = self.of.remove(&part)?;
        let (topic, hash) = key(group, part);
        if let Some(parts) = self.between.get_mut(&(topic, pair)) {
            parts.remove(part, hash);
            if parts.is_empty() {
                self.between.remove(&(topic, pair));
            }
        }
        Some(pair)
    }
}

/// The topic of a partition, and its Java hash code.
fn key(group: &Group<'_>, part: PartNo) -> (TopicNo, i32) {
    let part = group.part(part);
    let topic = group.topic(part.topic).map_or(0, |topic| topic.hash);
    (part.topic, partition_hash(topic, part.number))
}
