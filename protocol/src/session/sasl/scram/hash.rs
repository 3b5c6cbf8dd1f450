//! The hashes of SCRAM. In: keys, passwords and messages; out: what RFC 5802 calls `H`, `HMAC` and
//! `Hi` of them.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
#[cfg(test)]
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::session::sasl::MechanismError;

/// A hash of SCRAM's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScramHash {
    /// SHA-256 (RFC 7677).
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1, which Kafka does not have; for the vectors of RFC 5802.
    #[cfg(test)]
    Sha1,
}

impl ScramHash {
    /// The name of the mechanism.
    pub fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
            #[cfg(test)]
            Self::Sha1 => "SCRAM-SHA-1",
        }
    }

    /// `H` of RFC 5802.
    pub fn digest(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
            #[cfg(test)]
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
        })
    }

    /// `HMAC` of RFC 5802.
    ///
    /// # Errors
    ///
    /// None in practice: keys of every length are taken.
    pub fn hmac(self, key: &[u8], message: &[u8]) -> Result<Zeroizing<Vec<u8>>, MechanismError> {
        match self {
            Self::Sha256 => hmac::<Hmac<Sha256>>(key, message),
            Self::Sha512 => hmac::<Hmac<Sha512>>(key, message),
            #[cfg(test)]
            Self::Sha1 => hmac::<Hmac<Sha1>>(key, message),
        }
    }

    /// `Hi` of RFC 5802, which is slow on purpose: the caller bounds `rounds`.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn salted(
        self,
        password: &[u8],
        salt: &[u8],
        rounds: u32,
    ) -> Result<Zeroizing<Vec<u8>>, MechanismError> {
        let mut out = Zeroizing::new(self.digest(&[]).to_vec());
        match self {
            Self::Sha256 => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, rounds, &mut out),
            Self::Sha512 => pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, rounds, &mut out),
            #[cfg(test)]
            Self::Sha1 => pbkdf2::pbkdf2::<Hmac<Sha1>>(password, salt, rounds, &mut out),
        }
        .map_err(|_| NO_KEY)?;
        Ok(out)
    }
}

fn hmac<M: Mac + KeyInit>(
    key: &[u8],
    message: &[u8],
) -> Result<Zeroizing<Vec<u8>>, MechanismError> {
    let mut mac = <M as KeyInit>::new_from_slice(key).map_err(|_| NO_KEY)?;
    mac.update(message);
    Ok(Zeroizing::new(mac.finalize().into_bytes().to_vec()))
}

/// HMAC takes keys of every length, so nobody gets to see this.
const NO_KEY: MechanismError = MechanismError::Malformed("a key");
