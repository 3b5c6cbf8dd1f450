//! What stands before a message in its frame. In comes a request with its correlation id, out comes
//! a frame; in comes a frame, out comes a response; and both the other way round for brokers.
//!
//! Which header a message has follows from its API and version: requests have v2 once the API is
//! flexible (KIP-482) and v1 before, with v0 only for the first `ControlledShutdown`; responses
//! have v1 once flexible and v0 before. `ApiVersions` is the exception: its response always has v0,
//! since the client that reads it cannot know yet what the broker speaks (KIP-511).

use bytes::Bytes;

use crate::api::{ApiKey, Message, Request};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::wire::{Reader, Segments, Writer};

/// What stands before a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API.
    pub api_key: ApiKey,
    /// The version of the API that the body is in.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself, for logs and quotas.
    pub client_id: Option<String>,
}

/// A request as a frame, its length included.
///
/// # Errors
///
/// If `version` does not exist or cannot carry what the request holds, or a string is too long.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Segments, EncodeError> {
    let mut w = Writer::framed();
    w.put_i16(R::KEY.code());
    w.put_i16(version);
    w.put_i32(correlation_id);
    let header = request_header_version(R::KEY, version);
    if header >= 1 {
        w.put_string(client_id).map_err(|error| error.in_field("RequestHeader.client_id"))?;
    }
    if header >= 2 {
        w.put_unsigned_varint(0);
    }
    request.encode(&mut w, version)?;
    w.finish()
}

/// The correlation id of a response's frame (without its length): what says which request it
/// answers, and so how to read the rest.
///
/// # Errors
///
/// [`DecodeErrorKind::UnexpectedEnd`] if there are fewer than four bytes.
pub fn correlation_id(frame: &[u8]) -> Result<i32, DecodeError> {
    match frame.first_chunk() {
        Some(id) => Ok(i32::from_be_bytes(*id)),
        None => {
            let what = DecodeErrorKind::UnexpectedEnd { wanted: 4, left: frame.len() };
            Err(DecodeError::new(0, what).in_field("ResponseHeader.correlation_id"))
        }
    }
}

/// The response in a frame (without its length). The caller has found by [`correlation_id`] that it
/// answers an `R`.
///
/// # Errors
///
/// If the bytes are no such response, or some are left after it.
pub fn decode_response<R: Request>(frame: Bytes, version: i16) -> Result<R::Response, DecodeError> {
    let mut r = Reader::new(frame);
    r.i32().map_err(|error| error.in_field("ResponseHeader.correlation_id"))?;
    if response_header_version(R::KEY, version) >= 1 {
        r.skip_tagged_fields().map_err(|error| error.in_field("ResponseHeader"))?;
    }
    let response = R::Response::decode(&mut r, version)?;
    r.finish()?;
    Ok(response)
}

/// The header of a request's frame (without its length), and a reader that stands at the body. For
/// brokers.
///
/// An unknown API gives [`ApiKey::Unknown`] and a reader after the v1 header; nobody can know what
/// follows.
///
/// # Errors
///
/// If the bytes are no request header.
pub fn decode_request_header(frame: Bytes) -> Result<(RequestHeader, Reader), DecodeError> {
    let mut r = Reader::new(frame);
    let header = request_header(&mut r).map_err(|error| error.in_field("RequestHeader"))?;
    Ok((header, r))
}

/// The body of a request, from the reader that [`decode_request_header`] gave. For brokers.
///
/// # Errors
///
/// If the bytes are no such request, or some are left after it.
pub fn decode_request<R: Request>(mut body: Reader, version: i16) -> Result<R, DecodeError> {
    let request = R::decode(&mut body, version)?;
    body.finish()?;
    Ok(request)
}

/// A response as a frame, its length included. For brokers.
///
/// # Errors
///
/// If `version` does not exist or cannot carry what the response holds.
pub fn encode_response<R: Request>(
    response: &R::Response,
    version: i16,
    correlation_id: i32,
) -> Result<Segments, EncodeError> {
    let mut w = Writer::framed();
    w.put_i32(correlation_id);
    if response_header_version(R::KEY, version) >= 1 {
        w.put_unsigned_varint(0);
    }
    response.encode(&mut w, version)?;
    w.finish()
}

/// Which header a request has: 0, 1 or 2.
pub const fn request_header_version(key: ApiKey, version: i16) -> i16 {
    if matches!(key, ApiKey::ControlledShutdown) && version == 0 {
        0
    } else if version >= key.flexible_from() {
        2
    } else {
        1
    }
}

/// Which header a response has: 0 or 1.
pub const fn response_header_version(key: ApiKey, version: i16) -> i16 {
    if matches!(key, ApiKey::ApiVersions) || version < key.flexible_from() { 0 } else { 1 }
}

fn request_header(r: &mut Reader) -> Result<RequestHeader, DecodeError> {
    let api_key = ApiKey::from_code(r.i16()?);
    let api_version = r.i16()?;
    let correlation_id = r.i32()?;
    let header = request_header_version(api_key, api_version);
    // Not compact even in a flexible header, so that a broker can read it before it knows the
    // version (KIP-482).
    let client_id = if header >= 1 { r.nullable_string()? } else { None };
    if header >= 2 {
        r.skip_tagged_fields()?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}
