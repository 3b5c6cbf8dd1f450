//! Logging in to the embedded cluster (SASL), where its configuration asks for it. In: SaslHandshake,
//! SaslAuthenticate; out: their answers, and whether a connection may ask anything else. PLAIN, SCRAM
//! and OAUTHBEARER are spoken, SCRAM for delegation tokens, too; a session may have to be renewed
//! (KIP-368). Nothing else depends on who logged in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::sasl_authenticate::{
    SaslAuthenticateRequest, SaslAuthenticateResponse,
};
use klamm_protocol::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use klamm_protocol::session::sasl::{OauthBearer, Plain, ScramHash};
use klamm_protocol::wire::Secret;

use super::admin::Admin;
use super::outbox::{ConnId, Context};
use scram::{Dialogue, Entry};

mod scram;

/// Who may use a cluster.
#[derive(Clone, Debug, Default)]
pub struct LoginRules {
    /// The mechanisms on offer: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER`.
    pub mechanisms: Vec<String>,
    /// Users and their passwords, beside those that were made by requests and those with delegation
    /// tokens.
    pub users: Vec<(String, String)>,
    /// Who a bearer token is for.
    pub bearer: Option<BearerCheck>,
    /// After how long a client has to log in anew (`connections.max.reauth.ms`). Default: never.
    pub session: Option<Duration>,
}

/// Says who a bearer token is for; `None` for a token that is not taken.
#[derive(Clone)]
pub struct BearerCheck(Arc<Check>);

type Check = dyn Fn(&str) -> Option<String> + Send + Sync;

impl BearerCheck {
    /// What `check` says of a token.
    pub fn new(check: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

/// All logins of a cluster.
#[derive(Debug)]
pub(crate) struct Logins {
    rules: Option<LoginRules>,
    sessions: BTreeMap<ConnId, Session>,
    nonces: u64,
}

/// One connection's.
#[derive(Debug, Default)]
struct Session {
    /// The mechanism of a login that is under way.
    chosen: Option<String>,
    dialogue: Option<Dialogue>,
    /// The token was not taken; the client has to say that it heard so.
    complained: bool,
    /// Who is logged in, and until when.
    user: Option<String>,
    until: Option<Instant>,
}

/// What comes of a client's words.
enum Heard {
    /// Answer this and go on.
    Say(Vec<u8>),
    /// It is this user, who may stay for so long at most.
    In(String, Option<Duration>, Vec<u8>),
    Refused(&'static str),
}

impl Logins {
    pub(crate) fn new(rules: Option<LoginRules>) -> Self {
        Self { rules, sessions: BTreeMap::new(), nonces: 0 }
    }

    /// Whether a connection may ask this now. If not, it ends, as at Kafka's brokers.
    pub(crate) fn admits(&self, conn: ConnId, key: ApiKey, now: Instant) -> bool {
        let open = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];
        if self.rules.is_none() || open.contains(&key) {
            return true;
        }
        let session = self.sessions.get(&conn);
        session.is_some_and(|session| {
            // In the middle of a login anew nothing else is taken.
            let idle = session.chosen.is_none();
            idle && session.user.is_some() && session.until.is_none_or(|until| now < until)
        })
    }

    /// The connection has ended.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.sessions.remove(&conn);
    }

    /// Answers SaslHandshake.
    pub(crate) fn choose(
        &mut self,
        conn: ConnId,
        request: &SaslHandshakeRequest,
    ) -> SaslHandshakeResponse {
        let Some(rules) = &self.rules else { return refuse_choice(ErrorCode::ILLEGAL_SASL_STATE) };
        let mechanisms = rules.mechanisms.clone();
        if !mechanisms.contains(&request.mechanism) {
            let error_code = ErrorCode::UNSUPPORTED_SASL_MECHANISM;
            return SaslHandshakeResponse { error_code, mechanisms };
        }
        let session = self.sessions.entry(conn).or_default();
        session.chosen = Some(request.mechanism.clone());
        (session.dialogue, session.complained) = (None, false);
        SaslHandshakeResponse { error_code: ErrorCode::NONE, mechanisms }
    }

    /// Answers SaslAuthenticate.
    pub(crate) fn hear(
        &mut self,
        admin: &Admin,
        context: &Context<'_>,
        request: &SaslAuthenticateRequest,
    ) -> SaslAuthenticateResponse {
        let conn = context.origin.conn;
        let Some(rules) = &self.rules else { return refuse(ErrorCode::ILLEGAL_SASL_STATE) };
        self.nonces += 1;
        let nonce = format!("broker{}", self.nonces);
        let Some(session) = self.sessions.get_mut(&conn) else {
            return refuse(ErrorCode::ILLEGAL_SASL_STATE);
        };
        let Some(mechanism) = session.chosen.clone() else {
            return refuse(ErrorCode::ILLEGAL_SASL_STATE);
        };
        let words = &request.auth_bytes.0;
        let heard = match mechanism.as_str() {
            Plain::NAME => hear_plain(rules, words),
            OauthBearer::NAME => hear_bearer(rules, session, words),
            name => {
                let hash = [ScramHash::Sha256, ScramHash::Sha512];
                match hash.into_iter().find(|hash| hash.mechanism() == name) {
                    Some(hash) => {
                        let entry = |user: &str, is_token| {
                            entry(rules, admin, context.wall_ms, hash, user, is_token)
                        };
                        hear_scram(session, hash, words, &nonce, entry)
                    }
                    None => Heard::Refused("this cluster does not speak the mechanism"),
                }
            }
        };
        match heard {
            Heard::Say(bytes) => SaslAuthenticateResponse {
                auth_bytes: Secret::from(bytes),
                ..SaslAuthenticateResponse::default()
            },
            // Who logs in anew has to be the same as before.
            Heard::In(user, limit, bytes)
                if session.user.as_ref().is_none_or(|before| *before == user) =>
            {
                let lifetime = rules.session.into_iter().chain(limit).min();
                session.chosen = None;
                session.user = Some(user);
                session.until = lifetime.map(|lifetime| context.now + lifetime);
                let ms = lifetime.map_or(0, |lifetime| lifetime.as_millis());
                SaslAuthenticateResponse {
                    auth_bytes: Secret::from(bytes),
                    session_lifetime_ms: i64::try_from(ms).unwrap_or(i64::MAX),
                    ..SaslAuthenticateResponse::default()
                }
            }
            Heard::In(..) => refuse_with("a login anew as somebody else"),
            Heard::Refused(why) => refuse_with(why),
        }
    }
}

impl fmt::Debug for BearerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerCheck")
    }
}

fn hear_plain(rules: &LoginRules, words: &[u8]) -> Heard {
    let mut fields = words.split(|byte| *byte == 0);
    let (Some(b""), Some(user), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Heard::Refused("Invalid SASL/PLAIN response");
    };
    let known = rules
        .users
        .iter()
        .find(|(name, secret)| name.as_bytes() == user && secret.as_bytes() == password);
    match known {
        Some((name, _)) => Heard::In(name.clone(), None, Vec::new()),
        None => Heard::Refused("Authentication failed: Invalid username or password"),
    }
}

fn hear_bearer(rules: &LoginRules, session: &mut Session, words: &[u8]) -> Heard {
    if session.complained {
        return Heard::Refused("Authentication failed: the token was not taken");
    }
    let text = std::str::from_utf8(words).unwrap_or_default();
    let token = text.strip_prefix("n,,\x01auth=Bearer ").and_then(|rest| rest.split('\x01').next());
    let check = rules.bearer.as_ref().map(|check| &check.0);
    match token.and_then(|token| check?(token)) {
        Some(user) => Heard::In(user, None, Vec::new()),
        None => {
            session.complained = true;
            Heard::Say(br#"{"status":"invalid_token"}"#.to_vec())
        }
    }
}

fn hear_scram(
    session: &mut Session,
    hash: ScramHash,
    words: &[u8],
    nonce: &str,
    entry: impl FnOnce(&str, bool) -> Option<Entry>,
) -> Heard {
    let failed = "Authentication failed during authentication due to invalid credentials";
    let text = std::str::from_utf8(words).unwrap_or_default();
    match session.dialogue.take() {
        None => match Dialogue::begin(hash, text, nonce, entry) {
            Some((dialogue, answer)) => {
                session.dialogue = Some(dialogue);
                Heard::Say(answer)
            }
            None => Heard::Refused(failed),
        },
        Some(dialogue) => match dialogue.finish(text) {
            Some((entry, answer)) => Heard::In(entry.owner, entry.lifetime, answer),
            None => Heard::Refused(failed),
        },
    }
}

/// What a login by SCRAM is checked against.
fn entry(
    rules: &LoginRules,
    admin: &Admin,
    now_ms: i64,
    hash: ScramHash,
    user: &str,
    is_token: bool,
) -> Option<Entry> {
    if is_token {
        let (owner, hmac, lifetime) = admin.tokens.login(user, now_ms)?;
        return Entry::of_password(hash, owner, &hmac, Some(lifetime));
    }
    if let Some((_, password)) = rules.users.iter().find(|(name, _)| name == user) {
        return Entry::of_password(hash, user.to_owned(), password, None);
    }
    let kept = admin.scram.credential(user, hash)?;
    Some(Entry {
        owner: user.to_owned(),
        salt: kept.salt.to_vec(),
        iterations: u32::try_from(kept.iterations).ok()?,
        salted: kept.salted_password.0.to_vec(),
        lifetime: None,
    })
}

/// SaslHandshake refused with `code`.
pub(crate) fn refuse_choice(error_code: ErrorCode) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code, ..SaslHandshakeResponse::default() }
}

/// SaslAuthenticate refused with `code`.
pub(crate) fn refuse(error_code: ErrorCode) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse { error_code, ..SaslAuthenticateResponse::default() }
}

fn refuse_with(why: &str) -> SaslAuthenticateResponse {
    let error_message = Some(why.to_owned());
    let refusal = refuse(ErrorCode::SASL_AUTHENTICATION_FAILED);
    SaslAuthenticateResponse { error_message, ..refusal }
}
