//! Connections that rest, end, move and are counted, over real sockets: nothing is lost by it, and
//! everything is said.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::proxy::Proxy;
use common::spans::Recorder;
use common::{client, cluster, config};
use klamm_client::admin::Topics;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::net::counters::{ApiCounters, BrokerCounters};
use klamm_client::producer::{Delivery, ProducerOptions};
use klamm_client::{Client, ErrorKind};
use klamm_protocol::api::ApiKey;
use klamm_protocol::messages::metadata::MetadataRequest;
use klamm_protocol::records::RecordParts;
use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::control::{Fault, Intercept};
use klamm_testkit::door::{DoorConfig, EmbeddedCluster};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// A cluster of one broker with the topic `t`; equal seeds give it equal ids.
async fn cluster_named(id: &str, seed: u64) -> EmbeddedCluster {
    let config = ClusterConfig { cluster_id: id.to_owned(), seed, ..ClusterConfig::default() };
    let door = EmbeddedCluster::start(config).await.expect("free ports");
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    door
}

/// Writes records of these values to partition 0 of `t`.
async fn write(door: &EmbeddedCluster, values: std::ops::Range<u8>) {
    let producer = client(door).await.producer(ProducerOptions::default()).unwrap();
    for value in values {
        let record = RecordParts::new(0, None, Some(std::slice::from_ref(&value)));
        let _ = producer.append("t", Some(0), record).await.unwrap();
    }
    producer.flush().await.unwrap();
}

fn range(start: i64, stop: i64) -> Vec<OffsetRange> {
    vec![OffsetRange { topic: Arc::from("t"), partition: 0, start, stop }]
}

/// The values of the range, one a record.
async fn read(client: &Client, start: i64, stop: i64) -> klamm_client::Result<Vec<u8>> {
    let mut reader = client.read_ranges(range(start, stop), ReadOptions::default());
    let mut values = Vec::new();
    while let Some(batch) = reader.next().await {
        values.extend(batch?.records().map(|record| record.unwrap().value().unwrap()[0]));
    }
    Ok(values)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = soon();
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(5 * MS).await;
    }
}

/// What was counted for the broker of this id.
fn broker(client: &Client, id: i32) -> BrokerCounters {
    let all = client.counters().brokers;
    all.into_iter().find(|one| one.id == Some(id)).unwrap_or_default()
}

fn total(client: &Client) -> ApiCounters {
    broker(client, 1).total()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_this_side_ends_for_idleness_cost_no_request() {
    let door = cluster_named("a", 1).await;
    let config = config(&door.bootstrap()).with_max_idle(Some(2 * MS)).with_reconnect_backoff(MS);
    let client = Client::connect(config).await.unwrap();
    for round in 0..400_u32 {
        // Spread over the time in which the connection ends: shortly before, while, shortly after.
        let at = Instant::now() + 2 * MS + round % 50 * MS / 25;
        let callers = (0..2).map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                while Instant::now() < at {
                    tokio::task::yield_now().await;
                }
                client.metadata(Topics::All).await.map(drop)
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap().unwrap();
        }
    }
    let counted = broker(&client, 1);
    assert!(counted.opened > 5, "{counted:?}");
    assert_eq!(counted.total().lost, 0, "taken and then dropped: {counted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_broker_ends_for_idleness_are_an_error_to_nobody() {
    let cluster = ClusterConfig::default();
    let config_of_door = DoorConfig { max_idle: 30 * MS, ..DoorConfig::from(cluster) };
    let door = EmbeddedCluster::start(config_of_door).await.unwrap();
    let client = client(&door).await;
    for _ in 0..10 {
        let held = client.cluster().broker(1, soon()).await.unwrap();
        held.closed().await;
        let next = client.cluster().broker(1, soon()).await.unwrap();
        next.request(&MetadataRequest::default(), soon()).await.unwrap();
    }
    assert!(broker(&client, 1).opened >= 10);
    assert_eq!(total(&client).lost, 0);
    for _ in 0..10 {
        // The client may not have heard of it yet, and its request be lost on the way.
        until("the broker ends it", || door.connections() == 0).await;
        client.metadata(Topics::All).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_rests_longer_than_its_connections_live_writes_all_and_once() {
    let door = cluster_named("a", 1).await;
    let client = Client::connect(config(&door.bootstrap()).with_max_idle(Some(20 * MS)));
    let client = client.await.unwrap();
    let producer = client.producer(ProducerOptions::default()).unwrap();
    for value in 0..8_u8 {
        let record = RecordParts::new(0, None, Some(std::slice::from_ref(&value)));
        let ticket = producer.append("t", Some(0), record).await.unwrap();
        assert!(matches!(ticket.delivered().await, Delivery::Written { .. }));
        until("all rest", || door.connections() == 0).await;
    }
    assert_eq!(read(&client, 0, 8).await.unwrap(), (0..8).collect::<Vec<u8>>());
}

#[tokio::test]
async fn a_cluster_that_moved_to_other_ports_is_found_where_the_client_began() {
    let old = cluster_named("a", 1).await;
    write(&old, 0..10).await;
    let proxy = Proxy::new(old.addresses()[0]).await;
    let client = Client::connect(config(&proxy.bootstrap())).await.unwrap();
    let mut reader = client.read_ranges(range(0, 20), ReadOptions::default());
    let mut values = Vec::new();
    while values.len() < 10 {
        let batch = reader.next().await.expect("more to come").unwrap();
        values.extend(batch.records().map(|record| record.unwrap().value().unwrap()[0]));
    }
    let new = cluster_named("a", 1).await;
    write(&new, 0..20).await;
    proxy.point_to(new.addresses()[0]);
    old.stop().await;
    while let Some(batch) = reader.next().await {
        let batch = batch.expect("the reader finds the new brokers");
        values.extend(batch.records().map(|record| record.unwrap().value().unwrap()[0]));
    }
    assert_eq!(values, (0..20).collect::<Vec<u8>>());
    assert_eq!(client.view().brokers[&1].port, new.addresses()[0].port());
    assert_eq!(client.counters().cluster_changes, 0);
}

#[tokio::test]
async fn another_cluster_behind_the_old_address_is_noticed_said_and_not_mixed_with_the_old_one() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let old = cluster_named("a", 1).await;
    write(&old, 0..10).await;
    let proxy = Proxy::new(old.addresses()[0]).await;
    let client = Client::connect(config(&proxy.bootstrap())).await.unwrap();
    let mut reader = client.read_ranges(range(0, 20), ReadOptions::default());
    reader.next().await.expect("records").unwrap();
    let new = cluster_named("b", 2).await;
    write(&new, 100..120).await;
    proxy.point_to(new.addresses()[0]);
    old.stop().await;
    client.cluster().refresh(soon()).await.unwrap();
    until("the other cluster is taken in", || client.view().cluster_id.as_deref() == Some("b"))
        .await;
    let counted = client.counters();
    assert!(counted.cluster_changes == 1 && counted.rebootstraps >= 1, "{counted:?}");
    let said = recorder.events();
    let said = said.iter().find(|one| one.name.contains("another cluster answers"));
    let fields = &said.expect("it is said").fields;
    assert_eq!((fields["old"].as_str(), fields["new"].as_str()), ("a", "b"));
    let ended = loop {
        match reader.next().await {
            Some(Ok(batch)) => {
                assert!(batch.records().all(|record| { record.unwrap().value().unwrap()[0] < 100 }))
            }
            Some(Err(error)) => break error,
            None => panic!("the range was read from two clusters"),
        }
    };
    assert_eq!(ended.kind(), ErrorKind::DataLoss, "{ended}");
    assert_eq!(read(&client, 0, 20).await.unwrap(), (100..120).collect::<Vec<u8>>());
}

#[tokio::test]
async fn a_short_read_leaves_its_connection_to_the_next() {
    let door = cluster_named("a", 1).await;
    write(&door, 0..5).await;
    let client = client(&door).await;
    for _ in 0..6 {
        assert_eq!(read(&client, 0, 5).await.unwrap().len(), 5);
    }
    let counted = broker(&client, 1);
    assert!(counted.reused >= 4, "{counted:?}");
    assert!(counted.opened <= 3, "{counted:?}");
}

#[tokio::test]
async fn a_connection_of_ones_own_is_lent_to_one_at_a_time_and_four_are_kept() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let mut own = Vec::new();
    for _ in 0..6 {
        own.push(client.cluster().dedicated(1, soon()).await.unwrap());
    }
    let before = door.connections();
    assert_eq!(broker(&client, 1).reused, 0);
    own.clear();
    until("two are too many", || door.connections() == before - 2).await;
    for _ in 0..5 {
        own.push(client.cluster().dedicated(1, soon()).await.unwrap());
    }
    assert_eq!(broker(&client, 1).reused, 4);
    drop(client);
    own.clear();
    until("all end with the client", || door.connections() == 0).await;
}

#[tokio::test]
async fn a_connection_with_something_under_way_is_kept_for_nobody() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let own = client.cluster().dedicated(1, soon()).await.unwrap();
    let rule = Intercept::on(ApiKey::Metadata).delay(300 * MS);
    door.with(|cluster| cluster.intercept(rule.times(1)));
    let request = MetadataRequest::default();
    let asking = own.request(&request, soon());
    assert!(tokio::time::timeout(50 * MS, asking).await.is_err(), "the answer takes its time");
    drop(own);
    let next = client.cluster().dedicated(1, soon()).await.unwrap();
    assert_eq!(broker(&client, 1).reused, 0);
    next.request(&request, soon()).await.unwrap();
}

#[tokio::test]
async fn a_closed_client_finishes_what_is_under_way_and_ends_everything() {
    let door = cluster(2).await;
    let client = client(&door).await;
    let held = client.cluster().broker(1, soon()).await.unwrap();
    let rule = Intercept::on(ApiKey::Metadata).at(1).delay(200 * MS);
    let rule = door.with(|cluster| cluster.intercept(rule.times(1)));
    let request = MetadataRequest::default();
    let close = async {
        until("it is under way", || door.with(|cluster| cluster.control().matched(rule)) > 0).await;
        client.close(Duration::from_secs(10)).await;
    };
    let (answer, ()) = tokio::join!(held.request(&request, soon()), close);
    answer.expect("an answer");
    let other = client.clone();
    assert_eq!(other.topic_names().await.unwrap_err().kind(), ErrorKind::Usage);
    let late = held.request(&request, soon()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Disconnected);
    until("all connections end", || door.connections() == 0).await;
    let counted = client.counters();
    assert!(counted.brokers.iter().all(|one| one.open() == 0 && one.in_flight == 0), "{counted:?}");
}

#[tokio::test]
async fn records_of_a_closed_client_have_an_outcome_that_is_true() {
    let door = cluster_named("a", 1).await;
    let config = config(&door.bootstrap())
        .with_request_timeout(500 * MS)
        .with_delivery_timeout(Duration::from_secs(2));
    let client = Client::connect(config).await.unwrap();
    let producer = client.producer(ProducerOptions::from_config(client.config())).unwrap();
    let append = |value: &'static [u8]| {
        producer.append("t", Some(0), RecordParts::new(0, None, Some(value)))
    };
    assert!(matches!(append(b"a").await.unwrap().delivered().await, Delivery::Written { .. }));
    let rule = Intercept::on(ApiKey::Produce).with(Fault::Swallow);
    let rule = door.with(|cluster| cluster.intercept(rule));
    let sent = append(b"b").await.unwrap();
    until("it is sent", || door.with(|cluster| cluster.control().matched(rule)) > 0).await;
    client.close(50 * MS).await;
    let unsent = append(b"c").await.unwrap();
    let (sent, unsent) = (sent.delivered().await, unsent.delivered().await);
    assert!(matches!(sent, Delivery::Unknown(_)), "{sent:?}");
    assert!(matches!(unsent, Delivery::NotWritten(_)), "{unsent:?}");
}

#[tokio::test]
async fn each_request_leaves_a_span_with_its_numbers_and_without_its_contents() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let door = cluster_named("a", 1).await;
    let client = client(&door).await;
    let producer = client.producer(ProducerOptions::default()).unwrap();
    let record = RecordParts::new(0, Some(b"SECRET-key"), Some(b"SECRET-value"));
    let _ = producer.append("t", Some(0), record).await.unwrap();
    producer.flush().await.unwrap();
    let mut reader = client.read_ranges(range(0, 1), ReadOptions::default());
    assert!(reader.next().await.unwrap().is_ok());
    let spans = recorder.spans();
    for api in ["ApiVersions", "Metadata", "Produce", "Fetch"] {
        let found = spans.iter().find(|span| {
            span.name == "request" && span.fields.get("api").is_some_and(|name| name == api)
        });
        let fields = &found.unwrap_or_else(|| panic!("{api} in {spans:?}")).fields;
        for number in ["version", "correlation_id", "bytes_out", "bytes_in", "micros"] {
            assert!(fields[number].parse::<u64>().is_ok(), "{api} {number}: {fields:?}");
        }
        assert!(fields["broker"].contains("127.0.0.1"), "{fields:?}");
        assert!(api != "Fetch" || fields["node"] == "1", "{fields:?}");
    }
    let all = format!("{spans:?} {:?}", recorder.events());
    assert!(!all.contains("SECRET"), "{all}");
    // As bytes would be shown.
    assert!(!all.contains("83, 69, 67, 82, 69, 84"), "{all}");
}
