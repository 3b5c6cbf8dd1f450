//! Files in which lengths stand before what they count, highest byte first: keytabs, ticket caches, Java's key stores.
//! In: bytes of unknown origin; out: pieces of them, without a copy, or nothing where they end too early.

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BigEndian<'a>(pub(crate) &'a [u8]);

impl<'a> BigEndian<'a> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Bytes after their number in 16 bits.
    pub(crate) fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// Bytes after their number in 32 bits.
    pub(crate) fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_bytes_are_whole_or_not_there() {
        let mut bytes = BigEndian(&[0, 1, 7, 0, 0, 0, 2, 8, 9, 0, 3, 1]);
        assert_eq!((bytes.short(), bytes.long()), (Some(&[7][..]), Some(&[8, 9][..])));
        assert_eq!(bytes.short(), None);
        assert_eq!(BigEndian(&[255; 4]).long(), None);
        assert_eq!((BigEndian(&[1]).u16(), BigEndian(&[]).is_empty()), (None, true));
    }
}
