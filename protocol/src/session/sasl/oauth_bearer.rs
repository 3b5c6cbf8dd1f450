//! OAUTHBEARER (RFC 7628, KIP-255, KIP-342): a token as it is. In: the token, and extensions for the
//! broker; out: one message, and one more where the broker complains. The broker proves nothing, so
//! this belongs inside TLS.

use std::fmt;

use zeroize::Zeroizing;

use crate::wire::Secret;

use super::mechanism::{CredentialError, Mechanism, MechanismError, Step};

/// One login by OAUTHBEARER.
pub struct OauthBearer {
    message: Zeroizing<Vec<u8>>,
    /// What the broker does not like, in JSON, as it says.
    complaint: Option<String>,
}

impl OauthBearer {
    /// The name under which brokers offer it.
    pub const NAME: &str = "OAUTHBEARER";

    /// A login with this token, and with these names and values for the broker.
    ///
    /// # Errors
    ///
    /// Characters that neither may have: they would end the message early.
    pub fn new(token: &str, extensions: &[(String, String)]) -> Result<Self, CredentialError> {
        let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(in_token) {
            return Err(CredentialError::Token);
        }
        let mut message = Zeroizing::new(Vec::new());
        message.extend_from_slice(b"n,,\x01auth=Bearer ");
        message.extend_from_slice(token.as_bytes());
        for (name, value) in extensions {
            let plain = |byte: u8| matches!(byte, 0x20..=0x7e | b'\t' | b'\r' | b'\n');
            let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
            if !named || name == "auth" || value.is_empty() || !value.bytes().all(plain) {
                return Err(CredentialError::Extension);
            }
            message.extend_from_slice(format!("\x01{name}={value}").as_bytes());
        }
        message.extend_from_slice(b"\x01\x01");
        Ok(Self { message, complaint: None })
    }
}

impl Mechanism for OauthBearer {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn start(&mut self) -> Secret {
        Secret::from(std::mem::take(&mut *self.message))
    }

    /// Words are a complaint, which this side has to acknowledge before the broker says no.
    fn challenge(&mut self, challenge: &[u8]) -> Result<Step, MechanismError> {
        match (challenge, &self.complaint) {
            ([], None) => Ok(Step::Done),
            (words, None) => {
                self.complaint = Some(String::from_utf8_lossy(words).into_owned());
                Ok(Step::Say(Secret::from(&b"\x01"[..])))
            }
            (_, Some(_)) => Err(MechanismError::Contradiction),
        }
    }

    fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

impl fmt::Debug for OauthBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OauthBearer")
    }
}
