//! Certificates and keys as text (RFC 7468). In: text, on one line or many; out: labels and bytes.
//!
//! Whatever stands outside of the marks is skipped, as files have explanations there. White space
//! inside may be any, since values in property files are often one long line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use zeroize::Zeroizing;

use super::pbe::{self, Plain};
use super::store::{Budget, Passwords, Store, StoreError};

/// Reads all certificates, in their order, and the first key.
pub(super) fn read(
    text: &str,
    passwords: Passwords<'_>,
    budget: &mut Budget,
) -> Result<Store, StoreError> {
    let mut store = Store::default();
    for (label, bytes) in sections(text)? {
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                store.certificates.push(CertificateDer::from(bytes.to_vec()));
            }
            _ if label.ends_with("PRIVATE KEY") && passwords.wants_key && store.key.is_none() => {
                store.key = Some(key(label, &bytes, passwords, budget)?);
            }
            _ => {}
        }
    }
    if passwords.wants_key {
        store.chain = std::mem::take(&mut store.certificates);
    }
    Ok(store)
}

fn key(
    label: &str,
    bytes: &Plain,
    passwords: Passwords<'_>,
    budget: &mut Budget,
) -> Result<PrivateKeyDer<'static>, StoreError> {
    match label {
        "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(bytes.to_vec()).into()),
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(bytes.to_vec()).into()),
        "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(bytes.to_vec()).into()),
        "ENCRYPTED PRIVATE KEY" => {
            let password = passwords.key.ok_or(StoreError::PasswordMissing("of the key"))?;
            let plain = pbe::decrypt_info(bytes, password, budget)?;
            Ok(PrivatePkcs8KeyDer::from(plain.to_vec()).into())
        }
        _ => Err(StoreError::Unsupported("a key of an unusual kind; use PKCS#8")),
    }
}

/// The marked parts: label and bytes.
fn sections(text: &str) -> Result<Vec<(&str, Plain)>, StoreError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once(DASHES).ok_or(CUT)?;
        let (body, after) = after.split_once(END).ok_or(CUT)?;
        let after = after.strip_prefix(label).and_then(|rest| rest.strip_prefix(DASHES));
        rest = after.ok_or(CUT)?;
        found.push((label.trim(), bytes(body)?));
    }
    Ok(found)
}

fn bytes(body: &str) -> Result<Plain, StoreError> {
    if body.contains("Proc-Type:") {
        return Err(StoreError::Unsupported(
            "a key encrypted in OpenSSL's old way; convert it with openssl pkcs8 -topk8",
        ));
    }
    let letters = body.bytes().filter(|letter| !letter.is_ascii_whitespace());
    let letters = Zeroizing::new(letters.collect::<Vec<u8>>());
    let bytes = STANDARD.decode(&*letters).map_err(|_| NOT_BASE64)?;
    Ok(Zeroizing::new(bytes))
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const CUT: StoreError = StoreError::Malformed("a PEM section has no end");
const NOT_BASE64: StoreError = StoreError::Malformed("a PEM section is not base64");
