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

    /// The buffer with room for more, to read a socket into. At least 16 KiB are free; for a large
    /// frame that has begun, as much as has come already, so that reading one is linear and a
    /// claimed length alone reserves nothing. Only append to it.
    pub fn spare(&mut self) -> &mut BytesMut {
        let have = self.buffer.len();
        let missing = match self.announced() {
            Some(Ok(length)) => (length + PREFIX).saturating_sub(have),
            _ => 0,
        };
        self.buffer.reserve(missing.min(have).max(SMALLEST_READ));
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
