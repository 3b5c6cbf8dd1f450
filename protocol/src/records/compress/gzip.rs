//! gzip (RFC 1952) by `zlib-rs`: one or more members in, as Java's stream reads them; one member
//! out.

use super::{Fault, Output};
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

/// Inflates all members of `input`. The trailer's checksum and length are verified.
pub(super) fn inflate(mut input: &[u8], out: &mut Output) -> Result<(), Fault> {
    loop {
        let used = inflate_member(input, out)?;
        input = input.get(used..).unwrap_or_default();
        if input.is_empty() {
            return Ok(());
        }
    }
}

/// Inflates one member and returns its compressed length.
fn inflate_member(input: &[u8], out: &mut Output) -> Result<usize, Fault> {
    // A fresh state each time, since resetting one would make it expect zlib's header and not
    // gzip's.
    let mut state = Decompress::new_gzip(WINDOW_BITS);
    loop {
        out.reserve(MIN_STEP.min(out.room() + 1));
        let used = usize::try_from(state.total_in()).map_err(|_| Fault::Corrupt)?;
        let rest = input.get(used..).unwrap_or_default();
        let before = (state.total_in(), state.total_out());
        let status = state
            .decompress_vec(rest, &mut out.bytes, FlushDecompress::None)
            .map_err(|_| Fault::Corrupt)?;
        if out.bytes.len() > out.limit {
            return Err(Fault::TooLarge);
        }
        if status == Status::StreamEnd {
            return usize::try_from(state.total_in()).map_err(|_| Fault::Corrupt);
        }
        if (state.total_in(), state.total_out()) == before {
            return Err(Fault::Corrupt);
        }
    }
}

/// Compression state at one level.
pub(super) struct Writer {
    level: u32,
    state: Compress,
}

impl Writer {
    /// The writer in `slot`, made anew if it is for another level.
    pub(super) fn at_level(slot: &mut Option<Self>, level: Option<i32>) -> &mut Self {
        let level = level.map_or(DEFAULT_LEVEL, |level| level.clamp(1, 9).unsigned_abs());
        if slot.as_ref().is_some_and(|writer| writer.level != level) {
            *slot = None;
        }
        slot.get_or_insert_with(|| Self {
            level,
            state: Compress::new_gzip(flate2::Compression::new(level), WINDOW_BITS),
        })
    }

    pub(super) fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.state.reset();
        loop {
            out.reserve(MIN_STEP.max(input.len() / 4));
            let used = usize::try_from(self.state.total_in()).ok()?;
            let rest = input.get(used..)?;
            let status = self.state.compress_vec(rest, out, FlushCompress::Finish).ok()?;
            if status == Status::StreamEnd {
                return Some(());
            }
        }
    }
}

/// The full window of 32 KiB.
const WINDOW_BITS: u8 = 15;
const DEFAULT_LEVEL: u32 = 6;
/// The least free space that a step gets, in bytes.
const MIN_STEP: usize = 16 << 10;
