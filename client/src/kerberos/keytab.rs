//! Files of long-term keys (keytabs, as MIT's and Heimdal's tools write them). In: bytes; out: whose
//! keys they are, or why they cannot be read.

use super::crypto::{Etype, Key};
use super::error::KerberosError;
use super::principal::Principal;
use crate::big_endian::BigEndian;

/// The keys of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keytab(Vec<Entry>);

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub principal: Principal,
    /// Its number: a new password makes a new one.
    pub version: u32,
    /// The key; none where it encrypts in a way that is not there.
    pub key: Option<Key>,
}

impl Keytab {
    /// Reads a file of version 2. Places of keys that were taken out are passed over.
    ///
    /// # Errors
    ///
    /// [`KerberosError::Malformed`] for anything that is no such file, whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, KerberosError> {
        let mut rest = BigEndian(bytes.strip_prefix(&[5, 2]).ok_or(NO_KEYTAB)?);
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let length = i32::from_be_bytes(rest.array().ok_or(BROKEN)?);
            if length == 0 {
                break;
            }
            let size = usize::try_from(length.unsigned_abs()).map_err(|_| BROKEN)?;
            let place = rest.take(size).ok_or(BROKEN)?;
            if length > 0 {
                entries.push(entry(BigEndian(place)).ok_or(BROKEN)?);
            }
        }
        Ok(Self(entries))
    }

    /// The keys of somebody, the newest first.
    pub fn keys_of<'a>(&'a self, who: &Principal) -> Vec<&'a Entry> {
        let mut keys: Vec<_> = self.0.iter().filter(|entry| entry.principal == *who).collect();
        keys.sort_by_key(|entry| std::cmp::Reverse(entry.version));
        keys
    }

    /// All keys.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}

fn entry(mut bytes: BigEndian<'_>) -> Option<Entry> {
    let count = bytes.u16()?;
    let realm = text(&mut bytes)?;
    let mut components = Vec::new();
    for _ in 0..count {
        components.push(text(&mut bytes)?);
    }
    let [_kind, _written] = [bytes.array::<4>()?, bytes.array::<4>()?];
    let [short_version] = bytes.array()?;
    let etype = bytes.u16()?;
    let key = bytes.short()?;
    // Newer files have a second version, for more than 255 of them.
    let version = bytes.u32().filter(|version| *version > 0);
    let key = match Etype::of_number(etype.into()) {
        Ok(etype) => Some(Key::new(etype, key)?),
        Err(_) => None,
    };
    let principal = Principal { components, realm };
    Some(Entry { principal, version: version.unwrap_or(short_version.into()), key })
}

fn text(bytes: &mut BigEndian<'_>) -> Option<String> {
    bytes.short().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

const NO_KEYTAB: KerberosError = KerberosError::Malformed("it is no keytab of version 2, so it");
const BROKEN: KerberosError = KerberosError::Malformed("an entry of the keytab");

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry as MIT's `ktutil` writes it.
    fn written(name: &str, version: u8, etype: u8, key: &[u8]) -> Vec<u8> {
        let text = |text: &str| [&[0, text.len() as u8], text.as_bytes()].concat();
        let entry = [
            vec![0, 1],
            text("R"),
            text(name),
            vec![0, 0, 0, 1, 0, 0, 0, 0, version, 0, etype, 0, key.len() as u8],
            key.to_vec(),
            vec![0, 0, 0, version],
        ]
        .concat();
        [&(entry.len() as u32).to_be_bytes()[..], &entry].concat()
    }

    fn file(entries: &[Vec<u8>]) -> Vec<u8> {
        [&[5, 2][..], &entries.concat()].concat()
    }

    #[test]
    fn the_newest_key_comes_first_and_holes_are_passed_over() {
        let hole = [&(-3_i32).to_be_bytes()[..], &[1, 2, 3]].concat();
        let bytes = file(&[
            hole,
            written("alice", 1, 18, &[1; 32]),
            written("bob", 5, 18, &[2; 32]),
            written("alice", 2, 17, &[3; 16]),
            written("alice", 3, 23, &[4; 16]),
        ]);
        let keytab = Keytab::parse(&bytes).expect("a keytab");
        let alice = Principal::parse("alice@R").expect("a name");
        let keys: Vec<_> = keytab
            .keys_of(&alice)
            .iter()
            .map(|entry| (entry.version, entry.key.as_ref().map(Key::etype)))
            .collect();
        let expected =
            [(3, None), (2, Some(Etype::Aes128Sha1)), (1, Some(Etype::Aes256Sha1))].to_vec();
        assert_eq!(keys, expected);
    }

    #[test]
    fn what_is_cut_or_too_short_is_refused() {
        let whole = file(&[written("alice", 1, 18, &[1; 32])]);
        for length in (0..whole.len()).filter(|length| *length != 2) {
            assert!(Keytab::parse(&whole[..length]).is_err(), "{length}");
        }
        assert!(Keytab::parse(&file(&[written("alice", 1, 18, &[1; 31])])).is_err());
    }
}
