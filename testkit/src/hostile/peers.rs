//! Peers that are no brokers at all, and brokers that do not stay.

use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::ApiKey;

use super::frames::noise;
use super::script::{Script, Step};
use super::{Case, Ending::*, Goal, case, sweep};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = strangers();
    cases.extend(fickle());
    cases.extend(deaf_ears());
    cases
}

/// Says this on every connection, then nothing.
fn says(words: impl Into<Bytes>) -> Script {
    Script::honest().greeting([Step::Send(words.into()), Step::Silence])
}

fn strangers() -> Vec<Case> {
    let http = [
        &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..],
        b"<!DOCTYPE html><html><body>no</body></html>",
        b"<html>",
    ];
    let tls =
        [&b"\x15\x03\x03\x00\x02\x02\x46"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"];
    let banners = [
        &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
        b"220 mail.invalid ESMTP\r\n",
        b"-ERR unknown command\r\n",
        b"AMQP\x00\x00\x09\x01",
    ];
    let floods = [vec![0; 4096].into(), vec![0xff; 4096].into(), noise(1, 4096)];
    let mut cases = Vec::new();
    cases.extend(sweep("a web server", Goal::Connect, &[NotKafka], http.map(says)));
    cases.extend(sweep("a TLS server", Goal::Connect, &[NotKafka], tls.map(says)));
    let name = "a server of another protocol";
    cases.extend(sweep(name, Goal::Connect, &[NotKafka], banners.map(says)));
    let flood = |bytes| Script::honest().greeting([Step::Flood(bytes)]);
    let name = "bytes without an end";
    let flooded = sweep(name, Goal::Connect, &[NotKafka, Cut], floods.map(flood));
    cases.extend(flooded.into_iter().map(Case::greedy));
    cases
}

/// Does this in place of serving requests of an API.
fn leaves(key: ApiKey, step: Step) -> Script {
    Script::honest().instead(key, move |_| vec![step.clone()])
}

fn fickle() -> Vec<Case> {
    let greeting = |steps: &[Step]| Script::honest().greeting(steps);
    let hangs_up_after = |key, skip, times| {
        Script::honest()
            .alter(key, |_, honest| vec![Step::Send(honest.clone()), Step::Close])
            .skip(skip)
            .times(times)
    };
    // It may also be gone before the socket is set up.
    let early = &[Cut, Unreachable];
    let one_of_three = |step: Step| {
        Script::honest().brokers(3).alter(ApiKey::Metadata, move |asked, honest| {
            if asked.node == 2 { vec![step.clone()] } else { vec![Step::Send(honest.clone())] }
        })
    };
    vec![
        case("silence from the start", Goal::Connect, &[Late], greeting(&[Step::Silence])),
        case("a connection closed at once", Goal::Connect, early, greeting(&[Step::Close])),
        case("a connection reset at once", Goal::Connect, early, greeting(&[Step::Reset])),
        case(
            "a slow broker",
            Goal::Metadata,
            &[Right],
            greeting(&[Step::Pause(Duration::from_millis(200))]),
        ),
        case(
            "silence after the handshake",
            Goal::Connect,
            &[Late],
            leaves(ApiKey::Metadata, Step::Silence),
        ),
        case(
            "the end after the handshake",
            Goal::Connect,
            &[Cut],
            leaves(ApiKey::Metadata, Step::Close),
        ),
        case(
            "a reset after the handshake",
            Goal::Connect,
            &[Cut],
            leaves(ApiKey::Metadata, Step::Reset),
        ),
        case(
            "a broker that hangs up after each answer",
            Goal::Metadata,
            &[Right],
            hangs_up_after(ApiKey::Metadata, 0, u32::MAX),
        ),
        case(
            "a broker that hangs up after each handshake but the first",
            Goal::Offsets,
            &[Late],
            hangs_up_after(ApiKey::ApiVersions, 1, u32::MAX),
        ),
        case(
            "one node of three is silent",
            Goal::Metadata,
            &[Right, Late],
            one_of_three(Step::Silence),
        ),
        case(
            "one node of three hangs up",
            Goal::Metadata,
            &[Right, Late, Cut],
            one_of_three(Step::Close),
        ),
    ]
}

fn deaf_ears() -> Vec<Case> {
    let stops_reading = Script::honest().instead(ApiKey::InitProducerId, |_| {
        vec![Step::Pause(Duration::from_secs(2)), Step::Close]
    });
    vec![
        case(
            "silence to those who want to write",
            Goal::Produce,
            &[NotWritten],
            leaves(ApiKey::InitProducerId, Step::Silence),
        ),
        case("a broker that stops reading", Goal::Produce, &[NotWritten], stops_reading),
        case(
            "silence to a record",
            Goal::Produce,
            &[Unknown],
            leaves(ApiKey::Produce, Step::Silence),
        ),
        case(
            "a reset for a record",
            Goal::Produce,
            &[Unknown],
            leaves(ApiKey::Produce, Step::Reset),
        ),
        case(
            "a record taken and not acknowledged",
            Goal::Produce,
            &[Unknown],
            Script::honest().alter(ApiKey::Produce, |_, _| vec![Step::Silence]),
        ),
        case(
            "a record taken and its first acknowledgement lost",
            Goal::Produce,
            &[Right, Unknown],
            Script::honest().alter(ApiKey::Produce, |_, _| vec![Step::Reset]).times(1),
        ),
        case("silence to a fetch", Goal::Read, &[Late], leaves(ApiKey::Fetch, Step::Silence)),
        case("the end for a fetch", Goal::Read, &[Late], leaves(ApiKey::Fetch, Step::Close)),
        case(
            "silence to an order",
            Goal::Create,
            &[Unknown],
            leaves(ApiKey::CreateTopics, Step::Silence),
        ),
        case(
            "the end for an order",
            Goal::Create,
            &[Unknown],
            leaves(ApiKey::CreateTopics, Step::Close),
        ),
        case(
            "silence to a lookup of offsets",
            Goal::Offsets,
            &[Late],
            leaves(ApiKey::ListOffsets, Step::Silence),
        ),
        case(
            "silence to a lookup of a coordinator",
            Goal::Coordinator,
            &[Late, Unknown],
            leaves(ApiKey::FindCoordinator, Step::Silence),
        ),
    ]
}
