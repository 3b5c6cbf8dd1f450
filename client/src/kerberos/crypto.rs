//! How Kerberos encrypts: AES with HMACs of SHA-1 (RFC 3962) and of SHA-2 (RFC 8009). In: a key, what
//! it is used for, bytes; out: those bytes encrypted, decrypted after their check, or a checksum of
//! them. Checks take a time that does not depend on where they fail.

mod fold;

use std::fmt;

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
use aes::{Aes128, Aes256};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::KerberosError;
use fold::fold;

/// A way to encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Etype {
    /// `aes128-cts-hmac-sha1-96`, 17.
    Aes128Sha1,
    /// `aes256-cts-hmac-sha1-96`, 18.
    Aes256Sha1,
    /// `aes128-cts-hmac-sha256-128`, 19.
    Aes128Sha2,
    /// `aes256-cts-hmac-sha384-192`, 20.
    Aes256Sha2,
}

impl Etype {
    /// All of them, the favourite first.
    pub const ALL: [Self; 4] =
        [Self::Aes256Sha2, Self::Aes128Sha2, Self::Aes256Sha1, Self::Aes128Sha1];

    /// The one of this number.
    pub fn of_number(number: i32) -> Result<Self, KerberosError> {
        let found = Self::ALL.into_iter().find(|etype| etype.number() == number);
        found.ok_or(KerberosError::Encryption(number))
    }

    /// The number by which messages name it.
    pub fn number(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 17,
            Self::Aes256Sha1 => 18,
            Self::Aes128Sha2 => 19,
            Self::Aes256Sha2 => 20,
        }
    }

    /// The number of the checksum that goes with it.
    pub(super) fn checksum_number(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 15,
            Self::Aes256Sha1 => 16,
            Self::Aes128Sha2 => 19,
            Self::Aes256Sha2 => 20,
        }
    }

    pub(super) fn key_length(self) -> usize {
        if matches!(self, Self::Aes128Sha1 | Self::Aes128Sha2) { 16 } else { 32 }
    }

    /// The length of a checksum.
    pub(super) fn mac_length(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 12,
            Self::Aes128Sha2 => 16,
            Self::Aes256Sha2 => 24,
        }
    }

    fn is_sha2(self) -> bool {
        matches!(self, Self::Aes128Sha2 | Self::Aes256Sha2)
    }
}

/// A key and how it is used. It is never printed, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    etype: Etype,
    bytes: Zeroizing<Vec<u8>>,
}

impl Key {
    /// A key of these bytes, if they are as many as it takes.
    pub fn new(etype: Etype, bytes: &[u8]) -> Option<Self> {
        let fits = bytes.len() == etype.key_length();
        fits.then(|| Self { etype, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// How it encrypts.
    pub fn etype(&self) -> Etype {
        self.etype
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Encrypts for a use (RFC 4120, 7.5.1). The confounder has to be random.
    pub(super) fn encrypt(&self, usage: u32, confounder: [u8; BLOCK], text: &[u8]) -> Vec<u8> {
        let plain = Zeroizing::new([&confounder[..], text].concat());
        let (cipher, mac) = (self.cipher(usage), self.derived(usage, INTEGRITY, true));
        let mut bytes = cipher.encrypt(&plain);
        let tag = match self.etype.is_sha2() {
            true => self.mac(&mac, &[&[0; BLOCK], &bytes]),
            false => self.mac(&mac, &[&plain]),
        };
        bytes.extend_from_slice(&tag);
        bytes
    }

    /// The other way.
    pub(super) fn decrypt(
        &self,
        usage: u32,
        bytes: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KerberosError> {
        let split = bytes.len().checked_sub(self.etype.mac_length());
        let split = split.filter(|length| *length >= BLOCK).ok_or(SHORT)?;
        let (bytes, tag) = bytes.split_at(split);
        let (cipher, mac) = (self.cipher(usage), self.derived(usage, INTEGRITY, true));
        // Before RFC 8009 one has to decrypt before one can check.
        let plain = Zeroizing::new(cipher.decrypt(bytes));
        let right = match self.etype.is_sha2() {
            true => self.mac(&mac, &[&[0; BLOCK], bytes]),
            false => self.mac(&mac, &[&plain]),
        };
        if !equal(&right, tag) {
            return Err(KerberosError::WrongKey);
        }
        Ok(Zeroizing::new(plain[BLOCK..].to_vec()))
    }

    /// The checksum of pieces, one after another.
    pub(super) fn checksum(&self, usage: u32, pieces: &[&[u8]]) -> Vec<u8> {
        self.mac(&self.derived(usage, CHECKSUM, true), pieces)
    }

    fn cipher(&self, usage: u32) -> Cipher {
        Cipher::new(&self.derived(usage, ENCRYPTION, false))
    }

    /// The key for one use.
    fn derived(&self, usage: u32, what: u8, for_mac: bool) -> Zeroizing<Vec<u8>> {
        let [a, b, c, d] = usage.to_be_bytes();
        let label = [a, b, c, d, what];
        let mac_key = if self.etype == Etype::Aes256Sha2 { 24 } else { self.etype.key_length() };
        let length = if for_mac { mac_key } else { self.etype.key_length() };
        if self.etype.is_sha2() {
            let bits = u32::try_from(length * 8).unwrap_or(0).to_be_bytes();
            let pieces = [&[0, 0, 0, 1][..], &label, &[0], &bits];
            return hmac(self.etype, &self.bytes, &pieces, length);
        }
        let cipher = Cipher::new(&self.bytes);
        let mut block = fold(&label);
        let mut key = Zeroizing::new(Vec::with_capacity(length));
        while key.len() < length {
            cipher.encrypt_block(&mut block);
            key.extend_from_slice(&block);
        }
        block.zeroize();
        key
    }

    fn mac(&self, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        hmac(self.etype, key, pieces, self.etype.mac_length()).to_vec()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, ***)", self.etype)
    }
}

/// Whether two checksums are the same, in a time that depends on their length alone.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |seen, (a, b)| seen | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

/// So many bytes of an HMAC.
fn hmac(etype: Etype, key: &[u8], pieces: &[&[u8]], length: usize) -> Zeroizing<Vec<u8>> {
    macro_rules! of {
        ($hash:ty) => {{
            // Any length of key will do.
            let mut mac = <Hmac<$hash> as hmac::Mac>::new_from_slice(key)
                .unwrap_or_else(|_| <Hmac<$hash> as hmac::Mac>::new(&Default::default()));
            pieces.iter().for_each(|piece| mac.update(piece));
            mac.finalize().into_bytes()[..length].to_vec()
        }};
    }
    Zeroizing::new(match etype {
        Etype::Aes128Sha1 | Etype::Aes256Sha1 => of!(Sha1),
        Etype::Aes128Sha2 => of!(Sha256),
        Etype::Aes256Sha2 => of!(Sha384),
    })
}

/// AES in blocks chained from zero, whose last two change places so that no padding is needed
/// (CBC-CS3). At least one block.
enum Cipher {
    Short(Box<Aes128>),
    Long(Box<Aes256>),
}

impl Cipher {
    /// Of 16 or of 32 bytes.
    fn new(key: &[u8]) -> Self {
        if key.len() == 16 {
            Self::Short(Box::new(Aes128::new(GenericArray::from_slice(key))))
        } else {
            Self::Long(Box::new(Aes256::new(GenericArray::from_slice(key))))
        }
    }

    fn encrypt_block(&self, block: &mut [u8; BLOCK]) {
        match self {
            Self::Short(aes) => aes.encrypt_block(GenericArray::from_mut_slice(block)),
            Self::Long(aes) => aes.encrypt_block(GenericArray::from_mut_slice(block)),
        }
    }

    fn decrypt_block(&self, block: &mut [u8; BLOCK]) {
        match self {
            Self::Short(aes) => aes.decrypt_block(GenericArray::from_mut_slice(block)),
            Self::Long(aes) => aes.decrypt_block(GenericArray::from_mut_slice(block)),
        }
    }

    fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let mut chain = [0; BLOCK];
        let mut blocks = Vec::with_capacity(plain.len().div_ceil(BLOCK));
        for piece in plain.chunks(BLOCK) {
            chain.iter_mut().zip(piece).for_each(|(byte, more)| *byte ^= more);
            self.encrypt_block(&mut chain);
            blocks.push(chain);
        }
        let last = blocks.len().saturating_sub(1);
        if last > 0 {
            blocks.swap(last - 1, last);
        }
        let mut bytes = blocks.concat();
        bytes.truncate(plain.len());
        bytes
    }

    fn decrypt(&self, bytes: &[u8]) -> Vec<u8> {
        let mut chain = [0; BLOCK];
        let mut plain = Vec::with_capacity(bytes.len());
        let mut step = |block: [u8; BLOCK]| {
            let mut open = block;
            self.decrypt_block(&mut open);
            open.iter_mut().zip(chain).for_each(|(byte, more)| *byte ^= more);
            chain = block;
            open
        };
        let tail = match bytes.len() % BLOCK {
            _ if bytes.len() <= BLOCK => 0,
            0 => BLOCK,
            rest => rest,
        };
        let (bulk, last) = bytes.split_at(bytes.len() - tail);
        let (bulk, before) = bulk.split_at(bulk.len() - if tail > 0 { BLOCK } else { 0 });
        for block in bulk.chunks_exact(BLOCK) {
            plain.extend_from_slice(&step(array(block)));
        }
        if tail > 0 {
            // The last but one holds, below what it encrypts, the end of the block before it.
            let mut open = array(before);
            self.decrypt_block(&mut open);
            let mut stolen = open;
            stolen[..tail].copy_from_slice(last);
            plain.extend_from_slice(&step(stolen));
            plain.extend(open.iter().zip(last).map(|(byte, more)| byte ^ more));
        }
        plain
    }
}

/// A slice of one block.
fn array(slice: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block.iter_mut().zip(slice).for_each(|(byte, from)| *byte = *from);
    block
}

pub(super) const BLOCK: usize = 16;
const ENCRYPTION: u8 = 0xaa;
const INTEGRITY: u8 = 0x55;
const CHECKSUM: u8 = 0x99;
const SHORT: KerberosError = KerberosError::Malformed("an encrypted part is too short, so it");

#[cfg(test)]
mod tests;
