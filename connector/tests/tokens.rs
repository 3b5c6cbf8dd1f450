//! Delegation tokens as Spark's guide has them: options in, logins, refusals and clients out.

mod common;

use std::fs;
use std::time::Duration;

use common::World;
use klamm_client::Secret;
use klamm_connector::error::{Error, ErrorKind};
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions, TokenSettings};
use klamm_connector::tokens::{
    DelegationToken, GlobalLogin, Renewal, TOKEN_KIND, TokenStore, admin_options, apply, connect,
    login_string, matching, needs_update, obtain_all, redact, redact_login, token_service,
};

fn settings(pairs: &[(&str, &str)]) -> TokenSettings {
    TokenSettings::from_pairs(pairs.iter().copied()).unwrap()
}

fn refused(pairs: &[(&str, &str)]) -> Error {
    let error = TokenSettings::from_pairs(pairs.iter().copied()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    error
}

/// Settings of clusters `a` and `b`, for brokers whose names say so.
fn two() -> TokenSettings {
    settings(&[
        ("spark.kafka.clusters.a.auth.bootstrap.servers", "auth-a:1"),
        ("spark.kafka.clusters.a.target.bootstrap.servers.regex", "a[0-9]:9093"),
        ("spark.kafka.clusters.b.auth.bootstrap.servers", "auth-b:1"),
        ("spark.kafka.clusters.b.target.bootstrap.servers.regex", "b[0-9]:9093"),
    ])
}

fn token(id: &str) -> DelegationToken {
    DelegationToken { id: id.to_owned(), hmac: Secret::from("aG1hYw=="), expires_ms: 1_000 }
}

fn store(clusters: &[&str]) -> TokenStore {
    let mut tokens = TokenStore::default();
    for cluster in clusters {
        tokens.add(token_service(cluster), token(&format!("id-{cluster}")));
    }
    tokens
}

fn client(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn get<'a>(options: &'a [(String, String)], name: &str) -> Option<&'a str> {
    options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn b214_a_cluster_is_what_stands_before_the_first_dot() {
    assert!(settings(&[("spark.kafka.clusters.", "x")]).clusters.is_empty());
    let one = settings(&[("SPARK.Kafka.clusters.Id.auth.bootstrap.servers", "h:1")]);
    let cluster = one.cluster("Id").unwrap();
    assert_eq!(cluster.auth_servers, "h:1");
    assert_eq!(cluster.security_protocol, "SASL_SSL");
    assert_eq!(cluster.service_name, "kafka");
    assert_eq!(cluster.mechanism, "SCRAM-SHA-512");
    assert!(cluster.matches("any:1").unwrap());
    assert_eq!(cluster.truststore, Default::default());
    assert_eq!((cluster.key_password.as_ref(), cluster.client.len()), (None, 0));
    assert!(one.enabled && (one.renewal_ratio - 0.75).abs() < f64::EPSILON);
    assert_eq!(two().clusters.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn b215_a_cluster_without_servers_names_the_option_that_it_lacks() {
    let key = "spark.kafka.clusters.invalid.auth.bootstrap.servers";
    for name in ["spark.kafka.clusters.invalid.security.protocol", "spark.kafka.clusters.invalid"] {
        let error = refused(&[(name, "SSL")]);
        assert!(error.message().contains(key), "{error}");
    }
    assert!(two().cluster("invalid").unwrap_err().message().contains(key));
}

#[tokio::test]
async fn b216_one_cluster_without_a_token_does_not_keep_the_others_from_theirs() {
    let (first, second) = (World::new(&[]).await, World::new(&[]).await);
    let servers = [first.cluster.bootstrap(), second.cluster.bootstrap()];
    let mut pairs = Vec::new();
    let clusters = ["down", "one", "open", "two"];
    let places = ["127.0.0.1:1", &servers[0], &servers[0], &servers[1]];
    let protocols = ["SSL", "SASL_PLAINTEXT", "PLAINTEXT", "SASL_SSL"];
    for (number, id) in clusters.iter().enumerate() {
        let name = |setting: &str| format!("spark.kafka.clusters.{id}.{setting}");
        pairs.push((name("auth.bootstrap.servers"), places[number]));
        pairs.push((name("security.protocol"), protocols[number]));
        // The embedded brokers give tokens to everybody, without a login.
        pairs.push((name("kafka.security.protocol"), "PLAINTEXT"));
        pairs.push((name("kafka.default.api.timeout.ms"), "500"));
    }
    let all = TokenSettings::from_pairs(pairs.iter().cloned()).unwrap();
    let obtained = obtain_all(&all).await.unwrap();
    assert_eq!(obtained.tokens.clusters().collect::<Vec<_>>(), ["one", "two"]);
    let expiry = |id| obtained.tokens.of_cluster(id).unwrap().expires_ms;
    assert_eq!(obtained.first_expiry_ms, Some(expiry("one").min(expiry("two"))));
    let failed: Vec<_> = obtained.failures.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(failed, ["down"]);
    pairs.push(("spark.security.credentials.kafka.enabled".to_owned(), "false"));
    let off = TokenSettings::from_pairs(pairs).unwrap();
    assert_eq!(obtain_all(&off).await.unwrap().tokens.clusters().count(), 0);
}

/// The options with which the client of cluster `a` obtains its token, in their order.
fn admin(pairs: &[(&str, &str)], global: GlobalLogin) -> Vec<(String, String)> {
    let mut all = vec![("spark.kafka.clusters.a.auth.bootstrap.servers", "h:1")];
    all.extend(pairs);
    let settings = settings(&all);
    let (options, _) = admin_options(settings.cluster("a").unwrap(), &settings, global);
    options.into_iter().map(|(name, value)| (name, value.reveal().to_owned())).collect()
}

#[test]
fn b217_stores_are_used_as_far_as_the_protocol_has_a_use_for_them() {
    let names = |protocol| {
        let options = admin(
            &[
                ("spark.kafka.clusters.a.security.protocol", protocol),
                ("spark.kafka.clusters.a.ssl.truststore.type", "JKS"),
                ("spark.kafka.clusters.a.ssl.truststore.location", "/t"),
                ("spark.kafka.clusters.a.ssl.truststore.password", "tp"),
                ("spark.kafka.clusters.a.ssl.keystore.type", "PEM"),
                ("spark.kafka.clusters.a.ssl.keystore.location", "/k"),
                ("spark.kafka.clusters.a.ssl.keystore.password", "kp"),
                ("spark.kafka.clusters.a.ssl.key.password", "p"),
            ],
            GlobalLogin::Present,
        );
        assert_eq!(get(&options, "bootstrap.servers"), Some("h:1"));
        assert_eq!(get(&options, "security.protocol"), Some(protocol));
        options.into_iter().skip(2).collect::<Vec<_>>()
    };
    let trust = [
        ("ssl.truststore.type", "JKS"),
        ("ssl.truststore.location", "/t"),
        ("ssl.truststore.password", "tp"),
    ];
    let own = [
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", "/k"),
        ("ssl.keystore.password", "kp"),
        ("ssl.key.password", "p"),
    ];
    assert_eq!(names("SASL_PLAINTEXT"), []);
    assert_eq!(names("SASL_SSL"), client(&trust));
    assert_eq!(names("SSL"), client(&[&trust[..], &own[..]].concat()));
}

#[test]
fn b218_tokens_are_obtained_by_login_file_keytab_or_ticket_cache() {
    let global = admin(&[], GlobalLogin::Present);
    assert_eq!((get(&global, "sasl.mechanism"), get(&global, "sasl.jaas.config")), (None, None));
    let module = "com.sun.security.auth.module.Krb5LoginModule required debug=false";
    let by_keytab = admin(
        &[("spark.kerberos.keytab", "/k.keytab"), ("spark.kerberos.principal", "a@B")],
        GlobalLogin::Absent,
    );
    assert_eq!(get(&by_keytab, "sasl.mechanism"), Some("GSSAPI"));
    let login = format!(
        "{module} useKeyTab=true serviceName=\"kafka\" keyTab=\"/k.keytab\" principal=\"a@B\";      "
    );
    assert_eq!(get(&by_keytab, "sasl.jaas.config"), Some(login.as_str()));
    let service = ("spark.kafka.clusters.a.sasl.kerberos.service.name", "service");
    let by_cache = admin(&[service], GlobalLogin::Absent);
    let login = format!("{module} useTicketCache=true serviceName=\"service\";");
    assert_eq!(get(&by_cache, "sasl.jaas.config").map(str::trim_end), Some(login.as_str()));
    let half = refused(&[("spark.kerberos.keytab", "/k.keytab")]);
    assert!(half.message().starts_with("Both principal and keytab must be defined, or neither."));
}

#[test]
fn b219_a_clusters_own_client_options_are_the_last_word() {
    let options = admin(
        &[
            ("spark.kafka.clusters.a.kafka.customKey", "customValue"),
            ("spark.kafka.clusters.a.kafka.sasl.mechanism", "PLAIN"),
        ],
        GlobalLogin::Absent,
    );
    let last: Vec<_> = options.iter().rev().take(2).map(|(name, _)| name.as_str()).collect();
    assert_eq!(last, ["sasl.mechanism", "customKey"]);
    assert_eq!(get(&options, "customKey"), Some("customValue"));
    assert_eq!(get(&options, "sasl.mechanism"), Some("PLAIN"));
    assert_eq!(options.iter().filter(|(name, _)| name == "sasl.mechanism").count(), 1);
}

#[tokio::test]
async fn b220_no_token_is_obtained_for_a_proxy_user() {
    let mut all = two();
    all.proxy_user = Some("alice".to_owned());
    let said = "Obtaining delegation token for proxy user is not yet supported.";
    let obtained = obtain_all(&all).await.unwrap();
    let failures: Vec<_> = obtained.failures.iter().map(|(_, error)| error.message()).collect();
    assert_eq!(failures, [said, said]);
    let servers = client(&[("bootstrap.servers", "a1:9093")]);
    let error = connect(&servers, &all).await.map(|_| ()).unwrap_err();
    assert_eq!(error.message(), said, "nothing is tried without the token");
}

#[tokio::test]
async fn b221_a_token_is_kept_by_service_with_its_id_and_base64_secret() {
    assert_eq!(TOKEN_KIND, "KAFKA_DELEGATION_TOKEN");
    assert_eq!(token_service("cluster1"), "kafka.server.delegation.token.cluster1");
    let world = World::new(&[]).await;
    let all = settings(&[
        ("spark.kafka.clusters.a.auth.bootstrap.servers", &world.cluster.bootstrap()),
        ("spark.kafka.clusters.a.kafka.security.protocol", "PLAINTEXT"),
    ]);
    let obtained = obtain_all(&all).await.unwrap();
    let token = obtained.tokens.of_cluster("a").unwrap();
    let config = klamm_client::Config::new(&world.cluster.bootstrap()).unwrap();
    let admin = klamm_client::Client::connect(config).await.unwrap();
    let made = admin.describe_tokens(None).await.unwrap();
    assert_eq!(token.id, made[0].id);
    let bytes = base64_decoded(token.hmac.reveal());
    assert_eq!(bytes, made[0].hmac.0);
    assert!(!format!("{obtained:?}").contains(token.hmac.reveal()));
}

fn base64_decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn b222_at_most_one_cluster_may_match_the_brokers() {
    let all = two();
    let found = |servers: &str, tokens: &TokenStore| {
        matching(servers, &all, tokens).map(|found| found.map(|cluster| cluster.id.clone()))
    };
    let tokens = store(&["a", "b"]);
    assert_eq!(found("a1:9093", &TokenStore::default()).unwrap(), None, "no token");
    let mut foreign = TokenStore::default();
    foreign.add("hdfs:8020", token("id"));
    assert_eq!(found("a1:9093", &foreign).unwrap(), None, "another service's");
    assert_eq!(found("c1:9093", &tokens).unwrap(), None);
    assert_eq!(found("a1:90931", &tokens).unwrap(), None, "the whole server has to match");
    assert_eq!(found("c1:9093, a1:9093", &tokens).unwrap().as_deref(), Some("a"));
    assert_eq!(found("b2:9093", &tokens).unwrap().as_deref(), Some("b"));
    let error = found("a1:9093,b1:9093", &tokens).unwrap_err();
    let said =
        "More than one delegation token matches the following bootstrap servers: a1:9093,b1:9093.";
    assert!(error.message().starts_with(said), "{error}");
    let error = found("a1:9093", &store(&["gone"])).unwrap_err();
    let key = "spark.kafka.clusters.gone.auth.bootstrap.servers";
    assert!(error.message().contains(key), "{error}");
}

#[test]
fn b223_a_matching_token_sets_the_login_and_leaves_the_users_protocol() {
    let (all, tokens) = (two(), store(&["a"]));
    let bare = client(&[("bootstrap.servers", "a1:9093")]);
    let applied = apply(&bare, &all, &tokens, GlobalLogin::Absent).unwrap();
    assert_eq!(applied.len(), 4);
    assert_eq!(get(&applied, "security.protocol"), Some("SASL_SSL"));
    assert_eq!(get(&applied, "sasl.mechanism"), Some("SCRAM-SHA-512"));
    let own = client(&[
        ("bootstrap.servers", "a1:9093"),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", "mine"),
    ]);
    let applied = apply(&own, &all, &tokens, GlobalLogin::Absent).unwrap();
    assert_eq!(applied.len(), 4);
    assert_eq!(get(&applied, "security.protocol"), Some("SASL_PLAINTEXT"));
    assert_eq!(get(&applied, "sasl.mechanism"), Some("SCRAM-SHA-512"));
    assert!(get(&applied, "sasl.jaas.config").unwrap().contains("tokenauth=true"));
    let elsewhere = client(&[("bootstrap.servers", "c1:9093")]);
    assert_eq!(apply(&elsewhere, &all, &tokens, GlobalLogin::Absent).unwrap(), elsewhere);
}

#[tokio::test]
async fn b224_tokens_log_in_by_scram_alone() {
    let mut all = two();
    all.clusters.get_mut("a").unwrap().mechanism = "PLAIN".to_owned();
    let servers = client(&[("bootstrap.servers", "a1:9093")]);
    let error = apply(&servers, &all, &store(&["a"]), GlobalLogin::Absent).unwrap_err();
    let said = "Delegation token works only with SCRAM mechanism.";
    assert!(error.message().starts_with(said), "{error}");
    let error = connect(&servers, &all).await.map(|_| ()).unwrap_err();
    assert!(error.message().starts_with(said), "before anything is contacted: {error}");
    let misspelt = client(&[("bootstrap.servers", "b1:9093"), ("client.idd", "x")]);
    let error = connect(&misspelt, &all).await.map(|_| ()).unwrap_err();
    assert!(error.message().contains("did you mean 'client.id'?"), "likewise: {error}");
}

#[test]
fn b225_the_login_of_a_token_is_sparks_to_the_letter() {
    let all = two();
    let login = login_string(all.cluster("a").unwrap(), &store(&["a"])).unwrap();
    assert_eq!(
        login.reveal(),
        "org.apache.kafka.common.security.scram.ScramLoginModule required tokenauth=true \
         serviceName=\"kafka\" username=\"id-a\" password=\"aG1hYw==\";"
    );
    let module = klamm_client::config::jaas::parse(login.reveal()).unwrap();
    assert_eq!(module.option("tokenauth").map(Secret::reveal), Some("true"));
    let mut sly = TokenStore::default();
    sly.add(token_service("a"), token("x\" username=\"root"));
    let login = login_string(all.cluster("a").unwrap(), &sly).unwrap();
    let module = klamm_client::config::jaas::parse(login.reveal()).unwrap();
    assert_eq!(module.option("username").map(Secret::reveal), Some("x\" username=\"root"));
    let error = login_string(all.cluster("a").unwrap(), &store(&["b"])).unwrap_err();
    assert_eq!(error.message(), "Token for identifier a must exist");
}

#[test]
fn b226_an_update_is_needed_when_the_token_in_use_is_not_the_newest() {
    let (all, mut tokens) = (two(), store(&["a"]));
    let cluster = all.cluster("a").unwrap();
    let servers = client(&[("bootstrap.servers", "a1:9093")]);
    let used = apply(&servers, &all, &tokens, GlobalLogin::Absent).unwrap();
    assert!(!needs_update(&used, None, &tokens).unwrap(), "no cluster matches");
    assert!(!needs_update(&servers, Some(cluster), &tokens).unwrap(), "nobody logs in");
    assert!(!needs_update(&used, Some(cluster), &tokens).unwrap(), "the same token");
    tokens.add(token_service("a"), token("renewed"));
    assert!(needs_update(&used, Some(cluster), &tokens).unwrap());
}

#[tokio::test]
async fn b227_without_bootstrap_servers_no_token_can_match() {
    let none = client(&[("client.id", "x")]);
    let error = apply(&none, &two(), &store(&["a"]), GlobalLogin::Absent).unwrap_err();
    assert_eq!(error.condition(), Some("MISSING_KAFKA_OPTION"));
    let said = "Kafka option bootstrap.servers is not set. Please make sure it is set and retry.";
    assert_eq!(error.message(), said);
    let error = connect(&none, &two()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.condition(), Some("MISSING_KAFKA_OPTION"));
}

#[test]
fn b228_what_is_logged_shows_the_user_and_no_password() {
    let login = "ScramLoginModule required username=\"alice\" password=\"hunter2\";";
    let hidden = "ScramLoginModule required username=\"alice\" password=\"*********(redacted)\";";
    assert_eq!(redact_login(login), hidden);
    assert_eq!(redact("SASL.jaas.config", Some(&login)).as_deref(), Some(hidden));
    assert_eq!(redact_login(""), "");
    assert_eq!(redact_login("password=\"hunter2"), "password=\"*********(redacted)\"");
    assert_eq!(redact("sasl.jaas.config", None), None);
    assert_eq!(redact("ssl.key.password", None), None);
    let secret = Some("*********(redacted)");
    assert_eq!(redact("ssl.key.password", Some(&"hunter2")).as_deref(), secret);
    assert_eq!(redact("some.Token", Some(&7)).as_deref(), secret);
    assert_eq!(redact("aws.access.key", Some(&true)).as_deref(), secret);
    assert_eq!(redact("other", Some(&"has a password in it")).as_deref(), secret);
    assert_eq!(redact("linger.ms", Some(&7)).as_deref(), Some("7"));
    let all = settings(&[
        ("spark.kafka.clusters.a.auth.bootstrap.servers", "h:1"),
        ("spark.kafka.clusters.a.ssl.key.password", "hunter2"),
        ("spark.kafka.clusters.a.kafka.sasl.jaas.config", "hunter2"),
    ]);
    assert!(!format!("{all:?}").contains("hunter2"));
}

#[tokio::test]
async fn b230_a_login_file_is_stronger_than_a_token_and_a_token_than_nothing() {
    let (all, tokens) = (two(), store(&["a"]));
    let servers = client(&[("bootstrap.servers", "a1:9093")]);
    assert_eq!(apply(&servers, &all, &tokens, GlobalLogin::Present).unwrap(), servers);
    assert_eq!(apply(&servers, &all, &tokens, GlobalLogin::Absent).unwrap().len(), 4);
    let none = TokenStore::default();
    assert_eq!(apply(&servers, &all, &none, GlobalLogin::Absent).unwrap(), servers);

    // It is the entry for clients that counts, and not the file.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jaas.conf").display().to_string();
    let world = World::new(&[]).await;
    let bootstrap = world.cluster.bootstrap();
    let mut all = settings(&[
        ("spark.kafka.clusters.a.auth.bootstrap.servers", "127.0.0.1:1"),
        ("spark.kafka.clusters.a.kafka.default.api.timeout.ms", "300"),
        ("spark.kafka.clusters.a.kafka.security.protocol", "PLAINTEXT"),
        ("java.security.auth.login.config", &path),
    ]);
    let servers = client(&[("bootstrap.servers", &bootstrap)]);
    fs::write(&path, "KafkaServer { M required; };").unwrap();
    let error = connect(&servers, &all).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Client, "the token could not be had: {error}");
    fs::write(&path, "KafkaClient { M required; };").unwrap();
    connect(&servers, &all).await.unwrap();
    fs::write(&path, "KafkaClient { M required").unwrap();
    let error = connect(&servers, &all).await.map(|_| ()).unwrap_err();
    assert!(error.message().contains("expected [option key], read [end of file]"), "{error}");
    all.login_file = None;
    all.enabled = false;
    connect(&servers, &all).await.unwrap();
}

#[tokio::test]
async fn b235_a_login_that_nobody_configured_is_missed_in_javas_words() {
    let asks = client(&[("bootstrap.servers", "h:1"), ("security.protocol", "SASL_SSL")]);
    let error = connect(&asks, &TokenSettings::default()).await.map(|_| ()).unwrap_err();
    let said = "Could not find a 'KafkaClient' entry in the JAAS configuration. System property \
                'java.security.auth.login.config' is not set";
    assert!(error.message().starts_with(said), "{error}");
}

#[test]
fn sources_sinks_and_streams_take_the_same_options() {
    let pairs = [
        ("kafka.bootstrap.servers", "h:1"),
        ("spark.kafka.clusters.a.auth.bootstrap.servers", "h:1"),
        ("spark.kerberos.keytab", "/k"),
        ("spark.kerberos.principal", "a@B"),
        ("kafka.sasl.jaas.config", "hunter2"),
    ];
    let sink = SinkOptions::from_pairs(pairs).unwrap();
    let topic = [("subscribe", "t")];
    let source =
        SourceOptions::from_pairs(ReadMode::Stream, pairs.into_iter().chain(topic)).unwrap();
    let direct = klamm_connector::direct::DirectOptions::from_pairs(pairs).unwrap();
    for tokens in [sink.tokens(), source.tokens(), direct.tokens()] {
        assert_eq!(tokens.clusters.len(), 1);
        assert_eq!(tokens.keytab, Some(("/k".to_owned(), "a@B".to_owned())));
    }
    assert!(!format!("{sink:?} {source:?} {direct:?}").contains("hunter2"));
    for (wrong, near) in [
        ("spark.kerberos.keytap", "spark.kerberos.keytab"),
        ("spark.kafka.clusters.a.security.protokol", "spark.kafka.clusters.a.security.protocol"),
    ] {
        let error = SinkOptions::from_pairs(pairs.into_iter().chain([(wrong, "x")])).unwrap_err();
        assert!(error.message().contains(&format!("did you mean '{near}'?")), "{error}");
    }
}

#[test]
fn a_token_is_obtained_again_after_three_quarters_of_its_life() {
    let mut settings = TokenSettings::default();
    let mut renewal = Renewal::new(&settings);
    assert!(renewal.is_due(i64::MIN) && renewal.wait(0).is_zero());
    renewal.obtained(1_000, 101_000);
    assert!(!renewal.is_due(75_999) && renewal.is_due(76_000));
    assert_eq!(renewal.wait(1_000), Duration::from_secs(75));
    renewal.failed(76_000);
    assert!(!renewal.is_due(82_249) && renewal.is_due(82_250), "a quarter of what is left");
    renewal.failed(100_900);
    assert!(!renewal.is_due(101_899) && renewal.is_due(101_900), "never in a hurry");
    renewal.failed(200_000);
    assert_eq!(renewal.wait(200_000), Duration::from_secs(10), "nothing left to lose");
    renewal.obtained(0, -5);
    assert_eq!(renewal.wait(0), Duration::from_secs(1), "a broker's clock is another's");
    renewal.obtained(0, i64::MAX);
    renewal.failed(0);
    assert_eq!(renewal.wait(0), Duration::from_secs(3600), "Spark's longest wait");
    settings.renewal_ratio = 0.5;
    let mut early = Renewal::new(&settings);
    early.obtained(0, 100_000);
    assert!(early.is_due(50_000) && !early.is_due(49_999));
}
