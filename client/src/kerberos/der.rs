//! What Kerberos needs of DER beside [`Der`] itself: fields with explicit tags, its kinds of values, and the other way,
//! from pieces to bytes.

use std::time::SystemTime;

use super::error::KerberosError;
use super::time;
use crate::der::{Broken, INTEGER};

pub(super) use crate::der::{Der, OCTETS, OID, SEQUENCE};

impl<'a> Der<'a> {
    /// The field `[number]`, past those that come before it.
    pub(super) fn field(&mut self, number: u8) -> Result<Self, KerberosError> {
        self.maybe(number)?.ok_or(BROKEN)
    }

    /// As [`Der::field`], for one that may be missing.
    pub(super) fn maybe(&mut self, number: u8) -> Result<Option<Self>, KerberosError> {
        while self.tag().is_some_and(|tag| (CONTEXT..CONTEXT | number).contains(&tag)) {
            self.element()?;
        }
        if self.tag() == Some(CONTEXT | number) {
            Ok(Some(self.inner(CONTEXT | number)?))
        } else {
            Ok(None)
        }
    }

    /// A number of at most 32 bits. Some write those without a sign as if they had one.
    pub(super) fn int(&mut self) -> Result<i32, KerberosError> {
        let bytes = self.content(INTEGER)?;
        let bytes = if bytes.len() == 5 { bytes.strip_prefix(&[0]).ok_or(BROKEN)? } else { bytes };
        let first = *bytes.first().ok_or(BROKEN)?;
        if bytes.len() > 4 {
            return Err(BROKEN);
        }
        let start = if first > 0x7f { -1 } else { 0 };
        Ok(bytes.iter().fold(start, |number, digit| number << 8 | i32::from(*digit)))
    }

    pub(super) fn octets(&mut self) -> Result<&'a [u8], KerberosError> {
        Ok(self.content(OCTETS)?)
    }

    pub(super) fn string(&mut self) -> Result<String, KerberosError> {
        Ok(String::from_utf8_lossy(self.content(STRING)?).into_owned())
    }

    pub(super) fn time(&mut self) -> Result<SystemTime, KerberosError> {
        time::parse(self.content(TIME)?).ok_or(BROKEN)
    }
}

impl From<Broken> for KerberosError {
    fn from(_: Broken) -> Self {
        BROKEN
    }
}

/// One element.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|digit| **digit == 0).count()..];
    match content.len() {
        0..0x80 => bytes.push(digits.first().copied().unwrap_or(0)),
        _ => {
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            bytes.extend_from_slice(digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// The field `[number]`.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    element(CONTEXT | number, content)
}

/// Elements one after another, within one.
pub(super) fn all(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

pub(super) fn int(number: i32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let spare = |pair: &&[u8]| matches!(pair, [0, 0..=0x7f] | [0xff, 0x80..=0xff]);
    let spared = bytes.windows(2).take_while(spare).count();
    element(INTEGER, &bytes[spared..])
}

/// A number without a sign.
pub(super) fn unsigned(number: u32) -> Vec<u8> {
    match i32::try_from(number) {
        Ok(number) => int(number),
        Err(_) => element(INTEGER, &[&[0], &number.to_be_bytes()[..]].concat()),
    }
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTETS, bytes)
}

pub(super) fn string(text: &str) -> Vec<u8> {
    element(STRING, text.as_bytes())
}

pub(super) fn time(at: SystemTime) -> Vec<u8> {
    element(TIME, time::show(at).as_bytes())
}

/// 32 flags.
pub(super) fn flags(flags: u32) -> Vec<u8> {
    element(BITS, &[&[0], &flags.to_be_bytes()[..]].concat())
}

const BITS: u8 = 0x03;
const STRING: u8 = 0x1b;
const TIME: u8 = 0x18;
const CONTEXT: u8 = 0xa0;
pub(super) const BROKEN: KerberosError =
    KerberosError::Malformed("an element is cut short or misplaced, so it");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_read_as_they_are_written() {
        for number in [0, 1, 127, 128, 255, 256, -1, -128, -129, i32::MAX, i32::MIN] {
            assert_eq!(Der::new(&int(number)).int(), Ok(number));
        }
        assert_eq!(unsigned(u32::MAX), [2, 5, 0, 255, 255, 255, 255]);
        assert_eq!(Der::new(&unsigned(u32::MAX)).int(), Ok(-1));
        for length in [0, 1, 127, 128, 255, 256, 65_536] {
            let bytes = octets(&vec![7; length]);
            assert_eq!(Der::new(&bytes).octets().map(<[u8]>::len), Ok(length));
        }
    }

    #[test]
    fn fields_that_nobody_asks_for_are_passed_over() {
        let bytes = [field(0, &int(5)), field(2, &int(7)), field(3, &int(8))].concat();
        let mut der = Der::new(&bytes);
        assert!(der.maybe(1).expect("it can be read").is_none());
        assert_eq!(der.field(3).and_then(|mut it| it.int()), Ok(8));
        assert!(der.field(4).is_err());
    }
}
