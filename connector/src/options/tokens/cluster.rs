//! One cluster that tokens come from: the options `spark.kafka.clusters.<cluster>.*` in, checked settings out.

use std::collections::BTreeMap;

use klamm_client::Secret;

use crate::error::{Error, Result, nearest};
use crate::regex::JavaRegex;

/// Where and how to get a token, and whom it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSettings {
    /// The name that the options give it.
    pub id: String,
    /// Who gives the token.
    pub auth_servers: String,
    /// How the token's giver is reached, and, where a source or sink says nothing, the brokers the token is for.
    pub security_protocol: String,
    /// The name under which brokers run in Kerberos; also printed into the login string.
    pub service_name: String,
    /// The trusted certificates.
    pub truststore: StoreFile,
    /// This side's key.
    pub keystore: StoreFile,
    /// The password of the key.
    pub key_password: Option<Secret>,
    /// The mechanism by which the token logs in.
    pub mechanism: String,
    /// Options of the client that gets the token, stronger than all of the above.
    pub client: Vec<(String, Secret)>,
    target: JavaRegex,
}

/// A file of keys or certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFile {
    /// Its form.
    pub kind: Option<String>,
    /// Where it lies.
    pub location: Option<String>,
    /// What opens it.
    pub password: Option<Secret>,
}

impl ClusterSettings {
    /// Whether tokens are needed where this protocol is spoken.
    pub fn needs_token(&self) -> bool {
        ["SASL_SSL", "SSL", "SASL_PLAINTEXT"].contains(&self.security_protocol.as_str())
    }

    /// Whether the token is for one of these brokers: `host:port` with commas between, one of which the whole
    /// expression has to match.
    ///
    /// # Errors
    /// `InvalidOption` when the expression takes too long.
    pub fn matches(&self, servers: &str) -> Result<bool> {
        for server in servers.split(',').map(str::trim).filter(|server| !server.is_empty()) {
            let found = self.target.matches(server);
            let found = found.map_err(|reason| self.refused(TARGET, &reason))?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn refused(&self, setting: &str, reason: &str) -> Error {
        Error::option(format!("{} cannot be used: {reason}", full(&self.id, setting)))
    }
}

/// What was given for one cluster, by the part of the name after the cluster's.
#[derive(Default)]
pub(super) struct Given {
    settings: BTreeMap<&'static str, String>,
    client: BTreeMap<String, Secret>,
}

impl Given {
    /// Takes a setting; a later value of the same name wins.
    ///
    /// # Errors
    /// `InvalidOption` for a name that nobody knows, which Spark ignores.
    pub(super) fn add(&mut self, id: &str, setting: &str, value: String) -> Result<()> {
        let known = SETTINGS.iter().find(|known| known.eq_ignore_ascii_case(setting));
        if let Some(known) = known {
            self.settings.insert(known, value);
        } else if let Some(key) = client_key(setting) {
            self.client.insert(key.to_owned(), Secret::new(value));
        } else {
            let name = full(id, setting);
            let hint = match nearest(setting, SETTINGS) {
                Some(near) => format!("did you mean '{}'?", full(id, near)),
                None => format!("options of the Kafka client start with '{}'", full(id, CLIENT)),
            };
            return Err(Error::option(format!("Unknown option '{name}'; {hint}")));
        }
        Ok(())
    }

    /// # Errors
    /// `InvalidOption` without the servers, or for an expression that is none.
    pub(super) fn finish(mut self, id: String) -> Result<ClusterSettings> {
        let mut take = |name| self.settings.remove(name);
        let auth_servers = take(AUTH).ok_or_else(|| missing(&id))?;
        let target = take(TARGET).unwrap_or_else(|| ".*".to_owned());
        let target = JavaRegex::whole(&target).map_err(|reason| {
            let name = full(&id, TARGET);
            Error::option(format!("{name} '{target}' is no regular expression: {reason}"))
        })?;
        Ok(ClusterSettings {
            auth_servers,
            target,
            security_protocol: take(PROTOCOL).unwrap_or_else(|| "SASL_SSL".to_owned()),
            service_name: take(SERVICE).unwrap_or_else(|| "kafka".to_owned()),
            truststore: StoreFile {
                kind: take(TRUST[0]),
                location: take(TRUST[1]),
                password: take(TRUST[2]).map(Secret::new),
            },
            keystore: StoreFile {
                kind: take(KEYS[0]),
                location: take(KEYS[1]),
                password: take(KEYS[2]).map(Secret::new),
            },
            key_password: take(KEY_PASSWORD).map(Secret::new),
            mechanism: take(MECHANISM).unwrap_or_else(|| "SCRAM-SHA-512".to_owned()),
            client: self.client.into_iter().collect(),
            id,
        })
    }
}

/// The refusal of a cluster that nobody could get a token from, with the name of what is missing, as in Spark.
pub(super) fn missing(id: &str) -> Error {
    Error::option(format!("{} is not set: host:port of who gives the token", full(id, AUTH)))
}

fn client_key(setting: &str) -> Option<&str> {
    let (head, key) = setting.split_at_checked(CLIENT.len())?;
    (head.eq_ignore_ascii_case(CLIENT) && !key.is_empty()).then_some(key)
}

fn full(id: &str, setting: &str) -> String {
    format!("{CLUSTERS}{id}.{setting}")
}

/// What the options of clusters start with.
pub(super) const CLUSTERS: &str = "spark.kafka.clusters.";

const AUTH: &str = "auth.bootstrap.servers";
const TARGET: &str = "target.bootstrap.servers.regex";
const PROTOCOL: &str = "security.protocol";
const SERVICE: &str = "sasl.kerberos.service.name";
const TRUST: [&str; 3] =
    ["ssl.truststore.type", "ssl.truststore.location", "ssl.truststore.password"];
const KEYS: [&str; 3] = ["ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password"];
const KEY_PASSWORD: &str = "ssl.key.password";
const MECHANISM: &str = "sasl.token.mechanism";
/// What options of the client start with, after the cluster's name.
const CLIENT: &str = "kafka.";

const SETTINGS: [&str; 12] = [
    AUTH,
    TARGET,
    PROTOCOL,
    SERVICE,
    TRUST[0],
    TRUST[1],
    TRUST[2],
    KEYS[0],
    KEYS[1],
    KEYS[2],
    KEY_PASSWORD,
    MECHANISM,
];
