//! Requests as a broker reads them: a frame of any bytes in, header first.
//!
//! Invariant: the frame is refused or read; reading allocates at most [`PER_BYTE`] bytes for each
//! byte of it; what was read can be written again, and what was written reads as the same.

use std::fmt::Debug;

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Request};
use klamm_protocol::header::{
    RequestHeader, decode_request, decode_request_header, encode_request,
};
use klamm_protocol::wire::Reader;

use crate::allocation::bounded;

/// Panics unless the invariant holds for `frame`, a request without its length.
pub fn property(frame: &[u8]) {
    let bytes = Bytes::copy_from_slice(frame);
    let Ok((header, body)) = bounded(frame.len(), PER_BYTE, || decode_request_header(bytes)) else {
        return;
    };
    if let Some(api) = APIS.iter().find(|api| api.key == header.api_key) {
        (api.check)(&header, body);
    }
}

struct Api {
    key: ApiKey,
    check: fn(&RequestHeader, Reader),
}

fn check<R: Request + PartialEq + Debug>(header: &RequestHeader, body: Reader) {
    let version = header.api_version;
    let read = bounded(body.remaining(), PER_BYTE, || decode_request::<R>(body, version));
    let Ok(request) = read else { return };
    let id = header.correlation_id;
    let written = encode_request(&request, version, id, header.client_id.as_deref())
        .expect("what was read can be written");
    let (again, body) = decode_request_header(written.into_bytes().slice(LENGTH_PREFIX..))
        .expect("what was written can be read");
    assert_eq!(&again, header);
    assert_eq!(decode_request(body, version), Ok(request));
}

macro_rules! table {
    ($($request:path),* $(,)?) => {
        &[$(Api { key: <$request as Request>::KEY, check: check::<$request> }),*]
    };
}

const APIS: &[Api] = klamm_protocol::for_each_request!(table);

/// The worst is a list of empty strings: 24 bytes each for one byte that says so.
pub const PER_BYTE: usize = 32;

const LENGTH_PREFIX: usize = 4;
