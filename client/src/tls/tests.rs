//! What stores promise. They were made by OpenSSL and Java's keytool (`tests/stores/make.sh`), and
//! all hold the same certificates and key.

use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;

use super::store::{Budget, Passwords, Store, StoreError, read};
use crate::secret::Secret;

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
    fs::read(folder.join(name)).expect(name)
}

fn open(name: &str, store: Option<&str>, key: Option<&str>) -> Result<Store, StoreError> {
    let (store, key) = (store.map(Secret::from), key.map(Secret::from));
    let passwords = Passwords { store: store.as_ref(), key: key.as_ref(), wants_key: true };
    read(&file(name), passwords, &mut Budget::default())
}

fn trusted(name: &str, store: Option<&str>) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let store = store.map(Secret::from);
    let passwords = Passwords { store: store.as_ref(), ..Passwords::default() };
    read(&file(name), passwords, &mut Budget::default()).map(|store| store.certificates)
}

#[test]
fn every_store_of_openssl_and_java_gives_the_same_key_and_chain() {
    let plain = open("plain.pem", None, None).expect("nothing is encrypted");
    let key = plain.key.expect("there is one");
    assert_eq!(plain.chain.len(), 2);
    for (name, password) in KEY_STORES {
        let store = (!name.ends_with(".pem")).then_some("storepw");
        let read = open(name, store, Some(password)).expect(name);
        assert_eq!(read.key.as_ref(), Some(&key), "{name}");
        assert_eq!(read.chain, plain.chain, "{name}");
        let error = open(name, store, Some("wrong one")).expect_err(name);
        assert_eq!(error, StoreError::PasswordWrong("of the key"), "{name}");
        let error = open(name, store, None).expect_err(name);
        assert_eq!(error, StoreError::PasswordMissing("of the key"), "{name}");
    }
}

#[test]
fn every_trust_store_of_openssl_and_java_gives_the_same_authority() {
    let authority = trusted("ca.pem", None).expect("nothing is encrypted");
    assert_eq!(authority.len(), 1);
    for name in TRUST_STORES {
        assert_eq!(trusted(name, Some("storepw")).expect(name), authority, "{name}");
        let error = trusted(name, Some("wrong")).expect_err(name);
        assert_eq!(error, StoreError::PasswordWrong("of the store"), "{name}");
    }
    assert_eq!(trusted("java-trust.jks", None).expect("JKS is not encrypted"), authority);
    let error = trusted("java-trust.p12", None).expect_err("PKCS#12 is");
    assert_eq!(error, StoreError::PasswordMissing("of the store"));
}

#[test]
fn a_key_store_used_as_a_trust_store_trusts_the_keys_own_certificate_alone() {
    let own = open("plain.pem", None, None).expect("nothing is encrypted").chain.remove(0);
    for name in ["java.p12", "java.jks", "openssl.p12"] {
        let trusted = trusted(name, Some("storepw")).expect(name);
        assert_eq!(trusted, std::slice::from_ref(&own), "{name}");
    }
}

#[test]
fn a_store_on_one_long_line_is_read_as_one_on_many() {
    let text = String::from_utf8(file("plain.pem")).expect("text").replace('\n', " ");
    let passwords = Passwords { wants_key: true, ..Passwords::default() };
    let read = read(text.as_bytes(), passwords, &mut Budget::default()).expect("the same");
    assert_eq!(read.chain.len(), 2);
}

#[test]
fn a_store_may_not_make_more_work_than_it_is_allowed() {
    let password = Secret::from("storepw");
    let passwords = Passwords { store: Some(&password), ..Passwords::default() };
    let error = read(&file("java.p12"), passwords, &mut Budget::rounds(100)).expect_err("it does");
    assert_eq!(error, StoreError::TooCostly);
}

#[test]
fn what_is_cut_short_or_no_store_at_all_is_refused() {
    for name in KEY_STORES.iter().map(|(name, _)| name).chain(TRUST_STORES) {
        let whole = file(name);
        // The certificates of a text may be enough.
        for length in (0..whole.len()).step_by(7).filter(|_| !name.ends_with(".pem")) {
            let passwords = Passwords { wants_key: true, ..Passwords::default() };
            assert!(read(&whole[..length], passwords, &mut Budget::default()).is_err(), "{name}");
        }
    }
    let error = read(b"\xce\xce\xce\xce", Passwords::default(), &mut Budget::default());
    assert!(error.expect_err("not read").to_string().contains("keytool -importkeystore"));
}

/// Name and password of the key.
const KEY_STORES: &[(&str, &str)] = &[
    ("encrypted-1.pem", "keypass"),
    ("encrypted-2.pem", "keypass"),
    ("encrypted-3.pem", "keypass"),
    ("encrypted-4.pem", "keypass"),
    ("encrypted-5.pem", "keypass"),
    ("java.jks", "keypass"),
    ("java.p12", "storepw"),
    ("java-legacy.p12", "storepw"),
    ("openssl.p12", "storepw"),
    ("openssl-legacy.p12", "storepw"),
];

const TRUST_STORES: &[&str] = &["java-trust.jks", "java-trust.p12", "openssl-trust.p12"];
