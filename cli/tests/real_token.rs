//! `klamm token` on real Apache Kafka: a token is made by who logs in with a password from a file, is a login itself,
//! and none any more once it is expired. No secret is printed but by create.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Ran, klamm, klamm_fed};
use klamm_client::admin::{ScramChange, ScramMechanism};
use klamm_client::{Client, Config};
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, in_test};

#[test]
fn a_token_is_a_login_until_it_is_expired() {
    let Some(kafka) = start() else { return };
    make_alice(&kafka);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, more: &str| {
        let path = folder.path().join(name);
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule required";
        fs::write(&path, format!("KafkaClient {{ {module} {more}; }};")).expect("a file");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        }
        path.display().to_string()
    };
    let servers = kafka.bootstrap_of("LOGIN").expect("a listener");
    let as_user = |words: &[&str], file: &str, input: &str| {
        let login = format!("java.security.auth.login.config={file}");
        let way = ["-b", &servers, "-o", &login, "-o", PROTOCOL, "-o", MECHANISM];
        klamm_fed(&[&["-v"], words, &way].concat(), input.as_bytes())
    };
    let alice = file("alice", r#"username="alice" password="canary-Pa55word""#);
    // The broker learns of the user a moment later.
    let made = until(|| as_user(&["token", "create", "--json"], &alice, ""), 0);
    quiet(&made, &[PASSWORD]);
    let token: serde_json::Value = serde_json::from_str(&made.ok()).expect("an object");
    let (id, hmac) = (token["id"].as_str().expect("an id"), token["hmac"].as_str().expect("one"));
    assert_eq!(token["owner"], "User:alice");

    let by_token = format!(r#"tokenauth="true" username="{id}" password="{hmac}""#);
    let by_token = file("token", &by_token);
    let secrets = [PASSWORD, hmac];
    let listed = until(|| as_user(&["topics", "list"], &by_token, ""), 0);
    quiet(&listed, &secrets);
    let another = as_user(&["token", "create"], &by_token, "");
    refused(&another, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", &secrets);

    for words in [&["token", "describe"][..], &["token", "renew", "--period", "1h"]] {
        let run = as_user(words, &alice, hmac);
        quiet(&run, &secrets);
        let said = run.ok();
        assert!(said.contains(if words[1] == "renew" { "expires 20" } else { id }), "{said}");
    }
    let expired = as_user(&["token", "expire"], &alice, hmac);
    quiet(&expired, &secrets);
    expired.ok();
    let gone = until(|| as_user(&["topics", "list"], &by_token, ""), 1);
    refused(&gone, "refused the login", &secrets);
    let silent = klamm(&["token", "create", "-b", &kafka.bootstrap()]);
    silent.refused(1, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED");
}

fn start() -> Option<Kafka> {
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let config = KafkaConfig::version(apache::NEWEST)
        .listener("LOGIN", "SASL_PLAINTEXT")
        .property("delegation.token.secret.key", "a secret of the test's")
        .property("sasl.enabled.mechanisms", "SCRAM-SHA-512")
        .property("listener.name.login.scram-sha-512.sasl.jaas.config", scram);
    in_test(Kafka::start(config))
}

fn make_alice(kafka: &Kafka) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let config = Config::new(&kafka.bootstrap()).expect("an address");
        let client = Client::connect(config).await.expect("it connects");
        let alice = ScramChange::set("alice", ScramMechanism::Sha512, PASSWORD);
        client.alter_scram_users(&[alice]).await.remove(0).expect("a user");
    });
}

/// Runs it again until it ends so: brokers learn of tokens a moment later.
fn until(mut run: impl FnMut() -> Ran, status: i32) -> Ran {
    let start = Instant::now();
    loop {
        let ran = run();
        if ran.status == status || start.elapsed() > Duration::from_secs(20) {
            assert_eq!(ran.status, status, "{}", ran.stderr);
            return ran;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[track_caller]
fn quiet(run: &Ran, secrets: &[&str]) {
    let shown = format!("{}{}", run.stdout, run.stderr);
    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "a secret was told: {shown}");
}

/// It failed with these words, whatever else was said on the way.
#[track_caller]
fn refused(run: &Ran, words: &str, secrets: &[&str]) {
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.contains(words), "{}", run.stderr);
    quiet(run, secrets);
}

const PASSWORD: &str = "canary-Pa55word";
const PROTOCOL: &str = "kafka.security.protocol=SASL_PLAINTEXT";
const MECHANISM: &str = "kafka.sasl.mechanism=SCRAM-SHA-512";
