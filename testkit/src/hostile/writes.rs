//! Acknowledgements that lie: for other partitions, twice, with offsets that cannot be, with hints
//! that lead in circles; and identities that no broker would hand out.

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use klamm_protocol::messages::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceRequest, ProduceResponse,
};
use klamm_protocol::wire::Uuid;

use super::script::{Asked, Script};
use super::{Case, Ending::*, FRAME_CAP, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = places();
    cases.extend(offsets());
    cases.extend(refusals());
    cases.extend(redirects());
    cases.extend(identities());
    cases
}

/// Changes each acknowledgement.
fn acknowledged(edit: impl Fn(&Asked, &mut ProduceResponse) + Send + Sync + 'static) -> Script {
    Script::honest().edit::<ProduceRequest>(edit)
}

/// Changes what each acknowledgement says of its partition.
fn each(edit: impl Fn(&Asked, &mut PartitionProduceResponse) + Send + Sync + 'static) -> Script {
    acknowledged(move |asked, told| {
        let partitions = told.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
        partitions.for_each(|told| edit(asked, told));
    })
}

/// The acknowledgement and another one of this code, before it or behind it.
fn beside(code: ErrorCode, first: bool) -> Script {
    acknowledged(move |_, told| {
        for topic in &mut told.responses {
            let mut again = topic.partition_responses.clone();
            again.iter_mut().for_each(|told| told.error_code = code);
            let at = if first { 0 } else { topic.partition_responses.len() };
            topic.partition_responses.splice(at..at, again);
        }
    })
}

fn places() -> Vec<Case> {
    let other = [7, -1, i32::MAX].map(|index| each(move |_, told| told.index = index));
    let topic = acknowledged(|_, told| {
        for topic in &mut told.responses {
            (topic.name, topic.topic_id) = ("other".to_owned(), Uuid([9; 16]));
        }
    });
    let none = acknowledged(|_, told| told.responses.clear());
    let hollow = acknowledged(|_, told| {
        told.responses.iter_mut().for_each(|topic| topic.partition_responses.clear());
    });
    let crowd = acknowledged(|_, told| {
        for topic in &mut told.responses {
            let one = topic.partition_responses.first().cloned().unwrap_or_default();
            let others = (1..FRAME_CAP as i32 / 40)
                .map(|index| PartitionProduceResponse { index, ..one.clone() });
            topic.partition_responses.extend(others);
        }
    });
    let mut cases = sweep("another partition is acknowledged", Goal::Produce, &[Unknown], other);
    cases.extend([
        case("another topic is acknowledged", Goal::Produce, &[Unknown], topic),
        case("nothing is acknowledged", Goal::Produce, &[Unknown], none),
        case("a topic without partitions is acknowledged", Goal::Produce, &[Unknown], hollow),
        case(
            "as many partitions as a frame holds are acknowledged",
            Goal::Produce,
            &[Right],
            crowd,
        )
        .greedy(),
        case(
            "acknowledged, then refused in the same answer",
            Goal::Produce,
            &[Right],
            beside(ErrorCode::TOPIC_AUTHORIZATION_FAILED, false),
        ),
        case(
            "refused, then acknowledged in the same answer",
            Goal::Produce,
            // Whether it was written is what such a broker leaves open.
            &[NotWritten, Unknown],
            beside(ErrorCode::NOT_LEADER_OR_FOLLOWER, true),
        ),
    ]);
    cases
}

fn offsets() -> Vec<Case> {
    let offset = |offset: i64| each(move |_, told| told.base_offset = offset);
    let name = "an offset that cannot be";
    let mut cases = sweep(
        name,
        Goal::Produce,
        &[Misled],
        [-1, i64::MIN, i64::MAX, i64::MAX - 1, 1_000_000].map(offset),
    );
    let times = [i64::MIN, -2, i64::MAX].map(|time| {
        each(move |_, told| {
            told.log_append_time_ms = time;
            told.log_start_offset = time;
        })
    });
    let name = "an append time that cannot be";
    cases.extend(sweep(name, Goal::Produce, &[Right], times));
    cases
}

fn refusals() -> Vec<Case> {
    let lie = |code: ErrorCode| each(move |_, told| told.error_code = code);
    let long = each(|_, told| {
        told.error_code = ErrorCode::INVALID_RECORD;
        told.error_message = Some("\nforged".repeat(4_000));
    });
    let once = |code: ErrorCode| each(move |_, told| told.error_code = code).times(1);
    let passing = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::NOT_ENOUGH_REPLICAS,
    ];
    let lost = [ErrorCode::UNKNOWN_PRODUCER_ID, ErrorCode::INVALID_PRODUCER_EPOCH];
    let first_lost_then_refused = Script::honest()
        .alter(ApiKey::Produce, |_, _| vec![super::Step::Close])
        .times(1)
        .edit::<ProduceRequest>(|_, told| {
            let partitions = told.responses.iter_mut().flat_map(|t| &mut t.partition_responses);
            partitions.for_each(|told| told.error_code = ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        });
    let mut cases = Vec::new();
    let name = "refused once, though it was written";
    cases.extend(sweep(name, Goal::Produce, &[Right], passing.map(once)));
    let name = "the producer is forgotten with each batch";
    cases.extend(sweep(name, Goal::Produce, &[NotWritten, Unknown], lost.map(lie)));
    cases.extend([
        case("a refusal with words of 28 kB", Goal::Produce, &[NotWritten], long),
        case(
            "a first answer lost, then a refusal",
            Goal::Produce,
            &[Unknown],
            first_lost_then_refused,
        ),
        case(
            "a duplicate of nothing",
            Goal::Produce,
            &[Misled],
            Script::honest().fail(ApiKey::Produce, ErrorCode::DUPLICATE_SEQUENCE_NUMBER),
        ),
        case(
            "out of order for ever",
            Goal::Produce,
            &[NotWritten, Unknown],
            Script::honest().fail(ApiKey::Produce, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        ),
    ]);
    cases
}

/// Refuses each batch and names a leader, in ever newer epochs.
fn sent_on(to: impl Fn(&Asked) -> (i32, String, i32) + Send + Sync + 'static) -> Script {
    acknowledged(move |asked, told| {
        let (node_id, host, port) = to(asked);
        told.node_endpoints = vec![NodeEndpoint { node_id, host, port, rack: None }];
        let partitions = told.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
        for told in partitions {
            told.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            let leader_epoch = 10 + asked.nth as i32;
            told.current_leader = LeaderIdAndEpoch { leader_id: node_id, leader_epoch };
        }
    })
}

fn redirects() -> Vec<Case> {
    let around = sent_on(|asked| {
        let other = 3 - asked.node;
        let (host, port) = asked.address(other);
        (other, host, port)
    });
    let strangers = sent_on(|asked| {
        let (host, port) = asked.address(1);
        (100 + asked.nth as i32, host, port)
    });
    let nowhere =
        [-1, 0, 1, 70_000].map(|port| sent_on(move |_| (50, "nobody.invalid".to_owned(), port)));
    let last = each(|_, told| {
        told.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        told.current_leader = LeaderIdAndEpoch { leader_id: 99, leader_epoch: i32::MAX };
    });
    let beside = each(|_, told| {
        told.current_leader = LeaderIdAndEpoch { leader_id: 99, leader_epoch: i32::MAX };
    });
    let mut cases = vec![
        case(
            "two nodes that send writers in circles",
            Goal::Produce,
            &[Unknown],
            around.brokers(2),
        ),
        case("another leader for every batch", Goal::Produce, &[Unknown], strangers),
        case("a leader of the last epoch that is nowhere", Goal::Produce, &[Unknown], last),
        case("another leader named beside a success", Goal::Produce, &[Right], beside),
    ];
    cases.extend(sweep(
        "a new leader that is nowhere, to write",
        Goal::Produce,
        &[Unknown],
        nowhere,
    ));
    cases
}

fn identities() -> Vec<Case> {
    let identity = |producer_id: i64, producer_epoch: i16| {
        Script::honest().answer::<InitProducerIdRequest>(move |_| InitProducerIdResponse {
            producer_id,
            producer_epoch,
            ..InitProducerIdResponse::default()
        })
    };
    let odd =
        [(i64::MAX, 0), (0, i16::MAX), (1, i16::MAX - 1)].map(|(id, epoch)| identity(id, epoch));
    let impossible =
        [(-1, -1), (i64::MIN, 0), (5, -1), (5, i16::MIN)].map(|(id, epoch)| identity(id, epoch));
    // The last epoch, so that starting over needs another id, which never comes.
    let used_up =
        identity(7, i16::MAX).fail(ApiKey::Produce, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let mut cases = sweep("an odd producer id", Goal::Produce, &[Right], odd);
    let name = "a producer id that cannot be";
    cases.extend(sweep(name, Goal::Produce, &[NotWritten], impossible));
    cases.push(case(
        "the last epoch of a producer id, over and over",
        Goal::Produce,
        &[NotWritten, Unknown],
        used_up,
    ));
    cases
}
