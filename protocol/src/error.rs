//! What can go wrong between bytes and messages. No I/O and no broker codes here: a [`DecodeError`]
//! blames the bytes that came in, an [`EncodeError`] blames the caller who asked for something the
//! version cannot carry. Both are closed, small and comparable, so that a test can say exactly
//! which refusal it expects.

use std::error::Error;
use std::fmt;

/// Why bytes could not be read, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Byte position of the value that could not be read, from the start of the frame (or of the
    /// stream, for framing).
    pub at: usize,
    /// What is wrong there.
    pub what: DecodeErrorKind,
    /// The innermost field being read, as `Struct.field`, where one is known.
    pub field: Option<&'static str>,
}

impl DecodeError {
    /// An error at byte `at`, with no field known yet.
    pub const fn new(at: usize, what: DecodeErrorKind) -> Self {
        Self { at, what, field: None }
    }

    /// Adds the field being read. The innermost name is set first and stays.
    #[must_use]
    pub fn in_field(mut self, field: &'static str) -> Self {
        self.field = self.field.or(Some(field));
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)?;
        match self.field {
            Some(field) => write!(f, " ({field})"),
            None => Ok(()),
        }
    }
}

impl Error for DecodeError {}

/// What is wrong with the bytes. Every variant is a refusal: nothing is guessed and nothing is
/// repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A record batch is not what its writer summed up: damaged on the way, or on a disk.
    ChecksumMismatch {
        /// The checksum that the batch carries.
        written: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// Compressed records that their codec cannot read.
    CorruptCompression {
        /// The codec's name.
        codec: &'static str,
    },
    /// An array claims more elements than the bytes that are left could hold.
    CountBeyondInput {
        /// Elements claimed.
        count: usize,
        /// The fewest bytes that one element takes.
        smallest: usize,
        /// Bytes left.
        left: usize,
    },
    /// A frame is larger than this side accepts. Often not Kafka at all: TLS or HTTP bytes read as
    /// a length.
    FrameTooLarge {
        /// Bytes claimed.
        length: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// Compressed records inflate to more than the caller accepts.
    InflatesTooLarge {
        /// The most that is accepted, in bytes.
        limit: usize,
    },
    /// A string is not UTF-8.
    InvalidUtf8,
    /// Bytes are left after the last field: the peer's idea of this version differs from ours.
    LeftOver {
        /// How many.
        left: usize,
    },
    /// A length below zero where it does not mean null.
    NegativeLength {
        /// The length.
        length: i32,
    },
    /// A record's offset lies outside its batch, or a batch's outside the offsets there can be.
    OffsetOutOfRange,
    /// A string is longer than Kafka's limit of 32,767 bytes.
    StringTooLong {
        /// Bytes claimed.
        length: usize,
    },
    /// A tagged field did not fill the size that was announced for it.
    TaggedFieldSize {
        /// Its tag.
        tag: u32,
        /// Bytes announced.
        announced: usize,
        /// Bytes that its value took.
        used: usize,
    },
    /// Tags must rise (KIP-482); this one repeats or goes back.
    TagOutOfOrder {
        /// The tag.
        tag: u32,
    },
    /// An array is over the cap of elements.
    TooManyElements {
        /// Elements claimed.
        count: usize,
        /// The cap.
        limit: usize,
    },
    /// A struct has more tagged fields than anybody would send.
    TooManyTaggedFields {
        /// Fields claimed.
        count: usize,
        /// The cap.
        limit: usize,
    },
    /// The bytes end inside a value.
    UnexpectedEnd {
        /// Bytes that the value needs.
        wanted: usize,
        /// Bytes left.
        left: usize,
    },
    /// A timestamp leaves the range of 64 bits.
    TimestampOutOfRange,
    /// Null where this version allows none.
    UnexpectedNull,
    /// A record batch is compressed in a way that this side does not know.
    UnknownCompression {
        /// The codec's number.
        codec: u8,
    },
    /// A record batch of a format that this side does not know.
    UnknownMagic {
        /// The format's number.
        magic: i8,
    },
    /// This message has no such version.
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
    },
    /// A variable-length integer goes on too long or does not fit its type.
    VarintOverflow,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ChecksumMismatch { written, computed } => write!(
                f,
                "record batch is damaged: its checksum is {computed:08x}, not {written:08x}"
            ),
            Self::CorruptCompression { codec } => {
                write!(f, "records compressed with {codec} are corrupt")
            }
            Self::CountBeyondInput { count, smallest, left } => write!(
                f,
                "{count} elements of {smallest} bytes or more cannot fit into {left} bytes"
            ),
            Self::FrameTooLarge { length, limit } => {
                write!(
                    f,
                    "frame of {length} bytes is over the limit of {limit}; is this a Kafka port?"
                )
            }
            Self::InflatesTooLarge { limit } => {
                write!(f, "records inflate to more than the limit of {limit} bytes")
            }
            Self::InvalidUtf8 => f.write_str("string is not UTF-8"),
            Self::LeftOver { left } => write!(f, "{left} bytes left after the last field"),
            Self::NegativeLength { length } => write!(f, "negative length {length}"),
            Self::OffsetOutOfRange => f.write_str("offset outside its batch or below zero"),
            Self::StringTooLong { length } => {
                write!(f, "string of {length} bytes is over Kafka's limit of 32767")
            }
            Self::TaggedFieldSize { tag, announced, used } => {
                write!(f, "tagged field {tag} took {used} of the {announced} bytes announced")
            }
            Self::TagOutOfOrder { tag } => write!(f, "tag {tag} repeats or is out of order"),
            Self::TooManyElements { count, limit } => {
                write!(f, "array of {count} elements is over the limit of {limit}")
            }
            Self::TooManyTaggedFields { count, limit } => {
                write!(f, "{count} tagged fields are over the limit of {limit}")
            }
            Self::UnexpectedEnd { wanted, left } => {
                write!(f, "value of {wanted} bytes, but {left} bytes left")
            }
            Self::TimestampOutOfRange => f.write_str("timestamp does not fit 64 bits"),
            Self::UnexpectedNull => f.write_str("null where this version allows none"),
            Self::UnknownCompression { codec } => {
                write!(f, "no compression has the number {codec}")
            }
            Self::UnknownMagic { magic } => {
                write!(f, "no record batch format has the number {magic}")
            }
            Self::UnsupportedVersion { version } => write!(f, "no such version {version}"),
            Self::VarintOverflow => f.write_str("variable-length integer does not fit its type"),
        }
    }
}

/// Why a message could not be written. Always the fault of this side: of its caller, or of a
/// version chosen too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// What is wrong.
    pub what: EncodeErrorKind,
    /// The innermost field being written, as `Struct.field`, or the struct where the whole of it is
    /// wrong.
    pub field: Option<&'static str>,
}

impl EncodeError {
    /// An error with no field known yet.
    pub const fn new(what: EncodeErrorKind) -> Self {
        Self { what, field: None }
    }

    /// Adds the field being written. The innermost name is set first and stays.
    #[must_use]
    pub fn in_field(mut self, field: &'static str) -> Self {
        self.field = self.field.or(Some(field));
        self
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field.unwrap_or("message"), self.what)
    }
}

impl Error for EncodeError {}

/// What is wrong with a message that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// The field holds something, and the version that the broker speaks has no such field.
    NotInVersion {
        /// The version.
        version: i16,
    },
    /// The field is null, which this version cannot say.
    NullInVersion {
        /// The version.
        version: i16,
    },
    /// A string, byte field, array or frame is longer than its length prefix can say.
    TooLong {
        /// Its length.
        length: usize,
        /// The most that fits.
        limit: usize,
    },
    /// This message has no such version.
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
    },
}

impl fmt::Display for EncodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotInVersion { version } => {
                write!(f, "is set, but version {version} of the API has no such field")
            }
            Self::NullInVersion { version } => {
                write!(f, "is null, which version {version} of the API cannot say")
            }
            Self::TooLong { length, limit } => {
                write!(f, "length {length} is over the limit of {limit}")
            }
            Self::UnsupportedVersion { version } => write!(f, "has no version {version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decode_error_says_what_where_and_in_which_field() {
        let error = DecodeError::new(17, DecodeErrorKind::UnexpectedEnd { wanted: 8, left: 3 });
        assert_eq!(error.to_string(), "value of 8 bytes, but 3 bytes left at byte 17");
        let error = error.in_field("Partition.leader").in_field("Topic.partitions");
        let text = "value of 8 bytes, but 3 bytes left at byte 17 (Partition.leader)";
        assert_eq!(error.to_string(), text, "the innermost field stays");
    }

    #[test]
    fn an_encode_error_names_the_field_and_the_version() {
        let error = EncodeError::new(EncodeErrorKind::NotInVersion { version: 3 });
        let text = "Topic.id: is set, but version 3 of the API has no such field";
        assert_eq!(error.in_field("Topic.id").in_field("Request.topics").to_string(), text);
    }

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<DecodeError>() <= 56);
        assert!(size_of::<EncodeError>() <= 40);
    }
}
