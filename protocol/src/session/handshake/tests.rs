//! The handshake against answers of brokers old, new and broken.

use super::*;
use crate::header::encode_response;
use crate::messages::api_versions::{ApiVersion, FinalizedFeatureKey};
use crate::messages::metadata::MetadataRequest;
use crate::messages::produce::ProduceRequest;

fn api(api_key: i16, min_version: i16, max_version: i16) -> ApiVersion {
    ApiVersion { api_key, min_version, max_version }
}

fn frame(response: &ApiVersionsResponse, version: i16) -> Bytes {
    let whole = encode_response::<ApiVersionsRequest>(response, version, 0).unwrap();
    whole.into_bytes().slice(4..)
}

fn begin(handshake: &mut Handshake) -> i16 {
    handshake.poll_transmit().unwrap().1
}

#[test]
fn a_broker_of_today_is_asked_once() {
    let mut handshake = Handshake::new();
    let (request, version) = handshake.poll_transmit().unwrap();
    assert_eq!(request.client_software_name, "klamm");
    assert!(handshake.poll_transmit().is_none());
    let level = FinalizedFeatureKey {
        name: "transaction.version".to_owned(),
        max_version_level: 2,
        min_version_level: 2,
    };
    let response = ApiVersionsResponse {
        api_keys: vec![api(18, 0, 4), api(3, 0, 12)],
        finalized_features_epoch: 1,
        finalized_features: vec![level],
        ..Default::default()
    };
    handshake.handle_response(frame(&response, version));
    let Some(HandshakeEvent::Ready(versions)) = handshake.poll_event() else { panic!("not ready") };
    assert_eq!(versions.pick::<MetadataRequest>(), Ok(12));
    assert_eq!(versions.feature("transaction.version"), Some(2));
    let missing = versions.pick::<ProduceRequest>().unwrap_err();
    assert_eq!(missing.to_string(), "the broker does not know Produce");
}

#[test]
fn a_broker_that_offers_a_version_is_asked_in_it() {
    let mut handshake = Handshake::new();
    begin(&mut handshake);
    let refusal = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: vec![api(18, 0, 2)],
        ..Default::default()
    };
    handshake.handle_response(frame(&refusal, 0));
    assert!(handshake.poll_event().is_none());
    assert_eq!(begin(&mut handshake), 2);
}

#[test]
fn a_broker_that_offers_nothing_is_asked_in_version_0() {
    let mut handshake = Handshake::new();
    begin(&mut handshake);
    let refusal =
        ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION, ..Default::default() };
    handshake.handle_response(frame(&refusal, 0));
    assert_eq!(begin(&mut handshake), 0);
    let answer = ApiVersionsResponse { api_keys: vec![api(3, 0, 7)], ..Default::default() };
    handshake.handle_response(frame(&answer, 0));
    assert!(matches!(handshake.poll_event(), Some(HandshakeEvent::Ready(_))));
}

#[test]
fn a_broker_that_refuses_twice_is_given_up() {
    let mut handshake = Handshake::new();
    let refusal =
        ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION, ..Default::default() };
    for _ in 0..2 {
        begin(&mut handshake);
        handshake.handle_response(frame(&refusal, 0));
    }
    let refused = HandshakeError::Refused(ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(handshake.poll_event(), Some(HandshakeEvent::Failed(refused)));
    assert!(handshake.poll_transmit().is_none());
}

#[test]
fn damaged_answers_and_answers_to_nothing_do_no_harm() {
    let mut handshake = Handshake::new();
    handshake.handle_response(Bytes::from_static(b"early"));
    assert!(handshake.poll_event().is_none());
    begin(&mut handshake);
    handshake.handle_response(Bytes::from_static(&[0, 0, 0, 0, 0]));
    let event = handshake.poll_event();
    assert!(matches!(event, Some(HandshakeEvent::Failed(HandshakeError::Decode(_)))), "{event:?}");
}

#[test]
fn ranges_upside_down_are_not_offered() {
    let response = ApiVersionsResponse { api_keys: vec![api(3, 5, 1)], ..Default::default() };
    assert!(Versions::from(response).pick::<MetadataRequest>().is_err());
}
