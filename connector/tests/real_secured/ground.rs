//! A broker whose clients need certificates, logins, or both. In: certificates made on the spot, a token server; out: the
//! options with which a user gets in.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use klamm_client::admin::{
    ConfigChanges, ConfigResource, Effect, NewTopic, ScramChange, ScramMechanism,
};
use klamm_client::{Client, Config};
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::certificates::Authority;
use klamm_testkit::outside::{Cluster as _, in_test};
use klamm_testkit::token_server::{AUDIENCE, TokenServer};
use tempfile::TempDir;

/// Name and value pairs of the connector.
pub(crate) type Options = Vec<(&'static str, String)>;

/// The broker, and what it trusts.
pub(crate) struct Ground {
    kafka: Kafka,
    tokens: TokenServer,
    authority: Authority,
    folder: TempDir,
}

impl Ground {
    /// A broker, or `None` after saying why there is none. Sessions of the listener `SHORT` end after five seconds,
    /// tokens of either kind after ten.
    pub(crate) fn start() -> Option<Self> {
        let tokens = TokenServer::start(&[("alice", SECRET)], None).expect("a port");
        tokens.set_lifetime(TOKENS);
        let authority = Authority::new("Klamm's test");
        let folder = TempDir::new().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("ca.pem"), authority.pem()).expect("a file");
        swap(&folder, &authority, "broker");
        swap(&folder, &authority, "alice");
        let urls = format!("{},{}", tokens.url(), tokens.jwks_url());
        let life = TOKENS.as_millis().to_string();
        let config = KafkaConfig::version(apache::NEWEST)
            .listener("MUTUAL", "SSL")
            .listener("SHORT", "SASL_SSL")
            .property("auto.create.topics.enable", "false")
            .property("ssl.keystore.type", "PEM")
            .property("ssl.keystore.location", path("broker.pem"))
            .property("ssl.truststore.type", "PEM")
            .property("ssl.truststore.location", path("ca.pem"))
            .property("listener.name.mutual.ssl.client.auth", "required")
            .property("listener.name.short.ssl.client.auth", "required")
            .property("delegation.token.secret.key", "a secret of the test's")
            .property("delegation.token.max.lifetime.ms", life.clone())
            .property("delegation.token.expiry.time.ms", life)
            .property("delegation.token.expiry.check.interval.ms", "1000")
            .property("sasl.enabled.mechanisms", "SCRAM-SHA-512,OAUTHBEARER")
            .property("sasl.oauthbearer.jwks.endpoint.url", tokens.jwks_url())
            .property("sasl.oauthbearer.expected.audience", AUDIENCE)
            .property("connections.max.reauth.ms", "5000")
            .property(
                "listener.name.short.scram-sha-512.sasl.jaas.config",
                format!("{SECURITY}.scram.ScramLoginModule required;"),
            )
            .property(
                "listener.name.short.oauthbearer.sasl.jaas.config",
                format!("{SECURITY}.oauthbearer.OAuthBearerLoginModule required;"),
            )
            .property(
                "listener.name.short.oauthbearer.sasl.server.callback.handler.class",
                format!("{SECURITY}.oauthbearer.OAuthBearerValidatorCallbackHandler"),
            )
            .jvm_argument(format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={urls}"))
            .access_rules()
            .property("allow.everyone.if.no.acl.found", "false")
            .property("super.users", "User:ANONYMOUS;User:CN=alice;User:alice");
        let kafka = in_test(Kafka::start(config))?;
        Some(Self { kafka, tokens, authority, folder })
    }

    /// Without a login, and above all rules.
    pub(crate) async fn admin(&self) -> Client {
        let config = Config::new(&self.kafka.bootstrap()).expect("an address");
        Client::connect(config).await.expect("it connects")
    }

    pub(crate) async fn topic(&self, admin: &Client, name: &str, partitions: i32) {
        let topic = NewTopic::new(name).with_partitions(partitions);
        admin.create_topics(&[topic]).await.remove(0).expect("a topic");
    }

    /// A user with [`PASSWORD`], who may do nothing yet.
    pub(crate) async fn user(&self, admin: &Client, name: &str) {
        let change = ScramChange::set(name, ScramMechanism::Sha512, PASSWORD);
        admin.alter_scram_users(&[change]).await.remove(0).expect("a user");
    }

    /// How often the token server was asked.
    pub(crate) fn tokens_asked(&self) -> usize {
        self.tokens.asked()
    }

    /// The way in by a user's password.
    pub(crate) fn by_password(&self, user: &str) -> Options {
        let module = format!(
            r#"{SECURITY}.scram.ScramLoginModule required username="{user}" password="{PASSWORD}";"#
        );
        let login = [
            ("kafka.sasl.mechanism", "SCRAM-SHA-512".to_owned()),
            ("kafka.sasl.jaas.config", module),
        ];
        [self.encrypted(), login.into()].concat()
    }

    /// The way in by tokens of the token server.
    pub(crate) fn by_bearer(&self) -> Options {
        let module = format!(
            r#"{SECURITY}.oauthbearer.OAuthBearerLoginModule required clientId="alice" clientSecret="{SECRET}";"#
        );
        let login = [
            ("kafka.sasl.mechanism", "OAUTHBEARER".to_owned()),
            ("kafka.sasl.jaas.config", module),
            ("kafka.sasl.oauthbearer.token.endpoint.url", self.tokens.url()),
            // The token server's part, on this machine, is not encrypted.
            ("kafka.allow.insecure.sasl", "true".to_owned()),
        ];
        [self.encrypted(), login.into()].concat()
    }

    /// The way in by delegation tokens, which a certificate obtains.
    pub(crate) fn by_delegation(&self) -> Options {
        let cluster = [
            ("spark.kafka.clusters.here.auth.bootstrap.servers", self.at("MUTUAL")),
            ("spark.kafka.clusters.here.security.protocol", "SSL".to_owned()),
            ("spark.kafka.clusters.here.kafka.ssl.truststore.type", "PEM".to_owned()),
            ("spark.kafka.clusters.here.kafka.ssl.truststore.location", self.path("ca.pem")),
            ("spark.kafka.clusters.here.kafka.ssl.keystore.type", "PEM".to_owned()),
            ("spark.kafka.clusters.here.kafka.ssl.keystore.location", self.path("alice.pem")),
        ];
        [self.encrypted(), cluster.into()].concat()
    }

    /// The listener with short sessions, by TLS with a certificate.
    fn encrypted(&self) -> Options {
        vec![
            ("kafka.bootstrap.servers", self.at("SHORT")),
            ("kafka.security.protocol", "SASL_SSL".to_owned()),
            ("kafka.ssl.truststore.type", "PEM".to_owned()),
            ("kafka.ssl.truststore.location", self.path("ca.pem")),
            ("kafka.ssl.keystore.type", "PEM".to_owned()),
            ("kafka.ssl.keystore.location", self.path("alice.pem")),
        ]
    }

    /// New certificates for the broker, which is told, and for the client, which finds out.
    pub(crate) async fn swap_certificates(&self, admin: &Client) {
        swap(&self.folder, &self.authority, "alice");
        swap(&self.folder, &self.authority, "broker");
        let listener = |name: &str| format!("listener.name.{name}.ssl.keystore.location");
        let location = self.path("broker.pem");
        let changes = ConfigChanges::new(ConfigResource::broker(1))
            .set(listener("short"), location.clone())
            .set(listener("mutual"), location);
        admin
            .alter_configs(&[changes], Effect::Apply)
            .await
            .remove(0)
            .expect("the broker takes it");
    }

    fn at(&self, listener: &str) -> String {
        self.kafka.bootstrap_of(listener).expect("it was asked for")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// A new certificate in the place of the old, in one step.
fn swap(folder: &TempDir, authority: &Authority, name: &str) {
    let place = |name: String| -> PathBuf { Path::new(folder.path()).join(name) };
    let new = place(format!("{name}.new"));
    fs::write(&new, authority.issue(name, &["localhost"]).pem()).expect("a file");
    fs::rename(new, place(format!("{name}.pem"))).expect("a file");
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
}

/// How long a token lives.
pub(crate) const TOKENS: Duration = Duration::from_secs(10);

const PASSWORD: &str = "a user's password";
const SECRET: &str = "the client's secret";
const SECURITY: &str = "org.apache.kafka.common.security";
