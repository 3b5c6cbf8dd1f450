//! What the members of a consumer group hand to its leader: any bytes in, as subscriptions and as
//! user data, and shares of partitions out.
//!
//! Invariant: a blob is refused or read, within at most [`PER_BYTE`] bytes of memory for each byte
//! of it, and what was read can be written and read again. Whatever members claim, every assignor
//! gives each partition that somebody subscribes to to exactly one of those who do (but the
//! cooperative one may hold it back while another member claims it), and the same ones again when
//! asked again.
//!
//! The input's first four bytes say how many partitions topics have, and the fifth where their
//! replicas are. Blobs follow, each after its length in two bytes; the last one may be cut short.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use klamm_protocol::assign::{
    Assignment, Assignor, CooperativeUserData, Member, StickyUserData, Subscription, TopicLayout,
    TopicPartition, Topics,
};
use klamm_protocol::error::DecodeError;

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let Some((layout, blobs)) = input.split_first_chunk() else { return };
    let mut members = Vec::new();
    for blob in pieces(blobs) {
        let blob = Bytes::copy_from_slice(blob);
        check(&blob, StickyUserData::decode, |read| read.encode().ok());
        check(&blob, CooperativeUserData::decode, |read| Some(read.encode()));
        check(&blob, Assignment::decode, |read| read.encode(3).ok());
        let read = check(&blob, Subscription::decode, |read| read.encode(3).ok());
        if let Some(subscription) = read.filter(|_| members.len() < MEMBERS) {
            members.push(member(members.len(), subscription));
        }
    }
    let topics = topics(*layout, &members);
    for assignor in Assignor::ALL {
        let shares = assignor.assign(&members, &topics);
        check_shares(assignor, &members, &topics, &shares);
        assert_eq!(assignor.assign(&members, &topics), shares, "{assignor}");
    }
}

/// Reads a blob. What was read has to survive being written; since that sorts it, two writings are
/// compared.
fn check<T: PartialEq + Debug>(
    blob: &Bytes,
    decode: fn(Bytes) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Option<Bytes>,
) -> Option<T> {
    let read = bounded(blob.len(), PER_BYTE, || decode(blob.clone())).ok()?;
    let written = encode(&read).expect("what was read can be written");
    let again = decode(written.clone()).expect("what was written can be read");
    assert_eq!(encode(&again), Some(written));
    Some(read)
}

fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        bytes = rest;
        Some(piece)
    })
}

fn member(index: usize, subscription: Subscription) -> Member {
    let mut member = Member::new(format!("{}-{index}", index * 7 % 5), subscription);
    member.instance_id = (index % 3 == 2).then(|| format!("static-{}", index % 2));
    member
}

/// Some of the topics that members name, and one that none does.
fn topics(layout: [u8; 5], members: &[Member]) -> Topics {
    let [counts @ .., racks] = layout;
    let names: BTreeSet<&String> = members.iter().flat_map(|m| &m.subscription.topics).collect();
    let known: Vec<Arc<str>> =
        members.iter().filter_map(|m| m.subscription.rack.as_deref().map(Into::into)).collect();
    let near = |number: usize| {
        let racks = known.iter().enumerate().filter(|(i, _)| racks >> ((number + i) % 8) & 1 == 1);
        racks.map(|(_, rack)| Arc::clone(rack)).collect()
    };
    let other = String::from("nobody wants this");
    let chosen = names.into_iter().take(TOPICS).chain([&other]).zip(counts.iter().cycle());
    chosen
        .map(|(name, count)| {
            let count = usize::from(*count) % PARTITIONS;
            let racks = (0..count).map(near).collect();
            (name.as_str().into(), TopicLayout::with_racks(racks))
        })
        .collect()
}

fn check_shares(
    assignor: Assignor,
    members: &[Member],
    topics: &Topics,
    shares: &BTreeMap<String, Vec<TopicPartition>>,
) {
    assert_eq!(shares.len(), members.len(), "{assignor}: a member is missing");
    let mut wanted = BTreeSet::new();
    let mut claimed = BTreeSet::new();
    for Member { id, subscription, .. } in members {
        for topic in &subscription.topics {
            let count = topics.get(&**topic).map_or(0, |layout| layout.partitions);
            wanted.extend((0..).take(count).map(|number| (topic.as_str(), number)));
        }
        for part in &shares[id] {
            let is_wanted = subscription.topics.iter().any(|topic| **topic == *part.topic);
            assert!(is_wanted, "{assignor}: {id} got {part}");
        }
        claimed.extend(subscription.owned.iter().map(|part| (&*part.topic, part.partition)));
    }
    for part in shares.values().flatten() {
        let is_there = wanted.remove(&(&*part.topic, part.partition));
        assert!(is_there, "{assignor}: {part} is given twice, or does not exist");
    }
    if assignor.is_cooperative() {
        wanted.retain(|part| !claimed.contains(part));
    }
    assert_eq!(wanted, BTreeSet::new(), "{assignor}: given to nobody");
}

/// The worst is a list of empty strings: 24 bytes each for two bytes that say so, twice over while
/// the list grows.
pub const PER_BYTE: usize = 32;

/// Enough for a second growth of Java's hash tables; more only take more time.
const MEMBERS: usize = 30;
const TOPICS: usize = 40;
const PARTITIONS: usize = 24;
