//! Logging in over a connection (KIP-43, KIP-152). In: a mechanism, the frames that answer; out:
//! which request to send next, and at last whether the broker let this client in, and for how long
//! (KIP-368). The same machine logs in anew on a connection that is in use.
//!
//! The mechanism is the one that was asked for, or the login fails: none is ever negotiated down.
//!
//! | state | on | next | out |
//! |---|---|---|---|
//! | starting | `poll_transmit` | awaiting mechanisms | `SaslHandshake` |
//! | awaiting mechanisms | answer without error | answering | (the mechanism's first bytes) |
//! | awaiting mechanisms | `UNSUPPORTED_SASL_MECHANISM` | done | `Failed`, with those on offer |
//! | answering | `poll_transmit` | awaiting challenge | `SaslAuthenticate` |
//! | awaiting challenge | bytes, the mechanism has more to say | answering | |
//! | awaiting challenge | bytes, the mechanism is content | done | `Done` |
//! | awaiting challenge | bytes, the mechanism is not | done | `Failed` |
//! | either awaiting | other error, or damaged bytes | done | `Failed` |

mod mechanism;
mod oauth_bearer;
mod plain;
mod scram;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::code::ErrorCode;
use crate::error::DecodeError;
use crate::header::decode_response;
use crate::messages::sasl_authenticate::SaslAuthenticateRequest;
use crate::messages::sasl_handshake::SaslHandshakeRequest;
use crate::wire::Secret;

pub use mechanism::{CredentialError, Mechanism, MechanismError, Step};
pub use oauth_bearer::OauthBearer;
pub use plain::Plain;
pub use scram::{MAX_ITERATIONS, MIN_ITERATIONS, Scram, ScramHash};

/// One login.
#[derive(Debug)]
#[must_use]
pub struct Exchange {
    mechanism: Box<dyn Mechanism>,
    /// In which version `SaslAuthenticate` is spoken.
    version: i16,
    state: State,
    event: Option<LoginEvent>,
}

/// A request of a login.
#[derive(Clone, Debug, PartialEq)]
pub enum LoginRequest {
    /// In version [`Exchange::HANDSHAKE_VERSION`].
    Handshake(SaslHandshakeRequest),
    /// In the version that the exchange was made with.
    Authenticate(SaslAuthenticateRequest),
}

/// How the login ended; there is exactly one.
#[derive(Clone, Debug, PartialEq)]
pub enum LoginEvent {
    /// The broker let this client in.
    Done {
        /// When it must have logged in again, counted from now; `None` for never.
        lifetime: Option<Duration>,
    },
    /// It did not, or it is not the broker it should be.
    Failed(LoginError),
}

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginError {
    /// An answer cannot be read.
    Decode(DecodeError),
    /// The broker does not offer the mechanism.
    NotOffered {
        /// Those that it does.
        offered: Vec<String>,
    },
    /// The broker refused.
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        message: Option<String>,
        /// What it said in the mechanism's own language before.
        complaint: Option<String>,
    },
    /// What the broker said is not what the mechanism has it say.
    Mechanism(MechanismError),
}

#[derive(Debug)]
enum State {
    Starting,
    AwaitingMechanisms,
    Answering(Secret),
    AwaitingChallenge,
    Done,
}

impl Exchange {
    /// In this version, and those after it, a mechanism's bytes travel in `SaslAuthenticate`.
    pub const HANDSHAKE_VERSION: i16 = 1;

    /// A login that has not begun; `version` is the one of `SaslAuthenticate` that both sides speak.
    pub fn new(mechanism: Box<dyn Mechanism>, version: i16) -> Self {
        Self { mechanism, version, state: State::Starting, event: None }
    }

    /// The version of `SaslAuthenticate`.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The request to send now.
    pub fn poll_transmit(&mut self) -> Option<LoginRequest> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Starting => {
                self.state = State::AwaitingMechanisms;
                let mechanism = self.mechanism.name().to_owned();
                Some(LoginRequest::Handshake(SaslHandshakeRequest { mechanism }))
            }
            State::Answering(auth_bytes) => {
                self.state = State::AwaitingChallenge;
                Some(LoginRequest::Authenticate(SaslAuthenticateRequest { auth_bytes }))
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The frame that answers the request sent last; without one outstanding it is ignored. May
    /// compute for a while, since SCRAM derives keys from a password on purpose slowly.
    pub fn handle_response(&mut self, frame: Bytes) {
        let answered = match std::mem::replace(&mut self.state, State::Done) {
            State::AwaitingMechanisms => self.take_mechanisms(frame),
            State::AwaitingChallenge => self.take_challenge(frame),
            other => {
                self.state = other;
                return;
            }
        };
        if let Err(error) = answered {
            self.event = Some(LoginEvent::Failed(error));
        }
    }

    /// How it ended, once.
    pub fn poll_event(&mut self) -> Option<LoginEvent> {
        self.event.take()
    }

    fn take_mechanisms(&mut self, frame: Bytes) -> Result<(), LoginError> {
        let response = decode_response::<SaslHandshakeRequest>(frame, Self::HANDSHAKE_VERSION)
            .map_err(LoginError::Decode)?;
        if response.error_code == ErrorCode::UNSUPPORTED_SASL_MECHANISM {
            return Err(LoginError::NotOffered { offered: response.mechanisms });
        }
        self.check(response.error_code, None)?;
        self.state = State::Answering(self.mechanism.start());
        Ok(())
    }

    fn take_challenge(&mut self, frame: Bytes) -> Result<(), LoginError> {
        let response = decode_response::<SaslAuthenticateRequest>(frame, self.version)
            .map_err(LoginError::Decode)?;
        self.check(response.error_code, response.error_message)?;
        let step = self.mechanism.challenge(&response.auth_bytes.0);
        match step.map_err(LoginError::Mechanism)? {
            Step::Say(bytes) => self.state = State::Answering(bytes),
            Step::Done => {
                let ms = u64::try_from(response.session_lifetime_ms).unwrap_or(0);
                let lifetime = Some(Duration::from_millis(ms)).filter(|time| !time.is_zero());
                self.event = Some(LoginEvent::Done { lifetime });
            }
        }
        Ok(())
    }

    fn check(&self, code: ErrorCode, message: Option<String>) -> Result<(), LoginError> {
        if code.is_ok() {
            return Ok(());
        }
        let message = message.filter(|words| !words.is_empty());
        let complaint = self.mechanism.complaint().map(str::to_owned);
        Err(LoginError::Refused { code, message, complaint })
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "an answer to the login cannot be read: {error}"),
            Self::NotOffered { offered } if offered.is_empty() => {
                f.write_str("the broker offers no mechanism to log in by")
            }
            Self::NotOffered { offered } => {
                // More would hide the rest of the line.
                let named: Vec<&str> = offered.iter().take(8).map(String::as_str).collect();
                write!(f, "the broker offers other mechanisms: {}", named.join(", "))
            }
            Self::Refused { code, .. } => {
                write!(f, "the broker refused the login: {}", code.name())
            }
            Self::Mechanism(error) => write!(f, "the broker's part of the login is wrong: {error}"),
        }
    }
}

impl Error for LoginError {}

#[cfg(test)]
mod tests;
