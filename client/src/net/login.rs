//! Logging in over a connection. In: whoever knows the credentials, and a road to the loop; out: for
//! how long the broker lets this client in, or one line that says why not. A connection that is in
//! use logs in anew before that time is over, without a request being lost (KIP-368).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use klamm_protocol::api::Request;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::sasl_authenticate::SaslAuthenticateRequest;
use klamm_protocol::messages::sasl_handshake::SaslHandshakeRequest;
use klamm_protocol::session::handshake::Versions;
use klamm_protocol::session::sasl::{
    Exchange, LoginError, LoginEvent, LoginRequest, MechanismError,
};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::credentials::{Credentials, Login};
use crate::error::{Error, ErrorKind, Result};
use crate::jwt;
use crate::net::driver::Command;
use crate::net::releases::remedy;
use crate::net::talk::{Talk, first_words};
use crate::secret::Secret;

/// Tells the broker who this client is, and returns for how long that holds; `None` for ever.
///
/// # Errors
///
/// [`ErrorKind::Authentication`] where the broker does not let this client in or cannot prove to be
/// the right one; [`ErrorKind::TimedOut`] at `deadline`; whatever the source of credentials says.
///
/// # Cancel safety
///
/// Not cancel safe: the connection is of no more use.
pub(crate) async fn log_in(
    talk: &Talk,
    versions: &Versions,
    login: &Login,
    deadline: Instant,
) -> Result<Option<Duration>> {
    let whole = async {
        let credentials = login.credentials(&talk.identity.host).await?;
        say(talk, versions, &credentials, deadline).await
    };
    timeout_at(deadline, whole).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::TimedOut, "logging in took too long")
            .with("broker", &talk.identity.peer)
            .with_hint("check that the broker, and whoever gives out tokens, can be reached"))
    })
}

/// Keeps a connection logged in, until it ends. Where that fails, the connection is given up: the
/// next one tells why.
pub(crate) async fn renew(talk: Talk, versions: Versions, login: Arc<Login>, lifetime: Duration) {
    let renewing = async {
        let outcome = keep_renewing(&talk, &versions, &login, lifetime).await;
        if let Err(error) = outcome {
            tracing::warn!(%error, "logging in anew failed");
            // Gone already is as good.
            let _ = talk.commands.send(Command::GiveUp).await;
        }
    };
    tokio::select! {
        biased;
        () = talk.commands.closed() => {}
        () = renewing => {}
    }
}

async fn keep_renewing(
    talk: &Talk,
    versions: &Versions,
    login: &Login,
    mut lifetime: Duration,
) -> Result<()> {
    let mut begun = Instant::now();
    loop {
        let lifetime_now = lifetime.min(LONGEST_SESSION);
        let share = EARLIEST + (LATEST - EARLIEST) * fastrand::f64();
        sleep_until(begun + lifetime_now.mul_f64(share).max(SHORTEST_SESSION)).await;
        // Before anything is held up: this may take long, or need a second try.
        let host = &talk.identity.host;
        let credentials = credentials_before(login, host, begun + lifetime_now).await;
        // The broker would not read a login while a quota holds requests back.
        sleep_until(talk.line.held_until()).await;
        let (waiting, paused) = oneshot::channel();
        // If the loop has ended, so does this task.
        let _ = talk.commands.send(Command::Pause(waiting)).await;
        let _ = paused.await;
        // The last answers may have held requests back anew.
        sleep_until(talk.line.held_until()).await;
        begun = Instant::now();
        let deadline = begun + talk.identity.request_timeout;
        let renewed = say(talk, versions, &credentials?, deadline).await?;
        let _ = talk.commands.send(Command::Resume).await;
        tracing::debug!(broker = %talk.identity.peer, ?renewed, "logged in anew");
        match renewed {
            Some(next) => lifetime = next,
            None => return Ok(()),
        }
    }
}

/// The credentials, with another try while the present login holds.
async fn credentials_before(login: &Login, host: &str, end: Instant) -> Result<Credentials> {
    loop {
        let error = match timeout_at(end, login.credentials(host)).await {
            Ok(Ok(credentials)) => return Ok(credentials),
            Ok(Err(error)) => error,
            Err(late) => {
                let what = "getting credentials took too long";
                return Err(Error::new(ErrorKind::TimedOut, what).with_source(late));
            }
        };
        if Instant::now() + RETRY_PAUSE >= end {
            return Err(error);
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// One exchange from its first word to its last.
async fn say(
    talk: &Talk,
    versions: &Versions,
    credentials: &Credentials,
    deadline: Instant,
) -> Result<Option<Duration>> {
    let version = versions.pick::<SaslAuthenticateRequest>().map_err(|error| {
        Error::new(ErrorKind::Unsupported, error.to_string())
            .with("broker", &talk.identity.peer)
            .with_hint(remedy(&error))
    })?;
    let mut exchange = Exchange::new(credentials.start()?, version);
    loop {
        let answer = match exchange.poll_transmit() {
            Some(LoginRequest::Handshake(request)) => {
                ask::<SaslHandshakeRequest>(talk, &request, Exchange::HANDSHAKE_VERSION, deadline)
                    .await?
            }
            Some(LoginRequest::Authenticate(request)) => {
                ask::<SaslAuthenticateRequest>(talk, &request, version, deadline).await?
            }
            None => return Err(Error::new(ErrorKind::Internal, "a login has nothing to say")),
        };
        exchange = hear(exchange, answer, credentials).await?;
        match exchange.poll_event() {
            Some(LoginEvent::Done { lifetime }) => return Ok(lifetime),
            Some(LoginEvent::Failed(error)) => {
                return Err(refused(error, credentials).with_context(talk));
            }
            None => {}
        }
    }
}

async fn ask<R: Request>(
    talk: &Talk,
    request: &R,
    version: i16,
    deadline: Instant,
) -> Result<Bytes> {
    talk.exchange_until(request, version, deadline, true).await.map_err(first_words)
}

/// Takes an answer in. SCRAM computes for some milliseconds, on a thread for that.
async fn hear(
    mut exchange: Exchange,
    answer: Bytes,
    credentials: &Credentials,
) -> Result<Exchange> {
    if credentials.mechanism().scram_hash().is_none() {
        exchange.handle_response(answer);
        return Ok(exchange);
    }
    let computing = spawn_blocking(move || {
        exchange.handle_response(answer);
        exchange
    });
    let lost = |error| Error::new(ErrorKind::Internal, "a login broke off").with_source(error);
    computing.await.map_err(lost)
}

/// Why the broker did not let this client in, in words.
struct Refusal {
    kind: ErrorKind,
    what: &'static str,
    pairs: Vec<(&'static str, String)>,
    hint: String,
    source: Option<LoginError>,
}

impl Refusal {
    fn with_context(self, talk: &Talk) -> Error {
        let error = Error::new(self.kind, self.what).with("broker", &talk.identity.peer);
        let error =
            self.pairs.into_iter().fold(error, |error, (name, text)| error.with(name, text));
        let error = error.with_hint(self.hint);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

fn refused(error: LoginError, credentials: &Credentials) -> Refusal {
    let mut pairs = vec![("mechanism", credentials.mechanism().to_string())];
    if let Some((client, service)) = credentials.names() {
        pairs.extend([("principal", client), ("service", service)]);
    }
    let secret = credentials.secret().map(Secret::reveal);
    let clean = |text: &str| without(text, secret);
    let (kind, what, hint) = match &error {
        LoginError::NotOffered { .. } => {
            pairs.push(("detail", clean(&error.to_string())));
            let what = "the broker does not offer the mechanism";
            (ErrorKind::Authentication, what, NOT_OFFERED.to_owned())
        }
        LoginError::Refused { code, .. } if *code == ErrorCode::ILLEGAL_SASL_STATE => {
            let what = "the listener does not ask for a login";
            (ErrorKind::Authentication, what, NO_SASL.to_owned())
        }
        LoginError::Refused { code, message, complaint } => {
            pairs.extend(credentials.user().map(|user| ("user", clean(user))));
            let complaint = complaint.as_deref().and_then(status);
            let words = complaint.or_else(|| message.clone());
            pairs.push(("detail", clean(&words.unwrap_or_else(|| code.name().to_string()))));
            (ErrorKind::Authentication, "the broker refused the login", hint_for(credentials))
        }
        LoginError::Mechanism(MechanismError::Signature) => {
            let what = "the broker does not know the password, so it is not the one that it says";
            (ErrorKind::Authentication, what, IMPOSTOR.to_owned())
        }
        LoginError::Mechanism(MechanismError::NoServiceKey) => {
            let what = "the broker could not read the ticket, so it is not the one that it says";
            (ErrorKind::Authentication, what, IMPOSTOR.to_owned())
        }
        LoginError::Mechanism(why) => {
            pairs.push(("detail", clean(&why.to_string())));
            let what = "the broker's part of the login is wrong";
            (ErrorKind::Authentication, what, IMPOSTOR.to_owned())
        }
        _ => {
            pairs.push(("detail", clean(&error.to_string())));
            let what = "the broker's answer to the login cannot be read";
            (ErrorKind::Protocol, what, IMPOSTOR.to_owned())
        }
    };
    // What the broker said in its own words is told above, cleaned, and nowhere else.
    let source = match error {
        LoginError::NotOffered { .. }
        | LoginError::Refused { .. }
        | LoginError::Mechanism(MechanismError::Error(_)) => None,
        error => Some(error),
    };
    Refusal { kind, what, pairs, hint, source }
}

/// What most likely mends a login that was refused.
fn hint_for(credentials: &Credentials) -> String {
    use crate::credentials::SaslMechanism::{Gssapi, OauthBearer};
    if credentials.is_delegation_token() {
        return "the token may have expired or been ended: get another".to_owned();
    }
    if credentials.mechanism() == Gssapi {
        return "compare the broker's keytab with the KDC's newest key of its principal, and its \
                clock with the KDC's; its log says more"
            .to_owned();
    }
    if credentials.mechanism() != OauthBearer {
        return "check user name and password in sasl.jaas.config".to_owned();
    }
    let expiry = credentials.secret().and_then(|token| jwt::expiry(token.reveal()));
    match expiry.and_then(|end| SystemTime::now().duration_since(end).ok()) {
        Some(since) => format!("get another token: this one expired {} s ago", since.as_secs()),
        None => "check issuer, audience and signature of the token".to_owned(),
    }
}

/// What a broker complains of, of the JSON in which it does (RFC 7628).
fn status(complaint: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(complaint).ok()?;
    value.get("status")?.as_str().map(str::to_owned)
}

/// A broker's words, as far as one line holds them, and none that repeat the secret.
fn without(text: &str, secret: Option<&str>) -> String {
    if secret.is_some_and(|secret| text.contains(secret)) {
        return "the broker repeats the secret".to_owned();
    }
    text.chars().take(MOST_LETTERS).collect()
}

/// When a login is made anew, as a share of its time; by chance between, as in Java, so that not all
/// connections do it at once.
const EARLIEST: f64 = 0.85;
const LATEST: f64 = 0.95;

/// Brokers take no login within a second after the last.
const SHORTEST_SESSION: Duration = Duration::from_secs(1);

/// Longer than a connection lives, and far from what instants cannot hold.
const LONGEST_SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Before credentials are asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Of what a broker says.
const MOST_LETTERS: usize = 200;

const NOT_OFFERED: &str =
    "set sasl.mechanism to one of them, or add it to sasl.enabled.mechanisms of that listener";
const NO_SASL: &str = "set security.protocol to PLAINTEXT or SSL, or use a listener of the broker's \
                       with SASL";
const IMPOSTOR: &str = "check that host and port are the broker's; nothing was asked of this one";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::ScramHash;

    #[test]
    fn a_secret_that_a_broker_repeats_is_not_repeated_here() {
        let credentials = Credentials::scram(ScramHash::Sha256, "alice", "hunter2");
        let echo = LoginError::Refused {
            code: ErrorCode::SASL_AUTHENTICATION_FAILED,
            message: Some("no user with hunter2".to_owned()),
            complaint: None,
        };
        let refusal = refused(echo, &credentials);
        assert!(!format!("{:?}", refusal.pairs).contains("hunter2"));
        assert!(refusal.source.is_none(), "the source would say it again");
        assert_eq!(without(&"x".repeat(1_000), Some("y")).len(), MOST_LETTERS);
    }

    #[test]
    fn a_complaint_in_json_is_told_by_its_status() {
        let json = r#"{"status":"invalid_token","scope":"x"}"#;
        assert_eq!(status(json).as_deref(), Some("invalid_token"));
        assert_eq!(status("nonsense"), None);
    }
}
