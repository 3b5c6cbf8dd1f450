//! Who may ask what before, between and after logins.

use std::time::Duration;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::api_versions::ApiVersionsRequest;
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_protocol::messages::sasl_authenticate::{
    SaslAuthenticateRequest, SaslAuthenticateResponse,
};
use klamm_protocol::messages::sasl_handshake::SaslHandshakeRequest;
use klamm_protocol::wire::Secret;

use super::harness::Bench;
use crate::broker::{BearerCheck, ClusterConfig, LoginRules};

fn bench(session: Option<Duration>) -> Bench {
    let user = |name: &str| (name.to_owned(), "secret".to_owned());
    let login = Some(LoginRules {
        mechanisms: vec!["PLAIN".to_owned(), "OAUTHBEARER".to_owned()],
        users: vec![user("alice"), user("bob")],
        bearer: Some(BearerCheck::new(|token| (token == "good").then(|| "alice".to_owned()))),
        session,
    });
    Bench::new(ClusterConfig { login, ..ClusterConfig::default() })
}

fn choose(bench: &mut Bench, mechanism: &str) -> ErrorCode {
    let mechanism = mechanism.to_owned();
    bench.call(&SaslHandshakeRequest { mechanism }, 1).error_code
}

fn say(bench: &mut Bench, words: &[u8]) -> SaslAuthenticateResponse {
    bench.call(&SaslAuthenticateRequest { auth_bytes: Secret::from(words) }, 2)
}

fn log_in(bench: &mut Bench, words: &[u8]) -> SaslAuthenticateResponse {
    assert_eq!(choose(bench, "PLAIN"), ErrorCode::NONE);
    say(bench, words)
}

/// Whether a question that needs a login ends the connection.
fn hangs_up(bench: &mut Bench) -> bool {
    bench.send(&MetadataRequest::default(), 1);
    let answered = bench.frame(bench.conn).is_some();
    let closed = bench.closed().contains(&bench.conn);
    assert_ne!(answered, closed);
    closed
}

const ALICE: &[u8] = b"\0alice\0secret";

#[test]
fn who_has_not_logged_in_may_ask_for_versions_and_nothing_else() {
    let mut bench = bench(None);
    assert!(bench.call(&ApiVersionsRequest::default(), 0).error_code.is_ok());
    assert!(hangs_up(&mut bench));
    let mut bench = self::bench(None);
    assert!(log_in(&mut bench, ALICE).error_code.is_ok());
    assert!(!hangs_up(&mut bench));
    let mut bench = self::bench(None);
    let refused = log_in(&mut bench, b"\0alice\0wrong");
    assert_eq!(refused.error_code, ErrorCode::SASL_AUTHENTICATION_FAILED);
    assert!(hangs_up(&mut bench));
}

#[test]
fn a_mechanism_is_one_of_those_on_offer_and_chosen_first() {
    let mut bench = bench(None);
    assert_eq!(choose(&mut bench, "SCRAM-SHA-256"), ErrorCode::UNSUPPORTED_SASL_MECHANISM);
    assert_eq!(say(&mut bench, ALICE).error_code, ErrorCode::ILLEGAL_SASL_STATE);
    let mut open = Bench::new(ClusterConfig::default());
    assert_eq!(choose(&mut open, "PLAIN"), ErrorCode::ILLEGAL_SASL_STATE);
    assert!(!hangs_up(&mut open));
}

#[test]
fn a_session_ends_unless_the_same_user_logs_in_anew() {
    let session = Duration::from_secs(10);
    let mut bench = bench(Some(session));
    assert_eq!(log_in(&mut bench, ALICE).session_lifetime_ms, 10_000);
    bench.pass(Duration::from_secs(9));
    assert!(log_in(&mut bench, ALICE).error_code.is_ok());
    bench.pass(Duration::from_secs(9));
    assert!(!hangs_up(&mut bench));
    assert_eq!(
        log_in(&mut bench, b"\0bob\0secret").error_code,
        ErrorCode::SASL_AUTHENTICATION_FAILED
    );
    let mut bench = self::bench(Some(session));
    log_in(&mut bench, ALICE);
    bench.pass(Duration::from_secs(11));
    assert!(hangs_up(&mut bench));
}

#[test]
fn nothing_else_is_asked_in_the_middle_of_a_login_anew() {
    let mut bench = bench(None);
    log_in(&mut bench, ALICE);
    choose(&mut bench, "PLAIN");
    assert!(hangs_up(&mut bench));
}

#[test]
fn a_bearer_token_that_is_not_taken_is_complained_of_and_then_refused() {
    let mut bench = bench(None);
    choose(&mut bench, "OAUTHBEARER");
    let complaint = say(&mut bench, b"n,,\x01auth=Bearer bad\x01\x01");
    assert!(complaint.error_code.is_ok() && complaint.auth_bytes.0.starts_with(b"{"));
    let refused = say(&mut bench, b"\x01");
    assert_eq!(refused.error_code, ErrorCode::SASL_AUTHENTICATION_FAILED);
    choose(&mut bench, "OAUTHBEARER");
    assert!(say(&mut bench, b"n,,\x01auth=Bearer good\x01\x01").error_code.is_ok());
    assert!(!hangs_up(&mut bench));
}
