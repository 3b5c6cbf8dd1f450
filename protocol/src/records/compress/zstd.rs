//! Zstandard (RFC 8878) by `structured-zstd`: frames in, with or without their size in the header
//! (Java's stream writes none); one frame with its size out. KIP-110.

use super::{Fault, Output, scratch_of};
use structured_zstd::decoding::errors::FrameDecoderError;
use structured_zstd::decoding::{FrameDecoder, frame_decompressed_bound};
use structured_zstd::encoding::{CompressionLevel, FrameCompressor};

/// Inflates frames.
pub(super) struct Reader {
    frames: FrameDecoder,
}

impl Default for Reader {
    fn default() -> Self {
        Self { frames: FrameDecoder::new() }
    }
}

impl Reader {
    /// Decodes into scratch memory that grows by doubling until the frames fit, so that neither a
    /// window nor a size that a header claims is ever reserved for its own sake.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        out: &mut Output,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let most = out.room();
        let mut guess = Self::first_guess(input, scratch.len()).min(most);
        loop {
            match self.frames.decode_all(input, scratch_of(scratch, guess)) {
                Ok(written) => return out.extend(scratch.get(..written).unwrap_or_default()),
                Err(FrameDecoderError::TargetTooSmall) if guess >= most => {
                    return Err(Fault::TooLarge);
                }
                Err(FrameDecoderError::TargetTooSmall) => {
                    guess = (guess.max(FIRST_GUESS) * 2).min(most)
                }
                Err(_) => return Err(Fault::Corrupt),
            }
        }
    }

    /// What the blocks can hold at most, as far as that is little; else some times the input, or
    /// what was enough before.
    fn first_guess(input: &[u8], before: usize) -> usize {
        let sane = input.len().saturating_mul(8).max(FIRST_GUESS).max(before);
        let claimed = frame_decompressed_bound(input).ok().and_then(|n| usize::try_from(n).ok());
        claimed.unwrap_or(sane).min(sane)
    }
}

/// Compression state at one level.
pub(super) struct Writer {
    level: i32,
    frames: FrameCompressor,
    frame: Vec<u8>,
}

impl Writer {
    /// The writer in `slot`, made anew if it is for another level.
    pub(super) fn at_level(slot: &mut Option<Box<Self>>, level: Option<i32>) -> &mut Self {
        let levels = CompressionLevel::MIN_LEVEL..=CompressionLevel::MAX_LEVEL;
        let level = level.unwrap_or(CompressionLevel::DEFAULT_LEVEL);
        let level = level.clamp(*levels.start(), *levels.end());
        if slot.as_ref().is_some_and(|writer| writer.level != level) {
            *slot = None;
        }
        slot.get_or_insert_with(|| {
            let frames = FrameCompressor::new(CompressionLevel::Level(level));
            Box::new(Self { level, frames, frame: Vec::new() })
        })
    }

    pub(super) fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) {
        // The compressor clears what it writes to, so the frame is made apart and copied behind the
        // batch's header.
        self.frames.compress_independent_frame_into(input, &mut self.frame);
        out.extend_from_slice(&self.frame);
    }
}

/// The first guess at the size of a frame that does not tell, in bytes: a block's maximum.
const FIRST_GUESS: usize = 128 << 10;
