//! Error codes without end: every code that asks to try again, from every API, for ever; codes that
//! mean nothing there; and throttling beyond reason.

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_topics::CreateTopicsRequest;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::find_coordinator::FindCoordinatorRequest;
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::list_offsets::ListOffsetsRequest;
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_protocol::messages::produce::ProduceRequest;

use super::script::Script;
use super::{Case, Ending, Ending::*, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = retriable();
    cases.extend(fatal());
    cases.extend(throttled());
    cases.push(case(
        "not the controller, for ever, on two nodes",
        Goal::Create,
        &[Late],
        Script::honest().brokers(2).fail(ApiKey::CreateTopics, ErrorCode::NOT_CONTROLLER),
    ));
    cases
}

type Row = (&'static str, Option<ApiKey>, Goal, &'static [Ending]);

/// An API that always answers so; `None` stands for what Metadata says of topics.
fn always(key: Option<ApiKey>, code: ErrorCode) -> Script {
    match key {
        Some(key) => Script::honest().fail(key, code),
        None => Script::honest().edit::<MetadataRequest>(move |_, told| {
            told.topics.iter_mut().for_each(|topic| topic.error_code = code);
        }),
    }
}

fn retriable() -> Vec<Case> {
    const ROWS: [Row; 7] = [
        ("a topic that is to be asked for again, for ever", None, Goal::Offsets, &[Late, NoSuch]),
        ("ListOffsets, again for ever", Some(ApiKey::ListOffsets), Goal::Offsets, &[Late]),
        (
            "FindCoordinator, again for ever",
            Some(ApiKey::FindCoordinator),
            Goal::Coordinator,
            &[Refused],
        ),
        (
            "InitProducerId, again for ever",
            Some(ApiKey::InitProducerId),
            Goal::Produce,
            &[NotWritten],
        ),
        ("Produce, again for ever", Some(ApiKey::Produce), Goal::Produce, &[NotWritten, Unknown]),
        ("Fetch, again for ever", Some(ApiKey::Fetch), Goal::Read, &[Late, Refused]),
        (
            "CreateTopics, again for ever",
            Some(ApiKey::CreateTopics),
            Goal::Create,
            &[Late, Unknown, NoSuch],
        ),
    ];
    let codes = || ErrorCode::ALL.iter().copied().filter(|code| code.is_retriable());
    let row = |(name, key, goal, endings)| {
        sweep(name, goal, endings, codes().map(move |code| always(key, code)))
    };
    ROWS.into_iter().flat_map(row).collect()
}

fn fatal() -> Vec<Case> {
    const ROWS: [Row; 7] = [
        ("a topic that is refused for good", None, Goal::Offsets, &[NoSuch]),
        ("ListOffsets refused for good", Some(ApiKey::ListOffsets), Goal::Offsets, &[Refused]),
        (
            "FindCoordinator refused for good",
            Some(ApiKey::FindCoordinator),
            Goal::Coordinator,
            &[Refused],
        ),
        (
            "InitProducerId refused for good",
            Some(ApiKey::InitProducerId),
            Goal::Produce,
            &[NotWritten],
        ),
        ("Produce refused for good", Some(ApiKey::Produce), Goal::Produce, &[NotWritten, Unknown]),
        ("Fetch refused for good", Some(ApiKey::Fetch), Goal::Read, &[Refused, Late]),
        ("CreateTopics refused for good", Some(ApiKey::CreateTopics), Goal::Create, &[Refused]),
    ];
    let codes = [
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::POLICY_VIOLATION,
        ErrorCode::UNSUPPORTED_VERSION,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode(9_999),
        ErrorCode(i16::MIN),
    ];
    let row = |(name, key, goal, endings)| {
        sweep(name, goal, endings, codes.map(|code| always(key, code)))
    };
    ROWS.into_iter().flat_map(row).collect()
}

fn throttled() -> Vec<Case> {
    let times = [i32::MAX, -1, i32::MIN];
    macro_rules! rows {
        ($($name:literal, $goal:expr, $request:ty;)*) => {
            [$(sweep($name, $goal, &[Right], times.map(|ms| {
                Script::honest().edit::<$request>(move |_, told| told.throttle_time_ms = ms)
            }))),*]
        };
    }
    let rows = rows! {
        "ListOffsets throttled beyond reason", Goal::Offsets, ListOffsetsRequest;
        "FindCoordinator throttled beyond reason", Goal::Coordinator, FindCoordinatorRequest;
        "InitProducerId throttled beyond reason", Goal::Produce, InitProducerIdRequest;
        "Produce throttled beyond reason", Goal::Produce, ProduceRequest;
        "Fetch throttled beyond reason", Goal::Read, FetchRequest;
        "CreateTopics throttled beyond reason", Goal::Create, CreateTopicsRequest;
    };
    rows.into_iter().flatten().collect()
}
