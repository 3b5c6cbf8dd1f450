//! The commands against a cluster behind TLS that demands a certificate, with options as Spark's
//! users write them.

mod common;

use std::fs;

use common::{Embedded, klamm, klamm_fed};
use klamm_testkit::certificates::Authority;
use klamm_testkit::door::DoorConfig;
use tempfile::TempDir;

#[test]
fn every_command_speaks_tls_and_shows_a_certificate() {
    let authority = Authority::new("Klamm test");
    let broker = authority.issue("broker", &["localhost"]);
    let secured = Embedded::start_as(DoorConfig {
        tls: Some(authority.server(&broker, true)),
        advertised_host: Some("localhost".to_owned()),
        ..DoorConfig::default()
    });
    secured.topic("orders", 1);
    secured.topic("copy", 1);
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("ca.pem"), authority.pem()).expect("a file");
    fs::write(path("alice.pem"), authority.issue("alice", &[]).pem()).expect("a file");
    let options = |flag: &str| {
        [
            "kafka.security.protocol=SSL".to_owned(),
            "kafka.ssl.truststore.type=PEM".to_owned(),
            format!("kafka.ssl.truststore.location={}", path("ca.pem")),
            "kafka.ssl.keystore.type=PEM".to_owned(),
            format!("kafka.ssl.keystore.location={}", path("alice.pem")),
        ]
        .into_iter()
        .flat_map(|option| [flag.to_owned(), option])
        .collect::<Vec<String>>()
    };
    let (source, sink) = (options("-o"), options("-O"));
    let run = |words: &[&str], options: &[&[String]], input: &[u8]| {
        let mut all = words.to_vec();
        all.extend(options.iter().flat_map(|one| one.iter().map(String::as_str)));
        klamm_fed(&all, input)
    };
    let server = secured.server.as_str();
    let write = run(&["write", "-b", server, "-t", "orders"], &[&sink], br#"{"value":"1"}"#);
    write.ok();
    let read = run(&["read", "-b", server, "-t", "orders"], &[&source], b"").ok();
    assert!(read.contains(r#""value":"1""#), "{read}");
    let ends = run(&["offsets", "-b", server, "-t", "orders", "--at", "latest"], &[&source], b"");
    ends.ok();
    let checkpoint = path("checkpoint");
    let stream = ["stream", "-b", server, "-t", "orders", "-O", "topic=copy"];
    let stream = [&stream[..], &["-o", "startingOffsets=earliest"]].concat();
    let stream =
        [&stream[..], &["--checkpoint", &checkpoint, "--trigger", "available-now"]].concat();
    run(&stream, &[&source, &sink], b"").ok();
    let copied = run(&["read", "-b", server, "-t", "copy"], &[&source], b"").ok();
    assert!(copied.contains(r#""value":"1""#), "{copied}");

    let trusting = &source[..6];
    let unshown = run(&["read", "-b", server, "-t", "orders"], &[trusting], b"");
    unshown.refused(1, "demands a certificate of this client");
    klamm(&["read", "-b", server, "-t", "orders"]).refused(1, "security.protocol=SSL");
}
