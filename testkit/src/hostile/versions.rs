//! What a broker claims to speak: nothing, everything, nonsense, or something else each time.

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey,
};

use super::craft::{answer, send};
use super::script::Script;
use super::{Case, Ending::*, FRAME_CAP, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = ranges();
    cases.extend(crowds());
    cases.extend(refusals());
    cases
}

/// Changes each API that is told.
fn each(change: fn(&mut ApiVersion)) -> Script {
    Script::honest().edit::<ApiVersionsRequest>(move |_, told| {
        told.api_keys.iter_mut().for_each(change);
    })
}

fn ranges() -> Vec<Case> {
    let nonsense: [fn(&mut ApiVersion); 5] = [
        |api| (api.min_version, api.max_version) = (api.max_version + 1, api.min_version),
        |api| (api.min_version, api.max_version) = (1_000, 1_001),
        |api| (api.min_version, api.max_version) = (-5, -1),
        |api| (api.min_version, api.max_version) = (i16::MAX, i16::MIN),
        |api| api.api_key = api.api_key.saturating_add(10_000),
    ];
    let without = |key: ApiKey| {
        Script::honest().edit::<ApiVersionsRequest>(move |_, told| {
            told.api_keys.retain(|api| api.api_key != key.code());
        })
    };
    let once = |first: bool| {
        let script = Script::honest().edit::<ApiVersionsRequest>(|_, told| told.api_keys.clear());
        if first { script.times(1) } else { script.skip(1) }
    };
    let twice = |last: (i16, i16)| {
        Script::honest().edit::<ApiVersionsRequest>(move |_, told| {
            let again = told.api_keys.iter().map(|api| ApiVersion {
                api_key: api.api_key,
                min_version: last.0,
                max_version: last.1,
            });
            told.api_keys = told.api_keys.iter().cloned().chain(again).collect();
        })
    };
    let mut cases =
        sweep("versions that nobody speaks", Goal::Connect, &[Unsupported], nonsense.map(each));
    cases.extend([
        case(
            "no API at all",
            Goal::Connect,
            &[Unsupported],
            Script::honest().answer::<ApiVersionsRequest>(|_| ApiVersionsResponse::default()),
        ),
        case("no Metadata", Goal::Connect, &[Unsupported], without(ApiKey::Metadata)),
        case("no Produce", Goal::Produce, &[NotWritten], without(ApiKey::Produce)),
        case("no InitProducerId", Goal::Produce, &[NotWritten], without(ApiKey::InitProducerId)),
        case("no Fetch", Goal::Read, &[Unsupported], without(ApiKey::Fetch)),
        case("no ListOffsets", Goal::Offsets, &[Unsupported], without(ApiKey::ListOffsets)),
        case("no CreateTopics", Goal::Create, &[Unsupported], without(ApiKey::CreateTopics)),
        case("nothing at first, then everything", Goal::Connect, &[Unsupported], once(true)),
        case("everything at first, then nothing", Goal::Metadata, &[Unsupported], once(false)),
        case("every API twice, then narrower", Goal::Connect, &[Unsupported], twice((999, 999))),
        case("every API twice, then turned round", Goal::Metadata, &[Right], twice((9, 1))),
        case(
            "all versions of all APIs",
            Goal::Read,
            &[Right, Late],
            each(|api| (api.min_version, api.max_version) = (i16::MIN, i16::MAX)),
        ),
    ]);
    cases
}

fn crowds() -> Vec<Case> {
    let many = |count: i32| {
        Script::honest().edit::<ApiVersionsRequest>(move |_, told| {
            let more = (0..count).map(|key| ApiVersion {
                api_key: (key % 30_000) as i16 + 1_000,
                min_version: 0,
                max_version: 1,
            });
            told.api_keys.extend(more);
        })
    };
    let features = Script::honest().edit::<ApiVersionsRequest>(|_, told| {
        let feature = |number: usize| FinalizedFeatureKey {
            name: format!("{number:060}"),
            max_version_level: i16::MAX,
            min_version_level: i16::MIN,
        };
        told.finalized_features = (0..FRAME_CAP / 80).map(feature).collect();
    });
    vec![
        case(
            "100,000 APIs, more than the frame limit holds",
            Goal::Connect,
            &[NotKafka],
            many(100_000),
        )
        .greedy(),
        case("as many APIs as a frame holds", Goal::Metadata, &[Right], many(70_000)).greedy(),
        case("as many features as a frame holds", Goal::Metadata, &[Right], features).greedy(),
    ]
}

fn refusals() -> Vec<Case> {
    let refuses = |code: ErrorCode| {
        Script::honest().edit::<ApiVersionsRequest>(move |_, told| told.error_code = code)
    };
    let codes = [
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
        ErrorCode(9_999),
        ErrorCode(i16::MIN),
    ];
    // Whatever is asked, it is said in version 0 that this version is not known.
    let never = Script::honest().instead(ApiKey::ApiVersions, |asked| {
        send(answer(asked.correlation_id, b"\0\x23\0\0\0\x01\0\x12\0\0\0\x04"))
    });
    let known_to_nobody = Script::honest().instead(ApiKey::ApiVersions, |asked| {
        send(answer(asked.correlation_id, b"\0\x23\0\0\0\x01\0\x12\x7f\xff\x7f\xff"))
    });
    let older = Script::honest().instead(ApiKey::ApiVersions, |asked| {
        send(answer(asked.correlation_id, b"\0\0\0\0\0\x01\0\x03\0\0\0\x0c"))
    });
    let mut cases = sweep("ApiVersions refused", Goal::Connect, &[NotKafka], codes.map(refuses));
    cases.extend([
        case("every version of ApiVersions is too new", Goal::Connect, &[NotKafka], never),
        case(
            "ApiVersions only in a version of the future",
            Goal::Connect,
            &[NotKafka],
            known_to_nobody,
        ),
        case(
            "ApiVersions answered in an older version than asked",
            Goal::Connect,
            &[NotKafka],
            older,
        ),
        case(
            "throttled for 24 days at the handshake",
            Goal::Metadata,
            &[Late],
            Script::honest().edit::<ApiVersionsRequest>(|_, told| told.throttle_time_ms = i32::MAX),
        ),
    ]);
    cases
}
