//! Obtaining tokens: settings in, a token of each cluster that gives one out, and the time when to ask again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use klamm_client::admin::NewToken;
use klamm_client::{Client, Config, Secret};

use super::admin::{GlobalLogin, admin_options};
use super::apply::{PROTOCOL, has_login};
use super::file::LoginFile;
use super::redact::shown;
use super::store::{DelegationToken, TokenStore, token_service};
use crate::error::{Error, Result};
use crate::options::{ClusterSettings, TokenSettings};

/// What came of it.
#[derive(Debug, Default)]
pub struct Obtained {
    /// The tokens.
    pub tokens: TokenStore,
    /// When the first of them expires, in milliseconds since 1970.
    pub first_expiry_ms: Option<i64>,
    /// Clusters that gave none, with the reason.
    pub failures: Vec<(String, Error)>,
}

/// Obtains a token from each cluster that needs one. A cluster that gives none is a warning, and the others go on.
///
/// Dropping the future leaves tokens on the clusters that nobody knows; they expire.
///
/// # Errors
/// `InvalidOption` for a login file that cannot be used.
pub async fn obtain_all(settings: &TokenSettings) -> Result<Obtained> {
    let file = LoginFile::of(settings).await?;
    let ask = async |cluster: &_| obtain(cluster, settings, file.as_ref()).await;
    Ok(obtain_with(settings, ask).await)
}

/// Obtains tokens from whom `obtain` asks.
pub(super) async fn obtain_with(
    settings: &TokenSettings,
    obtain: impl AsyncFn(&ClusterSettings) -> Result<DelegationToken>,
) -> Obtained {
    let mut obtained = Obtained::default();
    if !settings.enabled {
        return obtained;
    }
    for (id, cluster) in &settings.clusters {
        if !cluster.needs_token() {
            tracing::debug!("Cluster {id} does not require delegation token, skipping.");
            continue;
        }
        match obtain(cluster).await {
            Ok(token) => {
                let first = obtained.first_expiry_ms.get_or_insert(token.expires_ms);
                *first = token.expires_ms.min(*first);
                obtained.tokens.add(token_service(id), token);
            }
            Err(error) => {
                tracing::warn!(
                    "Failed to get token from service: kafka on cluster: {id}: {error}. If kafka is not used, please \
                     set spark.security.credentials.kafka.enabled to false"
                );
                obtained.failures.push((id.clone(), error));
            }
        }
    }
    obtained
}

/// Obtains a token of one cluster.
///
/// # Errors
/// `InvalidOption` for somebody else, or for options that the client refuses; `Client` when the cluster gives none.
pub(super) async fn obtain(
    cluster: &ClusterSettings,
    settings: &TokenSettings,
    file: Option<&LoginFile>,
) -> Result<DelegationToken> {
    if settings.proxy_user.is_some() {
        return Err(Error::option(
            "Obtaining delegation token for proxy user is not yet supported.",
        ));
    }
    let global = if file.is_some() { GlobalLogin::Present } else { GlobalLogin::Absent };
    let (mut options, warnings) = admin_options(cluster, settings, global);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    for (name, value) in &options {
        let value = shown(name, value.reveal());
        tracing::debug!(cluster = cluster.id, name, value, "obtaining a delegation token");
    }
    if let Some(file) = file {
        file.add_to(&mut options)?;
    }
    let protocol = options.iter().find(|(name, _)| name == PROTOCOL);
    if !protocol.is_some_and(|(_, protocol)| has_login(protocol.reveal())) {
        // Spark sets them for SSL as well, where nobody logs in by them.
        options.retain(|(name, _)| !name.starts_with("sasl."));
    }
    let options = options.iter().map(|(name, value)| (name.as_str(), value.reveal()));
    let client = Client::connect(Config::from_properties(options)?).await?;
    let token = client.create_token(&NewToken::default()).await?;
    Ok(DelegationToken {
        id: token.id,
        hmac: Secret::new(STANDARD.encode(&token.hmac.0)),
        expires_ms: token.expires_ms,
    })
}
