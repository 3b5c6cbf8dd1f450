//! Racks, as far as the assignors heed them (KIP-881). In: a group; out: whether racks tell anything
//! here, and whose rack has a replica of what.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, Peer};
use super::table::PartNo;

/// Racks are heeded if members and replicas have some in common, and not every partition has a
/// replica in every rack.
pub(super) fn matter<'a, 'b>(
    of_members: &BTreeSet<&str>,
    of_partitions: impl Iterator<Item = &'b BTreeSet<&'a str>> + Clone,
) -> bool
where
    'a: 'b,
{
    let all: BTreeSet<&str> = of_partitions.clone().flatten().copied().collect();
    !of_members.is_disjoint(&all) && of_partitions.into_iter().any(|racks| *racks != all)
}

/// The racks of a whole group, for the sticky assignors.
#[derive(Debug, Default)]
pub(super) struct Racks<'a> {
    /// Whether they are heeded.
    pub(super) matter: bool,
    /// The racks of each partition; empty if no member has a rack.
    of_partitions: Vec<BTreeSet<&'a str>>,
    /// How many members each rack has.
    members: BTreeMap<&'a str, usize>,
}

impl<'a> Racks<'a> {
    pub(super) fn of(group: &Group<'a>) -> Self {
        let mut members = BTreeMap::new();
        for rack in group.members().filter_map(|(_, peer)| peer.rack) {
            *members.entry(rack).or_default() += 1;
        }
        if members.is_empty() {
            return Self::default();
        }
        let of_partitions: Vec<_> = group.parts().map(|part| group.racks(part)).collect();
        let of_members = members.keys().copied().collect();
        let matter = matter(&of_members, of_partitions.iter());
        Self { matter, of_partitions, members }
    }

    /// Whether a member had better not read a partition: racks matter, it has one, and no replica
    /// is there.
    pub(super) fn mismatch(&self, peer: &Peer<'_>, part: PartNo) -> bool {
        self.matter && peer.rack.is_some() && !self.is_near(peer, part)
    }

    /// Whether a replica is in the member's rack.
    pub(super) fn is_near(&self, peer: &Peer<'_>, part: PartNo) -> bool {
        let racks = self.of_partitions.get(part.0);
        racks.is_some_and(|racks| peer.rack.is_some_and(|rack| racks.contains(rack)))
    }

    /// Puts the partitions first that the fewest members have near them. Java does it even where
    /// racks do not matter, as long as a member has one.
    pub(super) fn sort(&self, parts: &mut [PartNo]) {
        parts.sort_by_cached_key(|part| {
            let racks = self.of_partitions.get(part.0).into_iter().flatten();
            racks.map(|rack| self.members.get(rack).copied().unwrap_or(0)).sum::<usize>()
        });
    }
}
