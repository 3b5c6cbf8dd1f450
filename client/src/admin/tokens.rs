//! Delegation tokens (KIP-48, KIP-373). In: whose token, and for how long; out: tokens with their
//! secrets, which nothing here prints. A broker gives them only to users that have logged in by
//! other means than a token.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use klamm_protocol::messages::create_delegation_token::{
    CreatableRenewers, CreateDelegationTokenRequest, CreateDelegationTokenResponse,
};
use klamm_protocol::messages::describe_delegation_token::{
    DescribeDelegationTokenOwner, DescribeDelegationTokenRequest, DescribedDelegationToken,
};
use klamm_protocol::messages::expire_delegation_token::ExpireDelegationTokenRequest;
use klamm_protocol::messages::renew_delegation_token::RenewDelegationTokenRequest;
use klamm_protocol::wire::Secret;

use crate::client::Client;
use crate::cluster::Repeat;
use crate::credentials::{Credentials, ScramHash};
use crate::error::{Error, ErrorKind, Result};

use super::each::{Node, about};

/// Somebody whom brokers know, such as `User:alice`.
///
/// ```
/// use klamm_client::admin::Principal;
///
/// let alice: Principal = "User:alice".parse()?;
/// assert_eq!(alice, Principal::user("alice"));
/// assert_eq!(alice.to_string(), "User:alice");
/// # Ok::<(), klamm_client::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    /// What kind of principal; brokers without an extension know `User` alone.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// A token to be made.
///
/// ```
/// use std::time::Duration;
/// use klamm_client::admin::{NewToken, Principal};
///
/// let token = NewToken::default()
///     .with_renewer(Principal::user("scheduler"))
///     .with_max_lifetime(Duration::from_secs(86_400));
/// assert_eq!((token.owner, token.renewers.len()), (None, 1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewToken {
    /// Whose token it is; `None` for whoever asks. Another owner needs brokers since 3.3.
    pub owner: Option<Principal>,
    /// Who may renew it beside its owner.
    pub renewers: Vec<Principal>,
    /// After how long it can be renewed no more; `None` for the broker's setting.
    pub max_lifetime: Option<Duration>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// Its id, with which to log in as user name.
    pub id: String,
    /// Its secret; in base64 it is the password to log in with. It is never printed.
    pub hmac: Secret,
    /// Whose it is.
    pub owner: Principal,
    /// Who asked for it, from brokers since 3.3.
    pub requester: Option<Principal>,
    /// When it was made, in milliseconds since 1970.
    pub issued_ms: i64,
    /// When it expires unless it is renewed, in milliseconds since 1970.
    pub expires_ms: i64,
    /// Until when it can be renewed, in milliseconds since 1970.
    pub max_ms: i64,
    /// Who may renew it beside its owner; of a token that was just made, as they were asked for.
    pub renewers: Vec<Principal>,
}

impl Token {
    /// What it takes to log in by this token.
    pub fn credentials(&self, hash: ScramHash) -> Credentials {
        Credentials::delegation_token(hash, &self.id, STANDARD.encode(&self.hmac.0))
    }
}

impl Principal {
    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self { kind: "User".to_owned(), name: name.into() }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl FromStr for Principal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((kind, name)) if !kind.is_empty() => {
                Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
            }
            _ => Err(Error::new(ErrorKind::Usage, "a principal has the wrong form")
                .with("principal", text)
                .with_hint("write it like User:alice")),
        }
    }
}

impl NewToken {
    /// Makes it another's.
    #[must_use]
    pub fn with_owner(mut self, owner: Principal) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Adds somebody who may renew it.
    #[must_use]
    pub fn with_renewer(mut self, renewer: Principal) -> Self {
        self.renewers.push(renewer);
        self
    }

    /// Sets after how long it can be renewed no more.
    #[must_use]
    pub fn with_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
        self
    }
}

impl Client {
    /// Makes a token. Other brokers may learn of it a moment later.
    ///
    /// # Errors
    ///
    /// The broker's code: `DELEGATION_TOKEN_REQUEST_NOT_ALLOWED` over a connection without a login
    /// or with one by token, `DELEGATION_TOKEN_AUTH_DISABLED` where brokers have no secret for
    /// tokens; [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) where the request got no
    /// answer, which is not repeated; [`TimedOut`](crate::ErrorKind::TimedOut) after
    /// `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a token may or may not be made, which [`Client::describe_tokens`] tells.
    pub async fn create_token(&self, token: &NewToken) -> Result<Token> {
        let made =
            self.question(Node::Controller, Repeat::Harmful, |handle, deadline| async move {
                let version = handle.version_of::<CreateDelegationTokenRequest>()?;
                let response = handle.request(&create_request(token, version), deadline).await?;
                Error::check(response.error_code)?;
                Ok(response)
            });
        let made = made.await.map_err(|error| match &token.owner {
            Some(owner) => about(error, "owner", owner),
            None => error,
        })?;
        Ok(Token::made(made, token.renewers.clone()))
    }

    /// Puts off the moment at which a token expires: to `period` from now, or for `None` by the
    /// broker's setting, but never past its last. Tells that moment in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The broker's code, such as `DELEGATION_TOKEN_NOT_FOUND`, `DELEGATION_TOKEN_EXPIRED` or
    /// `DELEGATION_TOKEN_OWNER_MISMATCH`; the others as [`Client::create_token`]. No error tells
    /// the secret.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the token may or may not be renewed.
    pub async fn renew_token(&self, hmac: &Secret, period: Option<Duration>) -> Result<i64> {
        let request = &RenewDelegationTokenRequest {
            hmac: hmac.clone(),
            renew_period_ms: period.map_or(BROKERS_OWN, millis),
        };
        self.question(Node::Controller, Repeat::Harmless, |handle, deadline| async move {
            let response = handle.request(request, deadline).await?;
            Error::check(response.error_code).map(|()| response.expiry_timestamp_ms)
        })
        .await
    }

    /// Has a token expire in `period` from now, or for `None` at once. Tells that moment in
    /// milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// As [`Client::renew_token`]; not repeated where the request got no answer, since a token that
    /// is gone is not found.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the token may or may not expire.
    pub async fn expire_token(&self, hmac: &Secret, period: Option<Duration>) -> Result<i64> {
        let request = &ExpireDelegationTokenRequest {
            hmac: hmac.clone(),
            expiry_time_period_ms: period.map_or(AT_ONCE, millis),
        };
        self.question(Node::Controller, Repeat::Harmful, |handle, deadline| async move {
            let response = handle.request(request, deadline).await?;
            Error::check(response.error_code).map(|()| response.expiry_timestamp_ms)
        })
        .await
    }

    /// The tokens of these owners, or (`None`) all, as far as the user may see them; by rising id.
    ///
    /// # Errors
    ///
    /// As [`Client::create_token`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_tokens(&self, owners: Option<&[Principal]>) -> Result<Vec<Token>> {
        let owner = |owner: &Principal| DescribeDelegationTokenOwner {
            principal_type: owner.kind.clone(),
            principal_name: owner.name.clone(),
        };
        let owners = owners.map(|owners| owners.iter().map(owner).collect());
        let request = &DescribeDelegationTokenRequest { owners };
        self.question(Node::Any, Repeat::Harmless, |handle, deadline| async move {
            let response = handle.request(request, deadline).await?;
            Error::check(response.error_code)?;
            let mut tokens: Vec<_> = response.tokens.into_iter().map(Token::described).collect();
            tokens.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(tokens)
        })
        .await
    }
}

impl Token {
    fn made(told: CreateDelegationTokenResponse, renewers: Vec<Principal>) -> Self {
        Self {
            id: told.token_id,
            hmac: told.hmac,
            owner: Principal { kind: told.principal_type, name: told.principal_name },
            requester: known(
                told.token_requester_principal_type,
                told.token_requester_principal_name,
            ),
            issued_ms: told.issue_timestamp_ms,
            expires_ms: told.expiry_timestamp_ms,
            max_ms: told.max_timestamp_ms,
            renewers,
        }
    }

    fn described(told: DescribedDelegationToken) -> Self {
        let renewers = told.renewers.into_iter();
        Self {
            id: told.token_id,
            hmac: told.hmac,
            owner: Principal { kind: told.principal_type, name: told.principal_name },
            requester: known(
                told.token_requester_principal_type,
                told.token_requester_principal_name,
            ),
            issued_ms: told.issue_timestamp,
            expires_ms: told.expiry_timestamp,
            max_ms: told.max_timestamp,
            renewers: renewers
                .map(|one| Principal { kind: one.principal_type, name: one.principal_name })
                .collect(),
        }
    }
}

fn create_request(token: &NewToken, version: i16) -> CreateDelegationTokenRequest {
    // A version without the field wants it at its default, which is empty and not null.
    let nobody = || (version < OWNERS).then(String::new);
    let renewer = |renewer: &Principal| CreatableRenewers {
        principal_type: renewer.kind.clone(),
        principal_name: renewer.name.clone(),
    };
    let owner = token.owner.as_ref();
    CreateDelegationTokenRequest {
        owner_principal_type: owner.map(|owner| owner.kind.clone()).or_else(nobody),
        owner_principal_name: owner.map(|owner| owner.name.clone()).or_else(nobody),
        renewers: token.renewers.iter().map(renewer).collect(),
        max_lifetime_ms: token.max_lifetime.map_or(BROKERS_OWN, millis),
    }
}

/// Older brokers do not tell who asked.
fn known(kind: String, name: String) -> Option<Principal> {
    (!kind.is_empty()).then_some(Principal { kind, name })
}

fn millis(period: Duration) -> i64 {
    i64::try_from(period.as_millis()).unwrap_or(i64::MAX)
}

/// From this version on tokens can be made for others (KIP-373).
const OWNERS: i16 = 3;
/// By this number requests leave a time to the broker's settings.
const BROKERS_OWN: i64 = -1;
/// By this number a token ends now.
const AT_ONCE: i64 = -1;
