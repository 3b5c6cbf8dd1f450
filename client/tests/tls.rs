//! TLS to an embedded cluster: what works, and one line for everything that can be wrong.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klamm_client::config::{SecurityProtocol, StoreType, TlsVersion};
use klamm_client::{Client, Config, Error, ErrorKind};
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::certificates::{Authority, Identity};
use klamm_testkit::door::{DoorConfig, EmbeddedCluster};
use tempfile::TempDir;
use tokio::net::TcpListener;

use common::spans::Recorder;

/// A cluster behind TLS whose brokers are known as `localhost`.
async fn door(authority: &Authority, identity: &Identity, mutual: bool) -> EmbeddedCluster {
    door_of(Some(authority.server(identity, mutual)), "localhost").await
}

async fn door_of(tls: Option<Arc<rustls::ServerConfig>>, host: &str) -> EmbeddedCluster {
    let cluster = ClusterConfig { brokers: 2, ..ClusterConfig::default() };
    let host = Some(host.to_owned());
    let config = DoorConfig { tls, advertised_host: host, ..DoorConfig::from(cluster) };
    EmbeddedCluster::start(config).await.expect("free ports")
}

fn trusting(bootstrap: &str, authority: &Authority) -> Config {
    common::config(bootstrap)
        .with_security_protocol(SecurityProtocol::Ssl)
        .with_ssl_truststore_type(StoreType::Pem)
        .with_ssl_truststore_certificates(Some(authority.pem().into()))
}

fn showing(config: Config, identity: &Identity) -> Config {
    config
        .with_ssl_keystore_type(StoreType::Pem)
        .with_ssl_keystore_key(Some(identity.key.as_str().into()))
        .with_ssl_keystore_certificate_chain(Some(identity.certificate.as_str().into()))
}

/// The one line with which connecting is refused, long before any timeout.
async fn refusal(config: Config) -> (Error, String) {
    let connected = tokio::time::timeout(Duration::from_secs(10), Client::connect(config)).await;
    let error = connected.expect("in time").expect_err("this should not be accepted");
    let line = error.to_string();
    assert!(line.contains("; ") && !line.contains('\n'), "{line}");
    (error, line)
}

/// Asks both brokers, not only the one that was met first.
async fn works(config: Config) -> Client {
    let client = Client::connect(config).await.expect("it connects");
    client.topic_names().await.expect("the first broker answers");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    for node in [1, 2] {
        client.cluster().broker(node, deadline).await.expect("each broker is met over TLS");
    }
    client
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_with_every_broker() {
    let authority = Authority::new("Klamm test");
    let door = door(&authority, &authority.issue("broker", &["localhost"]), false).await;
    let config = trusting(&door.bootstrap(), &authority);
    works(config.clone()).await;
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        works(config.clone().with_ssl_enabled_protocols(vec![version])).await;
    }
    let suites = vec!["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".to_owned()];
    works(config.with_ssl_cipher_suites(suites)).await;
}

#[tokio::test]
async fn an_address_is_checked_as_a_name_is() {
    let authority = Authority::new("Klamm test");
    let identity = authority.issue("broker", &["127.0.0.1"]);
    let door = door_of(Some(authority.server(&identity, false)), "127.0.0.1").await;
    works(trusting(&door.bootstrap(), &authority)).await;
}

#[tokio::test]
async fn a_certificate_is_shown_to_brokers_that_demand_one() {
    let authority = Authority::new("Klamm test");
    let door = door(&authority, &authority.issue("broker", &["localhost"]), true).await;
    let config = trusting(&door.bootstrap(), &authority);
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let config = config.clone().with_ssl_enabled_protocols(vec![version]);
        works(showing(config.clone(), &authority.issue("alice", &[]))).await;

        let (error, line) = refusal(config.clone()).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{line}");
        assert!(line.contains("demands a certificate") && line.contains("ssl.keystore"), "{line}");

        let stranger = Authority::new("Stranger").issue("mallory", &[]);
        let (error, line) = refusal(showing(config.clone(), &stranger)).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{line}");
        assert!(line.contains("does not know the authority of this client"), "{line}");

        let (_, line) = refusal(showing(config, &authority.issue_expired("alice", &[]))).await;
        assert!(line.contains("this client's certificate has expired"), "{line}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_brokers_certificate_is_said_in_one_line() {
    let authority = Authority::new("Klamm test");
    let good = authority.issue("broker", &["localhost"]);
    let cases = [
        (good.clone(), Authority::new("Other"), "unknown authority"),
        (
            authority.issue("broker", &["kafka.example"]),
            authority,
            "not for the host localhost: it is for kafka.example",
        ),
    ];
    for (identity, trusted, words) in cases {
        let door = door(&trusted, &identity, false).await;
        let (error, line) = refusal(trusting(&door.bootstrap(), &trusted)).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{line}");
        assert!(!error.is_retriable() && line.contains(words), "{line}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_said_to_be_that() {
    let authority = Authority::new("Klamm test");
    let expired = authority.issue_expired("broker", &["localhost"]);
    let door = door(&authority, &expired, false).await;
    let (_, line) = refusal(trusting(&door.bootstrap(), &authority)).await;
    assert!(line.contains("the broker's certificate has expired"), "{line}");
}

#[tokio::test]
async fn a_broker_that_shows_an_authoritys_certificate_is_told_apart() {
    let authority = Authority::new("Klamm test");
    let door = door(&authority, &authority.own(), false).await;
    let (_, line) = refusal(trusting(&door.bootstrap(), &authority)).await;
    assert!(line.contains("the certificate of an authority as its own"), "{line}");
}

#[tokio::test]
async fn a_port_without_tls_and_a_port_with_it_are_told_apart() {
    let authority = Authority::new("Klamm test");
    let plain = door_of(None, "localhost").await;
    let (error, line) = refusal(trusting(&plain.bootstrap(), &authority)).await;
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{line}");
    assert!(line.contains("hung up during the TLS handshake"), "{line}");
    assert!(line.contains("SSL listener"), "{line}");

    let tls = door(&authority, &authority.issue("broker", &["localhost"]), false).await;
    let (error, line) = refusal(common::config(&tls.bootstrap())).await;
    assert_eq!(error.kind(), ErrorKind::NotKafka, "{line}");
    assert!(line.contains("answers TLS") && line.contains("security.protocol=SSL"), "{line}");
}

#[tokio::test]
async fn what_speaks_otherwise_or_not_at_all_is_no_tls() {
    use tokio::io::AsyncWriteExt as _;
    let authority = Authority::new("Klamm test");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let web = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let (error, line) = refusal(trusting(&format!("localhost:{port}"), &authority)).await;
    assert_eq!(error.kind(), ErrorKind::NotKafka, "{line}");
    assert!(line.contains("does not speak TLS"), "{line}");
    web.abort();

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let patience = Duration::from_secs(2);
    let config = trusting(&format!("localhost:{port}"), &authority).with_connect_timeout(patience);
    let (_, line) = refusal(config).await;
    assert!(line.contains("the TLS handshake took too long"), "{line}");
}

/// The first broker speaks TLS and is trusted; it advertises itself as one that does not.
#[tokio::test]
async fn a_broker_that_is_advertised_without_tls_is_never_spoken_to() {
    let authority = Authority::new("Klamm test");
    let door = door(&authority, &authority.issue("broker", &["localhost"]), false).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = trap.local_addr().expect("bound").port();
    door.with(|cluster| cluster.set_address(2, "localhost", port));
    let first = format!("localhost:{}", door.addresses()[0].port());
    let client = Client::connect(trusting(&first, &authority)).await.expect("the first is trusted");
    let heard = tokio::spawn(async move {
        use tokio::io::AsyncReadExt as _;
        let (mut stream, _) = trap.accept().await.expect("the client tries");
        let mut first = [0; 3];
        stream.read_exact(&mut first).await.expect("it says hello");
        first
    });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let error = client.cluster().broker(2, deadline).await.expect_err("it does not speak TLS");
    assert!(error.to_string().contains("TLS handshake"), "{error}");
    // A handshake of TLS, and nothing of Kafka's.
    assert_eq!(&heard.await.expect("it was tried")[..2], &[0x16, 3]);
}

#[tokio::test]
async fn files_are_read_again_and_broken_ones_are_not_taken() {
    let said = Recorder::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let authority = Authority::new("Klamm test");
    let door = door(&authority, &authority.issue("broker", &["localhost"]), true).await;
    let folder = TempDir::new().expect("a folder");
    let path: PathBuf = folder.path().join("client.pem");
    let write = |text: &str| fs::write(&path, text).expect("a file");
    write(&authority.issue("alice", &[]).pem());
    let config = trusting(&door.bootstrap(), &authority)
        .with_ssl_keystore_type(StoreType::Pem)
        .with_ssl_keystore_location(Some(path.display().to_string()));
    let client = works(config).await;
    let reconnect = async || {
        // The files are looked at once a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        client.cluster().dedicated(1, deadline).await
    };
    write("-----BEGIN CERTIFICATE-----\nhalf of it");
    // Held, since an idle connection would be used again.
    let _held = reconnect().await.expect("the old ones stay");
    let told = |words| said.events().iter().any(|event| event.name.contains(words));
    assert!(told("new certificates cannot be used"), "a warning tells it");
    assert!(told("others may read this client's private key"), "the file has no mode of its own");
    write(&Authority::new("Stranger").issue("mallory", &[]).pem());
    let error = reconnect().await.expect_err("the new ones are used, and refused");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    write(&authority.issue("bob", &[]).pem());
    reconnect().await.expect("those after them, too");
}

#[tokio::test]
async fn stores_that_cannot_be_used_are_refused_before_anything_is_contacted() {
    let authority = Authority::new("Klamm test");
    let base = trusting("localhost:1", &authority);
    let (error, line) = refusal(
        base.clone()
            .with_ssl_truststore_certificates(None)
            .with_ssl_truststore_location(Some("/nowhere/ca.pem".to_owned())),
    )
    .await;
    assert_eq!(error.kind(), ErrorKind::Config, "{line}");
    assert!(line.contains("ssl.truststore.location") && line.contains("/nowhere/ca.pem"), "{line}");

    let (_, line) = refusal(base.clone().with_ssl_truststore_certificates(Some("x".into()))).await;
    assert!(line.contains("no known form of store"), "{line}");

    let (alice, bob) = (authority.issue("alice", &[]), authority.issue("bob", &[]));
    let mixed = Identity { certificate: alice.certificate, key: bob.key };
    let (error, line) = refusal(showing(base, &mixed)).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{line}");
    assert!(line.contains("ssl.keystore.key"), "{line}");
}
