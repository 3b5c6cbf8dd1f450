//! The five ways of Kafka to compress the records of a batch, both directions, with an upper bound
//! on what comes out.
//!
//! In: a batch's records section and a codec. Out: the same bytes inflated or deflated. A codec's
//! working memory lives in an [`Inflater`] or [`Deflater`] and is used again. Nothing here reserves
//! what compressed bytes claim to hold: output grows with what was really inflated, and a bomb ends
//! at the cap. zstd is KIP-110; the framing of snappy is that of snappy-java.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use crate::error::{DecodeError, DecodeErrorKind};
use bytes::Bytes;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952, by `zlib-rs`. Levels 1 to 9, 6 by default.
    Gzip,
    /// Snappy blocks in the framing of snappy-java. It has no levels.
    Snappy,
    /// LZ4 frames of independent 64 KiB blocks, as Java writes them. One level.
    Lz4,
    /// Zstandard frames, from Kafka 2.1 on (KIP-110). Levels -131072 to 22, 3 by default.
    Zstd,
}

impl Compression {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// What the low three bits of a batch's attributes say; `None` for the numbers 5 to 7, which
    /// mean nothing yet.
    pub const fn from_attributes(attributes: i16) -> Option<Self> {
        match attributes & 0x07 {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its number in the attributes of a batch.
    pub const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Its name in Kafka's settings, such as `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec with that name in Kafka's settings; case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
}

/// Inflates records, one batch after another, and keeps the codecs' working memory in between.
///
/// The memory it keeps is at most a few MiB, whatever it was fed. It starts empty: a codec costs
/// nothing before its first use.
#[derive(Default)]
pub struct Inflater {
    scratch: Vec<u8>,
    snappy: snappy::Reader,
    zstd: Option<Box<zstd::Reader>>,
    /// How many times its input the last output was, so that the next one seldom has to grow.
    growth: usize,
}

impl Inflater {
    /// One that has not inflated anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inflates `input`, to at most `limit` bytes and never more than 1 GiB. [`Compression::None`]
    /// hands `input` back.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::CorruptCompression`] if the codec can't read the bytes, or bytes are left
    /// over or missing; [`DecodeErrorKind::InflatesTooLarge`] if the limit is reached.
    pub fn inflate(
        &mut self,
        codec: Compression,
        input: &Bytes,
        limit: usize,
    ) -> Result<Bytes, DecodeError> {
        if codec == Compression::None {
            return Ok(input.clone());
        }
        self.inflate_slice(codec, input, limit, Origin::Batch)
    }

    /// As [`Inflater::inflate`], for the message sets of old, whose lz4 frames may carry a wrong
    /// header checksum.
    pub(super) fn inflate_legacy(
        &mut self,
        codec: Compression,
        input: &Bytes,
        limit: usize,
    ) -> Result<Bytes, DecodeError> {
        self.inflate_slice(codec, input, limit, Origin::MessageSet)
    }

    fn inflate_slice(
        &mut self,
        codec: Compression,
        input: &[u8],
        limit: usize,
        origin: Origin,
    ) -> Result<Bytes, DecodeError> {
        let limit = limit.min(HARD_LIMIT);
        let expected =
            input.len().saturating_mul(self.growth.clamp(1, MAX_EXPECTED_GROWTH)).min(limit);
        let mut out = Output { bytes: Vec::with_capacity(expected), limit };
        let scratch = &mut self.scratch;
        let done = match codec {
            Compression::None => out.extend(input),
            Compression::Gzip => gzip::inflate(input, &mut out),
            Compression::Snappy => self.snappy.inflate(input, &mut out),
            Compression::Lz4 => lz4::inflate(input, &mut out, scratch, origin),
            Compression::Zstd => {
                self.zstd.get_or_insert_default().inflate(input, &mut out, scratch)
            }
        };
        if scratch.capacity() > KEPT_SCRATCH {
            *scratch = Vec::new();
        }
        done.map_err(|fault| fault.into_error(codec, limit))?;
        self.growth = out.bytes.len().div_ceil(input.len().max(1));
        Ok(out.finish())
    }
}

/// Deflates records, one batch after another, and keeps the codecs' working memory in between.
///
/// That memory is up to some MiB for zstd, by level, a quarter MiB for gzip, and next to nothing
/// for the others.
#[derive(Default)]
pub struct Deflater {
    gzip: Option<gzip::Writer>,
    snappy: snappy::Writer,
    lz4: lz4::Writer,
    zstd: Option<Box<zstd::Writer>>,
}

impl Deflater {
    /// One that has not deflated anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `input`, deflated, to `out`. `level` is the codec's own scale, brought into its
    /// range; `None` means the codec's default, as does any level for a codec without levels.
    ///
    /// Returns false, with `out` as it was, if the codec failed; none does on bytes in memory of
    /// less than 4 GiB.
    pub fn deflate(
        &mut self,
        codec: Compression,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let before = out.len();
        let done = match codec {
            Compression::None => {
                out.extend_from_slice(input);
                Some(())
            }
            Compression::Gzip => gzip::Writer::at_level(&mut self.gzip, level).deflate(input, out),
            Compression::Snappy => self.snappy.deflate(input, out),
            Compression::Lz4 => self.lz4.deflate(input, out),
            Compression::Zstd => {
                zstd::Writer::at_level(&mut self.zstd, level).deflate(input, out);
                Some(())
            }
        };
        if done.is_none() {
            out.truncate(before);
        }
        done.is_some()
    }
}

/// Inflates once, with working memory of its own; see [`Inflater::inflate`].
///
/// # Errors
///
/// Those of [`Inflater::inflate`].
pub fn inflate(codec: Compression, input: &Bytes, limit: usize) -> Result<Bytes, DecodeError> {
    Inflater::new().inflate(codec, input, limit)
}

/// Deflates once, with working memory of its own; `None` if the codec failed. See
/// [`Deflater::deflate`].
pub fn deflate(codec: Compression, level: Option<i32>, input: &[u8]) -> Option<Bytes> {
    let mut out = Vec::new();
    Deflater::new().deflate(codec, level, input, &mut out).then(|| out.into())
}

/// Where compressed bytes come from: what may be forgiven depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A batch of format 2.
    Batch,
    /// A message set of format 0 or 1, which Java's first lz4 code may have written.
    MessageSet,
}

/// Why inflating stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Corrupt,
    TooLarge,
}

impl Fault {
    fn into_error(self, codec: Compression, limit: usize) -> DecodeError {
        let what = match self {
            Self::Corrupt => DecodeErrorKind::CorruptCompression { codec: codec.name() },
            Self::TooLarge => DecodeErrorKind::InflatesTooLarge { limit },
        };
        DecodeError::new(0, what)
    }
}

/// Inflated bytes on their way, never more than the limit.
struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

impl Output {
    /// How many bytes may still come.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    fn extend(&mut self, more: &[u8]) -> Result<(), Fault> {
        if more.len() > self.room() {
            return Err(Fault::TooLarge);
        }
        self.reserve(more.len());
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Makes room for `more` bytes by doubling, but never for more than one byte over the limit.
    fn reserve(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            let wanted = more.max(self.bytes.capacity()).min(self.room() + 1);
            self.bytes.reserve_exact(wanted.max(more));
        }
    }

    /// The bytes, without a buffer much larger than they are: readers may hold on to them for long.
    fn finish(mut self) -> Bytes {
        if self.bytes.capacity() - self.bytes.len() > self.bytes.len() / 4 + SLACK {
            self.bytes.shrink_to_fit();
        }
        self.bytes.into()
    }
}

/// A scratch slice of `len` bytes. What stands in it is left from earlier use.
fn scratch_of(scratch: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    scratch.get_mut(..len).unwrap_or_default()
}

/// No batch inflates to more than this, whatever the caller allows: a batch's length has 31 bits.
const HARD_LIMIT: usize = 1 << 30;
/// Reserved at the start at most, as a multiple of the input.
const MAX_EXPECTED_GROWTH: usize = 8;
/// Scratch memory that stays between batches, in bytes.
const KEPT_SCRATCH: usize = 4 << 20;
/// Unused capacity that is not worth a copy, in bytes.
const SLACK: usize = 4096;

#[cfg(test)]
#[path = "../tests/compress.rs"]
mod tests;
