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
    assert!(refused(&[("sasl.login.class", "x.Y")]).contains("names code"));
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

fn logging_in<'a>(protocol: &'a str, mechanism: &'a str, jaas: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("security.protocol", protocol), ("sasl.mechanism", mechanism), ("sasl.jaas.config", jaas)]
}

#[test]
fn a_login_module_goes_with_its_mechanism_and_no_error_tells_its_password() {
    let scram = r#"a.b.ScramLoginModule required username="alice" password="hunter2";"#;
    let plain = r#"a.b.PlainLoginModule required username="alice" password="hunter2";"#;
    let read = |protocol, mechanism, jaas| {
        let mut all = logging_in(protocol, mechanism, jaas);
        all.push((BOOTSTRAP, "a:1"));
        Config::from_properties(all)
    };
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let config = read("SASL_PLAINTEXT", mechanism, scram).expect("a user");
        assert!(!format!("{config:?} {:?}", plan(&config)).contains("hunter2"));
    }
    assert!(read("sasl_ssl", "PLAIN", plain).is_ok());
    let lacking = r#"a.b.ScramLoginModule required username="hunter2";"#;
    let empty = r#"a.b.ScramLoginModule required username="hunter2" password="";"#;
    let kerberos = "com.sun.security.auth.module.Krb5LoginModule required;";
    let wrong = [
        (logging_in("SASL_SSL", "PLAIN", scram), "write PlainLoginModule"),
        (logging_in("SASL_SSL", "OAUTHBEARER", scram), "write OAuthBearerLoginModule"),
        (logging_in("SASL_SSL", "SCRAM-SHA-256", lacking), "key password"),
        (logging_in("SASL_SSL", "SCRAM-SHA-256", empty), "the password is empty"),
        (logging_in("SASL_SSL", "SCRAM-SHA-256", kerberos), "write ScramLoginModule"),
        (logging_in("SASL_SSL", "SCRAM-SHA-256", "hunter2"), "sasl.jaas.config"),
        (vec![("security.protocol", "SASL_SSL")], "sasl.jaas.config"),
        (logging_in("SASL_SSL", "GSSAPI", scram), "write Krb5LoginModule"),
        (logging_in("SASL_SSL", "SCRAM-SHA-256", scram)[..2].to_vec(), "sasl.jaas.config"),
    ];
    for (options, words) in wrong {
        let text = refused(&options);
        assert!(text.contains(words) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_tells_secrets_needs_encryption_or_the_option_that_does_without() {
    let plain = r#"PlainLoginModule required username="alice" password="hunter2";"#;
    let mut options = logging_in("SASL_PLAINTEXT", "PLAIN", plain);
    let text = refused(&options);
    assert!(text.contains("allow.insecure.sasl=true") && text.contains("SASL_SSL"), "{text}");
    options.extend([(BOOTSTRAP, "a:1"), ("allow.insecure.sasl", "true")]);
    assert!(Config::from_properties(options).is_ok());
    let given = Config::new("a:1")
        .expect("an address")
        .with_security_protocol(SecurityProtocol::SaslPlaintext)
        .with_credentials(crate::credentials::Credentials::plain("alice", "hunter2"));
    let twice = given.clone().with_sasl_jaas_config(Some(plain.into()));
    let error = twice.check().expect_err("two are too many");
    assert!(error.to_string().contains("given twice"), "{error}");
    // Known only when somebody logs in.
    assert!(given.check().is_ok());
}

#[test]
fn bearer_tokens_come_from_one_place_and_a_secret_goes_nowhere_in_the_clear() {
    let module = "OAuthBearerLoginModule required clientId=\"id\" clientSecret=\"hunter2\";";
    let url = "sasl.oauthbearer.token.endpoint.url";
    let with = |place| [logging_in("SASL_SSL", "OAUTHBEARER", module), vec![(url, place)]].concat();
    assert!(refused(&with("http://a/token")).contains("allow.insecure.sasl=true"));
    assert!(refused(&with("ftp://a/token")).contains("https:// or file://"));
    assert!(refused(&logging_in("SASL_SSL", "OAUTHBEARER", module)).contains(url));
    let unknown = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        (url, "https://a/token"),
    ];
    assert!(refused(&unknown).contains("client.id"));
    for place in ["https://a/token", "file:///run/token"] {
        let read = [with(place), vec![(BOOTSTRAP, "a:1")]].concat();
        assert!(Config::from_properties(read).is_ok());
    }
    let handler = "sasl.login.callback.handler.class";
    let name = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
    assert!(Config::from_properties([(BOOTSTRAP, "a:1"), (handler, name)]).is_ok());
    assert!(refused(&[(handler, "x.Y")]).contains("never names code"));
    let odd = "OAuthBearerLoginModule required unsecuredLoginNumberClaim_x=\"1\";";
    assert!(refused(&logging_in("SASL_SSL", "OAUTHBEARER", odd)).contains("for tests alone"));
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

#[test]
fn a_kerberos_module_is_taken_by_default_and_what_it_lacks_is_named() {
    let module = |options: &str| format!("com.sun.x.Krb5LoginModule required {options};");
    let keytab = module(r#"useKeyTab=true storeKey=true keyTab="/k" principal="a/b@R""#);
    let service = ("sasl.kerberos.service.name", "kafka");
    let options = |jaas: &str, more: &[(&str, &str)]| {
        let protocol = [(BOOTSTRAP, "a:1"), ("security.protocol", "SASL_PLAINTEXT")];
        let all = [&protocol, &[("sasl.jaas.config", jaas)][..], more].concat();
        Config::from_properties(all.iter().copied()).map(|config| plan(&config))
    };
    assert!(matches!(options(&keytab, &[service]), Ok(Ok(Some(Plan::Kerberos(_))))));
    let named = module(r#"useTicketCache=true serviceName="kafka" renewTGT=true"#);
    assert!(options(&named, &[service, ("sasl.kerberos.kinit.cmd", "/usr/bin/kinit")]).is_ok());
    for (jaas, more, words) in [
        (keytab.as_str(), &[][..], "sasl.kerberos.service.name"),
        (&named, &[("sasl.kerberos.service.name", "other")], "named twice"),
        (&keytab, &[("sasl.kerberos.service.name", "a/b")], "no such name"),
        (&module("useKeyTab=true principal=a"), &[service], "key keyTab"),
        (&module("useKeyTab=true keyTab=a"), &[service], "key principal"),
        (&module("useKeyTab=true keyTab=a principal=\"a@\""), &[service], "cannot be read"),
        (&module("tryFirstPass=true"), &[service], "nobody is asked for a password"),
        (&module("isInitiator=false"), &[service], "has to begin"),
        (&module("debug=true"), &[service], "neither a keytab nor a ticket cache"),
    ] {
        let error = options(jaas, more).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}
