//! Delegation tokens on real Apache Kafka: obtained with a user's password, used by source and sink, and replaced while
//! they work.

mod common;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use klamm_client::admin::{NewTopic, ScramChange, ScramMechanism};
use klamm_client::producer::{Delivery, ProducerOptions};
use klamm_client::{Client, Config};
use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};
use klamm_connector::sink::{RowStream, batch_write};
use klamm_connector::source::{ReadOrder, batch_read};
use klamm_connector::tokens;
use klamm_protocol::records::RecordParts;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::{Cluster as _, in_test};
use tokio::time::{Instant, sleep};

/// A broker where tokens live for eight seconds, and every login for five at most.
fn start() -> Option<Kafka> {
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let of = |key: &str| format!("listener.name.login.scram-sha-512.{key}");
    let config = KafkaConfig::version(apache::NEWEST)
        .listener("LOGIN", "SASL_PLAINTEXT")
        .property("delegation.token.secret.key", "a secret of the test's")
        .property("delegation.token.expiry.time.ms", "8000")
        .property("delegation.token.expiry.check.interval.ms", "1000")
        .property("sasl.enabled.mechanisms", "SCRAM-SHA-512")
        .property(of("sasl.jaas.config"), scram)
        .property(of("connections.max.reauth.ms"), "5000")
        .access_rules()
        .property("allow.everyone.if.no.acl.found", "false")
        .property("super.users", "User:ANONYMOUS;User:alice");
    in_test(Kafka::start(config))
}

/// What says how to obtain tokens, and nothing about the tokens.
fn login(servers: &str) -> Vec<(String, String)> {
    let cluster = |setting: &str| format!("spark.kafka.clusters.main.{setting}");
    let pairs = [
        ("kafka.bootstrap.servers".to_owned(), servers),
        (cluster("auth.bootstrap.servers"), servers),
        (cluster("target.bootstrap.servers.regex"), "localhost:[0-9]+"),
        (cluster("security.protocol"), "SASL_PLAINTEXT"),
        (cluster("kafka.sasl.mechanism"), "SCRAM-SHA-512"),
        (cluster("kafka.sasl.jaas.config"), JAAS),
    ];
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn with(pairs: &[(String, String)], more: &[(&str, &str)]) -> Vec<(String, String)> {
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    pairs.iter().cloned().chain(more).collect()
}

fn rows(values: &[i32]) -> RowStream {
    let values: Vec<_> = values.iter().map(i32::to_string).collect();
    let column: ArrayRef = Arc::new(StringArray::from(values));
    common::once(RecordBatch::try_from_iter([("value", column)]).unwrap())
}

async fn read(login: &[(String, String)], topic: &str) -> Vec<i32> {
    let options = with(login, &[("subscribe", topic)]);
    let options = SourceOptions::from_pairs(ReadMode::Batch, options).unwrap();
    let rows = batch_read(options, ReadOrder::ByPartition).await.unwrap();
    let rows = common::collect(rows).await.unwrap();
    rows.into_iter().map(|(_, _, value)| value.unwrap().parse().unwrap()).collect()
}

#[test]
fn b229_a_query_reads_and_writes_by_tokens_that_are_replaced_meanwhile() {
    let Some(kafka) = start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let admin = Client::connect(Config::new(&kafka.bootstrap()).unwrap()).await.unwrap();
        let alice = ScramChange::set("alice", ScramMechanism::Sha512, "alicepw");
        admin.alter_scram_users(&[alice]).await.remove(0).unwrap();
        for topic in ["in", "out", "long"] {
            admin.create_topics(&[NewTopic::new(topic)]).await.remove(0).unwrap();
        }
        let login = login(&kafka.bootstrap_of("LOGIN").unwrap());
        let to = |topic| SinkOptions::from_pairs(with(&login, &[("topic", topic)])).unwrap();
        let _ = batch_write(&to("in"), rows(&[1, 2, 3, 4, 5])).await.unwrap();
        let next: Vec<_> = read(&login, "in").await.into_iter().map(|value| value + 1).collect();
        let _ = batch_write(&to("out"), rows(&next)).await.unwrap();
        assert_eq!(read(&login, "out").await, [2, 3, 4, 5, 6]);

        long_work(&login).await;
        assert_eq!(read(&login, "long").await, (0..50).collect::<Vec<_>>());
        // Whoever lets a token go asks for no further one.
        sleep(Duration::from_secs(12)).await;
        let alice = [
            ("bootstrap.servers", kafka.bootstrap_of("LOGIN").unwrap()),
            ("security.protocol", "SASL_PLAINTEXT".to_owned()),
            ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
            ("sasl.jaas.config", JAAS.to_owned()),
        ];
        let alice = Client::connect(Config::from_properties(alice).unwrap()).await.unwrap();
        assert_eq!(alice.describe_tokens(None).await.unwrap(), []);
    });
}

/// Writes for three lives of a token, on one client.
async fn long_work(login: &[(String, String)]) {
    let options = SinkOptions::from_pairs(with(login, &[("topic", "long")])).unwrap();
    let client = tokens::connect(options.client(), options.tokens()).await.unwrap();
    let producer = ProducerOptions::from_config(client.config());
    let producer = client.producer(producer).unwrap();
    let start = Instant::now();
    // Records of 1970 would be gone at once.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    for number in 0..50 {
        let value = number.to_string();
        let record = RecordParts::new(now, None, Some(value.as_bytes()));
        let ticket = producer.append("long", Some(0), record).await.unwrap();
        let fate = ticket.delivered().await;
        assert!(matches!(fate, Delivery::Written { .. }), "{fate:?}");
        sleep(Duration::from_millis(500)).await;
    }
    assert!(start.elapsed() > Duration::from_secs(24));
}

const JAAS: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required \
                    username=\"alice\" password=\"alicepw\";";
