//! Stretching a label to a block (`n-fold`, RFC 3961, 5.1). In: a few bytes; out: 16, each of which
//! depends on all of them.

use super::BLOCK;

/// Copies of the input, each turned right by 13 bits more, added up as numbers of 16 bytes whose
/// carries go around.
pub(super) fn fold(input: &[u8]) -> [u8; BLOCK] {
    let bits = input.len() * 8;
    let whole = least_common_multiple(input.len(), BLOCK);
    // The bit at this place of all the copies written one after another.
    let bit = |place: usize| {
        let (copy, within) = (place / bits, place % bits);
        let from = (within + bits - copy * 13 % bits) % bits;
        input[from / 8] >> (7 - from % 8) & 1
    };
    let byte = |index: usize| (0..8).fold(0_u8, |byte, of| byte << 1 | bit(index * 8 + of));
    let mut sums = [0_u32; BLOCK];
    for index in 0..whole {
        sums[index % BLOCK] += u32::from(byte(index));
    }
    let mut folded = [0; BLOCK];
    // Twice around is enough for the carry of the carry.
    let mut carry = 0;
    for place in (0..BLOCK).rev().cycle().take(BLOCK * 3) {
        let sum = std::mem::take(&mut sums[place]) + u32::from(folded[place]) + carry;
        folded[place] = sum.to_be_bytes()[3];
        carry = sum >> 8;
    }
    folded
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    (1..=b).map(|times| a * times).find(|multiple| multiple % b == 0).unwrap_or(a * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_s_vector_comes_out() {
        let folded = fold(b"kerberos");
        assert_eq!(
            folded,
            [
                0x6b, 0x65, 0x72, 0x62, 0x65, 0x72, 0x6f, 0x73, 0x7b, 0x9b, 0x5b, 0x2b, 0x93, 0x13,
                0x2b, 0x93
            ]
        );
    }
}
