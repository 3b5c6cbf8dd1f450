//! Kafka's 16-byte ids (topics, directories, members). In text they are URL-safe base64 without
//! padding, 22 characters, as the command-line tools print them, not the hyphenated form.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A 16-byte id.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All zeros: "no id", for instance from a broker older than topic ids.
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this means "no id".
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The bytes, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; TEXT_LEN];
        // 22 characters are 132 bits: the last one carries only two of ours, in its high bits.
        for (index, slot) in text.iter_mut().enumerate().rev() {
            let (digit, width) =
                if index == TEXT_LEN - 1 { ((bits & 3) << 4, 2) } else { (bits & 63, 6) };
            *slot = ALPHABET.get(digit as usize).copied().unwrap_or_default();
            bits >>= width;
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != TEXT_LEN {
            return Err(ParseUuidError::Length { length: text.len() });
        }
        let mut bits = 0u128;
        for (index, byte) in text.bytes().enumerate() {
            let digit = digit(byte).ok_or(ParseUuidError::Character { at: index })?;
            if index < TEXT_LEN - 1 {
                bits = bits << 6 | digit;
            } else if digit & 15 == 0 {
                bits = bits << 2 | digit >> 4;
            } else {
                return Err(ParseUuidError::Character { at: index });
            }
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseUuidError {
    /// A character that is not of the URL-safe base64 alphabet, or a last one with stray bits.
    Character {
        /// Where.
        at: usize,
    },
    /// Not 22 characters long.
    Length {
        /// How long, in bytes.
        length: usize,
    },
}

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { at } => write!(f, "character {at} does not belong into a base64 id"),
            Self::Length { length } => write!(f, "an id has {TEXT_LEN} characters, not {length}"),
        }
    }
}

impl Error for ParseUuidError {}

fn digit(byte: u8) -> Option<u128> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u128::from(digit))
}

/// RFC 4648, section 5.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const TEXT_LEN: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_kafkas_tools() {
        // As org.apache.kafka.common.Uuid prints them.
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid(1u128.to_be_bytes()).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = Uuid(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210u128.to_be_bytes());
        assert_eq!(id.to_string(), "ASNFZ4mrze_-3LqYdlQyEA");
        assert_eq!(format!("{id:?}"), "Uuid(ASNFZ4mrze_-3LqYdlQyEA)");
    }

    #[test]
    fn texts_come_back() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            let id = Uuid(u128::to_be_bytes(bits));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert!(Uuid::ZERO.is_zero());
        assert!(!Uuid([1; 16]).is_zero());
    }

    #[test]
    fn other_texts_are_refused() {
        let parse = |text: &str| text.parse::<Uuid>().unwrap_err();
        assert_eq!(parse("AA"), ParseUuidError::Length { length: 2 });
        assert_eq!(parse("AAAAAAAAAAAAAAAAAAAA+A"), ParseUuidError::Character { at: 20 });
        assert_eq!(parse("AAAAAAAAAAAAAAAAAAAAAB"), ParseUuidError::Character { at: 21 });
    }
}
