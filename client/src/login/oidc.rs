//! Bearer tokens from a token server (OpenID Connect's client credentials, KIP-768). In: its URL and
//! this client's own credentials; out: a token that is fresh enough. One token serves all connections
//! until four fifths of its life are over; while the server fails, the old one serves to its end.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::config::{Config, Endpoint};
use crate::credentials::{CredentialSource, Credentials, Obtaining};
use crate::error::{Error, ErrorKind, Result};
use crate::jwt;
use crate::net::dial::Dial;
use crate::net::tls::TlsDial;
use crate::secret::Secret;
use crate::tls::failure_of;

use super::http::{HttpError, Response, Url, form_encode, post};

/// Asks for tokens, and keeps the last.
pub(super) struct Tokens {
    endpoint: Endpoint,
    extensions: Vec<(String, String)>,
    url: Url,
    dial: Arc<dyn Dial>,
    /// How long the server may take while an old token still serves: less than a login has.
    patience: Duration,
    /// How long it may take otherwise.
    most: Duration,
    /// Held while one asks, so that all who wait get the same token.
    kept: Mutex<Option<Kept>>,
}

/// A token, and how long it serves.
struct Kept {
    token: Secret,
    /// From then on another is asked for.
    stale: Instant,
    /// Until then it still serves if there is no other.
    end: Instant,
}

impl Tokens {
    /// A token server that nobody has asked yet.
    pub(super) async fn new(
        endpoint: Endpoint,
        extensions: Vec<(String, String)>,
        dial: Arc<dyn Dial>,
        config: &Config,
        patience: Duration,
    ) -> Result<Self> {
        let url = Url::parse(&endpoint.url).ok_or_else(|| {
            Error::new(ErrorKind::Config, "the token server's URL cannot be read")
                .with("option", "sasl.oauthbearer.token.endpoint.url")
                .with_hint("write https://host:port/path, without a user name")
        })?;
        let dial = if url.secure {
            let options = endpoint.tls.iter().map(|(name, value)| (name, value.reveal()));
            let mut tls = Config::default();
            for (name, value) in options {
                tls.take(name, value)?;
            }
            if let Some(crypto) = config.crypto() {
                tls = tls.with_crypto(crypto.clone());
            }
            Arc::new(TlsDial::over(dial, Arc::new(tls)).await?)
        } else {
            dial
        };
        let most = *config.connect_timeout_max();
        Ok(Self { endpoint, extensions, url, dial, patience, most, kept: Mutex::new(None) })
    }

    async fn token(&self) -> Result<Secret> {
        let asked = Instant::now();
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        if let Some(one) = kept.as_ref().filter(|one| now < one.stale) {
            return Ok(one.token.clone());
        }
        // Whoever waits for the lock has waited for the server already.
        let has_old = kept.as_ref().is_some_and(|one| now < one.end);
        let deadline = asked + if has_old { self.patience } else { self.most };
        let error = match timeout_at(deadline, self.ask()).await {
            Ok(Ok(fresh)) => return Ok(kept.insert(fresh).token.clone()),
            Ok(Err(error)) => error,
            Err(late) => self.failed("it did not answer in time").with_source(late),
        };
        match kept.as_ref().filter(|one| Instant::now() < one.end) {
            Some(one) => {
                tracing::warn!(%error, "there is no new token; the old one still serves");
                Ok(one.token.clone())
            }
            None => Err(error),
        }
    }

    async fn ask(&self) -> Result<Kept> {
        let asked = (Instant::now(), SystemTime::now());
        let stream = self.dial.dial_within(&self.url.host, self.url.port, self.most).await;
        let mut stream = stream.map_err(|error| {
            let kind = failure_of(&error).map_or(ErrorKind::Unreachable, |tls| tls.kind());
            self.failed(&error.to_string()).as_kind(kind).with_source(error)
        })?;
        let (id, secret) = (&self.endpoint.client_id, self.endpoint.client_secret.reveal());
        let pair = if self.endpoint.encode {
            format!("{}:{}", form_encode(id), form_encode(secret))
        } else {
            format!("{id}:{secret}")
        };
        let authorization =
            Secret::from(format!("Basic {}", STANDARD.encode(Secret::from(pair).reveal())));
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.endpoint.scope {
            form += &format!("&scope={}", form_encode(scope));
        }
        let answer = post(&mut stream, &self.url, authorization.reveal(), &form).await;
        let response = answer.map_err(|error| {
            let kind = match error {
                HttpError::Io(_) | HttpError::Ended => ErrorKind::Unreachable,
                _ => ErrorKind::Protocol,
            };
            self.failed(&error.to_string()).as_kind(kind).with_source(error)
        })?;
        let (token, lifetime) = self.read(&response, asked.1)?;
        let lifetime = lifetime.min(LONGEST);
        Ok(Kept { token, stale: asked.0 + lifetime.mul_f64(FRESH), end: asked.0 + lifetime })
    }

    /// The token in an answer, and how long it holds from `now` on.
    fn read(&self, response: &Response, now: SystemTime) -> Result<(Secret, Duration)> {
        let body: Option<Value> = serde_json::from_slice(&response.body).ok();
        let text = |name: &str| body.as_ref().and_then(|body| body.get(name)?.as_str());
        if response.status != 200 {
            // The standard's code alone: other words might repeat what was sent.
            let code = text("error").filter(|code| is_code(code)).unwrap_or("no reason");
            let kind = match response.status {
                429 | 500.. => ErrorKind::Unreachable,
                _ => ErrorKind::Authentication,
            };
            let detail = format!("it answers {}: {code}", response.status);
            return Err(self.failed(&detail).as_kind(kind));
        }
        let token = text("access_token").or_else(|| text("id_token"));
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(self.failed("its answer has no token").as_kind(ErrorKind::Protocol));
        };
        let told = body.as_ref().and_then(|body| body.get("expires_in")?.as_f64());
        let told = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let claimed = jwt::expiry(token).and_then(|end| end.duration_since(now).ok());
        // A token that has ended by this machine's clock tells of the clock: a wrong one must not have every connection
        // ask.
        let claimed = claimed.filter(|left| !left.is_zero());
        let lifetime = claimed.into_iter().chain(told).min().unwrap_or(UNTOLD);
        Ok((Secret::from(token), lifetime))
    }

    fn failed(&self, detail: &str) -> Error {
        Error::new(ErrorKind::Unreachable, "the token server gives no token")
            .with("server", format!("{}:{}", self.url.host, self.url.port))
            .with("detail", detail)
            .with_hint("check sasl.oauthbearer.token.endpoint.url, client id and secret")
    }
}

impl CredentialSource for Tokens {
    fn credentials(&self) -> Obtaining<'_> {
        Box::pin(async move {
            let token = self.token().await?;
            Ok(Credentials::bearer(token, self.extensions.clone()))
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("url", &self.url).finish_non_exhaustive()
    }
}

/// An error code of OAuth 2.0: `invalid_client`, say.
fn is_code(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The share of its life after which a token is replaced.
const FRESH: f64 = 0.8;

/// Of a token that says nothing about it.
const UNTOLD: Duration = Duration::from_secs(60);

/// Longer than a connection lives, and far from what instants cannot hold.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::net::dial::TcpDial;

    async fn tokens(port: u16) -> Tokens {
        let endpoint = Endpoint {
            url: format!("http://127.0.0.1:{port}/token"),
            client_id: "alice".to_owned(),
            client_secret: Secret::from("x"),
            scope: None,
            encode: false,
            tls: Vec::new(),
        };
        let dial = Arc::new(TcpDial::new(Duration::from_secs(5)));
        let patience = Duration::from_millis(50);
        Tokens::new(endpoint, Vec::new(), dial, &Config::default(), patience).await.expect("a URL")
    }

    #[tokio::test]
    async fn while_the_server_is_silent_the_old_token_serves() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let tokens = tokens(silent.local_addr().expect("bound").port()).await;
        let now = Instant::now();
        let end = now + Duration::from_secs(3_600);
        let old = Kept { token: Secret::from("old"), stale: now, end };
        *tokens.kept.lock().await = Some(old);
        let login = Duration::from_secs(5);
        let served =
            tokio::time::timeout(login, tokens.token()).await.expect("while a login lasts");
        assert_eq!(served.expect("it still holds").reveal(), "old");
    }

    #[tokio::test]
    async fn a_token_that_ended_by_a_wrong_clock_holds_as_long_as_the_server_says() {
        let tokens = tokens(1).await;
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
        for (exp, told, holds) in [
            (since - 60, Some(3_600), Duration::from_secs(3_600)),
            (since - 60, None, UNTOLD),
            (since + 60, Some(3_600), Duration::from_secs(60)),
        ] {
            let token = jwt::unsecured(&serde_json::json!({ "exp": exp }));
            let body = serde_json::json!({ "access_token": token, "expires_in": told });
            let response = Response { status: 200, body: body.to_string().into_bytes() };
            let (_, life) = tokens.read(&response, now).expect("a token");
            assert!(life <= holds && life + Duration::from_secs(1) >= holds, "{life:?}");
        }
    }
}
