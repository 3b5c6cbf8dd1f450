//! What the option table promises.

use super::*;

fn refused(properties: &[(&str, &str)]) -> String {
    let mut all = vec![(BOOTSTRAP, "broker:9092")];
    all.extend_from_slice(properties);
    let error = Config::from_properties(all).expect_err("these options should be refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

#[test]
fn strings_and_setters_reach_the_same_options() {
    let read = Config::from_properties([
        (BOOTSTRAP, "a:1, b:2"),
        ("request.timeout.ms", "1500"),
        ("compression.type", "zstd"),
        ("acks", "-1"),
        ("connections.max.idle.ms", "-1"),
    ]);
    let set = Config::new("a:1,b:2")
        .expect("two addresses")
        .with_request_timeout(Duration::from_millis(1500))
        .with_compression(Compression::Zstd)
        .with_max_idle(None);
    assert!(read.expect("known options") == set);
}

#[test]
fn every_default_is_read_back_from_its_own_text() {
    for key in used().into_iter().filter(|key| !key.default.contains("own")) {
        let mut config = Config::default();
        config.take(key.name, &key.default).expect(key.name);
        let absent = key.default.is_empty();
        assert!(absent || config == Config::default(), "{} changed by its default", key.name);
        assert!(!key.doc.is_empty() && !key.form.is_empty());
    }
}

#[test]
fn no_key_stands_in_two_tables() {
    let mut names: Vec<_> = all_keys().into_iter().map(|key| key.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert!(refused(&[("fetch.max.byte", "1")]).contains("'fetch.max.bytes'"));
}

#[test]
fn options_of_java_without_meaning_are_accepted() {
    let config = Config::from_properties([
        (BOOTSTRAP, "a:1"),
        ("session.timeout.ms", "10000"),
        ("metrics.num.samples", "2"),
        ("client.dns.lookup", "use_all_dns_ips"),
    ]);
    assert!(config.is_ok());
}

#[test]
fn what_this_version_lacks_is_refused_without_repeating_secrets() {
    let text = refused(&[("sasl.jaas.config", "password=hunter2")]);
    assert!(text.contains("not supported in this version") && !text.contains("hunter2"), "{text}");
    assert!(refused(&[("security.protocol", "SASL_SSL")]).contains("not supported"));
    assert!(refused(&[("ssl.engine.factory.class", "x.Y")]).contains("names code"));
    assert!(refused(&[("key.deserializer", "x.Y")]).contains("bytes"));
}

#[test]
fn tls_is_spelt_as_in_java_and_what_is_unsafe_is_refused() {
    let read = |name, text| Config::from_properties([(BOOTSTRAP, "a:1"), (name, text)]);
    let config = read("security.protocol", "SSL").expect("a protocol");
    assert_eq!(*config.security_protocol(), SecurityProtocol::Ssl);
    let config = read("ssl.enabled.protocols", "TLSv1.3").expect("a version");
    assert_eq!(*config.ssl_enabled_protocols(), [TlsVersion::V1_3]);
    assert!(read("ssl.endpoint.identification.algorithm", "HTTPS").is_ok());
    assert!(read("ssl.keymanager.algorithm", "PKIX").is_ok());
    let text = refused(&[("ssl.endpoint.identification.algorithm", "")]);
    assert!(text.contains("pose as the broker"), "{text}");
    assert!(refused(&[("ssl.enabled.protocols", "TLSv1.1,TLSv1.2")]).contains("TLSv1.3"));
    assert!(refused(&[("ssl.protocol", "SSLv3")]).contains("not safe"));
    assert!(refused(&[("ssl.keystore.type", "BKS")]).contains("PKCS12"));
}

#[test]
fn halves_of_stores_are_refused_without_a_word_of_what_is_secret() {
    let pem = ("ssl.keystore.type", "PEM");
    let halves: [&[(&str, &str)]; 6] = [
        &[("ssl.keystore.password", "hunter2")],
        &[pem, ("ssl.keystore.location", "x"), ("ssl.keystore.password", "hunter2")],
        &[pem, ("ssl.keystore.key", "hunter2")],
        &[pem, ("ssl.keystore.certificate.chain", "hunter2")],
        &[("ssl.keystore.key", "hunter2"), ("ssl.keystore.certificate.chain", "hunter2")],
        &[("ssl.truststore.certificates", "hunter2"), ("ssl.truststore.location", "x")],
    ];
    for half in halves {
        let text = refused(half);
        assert!(text.contains("ssl.") && !text.contains("hunter2"), "{text}");
    }
    let config = Config::from_properties([
        (BOOTSTRAP, "a:1"),
        ("ssl.keystore.location", "x"),
        ("ssl.keystore.password", "hunter2"),
    ]);
    let config = config.expect("both halves");
    assert!(!format!("{config:?} {:?}", config.ssl_keystore_password()).contains("hunter2"));
}

#[test]
fn pushing_metrics_is_refused_in_words_and_not_pushing_them_is_fine() {
    let text = refused(&[("enable.metrics.push", "true")]);
    assert!(text.contains("KIP-714") && text.contains("Client::counters"), "{text}");
    let off = [(BOOTSTRAP, "a:1"), ("enable.metrics.push", "false")];
    assert!(Config::from_properties(off).is_ok());
}

#[test]
fn recovery_is_spelt_as_in_java() {
    let read = |text| {
        Config::from_properties([(BOOTSTRAP, "a:1"), ("metadata.recovery.strategy", text)])
            .map(|config| *config.metadata_recovery())
    };
    assert_eq!(read("NONE").ok(), Some(MetadataRecovery::None));
    assert_eq!(read("rebootstrap").ok(), Some(MetadataRecovery::Rebootstrap));
    assert!(read("never").is_err());
    assert_eq!(*Config::default().metadata_recovery(), MetadataRecovery::Rebootstrap);
}

#[test]
fn contradictions_are_found_before_anything_is_contacted() {
    let idempotent = (IDEMPOTENCE, "true");
    assert!(refused(&[("acks", "1"), idempotent]).contains("acks=all"));
    assert!(refused(&[(IN_FLIGHT, "6"), idempotent]).contains("five"));
    assert!(refused(&[("delivery.timeout.ms", "100")]).contains("delivery.timeout.ms"));
    assert!(refused(&[(IN_FLIGHT, "0")]).contains("at least 1"));
    assert!(Config::from_properties([("client.id", "x")]).is_err());
}

#[test]
fn idempotence_gives_way_unless_it_is_asked_for() {
    let config = Config::from_properties([(BOOTSTRAP, "a:1"), ("acks", "1")]);
    assert!(!config.expect("acks=1 alone is fine").idempotence());
}

#[test]
fn addresses_are_read_as_java_reads_them() {
    let address = |text| parse_address(text).map(|address| address.to_string());
    assert_eq!(address("localhost:9092").as_deref(), Some("localhost:9092"));
    assert_eq!(address("PLAINTEXT://h:1").as_deref(), Some("h:1"));
    assert_eq!(address("[::1]:9092").as_deref(), Some("[::1]:9092"));
    for wrong in ["localhost", "h:0", "h:65536", ":9092", "::1:9092", "http://h/x:1", "h:x"] {
        assert_eq!(address(wrong), None, "{wrong}");
    }
}

const IN_FLIGHT: &str = "max.in.flight.requests.per.connection";
