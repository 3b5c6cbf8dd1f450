//! The assignors of consumer groups against Kafka's own Java code: whoever leads a group, Java's
//! client or ours, its members must get the same partitions, in the same order.
//!
//! Groups are random, each from a seed that a failure names; `KLAMM_ASSIGN_SEED` runs one alone, and
//! `KLAMM_ASSIGN_SEEDS` says how many there are for each assignor.

mod blobs;
mod groups;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use klamm_protocol::assign::{Assignor, Member, TopicPartition};
use klamm_testkit::oracle::Java;
use klamm_testkit::{apache, oracle};

use groups::World;

/// Which partitions each member gets.
type Shares = BTreeMap<String, Vec<TopicPartition>>;

#[test]
fn range_assigns_as_java_does() {
    random_groups(Assignor::Range);
}

#[test]
fn round_robin_assigns_as_java_does() {
    random_groups(Assignor::RoundRobin);
}

#[test]
fn sticky_assigns_as_java_does() {
    random_groups(Assignor::Sticky);
}

#[test]
fn cooperative_sticky_assigns_as_java_does() {
    random_groups(Assignor::CooperativeSticky);
}

#[test]
fn groups_whose_members_come_and_go_are_assigned_as_java_does_round_after_round() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut excused = 0;
    for assignor in Assignor::ALL {
        for seed in seeds(60) {
            let mut random = Rng::with_seed(seed);
            let mut world = World::fresh(&mut random);
            for round in 1..=8 {
                let name = format!("{assignor}, seed {seed}, round {round}");
                let shares = world.assign(assignor);
                excused += u64::from(!is_javas(&mut java, assignor, &world, &shares, &name));
                check(assignor, &world, &shares, &name);
                check_nothing_is_read_twice(assignor, &world, &shares, &name);
                world.hold(assignor, &shares, round);
                world.change(&mut random);
            }
        }
    }
    assert!(excused <= 40, "{excused} of 1920 groups were not compared");
}

fn random_groups(assignor: Assignor) {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let (mut excused, groups) = (0, number("KLAMM_ASSIGN_SEEDS").unwrap_or(1000));
    for seed in seeds(groups) {
        let world = World::random(&mut Rng::with_seed(seed), assignor);
        let shares = world.assign(assignor);
        let name = format!("{assignor}, seed {seed}");
        check(assignor, &world, &shares, &name);
        excused += u64::from(!is_javas(&mut java, assignor, &world, &shares, &name));
    }
    assert!(excused * 50 <= groups, "{excused} of {groups} groups were not compared");
}

/// Compares with what Java assigns; `false` if that is different because it is wrong.
fn is_javas(java: &mut Java, by: Assignor, world: &World, shares: &Shares, name: &str) -> bool {
    match ask(java, by, world) {
        Ok(javas) if javas == *shares => true,
        _ if is_beyond_java(by, world) => false,
        Ok(javas) => panic!("{name}: {shares:#?} but Java {javas:#?} for {world:#?}"),
        Err(error) => panic!("{name}: {error} for {world:#?}"),
    }
}

/// Java's sticky assignors give partitions to members that do not subscribe to them in two cases:
/// where somebody claims what it does not subscribe to (that may also end in a null pointer), and
/// where all subscriptions are the same but for empty ones.
fn is_beyond_java(assignor: Assignor, world: &World) -> bool {
    let is_sticky = matches!(assignor, Assignor::Sticky | Assignor::CooperativeSticky);
    let wants_nothing = |member: &Member| member.subscription.topics.is_empty();
    let is_odd = |member| claims_what_it_does_not_want(member) || wants_nothing(member);
    is_sticky && world.members.iter().any(is_odd)
}

fn claims_what_it_does_not_want(member: &Member) -> bool {
    groups::claims(member).iter().any(|claim| {
        let mut topics = member.subscription.topics.iter();
        !topics.any(|topic| **topic == *claim.topic)
    })
}

/// Each partition that somebody wants goes to exactly one member that wants it. With cooperative
/// rebalancing it may go to nobody for a generation.
fn check(assignor: Assignor, world: &World, shares: &Shares, name: &str) {
    let mut wanted = BTreeSet::new();
    for member in &world.members {
        for topic in &member.subscription.topics {
            let Some((topic, layout)) = world.topics.get_key_value(&**topic) else { continue };
            let numbers = (0..).take(layout.partitions);
            wanted.extend(numbers.map(|number| TopicPartition::new(topic.clone(), number)));
        }
        let topics = &member.subscription.topics;
        let is_wanted = |part: &TopicPartition| topics.iter().any(|topic| **topic == *part.topic);
        assert!(
            shares[&member.id].iter().all(is_wanted),
            "{name}: {} got what it did not want",
            member.id
        );
    }
    let given: BTreeSet<&TopicPartition> = shares.values().flatten().collect();
    assert_eq!(given.len(), shares.values().flatten().count(), "{name}: given twice");
    assert!(given.iter().all(|part| wanted.contains(*part)), "{name}: does not exist");
    if !assignor.is_cooperative() {
        assert_eq!(given.len(), wanted.len(), "{name}: not given");
    }
}

/// What a member owns does not go to another in the same generation.
fn check_nothing_is_read_twice(assignor: Assignor, world: &World, shares: &Shares, name: &str) {
    if !assignor.is_cooperative() {
        return;
    }
    for member in &world.members {
        let owned: BTreeSet<_> = member.subscription.owned.iter().collect();
        for (other, share) in shares.iter().filter(|(other, _)| **other != member.id) {
            let both = share.iter().find(|part| owned.contains(part));
            assert_eq!(both, None, "{name}: {} owns what {other} gets", member.id);
        }
    }
}

fn ask(java: &mut Java, assignor: Assignor, world: &World) -> Result<Shares, String> {
    let shares = java.assign(assignor.name(), &world.spec()).map_err(|error| error.to_string())?;
    let named = |share: Vec<(String, i32)>| {
        share.into_iter().map(|(topic, number)| TopicPartition::new(topic, number)).collect()
    };
    Ok(shares.into_iter().map(|(id, share)| (id, named(share))).collect())
}

fn seeds(count: u64) -> impl Iterator<Item = u64> {
    match number("KLAMM_ASSIGN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    }
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().unwrap())
}
