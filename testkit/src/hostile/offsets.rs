//! Lies about offsets, coordinators and orders: answers about something else, too many, too few,
//! or nothing that can be true.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use klamm_protocol::messages::find_coordinator::{Coordinator, FindCoordinatorRequest};
use klamm_protocol::messages::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsRequest};

use super::script::Script;
use super::{Case, Ending::*, FRAME_CAP, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = offsets();
    cases.extend(coordinators());
    cases.extend(orders());
    cases
}

/// Changes each answer about a partition.
fn each(edit: impl Fn(&mut ListOffsetsPartitionResponse) + Send + Sync + 'static) -> Script {
    Script::honest().edit::<ListOffsetsRequest>(move |_, told| {
        told.topics.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(&edit);
    })
}

fn offsets() -> Vec<Case> {
    let offset = |offset: i64| each(move |told| told.offset = offset);
    let wrong = [-1, i64::MIN, i64::MAX, 12_345].map(offset);
    let partition = |index: i32| each(move |told| told.partition_index = index);
    let others = [1, -1, i32::MAX].map(partition);
    let epochs = [-7, i32::MAX].map(|epoch| each(move |told| told.leader_epoch = epoch));
    let none = Script::honest().edit::<ListOffsetsRequest>(|_, told| told.topics.clear());
    let other = Script::honest().edit::<ListOffsetsRequest>(|_, told| {
        told.topics.iter_mut().for_each(|topic| topic.name = "other".to_owned());
    });
    let twice = Script::honest().edit::<ListOffsetsRequest>(|_, told| {
        for topic in &mut told.topics {
            let mut again = topic.partitions.clone();
            again.iter_mut().for_each(|told| told.offset = 77);
            topic.partitions.extend(again);
        }
    });
    let crowd = Script::honest().edit::<ListOffsetsRequest>(|_, told| {
        for topic in &mut told.topics {
            let one = topic.partitions.first().cloned().unwrap_or_default();
            topic.partitions.extend(vec![one; FRAME_CAP / 30]);
        }
    });
    let mut cases = sweep("offsets that cannot be", Goal::Offsets, &[Misled], wrong);
    let name = "offsets of another partition";
    cases.extend(sweep(name, Goal::Offsets, &[Garbage], others));
    cases.extend(sweep("offsets of impossible epochs", Goal::Offsets, &[Right], epochs));
    cases.extend([
        case("no offsets in the answer", Goal::Offsets, &[Garbage], none),
        case("offsets of another topic", Goal::Offsets, &[Garbage], other),
        case("offsets told twice, the second time wrong", Goal::Offsets, &[Right], twice),
        case("as many offsets as a frame holds", Goal::Offsets, &[Right], crowd).greedy(),
    ]);
    cases
}

fn coordinators() -> Vec<Case> {
    let each = |edit: fn(&mut Coordinator)| {
        Script::honest().edit::<FindCoordinatorRequest>(move |_, told| {
            told.coordinators.iter_mut().for_each(edit);
        })
    };
    let nowhere: [fn(&mut Coordinator); 4] = [
        |told| told.node_id = 99,
        |told| told.node_id = -1,
        |told| (told.node_id, told.host, told.port) = (99, "nobody.invalid".to_owned(), 1),
        |told| (told.node_id, told.port) = (i32::MIN, i32::MAX),
    ];
    let none = Script::honest().edit::<FindCoordinatorRequest>(|_, told| told.coordinators.clear());
    let crowd = Script::honest().edit::<FindCoordinatorRequest>(|_, told| {
        let one = told.coordinators.first().cloned();
        told.coordinators.extend(vec![one; FRAME_CAP / 40].into_iter().flatten());
    });
    let mut cases = sweep(
        "a coordinator that is nowhere",
        Goal::Coordinator,
        &[Unreachable],
        nowhere.map(each),
    );
    cases.extend([
        case("no coordinator in the answer", Goal::Coordinator, &[Unreachable, Garbage], none),
        case("as many coordinators as a frame holds", Goal::Coordinator, &[Right], crowd).greedy(),
        case(
            "the coordinator of another group",
            Goal::Coordinator,
            &[Right, Garbage],
            each(|told| told.key = "other".to_owned()),
        ),
    ]);
    cases
}

fn orders() -> Vec<Case> {
    let edit = |edit: fn(&mut CreateTopicsResponse)| {
        Script::honest().edit::<CreateTopicsRequest>(move |_, told| edit(told))
    };
    vec![
        case(
            "an order left out of the answer",
            Goal::Create,
            &[Unknown],
            edit(|told| told.topics.clear()),
        ),
        case(
            "an answer to another order",
            Goal::Create,
            &[Unknown],
            edit(|told| told.topics.iter_mut().for_each(|topic| topic.name = "other".to_owned())),
        ),
        case(
            "an order answered twice, the second time refused",
            Goal::Create,
            &[Right],
            edit(|told| {
                let mut again = told.topics.clone();
                again.iter_mut().for_each(|told| told.error_code = ErrorCode::INVALID_REQUEST);
                told.topics.extend(again);
            }),
        ),
        case(
            "a refusal of 30 kB that would forge lines of a log",
            Goal::Create,
            &[Refused],
            edit(|told| {
                for topic in &mut told.topics {
                    topic.error_code = ErrorCode::POLICY_VIOLATION;
                    topic.error_message = Some("\n\u{1b}[31mforged\r".repeat(2_000));
                }
            }),
        ),
        case(
            "an order answered 10,000 times",
            Goal::Create,
            &[Right],
            edit(|told| {
                told.topics.iter_mut().for_each(|topic| topic.configs = None);
                let one = told.topics.first().cloned();
                told.topics.extend(vec![one; 10_000].into_iter().flatten());
            }),
        )
        .greedy(),
    ]
}
