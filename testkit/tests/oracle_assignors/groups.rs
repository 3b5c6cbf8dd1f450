//! Random consumer groups: a seed in, members with subscriptions and topics with racks out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use klamm_protocol::assign::{
    Assignor, CooperativeUserData, Member, StickyUserData, Subscription, TopicLayout,
    TopicPartition, Topics,
};
use klamm_testkit::oracle::{GroupSpec, MemberSpec, Replicas};

use crate::Shares;

/// A group and the topics there are.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) members: Vec<Member>,
    pub(crate) topics: Topics,
    /// The topics of which members choose; some are missing.
    names: Vec<String>,
    /// For each member the version in which it sends its subscription.
    versions: BTreeMap<String, i16>,
    has_racks: bool,
    are_equal: bool,
    next: usize,
}

impl World {
    /// A group of which nobody holds anything yet, whose members send the newest version.
    pub(crate) fn fresh(random: &mut Rng) -> Self {
        let has_racks = random.u8(0..4) == 0;
        // Java's hash tables grow with the thirteenth key, and with the twenty-fifth.
        let scale = if random.u8(0..16) == 0 { 5 } else { 1 };
        let names: Vec<String> = (0..random.usize(1..=6 * scale)).map(|_| word(random)).collect();
        let mut world = Self {
            members: Vec::new(),
            topics: topics(&names, has_racks, random),
            names,
            versions: BTreeMap::new(),
            has_racks,
            are_equal: random.bool(),
            next: 0,
        };
        for _ in 0..random.usize(1..=10 * scale) {
            world.join(random);
        }
        world
    }

    /// A group whose members claim whatever they like, in any version.
    pub(crate) fn random(random: &mut Rng, assignor: Assignor) -> Self {
        let mut world = Self::fresh(random);
        if random.u8(0..4) > 0 {
            world.claim(random);
        }
        let claims: Vec<_> = world.members.iter().map(|m| m.subscription.owned.clone()).collect();
        for (member, claims) in world.members.iter_mut().zip(claims) {
            member.subscription.user_data = user_data(assignor, claims, random);
            let version = if random.bool() { 3 } else { random.i16(0..=3) };
            world.versions.insert(member.id.clone(), version);
            let sent = member.subscription.encode(version).unwrap();
            member.subscription = Subscription::decode(sent).unwrap();
        }
        world
    }

    pub(crate) fn assign(&self, assignor: Assignor) -> Shares {
        assignor.assign(&self.members, &self.topics)
    }

    /// The same for Java.
    pub(crate) fn spec(&self) -> GroupSpec {
        let members = self.members.iter().map(|member| {
            let version = self.versions.get(&member.id).copied().unwrap_or(3);
            MemberSpec {
                id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                subscription: member.subscription.encode(version).unwrap(),
            }
        });
        let topics = self.topics.iter().map(|(name, layout)| (name.to_string(), replicas(layout)));
        GroupSpec { members: members.collect(), topics: topics.collect() }
    }

    /// Members take what they are given, and join again as their client would have them.
    pub(crate) fn hold(&mut self, assignor: Assignor, shares: &Shares, generation: i32) {
        for member in &mut self.members {
            let share = &shares[&member.id];
            let subscription = &mut member.subscription;
            subscription.user_data = assignor.user_data(generation, Some(share)).unwrap();
            subscription.generation = Some(generation);
            // Who rebalances eagerly has given up everything by then.
            let owned = if assignor.is_cooperative() { share.clone() } else { Vec::new() };
            subscription.owned = owned;
            let read = Subscription::decode(subscription.encode(3).unwrap());
            *subscription = read.unwrap();
        }
    }

    /// Members leave, join and change their mind, or nothing happens.
    pub(crate) fn change(&mut self, random: &mut Rng) {
        for _ in 0..random.usize(0..=2) {
            match random.u8(0..5) {
                0 | 1 if self.members.len() > 1 => {
                    self.members.swap_remove(random.usize(0..self.members.len()));
                }
                4 if !self.are_equal => {
                    let at = random.usize(0..self.members.len());
                    self.members[at].subscription.topics = self.choice(random);
                    let Subscription { topics, owned, .. } = &mut self.members[at].subscription;
                    owned.retain(|part| topics.iter().any(|topic| **topic == *part.topic));
                }
                _ => self.join(random),
            }
        }
        random.shuffle(&mut self.members);
    }

    fn join(&mut self, random: &mut Rng) {
        let mut subscription = Subscription::to(self.choice(random));
        if self.has_racks {
            subscription.rack = rack(random, 4);
        }
        let id = format!("{}-{}-{:08x}", word(random), self.next, random.u32(..));
        let mut member = Member::new(id, subscription);
        if random.u8(0..4) == 0 {
            member.instance_id = Some(format!("{}-{}", random.u8(0..9), self.next));
        }
        self.next += 1;
        self.members.push(member);
    }

    /// The topics of a member: sorted, as they travel.
    fn choice(&self, random: &mut Rng) -> Vec<String> {
        let mut names = self.names.clone();
        names.retain(|_| self.are_equal || random.bool());
        if names.is_empty() && random.u8(0..10) > 0 {
            names.push(self.names[0].clone());
        }
        names.sort();
        names.dedup();
        names
    }

    /// Members claim partitions in one generation or another, sometimes the same ones.
    fn claim(&mut self, random: &mut Rng) {
        let only_wanted = random.u8(0..10) > 0;
        let (share, twice) = (random.f32(), random.f32() * 0.2);
        let (current, members) = (random.i32(1..9), self.members.len());
        for (name, layout) in &self.topics {
            for number in (0..).take(layout.partitions) {
                if random.f32() > share {
                    continue;
                }
                let claimants = if random.f32() < twice { random.usize(2..=3) } else { 1 };
                for _ in 0..claimants {
                    let subscription = &mut self.members[random.usize(0..members)].subscription;
                    if !only_wanted || subscription.topics.iter().any(|topic| **topic == **name) {
                        let part = TopicPartition::new(Arc::clone(name), number);
                        subscription.owned.push(part);
                    }
                }
            }
        }
        for member in &mut self.members {
            member.subscription.generation = match random.u8(0..10) {
                0 => None,
                1 | 2 => Some(random.i32(0..=current)),
                _ => Some(current),
            };
            if !only_wanted && random.u8(0..5) == 0 {
                member.subscription.owned.push(TopicPartition::new("gone", 3));
            }
        }
    }
}

/// All that a member claims to hold, in whatever way.
pub(crate) fn claims(member: &Member) -> Vec<TopicPartition> {
    let data = member.subscription.user_data.clone().unwrap_or_default();
    let told = StickyUserData::decode(data).unwrap_or_default().partitions;
    told.into_iter().chain(member.subscription.owned.iter().cloned()).collect()
}

fn topics(names: &[String], has_racks: bool, random: &mut Rng) -> Topics {
    let (missing, most) = (random.f32() * 0.3, [3, 20][random.usize(0..2)]);
    let mut topics = Topics::new();
    for name in names {
        if random.f32() < missing {
            continue;
        }
        let count = random.usize(0..=most);
        let layout = if has_racks {
            let replicas = random.usize(1..=3);
            let racks = |random: &mut Rng| -> Vec<Arc<str>> {
                let racks = (0..replicas).filter_map(|_| rack(random, 9));
                racks.filter(|rack| !rack.is_empty()).map(Into::into).collect()
            };
            TopicLayout::with_racks((0..count).map(|_| racks(random)).collect())
        } else {
            TopicLayout::new(count)
        };
        topics.insert(name.as_str().into(), layout);
    }
    topics
}

/// A rack, one time in `none` instead none or an empty one.
fn rack(random: &mut Rng, none: u8) -> Option<String> {
    match random.u8(0..2 * none) {
        0 => None,
        1 => Some(String::new()),
        _ => Some(format!("rack-{}", random.u8(0..3))),
    }
}

fn replicas(layout: &TopicLayout) -> Replicas {
    let racks = |number| layout.racks.get(number).map_or(&[][..], Vec::as_slice);
    let replicas = (0..layout.partitions).map(racks);
    replicas.map(|racks| racks.iter().map(|rack| Some(rack.to_string())).collect()).collect()
}

fn user_data(
    assignor: Assignor,
    partitions: Vec<TopicPartition>,
    random: &mut Rng,
) -> Option<Bytes> {
    let generation = random.i32(-1..6);
    match (random.u8(0..12), assignor) {
        (0, _) => None,
        (1, _) => Some((0..random.usize(0..9)).map(|_| random.u8(..)).collect()),
        (2..6, Assignor::Sticky) => {
            Some(StickyUserData { partitions, generation: Some(generation) }.encode().unwrap())
        }
        (6, Assignor::Sticky) => {
            Some(StickyUserData { partitions, generation: None }.encode().unwrap())
        }
        (_, Assignor::Sticky) => {
            Some(StickyUserData { partitions, generation: Some(5) }.encode().unwrap())
        }
        _ => Some(CooperativeUserData { generation }.encode()),
    }
}

fn word(random: &mut Rng) -> String {
    (0..random.usize(1..=9)).map(|_| random.lowercase()).collect()
}
