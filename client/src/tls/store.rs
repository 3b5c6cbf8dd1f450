//! Key and trust stores. In: the bytes of a file, of any origin, and its passwords; out: the
//! certificates and the key in it, or what is wrong.
//!
//! ```
//! use klamm_client::tls::store::{Budget, Passwords, StoreError, read};
//!
//! let error = read(b"not a store", Passwords::default(), &mut Budget::default());
//! assert!(matches!(error, Err(StoreError::Malformed(_))));
//! ```

use std::error::Error as StdError;
use std::fmt;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::secret::Secret;

use super::{jks, pem, pkcs12};

/// What a store held.
#[derive(Debug, Default)]
pub struct Store {
    /// Certificates that are to be trusted, if the store is used as a trust store.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The first private key, if one was wanted.
    pub key: Option<PrivateKeyDer<'static>>,
    /// The key's own certificate and those between it and its authority's, if the key was wanted.
    pub chain: Vec<CertificateDer<'static>>,
}

/// What opens a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passwords<'a> {
    /// The store's own; without it, integrity is not checked.
    pub store: Option<&'a Secret>,
    /// The key's.
    pub key: Option<&'a Secret>,
    /// Whether a private key is wanted at all.
    pub wants_key: bool,
}

/// How much work a store may make: key derivation is slow on purpose, and a file says itself how
/// slow.
#[derive(Clone, Copy, Debug)]
pub struct Budget(u64);

impl Budget {
    /// So many rounds of hashing, over all keys derived for one store.
    pub fn rounds(rounds: u64) -> Self {
        Self(rounds)
    }

    /// Takes rounds out.
    pub(super) fn spend(&mut self, rounds: u32) -> Result<(), StoreError> {
        self.0 = self.0.checked_sub(u64::from(rounds)).ok_or(StoreError::TooCostly)?;
        Ok(())
    }
}

impl Default for Budget {
    /// Twice as many as Java's limit for one key.
    fn default() -> Self {
        Self(10_000_000)
    }
}

/// Why a store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// It is no store, or a damaged one.
    Malformed(&'static str),
    /// It is encrypted, and no password was given.
    PasswordMissing(&'static str),
    /// A password is wrong, or the content damaged: the two cannot be told apart.
    PasswordWrong(&'static str),
    /// It uses something that is not supported.
    Unsupported(&'static str),
    /// It asks for more rounds of key derivation than [`Budget`] has.
    TooCostly,
}

impl StoreError {
    /// The same, where the password is another one.
    pub(super) fn about(self, which: &'static str) -> Self {
        match self {
            Self::PasswordWrong(_) => Self::PasswordWrong(which),
            other => other,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "it cannot be read: {what}"),
            Self::PasswordMissing(which) => write!(f, "the password {which} is missing"),
            Self::PasswordWrong(which) => {
                write!(f, "the password {which} is wrong, or the file damaged")
            }
            Self::Unsupported(what) => write!(f, "it holds {what}"),
            Self::TooCostly => f.write_str("it demands too many rounds of key derivation"),
        }
    }
}

impl StdError for StoreError {}

/// Reads a store whose form its first bytes tell: JKS, PKCS#12, or else PEM.
///
/// # Errors
///
/// [`StoreError`], whatever the bytes; memory is bounded by their number.
pub fn read(
    bytes: &[u8],
    passwords: Passwords<'_>,
    budget: &mut Budget,
) -> Result<Store, StoreError> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => jks::read(bytes, passwords),
        [0xce, 0xce, 0xce, 0xce, ..] => Err(StoreError::Unsupported(
            "a JCEKS store; convert it with keytool -importkeystore -deststoretype PKCS12",
        )),
        [0x30, ..] => pkcs12::read(bytes, passwords, budget),
        _ => {
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| StoreError::Malformed("no known form of store"))?;
            if !text.contains("-----BEGIN ") {
                return Err(StoreError::Malformed("no known form of store"));
            }
            pem::read(text, passwords, budget)
        }
    }
}
