//! Variable-length integers: seven bits a byte, low bits first, the high bit says that more
//! follows. Signed ones are zigzagged first, as in Protocol Buffers. In comes a slice, out comes
//! the value and how many bytes it took.

use bytes::BufMut;

use crate::error::DecodeErrorKind;

/// Reads an unsigned integer of at most 32 bits, and says how many bytes it took.
///
/// # Errors
///
/// [`DecodeErrorKind::UnexpectedEnd`] if the slice ends inside it,
/// [`DecodeErrorKind::VarintOverflow`] if it does not end within five bytes or needs more than 32
/// bits.
#[inline]
pub fn decode_u32(from: &[u8]) -> Result<(u32, usize), DecodeErrorKind> {
    if let Some(&byte) = from.first()
        && byte < 0x80
    {
        return Ok((u32::from(byte), 1));
    }
    let (value, used) = decode(from, MAX_LEN_U32)?;
    match u32::try_from(value) {
        Ok(value) => Ok((value, used)),
        Err(_) => Err(DecodeErrorKind::VarintOverflow),
    }
}

/// Reads an unsigned integer of at most 64 bits, and says how many bytes it took.
///
/// # Errors
///
/// As [`decode_u32`], with ten bytes and 64 bits.
#[inline]
pub fn decode_u64(from: &[u8]) -> Result<(u64, usize), DecodeErrorKind> {
    if let Some(&byte) = from.first()
        && byte < 0x80
    {
        return Ok((u64::from(byte), 1));
    }
    decode(from, MAX_LEN_U64)
}

/// Reads a zigzagged integer of at most 32 bits. Errors as [`decode_u32`].
///
/// # Errors
///
/// As [`decode_u32`].
#[inline]
pub fn decode_i32(from: &[u8]) -> Result<(i32, usize), DecodeErrorKind> {
    let (value, used) = decode_u32(from)?;
    Ok((unzigzag_i32(value), used))
}

/// Reads a zigzagged integer of at most 64 bits.
///
/// # Errors
///
/// As [`decode_u64`].
#[inline]
pub fn decode_i64(from: &[u8]) -> Result<(i64, usize), DecodeErrorKind> {
    let (value, used) = decode_u64(from)?;
    Ok((unzigzag_i64(value), used))
}

/// Appends an unsigned integer.
#[inline]
pub fn put_u32(to: &mut impl BufMut, value: u32) {
    put_u64(to, u64::from(value));
}

/// Appends an unsigned integer.
#[inline]
pub fn put_u64(to: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

/// Appends an integer, zigzagged.
#[inline]
pub fn put_i32(to: &mut impl BufMut, value: i32) {
    put_u32(to, zigzag_i32(value));
}

/// Appends an integer, zigzagged.
#[inline]
pub fn put_i64(to: &mut impl BufMut, value: i64) {
    put_u64(to, zigzag_i64(value));
}

/// How many bytes an unsigned integer takes: 1 to 10.
#[inline]
pub const fn len_u64(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// How many bytes an integer takes when zigzagged: 1 to 5.
#[inline]
pub const fn len_i32(value: i32) -> usize {
    len_u64(zigzag_i32(value) as u64)
}

/// How many bytes an integer takes when zigzagged: 1 to 10.
#[inline]
pub const fn len_i64(value: i64) -> usize {
    len_u64(zigzag_i64(value))
}

/// Folds the sign into the lowest bit, so that small negative numbers stay short.
#[inline]
const fn zigzag_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

#[inline]
const fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
const fn unzigzag_i32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

#[inline]
const fn unzigzag_i64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn decode(from: &[u8], max_len: usize) -> Result<(u64, usize), DecodeErrorKind> {
    let mut value = 0u64;
    for (index, &byte) in from.iter().take(max_len).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index as u32;
        // Only the tenth byte can overflow 64 bits: one bit is left for it.
        if shift == 63 && bits > 1 {
            return Err(DecodeErrorKind::VarintOverflow);
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    if from.len() < max_len {
        return Err(DecodeErrorKind::UnexpectedEnd { wanted: from.len() + 1, left: from.len() });
    }
    Err(DecodeErrorKind::VarintOverflow)
}

const MAX_LEN_U32: usize = 5;
const MAX_LEN_U64: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_values_fit() {
        assert_eq!(decode_u32(b"\xff\xff\xff\xff\x0f"), Ok((u32::MAX, 5)));
        assert_eq!(decode_u64(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Ok((u64::MAX, 10)));
        assert_eq!(decode_i32(b"\xff\xff\xff\xff\x0f"), Ok((i32::MIN, 5)));
        assert_eq!(decode_i64(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Ok((i64::MIN, 10)));
    }

    #[test]
    fn bits_that_do_not_fit_are_refused_not_dropped() {
        assert_eq!(decode_u32(b"\xff\xff\xff\xff\x1f"), Err(DecodeErrorKind::VarintOverflow));
        let eleventh_bit = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
        assert_eq!(decode_u64(eleventh_bit), Err(DecodeErrorKind::VarintOverflow));
    }

    #[test]
    fn one_that_never_ends_is_refused_at_its_limit() {
        assert_eq!(decode_u32(&[0x80; 40]), Err(DecodeErrorKind::VarintOverflow));
        assert_eq!(decode_u64(&[0x80; 40]), Err(DecodeErrorKind::VarintOverflow));
        let end = DecodeErrorKind::UnexpectedEnd { wanted: 4, left: 3 };
        assert_eq!(decode_u32(&[0x80; 3]), Err(end));
        assert!(decode_u64(b"").is_err());
    }

    #[test]
    fn padding_within_the_limit_is_read() {
        // Nobody writes it so, but Kafka reads it.
        assert_eq!(decode_u32(b"\x81\x80\x00"), Ok((1, 3)));
    }

    #[test]
    fn small_negative_numbers_are_short() {
        let mut bytes = Vec::new();
        put_i32(&mut bytes, -1);
        put_i64(&mut bytes, -64);
        assert_eq!(bytes, [1, 127]);
        assert_eq!((len_i32(-1), len_i64(-64), len_i64(64)), (1, 1, 2));
    }
}
