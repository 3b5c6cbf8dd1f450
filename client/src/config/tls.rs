//! The values of the `ssl.*` options. In: words as Java's clients take them; out: types, or `None`
//! for words that mean nothing here or nothing safe.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::error::{Error, ErrorKind, Result};
use crate::keys::OptionValue;

use super::Config;

/// Refuses `ssl.*` options that contradict each other or would have no effect, in Java's meaning of
/// them: a forgotten half would show only at the first broker that asks for it.
pub(super) fn check(config: &Config) -> Result<()> {
    let trust = Side {
        pem: config.ssl_truststore_type == StoreType::Pem,
        file: config.ssl_truststore_location.is_some(),
        inline: config.ssl_truststore_certificates.is_some(),
        password: config.ssl_truststore_password.is_some(),
        options: [
            "ssl.truststore.location",
            "ssl.truststore.certificates",
            "ssl.truststore.password",
        ],
        kind: "ssl.truststore.type",
    };
    let (key, chain) = (&config.ssl_keystore_key, &config.ssl_keystore_certificate_chain);
    let own = Side {
        pem: config.ssl_keystore_type == StoreType::Pem,
        file: config.ssl_keystore_location.is_some(),
        inline: key.is_some() || chain.is_some(),
        password: config.ssl_keystore_password.is_some(),
        options: ["ssl.keystore.location", "ssl.keystore.key", "ssl.keystore.password"],
        kind: "ssl.keystore.type",
    };
    trust.check()?;
    own.check()?;
    if key.is_some() != chain.is_some() {
        let (given, other) = match key {
            Some(_) => (own.options[1], "set ssl.keystore.certificate.chain, too"),
            None => ("ssl.keystore.certificate.chain", "set ssl.keystore.key, too"),
        };
        return wrong("a key and its certificates belong together", given, other);
    }
    if config.ssl_enabled_protocols.is_empty() {
        let option = "ssl.enabled.protocols";
        return wrong("no version of TLS is allowed", option, "name TLSv1.3 or TLSv1.2, or both");
    }
    Ok(())
}

/// The options of one of the two stores: whether each is given, and their names.
struct Side {
    pem: bool,
    file: bool,
    inline: bool,
    password: bool,
    options: [&'static str; 3],
    kind: &'static str,
}

impl Side {
    fn check(&self) -> Result<()> {
        let [file, inline, password] = self.options;
        match self {
            Self { file: true, inline: true, .. } => {
                wrong("a store is given twice", inline, "take either it or the location away")
            }
            Self { inline: true, pem: false, .. } => {
                wrong("only PEM can stand in an option", self.kind, "set it to PEM")
            }
            Self { password: true, pem: true, .. } => {
                let hint = "take it away; ssl.key.password opens an encrypted key";
                wrong("a PEM store has no password", password, hint)
            }
            Self { password: true, file: false, .. } => wrong(
                "a password is given, and no store",
                file,
                "set it, or take the password away",
            ),
            _ => Ok(()),
        }
    }
}

fn wrong(what: &'static str, option: &'static str, hint: &'static str) -> Result<()> {
    Err(Error::new(ErrorKind::Config, what).with("option", option).with_hint(hint))
}

/// How a key or trust store is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreType {
    /// Java's own old form. As in Java, a file that turns out to be PKCS#12 is read as that.
    Jks,
    /// PKCS#12, Java's form since version 9.
    Pkcs12,
    /// Text with certificates and a PKCS#8 key between its lines.
    Pem,
}

/// A version of TLS. Older ones are never spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// What `ssl.protocol` may say: a name that Java looks its implementation up by. It chooses nothing
/// here, nor between versions in Java; names of versions that nobody should speak are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsName {
    /// `TLSv1.3`.
    V1_3,
    /// `TLSv1.2`.
    V1_2,
    /// `TLS`.
    Tls,
}

/// How a broker proves to be the one that was meant: always by a certificate for its host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostCheck {
    /// As web browsers do it (RFC 6125), by the names in `subjectAltName`.
    Https,
}

/// Who encrypts: a provider of rustls that the caller chose. Two are equal if they are the same one.
#[derive(Clone)]
pub struct Crypto(pub(crate) Arc<CryptoProvider>);

impl From<CryptoProvider> for Crypto {
    fn from(provider: CryptoProvider) -> Self {
        Self(Arc::new(provider))
    }
}

impl From<Arc<CryptoProvider>> for Crypto {
    fn from(provider: Arc<CryptoProvider>) -> Self {
        Self(provider)
    }
}

impl PartialEq for Crypto {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crypto")
    }
}

impl OptionValue for StoreType {
    const FORM: &'static str = "JKS, PKCS12 or PEM";

    fn parse(text: &str) -> Option<Self> {
        [Self::Jks, Self::Pkcs12, Self::Pem]
            .into_iter()
            .find(|kind| kind.show().eq_ignore_ascii_case(text))
    }

    fn show(&self) -> String {
        let name = match self {
            Self::Jks => "JKS",
            Self::Pkcs12 => "PKCS12",
            Self::Pem => "PEM",
        };
        name.to_owned()
    }
}

impl OptionValue for Vec<TlsVersion> {
    const FORM: &'static str = "TLSv1.2, TLSv1.3 or both, separated by a comma";

    fn parse(text: &str) -> Option<Self> {
        let version = |word: &str| match word.trim() {
            "TLSv1.2" => Some(TlsVersion::V1_2),
            "TLSv1.3" => Some(TlsVersion::V1_3),
            _ => None,
        };
        text.split(',').map(version).collect()
    }

    fn show(&self) -> String {
        let name = |version: &TlsVersion| match version {
            TlsVersion::V1_2 => "TLSv1.2",
            TlsVersion::V1_3 => "TLSv1.3",
        };
        self.iter().map(name).collect::<Vec<_>>().join(",")
    }
}

impl OptionValue for TlsName {
    const FORM: &'static str = "TLSv1.3, TLSv1.2 or TLS; older versions are not safe";

    fn parse(text: &str) -> Option<Self> {
        [Self::V1_3, Self::V1_2, Self::Tls].into_iter().find(|name| name.show() == text)
    }

    fn show(&self) -> String {
        let name = match self {
            Self::V1_3 => "TLSv1.3",
            Self::V1_2 => "TLSv1.2",
            Self::Tls => "TLS",
        };
        name.to_owned()
    }
}

impl OptionValue for HostCheck {
    const FORM: &'static str = "https: without a check of the host name, whoever has any certificate \
                                of the same authority could pose as the broker";

    fn parse(text: &str) -> Option<Self> {
        text.eq_ignore_ascii_case("https").then_some(Self::Https)
    }

    fn show(&self) -> String {
        "https".to_owned()
    }
}

/// A list of names: cipher suites.
impl OptionValue for Vec<String> {
    const FORM: &'static str = "names, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Some(names.map(str::to_owned).collect())
    }

    fn show(&self) -> String {
        self.join(",")
    }
}
