//! Fetch answers that lie around their records: other partitions, offsets that never move, sessions
//! that never hold, leaders that send one on in circles.

use bytes::Bytes;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use klamm_protocol::messages::list_offsets::ListOffsetsRequest;
use klamm_protocol::wire::Uuid;

use super::craft::batch;
use super::script::{Asked, Script};
use super::{Case, Ending::*, FRAME_CAP, Goal, VALUES, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = places();
    cases.extend(standstill());
    cases.extend(marks());
    cases.extend(sessions());
    cases.extend(redirects());
    cases
}

/// Changes the answer to each fetch.
pub(super) fn fetched(edit: impl Fn(&Asked, &mut FetchResponse) + Send + Sync + 'static) -> Script {
    Script::honest().edit::<FetchRequest>(edit)
}

/// Changes what each fetch says of its partition. An answer without news gets one, so that a lie
/// about it can be told.
pub(super) fn each(edit: impl Fn(&Asked, &mut PartitionData) + Send + Sync + 'static) -> Script {
    fetched(move |asked, told| {
        let partitions = told.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|told| edit(asked, told));
    })
}

/// Gives each fetch these records, wherever it stands.
pub(super) fn records(records: impl Into<Bytes>) -> Script {
    let records = records.into();
    each(move |_, told| told.records = Some(records.clone()))
}

fn places() -> Vec<Case> {
    let other = [7, -1, i32::MAX].map(|index| each(move |_, told| told.partition_index = index));
    let topic = fetched(|_, told| {
        for topic in &mut told.responses {
            (topic.topic_id, topic.topic) = (Uuid([7; 16]), "other".to_owned());
        }
    });
    let twice = fetched(|_, told| {
        for topic in &mut told.responses {
            topic.partitions.extend(topic.partitions.clone());
        }
    });
    let crowd = fetched(|_, told| {
        let one = PartitionData { partition_index: 5, ..PartitionData::default() };
        for topic in &mut told.responses {
            topic.partitions.extend(vec![one.clone(); FRAME_CAP / 60]);
        }
    });
    let larger = records(Bytes::from(batch(0, &[&[b'x'; FRAME_CAP - 1_000]])));
    let long: Vec<u8> = (0..1_500).flat_map(|at| batch(at, &[&[b'x'; 200]])).collect();
    let mut cases = sweep("records of another partition", Goal::Read, &[Late], other);
    cases.extend([
        case("records of another topic", Goal::Read, &[Late], topic),
        case("the records twice in one answer", Goal::Read, &[Right], twice),
        case("as many partitions as a frame holds beside the records", Goal::Read, &[Right], crowd)
            .greedy(),
        case("one record that fills the frame", Goal::Read, &[Late], larger).greedy(),
        case("far more records than were asked for", Goal::Read, &[Misled], records(long)).greedy(),
    ]);
    cases
}

fn standstill() -> Vec<Case> {
    let only_first = || records(batch(0, &[VALUES[0]]));
    let cut = batch(0, &VALUES);
    let head = records(Bytes::from(cut).slice(..70));
    let tiny = records(&b"\0\0\0\0"[..]);
    let null = each(|_, told| told.records = None);
    let empty = each(|_, told| told.records = Some(Bytes::new()));
    let silent = fetched(|_, told| told.responses.clear());
    let moving = Script::honest()
        .fail(ApiKey::Fetch, ErrorCode::OFFSET_OUT_OF_RANGE)
        .edit::<ListOffsetsRequest>(|asked, told| {
        let answers = told.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        answers.for_each(|told| told.offset = i64::from(asked.nth % 3) - 1);
    });
    let still = Script::honest().fail(ApiKey::Fetch, ErrorCode::OFFSET_OUT_OF_RANGE);
    vec![
        case("the same old records for ever", Goal::Read, &[Late], only_first()),
        case("the same old records for ever, without an end", Goal::Follow, &[Late], only_first()),
        case("the beginning of a batch for ever", Goal::Read, &[Late], head),
        case("four bytes of records for ever", Goal::Read, &[Late], tiny),
        case("records that are null", Goal::Read, &[Late, Short], null),
        case("records that are empty though more are promised", Goal::Read, &[Late, Short], empty),
        case("answers that leave the partition out", Goal::Read, &[Late], silent),
        case("out of range for ever, while the ends move", Goal::Read, &[Late, Lost], moving),
        case("out of range for ever, within the ends", Goal::Read, &[Late], still),
    ]
}

fn marks() -> Vec<Case> {
    let marks = [-1, i64::MIN, i64::MAX, 0].map(|mark| {
        each(move |_, told| {
            told.high_watermark = mark;
            told.last_stable_offset = mark;
            told.log_start_offset = mark;
        })
    });
    let falling = each(|asked, told| told.high_watermark = 1_000 - i64::from(asked.nth));
    let diverging = [(0, 0), (-1, 0), (i32::MAX, i64::MAX)].map(|(epoch, end_offset)| {
        each(move |_, told| told.diverging_epoch = EpochEndOffset { epoch, end_offset })
    });
    let aborted = |producer_id: i64, first_offset: i64| {
        each(move |_, told| {
            told.aborted_transactions =
                Some(vec![AbortedTransaction { producer_id, first_offset }; 3]);
        })
    };
    let lists = [(-1, 0), (i64::MAX, i64::MIN), (1_000, i64::MAX)].map(|(id, at)| aborted(id, at));
    let crowd = each(|_, told| {
        let one = |id: i64| AbortedTransaction { producer_id: id, first_offset: -id };
        told.aborted_transactions = Some((0..FRAME_CAP as i64 / 20).map(one).collect());
    });
    let replica = each(|_, told| told.preferred_read_replica = 99);
    let mut cases = sweep("watermarks that cannot be", Goal::Read, &[Right], marks);
    cases.extend(sweep("a log that diverged at no sane place", Goal::Read, &[Lost], diverging));
    cases.extend(sweep("aborted transactions that never were", Goal::Read, &[Right], lists));
    cases.extend([
        case("a watermark that falls", Goal::Read, &[Right], falling),
        case("as many aborted transactions as a frame holds", Goal::Read, &[Right], crowd).greedy(),
        case("a nearer replica that does not exist", Goal::Read, &[Right], replica),
    ]);
    cases
}

fn sessions() -> Vec<Case> {
    let codes = [
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode::INVALID_FETCH_SESSION_EPOCH,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode(9_999),
    ];
    let refused = codes.map(|code| {
        Script::honest().answer::<FetchRequest>(move |_| FetchResponse {
            error_code: code,
            ..FetchResponse::default()
        })
    });
    let ids = [-1, i32::MIN, i32::MAX].map(|id| fetched(move |_, told| told.session_id = id));
    let restless = fetched(|asked, told| told.session_id = asked.nth as i32 + 1);
    let mut cases = sweep("the whole fetch refused for ever", Goal::Read, &[Late], refused);
    cases.extend(sweep("a session of an impossible number", Goal::Read, &[Right], ids));
    cases.push(case("another session with each answer", Goal::Read, &[Right], restless));
    cases
}

/// Two nodes that each name the other as the leader, in ever newer epochs.
fn circle(address: fn(&Asked, i32) -> (String, i32)) -> Script {
    each_on_two(move |asked, told| {
        let other = 3 - asked.node;
        let leader = LeaderIdAndEpoch { leader_id: other, leader_epoch: 10 + epoch(asked) };
        let (host, port) = address(asked, other);
        told.node_endpoints = vec![NodeEndpoint { node_id: other, host, port, rack: None }];
        let partitions = told.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        for told in partitions {
            told.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            (told.current_leader, told.records) = (leader.clone(), None);
        }
    })
}

fn each_on_two(edit: impl Fn(&Asked, &mut FetchResponse) + Send + Sync + 'static) -> Script {
    fetched(edit).brokers(2)
}

fn epoch(asked: &Asked) -> i32 {
    i32::try_from(asked.nth).unwrap_or(i32::MAX / 2)
}

fn redirects() -> Vec<Case> {
    // Each time another node that is really the same one: connections must not pile up.
    let strangers = fetched(|asked, told| {
        let node = 100 + epoch(asked);
        let (host, port) = asked.address(1);
        told.node_endpoints = vec![NodeEndpoint { node_id: node, host, port, rack: None }];
        let partitions = told.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        for told in partitions {
            told.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            told.current_leader = LeaderIdAndEpoch { leader_id: node, leader_epoch: node };
            told.records = None;
        }
    });
    let nowhere = [-1, 0, 1, 70_000].map(|port| {
        each_on_two(move |asked, told| {
            let leader = LeaderIdAndEpoch { leader_id: 50, leader_epoch: 10 + epoch(asked) };
            let host = "nobody.invalid".to_owned();
            told.node_endpoints = vec![NodeEndpoint { node_id: 50, host, port, rack: None }];
            let partitions = told.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
            for told in partitions {
                told.error_code = ErrorCode::FENCED_LEADER_EPOCH;
                (told.current_leader, told.records) = (leader.clone(), None);
            }
        })
    });
    let mut cases = vec![
        case(
            "two nodes that send readers in circles",
            Goal::Read,
            &[Late],
            circle(|asked, node| asked.address(node)),
        ),
        case(
            "two nodes that send readers in circles, by wrong addresses",
            Goal::Read,
            &[Late],
            circle(|asked, node| asked.address(node + 1)),
        ),
        case("another leader for every fetch", Goal::Read, &[Late], strangers),
    ];
    cases.extend(sweep("a new leader that is nowhere", Goal::Read, &[Late], nowhere));
    cases
}
