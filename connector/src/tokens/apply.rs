//! A token for a client: its options and the tokens that there are in, options with which it logs in out.

use klamm_client::Secret;
use klamm_client::config::jaas::quoted;

use super::admin::GlobalLogin;
use super::store::{DelegationToken, TokenStore};
use crate::error::{Error, Result};
use crate::options::{ClusterSettings, TokenSettings};

/// The one cluster whose token is for these brokers, if there is one: among those that there are tokens of, that whose
/// expression matches one of the servers.
///
/// # Errors
/// `InvalidOption` when there are several, for a token of a cluster that has no settings any more, and for an expression
/// that takes too long.
pub fn matching<'a>(
    servers: &str,
    settings: &'a TokenSettings,
    tokens: &TokenStore,
) -> Result<Option<&'a ClusterSettings>> {
    one_of(servers, tokens.clusters().map(|id| settings.cluster(id)))
}

/// The one of these clusters that matches one of the servers.
pub(super) fn one_of<'a>(
    servers: &str,
    clusters: impl Iterator<Item = Result<&'a ClusterSettings>>,
) -> Result<Option<&'a ClusterSettings>> {
    let mut found = None;
    for cluster in clusters {
        let cluster = cluster?;
        if cluster.matches(servers)? && found.replace(cluster).is_some() {
            return Err(Error::option(format!(
                "More than one delegation token matches the following bootstrap servers: {servers}. Make the regular \
                 expressions of spark.kafka.clusters narrower"
            )));
        }
    }
    Ok(found)
}

/// The options of a client, with those of the matching token. What the user says of `security.protocol` stays; a login of
/// the user's own does not.
///
/// # Errors
/// As [`matching`]; `MISSING_KAFKA_OPTION` without bootstrap servers; a mechanism by which no token can log in.
pub fn apply(
    client: &[(String, String)],
    settings: &TokenSettings,
    tokens: &TokenStore,
    global: GlobalLogin,
) -> Result<Vec<(String, String)>> {
    let servers = servers(client)?;
    let mut applied = client.to_vec();
    if global == GlobalLogin::Present {
        return Ok(applied);
    }
    let Some(cluster) = matching(servers, settings, tokens)? else { return Ok(applied) };
    check_mechanism(cluster)?;
    let login = login_string(cluster, tokens)?;
    if value(client, PROTOCOL).is_none() {
        applied.push((PROTOCOL.to_owned(), cluster.security_protocol.clone()));
    }
    applied.retain(|(name, _)| name != LOGIN && name != MECHANISM);
    applied.push((LOGIN.to_owned(), login.reveal().to_owned()));
    applied.push((MECHANISM.to_owned(), cluster.mechanism.clone()));
    Ok(applied)
}

/// Whether a client that logs in by a token uses an older one than there is.
///
/// # Errors
/// `InvalidOption` when there is no token of the cluster any more.
pub fn needs_update(
    client: &[(String, String)],
    cluster: Option<&ClusterSettings>,
    tokens: &TokenStore,
) -> Result<bool> {
    let (Some(cluster), Some(used)) = (cluster, value(client, LOGIN)) else { return Ok(false) };
    Ok(login_string(cluster, tokens)?.reveal() != used)
}

/// The `sasl.jaas.config` that logs in by the token of a cluster.
///
/// # Errors
/// `InvalidOption` when there is none.
pub fn login_string(cluster: &ClusterSettings, tokens: &TokenStore) -> Result<Secret> {
    let DelegationToken { id, hmac, .. } = tokens
        .of_cluster(&cluster.id)
        .ok_or_else(|| Error::option(format!("Token for identifier {} must exist", cluster.id)))?;
    Ok(Secret::new(format!(
        "{SCRAM} required tokenauth=true serviceName={} username={} password={};",
        quoted(&cluster.service_name),
        quoted(id),
        quoted(hmac.reveal()),
    )))
}

/// Refuses a mechanism by which no token can log in.
pub(super) fn check_mechanism(cluster: &ClusterSettings) -> Result<()> {
    if cluster.mechanism.starts_with("SCRAM") {
        return Ok(());
    }
    Err(Error::option(format!(
        "Delegation token works only with SCRAM mechanism. Set spark.kafka.clusters.{}.sasl.token.mechanism to \
         SCRAM-SHA-512 or SCRAM-SHA-256",
        cluster.id
    )))
}

/// The bootstrap servers of a client.
pub(super) fn servers(client: &[(String, String)]) -> Result<&str> {
    value(client, "bootstrap.servers").ok_or_else(|| {
        Error::option(
            "Kafka option bootstrap.servers is not set. Please make sure it is set and retry.",
        )
        .with_condition("MISSING_KAFKA_OPTION")
    })
}

/// Whether whoever speaks a protocol logs in.
pub(super) fn has_login(protocol: &str) -> bool {
    protocol.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("SASL"))
}

/// The last value of a name.
pub(super) fn value<'a>(client: &'a [(String, String)], name: &str) -> Option<&'a str> {
    client.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

pub(super) const PROTOCOL: &str = "security.protocol";
pub(super) const LOGIN: &str = "sasl.jaas.config";
pub(super) const MECHANISM: &str = "sasl.mechanism";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
