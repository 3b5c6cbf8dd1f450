//! Logging in to real Apache Kafka with access rules: each mechanism over each protocol, tokens of both
//! kinds, logins anew under load, and each way in which it can go wrong in one line.

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::admin::{NewToken, NewTopic, ScramChange, ScramMechanism};
use klamm_client::config::{GroupProtocol, OffsetReset, SecurityProtocol};
use klamm_client::consumer::{ConsumerOptions, Event, OffsetRange, ReadOptions};
use klamm_client::credentials::{Credentials, ScramHash, SharedCredentials};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config, Error, ErrorKind};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::records::RecordParts;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, in_test};
use klamm_testkit::token_server::{AUDIENCE, TokenServer};

use common::moving::moves_records;
use common::spans::Recorder;

#[test]
fn every_mechanism_over_both_protocols_makes_writes_and_reads() {
    let Some(secured) = Secured::start() else { return };
    run(async {
        secured.make_users().await;
        for listener in ["LOGIN", "LOGIN_TLS"] {
            let jaas = [
                ("PLAIN", login("PlainLoginModule", "alice", PASSWORD)),
                ("SCRAM-SHA-256", login("ScramLoginModule", "alice", PASSWORD)),
                ("SCRAM-SHA-512", login("ScramLoginModule", "alice", PASSWORD)),
                ("OAUTHBEARER", OAUTH.to_owned()),
            ];
            for (mechanism, jaas) in jaas {
                let client = works(secured.options(listener, mechanism, &jaas)).await;
                moves_records(&client, &format!("{listener}-{mechanism}")).await;
            }
        }
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("token");
        let token = secured.tokens.issue("alice", Duration::from_secs(60));
        std::fs::write(&file, token).expect("a file");
        let mut options =
            secured.options("LOGIN_TLS", "OAUTHBEARER", "OAuthBearerLoginModule required;");
        options.push((ENDPOINT, format!("file://{}", file.display())));
        moves_records(&works(options).await, "from-a-file").await;
    });
}

#[test]
fn a_delegation_token_is_a_login_and_ends_as_one() {
    let Some(secured) = Secured::start() else { return };
    run(async {
        secured.make_users().await;
        let jaas = login("ScramLoginModule", "alice", PASSWORD);
        let alice = works(secured.options("LOGIN_TLS", "SCRAM-SHA-512", &jaas)).await;
        let token = alice.create_token(&NewToken::default()).await.expect("a token");
        let hmac = token.credentials(ScramHash::Sha256);
        for (listener, hash) in [("LOGIN", ScramHash::Sha256), ("LOGIN_TLS", ScramHash::Sha512)] {
            let config = secured.config(listener, token.credentials(hash));
            let client = soon(config).await;
            moves_records(&client, &format!("token-{listener}")).await;
        }
        alice.expire_token(&token.hmac, None).await.expect("it is alice's");
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        let error = loop {
            assert!(tokio::time::Instant::now() < until, "an ended token goes on");
            match Client::connect(secured.config("LOGIN", hmac.clone())).await {
                Err(error) => break error,
                // Brokers learn of it a moment later.
                Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        one_line(&error, ErrorKind::Authentication, "the token may have expired");
    });
}

#[test]
fn connections_log_in_anew_under_load_without_an_error() {
    let Some(secured) = Secured::start() else { return };
    run(async {
        secured.make_users().await;
        secured.tokens.set_lifetime(Duration::from_secs(12));
        let scram = secured.options(
            "SHORT",
            "SCRAM-SHA-256",
            &login("ScramLoginModule", "alice", PASSWORD),
        );
        let oauth = secured.options("SHORT", "OAUTHBEARER", OAUTH);
        let alice = works(scram.clone()).await;
        let token = alice.create_token(&NewToken::default()).await.expect("a token");
        soon(secured.config("LOGIN", token.credentials(ScramHash::Sha512))).await;
        let shared = SharedCredentials::new(token.credentials(ScramHash::Sha512));
        let delegated = secured.config("SHORT", shared.clone());
        let replacing = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            let next = alice.create_token(&NewToken::default()).await.expect("another token");
            soon(secured.config("LOGIN", next.credentials(ScramHash::Sha512))).await;
            shared.replace(next.credentials(ScramHash::Sha512));
            alice.expire_token(&token.hmac, None).await.expect("it is alice's");
        };
        // Longer on demand.
        let seconds = std::env::var("KLAMM_LOGIN_SECONDS").ok().and_then(|text| text.parse().ok());
        let time = Duration::from_secs(seconds.unwrap_or(22));
        let config = |options| Config::from_properties(options).expect("options");
        tokio::join!(
            shares_for(config(scram.clone()), "next", GroupProtocol::Consumer, time),
            shares_for(config(oauth.clone()), "classic", GroupProtocol::Classic, time),
            runs_for(config(scram), "anew-scram", time),
            runs_for(config(oauth), "anew-oauth", time),
            runs_for(delegated, "anew-token", time),
            replacing,
        );
        assert!(secured.tokens.asked() >= 3, "tokens are replaced before they end");
    });
}

#[test]
fn every_failure_is_one_line_that_says_which_it_was_and_no_password() {
    let Some(secured) = Secured::start() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let said = Recorder::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let mut lines = String::new();
    runtime.expect("a runtime").block_on(async {
        secured.make_users().await;
        for (mechanism, module) in [
            ("PLAIN", "PlainLoginModule"),
            ("SCRAM-SHA-256", "ScramLoginModule"),
            ("SCRAM-SHA-512", "ScramLoginModule"),
        ] {
            for (user, password) in [("alice", CANARY), ("nobody", CANARY)] {
                let jaas = login(module, user, password);
                let options = secured.options("LOGIN", mechanism, &jaas);
                let error = refused(options, ErrorKind::Authentication, "refused the login").await;
                assert!(error.to_string().contains(user), "{error}");
                let _ = write!(lines, "{error:?}{error}");
            }
        }
        let scram = login("ScramLoginModule", "alice", CANARY);
        let narrow = secured.options("NARROW", "SCRAM-SHA-512", &scram);
        let error =
            refused(narrow, ErrorKind::Authentication, "does not offer the mechanism").await;
        assert!(error.to_string().contains("SCRAM-SHA-256"), "{error}");
        let _ = write!(lines, "{error:?}");

        let mut plain = secured.options("LOGIN", "SCRAM-SHA-512", &scram);
        plain.push(("bootstrap.servers", secured.kafka.bootstrap()));
        let words = "does not ask for a login";
        let error = refused(plain, ErrorKind::Authentication, words).await;
        let _ = write!(lines, "{error:?}");

        let mut tls = secured.options("LOGIN", "SCRAM-SHA-512", &scram);
        tls.push(("bootstrap.servers", secured.at("LOGIN_TLS")));
        let error = refused(tls, ErrorKind::NotKafka, "SASL_SSL").await;
        let _ = write!(lines, "{error:?}");

        let silent = vec![("bootstrap.servers", secured.at("LOGIN"))];
        refused(silent, ErrorKind::Disconnected, "security.protocol").await;

        let bearer = [
            (secured.tokens.forge("alice"), "invalid_token", "signature"),
            (secured.tokens.issue_expired("alice"), "invalid_token", "this one expired"),
        ];
        for (token, words, hint) in bearer {
            let credentials = Credentials::bearer(token.as_str(), []);
            let config = secured.config("LOGIN", credentials).with_allow_insecure_sasl(true);
            let error = Client::connect(config).await.expect_err(words);
            one_line(&error, ErrorKind::Authentication, words);
            assert!(error.to_string().contains(hint), "{error}");
            assert!(!format!("{error:?}").contains(&token), "{error:?}");
        }
        let module =
            format!(r#"OAuthBearerLoginModule required clientId="alice" clientSecret="{CANARY}";"#);
        let unknown = secured.options("LOGIN", "OAUTHBEARER", &module);
        let error = refused(unknown, ErrorKind::Authentication, "401: invalid_client").await;
        let _ = write!(lines, "{error:?}");

        let jaas = login("ScramLoginModule", "bob", PASSWORD);
        let bob = works(secured.options("LOGIN", "SCRAM-SHA-256", &jaas)).await;
        let made = bob.create_topics(&[NewTopic::new("bobs")]).await.remove(0);
        let code = made.expect_err("bob may do nothing").code();
        assert_eq!(code, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    });
    let _ = write!(lines, "{:?}{:?}", said.events(), said.spans());
    assert!(!lines.contains(CANARY), "a password was told");
}

/// Writes and reads one record after another for a while, with long polls on connections of their
/// own; none of it may fail.
async fn runs_for(config: Config, topic: &str, time: Duration) {
    let client = Client::connect(config).await.expect("it connects");
    client.create_topics(&[NewTopic::new(topic)]).await.remove(0).expect("alice may");
    let options =
        ProducerOptions::from_config(&client.config().clone().with_linger(Duration::ZERO));
    let producer = client.producer(options).expect("options");
    let end = tokio::time::Instant::now() + time;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let range = OffsetRange { topic: topic.into(), partition: 0, start: 0, stop: i64::MAX };
    let mut reader = client.read_ranges(vec![range], ReadOptions::default());
    let (mut written, mut read) = (0_u64, 0_u64);
    while tokio::time::Instant::now() < end || read < written {
        if tokio::time::Instant::now() < end {
            for _ in 0..20 {
                let value = written.to_be_bytes();
                let record = RecordParts::new(now, None, Some(&value));
                let _ = producer.append(topic, Some(0), record).await.expect("room");
                written += 1;
            }
            producer.flush().await.expect("written");
        }
        let batch = reader.next().await.expect("there is no end").expect("records");
        for record in batch.records() {
            let value = record.expect("a record").value().map(<[u8]>::to_vec);
            assert_eq!(value.as_deref(), Some(&read.to_be_bytes()[..]), "each once, in order");
            read += 1;
        }
    }
    assert_eq!(read, written);
    let counters = client.counters();
    let logins: u64 = counters
        .brokers
        .iter()
        .filter_map(|broker| broker.apis.get(&ApiKey::SaslHandshake))
        .map(|api| api.requests)
        .sum();
    let opened: u64 = counters.brokers.iter().map(|broker| broker.opened).sum();
    let closed: u64 = counters.brokers.iter().map(|broker| broker.closed).sum();
    // The first connection was to a bootstrap server, and is not kept.
    assert!(closed <= 1, "{closed} of {opened} connections were lost");
    assert!(logins >= opened + 6, "{logins} logins on {opened} connections");
}

/// Commits one transaction after another, which a group reads: a producer with a coordinator, and a
/// member whose heartbeats go on a connection of their own. Nobody may be lost to the group.
async fn shares_for(config: Config, topic: &str, protocol: GroupProtocol, time: Duration) {
    let client = Client::connect(config).await.expect("it connects");
    client.create_topics(&[NewTopic::new(topic)]).await.remove(0).expect("alice may");
    let mut options = ProducerOptions::from_config(client.config());
    options.transactional_id = Some(format!("id-of-{topic}"));
    let mut producer = client.transactional_producer(options).expect("options");
    let mut options = ConsumerOptions::from_config(client.config());
    options.group = Some(format!("group-of-{topic}"));
    options.protocol = protocol;
    options.offset_reset = OffsetReset::Earliest;
    options.heartbeat_interval = Duration::from_millis(500);
    options.auto_commit = Some(Duration::from_millis(200));
    let mut consumer = client.consumer(options).expect("options");
    consumer.subscribe([topic.to_owned()]).expect("a topic");
    let end = tokio::time::Instant::now() + time;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let (mut written, mut read) = (0_u64, 0_u64);
    while tokio::time::Instant::now() < end || read < written {
        if tokio::time::Instant::now() < end {
            let transaction = producer.begin().await.expect("it begins");
            for _ in 0..5 {
                let value = written.to_be_bytes();
                let record = RecordParts::new(now, None, Some(&value));
                let _ = transaction.append(topic, Some(0), record).await.expect("room");
                written += 1;
            }
            transaction.commit().await.expect("committed");
        }
        let event = tokio::time::timeout(Duration::from_millis(50), consumer.next()).await;
        match event.map(|event| event.expect("there is no end").expect("no error")) {
            Ok(Event::Records(records)) => {
                for record in records.records() {
                    let value = record.expect("a record").value().map(<[u8]>::to_vec);
                    assert_eq!(value.as_deref(), Some(&read.to_be_bytes()[..]), "each once");
                    read += 1;
                }
                assert!(consumer.ack(&records.receipt()), "{topic} was taken away");
            }
            Ok(Event::Lost(lost)) => panic!("{lost:?} were lost"),
            _ => {}
        }
    }
    assert!(written > 100, "{topic}: {written}");
}

/// A broker with listeners of each kind.
struct Secured {
    kafka: Kafka,
    tokens: TokenServer,
}

impl Secured {
    fn start() -> Option<Self> {
        let clients = [("alice", TOKEN_SECRET)];
        let tokens = TokenServer::start(&clients, None).expect("a port");
        let store = |name: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
            folder.join(name).display().to_string()
        };
        let urls = format!("{},{}", tokens.url(), tokens.jwks_url());
        let security = "org.apache.kafka.common.security";
        let mut config = KafkaConfig::version(apache::NEWEST)
            .listener("LOGIN", "SASL_PLAINTEXT")
            .listener("LOGIN_TLS", "SASL_SSL")
            .listener("SHORT", "SASL_PLAINTEXT")
            .listener("NARROW", "SASL_PLAINTEXT")
            .property("ssl.keystore.type", "PEM")
            .property("ssl.keystore.location", store("broker.pem"))
            .property("delegation.token.secret.key", "a secret of the test's")
            .property("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER")
            .property("listener.name.narrow.sasl.enabled.mechanisms", "SCRAM-SHA-256")
            .property("sasl.oauthbearer.jwks.endpoint.url", tokens.jwks_url())
            .property("sasl.oauthbearer.expected.audience", AUDIENCE)
            .jvm_argument(format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={urls}"))
            .access_rules()
            .property("allow.everyone.if.no.acl.found", "false")
            .property("super.users", "User:ANONYMOUS;User:alice");
        for listener in ["login", "login_tls", "short", "narrow"] {
            let of =
                |mechanism: &str, key: &str| format!("listener.name.{listener}.{mechanism}.{key}");
            let scram = format!("{security}.scram.ScramLoginModule required;");
            let plain =
                format!(r#"{security}.plain.PlainLoginModule required user_alice="{PASSWORD}";"#);
            let bearer = format!("{security}.oauthbearer.OAuthBearerLoginModule required;");
            let handler = format!("{security}.oauthbearer.OAuthBearerValidatorCallbackHandler");
            config = config
                .property(of("plain", "sasl.jaas.config"), plain)
                .property(of("scram-sha-256", "sasl.jaas.config"), scram.clone())
                .property(of("scram-sha-512", "sasl.jaas.config"), scram)
                .property(of("oauthbearer", "sasl.jaas.config"), bearer)
                .property(of("oauthbearer", "sasl.server.callback.handler.class"), handler);
        }
        for mechanism in ["scram-sha-256", "scram-sha-512", "oauthbearer"] {
            let key = format!("listener.name.short.{mechanism}.connections.max.reauth.ms");
            config = config.property(key, "5000");
        }
        let kafka = in_test(Kafka::start(config))?;
        Some(Self { kafka, tokens })
    }

    fn at(&self, listener: &str) -> String {
        self.kafka.bootstrap_of(listener).expect("it was asked for")
    }

    /// By who need not log in, and may do everything.
    async fn make_users(&self) {
        let client = common::connect(&self.kafka).await;
        let mechanisms = [ScramMechanism::Sha256, ScramMechanism::Sha512];
        let changes: Vec<_> = mechanisms
            .into_iter()
            .flat_map(|mechanism| ["alice", "bob"].map(|user| (user, mechanism)))
            .map(|(user, mechanism)| ScramChange::set(user, mechanism, PASSWORD))
            .collect();
        for done in client.alter_scram_users(&changes).await {
            done.expect("a user");
        }
        // The brokers' logins learn of them a moment later.
        for user in ["alice", "bob"] {
            for hash in [ScramHash::Sha256, ScramHash::Sha512] {
                soon(self.config("LOGIN", Credentials::scram(hash, user, PASSWORD))).await;
            }
        }
    }

    /// Options as a user of Java's clients writes them.
    fn options(&self, listener: &str, mechanism: &str, jaas: &str) -> Vec<(&'static str, String)> {
        let ca = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/ca.pem");
        let mut options = vec![
            ("bootstrap.servers", self.at(listener)),
            ("security.protocol", protocol(listener).to_owned()),
            ("sasl.mechanism", mechanism.to_owned()),
            ("sasl.jaas.config", jaas.to_owned()),
            ("allow.insecure.sasl", "true".to_owned()),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", ca.display().to_string()),
        ];
        if mechanism == "OAUTHBEARER" {
            options.push((ENDPOINT, self.tokens.url()));
        }
        options
    }

    /// The same from a program.
    fn config(
        &self,
        listener: &str,
        source: impl Into<klamm_client::credentials::Source>,
    ) -> Config {
        let ca = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/ca.pem"),
        );
        let protocol = match protocol(listener) {
            "SASL_SSL" => SecurityProtocol::SaslSsl,
            _ => SecurityProtocol::SaslPlaintext,
        };
        common::config(&self.at(listener))
            .with_security_protocol(protocol)
            .with_ssl_truststore_type(klamm_client::config::StoreType::Pem)
            .with_ssl_truststore_certificates(Some(ca.expect("the authority").into()))
            .with_credentials(source)
    }
}

fn protocol(listener: &str) -> &'static str {
    if listener == "LOGIN_TLS" { "SASL_SSL" } else { "SASL_PLAINTEXT" }
}

fn login(module: &str, user: &str, password: &str) -> String {
    format!(r#"org.apache.kafka.x.{module} required username="{user}" password="{password}";"#)
}

async fn works(options: Vec<(&'static str, String)>) -> Client {
    let config = Config::from_properties(options).expect("options");
    Client::connect(config).await.expect("it connects")
}

/// Connects by a token that was just made: brokers learn of it a moment later.
async fn soon(config: Config) -> Client {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        match Client::connect(config.clone()).await {
            Ok(client) => return client,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn refused(options: Vec<(&'static str, String)>, kind: ErrorKind, words: &str) -> Error {
    let config = Config::from_properties(options).expect("options");
    let connected = tokio::time::timeout(Duration::from_secs(10), Client::connect(config)).await;
    let error = connected.expect("in time").expect_err(words);
    one_line(&error, kind, words);
    error
}

fn one_line(error: &Error, kind: ErrorKind, words: &str) {
    let line = error.to_string();
    assert!(line.contains(words) && line.contains("; ") && !line.contains('\n'), "{line}");
    assert_eq!(error.kind(), kind, "{line}");
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
}

const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const OAUTH: &str = r#"org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required
    clientId="alice" clientSecret="secret-of-alice" scope="kafka";"#;
const TOKEN_SECRET: &str = "secret-of-alice";
const PASSWORD: &str = "alicepw";
/// Appears in nothing that anybody is told.
const CANARY: &str = "canary-Pa55word";
