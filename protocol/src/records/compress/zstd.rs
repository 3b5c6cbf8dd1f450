//! Zstandard (RFC 8878) by `structured-zstd`: frames in, with or without their size in the header
//! (Java's stream writes none); one frame with its size out. KIP-110.

use super::{Fault, Output, scratch_of};
use structured_zstd::decoding::errors::{
    DecodeBlockContentError, DecodeBufferError, DecompressBlockError, ExecuteSequencesError,
    FrameDecoderError,
};
use structured_zstd::decoding::{
    FrameContentSize, FrameDecoder, FrameMagic, find_frame_compressed_size,
    frame_decompressed_bound, frame_magic, read_frame_header_info,
};
use structured_zstd::encoding::{CompressionLevel, FrameCompressor};

/// Inflates frames. A decoder throws its tables away where frames with and without a window take
/// turns, so that each kind has one of its own.
#[derive(Default)]
pub(super) struct Reader {
    windowed: Option<FrameDecoder>,
    single_segment: Option<FrameDecoder>,
}

impl Reader {
    /// Decodes one frame after the other.
    pub(super) fn inflate(
        &mut self,
        mut input: &[u8],
        out: &mut Output,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        while !input.is_empty() {
            let size = find_frame_compressed_size(input).map_err(|_| Fault::Corrupt)?;
            let (frame, rest) = input.split_at_checked(size).ok_or(Fault::Corrupt)?;
            if frame_magic(frame) == Some(FrameMagic::Zstd) && !is_empty(frame)? {
                self.inflate_frame(frame, out, scratch)?;
            }
            input = rest;
        }
        Ok(())
    }

    /// Decodes into scratch memory that grows by doubling until the frame fits, so that neither a
    /// window nor a size that a header claims is ever reserved for its own sake.
    fn inflate_frame(
        &mut self,
        frame: &[u8],
        out: &mut Output,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let most = out.room();
        let mut guess = Self::first_guess(frame, scratch.len()).min(most);
        let decoder = self.decoder_for(frame).get_or_insert_with(FrameDecoder::new);
        loop {
            match decoder.decode_all(frame, scratch_of(scratch, guess)) {
                Ok(written) => return out.extend(scratch.get(..written).unwrap_or_default()),
                Err(error) if !is_target_too_small(&error) => return Err(Fault::Corrupt),
                Err(_) if guess >= most => return Err(Fault::TooLarge),
                Err(_) => guess = (guess.max(FIRST_GUESS) * 2).min(most),
            }
        }
    }

    fn decoder_for(&mut self, frame: &[u8]) -> &mut Option<FrameDecoder> {
        match frame.get(DESCRIPTOR_AT) {
            Some(descriptor) if descriptor & SINGLE_SEGMENT != 0 => &mut self.single_segment,
            _ => &mut self.windowed,
        }
    }

    /// What the blocks can hold at most, as far as that is little; else some times the input, or
    /// what was enough before.
    fn first_guess(frame: &[u8], before: usize) -> usize {
        let sane = frame.len().saturating_mul(8).max(FIRST_GUESS).max(before);
        let claimed = frame_decompressed_bound(frame).ok().and_then(|n| usize::try_from(n).ok());
        claimed.unwrap_or(sane).min(sane)
    }
}

/// Whether more room would help. The decoder says `TargetTooSmall` by what was written before the
/// block; a sequence in the middle of one that does not fit is reported as it is.
fn is_target_too_small(error: &FrameDecoderError) -> bool {
    use DecompressBlockError::ExecuteSequencesError as Sequences;
    let FrameDecoderError::FailedToReadBlockBody(source) = error else {
        return matches!(error, FrameDecoderError::TargetTooSmall);
    };
    matches!(
        source,
        DecodeBlockContentError::DecompressBlockError(Sequences(
            ExecuteSequencesError::OutputBufferOverflow { .. }
                | ExecuteSequencesError::DecodebufferError(
                    DecodeBufferError::OutputBufferOverflow { .. }
                )
        ))
    )
}

/// Whether a frame declares to be empty. One that does and holds more than its one empty block is
/// refused: the decoder would expand all of it (128 KiB for as little as four bytes) and compare
/// then.
fn is_empty(frame: &[u8]) -> Result<bool, Fault> {
    let info = read_frame_header_info(frame, false).map_err(|_| Fault::Corrupt)?;
    let blocks = frame.get(info.header_size..).unwrap_or_default();
    match info.content_size {
        FrameContentSize::Known(0) if blocks.starts_with(&EMPTY_LAST_BLOCK) => Ok(true),
        FrameContentSize::Known(0) => Err(Fault::Corrupt),
        _ => Ok(false),
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

/// Where RFC 8878, 3.1.1.1, has the frame's descriptor, and the bit that tells that it has no window.
const DESCRIPTOR_AT: usize = 4;
const SINGLE_SEGMENT: u8 = 1 << 5;
/// A block header of RFC 8878, 3.1.1.2: the last one, raw, no bytes.
const EMPTY_LAST_BLOCK: [u8; 3] = [1, 0, 0];
/// The first guess at the size of a frame that does not tell, in bytes: a block's maximum.
const FIRST_GUESS: usize = 128 << 10;
