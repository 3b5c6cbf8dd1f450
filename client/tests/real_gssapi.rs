//! Logging in by Kerberos: MIT's KDC, real Apache Kafka, keys of each kind, tickets that are replaced
//! under a client that is in use, and each way in which it can go wrong in one line.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::admin::NewTopic;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, Config, Error, ErrorKind};
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::records::RecordParts;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::kerberos::Kdc;
use klamm_testkit::outside::in_test;

use common::moving::moves_records;

#[test]
fn keys_of_every_kind_over_both_protocols_write_and_read() {
    let Some(secured) = Secured::start() else { return };
    let kdc = &secured.kdc;
    run(async {
        for (user, kind) in KINDS {
            kdc.admin(&format!("setstr kafka/localhost session_enctypes {kind}")).expect("set");
            let keytab = secured.keytab(user, &format!("-e {kind}:normal {}", preauth(user)));
            for listener in ["LOGIN", "LOGIN_TLS"] {
                let client = works(secured.options(listener, &with_keytab(&keytab, user))).await;
                moves_records(&client, &format!("{listener}-{user}")).await;
            }
        }
        // As `kinit` leaves them; the default mechanism, and the service's name in the module.
        let cache = kdc.kinit("a18", &kdc.file("a18.keytab"), "1h").expect("kinit");
        let module = format!(
            "com.sun.security.auth.module.Krb5LoginModule required useTicketCache=true \
             serviceName=\"kafka\" ticketCache=\"{}\";",
            cache.display()
        );
        let mut options = secured.options("LOGIN", &module);
        options.retain(|(key, _)| !["sasl.mechanism", SERVICE].contains(key));
        moves_records(&works(options).await, "from-a-cache").await;

        let keytab = secured.keytab("bob", "");
        let bob = works(secured.options("LOGIN", &with_keytab(&keytab, "bob"))).await;
        let made = bob.create_topics(&[NewTopic::new("bobs")]).await.remove(0);
        let code = made.expect_err("bob may do nothing").code();
        assert_eq!(code, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    });
}

#[test]
fn connections_log_in_anew_with_new_tickets_without_an_error() {
    let Some(mut secured) = Secured::start() else { return };
    let keytab = secured.keytab("a18", "-maxlife 9s");
    run(async {
        let client = works(secured.options("SHORT", &with_keytab(&keytab, "a18"))).await;
        runs_for(&client, "anew", Duration::from_secs(24)).await;
    });
    let log = std::fs::read_to_string(secured.kdc.file("kdc.log")).expect("a log");
    let asked = |kind: &str| {
        let of_client = |line: &&str| line.contains(kind) && line.contains("a18@");
        log.lines().filter(of_client).filter(|line| line.contains("ISSUE")).count()
    };
    let (first, second) = (asked("AS_REQ"), asked("TGS_REQ"));
    // Not one for each login: a ticket serves until four fifths of its life are over.
    assert!((3..=6).contains(&first), "{first} tickets of the first kind");
    assert!((3..=6).contains(&second), "{second} tickets for brokers");

    let keytab = secured.keytab("a19", "-maxlife 30s");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = runtime.block_on(works(secured.options("LOGIN", &with_keytab(&keytab, "a19"))));
    let begun = tokio::time::Instant::now();
    let at = |second| begun + Duration::from_secs(second);
    secured.kdc.stop();
    runtime.block_on(async {
        // Its time for being replaced has come, and nobody is there to do it.
        tokio::time::sleep_until(at(25)).await;
        // Kept, so that it is not handed out again.
        let held = client.cluster().dedicated(1, at(40)).await.expect("the old ticket holds");
        tokio::time::sleep_until(at(31)).await;
        let error = client.cluster().dedicated(1, at(40)).await.expect_err("it has ended");
        assert!(error.is_retriable() && error.to_string().contains("no KDC answers"), "{error}");
        drop(held);
    });
}

#[test]
fn every_failure_is_one_line_that_says_which_it_was_and_no_key() {
    let Some(mut secured) = Secured::start() else { return };
    let said = [secured.fail_by_principals(), secured.fail_by_brokers(), secured.fail_by_kdcs()];
    let lines: Vec<String> = said.into_iter().flatten().collect();
    let keytab = std::fs::read(secured.kdc.file("a18.keytab")).expect("a keytab");
    // A key of 16 bytes ends the last of its entries, before four bytes of its number.
    let key = &keytab[keytab.len() - 20..keytab.len() - 12];
    let hex: String = key[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{}, {}, {}, {}", key[0], key[1], key[2], key[3]);
    for line in &lines {
        assert!(!line.contains(&hex) && !line.contains(&list), "a key was told: {line}");
    }
}

/// A broker with listeners of each kind, and the KDC of its realm.
struct Secured {
    kafka: Kafka,
    kdc: Kdc,
}

impl Secured {
    fn start() -> Option<Self> {
        let kdc = in_test(Kdc::start())?;
        for service in ["kafka", "stale"] {
            kdc.add(&format!("{service}/localhost"), "").expect("a principal");
        }
        let store = |name: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
            folder.join(name).display().to_string()
        };
        let module = |service: &str| {
            let name = format!("{service}/localhost");
            let keytab = kdc.keytab(&name, &format!("{service}.keytab")).expect("a keytab");
            format!(
                "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true \
                 storeKey=true keyTab=\"{}\" principal=\"{name}@{}\";",
                keytab.display(),
                Kdc::REALM
            )
        };
        let users: String = KINDS.iter().map(|(user, _)| format!(";User:{user}")).collect();
        let mut config = KafkaConfig::version(apache::NEWEST)
            .listener("LOGIN", "SASL_PLAINTEXT")
            .listener("LOGIN_TLS", "SASL_SSL")
            .listener("SHORT", "SASL_PLAINTEXT")
            .listener("STALE", "SASL_PLAINTEXT")
            .listener("NARROW", "SASL_PLAINTEXT")
            .property("ssl.keystore.type", "PEM")
            .property("ssl.keystore.location", store("broker.pem"))
            .property("sasl.enabled.mechanisms", "GSSAPI")
            .property(SERVICE, "kafka")
            .property("listener.name.short.gssapi.connections.max.reauth.ms", "5000")
            .property("listener.name.narrow.sasl.enabled.mechanisms", "SCRAM-SHA-256")
            .property(
                "listener.name.narrow.scram-sha-256.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            )
            .jvm_argument(format!("-Djava.security.krb5.conf={}", kdc.conf().display()))
            .access_rules()
            .property("allow.everyone.if.no.acl.found", "false")
            .property("super.users", format!("User:ANONYMOUS{users}"));
        for (listener, service) in
            [("login", "kafka"), ("login_tls", "kafka"), ("short", "kafka"), ("stale", "stale")]
        {
            let key = format!("listener.name.{listener}.gssapi.sasl.jaas.config");
            config = config.property(key, module(service));
        }
        let kafka = in_test(Kafka::start(config))?;
        Some(Self { kafka, kdc })
    }

    /// A principal and its keys.
    fn keytab(&self, user: &str, options: &str) -> PathBuf {
        self.kdc.add(user, options).expect("a principal");
        self.kdc.keytab(user, &format!("{user}.keytab")).expect("a keytab")
    }

    /// Options as a user of Java's clients writes them.
    fn options(&self, listener: &str, module: &str) -> Vec<(&'static str, String)> {
        let ca = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/ca.pem");
        let protocol = if listener == "LOGIN_TLS" { "SASL_SSL" } else { "SASL_PLAINTEXT" };
        vec![
            ("bootstrap.servers", self.kafka.bootstrap_of(listener).expect("a listener")),
            ("security.protocol", protocol.to_owned()),
            ("sasl.mechanism", "GSSAPI".to_owned()),
            ("sasl.jaas.config", module.to_owned()),
            (SERVICE, "kafka".to_owned()),
            ("sasl.kerberos.krb5.conf", self.kdc.conf().display().to_string()),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", ca.display().to_string()),
        ]
    }

    fn refused(
        &self,
        listener: &str,
        module: &str,
        service: &str,
        kind: ErrorKind,
        words: &str,
    ) -> String {
        let mut options = self.options(listener, module);
        options.push((SERVICE, service.to_owned()));
        let config = Config::from_properties(options).expect("options");
        let connected = run(async {
            let connecting = Client::connect(config);
            tokio::time::timeout(Duration::from_secs(10), connecting).await.expect("in time")
        });
        one_line(&connected.expect_err(words), kind, words)
    }

    fn fail_by_principals(&self) -> Vec<String> {
        let refused = |user: &str, keytab: &Path, kind, words: &str| {
            self.refused("LOGIN", &with_keytab(keytab, user), "kafka", kind, words)
        };
        let no = ErrorKind::Authentication;
        let admin = |order: &str| self.kdc.admin(order).expect("done");
        let good = self.keytab("a18", "");
        let changed = self.keytab("changed", "+requires_preauth");
        admin("cpw -randkey changed");
        let lax = self.keytab("lax", "-requires_preauth");
        admin("cpw -randkey lax");
        let gone = self.keytab("gone", "");
        admin("delprinc -force gone");
        let expired = self.keytab("expired", "");
        admin("modprinc -expire \"2020-01-01 00:00:00 UTC\" expired");
        let rc4 = self.kdc.file("rc4.keytab");
        let entry = b"\0\x01\0\x0aKLAMM.TEST\0\x03a18\0\0\0\x01\0\0\0\0\x01\0\x17\0\x040000";
        let length = u32::try_from(entry.len()).expect("short").to_be_bytes();
        std::fs::write(&rc4, [&b"\x05\x02"[..], &length, entry].concat()).expect("a file");
        let old_key = "the key in the keytab is not the one that the KDC has";
        vec![
            refused("changed", &changed, no, old_key),
            refused("lax", &lax, no, old_key),
            refused("gone", &gone, no, "the KDC does not know this client's principal"),
            refused("expired", &expired, no, "this client's principal has expired"),
            refused("nobody", &good, ErrorKind::Config, "has no key of the principal"),
            refused("a18", &rc4, ErrorKind::Config, "only keys of DES or RC4"),
            refused("a18", &self.kdc.file("none"), ErrorKind::Config, "No such file"),
            refused("a18", &self.kdc.conf(), ErrorKind::Config, "it is no keytab"),
        ]
    }

    fn fail_by_brokers(&self) -> Vec<String> {
        let module = with_keytab(&self.kdc.file("a18.keytab"), "a18");
        let no = ErrorKind::Authentication;
        self.kdc.add("expired/localhost", "").expect("a principal");
        let order = "modprinc -expire \"2020-01-01 00:00:00 UTC\" expired/localhost";
        self.kdc.admin(order).expect("done");
        self.kdc.admin("cpw -randkey stale/localhost").expect("done");
        let refused =
            |listener, service, words| self.refused(listener, &module, service, no, words);
        vec![
            refused("LOGIN", "nosuch", "the KDC does not know the broker's principal"),
            refused("LOGIN", "expired", "the broker's principal has expired"),
            refused("STALE", "stale", "the broker refused the login"),
            refused("NARROW", "kafka", "the broker does not offer the mechanism"),
        ]
    }

    fn fail_by_kdcs(&mut self) -> Vec<String> {
        let keytab = self.kdc.file("a18.keytab");
        let module = with_keytab(&keytab, "a18");
        let no = ErrorKind::Authentication;
        let mut lines = Vec::new();
        let cache = self.kdc.kinit("a18", &keytab, "1s").expect("kinit");
        std::thread::sleep(Duration::from_secs(2));
        let cached = format!(
            "com.sun.security.auth.module.Krb5LoginModule required useTicketCache=true \
             ticketCache=\"FILE:{}\";",
            cache.display()
        );
        let words = "the ticket in the cache has expired";
        lines.push(self.refused("LOGIN", &cached, "kafka", no, words));
        let lax = with_keytab(&self.keytab("skewed", "-requires_preauth"), "skewed");
        let strict = with_keytab(&self.keytab("proved", "+requires_preauth"), "proved");
        for clock in ["+1h", "-1h"] {
            self.kdc.restart_with_clock(clock).expect("it starts");
            for module in [&lax, &strict] {
                let words = "the clocks of this machine and of the KDC are too far apart";
                let line = self.refused("LOGIN", module, "kafka", no, words);
                // Either clock may have gone on by seconds meanwhile.
                let near =
                    (3_590..=3_610).any(|seconds| line.contains(&format!("seconds {seconds}")));
                assert!(near, "{line}");
                lines.push(line);
            }
        }
        self.kdc.stop();
        let unreachable = ErrorKind::Unreachable;
        lines.push(self.refused("LOGIN", &module, "kafka", unreachable, "no KDC answers"));
        lines
    }
}

/// Writes and reads one record after another for a while; none of it may fail.
async fn runs_for(client: &Client, topic: &str, time: Duration) {
    client.create_topics(&[NewTopic::new(topic)]).await.remove(0).expect("it may");
    let options = ProducerOptions::from_config(client.config());
    let producer = client.producer(options).expect("options");
    let end = tokio::time::Instant::now() + time;
    let range = OffsetRange { topic: topic.into(), partition: 0, start: 0, stop: i64::MAX };
    let mut reader = client.read_ranges(vec![range], ReadOptions::default());
    let (mut written, mut read) = (0_u64, 0_u64);
    while tokio::time::Instant::now() < end || read < written {
        if tokio::time::Instant::now() < end {
            for _ in 0..20 {
                let value = written.to_be_bytes();
                let record = RecordParts::new(millis(), None, Some(&value));
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
    let brokers = client.counters().brokers;
    let logins = brokers.iter().filter_map(|broker| broker.apis.get(&ApiKey::SaslHandshake));
    let logins: u64 = logins.map(|api| api.requests).sum();
    let opened: u64 = brokers.iter().map(|broker| broker.opened).sum();
    let closed: u64 = brokers.iter().map(|broker| broker.closed).sum();
    // The first connection was to a bootstrap server, and is not kept.
    assert!(closed <= 1, "{closed} of {opened} connections were lost");
    assert!(logins >= opened + 6, "{logins} logins on {opened} connections");
}

fn millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    i64::try_from(now.as_millis()).expect("this era")
}

fn with_keytab(keytab: &Path, principal: &str) -> String {
    format!(
        "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true \
         useTicketCache=false keyTab=\"{}\" principal=\"{principal}@{}\";",
        keytab.display(),
        Kdc::REALM
    )
}

/// Half of the clients have to prove themselves before they get a ticket.
fn preauth(user: &str) -> &'static str {
    if ["a17", "a20"].contains(&user) { "+requires_preauth" } else { "-requires_preauth" }
}

async fn works(options: Vec<(&'static str, String)>) -> Client {
    let config = Config::from_properties(options).expect("options");
    Client::connect(config).await.expect("it connects")
}

fn one_line(error: &Error, kind: ErrorKind, words: &str) -> String {
    let line = error.to_string();
    assert!(line.contains(words) && line.contains("; ") && !line.contains('\n'), "{line}");
    assert_eq!(error.kind(), kind, "{line}");
    format!("{line}{error:?}")
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test)
}

const SERVICE: &str = "sasl.kerberos.service.name";
const KINDS: [(&str, &str); 4] =
    [("a17", "aes128-cts"), ("a18", "aes256-cts"), ("a19", "aes128-sha2"), ("a20", "aes256-sha2")];
