//! Options about logins and delegation tokens that are not the client's own (`spark.kafka.clusters.*` and others): names
//! and values in, checked settings out.

use std::collections::BTreeMap;
use std::time::Duration;

mod cluster;

use cluster::{CLUSTERS, Given, missing};

use super::table::{LOGIN, OptionRow};
use super::value;
use crate::error::{Error, Result, nearest};

pub use cluster::{ClusterSettings, StoreFile};

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSettings {
    /// Whether tokens are obtained at all.
    pub enabled: bool,
    /// Where tokens come from, by name.
    pub clusters: BTreeMap<String, ClusterSettings>,
    /// The keytab and its principal.
    pub keytab: Option<(String, String)>,
    /// A file of login configurations.
    pub login_file: Option<String>,
    /// In whose place to act.
    pub proxy_user: Option<String>,
    /// After which share of its life a token is replaced.
    pub renewal_ratio: f64,
    /// How long to wait at most after a failure.
    pub retry_wait: Duration,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            clusters: BTreeMap::new(),
            keytab: None,
            login_file: None,
            proxy_user: None,
            renewal_ratio: 0.75,
            retry_wait: Duration::from_secs(3600),
        }
    }
}

impl TokenSettings {
    /// Whether a name is one of these options. Case does not count, except in the names of clusters.
    pub fn knows(name: &str) -> bool {
        cluster_part(name).is_some() || known(name).is_some()
    }

    /// Reads names and values; a later value of the same name wins.
    ///
    /// # Errors
    /// `InvalidOption` for a name that is not [known](Self::knows), a value of the wrong form, a cluster without
    /// servers, and half of a keytab and its principal.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut plain: BTreeMap<&str, String> = BTreeMap::new();
        let mut clusters: BTreeMap<String, Given> = BTreeMap::new();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.into());
            if let Some(row) = known(name) {
                plain.insert(row.name, value);
            } else {
                let part = cluster_part(name).ok_or_else(|| unknown(name))?;
                let (id, setting) = part.split_once('.').unwrap_or((part, ""));
                if !id.is_empty() {
                    let given = clusters.entry(id.to_owned()).or_default();
                    if !setting.is_empty() {
                        given.add(id, setting, value)?;
                    }
                }
            }
        }
        let finished = clusters.into_iter().map(|(id, given)| Ok((id.clone(), given.finish(id)?)));
        let clusters = finished.collect::<Result<_>>()?;
        let given = |name: &str| plain.get(name).map(|text| (name.to_owned(), text.as_str()));
        let default = Self::default();
        Ok(Self {
            clusters,
            enabled: match given(ENABLED) {
                Some((name, text)) => value::boolean(&name, text)?,
                None => default.enabled,
            },
            renewal_ratio: match given(RATIO) {
                Some((name, text)) => ratio(&name, text)?,
                None => default.renewal_ratio,
            },
            retry_wait: match given(WAIT) {
                Some((name, text)) => value::time(&name, text)?,
                None => default.retry_wait,
            },
            keytab: both(plain.remove(KEYTAB), plain.remove(PRINCIPAL))?,
            login_file: plain.remove(FILE),
            proxy_user: plain.remove(PROXY),
        })
    }

    /// The cluster of this name.
    ///
    /// # Errors
    /// `InvalidOption` with the name of the option that it lacks.
    pub fn cluster(&self, id: &str) -> Result<&ClusterSettings> {
        self.clusters.get(id).ok_or_else(|| missing(id))
    }
}

/// The row of a name without a cluster in it.
fn known(name: &str) -> Option<&'static OptionRow> {
    LOGIN.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// What follows the prefix of clusters, as it was written.
fn cluster_part(name: &str) -> Option<&str> {
    let (head, part) = name.split_at_checked(CLUSTERS.len())?;
    head.eq_ignore_ascii_case(CLUSTERS).then_some(part)
}

fn unknown(name: &str) -> Error {
    let near = nearest(name, LOGIN.iter().map(|row| row.name));
    let hint = near.map_or("take it away".to_owned(), |near| format!("did you mean '{near}'?"));
    Error::option(format!("Unknown option '{name}'; {hint}"))
}

fn both(keytab: Option<String>, principal: Option<String>) -> Result<Option<(String, String)>> {
    match (keytab, principal) {
        (None, None) => Ok(None),
        (Some(keytab), Some(principal)) => Ok(Some((keytab, principal))),
        _ => Err(Error::option(format!(
            "Both principal and keytab must be defined, or neither. Set {KEYTAB} and {PRINCIPAL}"
        ))),
    }
}

fn ratio(name: &str, text: &str) -> Result<f64> {
    let ratio = text.trim().parse().ok().filter(|ratio| *ratio > 0.0 && *ratio < 1.0);
    ratio.ok_or_else(|| {
        Error::option(format!(
            "Invalid value '{text}' for option '{name}'; give a share such as 0.75"
        ))
    })
}

const ENABLED: &str = "spark.security.credentials.kafka.enabled";
const RATIO: &str = "spark.security.credentials.renewalRatio";
const WAIT: &str = "spark.security.credentials.retryWait";
const KEYTAB: &str = "spark.kerberos.keytab";
const PRINCIPAL: &str = "spark.kerberos.principal";
const FILE: &str = "java.security.auth.login.config";
const PROXY: &str = "proxy-user";
