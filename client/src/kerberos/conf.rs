//! The configuration of Kerberos (`krb5.conf`). In: its text and a way to read other files that it
//! includes; out: where KDCs are, and which realm a host is in. What else it says is passed over.
//!
//! | read | for |
//! |---|---|
//! | `[libdefaults] default_realm` | names without a realm |
//! | `[realms] REALM = { kdc = host:port }` | where to ask, one after another |
//! | `[domain_realm] .example.com = REALM` | the realm of brokers |
//! | `include FILE`, `includedir FOLDER` | the same from there |

use std::collections::HashMap;

use super::error::KerberosError;

/// Where KDCs are, and who belongs where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// The realm of names without one.
    pub default_realm: Option<String>,
    /// Hosts and ports by realm.
    kdcs: HashMap<String, Vec<(String, u16)>>,
    /// Realms by host, or by domain with a dot before it.
    realms: HashMap<String, String>,
}

/// What a line asks to be read, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include<'a> {
    /// One file.
    File(&'a str),
    /// All files of a folder.
    Folder(&'a str),
}

impl Conf {
    /// Reads a text; what was said first counts, as for MIT's library. `more` gives the texts of what
    /// is included.
    ///
    /// # Errors
    ///
    /// [`KerberosError::Malformed`] for braces that do not fit, values without a name, ports that are
    /// none, and includes within includes without an end.
    pub fn parse(
        text: &str,
        more: &mut dyn FnMut(Include<'_>) -> Vec<String>,
    ) -> Result<Self, KerberosError> {
        let mut conf = Self::default();
        conf.read(text, more, 0)?;
        Ok(conf)
    }

    /// Adds what another file says; what was said before counts.
    pub fn merge(&mut self, other: Self) {
        self.default_realm = self.default_realm.take().or(other.default_realm);
        for (realm, kdcs) in other.kdcs {
            self.kdcs.entry(realm).or_insert(kdcs);
        }
        for (host, realm) in other.realms {
            self.realms.entry(host).or_insert(realm);
        }
    }

    /// Where the KDCs of a realm are.
    pub fn kdcs_of(&self, realm: &str) -> &[(String, u16)] {
        self.kdcs.get(realm).map_or(&[], Vec::as_slice)
    }

    /// The realm of a host: its own, that of the nearest domain, or the default one.
    pub fn realm_of(&self, host: &str) -> Option<&str> {
        let host = host.to_ascii_lowercase();
        if let Some(realm) = self.realms.get(&host) {
            return Some(realm);
        }
        let dots = host.match_indices('.').map(|(place, _)| place);
        let domain = dots.take(MOST_DOTS).find_map(|place| self.realms.get(&host[place..]));
        domain.or(self.default_realm.as_ref()).map(String::as_str)
    }

    fn read(
        &mut self,
        text: &str,
        more: &mut dyn FnMut(Include<'_>) -> Vec<String>,
        depth: usize,
    ) -> Result<(), KerberosError> {
        let mut place = Place::default();
        for line in text.lines().map(str::trim) {
            let included = line.strip_prefix("includedir ").map(|it| Include::Folder(it.trim()));
            let included =
                included.or(line.strip_prefix("include ").map(|it| Include::File(it.trim())));
            match included {
                Some(_) if depth == DEEPEST => return Err(DEEP),
                Some(include) => {
                    for text in more(include) {
                        self.read(&text, more, depth + 1)?;
                    }
                }
                None => self.line(line, &mut place)?,
            }
        }
        if place.depth == 0 { Ok(()) } else { Err(BRACES) }
    }

    fn line(&mut self, line: &str, place: &mut Place) -> Result<(), KerberosError> {
        if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("module ") {
            return Ok(());
        }
        if let Some(section) = line.strip_prefix('[') {
            if place.depth > 0 {
                return Err(BRACES);
            }
            let name = section.trim_end_matches('*').strip_suffix(']').ok_or(SECTION)?;
            name.trim().clone_into(&mut place.section);
            return Ok(());
        }
        if line.trim_end_matches('*') == "}" {
            place.depth = place.depth.checked_sub(1).ok_or(BRACES)?;
            return Ok(());
        }
        let (name, value) = line.split_once('=').ok_or(NO_VALUE)?;
        let (name, value) = (name.trim().trim_end_matches('*'), value.trim());
        if let Some(rest) = value.strip_prefix('{') {
            // An empty one may end where it begins.
            if rest.trim() == "}" {
                return Ok(());
            }
            if place.depth == 0 {
                name.clone_into(&mut place.realm);
            }
            place.depth += 1;
            return if rest.trim().is_empty() { Ok(()) } else { self.line(rest.trim(), place) };
        }
        let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
        self.value(place, name, value)
    }

    fn value(&mut self, place: &Place, name: &str, value: &str) -> Result<(), KerberosError> {
        match (place.section.as_str(), place.depth, name) {
            ("libdefaults", 0, "default_realm") => {
                self.default_realm.get_or_insert_with(|| value.to_owned());
            }
            ("realms", 1, "kdc") => {
                let kdcs = self.kdcs.entry(place.realm.clone()).or_default();
                // The ways to ask that are not TCP are left to others.
                if kdcs.len() < MOST_KDCS && !value.contains("://") {
                    kdcs.push(address(value).ok_or(PORT)?);
                }
            }
            ("domain_realm", 0, host) => {
                self.realms.entry(host.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}

/// Where in the text a line stands.
#[derive(Default)]
struct Place {
    section: String,
    realm: String,
    /// How many braces are open.
    depth: usize,
}

/// `host`, `host:port`, `[address]:port`.
fn address(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port))
            if !port.ends_with(']') && (!host.contains(':') || host.ends_with(']')) =>
        {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        }
        _ => (text, 88),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!bare.is_empty()).then(|| (bare.to_owned(), port))
}

/// Of one realm.
const MOST_KDCS: usize = 16;
/// Of a host's name.
const MOST_DOTS: usize = 128;
/// Files that are included by files that are included.
const DEEPEST: usize = 4;
const DEEP: KerberosError = KerberosError::Malformed("an include in an include in an include");
const BRACES: KerberosError = KerberosError::Malformed("a brace that fits no other");
const SECTION: KerberosError = KerberosError::Malformed("a section without its bracket");
const NO_VALUE: KerberosError = KerberosError::Malformed("a line without an equals sign");
const PORT: KerberosError = KerberosError::Malformed("the port of a kdc");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Conf, KerberosError> {
        Conf::parse(text, &mut |include| match include {
            Include::File("self") => vec!["include self".to_owned()],
            Include::Folder("/more") => {
                vec!["[realms]\nMORE = {\n kdc = more\n}\n".to_owned(), "; nothing".to_owned()]
            }
            _ => Vec::new(),
        })
    }

    #[test]
    fn kdcs_and_realms_are_found_among_other_things() {
        let conf = read(
            "# a comment\nincludedir /more\n[logging]\n default = FILE:/var/log/krb5.log\n\
             [libdefaults]\n  default_realm = EXAMPLE.COM\n dns_lookup_kdc=false\n\
             [realms]\n EXAMPLE.COM = {\n  kdc = kdc1.example.com\n kdc = \"[::1]:8888\"\n\
             admin_server = a:749\n auth_to_local_names = {\n  kdc = none\n }\n }\n\
             OTHER.ORG = { kdc = o:99\n }\n EMPTY = {}\n\
             [domain_realm]\n .other.org = OTHER.ORG\n host.example.com = HOST\n",
        )
        .expect("it can be read");
        let kdcs = [("kdc1.example.com".to_owned(), 88), ("::1".to_owned(), 8888)];
        assert_eq!(conf.kdcs_of("EXAMPLE.COM"), kdcs);
        assert_eq!(conf.kdcs_of("MORE"), [("more".to_owned(), 88)]);
        assert_eq!(conf.kdcs_of("OTHER.ORG"), [("o".to_owned(), 99)]);
        assert!(conf.kdcs_of("EMPTY").is_empty());
        assert_eq!(conf.realm_of("b.a.Other.org"), Some("OTHER.ORG"));
        assert_eq!(conf.realm_of("host.example.com"), Some("HOST"));
        assert_eq!(conf.realm_of("elsewhere"), Some("EXAMPLE.COM"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in [
            "[libdefaults",
            "[libdefaults]\nnonsense",
            "[realms]\nR = {\n",
            "[realms]\n}\n",
            "[realms]\nR = {\n kdc = a:b\n}",
            "[realms]\nR = {\n[domain_realm]\n}",
            "include self",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
