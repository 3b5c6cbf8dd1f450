//! Who somebody is to a KDC: `alice@EXAMPLE.COM`, `kafka/host@EXAMPLE.COM`. In: a text; out: its
//! components and its realm, and the way in which messages hold them.

use std::fmt;

use super::der::{self, Der, SEQUENCE};
use super::error::KerberosError;

/// A name within a realm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// `kafka` and `host` of `kafka/host@REALM`.
    pub components: Vec<String>,
    /// The realm, empty where a text has none.
    pub realm: String,
}

impl Principal {
    /// Reads `a/b@REALM`; a backslash takes the meaning from what follows it. `None` for an empty
    /// component, or a second realm.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut components, mut realm) = (vec![String::new()], None);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let plain = match c {
                '@' if realm.is_some() => return None,
                '@' => {
                    realm = Some(String::new());
                    continue;
                }
                '/' if realm.is_none() => {
                    components.push(String::new());
                    continue;
                }
                '\\' => chars.next()?,
                c => c,
            };
            if plain.is_control() {
                return None;
            }
            realm.as_mut().or(components.last_mut())?.push(plain);
        }
        let whole = components.iter().all(|component| !component.is_empty());
        let named = realm.as_ref().is_none_or(|realm| !realm.is_empty());
        let realm = realm.unwrap_or_default();
        (whole && named).then_some(Self { components, realm })
    }

    /// The service of a realm that gives out tickets.
    pub fn ticket_service(realm: &str) -> Self {
        Self { components: vec!["krbtgt".to_owned(), realm.to_owned()], realm: realm.to_owned() }
    }

    /// The components as messages hold them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let kind = match self.components.first().map(String::as_str) {
            Some("krbtgt") => SERVICE,
            _ if self.components.len() == 2 => SERVICE_OF_HOST,
            _ => USER,
        };
        let names: Vec<_> = self.components.iter().map(|name| der::string(name)).collect();
        let parts = [der::field(0, &der::int(kind)), der::field(1, &der::all(SEQUENCE, &names))];
        der::all(SEQUENCE, &parts)
    }

    /// Reads the components of a name.
    pub(super) fn decode(realm: String, mut name: Der<'_>) -> Result<Self, KerberosError> {
        let mut name = name.inner(SEQUENCE)?;
        let mut names = name.field(1)?.inner(SEQUENCE)?;
        let mut components = Vec::new();
        while !names.is_empty() {
            components.push(names.string()?);
        }
        Ok(Self { components, realm })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.components.join("/"))?;
        if self.realm.is_empty() { Ok(()) } else { write!(f, "@{}", self.realm) }
    }
}

const USER: i32 = 1;
const SERVICE: i32 = 2;
const SERVICE_OF_HOST: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_and_without_a_realm() {
        let parts = |text| Principal::parse(text).map(|it| (it.components.join("|"), it.realm));
        let some = |components: &str, realm: &str| Some((components.to_owned(), realm.to_owned()));
        assert_eq!(parts("alice@EXAMPLE.COM"), some("alice", "EXAMPLE.COM"));
        assert_eq!(parts("kafka/host.example.com"), some("kafka|host.example.com", ""));
        assert_eq!(parts(r"a\/b\@c@R"), some("a/b@c", "R"));
        for wrong in ["", "@R", "a@", "a//b@R", "a@R@S", "a\\", "a\nb@R"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
        let name = Principal::parse("kafka/host@R").expect("a name");
        let read = Principal::decode("R".to_owned(), Der::new(&name.encode()));
        assert_eq!(read.as_ref(), Ok(&name));
        assert_eq!(name.to_string(), "kafka/host@R");
    }
}
