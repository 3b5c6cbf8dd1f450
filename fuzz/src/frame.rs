//! A stream cut into frames: any bytes in, arriving in pieces of any size.
//!
//! Invariant: the frames are those that a look at the whole stream finds, however it was cut; an
//! announced length reserves nothing; after an error every call gives it again.
//!
//! The input's first byte is the size of a piece, the second the largest frame allowed in units of
//! 16 bytes. The rest is the stream.

use klamm_protocol::frame::{Frame, FrameReader};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let [piece, most, stream @ ..] = input else { return };
    let piece = usize::from(*piece).max(1);
    let most = usize::from(*most) * 16;
    let mut expected = whole_frames(stream, most);
    let mut reader = FrameReader::new(most);
    for bytes in stream.chunks(piece) {
        bounded(reader.buffered() + bytes.len(), PER_BYTE, || reader.push(bytes));
        loop {
            match bounded(bytes.len(), PER_BYTE, || reader.next()) {
                Ok(Some(Frame(frame))) => assert_eq!(expected.next(), Some(&frame[..])),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(expected.next(), None, "{error} before the last good frame");
                    assert_eq!(reader.next(), Err(error), "an error is the stream's end");
                    return;
                }
            }
        }
    }
    assert_eq!(expected.next(), None, "a frame that has come whole was not given out");
}

/// The frames at the front of `stream`, up to the first that is cut short or not allowed.
fn whole_frames(mut stream: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = stream.split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let (frame, rest) = (length <= most).then(|| rest.split_at_checked(length))??;
        stream = rest;
        Some(frame)
    })
}

/// A buffer that grows takes twice what it needs.
pub const PER_BYTE: usize = 4;
