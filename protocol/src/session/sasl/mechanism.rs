//! What all mechanisms have in common. In: what the other side says; out: what to say to it, or that
//! it has proven what the mechanism has it prove.

use std::error::Error;
use std::fmt;

use crate::wire::Secret;

/// This side of one login by one mechanism. It is used once.
pub trait Mechanism: fmt::Debug + Send {
    /// The name under which brokers offer it.
    fn name(&self) -> &'static str;

    /// What this side says first.
    fn start(&mut self) -> Secret;

    /// The other side's words, empty where it has none.
    ///
    /// # Errors
    ///
    /// The login must not go on: the other side does not keep to the mechanism, or does not prove
    /// that it knows what only the real one can know.
    fn challenge(&mut self, challenge: &[u8]) -> Result<Step, MechanismError>;

    /// What the other side complained of in the mechanism's own language.
    fn complaint(&self) -> Option<&str> {
        None
    }
}

/// What to do after the other side's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Say this.
    Say(Secret),
    /// Nothing is left to say, and nothing to prove.
    Done,
}

/// Why a login must not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MechanismError {
    /// The other side spoke where it has nothing to say, or speaks on after the end.
    Unexpected,
    /// Its words have another form; says which.
    Malformed(&'static str),
    /// The nonce is not this side's with something added to it.
    Nonce,
    /// A number of rounds of hashing that is too weak, or so high that it would keep this side busy.
    Iterations(u64),
    /// The proof is wrong: whoever answers does not know the password.
    Signature,
    /// The proof is wrong: whoever answers could not read the ticket that it was shown.
    NoServiceKey,
    /// It insists on encrypting what follows in the mechanism's own way, which Kafka does not do.
    SecurityLayer,
    /// The other side names an error of its own.
    Error(String),
    /// It took a login that it had complained of.
    Contradiction,
}

/// Why credentials cannot be used with a mechanism. Never repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialError {
    /// The user name is empty.
    NoUser,
    /// The password is empty.
    NoPassword,
    /// There is a NUL inside, which separates user name and password.
    Nul,
    /// The token is empty, or has characters that no token has (RFC 6750).
    Token,
    /// An extension's name or value is not allowed (RFC 7628).
    Extension,
    /// The nonce is empty or not printable.
    Nonce,
}

impl fmt::Display for MechanismError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected => f.write_str("it speaks where it has nothing to say"),
            Self::Malformed(what) => write!(f, "{what} cannot be read"),
            Self::Nonce => f.write_str("its nonce does not begin with this client's"),
            Self::Iterations(count) => write!(f, "it wants {count} iterations"),
            Self::Signature => {
                f.write_str("its signature is wrong, so it does not know the password")
            }
            Self::NoServiceKey => {
                f.write_str("its proof is wrong, so it does not have the key of the service")
            }
            Self::SecurityLayer => f.write_str("it insists on a security layer"),
            Self::Error(words) => write!(f, "it says {words}"),
            Self::Contradiction => f.write_str("it takes a token that it complained of"),
        }
    }
}

impl Error for MechanismError {}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUser => "the user name is empty",
            Self::NoPassword => "the password is empty",
            Self::Nul => "the user name or the password has a NUL inside",
            Self::Token => "the token is empty or has characters that no token has",
            Self::Extension => "an extension has a name or a value that is not allowed",
            Self::Nonce => "the nonce is not printable",
        })
    }
}

impl Error for CredentialError {}
