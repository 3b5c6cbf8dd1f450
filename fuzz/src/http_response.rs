//! Answers of token servers: any bytes in, a status and a body out, or why not.
//!
//! Invariant: nothing panics, at most [`PER_BYTE`] bytes of memory are taken for each byte, a body is
//! never larger than the answer, and it makes no difference how the bytes are cut.

use klamm_client::login::http::{Response, ResponseReader};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let whole = bounded(input.len(), PER_BYTE, || read(input, input.len().max(1)));
    if let Some(response) = &whole {
        assert!(response.body.len() <= input.len() && response.status >= 200);
    }
    for step in [1, 7] {
        let cut = bounded(input.len(), PER_BYTE, || read(input, step));
        assert_eq!(whole, cut, "read otherwise in pieces of {step}");
    }
}

fn read(input: &[u8], step: usize) -> Option<Response> {
    let mut reader = ResponseReader::default();
    for piece in input.chunks(step) {
        if let Some(response) = reader.push(piece).ok()? {
            return Some(response);
        }
    }
    reader.end().ok()
}

/// Buffers that double, and the body of chunks beside them.
pub const PER_BYTE: usize = 16;
