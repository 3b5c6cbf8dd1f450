//! Responses as a client reads them: a frame of any bytes in, for any API and version.
//!
//! Invariant: the frame is refused or read; reading allocates at most [`PER_BYTE`] bytes for each
//! byte of it; what was read can be written again, and what was written reads as the same.
//!
//! The input's first byte chooses the API by its key, the second the version; both wrap around, so
//! that every input means something. The rest is the frame.

use std::fmt::Debug;

use bytes::Bytes;
use klamm_protocol::api::{Request, VersionRange};
use klamm_protocol::header::{decode_response, encode_response};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let [key, version, frame @ ..] = input else { return };
    let key = i16::from(*key);
    let exact = APIS.iter().find(|api| api.key == key);
    let Some(api) = exact.or_else(|| APIS.get(usize::from(key.unsigned_abs()) % APIS.len())) else {
        return;
    };
    let VersionRange { min, max } = api.versions;
    (api.check)(min + i16::from(*version) % (max - min + 1), frame);
}

struct Api {
    key: i16,
    versions: VersionRange,
    check: fn(i16, &[u8]),
}

fn check<R: Request<Response: PartialEq + Debug>>(version: i16, frame: &[u8]) {
    let bytes = Bytes::copy_from_slice(frame);
    let read = bounded(frame.len(), PER_BYTE, || decode_response::<R>(bytes, version));
    let Ok(response) = read else { return };
    let written =
        encode_response::<R>(&response, version, 0).expect("what was read can be written");
    let again = decode_response::<R>(written.into_bytes().slice(LENGTH_PREFIX..), version);
    assert_eq!(again, Ok(response));
}

macro_rules! table {
    ($($request:path),* $(,)?) => {
        &[$(Api {
            key: <$request as Request>::KEY.code(),
            versions: <$request as Request>::VERSIONS,
            check: check::<$request>,
        }),*]
    };
}

const APIS: &[Api] = klamm_protocol::for_each_request!(table);

/// The worst is a structure of empty strings: 24 bytes each for one byte that says so.
pub const PER_BYTE: usize = 32;

const LENGTH_PREFIX: usize = 4;
