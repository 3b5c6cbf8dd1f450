//! Bytes that must not show up in a log: what is said while logging in, hashed passwords, the
//! secrets of tokens. On the wire they are bytes like others; printed they are not.

use std::fmt;

use bytes::Bytes;

use super::field::{Field, Layout};
use super::read::Reader;
use super::write::Writer;
use crate::error::{DecodeError, EncodeError};

/// Bytes whose `Debug` does not tell them, nor how many there are.
///
/// Comparing takes a time that depends on the bytes, so a broker must not check a login by it.
///
/// ```
/// use klamm_protocol::wire::Secret;
///
/// let said = Secret::from(&b"\0alice\0wonderland"[..]);
/// assert_eq!(format!("{said:?}"), "Secret(..)");
/// assert_eq!(said.0, &b"\0alice\0wonderland"[..]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Bytes);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<Bytes> for Secret {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl Field for Secret {
    const DEPTH: usize = 0;

    fn put(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        self.0.put(w, layout)
    }

    fn take(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        Bytes::take(r, layout).map(Self)
    }

    fn smallest(layout: Layout) -> usize {
        Bytes::smallest(layout)
    }
}
