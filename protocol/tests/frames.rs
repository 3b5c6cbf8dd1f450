//! Whole frames, headers included, against the bytes that Kafka's own Java classes (kafka-clients
//! 4.3.1) write for the same content.

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Message, Request};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::{DecodeError, DecodeErrorKind, EncodeErrorKind};
use klamm_protocol::frame::{DEFAULT_MAX_FRAME, FrameReader};
use klamm_protocol::header::{self, RequestHeader};
use klamm_protocol::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
};

/// A frame from its hexadecimal digits, without its length.
fn body(hex: &str) -> Bytes {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let mut reader = FrameReader::new(DEFAULT_MAX_FRAME);
    reader.push((0..hex.len()).step_by(2).map(digit).collect::<Vec<u8>>());
    let frame = reader.next().unwrap().expect("a whole frame").0;
    assert_eq!(reader.buffered(), 0);
    frame
}

fn hex(bytes: Bytes) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Our bytes are Java's, and a broker reads the same request from them.
fn assert_request<R: Request + PartialEq + std::fmt::Debug>(
    request: &R,
    version: i16,
    client_id: Option<&str>,
    java: &str,
) {
    let ours = header::encode_request(request, version, 7, client_id).unwrap();
    assert_eq!(hex(ours.into_bytes()), java);
    let (head, reader) = header::decode_request_header(body(java)).unwrap();
    let expected = RequestHeader {
        api_key: R::KEY,
        api_version: version,
        correlation_id: 7,
        client_id: client_id.map(String::from),
    };
    assert_eq!(head, expected);
    assert_eq!(header::decode_request::<R>(reader, version).as_ref(), Ok(request));
}

/// Our bytes are Java's, and a client reads the same response from them.
fn assert_response<R: Request>(response: &R::Response, version: i16, java: &str)
where
    R::Response: PartialEq + std::fmt::Debug,
{
    let ours = header::encode_response::<R>(response, version, 7).unwrap();
    assert_eq!(hex(ours.into_bytes()), java);
    assert_eq!(header::correlation_id(&body(java)), Ok(7));
    assert_eq!(header::decode_response::<R>(body(java), version).as_ref(), Ok(response));
}

#[test]
fn requests_before_flexible_versions_are_javas() {
    let java = "0000000f001200000000000700056b6c616d6d";
    assert_request(&ApiVersionsRequest::default(), 0, Some("klamm"), java);
    let everything = MetadataRequest { topics: None, ..Default::default() };
    assert_request(&everything, 1, None, "0000000e0003000100000007ffffffffffff");
}

#[test]
fn flexible_requests_are_javas() {
    let versions = ApiVersionsRequest {
        client_software_name: "klamm".into(),
        client_software_version: "0.1.0".into(),
    };
    let java = "0000001d001200030000000700056b6c616d6d00066b6c616d6d06302e312e3000";
    assert_request(&versions, 3, Some("klamm"), java);
    let topic = MetadataRequestTopic { name: Some("castle".into()), ..Default::default() };
    let metadata = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let java = "0000002c0003000c0000000700056b6c616d6d000200000000000000000000000000000000\
                07636173746c6500000000";
    assert_request(&metadata, 12, Some("klamm"), java);
}

#[test]
fn a_tagged_field_of_a_request_is_javas() {
    let fetch = FetchRequest {
        cluster_id: Some("gorge".into()),
        max_wait_ms: 500,
        min_bytes: 1,
        ..Default::default()
    };
    let java = "000000310001000d0000000700016b00ffffffff000001f4000000017fffffff0000000000ffffffff\
                01010101000606676f726765";
    assert_request(&fetch, 13, Some("k"), java);
}

#[test]
fn the_response_to_api_versions_never_has_a_flexible_header() {
    let known = ApiVersion { api_key: 3, min_version: 0, max_version: 13 };
    let response = ApiVersionsResponse {
        api_keys: vec![known],
        throttle_time_ms: 9,
        finalized_features_epoch: 5,
        ..Default::default()
    };
    let java = "0000001d0000000700000200030000000d00000000090101080000000000000005";
    assert_response::<ApiVersionsRequest>(&response, 3, java);
    // How an old broker answers a version it does not know: in version 0.
    let refused = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: response.api_keys,
        ..Default::default()
    };
    let java = "000000100000000700230000000100030000000d";
    assert_response::<ApiVersionsRequest>(&refused, 0, java);
}

fn metadata(cluster_id: Option<String>) -> MetadataResponse {
    let broker =
        MetadataResponseBroker { node_id: 1, host: "h".into(), port: 9092, ..Default::default() };
    MetadataResponse { brokers: vec![broker], cluster_id, controller_id: 1, ..Default::default() }
}

#[test]
fn responses_are_javas_flexible_or_not() {
    let java = "0000002200000007000000000002000000010268000023840000026300000001018000000000";
    assert_response::<MetadataRequest>(&metadata(Some("c".into())), 9, java);
    let java = "0000001d00000007000000010000000100016800002384ffff0000000100000000";
    assert_response::<MetadataRequest>(&metadata(None), 1, java);
}

#[test]
fn the_first_controlled_shutdown_has_no_client_id() {
    let frame = Bytes::from_static(&[0, 7, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1]);
    let (head, body) = header::decode_request_header(frame).unwrap();
    assert_eq!((head.api_key, head.client_id), (ApiKey::ControlledShutdown, None));
    assert_eq!(body.remaining(), 4);
}

#[test]
fn headers_follow_from_api_and_version() {
    let request = header::request_header_version;
    assert_eq!(request(ApiKey::ControlledShutdown, 0), 0);
    assert_eq!(request(ApiKey::ControlledShutdown, 3), 2);
    assert_eq!((request(ApiKey::Produce, 8), request(ApiKey::Produce, 9)), (1, 2));
    assert_eq!(request(ApiKey::SaslHandshake, 1), 1);
    assert_eq!(request(ApiKey::Unknown(500), 9), 1);
    let response = header::response_header_version;
    assert_eq!((response(ApiKey::Produce, 8), response(ApiKey::Produce, 9)), (0, 1));
    assert_eq!(response(ApiKey::ApiVersions, 4), 0);
}

#[test]
fn an_unknown_api_still_says_who_asks() {
    let frame = Bytes::from_static(&[1, 0xf4, 0, 2, 0, 0, 0, 7, 0, 1, b'k', 9, 9]);
    let (head, body) = header::decode_request_header(frame).unwrap();
    assert_eq!((head.api_key, head.client_id.as_deref()), (ApiKey::Unknown(500), Some("k")));
    assert_eq!(body.remaining(), 2);
}

#[test]
fn bytes_after_a_message_are_refused() {
    let java = "0000001e00000007000000010000000100016800002384ffff000000010000000000";
    let error = header::decode_response::<MetadataRequest>(body(java), 1).unwrap_err();
    assert_eq!(error, DecodeError::new(29, DecodeErrorKind::LeftOver { left: 1 }));
}

#[test]
fn every_cut_of_a_response_is_refused_and_names_a_place() {
    let whole = header::encode_response::<MetadataRequest>(&metadata(None), 12, 7).unwrap();
    let whole = whole.into_bytes().slice(4..);
    for length in 0..whole.len() {
        let error =
            header::decode_response::<MetadataRequest>(whole.slice(..length), 12).unwrap_err();
        assert!(error.at <= length && error.field.is_some(), "{length}: {error}");
    }
    let tiny = header::correlation_id(&[1, 2]).unwrap_err();
    assert_eq!(tiny.what, DecodeErrorKind::UnexpectedEnd { wanted: 4, left: 2 });
}

#[test]
fn versions_that_do_not_exist_are_refused_both_ways() {
    let error = header::encode_request(&MetadataRequest::default(), 14, 7, None).unwrap_err();
    assert_eq!(error.what, EncodeErrorKind::UnsupportedVersion { version: 14 });
    let mut reader = klamm_protocol::wire::Reader::new(Bytes::from_static(&[0; 8]));
    let error = MetadataRequest::decode(&mut reader, -1).unwrap_err();
    assert_eq!(error.what, DecodeErrorKind::UnsupportedVersion { version: -1 });
}

#[test]
fn a_client_id_that_is_too_long_is_refused_by_name() {
    let long = "x".repeat(40_000);
    let error = header::encode_request(&MetadataRequest::default(), 1, 7, Some(&long)).unwrap_err();
    assert_eq!(error.field, Some("RequestHeader.client_id"));
}
