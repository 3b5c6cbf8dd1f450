//! PLAIN (RFC 4616): user name and password as they are. In: both; out: one message. The broker
//! proves nothing, so this belongs inside TLS.

use std::fmt;

use zeroize::Zeroizing;

use crate::wire::Secret;

use super::mechanism::{CredentialError, Mechanism, MechanismError, Step};

/// One login by PLAIN.
pub struct Plain {
    message: Zeroizing<Vec<u8>>,
}

impl Plain {
    /// The name under which brokers offer it.
    pub const NAME: &str = "PLAIN";

    /// Both are taken as their UTF-8 bytes, as brokers take them.
    ///
    /// # Errors
    ///
    /// An empty user name or password, or a NUL in one.
    pub fn new(user: &str, password: &str) -> Result<Self, CredentialError> {
        if user.is_empty() {
            return Err(CredentialError::NoUser);
        }
        if password.is_empty() {
            return Err(CredentialError::NoPassword);
        }
        if user.contains('\0') || password.contains('\0') {
            return Err(CredentialError::Nul);
        }
        // The first field, for whom one acts, stays empty: brokers refuse others.
        let fields = [&b"\0"[..], user.as_bytes(), b"\0", password.as_bytes()];
        Ok(Self { message: Zeroizing::new(fields.concat()) })
    }
}

impl Mechanism for Plain {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn start(&mut self) -> Secret {
        Secret::from(std::mem::take(&mut *self.message))
    }

    fn challenge(&mut self, challenge: &[u8]) -> Result<Step, MechanismError> {
        if challenge.is_empty() { Ok(Step::Done) } else { Err(MechanismError::Unexpected) }
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}
