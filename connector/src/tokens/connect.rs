//! A client that is logged in: its options and the settings of logins and tokens in, a connected client out, whose token
//! is replaced while it works.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::config::jaas;
use klamm_client::credentials::{
    CredentialSource, Credentials, Obtaining, SaslMechanism, ScramHash, SharedCredentials,
};
use klamm_client::{Client, Config, Secret};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::admin::GlobalLogin;
use super::apply::{self, LOGIN, MECHANISM, PROTOCOL, has_login, value};
use super::file::LoginFile;
use super::obtain::obtain;
use super::redact::shown;
use super::renewal::Renewal;
use super::store::{DelegationToken, TokenStore, token_service};
use crate::error::{Error, Result};
use crate::options::{ClusterSettings, TokenSettings};

/// Connects a client by its own options and by these settings: with the login file, if it has an entry for clients; with
/// a token that is obtained here, of the one cluster that matches; or as its options say.
///
/// A token is obtained anew before it expires, and new connections use the new one. Where a cluster matches and gives no
/// token, nothing is tried without one: Spark would go on unsecured.
///
/// # Errors
/// `InvalidOption` before anything is contacted; `Client` when nobody answers or gives a token. Dropping the future
/// leaves nothing behind but, maybe, a token that expires.
pub async fn connect(client: &[(String, String)], settings: &TokenSettings) -> Result<Client> {
    if let Some(file) = LoginFile::of(settings).await? {
        let mut options = hidden(client);
        file.add_to(&mut options)?;
        return open(config(&options)?).await;
    }
    let Some(cluster) = wanted(client, settings)? else {
        check_login(client, settings)?;
        return open(config(&hidden(client))?).await;
    };
    let hash = hash(cluster)?;
    // With a stand-in, so that an option that is wrong is found before anything is contacted.
    config(&hidden(&by_token(client, cluster, settings, stand_in())?))?;
    let token = obtain(cluster, settings, None).await?;
    let mut renewal = Renewal::new(settings);
    renewal.obtained(now_ms(), token.expires_ms);
    let current = SharedCredentials::new(credentials(hash, &token));
    let options = by_token(client, cluster, settings, token)?;
    for (name, value) in &options {
        let value = shown(name, value);
        tracing::debug!(cluster = cluster.id, name, value, "logging in by a delegation token");
    }
    // The same login, from a place where it can be replaced.
    let config = config(&hidden(&options))?.with_sasl_jaas_config(None);
    let keeping = keep(cluster.clone(), settings.clone(), renewal, current.clone(), config.clone());
    let task = tokio::spawn(keeping);
    accepted(config.with_credentials(LiveToken { current, task })).await
}

/// Connects by a token that is new: brokers learn of it a moment later, and refuse it until then.
async fn accepted(config: Config) -> Result<Client> {
    let deadline = Instant::now() + LONGEST_SETTLING;
    loop {
        sleep(SETTLE).await;
        let error = match Client::connect(config.clone()).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        if error.kind() != klamm_client::ErrorKind::Authentication || Instant::now() > deadline {
            return Err(error.into());
        }
    }
}

/// The cluster whose token this client needs.
fn wanted<'a>(
    client: &[(String, String)],
    settings: &'a TokenSettings,
) -> Result<Option<&'a ClusterSettings>> {
    if !settings.enabled || settings.clusters.is_empty() {
        return Ok(None);
    }
    let obtainable = settings.clusters.values().filter(|cluster| cluster.needs_token());
    let found = apply::one_of(apply::servers(client)?, obtainable.map(Ok))?;
    // Whoever asks for a protocol without a login has no use for a token.
    Ok(found.filter(|_| value(client, PROTOCOL).is_none_or(has_login)))
}

/// The options of a client that logs in by a token.
fn by_token(
    client: &[(String, String)],
    cluster: &ClusterSettings,
    settings: &TokenSettings,
    token: DelegationToken,
) -> Result<Vec<(String, String)>> {
    let mut tokens = TokenStore::default();
    tokens.add(token_service(&cluster.id), token);
    apply::apply(client, settings, &tokens, GlobalLogin::Absent)
}

fn stand_in() -> DelegationToken {
    DelegationToken { id: "id".to_owned(), hmac: Secret::from("aG1hYw=="), expires_ms: 0 }
}

/// A token that is replaced until nobody uses it any more.
#[derive(Debug)]
struct LiveToken {
    current: SharedCredentials,
    task: JoinHandle<()>,
}

impl CredentialSource for LiveToken {
    fn credentials(&self) -> Obtaining<'_> {
        self.current.credentials()
    }
}

impl Drop for LiveToken {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Obtains tokens whenever it is time, and hands each on.
async fn keep(
    cluster: ClusterSettings,
    settings: TokenSettings,
    mut renewal: Renewal,
    current: SharedCredentials,
    target: Config,
) {
    loop {
        // In steps, since the machine may sleep meanwhile, and its clock be set.
        sleep(renewal.wait(now_ms()).min(LONGEST_SLEEP)).await;
        if !renewal.is_due(now_ms()) {
            continue;
        }
        match replacement(&cluster, &settings, &target).await {
            Ok((hash, token)) => {
                renewal.obtained(now_ms(), token.expires_ms);
                current.replace(credentials(hash, &token));
                tracing::debug!(cluster = cluster.id, token = token.id, "a new delegation token");
            }
            Err(error) => {
                renewal.failed(now_ms());
                let wait = renewal.wait(now_ms());
                tracing::warn!(cluster = cluster.id, %error, ?wait, "no new delegation token");
            }
        }
    }
}

/// A token that the target takes. The one in use goes on meanwhile.
async fn replacement(
    cluster: &ClusterSettings,
    settings: &TokenSettings,
    target: &Config,
) -> Result<(ScramHash, DelegationToken)> {
    let hash = hash(cluster)?;
    let token = obtain(cluster, settings, None).await?;
    accepted(target.clone().with_credentials(credentials(hash, &token))).await?;
    Ok((hash, token))
}

fn credentials(hash: ScramHash, token: &DelegationToken) -> Credentials {
    Credentials::delegation_token(hash, token.id.as_str(), token.hmac.clone())
}

fn hash(cluster: &ClusterSettings) -> Result<ScramHash> {
    apply::check_mechanism(cluster)?;
    let known = SaslMechanism::ALL.iter().filter(|one| one.name() == cluster.mechanism);
    known.filter_map(|one| one.scram_hash()).next().ok_or_else(|| {
        Error::option(format!(
            "{} is no mechanism of Kafka; set spark.kafka.clusters.{}.sasl.token.mechanism to SCRAM-SHA-512 or \
             SCRAM-SHA-256",
            cluster.mechanism, cluster.id
        ))
    })
}

/// Refuses a protocol with a login where nothing says how to log in, in Java's words.
fn check_login(client: &[(String, String)], settings: &TokenSettings) -> Result<()> {
    let is_bearer = value(client, MECHANISM) == Some(SaslMechanism::OauthBearer.name());
    let says = value(client, LOGIN).is_some() || is_bearer;
    if says || !value(client, PROTOCOL).is_some_and(has_login) {
        return Ok(());
    }
    let missing = jaas::no_client_entry(settings.login_file.as_deref());
    Err(Error::option(format!(
        "{missing}. Set kafka.sasl.jaas.config, or name a file with that entry"
    )))
}

async fn open(config: Config) -> Result<Client> {
    Ok(Client::connect(config).await?)
}

fn hidden(options: &[(String, String)]) -> Vec<(String, Secret)> {
    options.iter().map(|(name, value)| (name.clone(), Secret::from(value.as_str()))).collect()
}

fn config(options: &[(String, Secret)]) -> Result<Config> {
    let options = options.iter().map(|(name, value)| (name.as_str(), value.reveal()));
    Ok(Config::from_properties(options)?)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Brokers other than the one that made a token may learn of it a moment later.
const SETTLE: Duration = Duration::from_millis(500);
/// How long they may take until it counts as refused.
const LONGEST_SETTLING: Duration = Duration::from_secs(10);
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
