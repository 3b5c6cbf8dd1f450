//! Sharing out where all members subscribe to the same topics. In: who holds what; out: shares that
//! differ by one partition at most, and what changed hands.
//!
//! Every member gets the lower quota, and as many as come out uneven get one more. Members first
//! keep what they hold, up to their quota; then, if racks matter, the rest goes to members near it,
//! and then what is still left to whoever lacks something, in turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Claims;
use crate::assign::group::Group;
use crate::assign::racks::Racks;
use crate::assign::table::{Lists, Marks, MemberNo, PartNo, Shares};

pub(super) fn assign(
    group: &Group<'_>,
    racks: &Racks<'_>,
    claims: Claims,
) -> (Shares, BTreeMap<PartNo, MemberNo>) {
    let mut sharing = Sharing::new(group, racks, claims.contested);
    for (member, _) in group.members() {
        sharing.keep(member, claims.held.of(member.0));
    }
    let mut left: Vec<PartNo> = group.parts().filter(|part| !sharing.given.of(part.0)).collect();
    sharing.lacking.sort();
    sharing.content.sort();
    racks.sort(&mut left);
    if racks.matter {
        left = sharing.give_near(left);
    }
    sharing.give_in_turn(left);
    (sharing.shares, sharing.moved)
}

struct Sharing<'g> {
    group: &'g Group<'g>,
    racks: &'g Racks<'g>,
    shares: Shares,
    given: Marks<bool>,
    contested: BTreeSet<PartNo>,
    /// From whom something is taken.
    taken: BTreeMap<PartNo, MemberNo>,
    moved: BTreeMap<PartNo, MemberNo>,
    /// Members with less than the lower quota.
    lacking: Vec<MemberNo>,
    /// Members with the lower quota that may get one more.
    content: Vec<MemberNo>,
    lower: usize,
    upper: usize,
    /// How many members may still get more than the lower quota; none if the quotas are equal.
    extras: usize,
}

impl<'g> Sharing<'g> {
    fn new(group: &'g Group<'g>, racks: &'g Racks<'g>, contested: BTreeSet<PartNo>) -> Self {
        let (parts, members) = (group.part_count(), group.member_count().max(1));
        Self {
            group,
            racks,
            shares: Lists::new(group.member_count()),
            given: Marks::new(parts),
            contested,
            taken: BTreeMap::new(),
            moved: BTreeMap::new(),
            lacking: Vec::new(),
            content: Vec::new(),
            lower: parts / members,
            upper: parts.div_ceil(members),
            extras: parts % members,
        }
    }

    /// Leaves a member what it holds, up to its quota; lower numbers stay first.
    fn keep(&mut self, member: MemberNo, held: &[PartNo]) {
        let Some(peer) = self.group.member(member) else { return };
        let mut kept = Vec::new();
        for part in held.iter().copied() {
            if self.racks.mismatch(peer, part) {
                self.taken.insert(part, member);
            } else if !self.contested.contains(&part) {
                kept.push(part);
            }
        }
        kept.sort_by_key(|part| (self.group.part(*part).number, *part));
        let quota = self.quota_of(member, kept.len());
        let surplus = kept.split_off(quota.min(kept.len()));
        self.taken.extend(surplus.into_iter().map(|part| (part, member)));
        for part in &kept {
            self.given.set(part.0, true);
        }
        self.shares.extend(member.0, kept);
    }

    /// How many of its `held` partitions a member keeps; notes whether it may get more.
    fn quota_of(&mut self, member: MemberNo, held: usize) -> usize {
        if held < self.lower {
            self.lacking.push(member);
            return held;
        }
        if held >= self.upper && self.extras > 0 {
            self.take_extra();
            return self.upper;
        }
        if self.extras > 0 {
            self.content.push(member);
        }
        self.lower
    }

    /// One member more has the upper quota. The last one leaves nothing for those who have the
    /// lower one.
    fn take_extra(&mut self) {
        self.extras = self.extras.saturating_sub(1);
        if self.extras == 0 {
            self.content.clear();
        }
    }

    /// Gives out what somebody near has room for; returns the rest.
    fn give_near(&mut self, left: Vec<PartNo>) -> Vec<PartNo> {
        let mut next = 0;
        left.into_iter().filter(|part| !self.is_given_near(*part, &mut next)).collect()
    }

    fn is_given_near(&mut self, part: PartNo, next: &mut usize) -> bool {
        let member = match self.near(&self.lacking, *next, part) {
            Some((at, member)) => {
                self.serve_lacking(at, member, next);
                member
            }
            None => {
                let Some((at, member)) = self.near(&self.content, 0, part) else { return false };
                self.content.remove(at);
                self.take_extra();
                member
            }
        };
        self.give(part, member);
        true
    }

    /// Moves a lacking member on that is about to get one; the turn passes to the one after it.
    fn serve_lacking(&mut self, at: usize, member: MemberNo, next: &mut usize) {
        let has = self.shares.len_of(member.0) + 1;
        if has < self.lower {
            *next = at + 1;
        } else {
            self.lacking.remove(at);
            if has < self.upper && self.extras > 0 {
                self.content.push(member);
            }
            *next = at;
        }
        *next = next.checked_rem(self.lacking.len()).unwrap_or(0);
    }

    /// The first of `members`, counted round from `first`, near a partition.
    fn near(&self, members: &[MemberNo], first: usize, part: PartNo) -> Option<(usize, MemberNo)> {
        let numbered = || members.iter().copied().enumerate();
        numbered().skip(first).chain(numbered().take(first)).find(|(_, member)| {
            self.group.member(*member).is_some_and(|peer| self.racks.is_near(peer, part))
        })
    }

    /// Fills up in turn: lacking members to the lower quota, then the others by one.
    fn give_in_turn(&mut self, left: Vec<PartNo>) {
        let mut content: VecDeque<_> = std::mem::take(&mut self.content).into();
        let mut turn = 0;
        for part in left {
            if turn >= self.lacking.len() {
                turn = 0;
            }
            let lacking = self.lacking.get(turn).copied();
            // The quotas add up to all partitions, so somebody is always there.
            let Some(member) = lacking.or_else(|| content.pop_front()) else { return };
            self.give(part, member);
            if lacking.is_none() {
                continue;
            }
            if self.shares.len_of(member.0) == self.lower {
                self.lacking.remove(turn);
                content.push_back(member);
            } else {
                turn += 1;
            }
        }
    }

    fn give(&mut self, part: PartNo, member: MemberNo) {
        self.shares.push(member.0, part);
        let is_taken = self.taken.get(&part).is_some_and(|holder| *holder != member);
        if is_taken || self.contested.contains(&part) {
            self.moved.insert(part, member);
        }
    }
}
