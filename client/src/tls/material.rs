//! From options to what a handshake needs. In: the `ssl.*` options and the files they name; out: the
//! TLS library's configuration, and the stamps by which a change of the files is noticed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, SupportedProtocolVersion};

use crate::config::{Config, TlsVersion};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

use super::provider::provider;
use super::store::{self, Budget, Passwords, Store};

/// What was read at one time.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) tls: Arc<ClientConfig>,
    /// Whether a certificate is shown to brokers that ask.
    pub(super) shown: bool,
    /// The files as they were.
    pub(super) stamps: Vec<Stamp>,
    /// The key's file, if others than its owner may read it.
    pub(super) loose: Option<String>,
}

/// A file at one time. Two are equal if it has not changed between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: String,
    facts: Option<(SystemTime, u64, u64)>,
}

impl Stamp {
    /// The same file as it is now.
    pub(super) fn now(&self) -> Self {
        let facts = std::fs::metadata(&self.path).ok().and_then(|data| facts(&data));
        Self { path: self.path.clone(), facts }
    }
}

/// Reads everything. Blocks on files and on key derivation.
pub(super) fn load(config: &Config) -> Result<Material> {
    let mut files = Files::default();
    let roots = trusted(config, &mut files)?;
    let identity = identity(config, &mut files)?;
    let versions: Vec<_> = config.ssl_enabled_protocols().iter().map(version).collect();
    let provider = provider(config)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| unusable("ssl.enabled.protocols", error))?
        .with_root_certificates(roots);
    let shown = identity.is_some();
    let tls = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let certified = certified(&provider, chain, key)
                .map_err(|error| unusable(keystore_option(config), error))?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    };
    Ok(Material { tls: Arc::new(tls), shown, stamps: files.stamps, loose: files.loose })
}

/// The authorities whose word counts: those given, or else those of the system.
fn trusted(config: &Config, files: &mut Files) -> Result<RootCertStore> {
    let passwords =
        Passwords { store: config.ssl_truststore_password().as_ref(), ..Passwords::default() };
    let (option, store) =
        match (config.ssl_truststore_certificates(), config.ssl_truststore_location()) {
            (Some(text), _) => {
                (CERTIFICATES, open(CERTIFICATES, text.reveal().as_bytes(), passwords)?)
            }
            (None, Some(path)) => (TRUSTSTORE, files.open(TRUSTSTORE, path, passwords)?),
            (None, None) => return of_the_system(),
        };
    let mut roots = RootCertStore::empty();
    for certificate in store.certificates {
        roots.add(certificate).map_err(|error| unusable(option, error))?;
    }
    if roots.is_empty() {
        return Err(Error::new(ErrorKind::Config, "there is no certificate to trust")
            .with("option", option)
            .with_hint("add the certificate of the authority that signed the brokers'"));
    }
    Ok(roots)
}

/// What the system trusts; a certificate that cannot be read is left out, as others do.
fn of_the_system() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Error::new(ErrorKind::Config, "this system trusts no authority")
            .with_hint("set ssl.truststore.location, or install the package ca-certificates"));
    }
    Ok(roots)
}

/// This client's certificates and key, if it has any.
fn identity(
    config: &Config,
    files: &mut Files,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
    let password = config.ssl_keystore_password().as_ref();
    let key = config.ssl_key_password().as_ref().or(password);
    let passwords = Passwords { store: password, key, wants_key: true };
    let inline =
        config.ssl_keystore_key().as_ref().zip(config.ssl_keystore_certificate_chain().as_ref());
    let option = keystore_option(config);
    let store = match (inline, config.ssl_keystore_location()) {
        (Some((key, chain)), _) => {
            let both = Secret::new(format!("{}\n{}", chain.reveal(), key.reveal()));
            open(option, both.reveal().as_bytes(), passwords)?
        }
        (None, Some(path)) => files.open_private(option, path, passwords)?,
        (None, None) => return Ok(None),
    };
    match store {
        Store { key: Some(key), chain, .. } if !chain.is_empty() => Ok(Some((chain, key))),
        Store { key, .. } => {
            let lacks =
                if key.is_none() { "it holds no private key" } else { "it holds no certificate" };
            Err(unusable(option, lacks))
        }
    }
}

/// Key and certificate that belong together, as far as it can be told. Certificates without
/// extensions (version 1), as OpenSSL makes them where nothing is asked, cannot be looked into; to
/// judge those of clients is the broker's business anyway.
fn certified(
    provider: &CryptoProvider,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    let certified = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
    match certified.keys_match() {
        Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(error),
        _ => Ok(certified),
    }
}

fn version(version: &TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::V1_2 => &rustls::version::TLS12,
        TlsVersion::V1_3 => &rustls::version::TLS13,
    }
}

/// The files that were read on the way.
#[derive(Default)]
struct Files {
    stamps: Vec<Stamp>,
    loose: Option<String>,
}

impl Files {
    fn open(
        &mut self,
        option: &'static str,
        path: &str,
        passwords: Passwords<'_>,
    ) -> Result<Store> {
        self.read(option, path, passwords).map(|(store, _)| store)
    }

    /// As [`Files::open`], for what nobody else should read.
    fn open_private(
        &mut self,
        option: &'static str,
        path: &str,
        passwords: Passwords<'_>,
    ) -> Result<Store> {
        let (store, data) = self.read(option, path, passwords)?;
        self.loose = is_loose(&data).then(|| path.to_owned());
        Ok(store)
    }

    fn read(
        &mut self,
        option: &'static str,
        path: &str,
        passwords: Passwords<'_>,
    ) -> Result<(Store, Metadata)> {
        let cannot = |error: io::Error| unusable(option, &error).with("file", path);
        let file = File::open(path).map_err(cannot)?;
        // Before the content: what changes between the two is noticed later.
        let data = file.metadata().map_err(cannot)?;
        self.stamps.push(Stamp { path: path.to_owned(), facts: facts(&data) });
        if !data.is_file() {
            return Err(unusable(option, "it is not a file").with("file", path));
        }
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() as u64 > LARGEST {
            return Err(unusable(option, "it is too large for a store").with("file", path));
        }
        let store = open(option, &bytes, passwords).map_err(|error| error.with("file", path))?;
        Ok((store, data))
    }
}

fn open(option: &'static str, bytes: &[u8], passwords: Passwords<'_>) -> Result<Store> {
    store::read(bytes, passwords, &mut Budget::default()).map_err(|error| unusable(option, error))
}

/// The option that a person would look at first.
fn keystore_option(config: &Config) -> &'static str {
    if config.ssl_keystore_key().is_some() { KEY } else { KEYSTORE }
}

fn unusable(option: &'static str, detail: impl ToString) -> Error {
    Error::new(ErrorKind::Config, "keys or certificates cannot be used")
        .with("option", option)
        .with("detail", detail.to_string())
        .with_hint("check the file, its type and its password")
}

#[cfg(unix)]
fn facts(data: &Metadata) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

#[cfg(not(unix))]
fn facts(data: &Metadata) -> Option<(SystemTime, u64, u64)> {
    Some((data.modified().ok()?, data.len(), 0))
}

/// Whether others than the owner may read it.
#[cfg(unix)]
fn is_loose(data: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    data.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_loose(_: &Metadata) -> bool {
    false
}

/// Java's own file of all public authorities has a quarter of a megabyte.
const LARGEST: u64 = 8 << 20;

const TRUSTSTORE: &str = "ssl.truststore.location";
const CERTIFICATES: &str = "ssl.truststore.certificates";
const KEYSTORE: &str = "ssl.keystore.location";
const KEY: &str = "ssl.keystore.key";
