//! What an exchange asks, and how it ends.

use super::*;
use crate::api::Request;
use crate::header::encode_response;
use crate::messages::sasl_authenticate::SaslAuthenticateResponse;
use crate::messages::sasl_handshake::SaslHandshakeResponse;

fn frame<R: Request>(response: &R::Response, version: i16) -> Bytes {
    encode_response::<R>(response, version, 7).unwrap().into_bytes().split_off(4)
}

fn mechanisms(error_code: ErrorCode, names: &[&str]) -> Bytes {
    let mechanisms = names.iter().map(|name| (*name).to_owned()).collect();
    frame::<SaslHandshakeRequest>(&SaslHandshakeResponse { error_code, mechanisms }, 1)
}

fn challenge(version: i16, response: &SaslAuthenticateResponse) -> Bytes {
    frame::<SaslAuthenticateRequest>(response, version)
}

fn plain(version: i16) -> Exchange {
    Exchange::new(Box::new(Plain::new("alice", "wonderland").unwrap()), version)
}

/// Up to the first bytes of the mechanism.
fn begun(mut exchange: Exchange) -> (Exchange, Secret) {
    assert!(matches!(exchange.poll_transmit(), Some(LoginRequest::Handshake(_))));
    exchange.handle_response(mechanisms(ErrorCode::NONE, &["PLAIN"]));
    let Some(LoginRequest::Authenticate(request)) = exchange.poll_transmit() else {
        panic!("{exchange:?}")
    };
    assert!(exchange.poll_transmit().is_none(), "one request at a time");
    (exchange, request.auth_bytes)
}

fn failure(exchange: &mut Exchange) -> LoginError {
    assert!(exchange.poll_transmit().is_none());
    match exchange.poll_event() {
        Some(LoginEvent::Failed(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_login_ends_with_its_lifetime_in_all_versions_that_have_one() {
    for (version, lifetime) in [(0, None), (1, Some(5_000)), (2, Some(5_000))] {
        let (mut exchange, said) = begun(plain(version));
        assert_eq!(said.0, &b"\0alice\0wonderland"[..]);
        let session_lifetime_ms = lifetime.unwrap_or(0);
        let response =
            SaslAuthenticateResponse { session_lifetime_ms, ..SaslAuthenticateResponse::default() };
        exchange.handle_response(challenge(version, &response));
        let lifetime = lifetime.map(|ms: i64| Duration::from_millis(ms.unsigned_abs()));
        assert_eq!(exchange.poll_event(), Some(LoginEvent::Done { lifetime }));
        assert_eq!(exchange.poll_event(), None);
    }
}

#[test]
fn a_mechanism_that_is_not_offered_is_not_replaced_by_another() {
    let mut exchange = plain(2);
    exchange.poll_transmit();
    let offered = ["SCRAM-SHA-512", "OAUTHBEARER"];
    exchange.handle_response(mechanisms(ErrorCode::UNSUPPORTED_SASL_MECHANISM, &offered));
    let error = failure(&mut exchange);
    assert!(error.to_string().contains("SCRAM-SHA-512, OAUTHBEARER"), "{error}");
    exchange.handle_response(mechanisms(ErrorCode::NONE, &offered));
    assert!(exchange.poll_transmit().is_none() && exchange.poll_event().is_none());
}

#[test]
fn a_refusal_keeps_the_brokers_words() {
    let (mut exchange, _) = begun(plain(2));
    let code = ErrorCode::SASL_AUTHENTICATION_FAILED;
    let message = Some("Invalid username or password".to_owned());
    exchange.handle_response(challenge(
        2,
        &SaslAuthenticateResponse {
            error_code: code,
            error_message: message.clone(),
            ..SaslAuthenticateResponse::default()
        },
    ));
    let refused = LoginError::Refused { code, message, complaint: None };
    assert_eq!(failure(&mut exchange), refused);
}

#[test]
fn what_cannot_be_read_ends_it() {
    let mut exchange = plain(2);
    exchange.handle_response(mechanisms(ErrorCode::NONE, &[]));
    assert!(exchange.poll_event().is_none(), "nothing was asked yet");
    exchange.poll_transmit();
    exchange.handle_response(Bytes::from_static(b"\0\0\0\x07\0"));
    assert!(matches!(failure(&mut exchange), LoginError::Decode(_)));

    let (mut exchange, _) = begun(plain(2));
    let auth_bytes = Secret::from(&b"what?"[..]);
    exchange.handle_response(challenge(
        2,
        &SaslAuthenticateResponse { auth_bytes, ..SaslAuthenticateResponse::default() },
    ));
    assert_eq!(failure(&mut exchange), LoginError::Mechanism(MechanismError::Unexpected));
}

#[test]
fn a_broker_that_says_yes_without_a_signature_is_not_believed() {
    let scram = Scram::new(ScramHash::Sha256, "alice", "wonderland", "nonce").unwrap();
    let (mut exchange, _) = begun(Exchange::new(Box::new(scram), 2));
    exchange.handle_response(challenge(2, &SaslAuthenticateResponse::default()));
    assert!(matches!(failure(&mut exchange), LoginError::Mechanism(_)));
}

#[test]
fn a_token_is_said_with_its_extensions_and_a_complaint_is_acknowledged() {
    let extensions = [("traceId".to_owned(), "12".to_owned())];
    let token = OauthBearer::new("a.b.c", &extensions).unwrap();
    let (mut exchange, said) = begun(Exchange::new(Box::new(token), 2));
    assert_eq!(said.0, &b"n,,\x01auth=Bearer a.b.c\x01traceId=12\x01\x01"[..]);
    let words = r#"{"status":"invalid_token"}"#;
    let auth_bytes = Secret::from(words.as_bytes());
    let complains = SaslAuthenticateResponse { auth_bytes, ..SaslAuthenticateResponse::default() };
    exchange.handle_response(challenge(2, &complains));
    let Some(LoginRequest::Authenticate(request)) = exchange.poll_transmit() else {
        panic!("{exchange:?}")
    };
    assert_eq!(request.auth_bytes.0, &b"\x01"[..]);
    let code = ErrorCode::SASL_AUTHENTICATION_FAILED;
    exchange.handle_response(challenge(
        2,
        &SaslAuthenticateResponse { error_code: code, ..SaslAuthenticateResponse::default() },
    ));
    let complaint = Some(words.to_owned());
    assert_eq!(failure(&mut exchange), LoginError::Refused { code, message: None, complaint });
}

#[test]
fn a_broker_that_complains_and_then_says_yes_is_not_believed() {
    let token = OauthBearer::new("a.b.c", &[]).unwrap();
    let (mut exchange, _) = begun(Exchange::new(Box::new(token), 2));
    let auth_bytes = Secret::from(&b"{}"[..]);
    let complains = SaslAuthenticateResponse { auth_bytes, ..SaslAuthenticateResponse::default() };
    exchange.handle_response(challenge(2, &complains));
    exchange.poll_transmit();
    exchange.handle_response(challenge(2, &SaslAuthenticateResponse::default()));
    assert_eq!(failure(&mut exchange), LoginError::Mechanism(MechanismError::Contradiction));
}

#[test]
fn credentials_that_would_break_a_message_are_refused_and_never_repeated() {
    assert_eq!(Plain::new("", "p").err(), Some(CredentialError::NoUser));
    assert_eq!(Plain::new("u", "").err(), Some(CredentialError::NoPassword));
    assert_eq!(Plain::new("u", "p\0q").err(), Some(CredentialError::Nul));
    for token in ["", "a b", "a\x01auth=Bearer c", "ä"] {
        assert_eq!(OauthBearer::new(token, &[]).err(), Some(CredentialError::Token), "{token}");
    }
    for (name, value) in [("auth", "x"), ("", "x"), ("a1", "x"), ("a", ""), ("a", "x\x01y")] {
        let extension = [(name.to_owned(), value.to_owned())];
        let refused = OauthBearer::new("a.b.c", &extension).err();
        assert_eq!(refused, Some(CredentialError::Extension), "{name}");
    }
    let (plain, token) = (Plain::new("u", "hunter2"), OauthBearer::new("hunter2", &[]));
    assert!(!format!("{plain:?} {token:?}").contains("hunter2"));
}
