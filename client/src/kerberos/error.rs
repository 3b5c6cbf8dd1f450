//! Why bytes of Kerberos cannot be used. Never repeats a key.

use std::fmt;
use std::time::SystemTime;

/// Why a file, an answer or a token cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KerberosError {
    /// It has another form; says which piece.
    Malformed(&'static str),
    /// It is encrypted in a way that is not there, by its number.
    Encryption(i32),
    /// What is encrypted was not encrypted with the key that is at hand.
    WrongKey,
    /// It answers another question; says in which piece.
    NotAsked(&'static str),
    /// The KDC refused.
    Refused {
        /// Its code (RFC 4120, 7.5.9).
        code: i32,
        /// Its words.
        text: Option<String>,
        /// Its clock.
        clock: Option<SystemTime>,
        /// The ways to encrypt that it has keys for, where it asks for a proof first.
        etypes: Vec<i32>,
    },
}

impl fmt::Display for KerberosError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "{what} cannot be read"),
            Self::Encryption(23 | 24) => f.write_str("it is encrypted with RC4, which is unsafe"),
            Self::Encryption(1..=16) => f.write_str("it is encrypted with DES, which is unsafe"),
            Self::Encryption(number) => write!(f, "it is encrypted in way {number}, not with AES"),
            Self::WrongKey => f.write_str("it was encrypted with another key"),
            Self::NotAsked(what) => write!(f, "{what} is not what was asked for"),
            Self::Refused { code, text: Some(text), .. } => write!(f, "error {code}, {text}"),
            Self::Refused { code, .. } => write!(f, "error {code}"),
        }
    }
}

impl std::error::Error for KerberosError {}
