//! Logging in to an embedded cluster that lets nobody in without: each mechanism, logins anew with
//! requests in flight, credentials that are replaced, and one line for what can be wrong.

mod common;

use std::time::Duration;

use klamm_client::admin::{NewToken, NewTopic, Principal, ScramChange, ScramMechanism};
use klamm_client::config::{SecurityProtocol, StoreType};
use klamm_client::credentials::{Credentials, ScramHash, SharedCredentials, Source};
use klamm_client::{Client, Config, Error, ErrorKind};
use klamm_protocol::api::ApiKey;
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_testkit::broker::{BearerCheck, ClusterConfig, LoginRules};
use klamm_testkit::certificates::Authority;
use klamm_testkit::door::{DoorConfig, EmbeddedCluster};
use klamm_testkit::token_server::TokenServer;
use tokio::time::Instant;

use common::moving::moves_records;
use common::spans::Recorder;

fn rules() -> LoginRules {
    LoginRules {
        mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
            .map(str::to_owned)
            .to_vec(),
        users: vec![("alice".to_owned(), "wonderland".to_owned())],
        bearer: Some(BearerCheck::new(|token| {
            (token == "good.token.").then(|| "alice".to_owned())
        })),
        session: None,
    }
}

async fn door(rules: LoginRules) -> EmbeddedCluster {
    let cluster = ClusterConfig { brokers: 2, login: Some(rules), ..ClusterConfig::default() };
    EmbeddedCluster::start(cluster).await.expect("free ports")
}

/// Only one server to start from, so that an error is that one's.
fn config(door: &EmbeddedCluster, source: impl Into<Source>) -> Config {
    common::config(&door.addresses()[0].to_string())
        .with_security_protocol(SecurityProtocol::SaslPlaintext)
        .with_allow_insecure_sasl(true)
        .with_credentials(source)
}

/// Asks both brokers, not only the one that was met first.
async fn works(config: Config) -> Client {
    let client = Client::connect(config).await.expect("it connects");
    for node in [1, 2] {
        let handle = client.cluster().broker(node, soon()).await.expect("each lets alice in");
        drop(handle);
    }
    client.topic_names().await.expect("and answers");
    client
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn refused(config: Config, kind: ErrorKind, words: &str) -> Error {
    let connected = tokio::time::timeout(Duration::from_secs(10), Client::connect(config)).await;
    let error = connected.expect("in time").expect_err(words);
    let line = error.to_string();
    assert!(line.contains(words) && line.contains("; ") && !line.contains('\n'), "{line}");
    assert_eq!(error.kind(), kind, "{line}");
    assert!(!error.is_retriable(), "{line}");
    error
}

/// How often this client logged in, and how many of its connections have ended.
fn logins(client: &Client) -> (u64, u64) {
    let brokers = client.counters().brokers;
    let handshakes = brokers.iter().filter_map(|one| one.apis.get(&ApiKey::SaslHandshake));
    let logins = handshakes.map(|api| api.answers).sum();
    (logins, brokers.iter().filter(|one| one.id.is_some()).map(|one| one.closed).sum())
}

#[tokio::test]
async fn each_mechanism_is_a_login_at_every_broker() {
    let door = door(rules()).await;
    let ways = [
        Credentials::plain("alice", "wonderland"),
        Credentials::scram(ScramHash::Sha256, "alice", "wonderland"),
        Credentials::scram(ScramHash::Sha512, "alice", "wonderland"),
        Credentials::bearer("good.token.", [("traceId".to_owned(), "7".to_owned())]),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let client = works(config(&door, way)).await;
        moves_records(&client, &format!("topic-{number}")).await;
    }
}

#[tokio::test]
async fn users_and_tokens_that_a_client_makes_can_log_in_themselves() {
    let door = door(rules()).await;
    let alice = works(config(&door, Credentials::plain("alice", "wonderland"))).await;
    let bob = ScramChange::set("b=o,b", ScramMechanism::Sha512, "pä55wörd");
    alice.alter_scram_users(&[bob]).await.remove(0).expect("a user");
    works(config(&door, Credentials::scram(ScramHash::Sha512, "b=o,b", "pä55wörd"))).await;
    let token = NewToken::default().with_owner(Principal::user("alice"));
    let token = alice.create_token(&token).await.expect("a token");
    works(config(&door, token.credentials(ScramHash::Sha256))).await;
    alice.expire_token(&token.hmac, None).await.expect("it is alice's");
    let ended = config(&door, token.credentials(ScramHash::Sha256));
    refused(ended, ErrorKind::Authentication, "the token may have expired").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_login_is_said_in_one_line_without_the_password() {
    let said = Recorder::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let narrow = LoginRules { mechanisms: vec!["SCRAM-SHA-512".to_owned()], ..rules() };
    let (all, narrow) = (door(rules()).await, door(narrow).await);
    let nobody = EmbeddedCluster::start(ClusterConfig::default()).await.expect("a port");
    let wrong = |hash| Credentials::scram(hash, "alice", CANARY);
    let kind = ErrorKind::Authentication;
    let errors = [
        refused(config(&all, Credentials::plain("alice", CANARY)), kind, "user alice").await,
        refused(config(&all, wrong(ScramHash::Sha256)), kind, "check user name and password").await,
        refused(config(&all, Credentials::bearer(CANARY, [])), kind, "invalid_token").await,
        refused(config(&narrow, wrong(ScramHash::Sha256)), kind, "SCRAM-SHA-512").await,
        refused(config(&nobody, wrong(ScramHash::Sha256)), kind, "does not ask for a login").await,
        refused(config(&all, Credentials::plain("", CANARY)), ErrorKind::Config, "user name").await,
        refused(
            config(&all, Credentials::plain("alice", CANARY)).with_allow_insecure_sasl(false),
            ErrorKind::Config,
            "allow.insecure.sasl=true",
        )
        .await,
    ];
    let told = format!("{errors:?}{:?}{:?}", said.events(), said.spans());
    assert!(!told.contains(CANARY), "{told}");
}

#[tokio::test]
async fn who_does_not_log_in_is_told_what_the_listener_may_want() {
    let door = door(rules()).await;
    let error = Client::connect(common::config(&door.bootstrap())).await.expect_err("no login");
    let line = error.to_string();
    assert!(line.contains("SASL") && line.contains("security.protocol"), "{line}");
}

#[tokio::test]
async fn connections_log_in_anew_while_requests_are_in_flight_and_none_is_lost() {
    let door = door(LoginRules { session: Some(Duration::from_secs(4)), ..rules() }).await;
    let credentials = Credentials::scram(ScramHash::Sha256, "alice", "wonderland");
    let client = works(config(&door, credentials)).await;
    client.create_topics(&[NewTopic::new("t")]).await.remove(0).expect("made");
    let end = Instant::now() + Duration::from_secs(13);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        asking.spawn(async move {
            let mut answers = 0;
            while Instant::now() < end {
                let handle = client.cluster().broker(1, soon()).await.expect("it is there");
                let request = MetadataRequest::default();
                handle.request(&request, soon()).await.expect("an answer");
                answers += 1;
            }
            answers
        });
    }
    let answers = asking.join_all().await;
    let (logins, closed) = logins(&client);
    assert!(answers.iter().all(|count| *count > 10), "{answers:?}");
    assert!(logins >= 3 + 2 * 3, "{logins} logins");
    assert_eq!(closed, 0, "no connection was lost");
}

#[tokio::test]
async fn credentials_that_are_replaced_serve_from_the_next_login_on() {
    let door = door(LoginRules { session: Some(Duration::from_secs(2)), ..rules() }).await;
    let shared = SharedCredentials::new(Credentials::scram(ScramHash::Sha512, "carol", "one"));
    let set = |password| ScramChange::set("carol", ScramMechanism::Sha512, password);
    let alice = works(config(&door, Credentials::plain("alice", "wonderland"))).await;
    alice.alter_scram_users(&[set("one")]).await.remove(0).expect("a user");
    let carol = works(config(&door, shared.clone())).await;
    alice.alter_scram_users(&[set("two")]).await.remove(0).expect("another password");
    shared.replace(Credentials::scram(ScramHash::Sha512, "carol", "two"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    carol.topic_names().await.expect("the new password serves");
    assert_eq!(logins(&carol).1, 0, "on the old connections");

    alice.alter_scram_users(&[set("three")]).await.remove(0).expect("another password");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let error = carol.topic_names().await.expect_err("nobody told carol");
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert!(error.to_string().contains("check user name and password"), "{error}");
}

#[tokio::test]
async fn tokens_come_from_a_server_behind_tls_and_an_old_one_serves_while_it_fails() {
    let authority = Authority::new("Klamm test");
    let tls = authority.server(&authority.issue("idp", &["localhost"]), false);
    let server = TokenServer::start(&[("alice", "s+c/r t")], Some(tls.clone())).expect("a port");
    let taken =
        BearerCheck::new(|token| (token.split('.').count() == 3).then(|| "alice".to_owned()));
    let rules = LoginRules { bearer: Some(taken), ..rules() };
    let cluster = ClusterConfig { brokers: 2, login: Some(rules), ..ClusterConfig::default() };
    let host = Some("localhost".to_owned());
    let door = DoorConfig { tls: Some(tls), advertised_host: host, ..DoorConfig::from(cluster) };
    let door = EmbeddedCluster::start(door).await.expect("free ports");
    let folder = tempfile::TempDir::new().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("a file");
    let config = |secret: &str| {
        let jaas = format!(
            "OAuthBearerLoginModule required clientId=alice clientSecret=\"{secret}\" \
             ssl.truststore.type=PEM ssl.truststore.location=\"{}\";",
            ca.display()
        );
        let bootstrap = door.bootstrap();
        let options = [
            ("bootstrap.servers", bootstrap.as_str()),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.jaas.config", &jaas),
            ("sasl.oauthbearer.token.endpoint.url", &server.url()),
        ];
        Config::from_properties(options)
            .expect("options")
            .with_ssl_truststore_type(StoreType::Pem)
            .with_ssl_truststore_certificates(Some(authority.pem().into()))
    };
    // A token says when it ends in whole seconds: these hold for 19 to 20.
    server.set_lifetime(Duration::from_secs(20));
    let client = works(config("s+c/r t")).await;
    assert_eq!(server.asked(), 1, "one token serves all connections");
    server.set_failing(true);
    tokio::time::sleep(Duration::from_millis(16_300)).await;
    let held = client.cluster().dedicated(1, soon()).await.expect("the old one holds for a moment");
    assert_eq!(server.asked(), 2, "another was asked for");
    tokio::time::sleep(Duration::from_secs(4)).await;
    let error = client.cluster().dedicated(1, soon()).await.expect_err("it has ended");
    assert!(error.to_string().contains("503") && error.is_retriable(), "{error}");
    drop(held);
    server.set_failing(false);
    let error = refused(config(CANARY), ErrorKind::Authentication, "401: invalid_client").await;
    assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
}

/// Appears in nothing that anybody is told.
const CANARY: &str = "canary-Pa55word";
