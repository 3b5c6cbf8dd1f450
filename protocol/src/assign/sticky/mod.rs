//! The `sticky` assignor, and the greater part of `cooperative-sticky`. In: a group, and how to read
//! what each member claims to hold; out: shares as even as can be, in which members keep what they
//! held as far as that allows.
//!
//! If all members subscribe to the same topics, quotas decide ([`constrained`]), else partitions are
//! moved one by one until nothing gets more even ([`general`]). Both heed racks (KIP-881).

mod constrained;
mod general;
mod movements;

use std::collections::{BTreeMap, BTreeSet};

use super::TopicPartition;
use super::group::{Group, Peer};
use super::racks::Racks;
use super::table::{Lists, Marks, MemberNo, PartNo, Shares, TopicNo};
use super::user_data::StickyUserData;

/// What came of it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) shares: Shares,
    /// What goes to another member than the one that held it. Only known if all members subscribe
    /// to the same.
    pub(super) moved: Option<BTreeMap<PartNo, MemberNo>>,
}

/// What a member claims to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    pub(super) partitions: Vec<TopicPartition>,
    /// Since which generation, if the member says so.
    pub(super) generation: Option<i32>,
}

/// The claim of a member of `sticky`: it lies in the user data, whatever else is there, since the
/// member owns nothing any more when it joins. Bytes that can't be read claim nothing.
pub(super) fn eager_claim(peer: &Peer<'_>) -> Claim {
    let bytes = peer.subscription.user_data.clone().filter(|bytes| !bytes.is_empty());
    let Some(bytes) = bytes else { return Claim::default() };
    match StickyUserData::decode(bytes) {
        Ok(StickyUserData { partitions, generation }) => Claim { partitions, generation },
        Err(_) => Claim { partitions: Vec::new(), generation: Some(NO_GENERATION) },
    }
}

pub(super) fn assign(group: &Group<'_>, claim: impl Fn(&Peer<'_>) -> Claim) -> Shared {
    let racks = Racks::of(group);
    let claims = Claims::of(group, claim);
    if wants_are_equal(group) {
        let (shares, moved) = constrained::assign(group, &racks, claims);
        return Shared { shares, moved: Some(moved) };
    }
    Shared { shares: general::assign(group, &racks, claims), moved: None }
}

/// Whether all members subscribe to the same topics.
fn wants_are_equal(group: &Group<'_>) -> bool {
    let mut wants = group.members().map(|(_, peer)| &peer.topics);
    let Some(first) = wants.next() else { return true };
    let common: BTreeSet<TopicNo> = first.iter().copied().collect();
    // A topic that is named twice makes Java take the long way; so it does here. Where the twice
    // named make up for one that is missing, Java gives a member what it does not want; not so here.
    wants.all(|topics| {
        let distinct: BTreeSet<TopicNo> = topics.iter().copied().collect();
        topics.len() == common.len() && distinct == common
    })
}

/// Who holds what, once claims to the same partition are settled.
#[derive(Debug)]
struct Claims {
    held: Lists<PartNo>,
    /// Claimed by several members in the same generation: nobody can be trusted with these.
    contested: BTreeSet<PartNo>,
    /// For each partition the latest of the claims that are older than the group's generation.
    outdated: Marks<Option<(MemberNo, i32)>>,
}

impl Claims {
    fn of(group: &Group<'_>, claim: impl Fn(&Peer<'_>) -> Claim) -> Self {
        let claims: Vec<Settling> = group
            .members()
            .map(|(member, peer)| {
                let Claim { partitions, generation } = claim(peer);
                let partitions = partitions.iter().filter_map(|p| group.find(p)).collect();
                Settling { member, partitions, generation }
            })
            .collect();
        let mut settled = Self {
            held: Lists::new(group.member_count()),
            contested: BTreeSet::new(),
            outdated: Marks::new(group.part_count()),
        };
        settled.settle(group, &claims);
        settled.remember_outdated(&claims);
        settled
    }

    /// One after the other: the claim of the newer generation wins. Java compares with what the
    /// other member's subscription says, even where its user data says something else.
    fn settle(&mut self, group: &Group<'_>, claims: &[Settling]) {
        let mut holders: Marks<Option<MemberNo>> = Marks::new(group.part_count());
        for claim in claims {
            let generation = claim.generation.unwrap_or(NO_GENERATION);
            for part in claim.partitions.iter().copied() {
                let Some(other) = holders.of(part.0) else {
                    self.held.push(claim.member.0, part);
                    holders.set(part.0, Some(claim.member));
                    continue;
                };
                let others = group.member(other).and_then(|peer| peer.subscription.generation);
                let others = others.unwrap_or(NO_GENERATION);
                if generation < others {
                    continue;
                }
                if generation == others {
                    self.contested.insert(part);
                } else {
                    self.held.push(claim.member.0, part);
                }
                self.held.remove(other.0, part);
                holders.set(part.0, Some(claim.member));
            }
        }
    }

    fn remember_outdated(&mut self, claims: &[Settling]) {
        let generations = claims.iter().filter_map(|claim| claim.generation);
        let newest = generations.fold(NO_GENERATION, i32::max);
        for claim in claims {
            let generation = claim.generation.unwrap_or(NO_GENERATION);
            if generation >= newest {
                continue;
            }
            for part in &claim.partitions {
                let known = self.outdated.of(part.0);
                if known.is_none_or(|(_, known)| generation > known) {
                    self.outdated.set(part.0, Some((claim.member, generation)));
                }
            }
        }
    }
}

/// A claim in numbers, of partitions that exist.
struct Settling {
    member: MemberNo,
    partitions: Vec<PartNo>,
    generation: Option<i32>,
}

/// Below every generation that a group can have.
pub(super) const NO_GENERATION: i32 = -1;
