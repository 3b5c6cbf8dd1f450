//! TLS to real Apache Kafka, with keys and certificates in every form that Java's users have, and
//! each way in which it can go wrong in one line.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use klamm_client::admin::NewTopic;
use klamm_client::{Client, Config, Error, ErrorKind};
use klamm_protocol::code::ErrorCode;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::certificates::{Authority, Identity};
use klamm_testkit::outside::{Cluster as _, in_test};
use tempfile::TempDir;

use common::moving::moves_records;

#[test]
fn encrypted_and_mutual_listeners_take_every_form_of_keys() {
    let Some(secured) = Secured::start() else { return };
    run(async {
        let trusts = ["ca.pem PEM", "java-trust.p12 PKCS12", "java-trust.jks JKS"];
        for (number, trust) in trusts.into_iter().enumerate() {
            let client = works(secured.config("ENCRYPTED", trust, None)).await;
            moves_records(&client, &format!("encrypted-{number}")).await;
        }
        let keys = [
            ("plain.pem PEM", None, None),
            ("encrypted-1.pem PEM", None, Some("keypass")),
            ("java.jks JKS", Some("storepw"), Some("keypass")),
            ("java.p12 PKCS12", Some("storepw"), None),
            ("openssl-legacy.p12 JKS", Some("storepw"), None),
        ];
        for (number, key) in keys.into_iter().enumerate() {
            for version in ["TLSv1.2", "TLSv1.3"] {
                let config = secured.config("MUTUAL", trusts[number % 3], Some(key));
                let client =
                    works([config, vec![("ssl.enabled.protocols", version.into())]].concat());
                let topic = format!("mutual-{number}-{version}");
                moves_records(&client.await, &topic).await;
            }
        }
    });
}

#[test]
fn every_failure_is_one_line_that_says_which_it_was() {
    let Some(secured) = Secured::start() else { return };
    run(async {
        let trust = "ca.pem PEM";
        for version in ["TLSv1.2", "TLSv1.3"] {
            let version = ("ssl.enabled.protocols", version.to_owned());
            let mutual = |identity: &Identity| {
                let mut config = secured.config("MUTUAL", trust, None);
                config.extend(shown(identity));
                config.push(version.clone());
                config
            };
            let unshown = [secured.config("MUTUAL", trust, None), vec![version.clone()]].concat();
            refused(unshown, ErrorKind::Tls, "demands a certificate of this client").await;
            let stranger = Authority::new("Stranger").issue("mallory", &[]);
            refused(mutual(&stranger), ErrorKind::Tls, "this client's certificate").await;
            let expired = secured.authority.issue_expired("alice", &[]);
            refused(mutual(&expired), ErrorKind::Tls, "this client's certificate").await;

            let stranger = Authority::new("Stranger").pem().to_owned();
            let unknown = vec![
                ("bootstrap.servers", secured.at("ENCRYPTED")),
                ("security.protocol", "SSL".to_owned()),
                ("ssl.truststore.type", "PEM".to_owned()),
                ("ssl.truststore.certificates", stranger),
                version.clone(),
            ];
            refused(unknown, ErrorKind::Tls, "unknown authority").await;
        }
        let by_address = secured.at("ENCRYPTED").replace("localhost", "127.0.0.1");
        let mut elsewhere = secured.config("ENCRYPTED", trust, None);
        elsewhere.push(("bootstrap.servers", by_address));
        refused(elsewhere, ErrorKind::Tls, "not for the host 127.0.0.1: it is for localhost").await;

        let expired = secured.config("EXPIRED", trust, None);
        let authority = ("ssl.truststore.certificates", secured.authority.pem().to_owned());
        let expired = expired.into_iter().filter(|(key, _)| *key != "ssl.truststore.location");
        let expired = expired.chain([authority]).collect();
        refused(expired, ErrorKind::Tls, "the broker's certificate has expired").await;

        let mut plain = secured.config("ENCRYPTED", trust, None);
        plain.push(("bootstrap.servers", secured.kafka.bootstrap()));
        refused(plain, ErrorKind::Disconnected, "hung up during the TLS handshake").await;
        let tls = vec![("bootstrap.servers", secured.at("ENCRYPTED"))];
        refused(tls, ErrorKind::NotKafka, "answers TLS").await;
    });
}

#[test]
fn a_certificate_is_a_login_and_what_it_may_not_do_is_refused() {
    let Some(secured) = Secured::start() else { return };
    run(async {
        let mut bob = secured.config("MUTUAL", "ca.pem PEM", None);
        bob.extend(shown(&secured.authority.issue("bob", &[])));
        let bob = works(bob).await;
        let made = bob.create_topics(&[NewTopic::new("bobs")]).await.remove(0);
        let code = made.expect_err("bob may do nothing").code();
        assert!(
            [ErrorCode::TOPIC_AUTHORIZATION_FAILED, ErrorCode::CLUSTER_AUTHORIZATION_FAILED]
                .map(Some)
                .contains(&code),
            "{code:?}"
        );
    });
}

/// A broker with listeners of each kind. Its certificate is from the authority of `tests/stores`;
/// it believes that one, and another whose key this test has.
struct Secured {
    kafka: Kafka,
    authority: Authority,
    _folder: TempDir,
}

impl Secured {
    fn start() -> Option<Self> {
        let authority = Authority::new("Klamm test, on the spot");
        let folder = TempDir::new().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let known = std::fs::read_to_string(store("ca.pem")).expect("the authority");
        let trusted = write("trusted.pem", &format!("{known}{}", authority.pem()));
        let expired =
            write("expired.pem", &authority.issue_expired("broker", &["localhost"]).pem());
        let config = KafkaConfig::version(apache::NEWEST)
            .listener("ENCRYPTED", "SSL")
            .listener("MUTUAL", "SSL")
            .listener("EXPIRED", "SSL")
            .property("ssl.keystore.type", "PEM")
            .property("ssl.keystore.location", store("broker.pem").display().to_string())
            .property("ssl.truststore.type", "PEM")
            .property("ssl.truststore.location", trusted)
            .property("listener.name.mutual.ssl.client.auth", "required")
            .property("listener.name.expired.ssl.keystore.type", "PEM")
            .property("listener.name.expired.ssl.keystore.location", expired)
            .access_rules()
            .property("allow.everyone.if.no.acl.found", "false")
            .property("super.users", "User:ANONYMOUS;User:CN=alice");
        let kafka = in_test(Kafka::start(config))?;
        Some(Self { kafka, authority, _folder: folder })
    }

    fn at(&self, listener: &str) -> String {
        self.kafka.bootstrap_of(listener).expect("it was asked for")
    }

    /// Options as a user of Java's clients writes them: stores are given as file and type, a key
    /// with the passwords of store and key.
    fn config(
        &self,
        listener: &str,
        trust: &str,
        key: Option<(&str, Option<&str>, Option<&str>)>,
    ) -> Vec<(&'static str, String)> {
        let mut config =
            vec![("bootstrap.servers", self.at(listener)), ("security.protocol", "SSL".to_owned())];
        let (file, kind) = trust.split_once(' ').expect("file and type");
        config.push(("ssl.truststore.location", store(file).display().to_string()));
        config.push(("ssl.truststore.type", kind.to_owned()));
        if kind != "PEM" {
            config.push(("ssl.truststore.password", "storepw".to_owned()));
        }
        let Some((key, store_password, key_password)) = key else { return config };
        let (file, kind) = key.split_once(' ').expect("file and type");
        config.push(("ssl.keystore.location", store(file).display().to_string()));
        config.push(("ssl.keystore.type", kind.to_owned()));
        let mut optional = |name, value: Option<&str>| {
            config.extend(value.map(|value| (name, value.to_owned())));
        };
        optional("ssl.keystore.password", store_password);
        optional("ssl.key.password", key_password);
        config
    }
}

/// A certificate in the options themselves.
fn shown(identity: &Identity) -> [(&'static str, String); 3] {
    [
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.key", identity.key.clone()),
        ("ssl.keystore.certificate.chain", identity.certificate.clone()),
    ]
}

async fn works(config: Vec<(&'static str, String)>) -> Client {
    let config = Config::from_properties(config).expect("options");
    Client::connect(config).await.expect("it connects")
}

async fn refused(config: Vec<(&'static str, String)>, kind: ErrorKind, words: &str) -> Error {
    let config = Config::from_properties(config).expect("options");
    let connected = tokio::time::timeout(Duration::from_secs(10), Client::connect(config)).await;
    let error = connected.expect("in time").expect_err(words);
    let line = error.to_string();
    assert!(line.contains(words) && line.contains("; ") && !line.contains('\n'), "{line}");
    assert_eq!(error.kind(), kind, "{line}");
    error
}

fn store(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores").join(name)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
}
