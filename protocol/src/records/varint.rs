//! Zigzag varints over a plain slice, the innermost loop of a record walk (KIP-98's record format).
//!
//! In: the bytes and a position. Out: the value and the position behind it, or `None` if the bytes
//! end first or the varint is longer than its type allows. `wire` has a reader of its own; this one
//! works on positions in a slice, so that a record costs no cursor, no reference count and no error
//! value on the way.

/// Reads a zigzag varint of at most 32 bits: `(value, position behind it)`.
#[inline(always)]
pub(super) fn read_i32(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let first = u32::from(*bytes.get(at)?);
    if first < CONTINUES {
        return Some((unzigzag32(first), at + 1));
    }
    let second = u32::from(*bytes.get(at + 1)?);
    if second < CONTINUES {
        return Some((unzigzag32(first & LOW_BITS | second << 7), at + 2));
    }
    let (raw, behind) = read_long(bytes, at, MAX_LEN_32)?;
    Some((unzigzag32(u32::try_from(raw).ok()?), behind))
}

/// Reads a zigzag varint of at most 64 bits: `(value, position behind it)`.
#[inline(always)]
pub(super) fn read_i64(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let first = u32::from(*bytes.get(at)?);
    if first < CONTINUES {
        return Some((i64::from(unzigzag32(first)), at + 1));
    }
    let second = u32::from(*bytes.get(at + 1)?);
    if second < CONTINUES {
        return Some((i64::from(unzigzag32(first & LOW_BITS | second << 7)), at + 2));
    }
    let (raw, behind) = read_long(bytes, at, MAX_LEN_64)?;
    Some((unzigzag64(raw), behind))
}

/// Appends `value` as a zigzag varint.
pub(super) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_i64(out, i64::from(value));
}

/// Appends `value` as a zigzag varint; a 32-bit value and its 64-bit twin have the same bytes.
pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag64(value);
    while rest >= u64::from(CONTINUES) {
        out.push((rest as u8 & LOW_BITS as u8) | CONTINUES as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes `value` takes as a zigzag varint.
#[inline(always)]
pub(super) fn len_i64(value: i64) -> usize {
    let bits = u64::BITS - (zigzag64(value) | 1).leading_zeros();
    (bits as usize).div_ceil(7)
}

/// How many bytes `value` takes as a zigzag varint.
#[inline(always)]
pub(super) fn len_i32(value: i32) -> usize {
    len_i64(i64::from(value))
}

/// The zigzag form: small magnitudes of either sign become small unsigned numbers.
#[inline(always)]
pub(super) fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

/// Undoes the zigzag form of 64 bits.
#[inline(always)]
pub(super) fn unzigzag64(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// The general form, kept out of line: records seldom hold a varint of more than two bytes.
#[cold]
#[inline(never)]
fn read_long(bytes: &[u8], at: usize, max_len: usize) -> Option<(u64, usize)> {
    let mut raw = 0_u64;
    for (i, &byte) in bytes.get(at..)?.iter().take(max_len).enumerate() {
        let low = u64::from(byte) & u64::from(LOW_BITS);
        let shifted = low << (7 * i);
        // The last byte of ten has room for one bit only; more would be lost silently.
        if shifted >> (7 * i) != low {
            return None;
        }
        raw |= shifted;
        if u32::from(byte) < CONTINUES {
            return Some((raw, at + i + 1));
        }
    }
    None
}

/// The bit that says that another byte follows.
const CONTINUES: u32 = 0x80;
const LOW_BITS: u32 = 0x7f;
/// The longest varint of 32 bits, and of 64, in bytes.
const MAX_LEN_32: usize = 5;
const MAX_LEN_64: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        write_i64(&mut out, value);
        out
    }

    #[test]
    fn known_bytes_of_the_zigzag_form() {
        assert_eq!(written(0), [0]);
        assert_eq!(written(-1), [1]);
        assert_eq!(written(63), [0x7e]);
        assert_eq!(written(64), [0x80, 0x01]);
        assert_eq!(written(i64::from(i32::MIN)), [0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(written(i64::MIN).len(), 10);
    }

    #[test]
    fn every_length_reads_back_with_its_computed_size() {
        for shift in 0..64 {
            for value in [
                1_i64 << shift,
                (1_i64 << shift).wrapping_sub(1),
                -(1_i64.wrapping_shl(shift) >> 1),
            ] {
                let bytes = written(value);
                assert_eq!(read_i64(&bytes, 0), Some((value, bytes.len())), "{value}");
                assert_eq!(len_i64(value), bytes.len(), "{value}");
                let narrow = i32::try_from(value).ok().map(|v| (v, bytes.len()));
                assert_eq!(read_i32(&bytes, 0), narrow, "{value}");
            }
        }
    }

    #[test]
    fn cut_or_overlong_varints_are_refused() {
        for cut in 0..9 {
            assert_eq!(read_i64(&written(i64::MAX)[..cut], 0), None);
        }
        assert_eq!(read_i64(&[0xff; 11], 0), None);
        assert_eq!(
            read_i64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], 0),
            None
        );
        assert_eq!(read_i32(&[0xff, 0xff, 0xff, 0xff, 0x1f], 0), None);
        assert_eq!(read_i32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 0), None);
    }
}
