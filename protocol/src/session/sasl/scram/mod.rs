//! SCRAM (RFC 5802, RFC 7677, KIP-84): both sides prove that they know the password, and neither
//! tells it. In: user name, password, a nonce, the broker's two messages; out: this side's two, and
//! whether the broker's signature is right. Nothing but a right signature ends in success.
//!
//! ```text
//!  n,,n=alice,r=NONCE  ->
//!                          <-  r=NONCE+MORE,s=SALT,i=ITERATIONS
//!  c=biws,r=..,p=PROOF ->
//!                          <-  v=SIGNATURE
//! ```
//!
//! Kafka's own reading of the standard: user name and password are their UTF-8 bytes, without
//! SASLprep, on the broker's side and so on this one. The channel is not bound, since brokers
//! refuse clients that ask for it.

mod hash;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::wire::Secret;

use super::mechanism::{CredentialError, Mechanism, MechanismError, Step};

pub use hash::ScramHash;

/// One login by SCRAM.
pub struct Scram {
    hash: ScramHash,
    nonce: String,
    password: Zeroizing<String>,
    /// The first message without its head, of which the proof speaks.
    first_bare: String,
    state: State,
}

enum State {
    AwaitingSalt,
    /// Holds the one signature that is right.
    AwaitingSignature(Zeroizing<Vec<u8>>),
    Done,
}

impl Scram {
    /// A login by user name and password, which are taken as their UTF-8 bytes. The nonce must be
    /// new for each login and not to be guessed: 24 random bytes in base64, say.
    ///
    /// # Errors
    ///
    /// An empty user name or password; a nonce that is empty or not printable, or has a comma.
    pub fn new(
        hash: ScramHash,
        user: &str,
        password: &str,
        nonce: &str,
    ) -> Result<Self, CredentialError> {
        Self::with(hash, user, password, nonce, "")
    }

    /// A login by a delegation token (KIP-48): its id, and its secret in base64.
    ///
    /// # Errors
    ///
    /// As [`Scram::new`].
    pub fn with_token(
        hash: ScramHash,
        id: &str,
        secret: &str,
        nonce: &str,
    ) -> Result<Self, CredentialError> {
        Self::with(hash, id, secret, nonce, ",tokenauth=true")
    }

    fn with(
        hash: ScramHash,
        user: &str,
        password: &str,
        nonce: &str,
        extension: &str,
    ) -> Result<Self, CredentialError> {
        if user.is_empty() {
            return Err(CredentialError::NoUser);
        }
        if password.is_empty() {
            return Err(CredentialError::NoPassword);
        }
        if !is_nonce(nonce) {
            return Err(CredentialError::Nonce);
        }
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Ok(Self {
            hash,
            first_bare: format!("n={user},r={nonce}{extension}"),
            nonce: nonce.to_owned(),
            password: Zeroizing::new(password.to_owned()),
            state: State::AwaitingSalt,
        })
    }

    /// The proof that this side knows the password, and the signature that is due for it.
    fn prove(&mut self, words: &str) -> Result<Step, MechanismError> {
        let theirs = ServerFirst::parse(words, &self.nonce)?;
        let bare = format!("c={HEAD_IN_BASE64},r={}", theirs.nonce);
        let said = format!("{},{words},{bare}", self.first_bare);
        let password = std::mem::take(&mut self.password);
        let salted = self.hash.salted(password.as_bytes(), &theirs.salt, theirs.iterations)?;
        let client_key = self.hash.hmac(&salted, b"Client Key")?;
        let stored_key = self.hash.digest(&client_key);
        let signature = self.hash.hmac(&stored_key, said.as_bytes())?;
        let proof: Vec<u8> = client_key.iter().zip(signature.iter()).map(|(a, b)| a ^ b).collect();
        let server_key = self.hash.hmac(&salted, b"Server Key")?;
        self.state = State::AwaitingSignature(self.hash.hmac(&server_key, said.as_bytes())?);
        Ok(Step::Say(Secret::from(format!("{bare},p={}", STANDARD.encode(proof)).into_bytes())))
    }
}

impl Mechanism for Scram {
    fn name(&self) -> &'static str {
        self.hash.mechanism()
    }

    fn start(&mut self) -> Secret {
        Secret::from(format!("{HEAD}{}", self.first_bare).into_bytes())
    }

    fn challenge(&mut self, challenge: &[u8]) -> Result<Step, MechanismError> {
        let words = std::str::from_utf8(challenge).ok();
        match std::mem::replace(&mut self.state, State::Done) {
            State::AwaitingSalt => self.prove(words.ok_or(MechanismError::Malformed(FIRST))?),
            State::AwaitingSignature(right) => {
                let theirs = server_final(words.ok_or(MechanismError::Malformed(FINAL))?)?;
                let same: bool = right.as_slice().ct_eq(&theirs).into();
                if same { Ok(Step::Done) } else { Err(MechanismError::Signature) }
            }
            State::Done => Err(MechanismError::Unexpected),
        }
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// The broker's first message. Extensions are refused: no broker has any, and one that has to be
/// understood stands where the nonce is due.
struct ServerFirst<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> ServerFirst<'a> {
    fn parse(words: &'a str, ours: &str) -> Result<Self, MechanismError> {
        if let Some(error) = words.strip_prefix("e=") {
            return Err(MechanismError::Error(error.to_owned()));
        }
        let malformed = MechanismError::Malformed(FIRST);
        let mut fields = words.split(',');
        let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name));
        let (nonce, salt, iterations) = (field("r="), field("s="), field("i="));
        let (Some(nonce), Some(salt), Some(iterations), None) =
            (nonce, salt, iterations, fields.next())
        else {
            return Err(malformed);
        };
        let added = nonce.strip_prefix(ours).ok_or(MechanismError::Nonce)?;
        if !is_nonce(added) {
            return Err(MechanismError::Nonce);
        }
        let salt = STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty());
        let salt = salt.ok_or(MechanismError::Malformed("the salt"))?;
        let digits = !iterations.starts_with('0') && iterations.bytes().all(|b| b.is_ascii_digit());
        let count = iterations.parse::<u64>().ok().filter(|_| digits).ok_or(malformed)?;
        match u32::try_from(count) {
            Ok(iterations) if (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) => {
                Ok(Self { nonce, salt, iterations })
            }
            _ => Err(MechanismError::Iterations(count)),
        }
    }
}

/// The signature in the broker's last message, without extensions, which the proof would not cover.
fn server_final(words: &str) -> Result<Vec<u8>, MechanismError> {
    if let Some(error) = words.strip_prefix("e=") {
        return Err(MechanismError::Error(error.to_owned()));
    }
    let signature = words.strip_prefix("v=").and_then(|text| STANDARD.decode(text).ok());
    signature.ok_or(MechanismError::Malformed(FINAL))
}

/// Printable, and no comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21..=0x2b | 0x2d..=0x7e))
}

/// Fewer rounds would make a password easy to guess from what goes over the wire.
pub const MIN_ITERATIONS: u32 = 4_096;

/// More would let a broker keep this side busy for long; brokers themselves set 16,384 at most.
pub const MAX_ITERATIONS: u32 = 200_000;

/// No channel is bound, and nobody acts for another.
const HEAD: &str = "n,,";
const HEAD_IN_BASE64: &str = "biws";

const FIRST: &str = "its first message";
const FINAL: &str = "its last message";

#[cfg(test)]
mod tests;
