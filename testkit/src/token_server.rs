//! A token server for tests of OAUTHBEARER. In: forms with a client's id and secret, by HTTP or HTTPS
//! on 127.0.0.1; out: JSON Web Tokens signed with ES256, and the key to check them by (JWKS). It can
//! also fail, and make tokens that a broker must refuse.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// A running server, on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct TokenServer {
    base: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    key: SigningKey<P256>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    clients: Vec<(String, String)>,
    lifetime: Duration,
    is_failing: bool,
    asked: usize,
}

impl TokenServer {
    /// Starts one that knows these clients and their secrets, behind TLS if a configuration is given;
    /// its certificate has to be for `localhost` then. The id is the subject of a client's tokens,
    /// which hold a minute.
    ///
    /// # Errors
    ///
    /// No free port.
    pub fn start(clients: &[(&str, &str)], tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let base = base(tls.is_some(), listener.local_addr()?);
        let clients = clients.iter().map(|(id, secret)| ((*id).to_owned(), (*secret).to_owned()));
        let lifetime = Duration::from_secs(60);
        let state = State { clients: clients.collect(), lifetime, is_failing: false, asked: 0 };
        let shared = Arc::new(Shared { key: new_key(), state: Mutex::new(state) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = serve(listener, tls, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { base, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where tokens are asked for.
    pub fn url(&self) -> String {
        format!("{}/token", self.base)
    }

    /// Where brokers find the key.
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.base)
    }

    /// A token for this subject, which holds for so long.
    pub fn issue(&self, subject: &str, lifetime: Duration) -> String {
        token(&self.shared.key, subject, now(), lifetime)
    }

    /// A token that ended a minute ago.
    pub fn issue_expired(&self, subject: &str) -> String {
        token(&self.shared.key, subject, now() - 120, Duration::from_secs(60))
    }

    /// A token signed by another key under the name of the right one.
    pub fn forge(&self, subject: &str) -> String {
        token(&new_key(), subject, now(), Duration::from_secs(60))
    }

    /// Has tokens hold for so long from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.shared.lock().lifetime = lifetime;
    }

    /// Has the server answer with an error of its own, or no longer.
    pub fn set_failing(&self, is_failing: bool) {
        self.shared.lock().is_failing = is_failing;
    }

    /// How often a token was asked for.
    pub fn asked(&self) -> usize {
        self.shared.lock().asked
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Status and body for a request.
    fn answer(&self, request: &str) -> (&'static str, String) {
        if request.starts_with("GET /jwks ") {
            return ("200 OK", jwks(&self.key));
        }
        let mut state = self.lock();
        if !request.starts_with("POST /token ") {
            return ("404 Not Found", "{}".to_owned());
        }
        state.asked += 1;
        if state.is_failing {
            return ("503 Service Unavailable", "{}".to_owned());
        }
        let known = |(id, secret): &&(String, String)| {
            let basic = STANDARD.encode(format!("{id}:{secret}"));
            request.contains(&format!("Authorization: Basic {basic}\r\n"))
        };
        match state.clients.iter().find(known) {
            Some((id, _)) if request.contains("grant_type=client_credentials") => {
                let token = token(&self.key, id, now(), state.lifetime);
                let seconds = state.lifetime.as_secs();
                let body = format!(
                    r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds}}}"#
                );
                ("200 OK", body)
            }
            Some(_) => ("400 Bad Request", r#"{"error":"unsupported_grant_type"}"#.to_owned()),
            None => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

async fn serve(
    listener: std::net::TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(timeout(PATIENCE, async move {
            match tls {
                Some(tls) => respond(TlsAcceptor::from(tls).accept(stream).await?, &shared).await,
                None => respond(stream, &shared).await,
            }
        }));
    }
}

/// One request a connection.
async fn respond(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
) -> io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if request.len() > LARGEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = shared.answer(&String::from_utf8_lossy(&request));
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Whether head and body of a request are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

fn token(key: &SigningKey<P256>, subject: &str, from: u64, lifetime: Duration) -> String {
    let until = from + lifetime.as_secs();
    let header = format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{KEY_ID}"}}"#);
    let claims = format!(
        r#"{{"iss":"klamm-test","aud":"{AUDIENCE}","sub":"{subject}","iat":{from},"exp":{until},"scope":"kafka"}}"#
    );
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut buffer = [0; 64];
    let signature = key.sign::<Sha256>(&[signed.as_bytes()], &mut buffer).expect("room enough");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn jwks(key: &SigningKey<P256>) -> String {
    let mut buffer = [0; 256];
    let info = key.to_spki_der(&mut buffer).expect("room enough");
    // The point is what the structure ends with, x before y.
    let (x, y) = info[info.len() - 64..].split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    format!(
        r#"{{"keys":[{{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"{KEY_ID}","x":"{x}","y":"{y}"}}]}}"#
    )
}

fn new_key() -> SigningKey<P256> {
    SigningKey::generate().expect("randomness")
}

fn base(tls: bool, address: SocketAddr) -> String {
    let (scheme, port) = (if tls { "https" } else { "http" }, address.port());
    format!("{scheme}://localhost:{port}")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// For whom the tokens are (`sasl.oauthbearer.expected.audience`).
pub const AUDIENCE: &str = "kafka";

const KEY_ID: &str = "test-key";
const LARGEST: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);
