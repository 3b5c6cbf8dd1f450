//! Users that log in by SCRAM (KIP-554). In: users with passwords; out: who can log in by which
//! mechanism. A password is hashed here and never travels; neither it nor its hash is ever printed.

use std::collections::BTreeMap;

use hmac::Hmac;
use klamm_protocol::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use klamm_protocol::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResult,
    UserName,
};
use klamm_protocol::wire::Secret;
use sha2::{Sha256, Sha512};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, ErrorKind, Result};

use super::each::{Call, Each, Item, Named, Node, To, Told, about, verdict};
use super::kinds::kinds;

kinds! {
    /// A mechanism of SCRAM.
    ScramMechanism("mechanism") {
        /// With SHA-256.
        1 Sha256 "SCRAM-SHA-256";
        /// With SHA-512.
        2 Sha512 "SCRAM-SHA-512";
    }
}

/// A credential of a user, as far as a broker tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ScramCredential {
    /// The mechanism.
    pub mechanism: ScramMechanism,
    /// How often the password was hashed.
    pub iterations: i32,
}

/// A user's credential to set or to delete.
///
/// ```
/// use klamm_client::admin::{ScramChange, ScramMechanism};
///
/// let alice = ScramChange::set("alice", ScramMechanism::Sha512, "wonderland").with_iterations(8192);
/// let bob = ScramChange::delete("bob", ScramMechanism::Sha256);
/// assert_eq!((alice.user(), bob.user()), ("alice", "bob"));
/// assert!(!format!("{alice:?}").contains("wonderland"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramChange {
    user: String,
    mechanism: ScramMechanism,
    /// What is set; `None` deletes.
    set: Option<Password>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Password {
    password: Secret,
    salt: Option<Secret>,
    iterations: i32,
}

impl ScramChange {
    /// Sets the password of a user for a mechanism, with 4096 iterations and a salt of 24 random
    /// bytes. The password is taken as its UTF-8 bytes, as Java's client takes it.
    pub fn set(
        user: impl Into<String>,
        mechanism: ScramMechanism,
        password: impl Into<String>,
    ) -> Self {
        let password = Secret::from(password.into().into_bytes());
        let set = Password { password, salt: None, iterations: LEAST_ITERATIONS };
        Self { user: user.into(), mechanism, set: Some(set) }
    }

    /// Deletes the credential of a user for a mechanism.
    pub fn delete(user: impl Into<String>, mechanism: ScramMechanism) -> Self {
        Self { user: user.into(), mechanism, set: None }
    }

    /// Sets how often the password is hashed: at least 4096, at most 16384 times.
    #[must_use]
    pub fn with_iterations(mut self, iterations: i32) -> Self {
        if let Some(set) = &mut self.set {
            set.iterations = iterations;
        }
        self
    }

    /// Sets the salt, which is best left to chance.
    #[must_use]
    pub fn with_salt(mut self, salt: impl Into<Vec<u8>>) -> Self {
        if let Some(set) = &mut self.set {
            set.salt = Some(salt.into().into());
        }
        self
    }

    /// Whose credential changes.
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl Client {
    /// The credentials of users. The results stand in the order of the users.
    ///
    /// # Errors
    ///
    /// For each: `RESOURCE_NOT_FOUND` if there is no such user, or another code of the broker's
    /// with its own words; [`Unsupported`](ErrorKind::Unsupported) from brokers before 2.7;
    /// [`TimedOut`](ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_scram_users(&self, users: &[&str]) -> Vec<Result<Vec<ScramCredential>>> {
        let items: Vec<_> = users.iter().map(|user| Named("user", user)).collect();
        let to = To::Node(|_: &Named<'_>| Node::Any);
        let each = Each { client: self, items: &items, to, repeat: Repeat::Harmless };
        each.ask(describe).await
    }

    /// All users that have credentials, with these.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Client::describe_scram_users`].
    pub async fn scram_users(&self) -> Result<BTreeMap<String, Vec<ScramCredential>>> {
        let request = &DescribeUserScramCredentialsRequest { users: None };
        self.question(Node::Any, Repeat::Harmless, |handle, deadline| async move {
            let response = handle.request(request, deadline).await?;
            verdict(response.error_code, response.error_message)?;
            let user = |one: DescribeUserScramCredentialsResult| {
                verdict(one.error_code, one.error_message)?;
                Ok((one.user, one.credential_infos.iter().map(ScramCredential::of).collect()))
            };
            response.results.into_iter().map(user).collect()
        })
        .await
    }

    /// Sets and deletes credentials. The results stand in the order of the changes. Other brokers
    /// may learn of them a moment later.
    ///
    /// Hashing a password takes some milliseconds of a thread of the runtime's that may block.
    ///
    /// # Errors
    ///
    /// For each: [`Usage`](ErrorKind::Usage) before anything is sent if a user has no name, a
    /// password is empty or a number of iterations is out of range; the broker's code with its own
    /// words, such as `RESOURCE_NOT_FOUND` where there is nothing to delete;
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) where a list with a deletion got no answer,
    /// which is not repeated; [`Unsupported`](ErrorKind::Unsupported) from brokers before 2.7. No
    /// error tells a password.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: credentials may or may not be changed.
    pub async fn alter_scram_users(&self, changes: &[ScramChange]) -> Vec<Result<()>> {
        let mut hashed = Vec::with_capacity(changes.len());
        for change in changes {
            hashed.push(change.hashed().await.map_err(|error| error.with("user", &change.user)));
        }
        let good: Vec<Hashed> =
            hashed.iter().filter_map(|one| one.as_ref().ok().cloned()).collect();
        let deletes = changes.iter().any(|change| change.set.is_none());
        let repeat = if deletes { Repeat::Harmful } else { Repeat::Harmless };
        let to = To::Node(|_: &Hashed| Node::Controller);
        let each = Each { client: self, items: &good, to, repeat };
        let mut done = each.ask(alter).await.into_iter();
        let outcome = |one: Result<Hashed>| match one {
            Err(error) => Some(Err(error)),
            Ok(_) => done.next(),
        };
        hashed.into_iter().filter_map(outcome).collect()
    }
}

impl ScramChange {
    /// The change as it travels.
    async fn hashed(&self) -> Result<Hashed> {
        if self.user.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "a user has no name"));
        }
        let (user, mechanism) = (self.user.clone(), self.mechanism);
        let Some(set) = &self.set else { return Ok(Hashed { user, mechanism, set: None }) };
        if set.password.0.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "a password is empty"));
        }
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&set.iterations) {
            return Err(Error::new(ErrorKind::Usage, "a number of iterations is out of range")
                .with("iterations", set.iterations)
                .with_hint(format!("choose one from {LEAST_ITERATIONS} to {MOST_ITERATIONS}")));
        }
        let salt = match &set.salt {
            Some(salt) => salt.clone(),
            None => random_salt()?,
        };
        let (password, iterations, used) = (set.password.clone(), set.iterations, salt.clone());
        let hash = move || salted(mechanism, &password.0, &used.0, iterations.unsigned_abs());
        let salted = tokio::task::spawn_blocking(hash).await.map_err(|lost| {
            Error::new(ErrorKind::Internal, "hashing a password was broken off").with_source(lost)
        })??;
        Ok(Hashed { user, mechanism, set: Some((salt, salted, iterations)) })
    }
}

/// A change with the password hashed: salt, `SaltedPassword` of RFC 5802, iterations.
#[derive(Clone)]
struct Hashed {
    user: String,
    mechanism: ScramMechanism,
    set: Option<(Secret, Secret, i32)>,
}

/// Answers name the user alone, so changes of one user go in requests of their own.
impl Item for Hashed {
    type Key = String;

    fn key(&self) -> String {
        self.user.clone()
    }

    fn named(&self, error: Error) -> Error {
        about(about(error, "user", &self.user), "mechanism", self.mechanism)
    }
}

async fn describe(call: Call<'_, Named<'_>>) -> Told<String, Vec<ScramCredential>> {
    let user = |user: &&Named<'_>| UserName { name: user.1.to_owned() };
    let users = Some(call.items.iter().map(user).collect());
    let response = call.request(&DescribeUserScramCredentialsRequest { users }).await?;
    verdict(response.error_code, response.error_message)?;
    Ok(response
        .results
        .into_iter()
        .map(|one| {
            let known = one.credential_infos.iter().map(ScramCredential::of).collect();
            (one.user, verdict(one.error_code, one.error_message).map(|()| known))
        })
        .collect())
}

async fn alter(call: Call<'_, Hashed>) -> Told<String, ()> {
    let mut request = AlterUserScramCredentialsRequest::default();
    for one in &call.items {
        let (name, mechanism) = (one.user.clone(), one.mechanism.to_wire());
        match &one.set {
            None => request.deletions.push(ScramCredentialDeletion { name, mechanism }),
            Some((salt, salted, iterations)) => {
                request.upsertions.push(ScramCredentialUpsertion {
                    name,
                    mechanism,
                    iterations: *iterations,
                    salt: salt.0.clone(),
                    salted_password: salted.clone(),
                });
            }
        }
    }
    let told = call.request(&request).await?.results.into_iter();
    Ok(told.map(|one| (one.user, verdict(one.error_code, one.error_message))).collect())
}

impl ScramCredential {
    fn of(told: &CredentialInfo) -> Self {
        Self { mechanism: ScramMechanism::of_wire(told.mechanism), iterations: told.iterations }
    }
}

/// `Hi(password, salt, iterations)` of RFC 5802.
fn salted(
    mechanism: ScramMechanism,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> Result<Secret> {
    let mut hash = match mechanism {
        ScramMechanism::Sha256 => vec![0; 32],
        ScramMechanism::Sha512 => vec![0; 64],
        ScramMechanism::Unknown(_) => {
            return Err(Error::new(ErrorKind::Usage, "the mechanism is not known here")
                .with("mechanism", mechanism));
        }
    };
    let done = match mechanism {
        ScramMechanism::Sha512 => {
            pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, iterations, &mut hash)
        }
        _ => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, iterations, &mut hash),
    };
    done.map_err(|error| {
        Error::new(ErrorKind::Internal, "a password cannot be hashed").with("detail", error)
    })?;
    Ok(hash.into())
}

fn random_salt() -> Result<Secret> {
    let mut salt = vec![0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| {
        Error::new(ErrorKind::Internal, "the system gives no random bytes").with_source(error)
    })?;
    Ok(salt.into())
}

/// What brokers accept (KIP-554).
const LEAST_ITERATIONS: i32 = 4096;
const MOST_ITERATIONS: i32 = 16_384;
/// As much chance as Java's client takes.
const SALT_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(secret: &Secret) -> String {
        secret.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn passwords_are_hashed_as_in_the_test_vectors() {
        // RFC 7914, section 11, and the vector of RFC 7677's exchange (`pencil`).
        let known = salted(ScramMechanism::Sha256, b"passwd", b"salt", 1).unwrap();
        assert_eq!(hex(&known), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
        let salt = [
            0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36,
            0xfa, 0x81,
        ];
        let pencil = salted(ScramMechanism::Sha256, b"pencil", &salt, 4096).unwrap();
        assert_eq!(
            hex(&pencil),
            "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_a_credential_is_refused_without_telling_it() {
        let refused = [
            ScramChange::set("", ScramMechanism::Sha256, "secret"),
            ScramChange::set("alice", ScramMechanism::Sha256, ""),
            ScramChange::set("alice", ScramMechanism::Sha256, "secret").with_iterations(4095),
            ScramChange::set("alice", ScramMechanism::Sha256, "secret").with_iterations(16_385),
            ScramChange::set("alice", ScramMechanism::Unknown(7), "secret"),
        ];
        for change in refused {
            let error = change.hashed().await.err().expect("refused");
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!format!("{error:?} {change:?}").contains("secret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn salts_differ() {
        let change = ScramChange::set("alice", ScramMechanism::Sha256, "secret");
        let (one, other) = (change.hashed().await.unwrap(), change.hashed().await.unwrap());
        assert_ne!(one.set.unwrap().0, other.set.unwrap().0);
    }
}
