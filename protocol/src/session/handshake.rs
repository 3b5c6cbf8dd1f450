//! The first words on a connection. In: the frame that answers; out: which `ApiVersions` request to
//! send, and at last the versions that both sides speak (KIP-35, KIP-511). No other request may be
//! sent before.
//!
//! | state | on | next | out |
//! |---|---|---|---|
//! | starting | `poll_transmit` | awaiting | `ApiVersions` in our highest version |
//! | awaiting | answer without error | done | `Ready` |
//! | awaiting | `UNSUPPORTED_VERSION`, first time | starting | (again, in the highest version both know, else 0) |
//! | awaiting | other error, or damaged bytes | done | `Failed` |

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use bytes::Bytes;

use crate::api::{ApiKey, Request, VersionRange};
use crate::code::ErrorCode;
use crate::error::DecodeError;
use crate::header::decode_response;
use crate::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};

/// Negotiates versions on a new connection.
#[derive(Debug)]
#[must_use]
pub struct Handshake {
    state: State,
    fell_back: bool,
    throttle_time_ms: i32,
    event: Option<HandshakeEvent>,
}

/// How the handshake ended; there is exactly one.
#[derive(Clone, Debug, PartialEq)]
pub enum HandshakeEvent {
    /// Other requests may follow, in these versions.
    Ready(Versions),
    /// The connection is of no use.
    Failed(HandshakeError),
}

/// Why no versions were agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The answer cannot be read.
    Decode(DecodeError),
    /// The broker refused.
    Refused(ErrorCode),
}

/// The versions of each API that a broker speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    ranges: BTreeMap<i16, VersionRange>,
    features: BTreeMap<String, i16>,
}

/// The broker lacks an API, or all versions of it that this side knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsupportedApi {
    /// The API.
    pub key: ApiKey,
    /// What this side speaks.
    pub ours: VersionRange,
    /// What the broker speaks, if it knows the API at all.
    pub theirs: Option<VersionRange>,
}

#[derive(Debug)]
enum State {
    Starting { version: i16 },
    AwaitingVersions { version: i16 },
    Done,
}

impl Handshake {
    /// A handshake that has not begun.
    pub fn new() -> Self {
        let version = ApiVersionsRequest::VERSIONS.max;
        let state = State::Starting { version };
        Self { state, fell_back: false, throttle_time_ms: 0, event: None }
    }

    /// The request to send now, and its version.
    pub fn poll_transmit(&mut self) -> Option<(ApiVersionsRequest, i16)> {
        let State::Starting { version } = self.state else { return None };
        self.state = State::AwaitingVersions { version };
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE.to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Some((request, version))
    }

    /// The frame that answers the request sent last. Without one outstanding it is ignored.
    pub fn handle_response(&mut self, frame: Bytes) {
        let State::AwaitingVersions { version } = self.state else { return };
        self.state = State::Done;
        // Who does not know the version answers in version 0, whatever was asked.
        let answered = if refused_version(&frame) { 0 } else { version };
        self.event = match decode_response::<ApiVersionsRequest>(frame, answered) {
            Err(error) => Some(failed(HandshakeError::Decode(error))),
            Ok(response)
                if response.error_code == ErrorCode::UNSUPPORTED_VERSION && !self.fell_back =>
            {
                self.fell_back = true;
                self.state = State::Starting { version: common_version(&response) };
                None
            }
            Ok(response) if response.error_code.is_ok() => {
                self.throttle_time_ms = response.throttle_time_ms;
                Some(HandshakeEvent::Ready(Versions::from(response)))
            }
            Ok(response) => Some(failed(HandshakeError::Refused(response.error_code))),
        };
    }

    /// For how many milliseconds the broker asks to be left alone now (KIP-219); as it says, so
    /// perhaps negative.
    pub fn throttle_time_ms(&self) -> i32 {
        self.throttle_time_ms
    }

    /// How it ended, once.
    pub fn poll_event(&mut self) -> Option<HandshakeEvent> {
        self.event.take()
    }
}

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
    }
}

impl Versions {
    /// The highest version of `R` that both sides speak.
    pub fn pick<R: Request>(&self) -> Result<i16, UnsupportedApi> {
        let (key, ours) = (R::KEY, R::VERSIONS);
        let theirs = self.range(key);
        let common = theirs.and_then(|theirs| ours.intersect(theirs));
        common.map(|range| range.max).ok_or(UnsupportedApi { key, ours, theirs })
    }

    /// The versions of this API that the broker speaks.
    pub fn range(&self, key: ApiKey) -> Option<VersionRange> {
        self.ranges.get(&key.code()).copied()
    }

    /// The level at which the whole cluster runs a feature (KIP-584).
    pub fn feature(&self, name: &str) -> Option<i16> {
        self.features.get(name).copied()
    }
}

impl From<ApiVersionsResponse> for Versions {
    fn from(response: ApiVersionsResponse) -> Self {
        let usable = response.api_keys.into_iter().filter(|api| api.min_version <= api.max_version);
        let ranges =
            usable.map(|api| (api.api_key, VersionRange::new(api.min_version, api.max_version)));
        let levels = response.finalized_features.into_iter();
        Self {
            ranges: ranges.collect(),
            features: levels.map(|feature| (feature.name, feature.max_version_level)).collect(),
        }
    }
}

impl fmt::Display for UnsupportedApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, ours, theirs } = self;
        match theirs {
            Some(theirs) => write!(f, "the broker speaks {key} {theirs}, this client {ours}"),
            None => write!(f, "the broker does not know {key}"),
        }
    }
}

impl Error for UnsupportedApi {}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "the answer to ApiVersions cannot be read: {error}"),
            Self::Refused(code) => write!(f, "the broker refused ApiVersions: {}", code.name()),
        }
    }
}

impl Error for HandshakeError {}

fn failed(error: HandshakeError) -> HandshakeEvent {
    HandshakeEvent::Failed(error)
}

/// Whether the error code, the first field after the correlation id in all versions, refuses the
/// version.
fn refused_version(frame: &Bytes) -> bool {
    frame.get(4..6) == Some(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes()[..])
}

/// Brokers since 2.4 say which versions of `ApiVersions` they know (KIP-511); older ones say
/// nothing, and know 0.
fn common_version(response: &ApiVersionsResponse) -> i16 {
    let key = ApiVersionsRequest::KEY.code();
    let offered = response.api_keys.iter().find(|api| api.api_key == key);
    let range = offered.map(|api| VersionRange::new(api.min_version, api.max_version));
    let common = range.and_then(|range| ApiVersionsRequest::VERSIONS.intersect(range));
    common.map_or(0, |range| range.max)
}

/// The name by which brokers count clients of this kind.
const SOFTWARE: &str = "klamm";

#[cfg(test)]
mod tests;
