//! Key and trust stores: any bytes in, certificates and a key out, or why not.
//!
//! Invariant: PEM, JKS or PKCS#12, nothing panics, at most [`PER_BYTE`] bytes of memory are taken for
//! each byte of the store, and no more rounds of key derivation than allowed. A key that was not
//! wanted is not read, and a store that opens with the passwords opens again alike.

use klamm_client::Secret;
use klamm_client::tls::store::{Budget, Passwords, Store, StoreError, read};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let (store, key) = (Secret::from("storepw"), Secret::from("keypass"));
    let none = Passwords::default();
    let trust = Passwords { store: Some(&store), ..none };
    let own = Passwords { store: Some(&store), key: Some(&key), wants_key: true };
    let same = Passwords { key: Some(&store), ..own };
    for passwords in [none, trust, own, same] {
        let first = open(input, passwords);
        let again = open(input, passwords);
        match (&first, &again) {
            (Ok(first), Ok(again)) => {
                assert!(first.key == again.key && first.chain == again.chain, "read otherwise");
                assert_eq!(first.certificates, again.certificates);
                assert!(passwords.wants_key || first.key.is_none(), "a key nobody wanted");
            }
            (Err(first), Err(again)) => assert_eq!(first, again),
            _ => panic!("read once and refused once"),
        }
    }
}

fn open(input: &[u8], passwords: Passwords<'_>) -> Result<Store, StoreError> {
    bounded(input.len(), PER_BYTE, || read(input, passwords, &mut Budget::rounds(ROUNDS)))
}

/// The worst is a store of small bags: each derives keys, and keeps what it says of itself.
pub const PER_BYTE: usize = 64;

/// Enough for Java's stores, which derive three keys with 10,000 rounds each.
const ROUNDS: u64 = 40_000;
