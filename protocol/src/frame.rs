//! A byte stream to frames. In come the bytes of a connection, cut anywhere; out come whole frames
//! without their four-byte length. A length is checked before a byte is reserved for it, and memory
//! grows with what has come, not with what was announced.

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind};

/// The body of one frame: a request or a response with its header, without the length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub Bytes);

/// Cuts a stream into frames.
///
/// Fill it with [`FrameReader::push`], or let a socket read into [`FrameReader::spare`]; then call
/// [`FrameReader::next`] until it gives `None`.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    max_frame: usize,
    /// Bytes of frames already given out: where in the stream the buffer begins.
    consumed: usize,
}

impl FrameReader {
    /// A reader that refuses frames of more than `max_frame` bytes; [`DEFAULT_MAX_FRAME`] suits
    /// Kafka's own limits.
    pub fn new(max_frame: usize) -> Self {
        Self { buffer: BytesMut::new(), max_frame, consumed: 0 }
    }

    /// Changes the limit for frames that have not been given out yet: small until a peer has
    /// authenticated, larger after.
    pub fn limit(&mut self, max_frame: usize) {
        self.max_frame = max_frame;
    }

    /// Appends bytes that came.
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) {
        self.buffer.extend_from_slice(bytes.as_ref());
    }

    /// The buffer with room for more, to read a socket into. Between frames at least 16 KiB are
    /// free; in one that has begun, the rest of it or as much as has come already, so that reading
    /// a large one is linear and a claimed length alone reserves nothing. Only append to it.
    pub fn spare(&mut self) -> &mut BytesMut {
        let have = self.buffer.len();
        let missing = match self.announced() {
            Some(Ok(length)) => (length + PREFIX).saturating_sub(have),
            _ => 0,
        };
        let step = if missing == 0 { SMALLEST_READ } else { missing.min(have.max(SMALLEST_READ)) };
        // Room for the rest of a frame is enough, however little: more would move the frame to a
        // larger buffer at its very end.
        if self.buffer.capacity() - have < step {
            self.buffer.reserve(step.max(SMALLEST_READ));
        }
        &mut self.buffer
    }

    /// Bytes that have come and belong to no frame that was given out.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame; `None` if more bytes must come first.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::NegativeLength`] or [`DecodeErrorKind::FrameTooLarge`]. The stream has no
    /// more frames to find then: every later call gives the same error, and the connection must be
    /// closed.
    #[expect(clippy::should_implement_trait, reason = "None is not the end: more may be pushed")]
    pub fn next(&mut self) -> Result<Option<Frame>, DecodeError> {
        let length = match self.announced() {
            None => return Ok(None),
            Some(Err(what)) => return Err(DecodeError::new(self.consumed, what)),
            Some(Ok(length)) => length,
        };
        let whole = length + PREFIX;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(whole).freeze();
        self.consumed = self.consumed.saturating_add(whole);
        Ok(Some(Frame(frame.split_off(PREFIX))))
    }

    /// The length at the front of the buffer, once its four bytes are there.
    fn announced(&self) -> Option<Result<usize, DecodeErrorKind>> {
        let length = i32::from_be_bytes(*self.buffer.first_chunk()?);
        Some(match usize::try_from(length) {
            Err(_) => Err(DecodeErrorKind::NegativeLength { length }),
            Ok(length) if length > self.max_frame => {
                Err(DecodeErrorKind::FrameTooLarge { length, limit: self.max_frame })
            }
            Ok(length) => Ok(length),
        })
    }
}

/// 100 MiB, as brokers limit requests by default (`socket.request.max.bytes`).
pub const DEFAULT_MAX_FRAME: usize = 100 * 1024 * 1024;

/// The length of the length.
const PREFIX: usize = 4;

/// How much room a read gets at least.
const SMALLEST_READ: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(reader: &mut FrameReader) -> Vec<Bytes> {
        std::iter::from_fn(|| reader.next().unwrap()).map(|frame| frame.0).collect()
    }

    fn stream(bodies: &[Vec<u8>]) -> Vec<u8> {
        let framed = |body: &Vec<u8>| [&(body.len() as u32).to_be_bytes()[..], body].concat();
        bodies.iter().flat_map(framed).collect()
    }

    #[test]
    fn frames_come_without_their_length_and_share_the_buffer() {
        let mut reader = FrameReader::new(DEFAULT_MAX_FRAME);
        reader.push(stream(&[b"one".to_vec(), Vec::new(), b"three".to_vec()]));
        let frames = drain(&mut reader);
        assert_eq!(frames, ["one", "", "three"]);
        assert_eq!(reader.buffered(), 0);
        let (first, third) = (frames[0].as_ptr() as usize, frames[2].as_ptr() as usize);
        assert_eq!(third - first, 3 + 4 + 4, "nothing was copied between them");
    }

    #[test]
    fn the_last_bytes_of_a_large_frame_do_not_move_it() {
        let mut reader = FrameReader::new(DEFAULT_MAX_FRAME);
        let bytes = stream(&[vec![7; 1 << 20]]);
        let (mut moves, mut at) = (0, std::ptr::null());
        for piece in bytes.chunks(1000) {
            let buffer = reader.spare();
            buffer.extend_from_slice(piece);
            moves += usize::from(buffer.as_ptr() != at);
            at = buffer.as_ptr();
        }
        assert!(moves < 12, "moved {moves} times");
        assert!(reader.buffer.capacity() < 3 << 20);
        assert_eq!(drain(&mut reader).len(), 1);
    }

    #[test]
    fn a_negative_length_is_refused_for_good() {
        let mut reader = FrameReader::new(100);
        reader.push([0, 0, 0, 1, 9]);
        reader.push([0xff; 4]);
        assert_eq!(reader.next(), Ok(Some(Frame(Bytes::from_static(&[9])))));
        let error = DecodeError::new(5, DecodeErrorKind::NegativeLength { length: -1 });
        assert_eq!(reader.next(), Err(error));
        reader.push([0; 100]);
        assert_eq!(reader.next(), Err(error));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
        let mut reader = FrameReader::new(100);
        // What a TLS or HTTP server answers, read as a length.
        reader.push(b"HTTP");
        let error = DecodeErrorKind::FrameTooLarge { length: 0x4854_5450, limit: 100 };
        assert_eq!(reader.next(), Err(DecodeError::new(0, error)));
        assert!(reader.spare().capacity() < 100_000);
    }

    #[test]
    fn the_limit_can_be_raised_once_a_peer_is_trusted() {
        let mut reader = FrameReader::new(2);
        reader.push([0, 0, 0, 3, 1, 2, 3]);
        assert!(reader.next().is_err());
        reader.limit(3);
        assert_eq!(drain(&mut reader), [&[1, 2, 3][..]]);
    }

    #[test]
    fn a_claimed_length_reserves_nothing_by_itself() {
        let mut reader = FrameReader::new(DEFAULT_MAX_FRAME);
        reader.push((DEFAULT_MAX_FRAME as u32).to_be_bytes());
        assert_eq!(reader.next(), Ok(None));
        assert!(reader.spare().capacity() < 2 * SMALLEST_READ);
        reader.push(vec![0; 1 << 20]);
        assert!(reader.spare().capacity() < 3 << 20, "room grows with what has come");
    }

    proptest! {
        #[test]
        fn cuts_anywhere_give_the_same_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
            cuts in prop::collection::vec(1usize..40, 1..40),
            by_spare in any::<bool>(),
        ) {
            let bytes = stream(&bodies);
            let mut reader = FrameReader::new(300);
            let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
            let mut cuts = cuts.into_iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                if by_spare { reader.spare().extend_from_slice(now) } else { reader.push(now) }
                frames.extend(drain(&mut reader));
                rest = later;
            }
            prop_assert_eq!(frames, bodies);
            prop_assert_eq!(reader.buffered(), 0);
        }

        #[test]
        fn any_bytes_end_in_frames_or_a_refusal(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut reader = FrameReader::new(64);
            reader.push(&bytes);
            let mut seen = 0;
            while let Ok(Some(frame)) = reader.next() {
                seen += frame.0.len() + PREFIX;
            }
            prop_assert_eq!(seen + reader.buffered(), bytes.len());
        }
    }
}
