//! The `cooperative-sticky` assignor (KIP-429). In: a group; out: the shares of `sticky` without the
//! partitions that another member has to give up first. It gives them up when it learns its share,
//! joins again at once, and then they are free to be given out.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, Peer};
use super::sticky::{self, Claim, NO_GENERATION};
use super::table::{MemberNo, PartNo, Shares};
use super::user_data::CooperativeUserData;

pub(super) fn assign(group: &Group<'_>) -> Shares {
    let sticky::Shared { mut shares, moved } = sticky::assign(group, claim);
    let moved = moved.unwrap_or_else(|| moved_to(group, &shares));
    for (part, member) in moved {
        shares.remove(member.0, part);
    }
    shares
}

/// The claim of a member: what it owns, since the generation that its subscription tells or, in
/// versions that do not, its user data.
fn claim(peer: &Peer<'_>) -> Claim {
    let subscription = peer.subscription;
    let from_user_data = || {
        let data = CooperativeUserData::decode(subscription.user_data.clone()?);
        Some(data.map_or(NO_GENERATION, |data| data.generation))
    };
    let generation = subscription.generation.or_else(from_user_data);
    Claim { partitions: subscription.owned.clone(), generation }
}

/// What is new for a member and given up by another, and whom it goes to.
fn moved_to(group: &Group<'_>, shares: &Shares) -> BTreeMap<PartNo, MemberNo> {
    let mut added = BTreeMap::new();
    let mut revoked = BTreeSet::new();
    for (member, peer) in group.members() {
        let owned: BTreeSet<PartNo> =
            peer.subscription.owned.iter().filter_map(|part| group.find(part)).collect();
        let share: BTreeSet<PartNo> = shares.of(member.0).iter().copied().collect();
        added.extend(share.difference(&owned).map(|part| (*part, member)));
        revoked.extend(owned.difference(&share).copied());
    }
    added.retain(|part, _| revoked.contains(part));
    added
}
