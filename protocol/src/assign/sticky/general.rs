//! Sharing out where members subscribe to different topics. In: who holds what; out: shares that no
//! single move makes more even.
//!
//! Members keep what they hold and still subscribe to; the rest goes to the least loaded members
//! that may read it, near ones first if racks matter; then partitions are moved from more to less
//! loaded members. If that was for nothing, it is undone.

use std::collections::BTreeSet;

use super::Claims;
use super::movements::Movements;
use crate::assign::group::{Group, Peer};
use crate::assign::racks::Racks;
use crate::assign::table::{Lists, Marks, MemberNo, PartNo, Shares, TopicNo};

pub(super) fn assign(group: &Group<'_>, racks: &Racks<'_>, claims: Claims) -> Shares {
    let mut sharing = Sharing::new(group, racks, claims.outdated);
    let must_revoke = sharing.keep(&claims.held);
    let mut all = sharing.by_demand();
    let mut left: Vec<PartNo> =
        all.iter().copied().filter(|part| !sharing.is_kept(*part)).collect();
    sharing.weigh();
    let began_empty = sharing.by_load.last().is_none_or(|(load, _)| *load == 0);
    sharing.give(&left);
    all.retain(|part| sharing.is_contended(*part));
    left.retain(|part| sharing.is_contended(*part));
    sharing.leave_out_fixed();
    let (before, uneven) = (sharing.shares.clone(), sharing.unevenness());
    if !must_revoke {
        sharing.balance(&left);
    }
    let is_moved = sharing.balance(&all);
    if !began_empty && is_moved && sharing.unevenness() >= uneven {
        return before;
    }
    sharing.shares
}

struct Sharing<'g> {
    group: &'g Group<'g>,
    racks: &'g Racks<'g>,
    outdated: Marks<Option<(MemberNo, i32)>>,
    shares: Shares,
    holders: Marks<Option<MemberNo>>,
    readers: Lists<MemberNo>,
    /// The members between which partitions may be moved, the least loaded first.
    by_load: BTreeSet<(usize, MemberNo)>,
    movements: Movements,
}

impl<'g> Sharing<'g> {
    fn new(
        group: &'g Group<'g>,
        racks: &'g Racks<'g>,
        outdated: Marks<Option<(MemberNo, i32)>>,
    ) -> Self {
        Self {
            group,
            racks,
            outdated,
            shares: Lists::new(group.member_count()),
            holders: Marks::new(group.part_count()),
            readers: group.readers(),
            by_load: BTreeSet::new(),
            movements: Movements::default(),
        }
    }

    /// Leaves members what they hold and may go on holding; whether something is taken from
    /// anybody.
    fn keep(&mut self, held: &Lists<PartNo>) -> bool {
        let mut must_revoke = false;
        for (member, peer) in self.group.members() {
            for part in held.of(member.0).iter().copied() {
                if peer.reads(self.topic(part)) && !self.racks.mismatch(peer, part) {
                    self.shares.push(member.0, part);
                    self.holders.set(part.0, Some(member));
                } else {
                    must_revoke = true;
                }
            }
        }
        must_revoke
    }

    fn is_kept(&self, part: PartNo) -> bool {
        self.holders.of(part.0).is_some()
    }

    /// All partitions, those first that the fewest members may read.
    fn by_demand(&self) -> Vec<PartNo> {
        let mut topics: Vec<_> = self.group.topics().collect();
        topics.sort_by_key(|(number, _)| (self.readers.len_of(number.0), *number));
        topics.into_iter().flat_map(|(_, topic)| topic.parts()).collect()
    }

    fn weigh(&mut self) {
        let members = self.group.members();
        self.by_load = members.map(|(member, _)| (self.load(member), member)).collect();
    }

    /// Gives partitions that nobody holds to the least loaded readers.
    fn give(&mut self, left: &[PartNo]) {
        let mut left = left.to_vec();
        if self.racks.matter {
            left.retain(|part| !self.give_one(*part, |racks, peer| !racks.mismatch(peer, *part)));
        }
        for part in left {
            self.give_one(part, |_, _| true);
        }
    }

    fn give_one(&mut self, part: PartNo, suits: impl Fn(&Racks<'_>, &Peer<'_>) -> bool) -> bool {
        let topic = self.topic(part);
        let taker = self.by_load.iter().copied().find(|(_, member)| {
            let peer = self.group.member(*member);
            peer.is_some_and(|peer| peer.reads(topic) && suits(self.racks, peer))
        });
        let Some((load, member)) = taker else { return false };
        self.by_load.remove(&(load, member));
        self.shares.push(member.0, part);
        self.holders.set(part.0, Some(member));
        self.by_load.insert((load + 1, member));
        true
    }

    /// Whether several members may read a partition.
    fn is_contended(&self, part: PartNo) -> bool {
        self.readers.len_of(self.topic(part).0) >= 2
    }

    /// Members that hold all they can, and nothing that others could, take no part in balancing.
    fn leave_out_fixed(&mut self) {
        for (member, peer) in self.group.members() {
            let held = self.shares.of(member.0);
            let is_full = held.len() >= self.most(peer);
            if is_full && !held.iter().any(|part| self.is_contended(*part)) {
                self.by_load.remove(&(held.len(), member));
            }
        }
    }

    /// How many partitions a member may read. A subscription as long as there are topics counts as
    /// one to all of them, even if it names one twice.
    fn most(&self, peer: &Peer<'_>) -> usize {
        if peer.readable.len() == self.group.topic_count() {
            return self.group.part_count();
        }
        let topics = peer.readable.iter().filter_map(|topic| self.group.topic(*topic));
        topics.map(|topic| topic.len()).sum()
    }

    /// The differences of load, summed up over all pairs of members.
    fn unevenness(&self) -> u128 {
        let loads = self.by_load.iter().map(|(load, _)| *load as u128);
        let (mut sum, mut uneven) = (0, 0);
        for (lighter, load) in loads.enumerate() {
            uneven += lighter as u128 * load - sum;
            sum += load;
        }
        uneven
    }

    /// Moves partitions until it is even, or none can be moved to make it more so; whether any was.
    fn balance(&mut self, parts: &[PartNo]) -> bool {
        let mut is_moved = false;
        let mut is_even = self.is_even();
        // Every round but the last moves something. That it comes to an end is not proved where
        // another partition is moved instead of the one that was looked at, hence the bound.
        for _ in 0..=parts.len() {
            let mut is_moved_now = false;
            for part in parts.iter().copied() {
                if is_even {
                    break;
                }
                let Some((from, to)) = self.better(part) else { continue };
                self.relocate(self.movements.instead(self.group, part, from, to), to);
                is_moved_now = true;
                is_even = self.is_even();
            }
            if !is_moved_now {
                break;
            }
            is_moved = true;
        }
        is_moved
    }

    /// From whom to whom a partition had better go: back to its holder of an older generation, or
    /// to the least loaded reader, if that one has fewer by two at least.
    fn better(&self, part: PartNo) -> Option<(MemberNo, MemberNo)> {
        let topic = self.topic(part);
        let from = self.holders.of(part.0)?;
        let load = self.load(from);
        let is_lighter = |member: MemberNo| load > self.load(member) + 1;
        let former = self.outdated.of(part.0).map(|(former, _)| former);
        if let Some(former) = former
            && self.group.member(former).is_some_and(|peer| peer.reads(topic))
            && is_lighter(former)
        {
            return Some((from, former));
        }
        // Java looks at readers in the same rack first, but then does the same for any.
        let mut lightest = self.by_load.iter().map(|(_, member)| *member);
        let to = lightest.find(|m| self.group.member(*m).is_some_and(|peer| peer.reads(topic)))?;
        is_lighter(to).then_some((from, to))
    }

    fn relocate(&mut self, part: PartNo, to: MemberNo) {
        let Some(from) = self.holders.of(part.0) else { return };
        self.by_load.remove(&(self.load(from), from));
        self.by_load.remove(&(self.load(to), to));
        self.movements.note(self.group, part, from, to);
        self.shares.remove(from.0, part);
        self.shares.push(to.0, part);
        self.holders.set(part.0, Some(to));
        self.by_load.insert((self.load(to), to));
        self.by_load.insert((self.load(from), from));
    }

    /// Whether loads differ by one at most, or no member could take a partition from one that has
    /// two more.
    fn is_even(&self) -> bool {
        let (Some((least, _)), Some((most, _))) = (self.by_load.first(), self.by_load.last())
        else {
            return true;
        };
        if least + 1 >= *most {
            return true;
        }
        let mut heaviest: Marks<usize> = Marks::new(self.group.topic_numbers());
        for part in self.group.parts() {
            let load = self.holders.of(part.0).map_or(0, |holder| self.load(holder));
            let topic = self.topic(part).0;
            heaviest.set(topic, heaviest.of(topic).max(load));
        }
        self.by_load.iter().all(|(load, member)| {
            let readable = self.group.member(*member).map_or(&[][..], |peer| &peer.readable);
            readable.iter().all(|topic| heaviest.of(topic.0) <= load + 1)
        })
    }

    fn load(&self, member: MemberNo) -> usize {
        self.shares.len_of(member.0)
    }

    fn topic(&self, part: PartNo) -> TopicNo {
        self.group.part(part).topic
    }
}
