//! Decryption by password. In: what was encrypted, with the names of the algorithms in front
//! (RFC 8018, RFC 7292 annex B), and a password; out: the plain bytes, wiped when dropped.
//!
//! What Java and OpenSSL write today is PBES2 with AES; Triple DES and RC2 are in stores from before
//! 2020, which are still around.

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipher, BlockDecrypt, BlockDecryptMut, InnerIvInit, KeyInit};
use des::TdesEde3;
use hmac::digest::core_api::BlockSizeUser;
use hmac::digest::{Digest, FixedOutputReset};
use hmac::{Hmac, Mac};
use rc2::Rc2;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::secret::Secret;

use super::der::{Der, OCTETS, OID, SEQUENCE};
use super::store::{Budget, StoreError};

/// Bytes that are wiped when they are dropped.
pub(super) type Plain = Zeroizing<Vec<u8>>;

/// Opens an `EncryptedPrivateKeyInfo`: a PKCS#8 key comes out.
pub(super) fn decrypt_info(
    bytes: &[u8],
    password: &Secret,
    budget: &mut Budget,
) -> Result<Plain, StoreError> {
    let mut info = Der::new(bytes).inner(SEQUENCE)?;
    let algorithm = info.inner(SEQUENCE)?;
    let encrypted = info.content(OCTETS)?;
    decrypt(algorithm, encrypted, password, budget).map_err(|error| error.about("of the key"))
}

/// Decrypts what was encrypted as `algorithm` says.
pub(super) fn decrypt(
    mut algorithm: Der<'_>,
    encrypted: &[u8],
    password: &Secret,
    budget: &mut Budget,
) -> Result<Plain, StoreError> {
    let name = algorithm.content(OID)?;
    let mut parameters = algorithm.inner(SEQUENCE)?;
    if name == PBES2 {
        return pbes2(parameters, encrypted, password, budget);
    }
    let salt = parameters.content(OCTETS)?;
    let rounds = parameters.number()?;
    let mut derive = |id, length| pkcs12_key::<Sha1>(password, salt, rounds, id, length, budget);
    if name == PBE_TRIPLE_DES {
        let (key, iv) = (derive(KEY, 24)?, derive(IV, 8)?);
        return cbc_by_key::<TdesEde3>(&key, &iv, encrypted);
    }
    let bits = match name {
        _ if name == PBE_RC2_40 => 40,
        _ if name == PBE_RC2_128 => 128,
        _ => return Err(StoreError::Unsupported("an old way of encryption")),
    };
    let (key, iv) = (derive(KEY, bits / 8)?, derive(IV, 8)?);
    cbc_by(Rc2::new_with_eff_key_len(&key, bits), &iv, encrypted)
}

fn pbes2(
    mut parameters: Der<'_>,
    encrypted: &[u8],
    password: &Secret,
    budget: &mut Budget,
) -> Result<Plain, StoreError> {
    let mut derivation = parameters.inner(SEQUENCE)?;
    let mut cipher = parameters.inner(SEQUENCE)?;
    if derivation.content(OID)? != PBKDF2 {
        return Err(StoreError::Unsupported("a key derived in another way than by PBKDF2"));
    }
    let mut derivation = derivation.inner(SEQUENCE)?;
    let cipher_name = cipher.content(OID)?;
    let iv = cipher.content(OCTETS)?;
    let length = match cipher_name {
        _ if cipher_name == AES_128 => 16,
        _ if cipher_name == AES_192 || cipher_name == DES_EDE3 => 24,
        _ if cipher_name == AES_256 => 32,
        _ => return Err(StoreError::Unsupported("an unusual cipher")),
    };
    let salt = derivation.content(OCTETS)?;
    let rounds = derivation.number()?;
    budget.spend(rounds)?;
    let hash = if derivation.tag() == Some(SEQUENCE) || derivation.is_empty() {
        derivation
    } else {
        // How long the key is: the cipher has said it already.
        derivation.number()?;
        derivation
    };
    let key = pbkdf2_key(hash, password, salt, rounds, length)?;
    match cipher_name {
        _ if cipher_name == AES_128 => cbc_by_key::<Aes128>(&key, iv, encrypted),
        _ if cipher_name == AES_192 => cbc_by_key::<Aes192>(&key, iv, encrypted),
        _ if cipher_name == AES_256 => cbc_by_key::<Aes256>(&key, iv, encrypted),
        _ => cbc_by_key::<TdesEde3>(&key, iv, encrypted),
    }
}

/// PBKDF2 with the hash that is named, or SHA-1 where none is.
fn pbkdf2_key(
    mut hash: Der<'_>,
    password: &Secret,
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Result<Plain, StoreError> {
    let name = if hash.is_empty() { HMAC_SHA1 } else { hash.inner(SEQUENCE)?.content(OID)? };
    let password = password.reveal().as_bytes();
    let mut key = Zeroizing::new(vec![0; length]);
    match name {
        _ if name == HMAC_SHA1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut key),
        _ if name == HMAC_SHA256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut key),
        _ if name == HMAC_SHA384 => pbkdf2::pbkdf2_hmac::<Sha384>(password, salt, rounds, &mut key),
        _ if name == HMAC_SHA512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut key),
        _ => return Err(StoreError::Unsupported("an unusual hash")),
    }
    Ok(key)
}

fn cbc_by_key<C: KeyInit + BlockCipher + BlockDecrypt>(
    key: &[u8],
    iv: &[u8],
    encrypted: &[u8],
) -> Result<Plain, StoreError> {
    let cipher = C::new_from_slice(key).map_err(|_| WRONG_LENGTH)?;
    cbc_by(cipher, iv, encrypted)
}

fn cbc_by<C: BlockCipher + BlockDecrypt>(
    cipher: C,
    iv: &[u8],
    encrypted: &[u8],
) -> Result<Plain, StoreError> {
    let cipher = Decryptor::inner_iv_slice_init(cipher, iv).map_err(|_| WRONG_LENGTH)?;
    let plain = cipher.decrypt_padded_vec_mut::<Pkcs7>(encrypted);
    plain.map(Zeroizing::new).map_err(|_| WRONG)
}

/// Checks the seal over a PKCS#12 store's content.
pub(super) fn check_seal(
    hash: &[u8],
    content: &[u8],
    (salt, rounds): (&[u8], u32),
    expected: &[u8],
    password: &Secret,
    budget: &mut Budget,
) -> Result<(), StoreError> {
    macro_rules! sealed {
        ($hash:ty) => {{
            let length = <$hash as Digest>::output_size();
            let key = pkcs12_key::<$hash>(password, salt, rounds, SEAL, length, budget)?;
            let mut seal = <Hmac<$hash> as Mac>::new_from_slice(&key).map_err(|_| WRONG_LENGTH)?;
            seal.update(content);
            seal.verify_slice(expected).map_err(|_| WRONG)
        }};
    }
    match hash {
        _ if hash == SHA1 => sealed!(Sha1),
        _ if hash == SHA256 => sealed!(Sha256),
        _ if hash == SHA384 => sealed!(Sha384),
        _ if hash == SHA512 => sealed!(Sha512),
        _ => Err(StoreError::Unsupported(
            "a seal of an unusual kind; export it again with \
                                          openssl pkcs12 -macalg sha256",
        )),
    }
}

/// The key derivation of PKCS#12 itself (RFC 7292 B.2).
fn pkcs12_key<H: Digest + BlockSizeUser + FixedOutputReset>(
    password: &Secret,
    salt: &[u8],
    rounds: u32,
    id: u8,
    length: usize,
    budget: &mut Budget,
) -> Result<Plain, StoreError> {
    let (block, digest) = (H::block_size(), <H as Digest>::output_size());
    budget
        .spend(rounds.saturating_mul(u32::try_from(length.div_ceil(digest)).unwrap_or(u32::MAX)))?;
    // Java's characters, and the zero that ends them.
    let words = password.reveal().encode_utf16().chain([0]);
    let password = Zeroizing::new(words.flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
    let mut input = repeated(salt, block);
    input.extend_from_slice(&repeated(&password, block));
    let mut key = Zeroizing::new(Vec::new());
    while key.len() < length {
        let mut hash = H::new().chain_update(vec![id; block]).chain_update(&*input).finalize();
        for _ in 1..rounds {
            hash = H::digest(&hash);
        }
        let addend = repeated_to(&hash, block);
        input.chunks_exact_mut(block).for_each(|chunk| add(chunk, &addend));
        key.extend_from_slice(&hash);
    }
    key.truncate(length);
    Ok(key)
}

/// As often as needed to fill whole blocks; nothing stays nothing.
fn repeated(bytes: &[u8], block: usize) -> Plain {
    repeated_to(bytes, bytes.len().div_ceil(block) * block)
}

fn repeated_to(bytes: &[u8], length: usize) -> Plain {
    Zeroizing::new(bytes.iter().copied().cycle().take(length).collect())
}

/// Adds `addend` and one to a large number.
fn add(number: &mut [u8], addend: &[u8]) {
    let mut carry = 1_u16;
    for (digit, addend) in number.iter_mut().zip(addend).rev() {
        carry += u16::from(*digit) + u16::from(*addend);
        [_, *digit] = carry.to_be_bytes();
        carry >>= 8;
    }
}

/// What a derived key is for.
const KEY: u8 = 1;
const IV: u8 = 2;
const SEAL: u8 = 3;

const WRONG: StoreError = StoreError::PasswordWrong("of the store");
const WRONG_LENGTH: StoreError = StoreError::Malformed("a key or vector has a wrong length");

// Object identifiers, as DER has them.
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const PBE_TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x03];
const PBE_RC2_128: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x05];
const PBE_RC2_40: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x06];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0a];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b];
const DES_EDE3: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07];
const AES_128: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
const AES_192: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x16];
const AES_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
