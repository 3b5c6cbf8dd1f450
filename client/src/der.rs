//! The rules by which certificates, key stores and the messages of Kerberos are written (DER, ITU-T X.690). In: bytes of
//! unknown origin; out: pieces of them, without a copy. No indefinite lengths, no tags above 30: none of those has them.
//!
//! What only one of them needs is added where it is needed, in `tls` and `kerberos`.

/// What is left to read at one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Der<'a>(&'a [u8]);

/// An element is cut short, or is not the one that has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl<'a> Der<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The tag that comes next.
    pub(crate) fn tag(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element whole, with tag and length, and its content.
    pub(crate) fn element(&mut self) -> Result<(&'a [u8], &'a [u8]), Broken> {
        let (head, length) = header(self.0).ok_or(Broken)?;
        let end = head.checked_add(length).ok_or(Broken)?;
        let (whole, rest) = self.0.split_at_checked(end).ok_or(Broken)?;
        self.0 = rest;
        Ok((whole, &whole[head..]))
    }

    /// The content of the next element, which has to have this tag.
    pub(crate) fn content(&mut self, tag: u8) -> Result<&'a [u8], Broken> {
        if self.tag() == Some(tag) { Ok(self.element()?.1) } else { Err(Broken) }
    }

    /// As [`Der::content`], to be read further.
    pub(crate) fn inner(&mut self, tag: u8) -> Result<Self, Broken> {
        self.content(tag).map(Self)
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

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_lie_are_refused() {
        let long: &[u8] = &[0x30, 0x84, 255, 255, 255, 255, 0];
        let longer: &[u8] = &[0x30, 0x88, 255, 255, 255, 255, 255, 255, 255, 255];
        for bytes in [&[0x30][..], &[0x30, 2, 0], &[0x30, 0x80], &[0x1f, 0x81, 0], long, longer] {
            assert_eq!(Der::new(bytes).element(), Err(Broken), "{bytes:x?}");
        }
    }

    #[test]
    fn what_follows_an_element_is_left_to_read() {
        let mut der = Der::new(&[4, 2, 7, 8, 5, 0]);
        assert_eq!(der.content(INTEGER), Err(Broken));
        assert_eq!(der.content(OCTETS), Ok(&[7, 8][..]));
        assert_eq!((der.tag(), der.is_empty()), (Some(5), false));
    }
}
