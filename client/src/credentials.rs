//! Who a client is to its brokers. In: a user and a password, a delegation token, a bearer token, a
//! ticket, or whoever knows them at the moment; out: a mechanism that can say so. What is secret is in
//! [`Secret`]s and is never printed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use klamm_protocol::session::sasl::{CredentialError, Mechanism, OauthBearer, Plain, Scram};

use crate::error::{Error, ErrorKind, Result};
use crate::kerberos::gss::{Chance, Gssapi};
use crate::kerberos::messages::Ticket;
use crate::secret::Secret;

pub use klamm_protocol::session::sasl::ScramHash;

/// A way to log in (SASL), as brokers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// `PLAIN`: the password goes to the broker.
    Plain,
    /// `SCRAM-SHA-256`: both sides prove that they know it.
    ScramSha256,
    /// `SCRAM-SHA-512`, likewise.
    ScramSha512,
    /// `OAUTHBEARER`: a token goes to the broker.
    OauthBearer,
    /// `GSSAPI`: Kerberos; both sides prove that they know their keys, to a third that both trust.
    Gssapi,
}

impl SaslMechanism {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OauthBearer, Self::Gssapi];

    /// The name under which brokers offer it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => Plain::NAME,
            Self::ScramSha256 => ScramHash::Sha256.mechanism(),
            Self::ScramSha512 => ScramHash::Sha512.mechanism(),
            Self::OauthBearer => OauthBearer::NAME,
            Self::Gssapi => Gssapi::NAME,
        }
    }

    /// The hash of a SCRAM.
    pub fn scram_hash(self) -> Option<ScramHash> {
        match self {
            Self::ScramSha256 => Some(ScramHash::Sha256),
            Self::ScramSha512 => Some(ScramHash::Sha512),
            _ => None,
        }
    }

    /// Whether the broker gets to see all that it takes to log in as this user, and proves nothing.
    pub fn tells_secrets(self) -> bool {
        matches!(self, Self::Plain | Self::OauthBearer)
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What it takes to log in, by one mechanism.
///
/// ```
/// use klamm_client::credentials::{Credentials, ScramHash};
///
/// let alice = Credentials::scram(ScramHash::Sha512, "alice", "wonderland");
/// assert_eq!(alice.mechanism().name(), "SCRAM-SHA-512");
/// assert!(!format!("{alice:?}").contains("wonderland"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Plain { user: String, password: Secret },
    Scram { hash: ScramHash, user: String, password: Secret },
    DelegationToken { hash: ScramHash, id: String, secret: Secret },
    Bearer { token: Secret, extensions: Vec<(String, String)> },
    Ticket(Arc<Ticket>),
}

impl Credentials {
    /// A user and a password that the broker gets to see.
    pub fn plain(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self(Kind::Plain { user: user.into(), password: password.into() })
    }

    /// A user and a password that the broker does not get to see.
    pub fn scram(hash: ScramHash, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self(Kind::Scram { hash, user: user.into(), password: password.into() })
    }

    /// A delegation token (KIP-48): its id, and its HMAC in base64.
    pub fn delegation_token(
        hash: ScramHash,
        id: impl Into<String>,
        hmac: impl Into<Secret>,
    ) -> Self {
        Self(Kind::DelegationToken { hash, id: id.into(), secret: hmac.into() })
    }

    /// A bearer token that the broker gets to see, and names and values that go with it (KIP-342).
    pub fn bearer(
        token: impl Into<Secret>,
        extensions: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let extensions = extensions.into_iter().collect();
        Self(Kind::Bearer { token: token.into(), extensions })
    }

    /// A ticket of Kerberos for one broker.
    pub(crate) fn ticket(ticket: Arc<Ticket>) -> Self {
        Self(Kind::Ticket(ticket))
    }

    /// The mechanism by which they log in.
    pub fn mechanism(&self) -> SaslMechanism {
        match &self.0 {
            Kind::Plain { .. } => SaslMechanism::Plain,
            Kind::Scram { hash, .. } | Kind::DelegationToken { hash, .. } => match hash {
                ScramHash::Sha256 => SaslMechanism::ScramSha256,
                _ => SaslMechanism::ScramSha512,
            },
            Kind::Bearer { .. } => SaslMechanism::OauthBearer,
            Kind::Ticket(_) => SaslMechanism::Gssapi,
        }
    }

    /// The user, or the token's id, where there is one to be told.
    pub fn user(&self) -> Option<&str> {
        match &self.0 {
            Kind::Plain { user, .. } | Kind::Scram { user, .. } => Some(user),
            Kind::DelegationToken { id, .. } => Some(id),
            Kind::Bearer { .. } | Kind::Ticket(_) => None,
        }
    }

    /// Whether they are a delegation token.
    pub fn is_delegation_token(&self) -> bool {
        matches!(self.0, Kind::DelegationToken { .. })
    }

    /// What must not be printed, where the broker could know it.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.0 {
            Kind::Plain { password, .. } | Kind::Scram { password, .. } => Some(password),
            Kind::DelegationToken { secret, .. } => Some(secret),
            Kind::Bearer { token, .. } => Some(token),
            Kind::Ticket(_) => None,
        }
    }

    /// Whose ticket it is, and for which service.
    pub(crate) fn names(&self) -> Option<(String, String)> {
        match &self.0 {
            Kind::Ticket(ticket) => Some((ticket.client.to_string(), ticket.service.to_string())),
            _ => None,
        }
    }

    /// This side of one login.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for credentials that could not be said: an empty password, say.
    pub(crate) fn start(&self) -> Result<Box<dyn Mechanism>> {
        let mechanism = match &self.0 {
            Kind::Plain { user, password } => {
                Plain::new(user, password.reveal()).map(|it| Box::new(it) as Box<dyn Mechanism>)
            }
            Kind::Scram { hash, user, password } => {
                Scram::new(*hash, user, password.reveal(), &nonce()?).map(|it| Box::new(it) as _)
            }
            Kind::DelegationToken { hash, id, secret } => {
                let scram = Scram::with_token(*hash, id, secret.reveal(), &nonce()?);
                scram.map(|it| Box::new(it) as _)
            }
            Kind::Bearer { token, extensions } => {
                OauthBearer::new(token.reveal(), extensions).map(|it| Box::new(it) as _)
            }
            Kind::Ticket(ticket) => {
                let login = Gssapi::new(ticket, SystemTime::now(), &chance()?);
                return Ok(Box::new(login));
            }
        };
        mechanism.map_err(|why: CredentialError| {
            Error::new(ErrorKind::Config, "nobody can log in by these credentials")
                .with("mechanism", self.mechanism())
                .with("detail", why)
                .with_hint("check sasl.jaas.config")
                .with_source(why)
        })
    }
}

/// Whoever knows the credentials of now. Asked at each new connection, and each time that a broker
/// wants a login anew (KIP-368), so that passwords and tokens can be replaced under a client that is
/// in use.
pub trait CredentialSource: fmt::Debug + Send + Sync + 'static {
    /// The credentials of now. The future is dropped when it takes longer than a connection may take
    /// to be opened, so it must be cancel safe.
    fn credentials(&self) -> Obtaining<'_>;

    /// The same for the broker on this host, where it makes a difference: a ticket of Kerberos is for
    /// one service.
    fn credentials_for<'a>(&'a self, host: &'a str) -> Obtaining<'a> {
        let _ = host;
        self.credentials()
    }
}

/// The future of [`CredentialSource::credentials`].
pub type Obtaining<'a> = Pin<Box<dyn Future<Output = Result<Credentials>> + Send + 'a>>;

impl CredentialSource for Credentials {
    fn credentials(&self) -> Obtaining<'_> {
        let credentials = self.clone();
        Box::pin(async move { Ok(credentials) })
    }
}

/// Credentials that can be replaced while clients use them. Clones share them.
///
/// ```
/// use klamm_client::Config;
/// use klamm_client::credentials::{Credentials, ScramHash, SharedCredentials};
///
/// # fn main() -> klamm_client::Result<()> {
/// let token = |secret| Credentials::delegation_token(ScramHash::Sha256, "id", secret);
/// let current = SharedCredentials::new(token("b2xk"));
/// let config = Config::new("broker:9092")?.with_credentials(current.clone());
/// // Later, while a client of this configuration works:
/// current.replace(token("bmV3"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SharedCredentials(Arc<Mutex<Credentials>>);

impl SharedCredentials {
    /// These, until they are replaced.
    pub fn new(credentials: Credentials) -> Self {
        Self(Arc::new(Mutex::new(credentials)))
    }

    /// Has new connections use others, and open ones at their next login.
    pub fn replace(&self, credentials: Credentials) {
        *self.lock() = credentials;
    }

    fn lock(&self) -> MutexGuard<'_, Credentials> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialSource for SharedCredentials {
    fn credentials(&self) -> Obtaining<'_> {
        let credentials = self.lock().clone();
        Box::pin(async move { Ok(credentials) })
    }
}

/// A source of credentials as [`crate::Config`] keeps it. Two are equal if they are the same one.
#[derive(Clone, Debug)]
pub struct Source(pub(crate) Arc<dyn CredentialSource>);

impl<S: CredentialSource> From<S> for Source {
    fn from(source: S) -> Self {
        Self(Arc::new(source))
    }
}

impl From<Arc<dyn CredentialSource>> for Source {
    fn from(source: Arc<dyn CredentialSource>) -> Self {
        Self(source)
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How all connections of a client log in.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) source: Arc<dyn CredentialSource>,
    /// The only mechanism that may be used, where the options name one.
    pub(crate) mechanism: Option<SaslMechanism>,
    /// Whether secrets may be told: inside TLS, or because the caller insists.
    pub(crate) may_tell: bool,
}

impl Login {
    /// The credentials of now for the broker on this host, if they may be used here.
    pub(crate) async fn credentials(&self, host: &str) -> Result<Credentials> {
        let credentials = self.source.credentials_for(host).await?;
        let mechanism = credentials.mechanism();
        if self.mechanism.is_some_and(|only| only != mechanism) {
            return Err(Error::new(ErrorKind::Config, "the credentials are for another mechanism")
                .with("mechanism", mechanism)
                .with("option", "sasl.mechanism")
                .with_hint("leave it out, or set it to the mechanism of the credentials"));
        }
        if mechanism.tells_secrets() && !self.may_tell {
            return Err(tells_secrets(mechanism));
        }
        Ok(credentials)
    }
}

/// Why a mechanism is not used on this connection.
pub(crate) fn tells_secrets(mechanism: SaslMechanism) -> Error {
    let what = "this mechanism would send a password or token without encryption";
    Error::new(ErrorKind::Config, what)
        .with("mechanism", mechanism)
        .with_hint("set security.protocol=SASL_SSL, use SCRAM, or set allow.insecure.sasl=true")
}

fn nonce() -> Result<String> {
    random::<24>().map(|bytes| STANDARD.encode(bytes))
}

fn chance() -> Result<Chance> {
    let sequence = u32::from_be_bytes(random()?);
    Ok(Chance { confounder: random()?, key: random()?, sequence })
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "the system gives no random bytes").with_source(error)
    })?;
    Ok(bytes)
}
