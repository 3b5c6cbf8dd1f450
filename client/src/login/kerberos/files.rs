//! The files of Kerberos on this machine. In: where they are; out: who this client is and what proves
//! it, and where KDCs are. All are bounded, and read again each time: administrators replace them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::config::{KerberosPlan, KeyPlace};
use crate::error::{Error, ErrorKind, Result};
use crate::kerberos::conf::{Conf, Include};
use crate::kerberos::keytab::{Entry, Keytab};
use crate::kerberos::messages::Ticket;
use crate::kerberos::{KerberosError, Principal, ccache};

/// What was read.
pub(super) struct Files {
    pub(super) client: Principal,
    pub(super) proof: Proof,
    /// Where that was.
    pub(super) place: String,
    pub(super) conf: Conf,
    /// Where this was.
    pub(super) conf_place: String,
}

/// What proves who this client is.
pub(super) enum Proof {
    /// Its keys, the newest first.
    Keys(Vec<Entry>),
    /// A ticket that somebody else got.
    Ticket(Arc<Ticket>),
}

impl Files {
    /// Blocks while it reads.
    pub(super) fn read(plan: &KerberosPlan) -> Result<Self> {
        let (conf, conf_place) = conf(plan.conf.as_deref())?;
        let (client, proof, place) = match &plan.from {
            KeyPlace::Keytab { path, principal } => {
                let client = whole(principal, &conf, &conf_place)?;
                let keys = keys(path, &client)?;
                (client, Proof::Keys(keys), path.clone())
            }
            KeyPlace::Cache { path, principal } => {
                let path = cache_path(path.as_deref())?;
                let ticket = cached(&path)?;
                if let Some(principal) = principal {
                    let wanted = whole(principal, &conf, &conf_place)?;
                    if wanted != ticket.client {
                        return Err(unusable("the ticket cache is somebody else's", &path)
                            .with("principal", &ticket.client)
                            .with_hint(format!("run kinit {wanted}")));
                    }
                }
                (ticket.client.clone(), Proof::Ticket(Arc::new(ticket)), path)
            }
        };
        Ok(Self { client, proof, place, conf, conf_place })
    }
}

/// The name with its realm.
fn whole(principal: &Principal, conf: &Conf, place: &str) -> Result<Principal> {
    let mut principal = principal.clone();
    if principal.realm.is_empty() {
        let default = conf.default_realm.clone();
        principal.realm = default.ok_or_else(|| {
            unusable("there is no default_realm for a principal without one", place)
                .with_hint("write principal=\"name@REALM\" in sasl.jaas.config")
        })?;
    }
    Ok(principal)
}

fn keys(path: &str, client: &Principal) -> Result<Vec<Entry>> {
    let what = "the keytab cannot be used";
    let bytes = read(path).map_err(|detail| unusable(what, path).with("detail", detail))?;
    warn_if_shared(path);
    let keytab = Keytab::parse(&bytes).map_err(|error| {
        unusable(what, path).with("detail", &error).with_hint("make another").with_source(error)
    })?;
    let keys: Vec<_> = keytab.keys_of(client).into_iter().cloned().collect();
    if keys.is_empty() {
        return Err(unusable("the keytab has no key of the principal", path)
            .with("principal", client)
            .with_hint("check principal in sasl.jaas.config; klist -k shows what is there"));
    }
    if keys.iter().all(|entry| entry.key.is_none()) {
        return Err(unusable("the keytab has only keys of DES or RC4, which are unsafe", path)
            .with("principal", client)
            .with_hint("make another with AES keys"));
    }
    Ok(keys)
}

/// As MIT's library looks for it.
fn cache_path(path: Option<&str>) -> Result<String> {
    let named = path.map(str::to_owned).or_else(|| std::env::var("KRB5CCNAME").ok());
    let Some(named) = named.or_else(default_cache) else {
        return Err(Error::new(ErrorKind::Config, "nothing says where the ticket cache is")
            .with_hint("write ticketCache=\"...\" in sasl.jaas.config, or set KRB5CCNAME"));
    };
    match named.split_once(':') {
        Some(("FILE", path)) => Ok(path.to_owned()),
        Some((kind, _)) if !kind.contains('/') => {
            Err(unusable("only ticket caches in files are supported", &named)
                .with_hint("set KRB5CCNAME to FILE:... for kinit, too"))
        }
        _ => Ok(named),
    }
}

/// Where `kinit` puts it if nobody says otherwise.
fn default_cache() -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let process = std::fs::metadata("/proc/self").ok()?;
        Some(format!("/tmp/krb5cc_{}", process.uid()))
    }
    #[cfg(not(unix))]
    None
}

fn cached(path: &str) -> Result<Ticket> {
    let what = "the ticket cache cannot be used";
    let bytes = read(path).map_err(|detail| unusable(what, path).with("detail", detail))?;
    let ticket = ccache::parse(&bytes).map_err(|error: KerberosError| {
        unusable(what, path).with("detail", &error).with_hint("run kinit").with_source(error)
    })?;
    if ticket.end <= SystemTime::now() {
        return Err(Error::new(ErrorKind::Authentication, "the ticket in the cache has expired")
            .with("file", path)
            .with("principal", &ticket.client)
            .with_hint("run kinit, or use a keytab"));
    }
    Ok(ticket)
}

/// All files that `KRB5_CONFIG` names, if the options name none.
fn conf(path: Option<&str>) -> Result<(Conf, String)> {
    let named = path.map(str::to_owned).or_else(|| std::env::var("KRB5_CONFIG").ok());
    let named = named.unwrap_or_else(|| "/etc/krb5.conf".to_owned());
    let mut conf = Conf::default();
    // Of several, some may be missing.
    let (mut found, mut last) = (false, "it is not there".to_owned());
    for path in named.split(':').filter(|path| !path.is_empty()) {
        let text = match text(path) {
            Ok(text) => text,
            Err(detail) => {
                last = detail;
                continue;
            }
        };
        let mut budget = MOST_FILES;
        let read = Conf::parse(&text, &mut |include| included(include, &mut budget));
        let read = read.map_err(|error| {
            unusable("the configuration of Kerberos cannot be read", path)
                .with("detail", &error)
                .with_hint("mend it; KRB5_CONFIG or sasl.kerberos.krb5.conf names another")
                .with_source(error)
        })?;
        conf.merge(read);
        found = true;
    }
    if found {
        return Ok((conf, named));
    }
    Err(unusable("there is no configuration of Kerberos", &named)
        .with("detail", last)
        .with_hint("set KRB5_CONFIG or sasl.kerberos.krb5.conf to a krb5.conf"))
}

/// What is included and can be read, as far as it is not too much.
fn included(include: Include<'_>, budget: &mut usize) -> Vec<String> {
    let mut paths = match include {
        Include::File(path) => vec![Path::new(path).to_owned()],
        Include::Folder(path) => {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let named = entries.map(|entry| entry.path()).take(MOST_FILES);
            named
                .filter(|path| path.file_name().is_some_and(|name| counts(&name.to_string_lossy())))
                .collect()
        }
    };
    paths.sort();
    paths.truncate(*budget);
    *budget -= paths.len();
    paths.iter().filter_map(|path| text(&path.to_string_lossy()).ok()).collect()
}

/// As MIT's library chooses, so that no editor's copy is read.
fn counts(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    plain || (name.ends_with(".conf") && !name.starts_with('.'))
}

fn text(path: &str) -> Result<String, String> {
    let bytes = read(path)?;
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

fn read(path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST { Err("it is too large".to_owned()) } else { Ok(bytes) }
}

/// Whoever reads a keytab can be this client.
fn warn_if_shared(path: &str) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0, |data| data.permissions().mode());
        if mode & 0o077 != 0 {
            tracing::warn!(path, "others may read the keytab: chmod 600 it");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

fn unusable(what: &'static str, path: &str) -> Error {
    Error::new(ErrorKind::Config, what)
        .with("file", path)
        .with_hint("check the path, and that this process may read it")
}

const LARGEST: u64 = 1 << 20;
const MOST_FILES: usize = 64;
