//! PKCS#12 stores (RFC 7292), as Java writes them since version 9, and OpenSSL. In: a file, its
//! password and the key's; out: its trusted certificates, its first key with its chain.
//!
//! ```text
//!  version, content (a list of safes, plain or encrypted), seal
//!  safe: bags. bag: a key, an encrypted key, or a certificate; attributes say which belong together
//! ```

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::der::{BROKEN, CONTEXT_0, CONTEXT_0_BYTES, Der, OCTETS, OID, SEQUENCE, SET};
use super::pbe;
use super::store::{Budget, Passwords, Store, StoreError};

/// Reads a store.
pub(super) fn read(
    bytes: &[u8],
    passwords: Passwords<'_>,
    budget: &mut Budget,
) -> Result<Store, StoreError> {
    let mut store = Der::new(bytes).inner(SEQUENCE)?;
    store.number()?;
    let mut content = store.inner(SEQUENCE)?;
    if content.content(OID)? != DATA {
        return Err(StoreError::Unsupported("a store signed by a key"));
    }
    let safes = content.inner(CONTEXT_0)?.content(OCTETS)?;
    if let Some(password) = passwords.store
        && !store.is_empty()
    {
        let mut seal = store.inner(SEQUENCE)?;
        let mut digest = seal.inner(SEQUENCE)?;
        let hash = digest.inner(SEQUENCE)?.content(OID)?;
        let expected = digest.content(OCTETS)?;
        let salt = seal.content(OCTETS)?;
        let rounds = if seal.is_empty() { 1 } else { seal.number()? };
        pbe::check_seal(hash, safes, (salt, rounds), expected, password, budget)?;
    }
    let mut bags = Bags::default();
    let mut safes = Der::new(safes).inner(SEQUENCE)?;
    while !safes.is_empty() {
        safe(safes.inner(SEQUENCE)?, passwords, budget, &mut bags)?;
    }
    Ok(bags.into_store(passwords))
}

/// One safe: plain, or encrypted by the store's password.
fn safe(
    mut safe: Der<'_>,
    passwords: Passwords<'_>,
    budget: &mut Budget,
    bags: &mut Bags,
) -> Result<(), StoreError> {
    let kind = safe.content(OID)?;
    let mut content = safe.inner(CONTEXT_0)?;
    if kind == DATA {
        return bags.take(content.content(OCTETS)?, passwords, budget);
    }
    if kind != ENCRYPTED_DATA {
        return Err(StoreError::Unsupported("a part that is encrypted for a key"));
    }
    let mut data = content.inner(SEQUENCE)?;
    data.number()?;
    let mut data = data.inner(SEQUENCE)?;
    data.content(OID)?;
    let algorithm = data.inner(SEQUENCE)?;
    let encrypted = data.content(CONTEXT_0_BYTES)?;
    let password = passwords.store.ok_or(StoreError::PasswordMissing("of the store"))?;
    let plain = pbe::decrypt(algorithm, encrypted, password, budget)?;
    bags.take(&plain, passwords, budget)
}

/// What all safes held.
#[derive(Default)]
struct Bags {
    /// The first key and its id.
    key: Option<(PrivateKeyDer<'static>, Vec<u8>)>,
    /// The ids of all keys, whether they were wanted or not.
    key_ids: Vec<Vec<u8>>,
    certificates: Vec<Certificate>,
}

struct Certificate {
    der: CertificateDer<'static>,
    attributes: Attributes,
}

#[derive(Default)]
struct Attributes {
    /// Which key it belongs to.
    id: Vec<u8>,
    /// Java's mark for what is to be trusted.
    trusted: bool,
}

impl Bags {
    fn take(
        &mut self,
        safe: &[u8],
        passwords: Passwords<'_>,
        budget: &mut Budget,
    ) -> Result<(), StoreError> {
        let mut bags = Der::new(safe).inner(SEQUENCE)?;
        while !bags.is_empty() {
            let mut bag = bags.inner(SEQUENCE)?;
            let (kind, value) = (bag.content(OID)?, bag.inner(CONTEXT_0)?);
            let attributes = attributes(bag)?;
            match kind {
                _ if kind == CERTIFICATE_BAG => self.certificate(value, attributes)?,
                _ if kind == KEY_BAG || kind == SHROUDED_KEY_BAG => {
                    self.key_ids.push(attributes.id.clone());
                    if passwords.wants_key && self.key.is_none() {
                        let key = key(kind, value, passwords, budget)?;
                        self.key = Some((key, attributes.id));
                    }
                }
                // Revocation lists, secrets, safes within safes: nothing that is needed here.
                _ => {}
            }
        }
        Ok(())
    }

    fn certificate(&mut self, mut bag: Der<'_>, attributes: Attributes) -> Result<(), StoreError> {
        let mut bag = bag.inner(SEQUENCE)?;
        if bag.content(OID)? == X509 {
            let der = bag.inner(CONTEXT_0)?.content(OCTETS)?;
            self.certificates.push(Certificate { der: der.to_vec().into(), attributes });
        }
        Ok(())
    }

    fn into_store(self, passwords: Passwords<'_>) -> Store {
        if passwords.wants_key {
            let chain = self.key.as_ref().map(|(_, id)| chain(&self.certificates, id));
            let chain = chain.unwrap_or_default();
            return Store { key: self.key.map(|(key, _)| key), chain, ..Store::default() };
        }
        Store { certificates: self.trusted(), ..Store::default() }
    }

    /// As Java has it: what is marked as trusted, and the keys' own certificates. OpenSSL marks
    /// nothing, so a store without a mark and without keys is trusted as a whole.
    fn trusted(self) -> Vec<CertificateDer<'static>> {
        let marked = self.certificates.iter().any(|one| one.attributes.trusted);
        let all = !marked && self.key_ids.is_empty();
        let own = |id: &Vec<u8>| !id.is_empty() && self.key_ids.contains(id);
        let is_trusted =
            |one: &Certificate| all || one.attributes.trusted || own(&one.attributes.id);
        self.certificates.iter().filter(|one| is_trusted(one)).map(|one| one.der.clone()).collect()
    }
}

fn key(
    kind: &[u8],
    mut value: Der<'_>,
    passwords: Passwords<'_>,
    budget: &mut Budget,
) -> Result<PrivateKeyDer<'static>, StoreError> {
    let (whole, _) = value.element()?;
    let plain = if kind == KEY_BAG {
        Zeroizing::new(whole.to_vec())
    } else {
        let password = passwords.key.ok_or(StoreError::PasswordMissing("of the key"))?;
        pbe::decrypt_info(whole, password, budget)?
    };
    Ok(PrivatePkcs8KeyDer::from(plain.to_vec()).into())
}

fn attributes(mut bag: Der<'_>) -> Result<Attributes, StoreError> {
    let mut found = Attributes::default();
    let Some(set) = bag.optional(SET)? else { return Ok(found) };
    let mut set = Der::new(set);
    while !set.is_empty() {
        let mut attribute = set.inner(SEQUENCE)?;
        match attribute.content(OID)? {
            name if name == LOCAL_KEY_ID => {
                found.id = attribute.inner(SET)?.content(OCTETS)?.to_vec();
            }
            name if name == TRUSTED_KEY_USAGE => found.trusted = true,
            _ => {}
        }
    }
    Ok(found)
}

/// The key's own certificate, then each one's issuer as long as there is one.
fn chain(certificates: &[Certificate], id: &[u8]) -> Vec<CertificateDer<'static>> {
    let own = certificates.iter().position(|one| !id.is_empty() && one.attributes.id == id);
    let Some(mut at) = own.or((!certificates.is_empty()).then_some(0)) else { return Vec::new() };
    let mut indexes = vec![at];
    while indexes.len() < LONGEST_CHAIN
        && let Some(next) = issuer_of(certificates, at).filter(|next| !indexes.contains(next))
    {
        indexes.push(next);
        at = next;
    }
    indexes.into_iter().map(|index| certificates[index].der.clone()).collect()
}

fn issuer_of(certificates: &[Certificate], at: usize) -> Option<usize> {
    let (issuer, _) = names(&certificates[at].der).ok()?;
    certificates.iter().position(|one| names(&one.der).is_ok_and(|(_, name)| name == issuer))
}

/// A certificate's issuer and subject.
fn names(certificate: &[u8]) -> Result<(&[u8], &[u8]), StoreError> {
    let mut signed = Der::new(certificate).inner(SEQUENCE)?.inner(SEQUENCE)?;
    // Its version, which the oldest do not have.
    signed.optional(CONTEXT_0)?;
    // Serial number and algorithm.
    signed.element()?;
    signed.element()?;
    let (issuer, _) = signed.element()?;
    // How long it is valid.
    signed.element()?;
    let (subject, _) = signed.element()?;
    if issuer.is_empty() { Err(BROKEN) } else { Ok((issuer, subject)) }
}

/// No TLS library follows a longer one.
const LONGEST_CHAIN: usize = 10;

// Object identifiers, as DER has them.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
const KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x01];
const SHROUDED_KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02];
const CERTIFICATE_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];
/// 2.16.840.1.113894.746875.1.1, of Oracle's.
const TRUSTED_KEY_USAGE: &[u8] =
    &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];
