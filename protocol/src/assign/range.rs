//! The `range` assignor. In: a group; out: for each topic runs of neighbouring partitions, one for
//! each member that subscribes to it, the first ones longer by one if it does not come out even.
//!
//! With racks (KIP-881), members first get partitions that have a replica near them, as many as
//! they would have got anyway; topics with the same members and as many partitions are taken
//! together, so that equal numbers still go to the same member.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, Topic};
use super::racks;
use super::table::{Lists, MemberNo, PartNo, Shares};

pub(super) fn assign(group: &Group<'_>) -> Shares {
    let mut shares = Lists::new(group.member_count());
    let served = group.served();
    let mut topics: Vec<Split<'_>> = group
        .topics_in_table_order()
        .map(|(number, topic)| {
            let readers = served.iter().filter(|(_, peer)| peer.reads(number));
            let readers = readers.map(|(member, peer)| Reader { member: *member, rack: peer.rack });
            Split::new(group, topic, readers.collect())
        })
        .collect();
    let heeds_racks = topics.iter().any(|topic| topic.heeds_racks);
    if heeds_racks {
        topics = near_first(topics, &mut shares);
    }
    for topic in &mut topics {
        topic.deal(&mut shares, |_, _, _| true);
    }
    if heeds_racks {
        shares.iter_mut().for_each(|share| share.sort());
    }
    shares
}

/// Gives out what members have near them.
fn near_first<'a>(topics: Vec<Split<'a>>, shares: &mut Shares) -> Vec<Split<'a>> {
    let mut alike: BTreeMap<_, Vec<Split<'a>>> = BTreeMap::new();
    for topic in topics {
        let key = (topic.readers.clone(), topic.racks.len());
        alike.entry(key).or_default().push(topic);
    }
    let mut dealt = Vec::new();
    for (_, mut topics) in alike {
        match topics.as_mut_slice() {
            [topic] if topic.heeds_racks => topic.deal(shares, Split::is_near),
            [_] => {}
            together => deal_together(together, shares),
        }
        dealt.append(&mut topics);
    }
    dealt
}

/// Gives each number to the first reader that has it near in every topic.
fn deal_together(topics: &mut [Split<'_>], shares: &mut Shares) {
    let Some(first) = topics.first() else { return };
    let (count, mut readers) = (first.racks.len(), first.readers.clone());
    for index in 0..count {
        let wants = |topic: &Split<'_>, reader: &Reader<'_>| {
            topic.is_near(reader, index) && topic.room(reader.member) > 0
        };
        let taker = |reader: &Reader<'_>| topics.iter().all(|topic| wants(topic, reader));
        let Some(at) = readers.iter().position(taker) else { continue };
        let Some(member) = readers.get(at).map(|reader| reader.member) else { continue };
        for topic in &mut *topics {
            topic.give(member, &[index], shares);
        }
        if topics.iter().all(|topic| topic.room(member) == 0) {
            readers.remove(at);
        }
    }
}

/// One topic, being split up.
struct Split<'a> {
    first: PartNo,
    /// In the order in which they are served.
    readers: Vec<Reader<'a>>,
    heeds_racks: bool,
    /// The racks of each partition; empty if no reader has a rack.
    racks: Vec<BTreeSet<&'a str>>,
    /// The indices of the partitions that nobody got yet.
    left: BTreeSet<usize>,
    got: BTreeMap<MemberNo, usize>,
    /// What everybody gets.
    quota: usize,
    /// How many may still get one more.
    extras: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reader<'a> {
    member: MemberNo,
    rack: Option<&'a str>,
}

impl<'a> Split<'a> {
    fn new(group: &Group<'a>, topic: &Topic<'a>, readers: Vec<Reader<'a>>) -> Self {
        let of_members: BTreeSet<&str> = readers.iter().filter_map(|reader| reader.rack).collect();
        let mut racks = Vec::new();
        if !of_members.is_empty() {
            racks.extend(topic.parts().map(|part| group.racks(part)));
        }
        let count = topic.len();
        Self {
            first: topic.parts().next().unwrap_or_default(),
            heeds_racks: racks::matter(&of_members, racks.iter()),
            racks,
            left: (0..count).collect(),
            got: BTreeMap::new(),
            quota: count.checked_div(readers.len()).unwrap_or(0),
            extras: count.checked_rem(readers.len()).unwrap_or(0),
            readers,
        }
    }

    /// Gives each reader in turn as many of the partitions that `may` go to it as it has room for.
    fn deal(&mut self, shares: &mut Shares, may: impl Fn(&Self, &Reader<'_>, usize) -> bool) {
        for at in 0..self.readers.len() {
            let Some(reader) = self.readers.get(at).copied() else { return };
            let (left, room) = (self.left.iter().copied(), self.room(reader.member));
            let run: Vec<usize> = left.filter(|at| may(self, &reader, *at)).take(room).collect();
            self.give(reader.member, &run, shares);
        }
    }

    fn give(&mut self, member: MemberNo, run: &[usize], shares: &mut Shares) {
        if run.is_empty() {
            return;
        }
        let got = self.got.entry(member).or_default();
        *got += run.len();
        if *got > self.quota {
            self.extras = self.extras.saturating_sub(1);
        }
        for index in run {
            self.left.remove(index);
        }
        shares.extend(member.0, run.iter().map(|index| PartNo(self.first.0 + index)));
    }

    /// How many partitions a member may still get.
    fn room(&self, member: MemberNo) -> usize {
        let got = self.got.get(&member).copied().unwrap_or(0);
        (self.quota + usize::from(self.extras > 0)).saturating_sub(got)
    }

    /// Whether a partition has a replica near a reader; one without a rack is near everything.
    fn is_near(&self, reader: &Reader<'_>, index: usize) -> bool {
        let racks = self.racks.get(index);
        reader.rack.is_none_or(|rack| racks.is_some_and(|racks| racks.contains(rack)))
    }
}
