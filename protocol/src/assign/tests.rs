//! Small groups whose shares one can check by hand. That the assignors agree with Java's on any
//! group is tested with Java, in `testkit/tests/oracle_assignors.rs`.

use std::collections::BTreeSet;

use super::*;

/// `"a: x y"`: a member and its topics.
fn members(lines: &[&str]) -> Vec<Member> {
    let member = |line: &&str| {
        let (id, topics) = line.split_once(':').unwrap();
        Member::new(id, Subscription::to(topics.split_whitespace()))
    };
    lines.iter().map(member).collect()
}

fn topics(topics: &[(&str, usize)]) -> Topics {
    topics.iter().map(|(name, count)| ((*name).into(), TopicLayout::new(*count))).collect()
}

/// `"a: x-0 y-1; b:"`: what each member got.
fn shown(shares: &BTreeMap<String, Vec<TopicPartition>>) -> String {
    let shares = shares.iter().map(|(id, share)| {
        let share: String = share.iter().map(|partition| format!(" {partition}")).collect();
        format!("{id}:{share}")
    });
    shares.collect::<Vec<_>>().join("; ")
}

/// What each member got becomes what it claims.
fn hold(members: &mut [Member], shares: &BTreeMap<String, Vec<TopicPartition>>, generation: i32) {
    for member in members {
        let share = shares.get(&member.id).cloned().unwrap_or_default();
        let data = Assignor::Sticky.user_data(generation, Some(&share)).unwrap();
        member.subscription.user_data = data;
        member.subscription.owned = share;
        member.subscription.generation = Some(generation);
    }
}

fn sorted(mut share: Vec<TopicPartition>) -> Vec<TopicPartition> {
    share.sort();
    share
}

#[test]
fn names_are_those_of_the_protocol_and_of_javas_classes() {
    for assignor in Assignor::ALL {
        assert_eq!(assignor.name().parse(), Ok(assignor));
    }
    let class = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    assert_eq!(class.parse(), Ok(Assignor::CooperativeSticky));
    assert_eq!("uniform".parse::<Assignor>(), Err(UnknownAssignor));
}

#[test]
fn only_members_that_offer_nothing_eager_keep_reading() {
    assert!(is_cooperative(&[Assignor::CooperativeSticky]));
    assert!(!is_cooperative(&Assignor::DEFAULT));
    assert!(!is_cooperative(&[]));
}

#[test]
fn range_gives_equal_numbers_of_all_topics_to_the_same_member() {
    let group = members(&["b: x y", "a: x y"]);
    let shares = Assignor::Range.assign(&group, &topics(&[("x", 3), ("y", 3)]));
    assert_eq!(shown(&shares), "a: x-0 x-1 y-0 y-1; b: x-2 y-2");
}

#[test]
fn static_members_are_served_first_and_by_their_names() {
    let mut group = members(&["a: x", "b: x", "c: x"]);
    group[1].instance_id = Some("2".to_owned());
    group[2].instance_id = Some("1".to_owned());
    let shares = Assignor::Range.assign(&group, &topics(&[("x", 4)]));
    assert_eq!(shown(&shares), "a: x-3; b: x-2; c: x-0 x-1");
    let shares = Assignor::RoundRobin.assign(&group, &topics(&[("x", 4)]));
    assert_eq!(shown(&shares), "a: x-2; b: x-1; c: x-0 x-3");
}

#[test]
fn range_prefers_partitions_near_a_member_as_long_as_shares_stay_even() {
    let mut group = members(&["a: x", "b: x"]);
    group[0].subscription.rack = Some("north".to_owned());
    group[1].subscription.rack = Some("south".to_owned());
    let racks = ["south", "north", "south", "south"].map(|rack| vec![rack.into()]);
    let topics = [("x".into(), TopicLayout::with_racks(racks.into()))].into();
    let shares = Assignor::Range.assign(&group, &topics);
    assert_eq!(shown(&shares), "a: x-1 x-3; b: x-0 x-2");
}

#[test]
fn round_robin_passes_over_who_does_not_subscribe() {
    let group = members(&["a: x", "b: x y", "c: x y z"]);
    let shares = Assignor::RoundRobin.assign(&group, &topics(&[("x", 1), ("y", 2), ("z", 3)]));
    assert_eq!(shown(&shares), "a: x-0; b: y-0; c: y-1 z-0 z-1 z-2");
}

#[test]
fn missing_topics_and_those_that_nobody_wants_are_left_out() {
    let group = members(&["a: missing empty x", "b:"]);
    for assignor in Assignor::ALL {
        let shares = assignor.assign(&group, &topics(&[("x", 1), ("empty", 0), ("unwanted", 2)]));
        assert_eq!(shown(&shares), "a: x-0; b:", "{assignor}");
        assert!(assignor.assign(&[], &topics(&[("x", 1)])).is_empty());
    }
}

#[test]
fn sticky_members_keep_what_they_held_when_one_leaves() {
    let topics = topics(&[("x", 6), ("y", 3)]);
    let mut group = members(&["a: x y", "b: x y", "c: x y"]);
    let before = Assignor::Sticky.assign(&group, &topics);
    hold(&mut group, &before, 1);
    let again = Assignor::Sticky.assign(&group, &topics);
    for member in ["a", "b", "c"] {
        assert_eq!(sorted(again[member].clone()), sorted(before[member].clone()));
    }
    group.remove(1);
    let after = Assignor::Sticky.assign(&group, &topics);
    for member in ["a", "c"] {
        let kept: BTreeSet<_> = after[member].iter().collect();
        assert!(before[member].iter().all(|partition| kept.contains(partition)));
        assert!((4..=5).contains(&kept.len()));
    }
}

#[test]
fn what_changes_hands_is_given_out_one_generation_later() {
    let topics = topics(&[("x", 4)]);
    for lines in [["a: x", "b: x"], ["a: x missing", "b: x"]] {
        let mut group = members(&lines[..1]);
        let alone = Assignor::CooperativeSticky.assign(&group, &topics);
        hold(&mut group, &alone, 1);
        group.extend(members(&lines[1..]));
        let revoking = Assignor::CooperativeSticky.assign(&group, &topics);
        assert_eq!((revoking["a"].len(), revoking["b"].len()), (2, 0));
        hold(&mut group, &revoking, 2);
        let given = Assignor::CooperativeSticky.assign(&group, &topics);
        assert_eq!(sorted(given["a"].clone()), sorted(revoking["a"].clone()));
        assert_eq!(given["b"].len(), 2);
    }
}

#[test]
fn the_newer_of_two_claims_wins_and_of_equal_ones_none() {
    let topics = topics(&[("x", 2)]);
    for (generation, kept) in [(4, "x-1"), (6, "x-0")] {
        let mut group = members(&["a: x", "b: x"]);
        for member in &mut group {
            member.subscription.generation = Some(5);
            member.subscription.owned = vec![TopicPartition::new("x", 0)];
        }
        group[1].subscription.generation = Some(generation);
        let shares = Assignor::CooperativeSticky.assign(&group, &topics);
        assert_eq!(
            shares["b"].iter().any(|partition| partition.to_string() == "x-0"),
            kept == "x-0"
        );
    }
    let mut group = members(&["a: x", "b: x"]);
    for member in &mut group {
        member.subscription.generation = Some(5);
        member.subscription.owned = vec![TopicPartition::new("x", 0)];
    }
    let shares = Assignor::CooperativeSticky.assign(&group, &topics);
    assert_eq!(shown(&shares), "a:; b: x-1");
}

#[test]
fn claims_of_partitions_that_do_not_exist_are_ignored() {
    let topics = topics(&[("x", 1)]);
    for lines in [["a: x", "b: x"], ["a: x z", "b: x"]] {
        let mut group = members(&lines);
        let claim = ["x-7", "x--1", "x-1", "gone-0"].map(|name| {
            let (topic, number) = name.split_once('-').unwrap();
            TopicPartition::new(topic, number.parse().unwrap())
        });
        hold(&mut group[..1], &[("a".to_owned(), claim.into())].into(), 3);
        for assignor in Assignor::ALL {
            let shares = assignor.assign(&group, &topics);
            let all: Vec<_> = shares.values().flatten().map(ToString::to_string).collect();
            assert_eq!(all, ["x-0"], "{assignor}");
        }
    }
}

#[test]
fn members_with_few_topics_leave_the_others_to_the_rest() {
    let group = members(&["a: x", "b: x y", "c: x y z"]);
    let shares = Assignor::Sticky.assign(&group, &topics(&[("x", 1), ("y", 2), ("z", 3)]));
    assert_eq!(shown(&shares), "a: x-0; b: y-0 y-1; c: z-0 z-1 z-2");
}

#[test]
fn who_subscribes_to_nothing_gets_nothing() {
    for id in 'a'..='h' {
        let group = members(&["m: x", &format!("{id}:")]);
        for assignor in Assignor::ALL {
            let shares = assignor.assign(&group, &topics(&[("x", 2)]));
            assert_eq!(shares["m"].len(), 2, "{assignor} beside {id}");
        }
    }
}

#[test]
fn a_partition_does_not_go_back_to_a_holder_that_has_unsubscribed() {
    let topics = topics(&[("x", 6), ("y", 1)]);
    let mut group = members(&["a: x", "b: y", "c: x"]);
    let all: Vec<_> = (0..6).map(|number| TopicPartition::new("x", number)).collect();
    hold(&mut group[..1], &[("a".to_owned(), all.clone())].into(), 9);
    hold(&mut group[1..2], &[("b".to_owned(), all)].into(), 8);
    for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
        let shares = assignor.assign(&group, &topics);
        assert_eq!(shares["b"], [TopicPartition::new("y", 0)], "{assignor}");
    }
}

#[test]
fn who_names_a_topic_twice_gets_nothing_of_one_that_it_leaves_out() {
    let group = members(&["a: s t", "b: s s"]);
    let topics = topics(&[("s", 1), ("t", 2)]);
    for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
        let shares = assignor.assign(&group, &topics);
        assert!(shares["b"].iter().all(|part| &*part.topic == "s"), "{assignor}: {shares:?}");
        assert_eq!(shares.values().map(Vec::len).sum::<usize>(), 3, "{assignor}");
    }
}
