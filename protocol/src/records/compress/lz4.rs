//! LZ4 frames over `lz4_flex`'s blocks. Out go frames as Java writes and reads them: independent
//! blocks of at most 64 KiB, no checksum but the header's. In come any frames without a dictionary,
//! linked blocks and checksums included.
//!
//! The frame is taken apart here and not by `lz4_flex::frame`, so that blocks go from the input to
//! their place with one copy, a frame of seven bytes does not cost megabytes, and the header
//! checksum of old can be forgiven (KAFKA-3160).

use super::{Fault, Origin, Output, scratch_of};
use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, decompress_into_with_dict,
    get_maximum_output_size,
};
use std::hash::Hasher;
use twox_hash::XxHash32;

/// Inflates all frames of `input`.
pub(super) fn inflate(
    mut input: &[u8],
    out: &mut Output,
    scratch: &mut Vec<u8>,
    origin: Origin,
) -> Result<(), Fault> {
    loop {
        let (frame, blocks) = Frame::read(input, origin).ok_or(Fault::Corrupt)?;
        input = frame.inflate(blocks, out, scratch)?;
        if input.is_empty() {
            return Ok(());
        }
    }
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Blocks may refer back to the 64 KiB before them.
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_size: Option<u64>,
    max_block: usize,
}

impl Frame {
    /// Reads the header; the rest are the blocks.
    fn read(input: &[u8], origin: Origin) -> Option<(Self, &[u8])> {
        let described = input.strip_prefix(&MAGIC)?;
        let &[flags, sizes] = described.first_chunk()?;
        // Version 1, no dictionary, reserved bits unset.
        if flags & 0b1100_0011 != VERSION || sizes & 0b1000_1111 != 0 {
            return None;
        }
        let max_block = match sizes >> 4 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return None,
        };
        let has_size = flags & CONTENT_SIZE != 0;
        let (descriptor, rest) = described.split_at_checked(if has_size { 10 } else { 2 })?;
        let (&checksum, blocks) = rest.split_first()?;
        if checksum != header_checksum(descriptor) && origin == Origin::Batch {
            return None;
        }
        let size = descriptor.get(2..)?.first_chunk().map(|size| u64::from_le_bytes(*size));
        let frame = Self {
            linked: flags & INDEPENDENT == 0,
            block_checksums: flags & BLOCK_CHECKSUMS != 0,
            content_checksum: flags & CONTENT_CHECKSUM != 0,
            content_size: size,
            max_block,
        };
        Some((frame, blocks))
    }

    /// Inflates the blocks up to the end mark, and returns what stands behind the frame.
    fn inflate<'a>(
        self,
        mut input: &'a [u8],
        out: &mut Output,
        scratch: &mut Vec<u8>,
    ) -> Result<&'a [u8], Fault> {
        let start = out.bytes.len();
        loop {
            let (size, rest) = le_u32(input).ok_or(Fault::Corrupt)?;
            if size == END_MARK {
                return self.finish(rest, out.bytes.get(start..).unwrap_or_default());
            }
            let length = (size & !STORED) as usize;
            if length > self.max_block {
                return Err(Fault::Corrupt);
            }
            let (block, rest) = rest.split_at_checked(length).ok_or(Fault::Corrupt)?;
            input = self.check_block(block, rest)?;
            if size & STORED != 0 {
                out.extend(block)?;
            } else {
                self.inflate_block(block, start, out, scratch)?;
            }
        }
    }

    fn inflate_block(
        self,
        block: &[u8],
        start: usize,
        out: &mut Output,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        // One byte of a block makes at most 255, which keeps small frames with large blocks cheap.
        let most = self.max_block.min(block.len().saturating_mul(255) + MIN_BLOCK);
        // One byte over the room is enough to tell that the room is too small.
        let slot = scratch_of(scratch, most.min(out.room() + 1));
        let window = out.bytes.get(start..).filter(|before| self.linked && !before.is_empty());
        let written = match window {
            Some(before) => {
                let window = before.get(before.len().saturating_sub(WINDOW)..).unwrap_or_default();
                decompress_into_with_dict(block, slot, window)
            }
            None => decompress_into(block, slot),
        };
        let full = if slot.len() < most { Fault::TooLarge } else { Fault::Corrupt };
        let written = written.map_err(|error| match error {
            lz4_flex::block::DecompressError::OutputTooSmall { .. } => full,
            _ => Fault::Corrupt,
        })?;
        out.extend(scratch.get(..written).unwrap_or_default())
    }

    /// Checks a block's checksum, if the frame has such, and returns what follows it.
    fn check_block<'a>(self, block: &[u8], rest: &'a [u8]) -> Result<&'a [u8], Fault> {
        if !self.block_checksums {
            return Ok(rest);
        }
        let (written, rest) = le_u32(rest).ok_or(Fault::Corrupt)?;
        if XxHash32::oneshot(0, block) == written { Ok(rest) } else { Err(Fault::Corrupt) }
    }

    /// Checks what a frame says about its whole content, and returns what follows the frame.
    fn finish<'a>(self, rest: &'a [u8], content: &[u8]) -> Result<&'a [u8], Fault> {
        if self.content_size.is_some_and(|size| size != content.len() as u64) {
            return Err(Fault::Corrupt);
        }
        if !self.content_checksum {
            return Ok(rest);
        }
        let (written, rest) = le_u32(rest).ok_or(Fault::Corrupt)?;
        if XxHash32::oneshot(0, content) == written { Ok(rest) } else { Err(Fault::Corrupt) }
    }
}

/// Deflates into one frame, with one hash table for all blocks.
pub(super) struct Writer {
    table: CompressTable,
    /// Where frames are made; only ever grows, so that its memory is cleared once.
    frame: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        // It grows by itself with the first block of 64 KiB.
        Self { table: CompressTable::small(), frame: Vec::new() }
    }
}

impl Writer {
    /// Appends `input` as one frame. It is made apart, since a block needs more room than it takes in
    /// the end, and a batch that waits for its acknowledgement should hold no such room.
    pub(super) fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let mut end = 0;
        for block in input.chunks(BLOCK) {
            end = self.deflate_block(block, end)?;
        }
        let blocks = self.frame.get(..end)?;
        out.reserve(MAGIC.len() + DESCRIPTOR.len() + 1 + blocks.len() + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&DESCRIPTOR);
        out.push(header_checksum(&DESCRIPTOR));
        out.extend_from_slice(blocks);
        out.extend_from_slice(&END_MARK.to_le_bytes());
        Some(())
    }

    /// Puts a block at a place of the frame; returns where it ends.
    fn deflate_block(&mut self, block: &[u8], size_at: usize) -> Option<usize> {
        let start = size_at + 4;
        let room = start + get_maximum_output_size(block.len());
        if self.frame.len() < room {
            self.frame.resize(room, 0);
        }
        let slot = self.frame.get_mut(start..room)?;
        let written = compress_into_with_table(block, slot, &mut self.table).ok()?;
        let (length, stored) = if written < block.len() {
            (written, 0)
        } else {
            slot.get_mut(..block.len())?.copy_from_slice(block);
            (block.len(), STORED)
        };
        let size = u32::try_from(length).ok()? | stored;
        *self.frame.get_mut(size_at..)?.first_chunk_mut()? = size.to_le_bytes();
        Some(start + length)
    }
}

fn le_u32(input: &[u8]) -> Option<(u32, &[u8])> {
    let (value, rest) = input.split_first_chunk()?;
    Some((u32::from_le_bytes(*value), rest))
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    let mut hash = XxHash32::with_seed(0);
    hash.write(descriptor);
    (hash.finish() >> 8) as u8
}

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// The header that is written: version 1, independent blocks, at most 64 KiB each.
const DESCRIPTOR: [u8; 2] = [VERSION | INDEPENDENT, 0x40];
const VERSION: u8 = 0x40;
const INDEPENDENT: u8 = 0x20;
const BLOCK_CHECKSUMS: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const CONTENT_CHECKSUM: u8 = 0x04;
/// The bit of a block's size that says that the block is stored as it is.
const STORED: u32 = 1 << 31;
const END_MARK: u32 = 0;
/// How far back a linked block may refer, in bytes.
const WINDOW: usize = 64 << 10;
/// What goes into one block, in bytes: all that the header allows.
const BLOCK: usize = 64 << 10;
/// The least output that a block gets.
const MIN_BLOCK: usize = 64;
