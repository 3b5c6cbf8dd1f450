//! The loop over a stream in memory, with a peer that the test plays, and the clock paused: what
//! waits in vain is known at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use klamm_protocol::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::session::connection::ConnectionOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::error::{ErrorKind, Result};
use crate::net::handle::{Handle, Identity};
use crate::net::line::all_ended;
use crate::net::peer::Peer;

fn identity() -> Identity {
    let request_timeout = Duration::from_secs(30);
    let (peer, host, client_id) = ("peer".to_owned(), "host".to_owned(), "test".to_owned());
    let (meter, lines) = Default::default();
    Identity { peer, host, node: Some(1), client_id, request_timeout, meter, lines, login: None }
}

async fn establish(stream: DuplexStream) -> Result<Handle> {
    let deadline = Instant::now() + Duration::from_secs(5);
    Handle::establish(stream, ConnectionOptions::default(), identity(), deadline).await
}

/// A client and a peer past the handshake, over a pipe that holds so many bytes.
async fn connected(pipe: usize) -> (Handle, Peer) {
    let (near, far) = duplex(pipe);
    let mut peer = Peer(far);
    let (handle, ()) = tokio::join!(establish(near), peer.shake_hands());
    (handle.expect("a broker answers"), peer)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn ask(handle: &Handle) -> Result<MetadataResponse> {
    handle.request(&MetadataRequest::default(), soon()).await
}

fn named(cluster: &str) -> MetadataResponse {
    MetadataResponse { cluster_id: Some(cluster.to_owned()), ..Default::default() }
}

/// Polls a future so many times, giving the loop its turn in between, then drops it.
async fn poll_then_drop(future: impl Future, polls: usize) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_get_their_own_answers() {
    let (handle, mut peer) = connected(64).await;
    let peer = async {
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(peer.hear().await.expect("a request"));
        }
        for (name, header) in ["a", "b", "c"].iter().zip(&heard) {
            peer.answer::<MetadataRequest>(header, &named(name)).await;
        }
    };
    let (a, b, c, ()) = tokio::join!(ask(&handle), ask(&handle), ask(&handle), peer);
    let names = [a, b, c].map(|answer| answer.expect("an answer").cluster_id.expect("a name"));
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_at_any_point_leaves_no_half_frame() {
    for polls in 0..6 {
        // A pipe this narrow has the loop write a frame in many steps.
        let (handle, mut peer) = connected(7).await;
        poll_then_drop(ask(&handle), polls).await;
        let peer = async {
            let mut last = peer.hear().await.expect("a request");
            // The dropped one may have been sent whole before the one that counts.
            if last.correlation_id == 1 && polls > 0 {
                peer.answer::<MetadataRequest>(&last, &named("nobody's")).await;
                last = peer.hear().await.expect("a request");
            }
            peer.answer::<MetadataRequest>(&last, &named("mine")).await;
        };
        let (answer, ()) = tokio::join!(ask(&handle), async {
            tokio::time::timeout(Duration::from_secs(5), peer).await.ok();
        });
        let answer = answer.unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
        assert_eq!(answer.cluster_id.as_deref(), Some("mine"), "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_in_time_has_an_unknown_outcome_and_costs_the_connection() {
    let (handle, mut peer) = connected(1024).await;
    let begun = Instant::now();
    let error = ask(&handle).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(Instant::now() - begun, Duration::from_secs(10));
    assert!(!handle.is_open());
    assert!(peer.hear().await.is_some() && peer.hear().await.is_none());
    let next = ask(&handle).await.expect_err("the connection is gone");
    assert_eq!(next.kind(), ErrorKind::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_did_not_leave_whole_was_certainly_not_carried_out() {
    let (handle, peer) = connected(8).await;
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(peer);
    };
    let (answer, ()) = tokio::join!(ask(&handle), cut);
    assert_eq!(answer.expect_err("cut").kind(), ErrorKind::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_half_written_request_out_of_time_is_followed_by_nothing() {
    let (handle, mut peer) = connected(9).await;
    let error = ask(&handle).await.expect_err("the peer does not read");
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert_eq!(ask(&handle).await.expect_err("closed").kind(), ErrorKind::Disconnected);
    let mut rest = Vec::new();
    peer.0.read_to_end(&mut rest).await.expect("what was written");
    assert_eq!(rest.len(), 9, "only the beginning of one request");
}

#[tokio::test(start_paused = true)]
async fn requests_are_written_in_the_order_of_their_first_poll() {
    let (handle, mut peer) = connected(32).await;
    let mut asked: Vec<_> = (0..40).map(|_| Box::pin(ask(&handle))).collect();
    for request in &mut asked {
        let waker = Waker::noop();
        assert!(request.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    let all = async {
        for request in asked {
            request.await.expect("an answer");
        }
    };
    let answers = async {
        for expected in 1..=40 {
            let header = peer.hear().await.expect("a request");
            assert_eq!(header.correlation_id, expected);
            peer.answer::<MetadataRequest>(&header, &named("a")).await;
        }
    };
    tokio::join!(all, answers);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_after_a_whole_request_leaves_its_outcome_unknown() {
    let (handle, mut peer) = connected(1024).await;
    let cut = async {
        peer.hear().await;
        drop(peer);
    };
    let (answer, ()) = tokio::join!(ask(&handle), cut);
    assert_eq!(answer.expect_err("cut").kind(), ErrorKind::OutcomeUnknown);
}

#[tokio::test(start_paused = true)]
async fn the_connection_ends_with_its_last_handle_and_not_before() {
    let (handle, mut peer) = connected(1024).await;
    let other = handle.clone();
    drop(handle);
    assert!(other.is_open());
    drop(other);
    assert!(peer.hear().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn unanswered_requests_are_written_before_the_connection_ends() {
    let (handle, mut peer) = connected(16).await;
    let request = ProduceRequest { acks: 0, ..Default::default() };
    let (sent, heard) = tokio::join!(handle.send(&request, soon()), peer.hear());
    sent.expect("written");
    assert!(heard.is_some());
    drop(handle);
    assert!(peer.hear().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_arrives_whole() {
    let (handle, mut peer) = connected(1 << 20).await;
    let records = Bytes::from(vec![7_u8; 50 << 20]);
    let partition = PartitionData { records: Some(records), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    let peer = async {
        let header = peer.hear().await.expect("a request");
        peer.answer::<FetchRequest>(&header, &response).await;
    };
    let request = FetchRequest::default();
    let (answer, ()) = tokio::join!(handle.request(&request, soon()), peer);
    assert_eq!(answer.expect("an answer"), response);
}

#[tokio::test(start_paused = true)]
async fn peers_that_are_no_brokers_are_told_in_one_line() {
    for (words, kind, told) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], ErrorKind::NotKafka, "HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x50", ErrorKind::NotKafka, "TLS"),
        (b"\x7f\xff\xff\xff", ErrorKind::NotKafka, "limit"),
        (b"\xff\xff\xff\xff", ErrorKind::NotKafka, "negative"),
        (b"\x00\x00\x00\x08\x00\x00\x00\x00\xff\xff\xff\xff", ErrorKind::NotKafka, "ApiVersions"),
        (b"", ErrorKind::Disconnected, "closed the connection"),
    ] {
        let (near, mut far) = duplex(1024);
        let peer = async {
            far.read_u32().await.expect("a hello");
            far.write_all(words).await.expect("heard");
            let _open = (!words.is_empty()).then_some(far);
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            ended = establish(near) => ended.expect_err("no broker"),
            () = peer => unreachable!("the peer stays"),
        };
        assert_eq!(error.kind(), kind, "{error}");
        let line = error.to_string();
        assert!(line.contains(told) && line.contains("; ") && !line.contains('\n'), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_and_is_silent_is_given_up_in_time() {
    let (near, _far) = duplex(1024);
    let begun = Instant::now();
    let error = establish(near).await.expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(Instant::now() - begun, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_lacks_is_told_before_anything_is_sent() {
    let (near, far) = duplex(1024);
    let mut peer = Peer(far);
    let answer = async {
        let hello = peer.hear().await.expect("a hello");
        peer.answer::<ApiVersionsRequest>(&hello, &ApiVersionsResponse::default()).await;
    };
    let (handle, ()) = tokio::join!(establish(near), answer);
    let error = ask(&handle.expect("a broker")).await.expect_err("no Metadata");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn an_old_broker_is_asked_again_in_a_version_it_knows() {
    let (near, far) = duplex(1024);
    let mut peer = Peer(far);
    let answers = async {
        let mut hello = peer.hear().await.expect("a hello");
        let refusal = ApiVersionsResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            ..Default::default()
        };
        hello.api_version = 0;
        peer.answer::<ApiVersionsRequest>(&hello, &refusal).await;
        let hello = peer.hear().await.expect("another hello");
        assert_eq!(hello.api_version, 0);
        peer.answer::<ApiVersionsRequest>(&hello, &ApiVersionsResponse::default()).await;
    };
    let (handle, ()) = tokio::join!(establish(near), answers);
    handle.expect("a broker");
}

/// As [`connected`], with what the client counts and its list of connections.
async fn accounted() -> (Handle, Peer, Identity) {
    let (near, far) = duplex(1024);
    let (mut peer, identity) = (Peer(far), identity());
    let hello = Handle::establish(near, ConnectionOptions::default(), identity.clone(), soon());
    let (handle, ()) = tokio::join!(hello, peer.shake_hands());
    (handle.expect("a broker answers"), peer, identity)
}

fn throttled(throttle_time_ms: i32) -> MetadataResponse {
    MetadataResponse { throttle_time_ms, ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_asks_for_quiet_hears_nothing_until_then() {
    let (handle, mut peer, identity) = accounted().await;
    let peer = async {
        let first = peer.hear().await.expect("a request");
        peer.answer::<MetadataRequest>(&first, &throttled(2000)).await;
        let answered = Instant::now();
        let second = peer.hear().await.expect("another");
        assert_eq!(Instant::now() - answered, Duration::from_secs(2));
        peer.answer::<MetadataRequest>(&second, &throttled(0)).await;
        let third = peer.hear().await.expect("a third");
        assert_eq!(Instant::now() - answered, Duration::from_secs(2), "at once");
        peer.answer::<MetadataRequest>(&third, &throttled(-5)).await;
    };
    let asking = async {
        for _ in 0..3 {
            ask(&handle).await.expect("an answer");
        }
    };
    tokio::join!(asking, peer);
    assert_eq!(identity.meter.snapshot().throttled, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_asks_for_quiet_without_end_is_believed_for_a_minute() {
    let (handle, mut peer, _) = accounted().await;
    let peer = async {
        let first = peer.hear().await.expect("a request");
        peer.answer::<MetadataRequest>(&first, &throttled(i32::MAX)).await;
        let answered = Instant::now();
        let second = peer.hear().await.expect("another");
        assert_eq!(Instant::now() - answered, Duration::from_secs(60));
        peer.answer::<MetadataRequest>(&second, &throttled(0)).await;
    };
    let asking = async {
        ask(&handle).await.expect("an answer");
        let late = ask(&handle).await.expect_err("ten seconds are not enough");
        assert_eq!(late.kind(), ErrorKind::TimedOut, "certainly not sent: {late}");
        tokio::time::sleep(Duration::from_secs(45)).await;
        ask(&handle).await.expect("an answer");
    };
    tokio::join!(asking, peer);
    assert!(handle.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_in_order_and_says_so_to_who_comes_late() {
    let (handle, mut peer, identity) = accounted().await;
    let begun = Instant::now();
    assert!(peer.hear().await.is_none(), "nothing was asked");
    assert_eq!(Instant::now() - begun, Duration::from_secs(540));
    handle.closed().await;
    let error = ask(&handle).await.expect_err("too late");
    assert!(error.is_retriable() && error.to_string().contains("idle"), "{error}");
    let counted = identity.meter.snapshot();
    assert_eq!((counted.opened, counted.closed, counted.total().lost), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_at_the_instant_of_idleness_is_answered_or_not_taken() {
    for late in [-1_i64, 0, 1] {
        let (handle, mut peer, identity) = accounted().await;
        let at = Instant::now() + Duration::from_secs(540);
        let at = if late < 0 { at - Duration::from_millis(1) } else { at };
        tokio::spawn(async move {
            while let Some(header) = peer.hear().await {
                peer.answer::<MetadataRequest>(&header, &named("a")).await;
            }
        });
        tokio::time::sleep_until(at + Duration::from_millis(late.max(0).unsigned_abs())).await;
        match ask(&handle).await {
            Ok(answer) => assert_eq!(answer.cluster_id.as_deref(), Some("a")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}"),
        }
        assert_eq!(identity.meter.snapshot().total().lost, 0, "{late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_has_hung_up_is_noticed_before_a_request_is_lost_to_it() {
    let (handle, mut peer, _) = accounted().await;
    // It would still take bytes, as a socket does whose other end is gone.
    peer.0.shutdown().await.expect("half of the pipe ends");
    let error = ask(&handle).await.expect_err("hung up");
    assert_eq!(error.kind(), ErrorKind::Disconnected, "certainly not sent: {error}");
    assert!(peer.hear().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn closing_awaits_the_answers_that_come_before_the_deadline() {
    let (handle, mut peer, identity) = accounted().await;
    let peer = async {
        let first = peer.hear().await.expect("a request");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask(&handle).await.expect_err("closing").kind(), ErrorKind::Disconnected);
        peer.answer::<MetadataRequest>(&first, &named("in time")).await;
        assert!(peer.hear().await.is_none(), "nothing but the end follows");
    };
    let bound = Instant::now() + Duration::from_secs(5);
    let close = async {
        tokio::task::yield_now().await;
        all_ended(identity.lines.close(bound), bound).await;
        Instant::now()
    };
    let (answer, ended, ()) = tokio::join!(ask(&handle), close, peer);
    assert_eq!(answer.expect("an answer").cluster_id.as_deref(), Some("in time"));
    assert!(ended < bound, "nothing is left to wait for");
}

#[tokio::test(start_paused = true)]
async fn closing_ends_at_the_deadline_whatever_is_under_way() {
    let (handle, mut peer, identity) = accounted().await;
    let bound = Instant::now() + Duration::from_secs(5);
    let close = async {
        peer.hear().await.expect("a request");
        all_ended(identity.lines.close(bound), bound).await;
        Instant::now()
    };
    let (answer, ended) = tokio::join!(ask(&handle), close);
    assert_eq!(answer.expect_err("silence").kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(ended, bound);
    let counted = identity.meter.snapshot();
    assert_eq!((counted.open(), counted.in_flight, counted.total().lost), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_opened_after_the_end_ends_at_once() {
    let identity = identity();
    drop(identity.lines.close(Instant::now()));
    let (near, far) = duplex(1024);
    let mut peer = Peer(far);
    let hello = Handle::establish(near, ConnectionOptions::default(), identity, soon());
    let (handle, heard) = tokio::join!(hello, peer.hear());
    assert_eq!(handle.expect_err("closed").kind(), ErrorKind::Disconnected);
    assert!(heard.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_went_over_a_connection_is_counted_in_requests_bytes_and_time() {
    let (handle, mut peer, identity) = accounted().await;
    let peer = async {
        for _ in 0..2 {
            let header = peer.hear().await.expect("a request");
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.answer::<MetadataRequest>(&header, &named("a")).await;
        }
        peer.hear().await.expect("a request");
        assert_eq!(identity.meter.snapshot().in_flight, 1);
        drop(peer);
    };
    let asking = async {
        let (one, two) = tokio::join!(ask(&handle), ask(&handle));
        assert!(one.is_ok() && two.is_ok());
        ask(&handle).await.expect_err("cut");
    };
    tokio::join!(asking, peer);
    let counted = identity.meter.snapshot();
    assert_eq!((counted.opened, counted.closed, counted.in_flight), (1, 1, 0));
    let metadata = counted.apis[&ApiKey::Metadata];
    assert_eq!((metadata.requests, metadata.answers, metadata.lost), (3, 2, 1));
    assert_eq!(metadata.latency_sum, Duration::from_secs(3), "one waited for the other");
    assert_eq!(metadata.latency_max, Duration::from_secs(2));
    assert!(metadata.bytes_out > 0 && metadata.bytes_in > 0);
    assert_eq!(counted.apis[&ApiKey::ApiVersions].answers, 1, "the greeting");
}

/// Bytes that arrive one at a time, and writes that take one at a time.
struct Trickle(DuplexStream);

impl tokio::io::AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut byte = buf.take(1);
        let polled = Pin::new(&mut self.0).poll_read(cx, &mut byte);
        let filled = byte.filled().to_vec();
        buf.put_slice(&filled);
        polled
    }
}

impl tokio::io::AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_single_bytes_does_as_well() {
    let (near, far) = duplex(64);
    let mut peer = Peer(far);
    let deadline = soon();
    let hello =
        Handle::establish(Trickle(near), ConnectionOptions::default(), identity(), deadline);
    let (handle, ()) = tokio::join!(hello, peer.shake_hands());
    let handle = handle.expect("a broker");
    let answer = async {
        let header = peer.hear().await.expect("a request");
        peer.answer::<MetadataRequest>(&header, &named("slow")).await;
    };
    let (answer, ()) = tokio::join!(ask(&handle), answer);
    assert_eq!(answer.expect("an answer").cluster_id.as_deref(), Some("slow"));
}
