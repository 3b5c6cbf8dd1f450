//! The rules by which certificates and key stores are written (DER, ITU-T X.690). In: bytes of
//! unknown origin; out: pieces of them, without a copy. Only what those files need: no indefinite
//! lengths, no tags above 30.

use super::store::StoreError;

/// What is left to read at one level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The tag that comes next.
    pub(super) fn tag(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element whole, with tag and length, and its content.
    pub(super) fn element(&mut self) -> Result<(&'a [u8], &'a [u8]), StoreError> {
        let (head, length) = header(self.0).ok_or(BROKEN)?;
        let whole = self.0.get(..head + length).ok_or(BROKEN)?;
        self.0 = &self.0[whole.len()..];
        Ok((whole, &whole[head..]))
    }

    /// The content of the next element, which has to have this tag.
    pub(super) fn content(&mut self, tag: u8) -> Result<&'a [u8], StoreError> {
        if self.tag() == Some(tag) { Ok(self.element()?.1) } else { Err(BROKEN) }
    }

    /// As [`Der::content`], to be read further.
    pub(super) fn inner(&mut self, tag: u8) -> Result<Der<'a>, StoreError> {
        self.content(tag).map(Der)
    }

    /// The content of the next element if it has this tag; otherwise nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, StoreError> {
        if self.tag() == Some(tag) { self.content(tag).map(Some) } else { Ok(None) }
    }

    /// A number that is not negative and fits 32 bits.
    pub(super) fn number(&mut self) -> Result<u32, StoreError> {
        let bytes = self.content(INTEGER)?;
        let digits = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        let negative = bytes.first().is_none_or(|first| *first > 0x7f);
        if negative || digits.len() > 4 {
            return Err(BROKEN);
        }
        Ok(digits.iter().fold(0, |number, digit| number << 8 | u32::from(*digit)))
    }
}

/// The lengths of the next element's header and content.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let (tag, length) = (*bytes.first()?, *bytes.get(1)?);
    if tag & 0x1f == 0x1f {
        return None;
    }
    if length < 0x80 {
        return Some((2, length.into()));
    }
    let count = usize::from(length & 0x7f);
    let digits = bytes.get(2..2 + count).filter(|digits| (1..=4).contains(&digits.len()))?;
    let length = digits.iter().fold(0_u32, |length, digit| length << 8 | u32::from(*digit));
    Some((2 + count, usize::try_from(length).ok()?))
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, holding elements.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// `[0]`, holding bytes.
pub(super) const CONTEXT_0_BYTES: u8 = 0x80;

pub(super) const BROKEN: StoreError = StoreError::Malformed("an element is cut short or misplaced");
