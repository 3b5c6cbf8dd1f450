//! What members and leader hand each other, written and read by Java and by us.

use bytes::Bytes;
use fastrand::Rng;
use klamm_protocol::assign::{Assignment, Assignor, StickyUserData, Subscription, TopicPartition};
use klamm_testkit::oracle::{AssignmentSpec, Named, SubscriptionSpec};
use klamm_testkit::{apache, oracle};

#[test]
fn subscriptions_travel_between_java_and_us_in_every_version() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = Rng::with_seed(4);
    for round in 0..300 {
        let subscription = subscription(&mut random);
        for version in 0..=3 {
            let ours = subscription.encode(version).unwrap();
            let javas = java.write_subscription(&spec(&subscription), version).unwrap();
            assert_eq!(ours, javas, "round {round}, version {version}");
            let read = Subscription::decode(javas).unwrap();
            assert_eq!(java.read_subscription(&ours).unwrap(), spec(&read));
        }
        let newer = newer(&subscription.encode(3).unwrap());
        let read = Subscription::decode(newer.clone()).unwrap();
        assert_eq!(java.read_subscription(&newer).unwrap(), spec(&read));
    }
}

#[test]
fn assignments_travel_between_java_and_us_in_every_version() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = Rng::with_seed(5);
    for round in 0..300 {
        let Subscription { owned: partitions, user_data, .. } = subscription(&mut random);
        let assignment = Assignment { partitions, user_data };
        for version in 0..=3 {
            let ours = assignment.encode(version).unwrap();
            let javas = java.write_assignment(&assignment_spec(&assignment), version).unwrap();
            assert_eq!(ours, javas, "round {round}, version {version}");
            let read = Assignment::decode(javas).unwrap();
            assert_eq!(java.read_assignment(&ours).unwrap(), assignment_spec(&read));
        }
        let newer = newer(&assignment.encode(3).unwrap());
        let read = Assignment::decode(newer.clone()).unwrap();
        assert_eq!(java.read_assignment(&newer).unwrap(), assignment_spec(&read));
    }
}

#[test]
fn what_we_read_in_damaged_blobs_java_reads_as_well() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = Rng::with_seed(6);
    let mut read = 0;
    for _ in 0..2000 {
        let mut blob = subscription(&mut random).encode(random.i16(0..=3)).unwrap().to_vec();
        for _ in 0..random.usize(1..3) {
            let at = random.usize(0..blob.len());
            blob[at] ^= 1 << random.u8(0..8);
        }
        if let Ok(subscription) = Subscription::decode(blob.clone().into()) {
            assert_eq!(java.read_subscription(&blob).unwrap(), spec(&subscription));
            read += 1;
        }
        if let Ok(assignment) = Assignment::decode(blob.clone().into()) {
            assert_eq!(java.read_assignment(&blob).unwrap(), assignment_spec(&assignment));
        }
    }
    assert!(read > 200, "only {read} blobs were still read");
}

#[test]
fn user_data_is_javas() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = Rng::with_seed(7);
    for _ in 0..300 {
        let owned = subscription(&mut random).owned;
        let (generation, assigned) = match random.u8(0..4) {
            0 => (-1, None),
            _ => (random.i32(0..=i32::MAX), Some(owned.as_slice())),
        };
        for assignor in Assignor::ALL {
            let names = assigned.map(named);
            let javas = java.user_data(assignor.name(), generation, names.as_deref()).unwrap();
            let ours = assignor.user_data(generation, assigned).unwrap();
            let has_order =
                assigned.is_some_and(|parts| parts.iter().any(|p| p.topic != parts[0].topic));
            if assignor == Assignor::Sticky && has_order {
                // Java's topics come in the order of a hash table.
                assert_eq!(sorted(ours), sorted(javas), "{assigned:?}");
            } else {
                assert_eq!(ours, javas, "{assignor} for {assigned:?}");
            }
        }
    }
}

fn sorted(data: Option<Bytes>) -> (usize, StickyUserData) {
    let data = data.unwrap();
    let mut read = StickyUserData::decode(data.clone()).unwrap();
    read.partitions.sort();
    (data.len(), read)
}

fn subscription(random: &mut Rng) -> Subscription {
    let names: Vec<String> = (0..random.usize(1..20)).map(|_| name(random)).collect();
    let mut topics = names.clone();
    topics.retain(|_| random.bool());
    let one = |random: &mut Rng| {
        let topic = names[random.usize(0..names.len())].as_str();
        TopicPartition::new(topic, random.i32(0..40))
    };
    Subscription {
        topics,
        user_data: random.bool().then(|| (0..random.u8(0..30)).collect()),
        owned: (0..random.usize(0..30)).map(|_| one(random)).collect(),
        generation: random.bool().then(|| random.i32(0..=i32::MAX)),
        rack: random.bool().then(|| name(random)),
    }
}

/// Mostly what a topic may be called.
fn name(random: &mut Rng) -> String {
    let letters: Vec<char> = "abzAZ09._-\u{df}\u{20ac}\u{fb00}\u{1f680}".chars().collect();
    let length = random.usize(1..12);
    (0..length).map(|_| letters[random.usize(0..letters.len())]).collect()
}

/// A blob as a client of the future may write it: a higher version, and something at the end.
fn newer(blob: &Bytes) -> Bytes {
    let mut newer = blob.to_vec();
    newer[..2].copy_from_slice(&[0, 9]);
    newer.extend_from_slice(b"news");
    newer.into()
}

fn spec(subscription: &Subscription) -> SubscriptionSpec {
    SubscriptionSpec {
        topics: subscription.topics.clone(),
        user_data: subscription.user_data.clone(),
        owned: named(&subscription.owned),
        generation: subscription.generation.unwrap_or(-1),
        rack: subscription.rack.clone(),
    }
}

fn assignment_spec(assignment: &Assignment) -> AssignmentSpec {
    AssignmentSpec {
        partitions: named(&assignment.partitions),
        user_data: assignment.user_data.clone(),
    }
}

fn named(partitions: &[TopicPartition]) -> Vec<Named> {
    partitions.iter().map(|part| (part.topic.to_string(), part.partition)).collect()
}
