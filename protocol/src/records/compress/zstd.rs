//! Zstandard (RFC 8878) by `structured-zstd`: frames in, with or without their size in the header
//! (Java's stream writes none); one frame with its size out. KIP-110.

use super::{Fault, Output, scratch_of};
use structured_zstd::decoding::errors::FrameDecoderError;
use structured_zstd::decoding::{
    FrameDecoder, FrameMagic, find_frame_compressed_size, frame_decompressed_bound,
    frame_header_size, frame_magic,
};
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
        refuse_hidden_content(input)?;
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

/// Refuses a frame that declares to be empty and holds more than its one empty block: the decoder
/// would expand all of it (128 KiB for as little as four bytes) before it compares.
fn refuse_hidden_content(mut input: &[u8]) -> Result<(), Fault> {
    while !input.is_empty() {
        let size = find_frame_compressed_size(input).map_err(|_| Fault::Corrupt)?;
        let (frame, rest) = input.split_at_checked(size).ok_or(Fault::Corrupt)?;
        if frame_magic(frame) == Some(FrameMagic::Zstd)
            && frame_decompressed_bound(frame).map_err(|_| Fault::Corrupt)? == 0
        {
            let header = frame_header_size(frame).map_err(|_| Fault::Corrupt)?;
            let blocks = frame.get(header..).unwrap_or_default();
            if !blocks.starts_with(&EMPTY_LAST_BLOCK) {
                return Err(Fault::Corrupt);
            }
        }
        input = rest;
    }
    Ok(())
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

/// A block header of RFC 8878, 3.1.1.2: the last one, raw, no bytes.
const EMPTY_LAST_BLOCK: [u8; 3] = [1, 0, 0];
/// The first guess at the size of a frame that does not tell, in bytes: a block's maximum.
const FIRST_GUESS: usize = 128 << 10;
