//! Damage for tests without a fuzzing engine: good bytes in, nearly good bytes out.
//!
//! The same generator state gives the same damage, so that a failure can be looked at again.

use fastrand::Rng;

/// Up to three random changes of the kinds that decoders fear: flipped bits, lengths at their
/// extremes, lost and doubled pieces, pieces of `other`.
pub fn damage(bytes: &[u8], other: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..random.usize(1..=3) {
        change(&mut damaged, other, random);
    }
    damaged
}

/// Every way to put an extreme length over a place in `bytes`: the first kind of lie that a hostile
/// peer would try.
pub fn lies(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = 0..bytes.len();
    places.flat_map(move |at| EXTREMES.iter().map(move |lie| overwrite(bytes, at, lie)))
}

/// A list where there was something else: a random place in `bytes` gets a count, and as many empty
/// elements follow as the count says. It is what makes a decoder of lists take the most memory for
/// a byte of input.
pub fn swell(bytes: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut swollen = bytes.to_vec();
    swollen.truncate(random.usize(0..=bytes.len()));
    swollen.extend_from_slice(if random.bool() { &COUNT } else { &COMPACT_COUNT });
    swollen.resize(swollen.len() + ELEMENTS, 0);
    swollen
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    let at = random.usize(0..=bytes.len());
    let some = random.usize(0..=16);
    match random.u8(0..6) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..(at + some).min(bytes.len()))),
        2 => {
            let piece = bytes[at..(at + some).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        3 => {
            let from = random.usize(0..=other.len());
            let piece = &other[from..(from + some).min(other.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        4 => *bytes = overwrite(bytes, at, EXTREMES[random.usize(0..EXTREMES.len())]),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.u8(0..8);
            }
        }
    }
}

fn overwrite(bytes: &[u8], at: usize, lie: &[u8]) -> Vec<u8> {
    let mut lying = bytes.to_vec();
    lying.truncate(at);
    lying.extend_from_slice(lie);
    lying.extend_from_slice(bytes.get(at + lie.len()..).unwrap_or_default());
    lying
}

/// Lengths as they travel: two and four bytes, and of variable length (KIP-482).
const EXTREMES: &[&[u8]] = &[
    &[0x00],
    &[0xff, 0xff],
    &[0x7f, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x00, 0x0f, 0x42, 0x40],
    &[0xc1, 0x84, 0x3d],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
];

const ELEMENTS: usize = 8192;

/// [`ELEMENTS`] in four bytes.
const COUNT: [u8; 4] = [0x00, 0x00, 0x20, 0x00];

/// [`ELEMENTS`] and one more as a number of variable length: a compact count is one too high.
const COMPACT_COUNT: [u8; 2] = [0x81, 0x40];
