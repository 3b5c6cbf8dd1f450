//! Metadata that lies: brokers that are nowhere, leaders that do not exist, topics that change
//! under one's hands, and more of everything than there is.

use std::net::Ipv4Addr;

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use klamm_protocol::wire::Uuid;

use super::script::{Asked, Script};
use super::{Case, Ending, Ending::*, FRAME_CAP, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = brokers();
    cases.extend(leaders());
    cases.extend(topics());
    cases.extend(partitions());
    cases.extend(floods());
    cases
}

/// Changes what metadata says, each time.
fn told(edit: impl Fn(&Asked, &mut MetadataResponse) + Send + Sync + 'static) -> Script {
    Script::honest().edit::<MetadataRequest>(edit)
}

/// Changes what metadata says of each broker.
fn each_broker(edit: impl Fn(&mut MetadataResponseBroker) + Send + Sync + 'static) -> Script {
    told(move |_, told| told.brokers.iter_mut().for_each(&edit))
}

/// Changes what metadata says of each topic.
fn each_topic(edit: impl Fn(&Asked, &mut MetadataResponseTopic) + Send + Sync + 'static) -> Script {
    told(move |asked, told| told.topics.iter_mut().for_each(|topic| edit(asked, topic)))
}

/// Changes what metadata says of each partition.
fn each_partition(
    edit: impl Fn(&Asked, &mut MetadataResponsePartition) + Send + Sync + 'static,
) -> Script {
    each_topic(move |asked, topic| topic.partitions.iter_mut().for_each(|one| edit(asked, one)))
}

/// Hosts that lead nowhere. None of them resolves to anybody.
const HOSTS: [&str; 6] =
    ["", "nobody.invalid", "line\nbreak.invalid", "nul\0byte.invalid", "..invalid", "[::1"];
const PORTS: [i32; 5] = [0, -1, 70_000, i32::MAX, i32::MIN];

fn brokers() -> Vec<Case> {
    let host = |host: &'static str| each_broker(move |broker| broker.host = host.to_owned());
    let port = |port: i32| each_broker(move |broker| broker.port = port);
    let long = each_broker(|broker| broker.host = format!("{}.invalid", "a".repeat(30_000)));
    let nobody = || told(|_, told| told.brokers.clear());
    let strangers = |_: &Asked, told: &mut MetadataResponse| {
        told.brokers.iter_mut().for_each(|broker| broker.node_id = -1 - broker.node_id);
    };
    let mut cases = Vec::new();
    let name = "a broker at a host that leads nowhere";
    cases.extend(sweep(name, Goal::Metadata, &[Right], HOSTS.map(host)));
    let name = "a leader at a host that leads nowhere";
    cases.extend(sweep(name, Goal::Produce, &[NotWritten], HOSTS.map(host)));
    let name = "records at a host that leads nowhere";
    cases.extend(sweep(name, Goal::Read, &[Late], HOSTS.map(host)));
    let name = "a broker at an impossible port";
    cases.extend(sweep(name, Goal::Offsets, &[Late, Unreachable], PORTS.map(port)));
    let name = "a leader at an impossible port";
    cases.extend(sweep(name, Goal::Produce, &[NotWritten, Unreachable, Late], PORTS.map(port)));
    cases.extend([
        case("a broker whose name is 30 kB long", Goal::Offsets, &[Late], long),
        case("no broker in the cluster", Goal::Connect, &[Unreachable, Late], nobody()),
        case("no broker any more", Goal::Refresh, &[Late], nobody().skip(1)),
        case("brokers with negative ids", Goal::Connect, &[Unreachable, Late], told(strangers)),
        case(
            "all brokers have one id",
            Goal::Metadata,
            &[Right],
            told(|_, told| told.brokers.iter_mut().for_each(|broker| broker.node_id = 1))
                .brokers(3),
        ),
        case(
            "a controller that does not exist",
            Goal::Create,
            &[Late],
            told(|_, told| told.controller_id = 99),
        ),
        case(
            "no controller",
            Goal::Create,
            &[Right],
            told(|_, told| told.controller_id = i32::MIN),
        ),
        case(
            "another cluster each time",
            Goal::Refresh,
            &[Right],
            told(|asked, told| told.cluster_id = Some(format!("cluster {}", asked.nth))),
        ),
        case(
            "throttled metadata",
            Goal::Metadata,
            &[Late],
            told(|_, told| told.throttle_time_ms = i32::MAX),
        ),
    ]);
    cases
}

fn leaders() -> Vec<Case> {
    let leader = |node: i32| each_partition(move |_, one| one.leader_id = node);
    let ghost = [99, -5, i32::MAX, i32::MIN];
    let wandering = || {
        each_partition(|asked, one| {
            one.leader_id = 1 + asked.nth as i32 % 2;
            one.leader_epoch = asked.nth as i32;
        })
        .brokers(2)
    };
    let poisoned = || {
        each_partition(|_, one| (one.leader_id, one.leader_epoch) = (99, i32::MAX)).skip(1).times(1)
    };
    let backwards = || each_partition(|asked, one| one.leader_epoch = -(asked.nth as i32));
    let goals: [(Goal, &[Ending]); 3] =
        [(Goal::Offsets, &[Late]), (Goal::Read, &[Late]), (Goal::Produce, &[NotWritten])];
    let names = [
        "offsets of a leader that does not exist",
        "records of a leader that does not exist",
        "writing to a leader that does not exist",
    ];
    let ghosts = names.into_iter().zip(goals);
    let mut cases: Vec<_> = ghosts
        .flat_map(|(name, (goal, endings))| sweep(name, goal, endings, ghost.map(leader)))
        .collect();
    cases.extend([
        case("a leader that changes with each look", Goal::Read, &[Right, Late], wandering()),
        case(
            "a leader that changes with each look, to write",
            Goal::Produce,
            &[Right, Unknown],
            wandering(),
        ),
        case("a leader of the last epoch that does not exist", Goal::Read, &[Late], poisoned()),
        case("a leader of the last epoch, to write", Goal::Produce, &[NotWritten], poisoned()),
        case("epochs that go back", Goal::Offsets, &[Right, Late], backwards()),
        case("epochs that go back while writing", Goal::Produce, &[Right], backwards()),
    ]);
    cases
}

fn topics() -> Vec<Case> {
    let renewed = || {
        each_topic(|asked, topic| {
            topic.topic_id = Uuid(u128::from(asked.nth + 7).to_be_bytes());
        })
    };
    let renamed = || each_topic(|_, topic| topic.name = Some("other".to_owned()));
    let nameless = || each_topic(|_, topic| topic.name = None);
    let gone = || told(|_, told| told.topics.clear());
    let twice = |code: ErrorCode| {
        told(move |_, told| {
            let again = told.topics.iter().cloned().map(|mut topic| {
                topic.error_code = code;
                topic
            });
            told.topics = told.topics.iter().cloned().chain(again).collect();
        })
    };
    vec![
        case("another topic id with each look", Goal::Read, &[Right, Late, Lost], renewed()),
        case(
            "another topic id with each look, to write",
            Goal::Produce,
            &[NotWritten, Unknown],
            renewed(),
        ),
        case("the topic by another name", Goal::Metadata, &[NoSuch, Late], renamed()),
        case("the topic by another name, to write", Goal::Produce, &[NoSuch, Late], renamed()),
        case("a topic without a name", Goal::Metadata, &[NoSuch, Late], nameless()),
        case("no topics in the answer", Goal::Offsets, &[NoSuch, Late], gone()),
        case("the topic twice", Goal::Metadata, &[Right], twice(ErrorCode::NONE)),
        case(
            "the topic twice, once forbidden",
            Goal::Metadata,
            &[NoSuch],
            twice(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        ),
        case(
            "a topic that is one of Kafka's own",
            Goal::Metadata,
            &[Right],
            each_topic(|_, topic| topic.is_internal = true),
        ),
    ]
}

fn partitions() -> Vec<Case> {
    let beside = |index: i32| {
        move |_: &Asked, topic: &mut MetadataResponseTopic| {
            let more = topic.partitions.first().cloned();
            topic.partitions.extend(more.map(|mut one| {
                one.partition_index = index;
                one
            }));
        }
    };
    let far = [1_000_000, i32::MAX - 1, i32::MAX].map(|index| each_topic(beside(index)));
    let far_read = [1_000_000, i32::MAX].map(|index| each_topic(beside(index)));
    let below = [-1, i32::MIN].map(|index| each_topic(beside(index)));
    let only_below = each_topic(|_, topic| {
        topic.partitions.iter_mut().for_each(|one| one.partition_index = -1);
    });
    let double = each_topic(|_, topic| {
        let mut again = topic.partitions.clone();
        again.iter_mut().for_each(|one| one.leader_id = 99);
        topic.partitions.splice(0..0, again);
    });
    let none = each_topic(|_, topic| topic.partitions.clear());
    let mut cases = Vec::new();
    let name = "a partition of the largest number, to write";
    cases.extend(sweep(name, Goal::Produce, &[Right], far).into_iter().map(Case::greedy));
    let name = "a partition of the largest number";
    cases.extend(sweep(name, Goal::Offsets, &[Right], far_read).into_iter().map(Case::greedy));
    let name = "a partition below zero";
    cases.extend(sweep(name, Goal::Metadata, &[Right], below));
    cases.extend([
        case("partitions below zero only", Goal::Produce, &[NoSuch, Late], only_below),
        case("a partition twice, once without a leader", Goal::Read, &[Right], double),
        case("a topic without partitions", Goal::Produce, &[NoSuch, Late], none),
    ]);
    cases
}

/// So many partitions without replicas; they fill some twenty bytes each.
fn crowd(count: usize) -> impl Iterator<Item = MetadataResponsePartition> {
    (1..count).map(|index| MetadataResponsePartition {
        partition_index: index as i32,
        leader_id: 1,
        leader_epoch: 0,
        ..MetadataResponsePartition::default()
    })
}

fn floods() -> Vec<Case> {
    let partitions = || each_topic(|_, topic| topic.partitions.extend(crowd(FRAME_CAP / 20)));
    let replicas = each_partition(|_, one| one.replica_nodes = vec![1; FRAME_CAP / 4 - 1_000]);
    // Topics that nobody asked for, others each time.
    let topics = told(|asked, told| {
        let topic = |number: usize| MetadataResponseTopic {
            name: Some(format!("unasked {} {number}", asked.nth)),
            ..MetadataResponseTopic::default()
        };
        told.topics.extend((0..FRAME_CAP / 200).map(topic));
    });
    // Brokers that are not there.
    let nowhere = told(|_, told| {
        let broker = |id: i32| MetadataResponseBroker {
            node_id: 1_000 + id,
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: CLOSED,
            rack: None,
        };
        told.brokers = (0..FRAME_CAP as i32 / 30).map(broker).collect();
    });
    // The one broker, by another id each time.
    let restless = told(|asked, told| {
        let id = 10 + asked.nth as i32;
        told.brokers.iter_mut().for_each(|broker| broker.node_id = id);
        let partitions = told.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|one| (one.leader_id, one.leader_epoch) = (id, asked.nth as i32));
    });
    vec![
        case("as many partitions as a frame holds", Goal::Metadata, &[Misled], partitions())
            .greedy(),
        case(
            "as many partitions as a frame holds, to write",
            Goal::Produce,
            &[Right],
            partitions(),
        )
        .greedy(),
        case("as many replicas as a frame holds", Goal::Metadata, &[Right], replicas).greedy(),
        case("topics that nobody asked for", Goal::Refresh, &[Right], topics).greedy(),
        case(
            "as many brokers as a frame holds, none there",
            Goal::Metadata,
            &[Right, Late],
            nowhere,
        )
        .greedy(),
        case("another broker id with each look", Goal::Refresh, &[Right], restless).greedy(),
        case(
            "an error in each metadata answer",
            Goal::Connect,
            &[Refused],
            told(|_, told| told.error_code = ErrorCode::REBOOTSTRAP_REQUIRED),
        ),
        case(
            "an error in each metadata answer but the first",
            Goal::Refresh,
            &[Late],
            told(|_, told| told.error_code = ErrorCode::REBOOTSTRAP_REQUIRED).skip(1),
        ),
        case(
            "one good look among many refused",
            Goal::Refresh,
            &[Right, Late],
            told(|asked, told| {
                if asked.nth % 2 > 0 {
                    told.error_code = ErrorCode::UNKNOWN_SERVER_ERROR;
                }
            }),
        ),
        case("metadata in an old version", Goal::Read, &[Right], wandering_in_old_versions()),
    ]
}

/// No leader epochs and no topic ids: a broker from before both.
fn wandering_in_old_versions() -> Script {
    each_partition(|asked, one| one.leader_id = 1 + i32::from(asked.nth < 2) * 98)
        .up_to(ApiKey::Metadata, 5)
}

/// A port where nobody listens.
const CLOSED: i32 = 1;
