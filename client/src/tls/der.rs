//! What certificates and key stores need of DER beside [`Der`] itself: parts that may be missing, and numbers.

use super::store::StoreError;
use crate::der::Broken;

pub(super) use crate::der::{Der, INTEGER, OCTETS, OID, SEQUENCE};

impl<'a> Der<'a> {
    /// The content of the next element if it has this tag; otherwise nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, StoreError> {
        if self.tag() == Some(tag) { Ok(Some(self.content(tag)?)) } else { Ok(None) }
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

impl From<Broken> for StoreError {
    fn from(_: Broken) -> Self {
        BROKEN
    }
}

pub(super) const SET: u8 = 0x31;
/// `[0]`, holding elements.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// `[0]`, holding bytes.
pub(super) const CONTEXT_0_BYTES: u8 = 0x80;

pub(super) const BROKEN: StoreError = StoreError::Malformed("an element is cut short or misplaced");
