//! Frames that lie: lengths, correlation ids, and streams that stop in the middle. Each at the
//! first answer of a connection, where nobody is trusted yet, and later.

use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::ApiKey;

use super::craft::{announced, answer, body, framed, send};
use super::script::{Asked, Script, Step};
use super::{Case, Ending::*, FRAME_CAP, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = lengths();
    cases.extend(halves());
    cases.extend(correlation());
    cases.extend(strays());
    cases
}

/// Plays these steps in place of the first answer.
fn hello(steps: Vec<Step>) -> Script {
    Script::honest().instead(ApiKey::ApiVersions, move |_| steps.clone())
}

/// Plays these steps in place of what is known of the cluster.
fn later(steps: Vec<Step>) -> Script {
    Script::honest().instead(ApiKey::Metadata, move |_| steps.clone())
}

fn lengths() -> Vec<Case> {
    let cap = FRAME_CAP as i32;
    let negative = [-1, -2, i32::MIN].map(|length| send(announced(length, b"....")));
    let short =
        [0, 1, 3].map(|length| send(announced(length, b"...").slice(..4 + length as usize)));
    let huge = [i32::MAX, cap + 1].map(|length| send(announced(length, b"....")));
    let too_long = framed(&vec![0; FRAME_CAP + 1]);
    let full = announced(cap, &[0; 10]);
    let mut cases = Vec::new();
    let hellos = |steps: &[Vec<Step>]| steps.iter().cloned().map(hello).collect::<Vec<_>>();
    let laters = |steps: &[Vec<Step>]| steps.iter().cloned().map(later).collect::<Vec<_>>();
    let name = "a negative length in the first answer";
    cases.extend(sweep(name, Goal::Connect, &[NotKafka], hellos(&negative)));
    let name = "a negative length later";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], laters(&negative)));
    let name = "a frame too short for its correlation id";
    cases.extend(sweep(name, Goal::Connect, &[NotKafka], hellos(&short)));
    let name = "a frame too short for its correlation id, later";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], laters(&short)));
    let name = "a length above the limit, and no more";
    cases.extend(sweep(name, Goal::Connect, &[NotKafka], hellos(&huge)));
    let name = "a length above the limit later, and no more";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], laters(&huge)));
    cases.push(
        case(
            "a whole frame just above the limit",
            Goal::Connect,
            &[NotKafka],
            hello(send(too_long.clone())),
        )
        .greedy(),
    );
    cases.push(
        case(
            "a whole frame just above the limit, later",
            Goal::Connect,
            &[Garbage],
            later(send(too_long)),
        )
        .greedy(),
    );
    let silent = vec![Step::Send(full.clone()), Step::Silence];
    cases.push(
        case("the largest length, then silence", Goal::Connect, &[Late], hello(silent.clone()))
            .greedy(),
    );
    cases.push(
        case("the largest length later, then silence", Goal::Connect, &[Late], later(silent))
            .greedy(),
    );
    let endless =
        vec![Step::Send(announced(200 << 20, b"")), Step::Flood(vec![0; 64 << 10].into())];
    let name = "200 MiB announced, and sent";
    cases.push(case(name, Goal::Connect, &[NotKafka], hello(endless.clone())).greedy());
    let name = "200 MiB announced later, and sent";
    cases.push(case(name, Goal::Connect, &[Garbage], later(endless)).greedy());
    let trickle = vec![Step::Trickle(full, Duration::from_millis(100)), Step::Silence];
    cases.push(case("one byte per 100 ms", Goal::Connect, &[Late], hello(trickle.clone())));
    cases.push(case("one byte per 100 ms later", Goal::Connect, &[Late], later(trickle)));
    cases
}

fn halves() -> Vec<Case> {
    let half = |end: Step| {
        Script::honest().alter(ApiKey::Metadata, move |_, honest| {
            vec![Step::Send(honest.slice(..honest.len() / 2)), end.clone()]
        })
    };
    let half_fetch = |end: Step| {
        Script::honest().alter(ApiKey::Fetch, move |_, honest| {
            vec![Step::Send(honest.slice(..honest.len() / 2)), end.clone()]
        })
    };
    let half_produce = |end: Step| {
        Script::honest().alter(ApiKey::Produce, move |_, honest| {
            vec![Step::Send(honest.slice(..honest.len() / 2)), end.clone()]
        })
    };
    vec![
        case("half an answer, then the end", Goal::Connect, &[Cut], half(Step::Close)),
        case("half an answer, then a reset", Goal::Connect, &[Cut], half(Step::Reset)),
        case("half an answer, then silence", Goal::Connect, &[Late], half(Step::Silence)),
        case("half the records, then the end", Goal::Read, &[Late], half_fetch(Step::Close)),
        case("half the records, then silence", Goal::Read, &[Late], half_fetch(Step::Silence)),
        case(
            "half an acknowledgement, then a reset",
            Goal::Produce,
            &[Unknown],
            half_produce(Step::Reset),
        ),
        case(
            "half an acknowledgement, then silence",
            Goal::Produce,
            &[Unknown],
            half_produce(Step::Silence),
        ),
        case(
            "an answer in single bytes",
            Goal::Metadata,
            &[Right],
            Script::honest().alter(ApiKey::Metadata, |_, honest| {
                vec![Step::Trickle(honest.clone(), Duration::from_millis(1))]
            }),
        ),
    ]
}

fn correlation() -> Vec<Case> {
    type Wrong = fn(&Asked) -> i32;
    let wrong: [Wrong; 5] = [
        |asked| asked.correlation_id + 1,
        |asked| asked.correlation_id - 1,
        |asked| !asked.correlation_id,
        |_| i32::MIN,
        |asked| asked.correlation_id.swap_bytes() ^ 1,
    ];
    let scripts = |key| {
        wrong.map(|wrong| {
            Script::honest().alter(key, move |asked, honest| {
                send(answer(wrong(asked), &honest[8.min(honest.len())..]))
            })
        })
    };
    let mut cases = Vec::new();
    let name = "a wrong correlation id in the first answer";
    cases.extend(sweep(name, Goal::Connect, &[NotKafka], scripts(ApiKey::ApiVersions)));
    let name = "a wrong correlation id later";
    cases.extend(sweep(name, Goal::Connect, &[Garbage], scripts(ApiKey::Metadata)));
    let name = "a wrong correlation id on an acknowledgement";
    cases.extend(sweep(name, Goal::Produce, &[Unknown], scripts(ApiKey::Produce)));
    let name = "a wrong correlation id on records";
    cases.extend(sweep(name, Goal::Read, &[Late], scripts(ApiKey::Fetch)));
    cases
}

fn strays() -> Vec<Case> {
    let twice = |key| {
        Script::honest()
            .alter(key, |_, honest| vec![Step::Send(honest.clone()), Step::Send(honest.clone())])
    };
    let early = Script::honest().alter(ApiKey::ApiVersions, |asked, honest| {
        let next = answer(asked.correlation_id + 1, b"before it was asked");
        vec![Step::Send(honest.clone()), Step::Send(next)]
    });
    let unasked = Script::honest().alter(ApiKey::ApiVersions, |_, honest| {
        vec![Step::Send(honest.clone()), Step::Flood(answer(-1, &[0; 100]))]
    });
    let longer = |key| {
        Script::honest().alter(key, |_, honest| send(framed(&[&body(honest)[..], b"!"].concat())))
    };
    let other = Script::honest().instead(ApiKey::Metadata, |asked| {
        send(answer(asked.correlation_id, b"\0\0\0\0\0\x02\0\x12\0\0\0\x04\0\0\0\0\0\0"))
    });
    let empty =
        Script::honest().instead(ApiKey::Metadata, |asked| send(answer(asked.correlation_id, b"")));
    let random = (0..8).map(|seed| {
        Script::honest().instead(ApiKey::Metadata, move |asked| {
            send(answer(asked.correlation_id, &noise(seed, 4_000)))
        })
    });
    let mut cases = vec![
        case("every answer twice", Goal::Metadata, &[Right], twice(ApiKey::Metadata)),
        case("every acknowledgement twice", Goal::Produce, &[Right], twice(ApiKey::Produce)),
        case("an answer before its question", Goal::Connect, &[Cut, Garbage], early),
        case("answers without a question", Goal::Connect, &[Cut, Garbage], unasked),
        case(
            "bytes after the end of the first answer",
            Goal::Connect,
            &[NotKafka],
            longer(ApiKey::ApiVersions),
        ),
        case(
            "bytes after the end of an answer",
            Goal::Connect,
            &[Garbage],
            longer(ApiKey::Metadata),
        ),
        case("bytes after the end of records", Goal::Read, &[Garbage], longer(ApiKey::Fetch)),
        case(
            "bytes after the end of an acknowledgement",
            Goal::Produce,
            &[Unknown],
            longer(ApiKey::Produce),
        ),
        case("the answer to another question", Goal::Connect, &[Garbage], other),
        case("an answer without a body", Goal::Connect, &[Garbage], empty),
    ];
    cases.extend(sweep("an answer of random bytes", Goal::Connect, &[Garbage], random));
    cases
}

/// Random bytes, the same for the same seed.
pub(super) fn noise(seed: u64, count: usize) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| rng.u8(..)).collect()
}
