//! Java's own old key stores. In: a file, its password and the key's; out: its trusted certificates,
//! its first key with its chain.
//!
//! ```text
//!  magic, version, count, entries, seal
//!  entry: 1, alias, time, encrypted key, count of certificates, certificates
//!         2, alias, time, certificate
//! ```
//!
//! Numbers are big-endian; texts and blobs come after their lengths. The seal is a SHA-1 over the
//! password, a constant of Sun's and all before it; keys are covered by a keystream of SHA-1 of
//! password and salt. Neither is strong: keytool itself advises to move to PKCS#12.

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::big_endian::BigEndian;
use crate::secret::Secret;

use super::der::{Der, OCTETS, OID, SEQUENCE};
use super::pbe::Plain;
use super::store::{Passwords, Store, StoreError};

/// Reads a store.
pub(super) fn read(bytes: &[u8], passwords: Passwords<'_>) -> Result<Store, StoreError> {
    let (content, seal) = bytes.split_last_chunk::<DIGEST>().ok_or(CUT)?;
    if let Some(password) = passwords.store {
        check_seal(content, seal, password)?;
    }
    let mut rest = BigEndian(content);
    rest.u32().ok_or(CUT)?;
    let version = rest.u32().ok_or(CUT)?;
    if !(1..=2).contains(&version) {
        return Err(StoreError::Unsupported("a JKS store of an unknown version"));
    }
    let mut store = Store::default();
    for _ in 0..rest.u32().ok_or(CUT)? {
        let kind = rest.u32().ok_or(CUT)?;
        rest.short().ok_or(CUT)?;
        rest.take(8).ok_or(CUT)?;
        match kind {
            KEY => key_entry(&mut rest, version, passwords, &mut store)?,
            CERTIFICATE => store.certificates.push(certificate(&mut rest, version)?),
            _ => return Err(StoreError::Malformed("an entry is of no known kind")),
        }
    }
    Ok(store)
}

/// A key and its chain. Who looks for trust trusts the key's own certificate, as Java does.
fn key_entry(
    rest: &mut BigEndian<'_>,
    version: u32,
    passwords: Passwords<'_>,
    store: &mut Store,
) -> Result<(), StoreError> {
    let covered = rest.long().ok_or(CUT)?;
    let mut chain = Vec::new();
    for _ in 0..rest.u32().ok_or(CUT)? {
        chain.push(certificate(rest, version)?);
    }
    if !passwords.wants_key {
        store.certificates.extend(chain.into_iter().next());
    } else if store.key.is_none() {
        let password = passwords.key.ok_or(StoreError::PasswordMissing("of the key"))?;
        let plain = uncover(covered, password)?;
        store.key = Some(PrivatePkcs8KeyDer::from(plain.to_vec()).into());
        store.chain = chain;
    }
    Ok(())
}

fn certificate(
    rest: &mut BigEndian<'_>,
    version: u32,
) -> Result<CertificateDer<'static>, StoreError> {
    if version == 2 && rest.short().ok_or(CUT)? != b"X.509" {
        return Err(StoreError::Unsupported("a certificate that is not X.509"));
    }
    Ok(CertificateDer::from(rest.long().ok_or(CUT)?.to_vec()))
}

fn check_seal(content: &[u8], seal: &[u8; DIGEST], password: &Secret) -> Result<(), StoreError> {
    let seal_of_it = Sha1::new()
        .chain_update(&*utf16(password))
        .chain_update(b"Mighty Aphrodite")
        .chain_update(content)
        .finalize();
    if seal_of_it.as_slice() == seal {
        Ok(())
    } else {
        Err(StoreError::PasswordWrong("of the store"))
    }
}

/// Takes the keystream off: each of its blocks is the hash of the password and the block before.
fn uncover(bytes: &[u8], password: &Secret) -> Result<Plain, StoreError> {
    let mut info = Der::new(bytes).inner(SEQUENCE)?;
    if info.inner(SEQUENCE)?.content(OID)? != SUN_KEY_PROTECTOR {
        return Err(StoreError::Unsupported("a key that is encrypted in an unknown way"));
    }
    let covered = info.content(OCTETS)?;
    let (salt, covered) = covered.split_first_chunk::<DIGEST>().ok_or(CUT)?;
    let (covered, seal) = covered.split_last_chunk::<DIGEST>().ok_or(CUT)?;
    let password = utf16(password);
    let mut plain = Zeroizing::new(covered.to_vec());
    let mut stream = *salt;
    for block in plain.chunks_mut(DIGEST) {
        stream = Sha1::new().chain_update(&*password).chain_update(stream).finalize().into();
        block.iter_mut().zip(stream).for_each(|(byte, cover)| *byte ^= cover);
    }
    let sealed = Sha1::new().chain_update(&*password).chain_update(&*plain).finalize();
    if sealed.as_slice() == seal { Ok(plain) } else { Err(StoreError::PasswordWrong("of the key")) }
}

/// As Java's characters are in memory.
fn utf16(password: &Secret) -> Plain {
    Zeroizing::new(password.reveal().encode_utf16().flat_map(u16::to_be_bytes).collect())
}

const KEY: u32 = 1;
const CERTIFICATE: u32 = 2;
const DIGEST: usize = 20;
const CUT: StoreError = StoreError::Malformed("it ends too early");

/// 1.3.6.1.4.1.42.2.17.1.1
const SUN_KEY_PROTECTOR: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];
