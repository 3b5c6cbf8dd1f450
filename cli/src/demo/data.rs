//! The demo's records: a number in, its key and value out. Whoever reads a record can tell which one it is and
//! whether a single byte of it is wrong.

/// The length of every value, in bytes.
pub(super) const VALUE_BYTES: usize = 100;

/// How many different keys there are; records of one key stay in order.
pub(super) const KEYS: u64 = 1_000;

/// The key of record `number`.
pub(super) fn key(number: u64) -> String {
    format!("key-{:03}", number % KEYS)
}

/// Writes the value of record `number` over `value`.
pub(super) fn value(number: u64, value: &mut Vec<u8>) {
    value.clear();
    value.extend_from_slice(format!("{number:012} ").as_bytes());
    // A pattern that differs from record to record, so that bytes of a neighbour are noticed.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while value.len() < VALUE_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.push(b'a' + (state % 26) as u8);
    }
}

/// Which record a value claims to be.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.get(..12)?).ok()?.parse().ok()
}
