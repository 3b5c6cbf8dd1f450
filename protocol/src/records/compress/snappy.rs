//! Snappy: blocks in the framing of snappy-java (a magic, two version numbers, then length-prefixed
//! blocks), which is what Java's clients write and read, and one raw block, which some other
//! clients write.

use super::{Fault, Output};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// Inflates either form.
#[derive(Default)]
pub(super) struct Reader {
    raw: Decoder,
}

impl Reader {
    pub(super) fn inflate(&mut self, input: &[u8], out: &mut Output) -> Result<(), Fault> {
        let Some(framed) = input.strip_prefix(&MAGIC) else {
            return self.inflate_block(input, out);
        };
        // The two version numbers: who wrote it, and who can still read it. Java's reader ignores
        // them, too.
        let (_, mut blocks) = framed.split_first_chunk::<8>().ok_or(Fault::Corrupt)?;
        while let Some((length, rest)) = blocks.split_first_chunk() {
            let length =
                usize::try_from(i32::from_be_bytes(*length)).map_err(|_| Fault::Corrupt)?;
            let (block, rest) = rest.split_at_checked(length).ok_or(Fault::Corrupt)?;
            self.inflate_block(block, out)?;
            blocks = rest;
        }
        if blocks.is_empty() { Ok(()) } else { Err(Fault::Corrupt) }
    }

    fn inflate_block(&mut self, block: &[u8], out: &mut Output) -> Result<(), Fault> {
        let length = decompress_len(block).map_err(|_| Fault::Corrupt)?;
        // No tag makes more of its bytes than this, so a larger claim is a lie and costs nothing.
        if length / MAX_GROWTH > block.len() {
            return Err(Fault::Corrupt);
        }
        if length > out.room() {
            return Err(Fault::TooLarge);
        }
        let start = out.bytes.len();
        out.reserve(length);
        out.bytes.resize(start + length, 0);
        let slot = out.bytes.get_mut(start..).unwrap_or_default();
        let written = self.raw.decompress(block, slot).map_err(|_| Fault::Corrupt)?;
        if written == length { Ok(()) } else { Err(Fault::Corrupt) }
    }
}

/// Deflates into snappy-java's framing.
pub(super) struct Writer {
    raw: Encoder,
}

impl Default for Writer {
    fn default() -> Self {
        Self { raw: Encoder::new() }
    }
}

impl Writer {
    pub(super) fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSIONS);
        for block in input.chunks(BLOCK) {
            let length_at = out.len();
            let start = length_at + 4;
            out.resize(start + max_compress_len(block.len()), 0);
            let written = self.raw.compress(block, out.get_mut(start..)?).ok()?;
            out.truncate(start + written);
            let length = i32::try_from(written).ok()?.to_be_bytes();
            *out.get_mut(length_at..)?.first_chunk_mut()? = length;
        }
        Some(())
    }
}

/// The first bytes of snappy-java's framing.
const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Version 1, readable by version 1.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// What goes into one block, in bytes; snappy itself never looks back further.
const BLOCK: usize = 64 << 10;
/// A copy of 64 bytes takes at least 2 bytes and a literal more than its own length.
const MAX_GROWTH: usize = 32;
